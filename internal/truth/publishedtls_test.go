package truth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// list is one text or several.
type list []string

func (l *list) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(l))
	}
	var one string
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*l = list{one}
	return nil
}

// TestPublishedTLS compares what TLS and QUIC told with what the tests of
// FoxIO's JA4, Arkime and nDPI expect of the same captures.
func TestPublishedTLS(t *testing.T) {
	tools := []struct{ source, name string }{{"FoxIO-LLC/", "FoxIO"}, {"arkime/", "Arkime"}, {"ntop/", "nDPI"}}
	var h hearing
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		if tr.Published == nil {
			return
		}
		records := map[pair][]connection{}
		for _, c := range replay(t, path).connections {
			p := pairOf(c.Client, c.Server)
			records[p] = append(records[p], c)
		}
		for _, pub := range tr.Published {
			i := slices.IndexFunc(tools, func(x struct{ source, name string }) bool { return strings.HasPrefix(pub.Source, x.source) })
			if i < 0 {
				continue
			}
			for _, f := range pub.Flows {
				if f.JA3 == nil && f.JA3S == nil && f.JA4 == nil {
					continue
				}
				a, errA := parseEndpoint(f.A + f.Client)
				b, errB := parseEndpoint(f.B + f.Server)
				if errA != nil || errB != nil {
					t.Fatal(errA, errB)
				}
				var version string
				if v := append(f.Version, f.TLS); v[0] != "" {
					version = versionName(v[0])
				}
				ours := everySaid(t, records[pairOf(a, b)])
				var statements []statement
				for _, s := range []statement{
					{field: "sni", theirs: f.SNI, ours: ours.sni},
					{field: "version", theirs: version, ours: ours.version},
					{field: "cipher", theirs: strings.Join(f.Cipher, " "), ours: ours.cipher},
					{field: "ja3", theirs: strings.Join(f.JA3, " "), ours: ours.ja3},
					{field: "ja3s", theirs: strings.Join(f.JA3S, " "), ours: ours.ja3s},
					{field: "ja4", theirs: strings.Join(f.JA4, " "), ours: ours.ja4},
				} {
					if s.theirs != "" {
						statements = append(statements, s)
					}
				}
				h.hear(t, tools[i].name, name, pairOf(a, b).String(), statements)
			}
		}
	})
	h.end(t, "FoxIO", "Arkime", "nDPI")
}

// everySaid sums what all records of a 5-tuple tell; several values are joined.
func everySaid(t *testing.T, cs []connection) (sum struct{ sni, version, cipher, ja3, ja3s, ja4 string }) {
	join := func(to *string, v string) {
		if v != "" && !slices.Contains(strings.Fields(*to), v) {
			*to = strings.TrimSpace(*to + " " + v)
		}
	}
	for _, c := range cs {
		for _, group := range []string{"tls", "quic"} {
			s := saidIn(t, c, group)
			if s == nil {
				continue
			}
			version := text(s.Version)
			if group == "quic" {
				version = s.TLSVersion
			}
			join(&sum.sni, deref(s.SNI))
			join(&sum.version, version)
			join(&sum.cipher, s.Cipher)
			join(&sum.ja3, s.JA3)
			join(&sum.ja3s, s.JA3S)
			join(&sum.ja4, s.JA4)
		}
	}
	return sum
}
