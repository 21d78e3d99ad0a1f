package group

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"

	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// services is how many there are in the generated day; each talks to each.
const services = 71

// dayStart is when it begins, ns.
const dayStart = 1_772_582_400_000_000_000 // 2026-03-04T00:00:00Z

// dayTags names the addresses of the day: 10.0.SERVICE.HOST.
type dayTags struct{}

func (dayTags) Ends(packet.NetworkID, uint8, *[2]flow.Endpoint, string, int64) (none [2]*enrich.Tags) {
	return none
}

func (dayTags) Value(r *enrich.Record, side flow.Side, key string) string {
	a := r.Ends[side].Addr.IP().As4()
	switch key {
	case enrich.KeyService:
		return fmt.Sprintf("service-%02d", a[2])
	case enrich.KeyZone:
		return string(rune('a' + a[3]%3))
	}
	return ""
}

// day is the records of a day, and beside them what they are of.
type day struct {
	whole     *input // connections alone
	intervals *input // … and their intervals
	interval  time.Duration
	exact     map[string]*samples // by the services of an edge
	truth     map[string]account
}

// samples are those of an edge, exactly.
type samples [NumTimes][]int64

// shape is how the durations of an edge are spread.
type shape struct{ median, spread, second float64 }

func (s shape) draw(r *rand.Rand) int64 {
	ns := s.median * math.Exp(s.spread*r.NormFloat64())
	if s.second > 0 && r.IntN(10) == 0 {
		ns *= s.second
	}
	return int64(max(ns, 8000))
}

// makeDay makes the records of so many connections.
func makeDay(seed uint64, connections int) *day {
	r := rand.New(rand.NewPCG(seed, 5))
	d := &day{interval: 5 * time.Minute, exact: map[string]*samples{}, truth: map[string]account{}}
	shapes := make([][NumTimes]shape, services*services)
	for i := range shapes {
		for t := range shapes[i] {
			shapes[i][t] = shape{median: math.Exp(8 + 9*r.Float64()), spread: 0.05 + r.Float64(), second: []float64{0, 0, 0, 8, 60}[r.IntN(5)]}
		}
	}
	var whole, parts []*flow.Record
	for n := range connections {
		e := n % (services * services)
		c := dayConnection(r, e, n, &shapes[e], d)
		whole = append(whole, c.whole)
		parts = append(parts, c.parts...)
	}
	inTurn := func(a, b *flow.Record) int {
		return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(whole, inTurn)
	all := slices.Concat(whole, parts)
	slices.SortFunc(all, inTurn)
	d.whole, d.intervals = &input{}, &input{}
	for _, r := range whole {
		d.whole.events = append(d.whole.events, event{r: r})
	}
	for _, r := range all {
		d.intervals.events = append(d.intervals.events, event{r: r})
	}
	return d
}

type dayRecords struct {
	whole *flow.Record
	parts []*flow.Record
}

func dayConnection(r *rand.Rand, e, n int, shapes *[NumTimes]shape, d *day) dayRecords {
	client, server := e/services, e%services
	key := fmt.Sprintf("service-%02d|service-%02d", client, server)
	exact := d.exact[key]
	if exact == nil {
		exact = new(samples)
		d.exact[key], d.truth[key] = exact, account{}
	}
	start := dayStart + r.Int64N(24*3600e9-3600e9)
	length := int64(d.interval)
	steps := 1 + r.IntN(3)*r.IntN(3)
	c := flow.Record{
		ID: r.Uint64(), Start: start, Proto: packet.ProtoTCP, Version: 4, HasTCP: true, HasHandshake: true,
		Direction: flow.DirSYN, DirectionState: tcp.Measured, Point: 1, EndReason: flow.EndOfFlow,
		Ends: [2]flow.Endpoint{
			{Addr: packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, byte(client), byte(1 + r.IntN(9))})), Port: uint16(1024 + n%60000), HasPort: true},
			{Addr: packet.AddrFrom(netip.AddrFrom4([4]byte{10, 0, byte(server), byte(1 + r.IntN(9))})), Port: 8080, HasPort: true},
		},
		Outcome: []flow.Outcome{flow.Closed, flow.Closed, flow.Closed, flow.Reset, flow.AbortedTimeout}[r.IntN(5)],
	}
	whole := c
	whole.Distributions = &tcp.Distributions{Think: new(histogram.Histogram)}
	var parts []*flow.Record
	first := start / length
	for k := range steps {
		p := c
		p.Kind, p.EndReason, p.Outcome = flow.Interval, flow.EndNone, flow.OutcomeNone
		p.IntervalStart = (first + int64(k)) * length
		p.IntervalEnd = p.IntervalStart + length
		p.Release = p.IntervalEnd
		p.End = min(max(start, p.IntervalStart)+r.Int64N(60e9), p.IntervalEnd-1)
		p.Distributions = &tcp.Distributions{Think: new(histogram.Histogram)}
		p.Established = k < steps-1
		if k == 0 {
			half := shapes[Handshake].draw(r)
			p.Handshake = tcp.Handshake{State: tcp.Measured, Client: half, Server: 2 * half, RTT: 3 * half, SYNs: 1, SYNACKs: 1}
			exact[Handshake] = append(exact[Handshake], 3*half)
			exact[HandshakeClient] = append(exact[HandshakeClient], half)
			exact[HandshakeServer] = append(exact[HandshakeServer], 2*half)
			total := shapes[TLSTotal].draw(r)
			h := session.Handshake{State: tcp.Measured, Total: total, Perceived: total + half, Network: total / 2, Server: total / 4, Client: total - total/2 - total/4}
			p.TLS = &session.TLS{Info: tlsmeta.Info{Outcome: tlsmeta.Completed, Version: 0x0304, SNI: "x.example"}, Handshake: h}
			for t, ns := range map[Times]int64{TLSTotal: h.Total, TLSNetwork: h.Network, TLSServer: h.Server, TLSClient: h.Client, TLSPerceived: h.Perceived} {
				exact[t] = append(exact[t], ns)
			}
		} else {
			p.Handshake, p.HasHandshake = tcp.Handshake{RTT: tcp.Absent, Client: tcp.Absent, Server: tcp.Absent}, false
		}
		for side := range p.Sent {
			x := &p.TCP.Sides[side]
			sent := 1 + r.Int64N(50)
			p.Sent[side] = flow.Volume{Packets: sent, Bytes: sent * 900, PayloadBytes: sent * 850}
			p.CE[side] = r.Int64N(2)
			x.Recorded, x.Missed = sent*850, r.Int64N(3)*r.Int64N(2)
			m := &x.Retransmits
			m.State, m.Packets, m.LostBefore = tcp.Measured, r.Int64N(3), 0
			m.LostAfter, m.Segments, m.Bytes = m.Packets, m.Packets, m.Packets*850
			m.ByClass[tcp.ClassFast] = m.Packets
			x.ZeroWindow.Time = r.Int64N(2) * 1e6
			x.OutOfOrder.Packets = r.Int64N(2)
			p.Distributions.RTT[side], p.Distributions.Delayed[side] = new(histogram.Histogram), new(histogram.Histogram)
			for range r.IntN(6) {
				ns := shapes[RTTClient+Times(side)].draw(r)
				exact[RTTClient+Times(side)] = append(exact[RTTClient+Times(side)], ns)
				p.Distributions.RTT[side].Add(ns)
				x.RTT.Clean++
			}
			for range r.IntN(2) {
				ns := shapes[RTTClientDelayed+Times(side)].draw(r)
				exact[RTTClientDelayed+Times(side)] = append(exact[RTTClientDelayed+Times(side)], ns)
				p.Distributions.Delayed[side].Add(ns)
				x.RTT.Maybe++
			}
		}
		p.TCP.Response.State = tcp.Measured
		for range r.IntN(5) {
			ns := shapes[Response].draw(r)
			exact[Response] = append(exact[Response], ns)
			p.Distributions.Think.Add(ns)
			p.TCP.Response.Turns++
			p.TCP.Response.Measured++
		}
		p.MirrorDuplicates = r.Int64N(2)
		addTo(&whole, &p)
		q := p
		parts = append(parts, &q)
	}
	whole.End = parts[len(parts)-1].End
	whole.Release = whole.End + r.Int64N(30e9) + 1
	a := d.truth[key]
	for _, side := range [...]flow.Side{flow.Client, flow.Server} {
		ofSide(a, &whole, side)
	}
	a["begun"]++
	a["ended"]++
	a["handshakes"]++
	a["outcome "+whole.Outcome.String()]++
	a["copies"] += whole.MirrorDuplicates
	return dayRecords{&whole, parts}
}

// addTo adds an interval to the whole life.
func addTo(w, p *flow.Record) {
	for side := range w.Sent {
		v, o := &w.Sent[side], &p.Sent[side]
		v.Packets, v.Bytes, v.PayloadBytes = v.Packets+o.Packets, v.Bytes+o.Bytes, v.PayloadBytes+o.PayloadBytes
		w.CE[side] += p.CE[side]
		x, y := &w.TCP.Sides[side], &p.TCP.Sides[side]
		x.Recorded, x.Missed = x.Recorded+y.Recorded, x.Missed+y.Missed
		m, n := &x.Retransmits, &y.Retransmits
		m.State = n.State
		m.Packets, m.Segments, m.Bytes, m.LostAfter = m.Packets+n.Packets, m.Segments+n.Segments, m.Bytes+n.Bytes, m.LostAfter+n.LostAfter
		m.ByClass[tcp.ClassFast] += n.ByClass[tcp.ClassFast]
		x.ZeroWindow.Time += y.ZeroWindow.Time
		x.OutOfOrder.Packets += y.OutOfOrder.Packets
		x.RTT.Clean, x.RTT.Maybe = x.RTT.Clean+y.RTT.Clean, x.RTT.Maybe+y.RTT.Maybe
		for _, h := range [...][2]**histogram.Histogram{{&w.Distributions.RTT[side], &p.Distributions.RTT[side]}, {&w.Distributions.Delayed[side], &p.Distributions.Delayed[side]}} {
			if *h[0] == nil {
				*h[0] = new(histogram.Histogram)
			}
			(*h[0]).Merge(*h[1])
		}
	}
	w.Distributions.Think.Merge(p.Distributions.Think)
	w.TCP.Response.State = p.TCP.Response.State
	w.TCP.Response.Turns += p.TCP.Response.Turns
	w.TCP.Response.Measured += p.TCP.Response.Measured
	w.MirrorDuplicates += p.MirrorDuplicates
	if p.TLS != nil {
		w.TLS, w.Handshake = p.TLS, p.Handshake
	}
}

// windowsOf groups a day.
func windowsOf(t testing.TB, x *input, c Config) (windows []*Window) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	table := New(c, dayTags{}, protocolName, func(w *Window) { windows = append(windows, w) })
	feed(table, x)
	table.Close()
	if n := table.Counts(); n.Untracked+n.Unsampled+n.Late+n.Folded > 0 {
		t.Errorf("%+v", n)
	}
	return windows
}

// A day of 5,041 edges: sums are those of the records, exactly, and percentiles within
// 1.1 % of the exact ones, of each edge and of coarser groups, in one window and in
// windows that are merged. DDSketch, fed with the same samples, agrees.
func TestDay(t *testing.T) {
	connections := 60_000
	if testing.Short() {
		connections = 15_000
	}
	d := makeDay(1, connections)
	samples := config(0, "client.service", "server.service")
	samples.Samples = 64 << 20
	whole := windowsOf(t, d.whole, samples)[0]
	if len(whole.Rows) != services*services {
		t.Fatalf("%d edges", len(whole.Rows))
	}
	same(t, "day", total([]*Window{whole}), d.truth, false)
	values := checkTimes(t, whole, d.exact, func(r *Row) string { return strings.Join(r.Values, "|") })

	hourly := samples
	hourly.Interval, hourly.Window = d.interval, time.Hour
	windows := windowsOf(t, d.intervals, hourly)
	if len(windows) < 24 {
		t.Errorf("%d hours", len(windows))
	}
	same(t, "hours", total(windows), d.truth, false)
	merged := &Window{}
	for _, w := range windows {
		merged.Merge(w)
	}
	checkTimes(t, merged, d.exact, func(r *Row) string { return strings.Join(r.Values, "|") })

	// By the client's service alone, by zones, and everything.
	for _, g := range []struct {
		keys []string
		key  func(edge string) string // nil: zones are not of an edge
	}{
		{[]string{"client.service"}, func(e string) string { client, _, _ := strings.Cut(e, "|"); return client }},
		{[]string{"protocol"}, func(string) string { return "tcp" }},
		{[]string{"client.az", "server.az"}, nil},
	} {
		c := samples
		c.GroupBy = g.keys
		w := windowsOf(t, d.whole, c)[0]
		if diff := sum(total([]*Window{w})).differs(sum(d.truth), ""); diff != nil {
			t.Errorf("by %v: %v", g.keys, diff)
		}
		if g.key == nil {
			continue
		}
		exact := merge2(d.exact, g.key)
		checkTimes(t, w, exact, func(r *Row) string { return strings.Join(r.Values, "|") })
		sketches(t, w, exact)
	}
	t.Logf("%d connections, %d records of intervals, %d percentiles of %d edges", connections, len(d.intervals.events)-connections, values, len(whole.Rows))
}

func merge2(exact map[string]*samples, key func(string) string) map[string]*samples {
	all := map[string]*samples{}
	for e, s := range exact {
		k := key(e)
		if all[k] == nil {
			all[k] = new(samples)
		}
		for i := range s {
			all[k][i] = append(all[k][i], s[i]...)
		}
	}
	return all
}

var quantilesOf = []float64{0, 0.1, 0.5, 0.9, 0.95, 0.99, 1}

// checkTimes compares percentiles with exact ones.
func checkTimes(t *testing.T, w *Window, exact map[string]*samples, key func(*Row) string) (n int) {
	t.Helper()
	for _, r := range w.Rows {
		all := exact[key(r)]
		for what := range NumTimes {
			h, want := r.Times(what), slices.Sorted(slices.Values(all[what]))
			if h == nil {
				if len(want) > 0 {
					t.Fatalf("%q: %d samples of %d are lost", r.Values, len(want), what)
				}
				continue
			}
			if h.Count() != uint64(len(want)) {
				t.Fatalf("%q: %d samples of %d, want %d", r.Values, h.Count(), what, len(want))
			}
			for _, q := range quantilesOf {
				rank := max(1, int(math.Ceil(q*float64(len(want)))))
				got, ok := h.Quantile(q)
				if x := float64(want[rank-1]); !ok || math.Abs(got-x) > 0.011*x {
					t.Fatalf("%q: quantile %v of %d is %v, want %v: %.2f %% off", r.Values, q, what, got, x, 100*math.Abs(got-x)/x)
				}
				n++
			}
		}
	}
	return n
}

// sketches compares percentiles with those of DDSketch at the same rank. Each of the
// two may be 1.1 % off.
func sketches(t *testing.T, w *Window, exact map[string]*samples) {
	t.Helper()
	for _, r := range w.Rows {
		all := exact[strings.Join(r.Values, "|")]
		for what := range NumTimes {
			h := r.Times(what)
			if h == nil || h.Count() < 2 {
				continue
			}
			s, err := ddsketch.NewDefaultDDSketch(0.011)
			if err != nil {
				t.Fatal(err)
			}
			for _, ns := range all[what] {
				if err := s.Add(float64(ns)); err != nil {
					t.Fatal(err)
				}
			}
			n := float64(h.Count())
			for _, q := range quantilesOf {
				rank := max(1, math.Ceil(q*n))
				want, err := s.GetValueAtQuantile((rank - 1) / (n - 1))
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := h.Quantile(q); math.Abs(got-want) > 0.0225*want {
					t.Fatalf("%q: quantile %v of %d is %v, of DDSketch %v", r.Values, q, what, got, want)
				}
			}
		}
	}
}

// BenchmarkAdd tells what grouping costs for each record.
func BenchmarkAdd(b *testing.B) {
	d := makeDay(2, 20_000)
	for _, bench := range []struct {
		name string
		x    *input
		c    Config
	}{
		{"connections/5041 rows", d.whole, config(0, "client.service", "server.service")},
		{"connections/9 rows", d.whole, config(0, "client.az", "server.az")},
		{"intervals/5041 rows", d.intervals, config(d.interval, "client.service", "server.service")},
		{"intervals/9 rows", d.intervals, config(d.interval, "client.az", "server.az")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := bench.c
			c.Window, c.Samples = c.Interval, 64<<20
			b.ReportAllocs()
			for b.Loop() {
				table := New(c, dayTags{}, protocolName, func(*Window) {})
				feed(table, bench.x)
				table.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(bench.x.events)), "ns/record")
		})
	}
}
