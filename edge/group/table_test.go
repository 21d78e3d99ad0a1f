package group

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/edge"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/tcp"
)

func shop(t testing.TB) pcapfile.Config {
	return pcapfile.Config{Paths: []string{filepath.Join(needs.Repository(t), "testdata", "pcaps", "shop.pcap")}}
}

// text is all that a window says.
func text(w *Window) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %v %d\n", w.Start, w.End, w.Interval, w.Folded)
	for _, r := range w.All() {
		fmt.Fprintf(&b, "%q %d %d %d %d %d %v %v", r.Values, r.Start, r.End, r.Connections, r.Ended, r.Established, r.Unknown, r.sums)
		for i, h := range r.times {
			if h != nil {
				fmt.Fprintf(&b, " %d: %d %d %d %d %v", i, h.Count(), h.Sum(), h.Min(), h.Max(), h.Buckets())
			}
		}
		c := r.Conversation()
		v := c.Verdict()
		fmt.Fprintf(&b, " %v %v %v %v %d %d %s %v\n", c.Outcomes, c.Ends, c.Waiting, c.Phases, c.Requests(), c.RequestErrors(), v.Sentence(), v.Evidence)
	}
	return b.String()
}

func texts(all []*Window) string {
	var b strings.Builder
	for _, w := range all {
		b.WriteString(text(w))
	}
	return b.String()
}

// One thread and eight give the same, octet for octet.
func TestShards(t *testing.T) {
	for _, interval := range []time.Duration{0, 2 * time.Second} {
		c := config(interval, "client.service", "server.service", "observation_point")
		c.Window, c.Rows = interval, 7
		one := texts(group(t, run(t, shop(t), interval, 1), c))
		eight := texts(group(t, run(t, shop(t), interval, 8), c))
		if one != eight || len(one) < 1000 {
			t.Errorf("intervals of %v: eight threads give %d octets, one gives %d", interval, len(eight), len(one))
		}
	}
}

// part is the share of an input that one of several tables gets: all sights of a
// connection stay together.
func parts(x *input, n int, r *rand.Rand) []*input {
	of := map[edge.Tuple]int{}
	path := map[uint64]int{}
	all := make([]*input, n)
	for i := range all {
		all[i] = &input{names: x.names}
	}
	for _, e := range x.events {
		if e.p != nil {
			i := path[e.p.Last]
			all[i].events = append(all[i].events, e)
			continue
		}
		k := edge.TupleOf(e.r)
		i, ok := of[k]
		if !ok {
			i = r.IntN(n)
			of[k] = i
		}
		path[e.r.ID] = i
		all[i].events = append(all[i].events, e)
	}
	return all
}

// Windows of partial tables add up to those of one table, whatever the parts and
// their order.
func TestMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	whole := run(t, shop(t), 0, 2)
	intervals := run(t, shop(t), 5*time.Second, 2)
	for round := range 20 {
		n := 2 + r.IntN(6)
		for _, keys := range groupings[:4] {
			one := group(t, whole, config(0, keys...))[0]
			var merged *Window
			some := parts(whole, n, r)
			for _, i := range r.Perm(n) {
				w := group(t, some[i], config(0, keys...))[0]
				if merged == nil {
					merged = w
				} else {
					merged.Merge(w)
				}
			}
			if a, b := text(merged), text(one); a != b {
				t.Fatalf("round %d, %d parts by %v: %s", round, n, keys, difference(a, b))
			}

			c := config(5*time.Second, keys...)
			c.Window = 5 * time.Second
			want := map[int64]*Window{}
			for _, w := range group(t, intervals, c) {
				want[w.Start] = w
			}
			got := map[int64]*Window{}
			some = parts(intervals, n, r)
			for _, i := range r.Perm(n) {
				for _, w := range group(t, some[i], c) {
					if got[w.Start] == nil {
						got[w.Start] = w
					} else {
						got[w.Start].Merge(w)
					}
				}
			}
			// A part may know later than all that an interval is over: then how its
			// connections went counts in another one.
			sum := func(all map[int64]*Window) *Window {
				var s *Window
				for _, w := range all {
					if s == nil {
						s = &Window{}
					}
					c := *w
					c.Rows = slices.Clone(w.Rows)
					s.Merge(&c)
				}
				return s
			}
			if d := sum2(sum(got)).differs(sum2(sum(want)), ""); d != nil {
				t.Fatalf("round %d, %d parts of intervals by %v: %v", round, n, keys, d)
			}
		}
	}
}

func sum2(w *Window) account { return sum(total([]*Window{w})) }

func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d:\n%s\nwant\n%s", i, x[i], y[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(x), len(y))
}

// However few rows are told apart, nothing is lost: the rest is in other, and
// counted.
func TestBudget(t *testing.T) {
	for _, interval := range []time.Duration{0, 5 * time.Second} {
		x := run(t, shop(t), interval, 2)
		keys := []string{"client.ip", "client.port", "server.ip", "server.port"}
		c := config(interval, keys...)
		c.Window = interval
		all := group(t, x, c)
		want := sum(total(all))
		for _, rows := range []int{1, 2, 5, 20, 60} {
			c.Rows = rows
			var windows []*Window
			table := New(c, tagsOf(x.names), protocolName, func(w *Window) { windows = append(windows, w) })
			feed(table, x)
			table.Close()
			folded, kept := uint64(0), uint64(0)
			for _, w := range windows {
				if len(w.Rows) > rows {
					t.Errorf("%d rows, at most %d are allowed", len(w.Rows), rows)
				}
				if (w.Other != nil) != (w.Folded > 0) {
					t.Errorf("other is %v, and %d rows are in it", w.Other, w.Folded)
				}
				folded, kept = folded+uint64(w.Folded), kept+uint64(len(w.Rows))
			}
			if n := table.Counts(); n.Folded != folded || n.Rows != kept || folded == 0 && rows < 10 {
				t.Errorf("%d rows: counts %+v, folded %d, kept %d", rows, n, folded, kept)
			}
			if d := sum(total(windows)).differs(want, ""); d != nil {
				t.Errorf("%d rows in intervals of %v: %v", rows, interval, d)
			}
			// What is largest stays.
			if interval == 0 {
				largest := slices.MaxFunc(all[0].Rows, func(a, b *Row) int { return int(a.Bytes() - b.Bytes()) })
				if !slices.ContainsFunc(windows[0].Rows, func(r *Row) bool { return slices.Equal(r.Values, largest.Values) && r.Bytes() == largest.Bytes() }) {
					t.Errorf("%d rows: the largest, %q, is not among them", rows, largest.Values)
				}
			}
		}
	}
}

// A table that may follow few connections, or keep few distributions, still has all
// sums, and tells.
func TestBounds(t *testing.T) {
	x := run(t, pcapfile.Config{Paths: []string{filepath.Join(needs.Repository(t), "testdata", "pcaps", "deploy.pcap")}}, 5*time.Second, 2)
	c := config(5*time.Second, "client.ip", "server.port")
	c.Window = 5 * time.Second
	want := sum(total(group(t, x, c)))
	c.Connections, c.Samples = 3, 10
	var windows []*Window
	table := New(c, tagsOf(x.names), protocolName, func(w *Window) { windows = append(windows, w) })
	feed(table, x)
	table.Close()
	n := table.Counts()
	if n.Untracked == 0 || n.Unsampled == 0 {
		t.Errorf("%+v: nothing found no room", n)
	}
	got := sum(total(windows))
	if len(table.flows)+len(table.held)+len(table.gone) > 0 {
		t.Errorf("%d flows, %d records, %d that ended are left", len(table.flows), len(table.held), len(table.gone))
	}
	for _, k := range []string{"ended", "outcome closed", "outcome established"} {
		if got[k] != want[k] {
			t.Errorf("%s %d, want %d", k, got[k], want[k])
		}
	}
	// One connection is seen at two points, and what is not followed counts at each.
	if got["begun"] < want["begun"] || got["begun"] > want["begun"]+1 {
		t.Errorf("begun %d, want %d or one more", got["begun"], want["begun"])
	}
	if got["client bytes"] < want["client bytes"] || got["client bytes"] > 2*want["client bytes"] {
		t.Errorf("client bytes %d, want %d or some more", got["client bytes"], want["client bytes"])
	}
}

// twoTaps is a capture that two points recorded, each with gaps of its own.
func TestSeveralPoints(t *testing.T) {
	dir := t.TempDir()
	taps := map[string]string{}
	for tap, name := range []string{"near", "far"} {
		file := filepath.Join(dir, name+".pcap")
		taps[file] = name
		if err := os.WriteFile(file, recordedAt(t, tap), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := pcapfile.Config{Points: taps}
	whole := run(t, in, 0, 2)
	for _, keys := range groupings {
		w := group(t, whole, config(0, keys...))
		same(t, "whole", total(w), reference(t, whole, keys...), false)
		if n := sum(total(w)); n["ended"] != 20 || n["begun"] != 20 || n["server repeats"] == 0 || n["server missed"]+n["client missed"] == 0 {
			t.Errorf("%v: %d connections ended, %d began, %d repeats", keys, n["ended"], n["begun"], n["server repeats"])
		}
	}
	for _, length := range []time.Duration{time.Second, 3 * time.Second, 30 * time.Second} {
		intervals := run(t, in, length, 2)
		for _, keys := range groupings {
			c := config(length, keys...)
			c.Window = length
			windows := group(t, intervals, c)
			same(t, length.String(), total(windows), reference(t, intervals, keys...), true)
			for _, w := range windows {
				for _, r := range w.Rows {
					if r.Connections > 20 {
						t.Errorf("%d connections in an interval", r.Connections)
					}
				}
			}
		}
	}
}

func TestParseKey(t *testing.T) {
	for _, tc := range []struct {
		text string
		want Key
		err  string
	}{
		{"client.service", Key{flow.Client, true, "service"}, ""},
		{"server.app.kubernetes.io/name", Key{flow.Server, true, "app.kubernetes.io/name"}, ""},
		{"client.network", Key{flow.Client, true, "network"}, ""},
		{"network", Key{Tag: "network"}, ""},
		{"sni", Key{Tag: "sni"}, ""},
		{"", Key{}, "a key is empty"},
		{"service", Key{}, `"service" is no key; write client.TAG or server.TAG`},
		{"client.", Key{}, "is no key"},
		{"client.a b", Key{}, "no spaces"},
		{"client.\x00", Key{}, "control characters"},
		{"server.\xff", Key{}, "control characters"},
		{"client." + strings.Repeat("x", 200), Key{}, "207 octets"},
	} {
		got, err := ParseKey(tc.text)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("ParseKey(%q) = %v, %v; want %v, %q", tc.text, got, err, tc.want, tc.err)
		}
	}
	for text, want := range map[string]string{
		"client.service,client.service":    `"client.service" comes twice`,
		"client.service,,network":          "a key is empty",
		"a,b":                              `"b" is no key`,
		strings.Repeat("network,", 9) + "": "10 keys, at most 8 are allowed",
	} {
		if _, err := ParseGroupBy(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseGroupBy(%q): %v, want %q", text, err, want)
		}
	}
}

func FuzzParseGroupBy(f *testing.F) {
	for _, s := range []string{"client.service,server.service", "network, sni", "", ",", "client.,server.", "observation_point,protocol,ip_version,tls_version", "client.\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := ParseGroupBy(s)
		if err != nil {
			if keys != nil || err.Error() == "" {
				t.Fatalf("%q: %v and %v", s, keys, err)
			}
			return
		}
		if len(keys) == 0 || len(keys) > MaxKeys {
			t.Fatalf("%q: %d keys", s, len(keys))
		}
		var words []string
		for _, k := range keys {
			words = append(words, k.String())
		}
		again, err := ParseGroupBy(strings.Join(words, ","))
		if err != nil || !reflect.DeepEqual(again, keys) {
			t.Fatalf("%q: %v, and again %v, %v", s, keys, again, err)
		}
	})
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{GroupBy: []string{"x"}, Rows: 0, Connections: 1, Samples: -1, Interval: time.Millisecond}
	err := bad.Validate()
	for _, want := range []string{`group_by: "x" is no key`, "rows: 0", "samples: -1", "interval: 1ms"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	bad = DefaultConfig()
	bad.Interval, bad.Window = 10*time.Second, 15*time.Second
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "window: 15s") {
		t.Error(err)
	}
}

// Values are bounded, and what is not valid text ends between characters.
func TestCut(t *testing.T) {
	for _, s := range []string{"", "a", strings.Repeat("é", 200), strings.Repeat("x", maxValue), strings.Repeat("x", maxValue+1), strings.Repeat("\xff", 300)} {
		if got := cut(s); len(got) > maxValue || len(s) <= maxValue && got != s {
			t.Errorf("%d octets became %d", len(s), len(got))
		}
	}
	for _, values := range [][]string{{"a", "", "b"}, {"", ""}, {strings.Repeat("x", 255)}} {
		var id []byte
		for _, v := range values {
			id = append(append(id, byte(len(v))), v...)
		}
		if got := valuesOf(string(id)); !slices.Equal(got, values) {
			t.Errorf("%q became %q", values, got)
		}
	}
}

// Classes of repeats are all there.
func TestClasses(t *testing.T) {
	var r Row
	for c := range tcp.NumClasses {
		r.sums.side(flow.Server)[byClass+SideCount(c)] = int64(c) + 1
	}
	for c := range tcp.NumClasses {
		if r.Class(flow.Server, c) != int64(c)+1 || r.Class(flow.Client, c) != 0 {
			t.Errorf("class %v: %d", c, r.Class(flow.Server, c))
		}
	}
}

// retagged gives hosts another service from a time on.
type retagged struct {
	plainTags
	at int64
}

func (p retagged) Ends(_ packet.NetworkID, _ uint8, _ *[2]flow.Endpoint, _ string, at int64) (tags [2]*enrich.Tags) {
	name := "before"
	if at >= p.at {
		name = "after"
	}
	one := enrich.NewTags([]enrich.Tag{{Key: enrich.KeyService, Value: name}})
	return [2]*enrich.Tags{one, one}
}

// When a tag changes, rows change their name from that moment, and what was before
// stays where it is: also of connections that go on.
func TestRetagged(t *testing.T) {
	x := run(t, pcapfile.Config{Paths: []string{filepath.Join(needs.Repository(t), "testdata", "pcaps", "deploy.pcap")}}, 10*time.Second, 2)
	const at = 1_772_532_900_000_000_000 // the deploy
	c := config(10*time.Second, "server.service")
	c.Window = 10 * time.Second
	var windows []*Window
	table := New(c, retagged{tagsOf(x.names), at}, protocolName, func(w *Window) { windows = append(windows, w) })
	feed(table, x)
	table.Close()
	for _, w := range windows {
		want := "before"
		if w.Start >= at {
			want = "after"
		}
		for _, r := range w.Rows {
			// A connection that began and was over before an interval told of it has the
			// tags of its beginning.
			if r.Values[0] != want && (r.Bytes() != 0 || w.Start != at) {
				t.Errorf("%v at %v: %d octets", r.Values, time.Unix(0, w.Start).UTC(), r.Bytes())
			}
			if r.Bytes() < 0 {
				t.Errorf("%v at %v: %d octets are taken back", r.Values, time.Unix(0, w.Start).UTC(), r.Bytes())
			}
		}
	}
	if d := sum(total(windows)).differs(sum(reference(t, x, "protocol")), ""); d != nil {
		t.Errorf("%v", d)
	}
}

// Records in any order, of flows that come again, paths of flows that never came and
// times that go back are no harm: windows come in order, each once, and nothing is held for
// good.
func TestAnyOrder(t *testing.T) {
	names := new(packet.Names)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		c := config(time.Second, "client.ip", "server.port")
		c.Window, c.Rows, c.Connections = time.Second*time.Duration(1+r.IntN(3)), 1+r.IntN(20), 1+r.IntN(30)
		last := int64(-1)
		table := New(c, tagsOf(names), protocolName, func(w *Window) {
			if w.Start <= last {
				t.Fatalf("seed %d: a window of %d behind that of %d", seed, w.Start, last)
			}
			last = w.Start
			for _, row := range w.All() {
				v := row.Conversation().Verdict()
				if v.Sentence() == "" && v.Who != edge.Nobody {
					t.Fatalf("seed %d: a verdict without words", seed)
				}
			}
		})
		for range 400 {
			var x flow.Record
			x.ID, x.Proto, x.Point = uint64(1+r.IntN(40)), []uint8{packet.ProtoTCP, packet.ProtoUDP}[r.IntN(2)], packet.PointID(1+r.IntN(3))
			for side := range x.Ends {
				x.Ends[side] = flow.Endpoint{Addr: packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(3))})), Port: uint16(r.IntN(3)), HasPort: true}
				x.Sent[side] = flow.Volume{Packets: r.Int64N(9) - 2, Bytes: r.Int64N(900) - 200}
				x.TCP.Sides[side].Recorded = r.Int64N(900) - 100
				x.TCP.Sides[side].Retransmits.State = tcp.State(r.IntN(4))
			}
			x.HasTCP = x.Proto == packet.ProtoTCP
			x.Direction, x.Start = flow.DirectionSource(r.IntN(int(flow.DirSYN)+1)), r.Int64N(40e9)
			x.End = x.Start + r.Int64N(5e9) - 1e9
			x.Established, x.Outcome, x.EndReason = r.IntN(2) == 0, flow.Outcome(r.IntN(int(flow.NumOutcomes))), flow.EndReason(r.IntN(6))
			switch r.IntN(8) {
			case 0:
				x.Joined = r.IntN(3) == 0
				x.Release = []int64{x.End + r.Int64N(9e9), flow.EndOfInput}[r.IntN(2)]
				table.Add(&x)
			case 1:
				p := path.Connection{Proto: x.Proto, Ends: x.Ends, Start: x.Start, End: x.End, Outcome: x.Outcome, RTT: tcp.Absent}
				for range 1 + r.IntN(3) {
					p.Points = append(p.Points, path.Point{ID: packet.PointID(1 + r.IntN(3)), Flow: uint64(1 + r.IntN(50))})
				}
				p.Primary = [2]int{r.IntN(len(p.Points)), r.IntN(len(p.Points))}
				table.AddPath(&p)
			case 2:
				table.Advance(r.Int64N(45e9))
			default:
				x.Kind, x.IntervalStart = flow.Interval, r.Int64N(40)*1e9
				x.IntervalEnd = x.IntervalStart + 1e9
				x.Release = x.IntervalEnd
				table.Add(&x)
			}
		}
		table.Close()
		if len(table.flows)+len(table.gone) > 0 {
			t.Fatalf("seed %d: %d flows are left", seed, len(table.flows))
		}
	}
}
