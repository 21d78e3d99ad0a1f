package tlsmeta

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"mirrorscope/internal/needs"
)

// helloWith makes a ClientHello message.
func helloWith(version uint16, ciphers []uint16, extensions ...any) []byte {
	var b cryptobyte.Builder
	b.AddUint8(msgClientHello)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(version)
		b.AddBytes(make([]byte, 32))
		b.AddUint8(0)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, c := range ciphers {
				b.AddUint16(c)
			}
		})
		b.AddBytes([]byte{1, 0})
		if len(extensions) == 0 {
			return
		}
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for i := 0; i < len(extensions); i += 2 {
				b.AddUint16(uint16(extensions[i].(int)))
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(extensions[i+1].(string))) })
			}
		})
	})
	return b.BytesOrPanic()
}

// parsed reads a ClientHello that is well-formed.
func parsed(t testing.TB, b []byte) *ClientHello {
	t.Helper()
	var h ClientHello
	if n, err := ParseClientHello(b, &h); err != nil || n != len(b) {
		t.Fatalf("n %d of %d, %v", n, len(b), err)
	}
	return &h
}

// TestJA4 goes through the rules of FoxIO's JA4.md. The hash parts that stand
// there in full are those of its example.
func TestJA4(t *testing.T) {
	// The example of the specification: 15 suites, 16 extensions.
	suites := []uint16{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035}
	example := []any{0x001b, "", 0x0000, "\x00\x06\x00\x00\x03a.b", 0x0033, "", 0x0010, "\x00\x0c\x02h2\x08http/1.1", 0x4469, "", 0x0017, "", 0x002d, "",
		0x000d, "\x00\x10\x04\x03\x08\x04\x04\x01\x05\x03\x08\x05\x05\x01\x08\x06\x06\x01", 0x0005, "", 0x0023, "", 0x0012, "",
		0x002b, "\x04\x03\x04\x03\x03", 0xff01, "", 0x000b, "", 0x000a, "", 0x0015, ""}
	grease := append([]any{0x1a1a, "", 0xfafa, "x"}, example...)
	unsigned := slices.Clone(example)
	unsigned[15] = ""
	alpn := func(name string) []byte {
		list := string([]byte{byte(len(name))}) + name
		return helloWith(0x0303, suites, 16, string([]byte{0, byte(len(list))})+list)
	}
	versions := func(v string) []byte { return helloWith(0x0303, suites, 43, string([]byte{byte(len(v))})+v) }
	for _, tc := range []struct {
		name      string
		hello     []byte
		transport byte
		want      string // beginning
	}{
		{"the example", helloWith(0x0303, suites, example...), 't', "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"with GREASE", helloWith(0x0303, append([]uint16{0x0a0a, 0xeaea}, suites...), grease...), 't', "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"without signature algorithms", helloWith(0x0303, suites, unsigned...), 't', "t13d1516h2_8daaf6152771_6d807ffa2a79"},
		{"QUIC", helloWith(0x0303, suites, example...), 'q', "q13d1516h2_8daaf6152771_e5627efa2ab1"},
		{"nothing at all", helloWith(0x0303, nil), 't', "t12i000000_000000000000_000000000000"},
		{"GREASE alone", helloWith(0x0303, []uint16{0x0a0a}, 0x2a2a, ""), 't', "t12i000000_000000000000_000000000000"},
		{"name and ALPN alone", helloWith(0x0303, nil, 0, "", 16, "\x00\x03\x02h2"), 't', "t12d0002h2_000000000000_000000000000"},
		{"100 suites", helloWith(0x0303, slices.Repeat([]uint16{5}, 100)), 't', "t12i990000_"},
		{"no version extension: TLS 1.1", helloWith(0x0302, nil), 't', "t11"},
		{"SSL 3.0", helloWith(0x0300, nil), 't', "ts3"},
		{"unknown version", helloWith(0x0305, nil), 't', "t00"},
		{"the highest counts", versions("\x03\x01\x03\x04\x03\x03"), 't', "t13"},
		{"GREASE version", versions("\xfa\xfa\x03\x03"), 't', "t12"},
		{"draft", versions("\x7f\x1c\x7f\x1b\x03\x03"), 't', "t00"},
		{"DTLS 1.3", versions("\xfe\xfd\xfe\xfc"), 'd', "dd3"},
		{"DTLS 1.2", helloWith(0xfefd, nil), 'd', "dd2"},
		{"DTLS 1.0", helloWith(0xfeff, nil), 'd', "dd1"},
		{"ALPN http/1.1", alpn("http/1.1"), 't', "t12i1501h1_"},
		{"ALPN of one letter", alpn("h"), 't', "t12i1501hh_"},
		{"ALPN that is empty", alpn(""), 't', "t12i150100_"},
		{"ALPN ab", alpn("\xab"), 't', "t12i1501ab_"},
		{"ALPN abcd", alpn("\xab\xcd"), 't', "t12i1501ad_"},
		{"ALPN 30ab", alpn("0\xab"), 't', "t12i15013b_"},
		{"ALPN 3031abcd", alpn("01\xab\xcd"), 't', "t12i15013d_"},
		{"ALPN 30abcd31", alpn("0\xab\xcd1"), 't', "t12i150101_"},
		{"ALPN 2f68", alpn("/h"), 't', "t12i150128_"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := parsed(t, tc.hello).JA4(tc.transport); !strings.HasPrefix(got, tc.want) || len(got) != 36 {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestJA4ByTheText holds the decision where the specification and its authors'
// tools disagree: the first ALPN name is ba ad.
func TestJA4ByTheText(t *testing.T) {
	root := needs.Captures(t)
	m := readTalks(t, filepath.Join(root, "dev", "tls", "ja4-tls-non-ascii-alpn.pcapng"))[0].listen().messages[0].body
	if got, want := parsed(t, m).JA4(TransportTCP), "t13d1516bd_8daaf6152771_e5627efa2ab1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestJA3(t *testing.T) {
	h := parsed(t, helloWith(0x0301, []uint16{0x0a0a, 47, 53}, 0x1a1a, "", 0, "", 10, "\x00\x06\x2a\x2a\x00\x17\x00\x18", 11, "\x02\x00\x01"))
	if got, want := string(h.appendJA3(nil)), "769,47-53,0-10-11,23-24,0-1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// The two examples of the JA3 README.
	for text, want := range map[string]string{
		"769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0": "ada70206e40642a3e4461f35503241d5",
		"769,4-5-10-9-100-98-3-6-19-18-99,,,":                                  "de350869b8c85de67a350c8d186f11e6",
	} {
		if got := md5hex([]byte(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	h = parsed(t, helloWith(0x0301, []uint16{4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99}))
	if got := h.JA3(); got != "de350869b8c85de67a350c8d186f11e6" {
		t.Errorf("without extensions: %s", got)
	}
}

// oneOrMore is a JSON string or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(o))
	}
	var s string
	err := json.Unmarshal(b, &s)
	*o = oneOrMore{s}
	return err
}

// TestPublished compares fingerprints with those that other projects publish
// for the same captures.
func TestPublished(t *testing.T) {
	root := needs.Captures(t)
	counts := map[string]int{}
	for _, name := range capturePaths(t, filepath.Join(root, "dev")) {
		b, err := os.ReadFile(filepath.Join(root, "truth", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var truth struct {
			Published []struct {
				Source string
				Flows  []struct {
					A, B, Client, Server string
					SNI                  string
					JA3, JA3S, JA4       oneOrMore
				}
			} `json:"upstream_expected"`
		}
		if err := json.Unmarshal(b, &truth); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(truth.Published) == 0 {
			continue
		}
		got := map[string]Info{}
		for _, tk := range readTalks(t, filepath.Join(root, "dev", name)) {
			if tk.udp {
				continue
			}
			var i Info
			for _, m := range tk.listen().messages {
				var ch ClientHello
				var sh ServerHello
				if _, err := ParseClientHello(m.body, &ch); err == nil {
					i.ClientHello(&ch, TransportTCP)
				} else if _, err := ParseServerHello(m.body, &sh); err == nil {
					i.ServerHello(&sh)
				}
			}
			if i.JA4 != "" || i.JA3S != "" {
				got[tk.ends[0].String()+" "+tk.ends[1].String()] = i
				got[tk.ends[1].String()+" "+tk.ends[0].String()] = i
			}
		}
		for _, p := range truth.Published {
			for _, f := range p.Flows {
				i, ok := got[f.A+f.Client+" "+f.B+f.Server]
				if !ok {
					continue // QUIC, or TLS that the other project does not see as such
				}
				for kind, pair := range map[string]struct {
					got  string
					want oneOrMore
				}{"ja3": {i.JA3, f.JA3}, "ja3s": {i.JA3S, f.JA3S}, "ja4": {i.JA4, f.JA4}} {
					if len(pair.want) == 0 {
						continue
					}
					switch {
					case slices.Contains(pair.want, pair.got):
						counts[kind]++
					case kind == "ja4" && otherwise(p.Source, pair.got, pair.want[0]):
						counts["ja4 otherwise"]++
					default:
						t.Errorf("%s: %s: %s of %s%s is %s, published is %s", p.Source, name, kind, f.A, f.Client, pair.got, pair.want)
					}
				}
				if f.SNI != "" {
					if f.SNI != i.SNI {
						t.Errorf("%s: %s: SNI of %s is %q, published is %q", p.Source, name, f.Client, i.SNI, f.SNI)
					}
					counts["sni"]++
				}
			}
		}
	}
	t.Logf("equal: %v", counts)
	if counts["ja3"] == 0 || counts["ja3s"] == 0 || counts["ja4"] == 0 {
		t.Error("nothing was compared")
	}
}

// otherwise tells whether a published JA4 departs from the text of the
// specification as its source is known to: nDPI, as stored, writes "d" without
// a server name and takes the first two characters of the ALPN; FoxIO's tools
// write "99" for an ALPN beyond ASCII.
func otherwise(source, got, published string) bool {
	switch {
	case strings.HasPrefix(source, "ntop/nDPI"):
		return len(published) == len(got) && published[3] == 'd' && (got[3] == 'i' || got[8:10] == "h1" && published[8:10] == "ht") &&
			got[:3]+got[4:8]+got[10:] == published[:3]+published[4:8]+published[10:]
	case strings.HasPrefix(source, "FoxIO-LLC/ja4"):
		return got[8:10] == "bd" && published[8:10] == "99" && got[:8]+got[10:] == published[:8]+published[10:]
	}
	return false
}
