package table

import (
	"bytes"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/internal/golden"
	"mirrorscope/packet"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tcp"
)

func render(t *testing.T, c Config, records []flow.Record, capture flow.Capture) string {
	t.Helper()
	var out bytes.Buffer
	if c.Edge.Conversations == 0 {
		view := c.Edge.View
		c.Edge = edge.DefaultConfig()
		c.Edge.View = view
	}
	w := New(&out, sinktest.Sample(), c)
	if err := w.Write(sinktest.Lend(records...)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(&capture); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// shop is a busy and mostly healthy capture: one web server, one that refuses,
// a database that is slow to connect to, DNS and a ping.
func shop() []flow.Record {
	var records []flow.Record
	add := func(n int, change func(i int, r *flow.Record)) {
		for i := range n {
			r := sinktest.TCP()
			r.Network = 0
			r.Start += int64(i) * 1e8
			r.End = r.Start + 5e7
			for side := range r.TCP.Sides {
				r.TCP.Sides[side] = tcp.Side{Retransmits: tcp.Retransmits{State: tcp.Measured}}
			}
			r.Ends[flow.Client].Port += uint16(i)
			change(i, &r)
			records = append(records, r)
		}
	}
	add(1500, func(i int, r *flow.Record) {
		r.Handshake.RTT = 300_000 + int64(i)*1000
		if i%100 == 0 {
			r.Outcome = flow.Reset
			r.TCP.Sides[flow.Server].Retransmits.Packets, r.TCP.Sides[flow.Server].Retransmits.Bytes = 1, 1448
		}
		r.Distributions = sinktest.Distributions()
	})
	add(3, func(i int, r *flow.Record) {
		r.Ends[flow.Server] = flow.Endpoint{Addr: sinktest.Addr("2001:db8::10"), Port: 5432, HasPort: true}
		r.Ends[flow.Client].Addr = sinktest.Addr("2001:db8::7")
		r.Handshake.RTT = 1_003_000_000 + int64(i)*1e6
		r.Sent[flow.Server].Bytes = 80 << 20
		r.Outcome = flow.Established
		r.Sent[flow.Server].PayloadBytes = 78 << 20
		r.TCP.Sides[flow.Client].Retransmits.State = tcp.Unknown
		r.TCP.Sides[flow.Server].Retransmits = tcp.Retransmits{State: tcp.Bounded, Packets: 2000 + int64(i), Bytes: 2_000_000}
		r.Distributions = sinktest.Distributions()
		r.Distributions.RTT[flow.Client] = nil
		r.TCP.Response.State = tcp.Bounded
	})
	add(12, func(i int, r *flow.Record) {
		r.Ends[flow.Server].Port = 8080
		r.Sent = [2]flow.Volume{{Packets: 1, Bytes: 60}, {Packets: 1, Bytes: 40}}
		r.Outcome = [...]flow.Outcome{flow.Refused, flow.Timeout, flow.HalfOpenTimeout, flow.Unreachable, flow.AbortedTimeout, flow.OutcomeNone}[i%6]
		r.Handshake = tcp.Handshake{State: tcp.Unknown, RTT: tcp.Absent}
	})
	add(40, func(i int, r *flow.Record) {
		r.Proto, r.Ends[flow.Server].Port = packet.ProtoUDP, 53
		r.Outcome, r.HasHandshake, r.Handshake, r.HasTCP = flow.OutcomeNone, false, tcp.Handshake{}, false
	})
	add(1, func(_ int, r *flow.Record) {
		r.Proto, r.Ends[0].HasPort, r.Ends[1].HasPort = packet.ProtoICMP, false, false
		r.Outcome, r.HasHandshake, r.Handshake, r.HasTCP = flow.OutcomeNone, false, tcp.Handshake{}, false
	})
	return records
}

func healthy() flow.Capture {
	return flow.Capture{
		Packets: 40_000, Bytes: 300 << 20, Decoded: 40_000, Connections: 1556, First: sinktest.Start, Last: sinktest.Start + 150e9,
		Points: []flow.PointCapture{{ID: sinktest.BarePoint, Packets: 40_000, Bytes: 299 << 20, BothDirections: true}},
	}
}

func TestGolden(t *testing.T) {
	everything := append(sinktest.Records(), shop()...)
	crowded := healthy()
	crowded.Uncompared = 1562
	for name, test := range map[string]struct {
		config  Config
		records []flow.Record
		capture flow.Capture
	}{
		"healthy":     {Config{Input: []string{"shop.pcap"}}, shop(), healthy()},
		"limit":       {Config{Limit: 2}, shop(), healthy()},
		"errors":      {Config{Sort: edge.ByErrors, Colour: true}, shop(), healthy()},
		"handshake":   {Config{Sort: edge.ByHandshake}, shop(), healthy()},
		"response-80": {Config{Sort: edge.ByResponse, Width: 80}, shop(), healthy()},
		"ill":         {Config{}, everything, sinktest.Capture()},
		"crowded":     {Config{Edge: edge.Config{Conversations: 3}}, everything, crowded},
		"narrow":      {Config{Width: 80, Input: []string{"a.pcap", "b\n.pcap", "captures/", "d.pcap"}}, everything, sinktest.Capture()},
		"wide-120":    {Config{Width: 120, Sort: edge.ByErrorRate}, append(spoken(), shop()...), healthy()},
		"tls":         {Config{Edge: edge.Config{View: edge.ViewTLS}, CertificateDays: 30}, spoken(), healthy()},
		"tls-120":     {Config{Width: 120, Limit: 1, Sort: edge.ByErrors, Edge: edge.Config{View: edge.ViewTLS}, CertificateDays: 30}, spoken(), healthy()},
		"tls-none":    {Config{Edge: edge.Config{View: edge.ViewTLS}}, shop(), healthy()},
		"dns":         {Config{Edge: edge.Config{View: edge.ViewDNS}}, spoken(), healthy()},
		"dns-none":    {Config{Edge: edge.Config{View: edge.ViewDNS}}, shop(), healthy()},
		"http":        {Config{Sort: edge.ByRequests, Edge: edge.Config{View: edge.ViewHTTP}}, spoken(), healthy()},
		"http-80":     {Config{Width: 80, Sort: edge.ByResponse, Edge: edge.Config{View: edge.ViewHTTP}}, spoken(), healthy()},
		"http-none":   {Config{Edge: edge.Config{View: edge.ViewHTTP}}, shop(), healthy()},
		"hung":        {Config{Width: 100}, hung(), cut()},
		"hung-http":   {Config{Edge: edge.Config{View: edge.ViewHTTP}, Sort: edge.ByRequests}, hung(), cut()},
		"cut-http":    {Config{Edge: edge.Config{View: edge.ViewHTTP}}, shop(), cut()},
		"cut-tls":     {Config{Edge: edge.Config{View: edge.ViewTLS}}, cutTLS(), cut()},
		"cut-hello":   {Config{Edge: edge.Config{View: edge.ViewTLS}}, spoken()[2:3], cut()},
		"no-packets":  {Config{}, nil, flow.Capture{}},
		"all-skipped": {Config{}, nil, flow.Capture{Packets: 9, Bytes: 540, Skipped: [packet.NumSkips]uint64{packet.NotIP: 2, packet.Filtered: 7}}},
	} {
		t.Run(name, func(t *testing.T) {
			golden.Equal(t, filepath.Join("testdata", name+".txt"), []byte(render(t, test.config, test.records, test.capture)))
		})
	}
}

// cut is a capture with a short snap length, at two points.
func cut() flow.Capture {
	c := healthy()
	c.Truncated = 12_000
	c.Points = append(c.Points, flow.PointCapture{ID: sinktest.OtherPoint, Packets: 9})
	return c
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text  string
		cells int
		want  []string
	}{
		{"a verdict in some words", 0, []string{"a verdict in some words"}},
		{"a verdict in some words", 12, []string{"a verdict in", "some words"}},
		{"a verdict in some words", 5, []string{"a", "verdict", "in", "some", "words"}},
		{"", 5, []string{""}},
	} {
		if got := wrap(test.text, test.cells); !slices.Equal(got, test.want) {
			t.Errorf("%q in %d cells: %q, want %q", test.text, test.cells, got, test.want)
		}
	}
}

func TestNothingIsWiderThanTheTerminal(t *testing.T) {
	records := slices.Concat(sinktest.Records(), shop(), spoken())
	for view := range edge.Views() {
		for limit := 10; limit < 250; limit += 3 {
			for line := range strings.Lines(render(t, Config{Width: limit, Edge: edge.Config{View: edge.View(view)}, CertificateDays: 30}, records, sinktest.Capture())) {
				if w := width.StringWidth(strings.TrimSuffix(line, "\n")); w > limit {
					t.Errorf("%d cells in a terminal of %d: %s", w, limit, line)
				}
			}
		}
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9]*m")

func TestColourChangesNoText(t *testing.T) {
	plain := render(t, Config{}, shop(), sinktest.Capture())
	painted := render(t, Config{Colour: true}, shop(), sinktest.Capture())
	if plain == painted {
		t.Error("no colour")
	}
	if got := escapes.ReplaceAllString(painted, ""); got != plain {
		t.Errorf("without colour:\n%s\nwant:\n%s", got, plain)
	}
}

func TestHostileNamesStayText(t *testing.T) {
	out := ""
	for view := range edge.Views() {
		out += render(t, Config{Edge: edge.Config{View: edge.View(view)}, CertificateDays: 10_000}, append(sinktest.Records(), spoken()...), sinktest.Capture())
	}
	if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u202e') }); i >= 0 {
		t.Errorf("control character in %q", out[max(0, i-20):i+10])
	}
}

// The table is the same whatever the order of equal conversations.
func TestOrder(t *testing.T) {
	for _, name := range edge.Orders() {
		order, err := edge.ParseOrder(name)
		if err != nil {
			t.Fatal(err)
		}
		forth := append(shop(), spoken()...)
		back := slices.Clone(forth)
		slices.Reverse(back)
		if a, b := render(t, Config{Sort: order}, forth, healthy()), render(t, Config{Sort: order}, back, healthy()); a != b {
			t.Errorf("%s: the order of records shows:\n%s\n%s", name, a, b)
		}
	}
	if _, err := edge.ParseOrder("size"); err == nil || !strings.Contains(err.Error(), "bytes, packets, connections") {
		t.Errorf("a wrong order gives %v", err)
	}
}

func TestRepeats(t *testing.T) {
	for _, test := range []struct {
		client, server edge.Repeats
		want           string
	}{
		{edge.Repeats{}, edge.Repeats{}, "-"},
		{edge.Repeats{Connections: 1}, edge.Repeats{}, "0"},
		{edge.Repeats{Connections: 1, Packets: 2, Bytes: 1, Payload: 1000}, edge.Repeats{}, "2"},
		{edge.Repeats{Connections: 2, Packets: 1000, Bytes: 10, Payload: 1000}, edge.Repeats{Connections: 1, Packets: 234, Bytes: 15, Payload: 1000}, "1,234 (1.2 %)"},
		{edge.Repeats{Connections: 1, Packets: 3}, edge.Repeats{Connections: 1, Packets: 1, AtLeast: true}, "≥ 4"},
	} {
		if got := repeats(&edge.Conversation{Repeats: [2]edge.Repeats{test.client, test.server}}); got != test.want {
			t.Errorf("%+v, %+v: %q, want %q", test.client, test.server, got, test.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	var times edge.Times
	check := func(want string) {
		t.Helper()
		if got := roundTrip(&edge.Conversation{Times: &times}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := roundTrip(&edge.Conversation{}); got != "-" {
		t.Errorf("without times: %q", got)
	}
	times.RTT[0].Add(2e6)
	check("-") // half a path is none
	times.Delayed[1].Add(40e6)
	check("≤ 42.0 ms")
	times.RTT[1].Add(1e6)
	check("3.00 ms")
}

func TestCutMiddle(t *testing.T) {
	for _, test := range []struct {
		in    string
		cells int
		want  string
	}{
		{"10.1.0.7 → 10.1.0.9:443 tcp", 27, "10.1.0.7 → 10.1.0.9:443 tcp"},
		{"10.1.0.7 → 10.1.0.9:443 tcp", 24, "10.1.0.7…0.1.0.9:443 tcp"},
		{"10.1.0.7 → 10.1.0.9:443 tcp", 1, "…"},
	} {
		got := cutMiddle(test.in, test.cells)
		if width.StringWidth(got) > test.cells || got != test.want {
			t.Errorf("%q in %d cells: %q, want %q", test.in, test.cells, got, test.want)
		}
	}
}

// Every outcome but "not known" has a word.
func TestOutcomeWords(t *testing.T) {
	for o := flow.OutcomeNone + 1; o < flow.NumOutcomes; o++ {
		c := edge.Conversation{Key: edge.Key{Proto: packet.ProtoTCP}}
		c.Outcomes[o] = 1
		if outcomes(&c) == "-" {
			t.Errorf("%v has no word", o)
		}
	}
}
