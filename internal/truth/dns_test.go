package truth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/packet"
)

// dnsFrame is what tshark says of the DNS messages that one frame completes.
type dnsFrame struct {
	Frame    int
	ID       []int
	Response []bool
	Name     []string
	QType    []int
	RCode    []int
	Time     *float64 // s since the query
}

// lookups is the DNS of one 5-tuple: counts by what they are of.
type lookups struct {
	queries, responses int64
	rcodes, names      map[string]int64
	times              []float64 // µs; of the sensor the shortest and the longest
	timed              int64
	repeats            bool
	others             int64 // queries for names that found no place in a list
	unread             int64 // messages that the sensor counts as malformed or cut
	copies             int64
}

func (l *lookups) count(m *map[string]int64, key string, n int64) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[key] += n
}

// TestDNS compares, for every 5-tuple, how many queries and responses there
// were, their results, and the names and types asked for.
func TestDNS(t *testing.T) {
	var h hearing
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		ours := lookupsIn(t, replay(t, path).connections)
		theirs := map[pair]*lookups{}
		if len(tr.DNS) > 0 {
			theirs = tr.lookups(t, path, ours)
		}
		for p, l := range theirs {
			o := ours[p]
			if o == nil {
				o = &lookups{}
			}
			if o.unread > 0 {
				// Of what contradicts itself or is cut, tshark tells as far as it
				// comes. To the sensor it may be a query all the same.
				all := l.queries + l.responses
				h.hear(t, "tshark DNS", name, p.String(), []statement{{field: "dns messages, some malformed",
					theirs: positive(all), ours: positive(max(o.queries+o.responses, min(all, o.queries+o.responses+o.unread)))}})
				continue
			}
			statements := []statement{
				{field: "dns queries", theirs: positive(l.queries), ours: positive(o.queries)},
				{field: "dns responses", theirs: positive(l.responses), ours: positive(o.responses)},
				{field: "dns results", theirs: apart(l.rcodes, o.rcodes), ours: apart(o.rcodes, l.rcodes)},
			}
			if o.timed > 0 && !o.repeats { // of a query that was repeated, tshark takes the first
				statements = append(statements, statement{field: "dns times", theirs: extremes(l.timed, l.times), ours: extremes(o.timed, o.times)})
			}
			if o.others > 0 { // a record holds 64 names
				var beyond int64
				for k, n := range l.names {
					if _, ok := o.names[k]; !ok {
						beyond += n
						delete(l.names, k)
					}
				}
				statements = append(statements, statement{field: "dns other names", theirs: positive(beyond), ours: positive(o.others)})
			}
			statements = append(statements, statement{field: "dns names", theirs: apart(l.names, o.names), ours: apart(o.names, l.names)})
			h.hear(t, "tshark DNS", name, p.String(), statements)
		}
		for p, o := range ours {
			if theirs[p] == nil && o.queries+o.responses > 0 {
				h.hear(t, "tshark DNS", name, p.String(), []statement{{field: "dns queries", ours: fmt.Sprint(o.queries), missing: true}})
			}
		}
	})
	h.end(t, "tshark DNS")
}

// extremes gives the number of times, the shortest and the longest.
func extremes(n int64, times []float64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d: %.0f to %.0f µs", n, slices.Min(times), slices.Max(times))
}

func positive(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// apart gives what differs from the other counts, or how many there are when
// nothing does.
func apart(m, other map[string]int64) string {
	var parts []string
	var all int64
	equal := true
	for k, n := range m {
		all += n
		if other[k] != n {
			parts = append(parts, fmt.Sprintf("%s %d", k, n))
		}
	}
	for k, n := range other {
		equal = equal && m[k] == n
	}
	if len(parts) == 0 && equal {
		return positive(all)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// lookupsIn sums the DNS of all records of a 5-tuple.
func lookupsIn(t *testing.T, cs []connection) map[pair]*lookups {
	all := map[pair]*lookups{}
	for _, c := range cs {
		var r struct {
			DNS *struct {
				Queries, Responses, Unsolicited, Announced, Duplicates, Late, Malformed, Cut int64
				RCodes                                                                       map[string]int64
				Names                                                                        []struct {
					Name, Type string
					Queries    int64
				}
				Repeats  int64
				Others   struct{ Queries int64 } `json:"other_names"`
				Response struct {
					Count int64
					Min   float64 `json:"min_us"`
					Max   float64 `json:"max_us"`
				}
			}
			Capture struct {
				Copies int64 `json:"mirror_duplicates"`
			}
		}
		if err := json.Unmarshal(c.line, &r); err != nil {
			t.Fatal(err)
		}
		d := r.DNS
		if d == nil {
			continue
		}
		p := pairOf(c.Client, c.Server)
		l := all[p]
		if l == nil {
			l = &lookups{}
			all[p] = l
		}
		l.queries += d.Queries
		l.responses += d.Responses + d.Unsolicited + d.Announced + d.Duplicates
		l.unread += d.Malformed + d.Cut
		l.copies += r.Capture.Copies
		l.others += d.Others.Queries
		l.repeats = l.repeats || d.Repeats > 0
		if d.Response.Count > 0 {
			l.timed += d.Response.Count
			l.times = append(l.times, d.Response.Min, d.Response.Max)
		}
		for k, n := range d.RCodes {
			l.count(&l.rcodes, k, n)
		}
		for _, n := range d.Names {
			if n.Queries > 0 {
				l.count(&l.names, readable(n.Name)+" "+n.Type, n.Queries)
			}
		}
	}
	return all
}

// lookups sums the ground truth's messages by 5-tuple. It has the number of the
// frame alone, so the frames are decoded for their ends.
func (tr *truth) lookups(t *testing.T, path string, ours map[pair]*lookups) map[pair]*lookups {
	frames := map[int]dnsFrame{}
	for _, f := range tr.DNS {
		frames[f.Frame] = f
	}
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
	all := map[pair]*lookups{}
	last := map[string]int64{} // times of messages, for copies
	for number := 1; ; number++ {
		var f capture.Frame
		if err := src.Next(&f); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		var k packet.Packet
		skip := d.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, &k)
		m, ok := frames[number]
		if !ok || skip != packet.OK || k.Proto != packet.ProtoTCP && k.Proto != packet.ProtoUDP {
			continue // quoted in an ICMP error, or a fragment
		}
		from := endpoint{k.Src.IP(), int(k.SrcPort)}
		p := pairOf(from, endpoint{k.Dst.IP(), int(k.DstPort)})
		if o := ours[p]; o != nil && o.copies > 0 {
			key := fmt.Sprint(from, p, m.ID, m.Response, m.Name, m.QType, m.RCode)
			before, again := last[key]
			last[key] = f.Time
			if again && f.Time-before < 100e6 {
				continue
			}
		}
		l := all[p]
		if l == nil {
			l = &lookups{}
			all[p] = l
		}
		l.add(m)
	}
}

func (l *lookups) add(m dnsFrame) {
	aligned := len(m.Name) == len(m.ID) && len(m.QType) == len(m.ID)
	for i, response := range m.Response {
		if response {
			l.responses++
			continue
		}
		l.queries++
		if len(m.ID) == 1 && len(m.Name) > 0 && len(m.QType) > 0 || aligned { // the first question of each
			l.count(&l.names, theirName(m.Name[i])+" "+typeName(m.QType[i]), 1)
		}
	}
	for _, r := range m.RCode {
		l.count(&l.rcodes, rcodeNames[r], 1)
	}
	if m.Time != nil {
		l.timed++
		l.times = append(l.times, *m.Time*1e6)
	}
}

var rcodeNames = [16]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
	"DSOTYPENI", "RCODE12", "RCODE13", "RCODE14", "RCODE15"}

func typeName(n int) string {
	if name, ok := map[int]string{1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 41: "OPT", 43: "DS", 48: "DNSKEY",
		65: "HTTPS", 255: "ANY"}[n]; ok {
		return name
	}
	return fmt.Sprintf("TYPE%d", n)
}

var (
	ourEscape   = regexp.MustCompile(`\\[0-9]{3}`)
	theirEscape = regexp.MustCompile(`\\[0-7]{3}|\\[abfnrtv]|\x{fffd}|[\x00-\x1f]`)
)

// readable has "?" for what does not print: tshark writes some of it in octal,
// and some of it not at all.
func readable(name string) string {
	return strings.NewReplacer(`\\`, `\`, `\.`, `.`).Replace(ourEscape.ReplaceAllString(name, "?"))
}

func theirName(name string) string {
	if name == "<Root>" {
		return "."
	}
	return strings.ToLower(theirEscape.ReplaceAllString(name, "?"))
}
