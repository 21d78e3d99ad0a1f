package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// day is the beginning of a step of any length that divides an hour.
const day = 1_800_000_000_000_000_000 - 1_800_000_000_000_000_000%3_600_000_000_000

type fakeNames struct{}

func (fakeNames) NetworkName(id packet.NetworkID) string { return fmt.Sprintf("net%d", id) }

// scene drives a Table with records made by hand, in steps of ten seconds.
type scene struct {
	t     *testing.T
	table *Table
}

func newScene(t *testing.T, change func(*Config)) *scene {
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return &scene{t, New(c, fakeNames{}, protocol)}
}

// at is a time so many seconds after the beginning.
func at(s float64) int64 { return day + int64(s*1e9) }

func end(addr string) flow.Endpoint {
	a := netip.MustParseAddrPort(addr)
	return flow.Endpoint{Addr: packet.AddrFrom(a.Addr()), Port: a.Port(), HasPort: true}
}

// interval is the record of a TCP connection in a step.
func interval(step int, id uint64, client, server string, sent [2]flow.Volume) *flow.Record {
	r := &flow.Record{
		Kind: flow.Interval, ID: id, Point: 1, Network: 1, Proto: packet.ProtoTCP, Version: 4, Ends: [2]flow.Endpoint{end(client), end(server)},
		Start: at(float64(10*step) + 1), End: at(float64(10*step) + 9), IntervalStart: at(float64(10 * step)), IntervalEnd: at(float64(10*step) + 10),
		Direction: flow.DirSYN, Sent: sent, HasTCP: true,
	}
	r.Release = r.IntervalEnd
	for side := range r.TCP.Sides {
		r.TCP.Sides[side].Recorded = sent[side].PayloadBytes
		r.TCP.Sides[side].Retransmits.State = tcp.Measured
	}
	return r
}

// over is the record of a whole connection, released at a time.
func over(release float64, id uint64, client, server string, o flow.Outcome) *flow.Record {
	return &flow.Record{
		Kind: flow.Connection, ID: id, Point: 1, Network: 1, Proto: packet.ProtoTCP, Ends: [2]flow.Endpoint{end(client), end(server)},
		Start: at(release - 3), End: at(release - 2), Release: at(release), Outcome: o,
	}
}

func volumes(client, server int64) [2]flow.Volume {
	return [2]flow.Volume{{Packets: client / 100, Bytes: client, PayloadBytes: client / 2}, {Packets: server / 100, Bytes: server, PayloadBytes: server / 2}}
}

func (s *scene) add(records ...*flow.Record) *scene {
	for _, r := range records {
		s.table.Add(r)
	}
	return s
}

// row gives that of a server.
func (s *scene) row(server string) *Row {
	s.t.Helper()
	t := s.table.Top(0)
	for i := range t.Rows {
		r := &t.Rows[i]
		if r.Server.Port != nil && fmt.Sprintf("%s:%d", r.Server.IP, *r.Server.Port) == server {
			return r
		}
	}
	return nil
}

const (
	cli  = "10.0.0.7:51234"
	cli2 = "10.0.0.7:51235"
	srv  = "10.0.0.9:443"
)

// A conversation's steps slide through the window, and it leaves with the last.
func TestWindow(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Window = 30 * time.Second })
	for step, want := range []struct{ bytes, covered int64 }{{300, 10}, {600, 20}, {900, 30}, {900, 30}, {900, 30}} {
		s.add(interval(step, 1, cli, srv, volumes(100, 200)))
		r := s.row(srv)
		if r == nil || r.Bytes() != want.bytes || r.Connections != 1 {
			t.Fatalf("step %d: %+v, want %d octets of one connection", step, r, want.bytes)
		}
		if per := r.Throughput.Client + r.Throughput.Server; per != float64(want.bytes)/float64(want.covered) {
			t.Errorf("step %d: %v octets a second, want %v", step, per, float64(want.bytes)/float64(want.covered))
		}
		if top := s.table.Top(0); time.Duration(top.End-top.Start) != time.Duration(want.covered)*time.Second || int64(top.End) != at(float64(10*step+10)) {
			t.Errorf("step %d: from %d to %d", step, top.Start, top.End)
		}
	}
	for step, want := range []int64{600, 300, 0} {
		s.table.Health(at(float64(60+10*step)), &flow.Capture{})
		r := s.row(srv)
		if want == 0 && r != nil || want > 0 && (r == nil || r.Bytes() != want) {
			t.Errorf("%d steps without a packet: %+v, want %d octets", step+1, r, want)
		}
	}
	if s.table.conversations.n != 0 || s.table.samples != 0 {
		t.Errorf("%d conversations and %d samples stay", s.table.conversations.n, s.table.samples)
	}
	s.add(over(100, 1, cli, srv, flow.Closed))
	s.table.Health(at(110), &flow.Capture{})
	if r := s.row(srv); r == nil || r.Outcomes["closed"] != 1 || r.Connections != 0 {
		t.Errorf("a connection that was idle and is over: %+v", r)
	}
	if s.table.connections.n != 0 {
		t.Errorf("%d connections are still followed", s.table.connections.n)
	}
}

// Connections count once in the window, however many steps they are in, and a new
// generation of the same ports is another one.
func TestConnectionsCountOnce(t *testing.T) {
	s := newScene(t, nil)
	midstream := interval(0, 3, "10.0.0.8:1000", srv, volumes(100, 100))
	midstream.Start -= 100e9
	s.add(interval(0, 1, cli, srv, volumes(100, 100)), interval(0, 2, cli2, srv, volumes(100, 100)), midstream)
	old := interval(1, 1, cli, srv, volumes(100, 100))
	old.Start = at(1)
	s.add(over(18, 2, cli2, srv, flow.Closed), old, interval(1, 4, cli2, srv, volumes(100, 100)))
	again := interval(1, 5, cli2, srv, volumes(100, 100))
	again.Start += 5e9
	s.add(again)
	s.table.Health(at(20), &flow.Capture{})
	r := s.row(srv)
	if r.Connections != 4 || r.Opened != 4 || r.Outcomes["closed"] != 1 {
		t.Errorf("%d connections, %d opened, %v; want 4, 4, one closed", r.Connections, r.Opened, r.Outcomes)
	}
	if top := s.table.Top(0); top.Conversations != 2 || top.Volume.Bytes != 1200 {
		t.Errorf("%d conversations with %d octets, want 2 with 1200", top.Conversations, top.Volume.Bytes)
	}
	if b := s.table.known(keyOf(1, packet.ProtoTCP, &[2]flow.Endpoint{end("10.0.0.8:1000"), end(srv)})); b == nil {
		t.Error("the one that was joined on its way is not there")
	} else if c, more := s.table.total(b); c.Connections != 1 || more.opened != 0 {
		t.Errorf("joined on its way: %d connections, %d opened, want 1, 0", c.Connections, more.opened)
	}
}

// What comes after a change of roles counts for the right sides: the records
// correct what was told before.
func TestRolesChange(t *testing.T) {
	s := newScene(t, nil)
	first := interval(0, 1, srv, cli, volumes(200, 100)) // the server was taken for the client
	first.Direction = flow.DirOrder
	s.add(first)
	// Whole: client 100+30, server 200+50. Told: client 200, server 100.
	second := interval(1, 1, cli, srv, volumes(0, 0))
	second.Start = first.Start
	second.Sent = [2]flow.Volume{{Packets: -1, Bytes: 130 - 200}, {Packets: 3, Bytes: 250 - 100}}
	s.add(second)
	third := interval(2, 1, cli, srv, volumes(10, 20))
	third.Start = first.Start
	s.add(third)
	r := s.row(srv)
	if r.ClientSent.Bytes != 40 || r.ServerSent.Bytes != 70 {
		t.Errorf("behind the change: %+v %+v, want 40 and 70 octets", r.ClientSent, r.ServerSent)
	}
	if r = s.row(cli); r.ClientSent.Bytes != 200 || r.ServerSent.Bytes != 100 || r.Connections != 0 {
		t.Errorf("before the change: %+v", r)
	}

	// Of one that was told in part before it was followed, nothing is made up.
	s = newScene(t, nil)
	first.Start -= 1000e9
	second.Start, third.Start = first.Start, first.Start
	s.add(first, second, third)
	if r = s.row(srv); r.ClientSent.Bytes != 10 || r.ServerSent.Bytes != 20 || s.table.Counts().Unfollowed != 1 {
		t.Errorf("a change that cannot be followed: %+v %+v, %+v", r.ClientSent, r.ServerSent, s.table.Counts())
	}
}

// Two points that record one connection count it once: in each direction the one
// that recorded more.
func TestTwoPoints(t *testing.T) {
	s := newScene(t, nil)
	for step := range 3 {
		near := interval(step, 1, cli, srv, volumes(1000, 800))
		far := interval(step, 2, cli, srv, volumes(900, 1000))
		near.Start, far.Start, far.Point = at(1), at(1), 2
		near.TCP.Sides[flow.Client].Retransmits.Packets = 5
		far.TCP.Sides[flow.Client].Retransmits.Packets = 3
		far.HTTP, near.HTTP = httpInfo(10), httpInfo(10)
		s.add(near, far)
	}
	for _, id := range []uint64{1, 2} {
		r := over(29, id, cli, srv, flow.Reset)
		r.Joined = true
		s.add(r)
	}
	s.table.AddPath(&path.Connection{
		Network: 1, Proto: packet.ProtoTCP, Ends: [2]flow.Endpoint{end(cli), end(srv)}, End: at(27), Outcome: flow.Reset,
		Points: []path.Point{{ID: 1, Flow: 1}, {ID: 2, Flow: 2}},
	})
	s.table.Health(at(40), &flow.Capture{})
	r := s.row(srv)
	if r.ClientSent.Bytes != 3000 || r.ServerSent.Bytes != 3000 || r.Connections != 1 || r.Opened != 1 {
		t.Errorf("%+v %+v, %d connections, %d opened; want 3000 octets each of one", r.ClientSent, r.ServerSent, r.Connections, r.Opened)
	}
	if r.Retransmits.Client.Packets != 15 || r.Requests.Requests != 30 || r.Outcomes["reset"] != 1 {
		t.Errorf("%d repeats, %d requests, %v; want 15, 30, one reset", r.Retransmits.Client.Packets, r.Requests.Requests, r.Outcomes)
	}
}

// What two points record of a direction is what one of them recorded in the whole,
// though now one and now the other is ahead.
func TestTwoPointsTakeTurns(t *testing.T) {
	s := newScene(t, nil)
	counts := [][2]int64{{1000, 0}, {0, 600}, {0, 600}, {200, 400}, {1000, 600}}
	most := int64(0)
	var sum [2]int64
	for step, c := range counts {
		for point, n := range c {
			sum[point] += n
			if n == 0 {
				continue
			}
			r := interval(step, uint64(point+1), cli, srv, volumes(n, 0))
			r.Point, r.Start = packet.PointID(point+1), at(1)
			if point == 1 {
				r.Start = at(11)
			}
			s.add(r)
		}
		most = max(sum[0], sum[1])
		if r := s.row(srv); r.ClientSent.Bytes != most {
			t.Errorf("step %d: %d octets, want %d", step, r.ClientSent.Bytes, most)
		}
	}
}

// The most that is kept is bounded, and what went is counted.
func TestBounds(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Conversations, c.Connections, c.Samples = 10, 50, 100 })
	octets := int64(0)
	for i := range 1000 {
		r := interval(i/500, uint64(i+1), cli, fmt.Sprintf("10.1.%d.%d:%d", i/250, 1+i%250, 1000+i), volumes(int64(100*(i%97)+100), 0))
		h := new(histogram.Histogram)
		h.Add(int64(i+1) * 1e6)
		if i%2 == 0 {
			r.Distributions = &tcp.Distributions{Think: h}
		} else {
			r.Samples.Add(tcp.TimedThink, h.Max())
			r.Samples.Add(tcp.TimedThink, h.Max())
		}
		octets += r.Sent[0].Bytes
		s.add(r)
		if n := s.table.conversations.n; n > 20 {
			t.Fatalf("%d conversations", n)
		}
		if n := s.table.connections.n; n > 50 {
			t.Fatalf("%d connections", n)
		}
		if s.table.samples > 101 {
			t.Fatalf("%d samples", s.table.samples)
		}
	}
	s.table.Health(at(20), &flow.Capture{})
	top := s.table.Top(0)
	c := s.table.Counts()
	if top.Conversations > 10 || top.Other == nil || top.Volume.Bytes != octets || c.Folded < 900 || c.Untracked == 0 {
		t.Errorf("%d conversations, %d of %d octets, other %+v, %+v", top.Conversations, top.Volume.Bytes, octets, top.Other, c)
	}
	all := top.Other.Connections
	for i := range top.Rows {
		all += top.Rows[i].Connections
	}
	if all != 1000 {
		t.Errorf("%d connections, want 1000", all)
	}
	s.table.Health(at(200), &flow.Capture{})
	if top := s.table.Top(0); top.Other != nil || top.Volume.Bytes != 0 || s.table.samples != 0 {
		t.Errorf("something stays: %+v, %d samples", top, s.table.samples)
	}
}

// Few samples count as the distributions of them do, in whichever role they were taken, and
// where there is no room for all.
func TestFew(t *testing.T) {
	for _, most := range []int{DefaultConfig().Samples, 300, 1} {
		t.Run(strconv.Itoa(most), func(t *testing.T) { testFew(t, most) })
	}
}

func testFew(t *testing.T, most int) {
	r := rand.New(rand.NewPCG(51, 52))
	var scenes [2]*scene
	for i := range scenes {
		scenes[i] = newScene(t, func(c *Config) { c.Samples = most })
	}
	for id := range uint64(400) {
		client, server := fmt.Sprintf("10.0.0.7:%d", 20000+id), fmt.Sprintf("10.0.0.9:%d", 440+id%7)
		for step := range 1 + r.IntN(3) {
			for point := range 1 + r.IntN(2) {
				few := interval(step, 2*id+uint64(point), client, server, volumes(100, 200))
				few.Start, few.Point = at(1), packet.PointID(point+1)
				if r.IntN(3) == 0 { // the server is taken for the client
					few.Ends[0], few.Ends[1] = few.Ends[1], few.Ends[0]
					few.Direction = flow.DirOrder
				}
				few.TCP.Response.State = tcp.State(1 + r.IntN(3))
				var d tcp.Distributions
				all := [tcp.NumTimed]**histogram.Histogram{&d.RTT[0], &d.Delayed[0], &d.RTT[1], &d.Delayed[1], &d.Think}
				for range r.IntN(tcp.MaxSamples + 1) {
					what, ns := r.IntN(len(all)), int64(r.IntN(1<<(1+r.IntN(31))))
					few.Samples.Add(tcp.Timed(what), ns)
					if *all[what] == nil {
						*all[what] = new(histogram.Histogram)
					}
					(*all[what]).Add(ns)
				}
				whole := *few
				if whole.Samples = (tcp.Samples{}); few.Samples.Len() > 0 {
					whole.Distributions = &d
				}
				scenes[0].add(few)
				scenes[1].add(&whole)
			}
		}
	}
	var texts [2]string
	for i, s := range scenes {
		s.table.Health(at(40), &flow.Capture{})
		text, err := json.Marshal(s.table.Top(0))
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	if texts[0] != texts[1] || most > 300 && !strings.Contains(texts[0], "response") {
		t.Errorf("of samples\n%s\nof distributions\n%s", texts[0], texts[1])
	}
	few, whole := scenes[0].table.Counts(), scenes[1].table.Counts()
	if few != whole || few.Unsampled > 0 != (most < DefaultConfig().Samples) {
		t.Errorf("of samples %+v, of distributions %+v", few, whole)
	}
}

// Losses make a capture lossy as long as they are in the window.
func TestHealth(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Window = 20 * time.Second })
	var c flow.Capture
	for step, want := range []struct {
		lost, shed uint64
		state      string
		recent     uint64
		perSecond  float64
	}{
		{0, 0, StateOK, 0, -1}, {0, 0, StateOK, 0, 100}, {7, 0, StateLossy, 7, 100}, {0, 5, StateLossy, 7, 100}, {0, 0, StateReduced, 0, 100},
		{0, 0, StateOK, 0, 100},
	} {
		c.Packets += 1000
		c.Bytes += 50_000
		c.PayloadShed += want.shed
		c.Losses = []flow.Loss{{Place: "ring", Frames: lossesOf(&c) + want.lost}, {Place: "device"}}
		s.table.Health(at(float64(10*step+10)), &c)
		got := s.table.Top(0).Capture
		if got.State != want.state || got.Recent["ring"] != want.recent || got.Losses["ring"] != lossesOf(&c) {
			t.Errorf("step %d: %+v, want %+v", step, got, want)
		}
		if _, ok := got.Losses["device"]; !ok {
			t.Errorf("step %d: a place without a loss is not told: %v", step, got.Losses)
		}
		if want.perSecond < 0 != (got.PacketsPerSec == nil) || got.PacketsPerSec != nil && (*got.PacketsPerSec != want.perSecond || *got.BytesPerSec != 5000) {
			t.Errorf("step %d: %v packets a second, want %v", step, got.PacketsPerSec, want.perSecond)
		}
	}
}

func lossesOf(c *flow.Capture) uint64 {
	if len(c.Losses) == 0 {
		return 0
	}
	return c.Losses[0].Frames
}

// What is not known is absent, and not 0.
func TestUnknown(t *testing.T) {
	s := newScene(t, nil)
	r := interval(0, 1, cli, srv, volumes(100, 100))
	r.TCP.Sides[flow.Server].Retransmits.State = tcp.Unknown
	s.add(r)
	row := s.row(srv)
	if row.Retransmits.Client == nil || row.Retransmits.Server != nil || row.RTT != nil || row.Response != nil || row.Handshake != nil || row.Requests != nil || row.TLS != nil {
		t.Errorf("%+v", row)
	}
	text, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"retransmits":{"client":{"state":"measured","packets":0,"bytes":0}}`, `"start":"2027-01-15T08:00:01.000000000Z"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	for _, part := range []string{"rtt", "response", "requests", "tls", "handshake"} {
		if strings.Contains(string(text), `"`+part+`"`) {
			t.Errorf("%s in %s", part, text)
		}
	}
}

// A QUIC handshake is told by the record of the whole connection.
func TestQUIC(t *testing.T) {
	s := newScene(t, nil)
	r := over(5, 1, cli, srv, flow.OutcomeNone)
	r.Proto = packet.ProtoUDP
	r.QUIC = new(session.QUIC)
	r.QUIC.Outcome, r.QUIC.Handshake.Total = tlsmeta.Completed, 7e6
	s.add(r)
	s.table.Health(at(10), &flow.Capture{})
	row := s.row(srv)
	if row == nil || row.TLS == nil || row.TLS.QUIC != 1 || row.TLS.Handshake == nil || row.TLS.Handshake.Max != 7e6 {
		t.Errorf("%+v", row)
	}
}

// The rows that are told are the first of every order.
func TestSelected(t *testing.T) {
	s := newScene(t, nil)
	for i := range 200 {
		r := interval(0, uint64(i+1), cli, fmt.Sprintf("10.1.0.%d:80", i+1), volumes(int64(1000*(200-i)), 0))
		r.TCP.Sides[0].Retransmits.Packets = int64(i % 7)
		if i == 150 {
			r.HTTP = httpInfo(3)
			r.HTTP.Status[5] = 2
		}
		s.add(r)
	}
	s.add(over(19, 180, cli, "10.1.0.180:80", flow.Refused))
	s.table.Health(at(20), &flow.Capture{})
	top, whole := s.table.Top(5), s.table.Top(0)
	if top.Conversations != 200 || len(top.Rows) > 40 || len(whole.Rows) != 200 || top.Volume != whole.Volume {
		t.Fatalf("%d of %d rows", len(top.Rows), top.Conversations)
	}
	for _, o := range Orders() {
		if o == edge.ByRTT || o == edge.ByHandshake || o == edge.ByTLS || o == edge.ByResponse {
			continue // of none of them
		}
		got, want := top.Sorted(o, 5), whole.Sorted(o, 5)
		for i := range want {
			if valueOf(o)(want[i]) > 0 && got[i].Server.IP != want[i].Server.IP {
				t.Errorf("%v: row %d is %s, want %s", o, i, got[i].Server.IP, want[i].Server.IP)
			}
		}
	}
	if r := top.Sorted(edge.ByErrorRate, 2)[1]; r.Server.IP != "10.1.0.151" || *r.Requests.ErrorRatio != Ratio(2./3) {
		t.Errorf("error rate: %+v", r)
	}
	if r := top.Sorted(edge.ByErrors, 1)[0]; r.Server.IP != "10.1.0.180" || r.Failures() != 1 {
		t.Errorf("errors: %+v", r)
	}
}

// A Top goes through JSON without a change.
func TestJSON(t *testing.T) {
	s := newScene(t, nil)
	r := interval(0, 1, cli, srv, volumes(100, 200))
	h := new(histogram.Histogram)
	h.Add(1234567)
	r.Distributions = &tcp.Distributions{RTT: [2]*histogram.Histogram{h, h}, Think: h}
	r.TCP.Response = tcp.Response{State: tcp.Measured, Turns: 1, Measured: 1}
	s.add(r, over(5, 1, cli, srv, flow.Closed))
	s.table.Health(at(10), &flow.Capture{Packets: 3, Losses: []flow.Loss{{Place: "ring", Frames: 1}}})
	s.table.Health(at(20), &flow.Capture{Packets: 5, Losses: []flow.Loss{{Place: "ring", Frames: 1}}})
	var first, second bytes.Buffer
	if err := s.table.Top(0).Encode(&first); err != nil {
		t.Fatal(err)
	}
	var back Top
	if err := json.Unmarshal(first.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if err := back.Encode(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("%s\n%s", &first, &second)
	}
	if x := back.Rows[0]; x.RTT == nil || *x.RTT.P50 != 2469134 || x.RTT.Client.Max != 1234567 || x.Response.P50 != 1234567 {
		t.Errorf("%+v", x)
	}
	if strings.Count(first.String(), "\n") != 1 {
		t.Errorf("more than one line: %s", &first)
	}
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Interval = 500 * time.Millisecond }, "interval: 500ms"},
		{func(c *Config) { c.Window = 15 * time.Second }, "window: 15s"},
		{func(c *Config) { c.Window = 2 * time.Hour }, "window: 2h0m0s"},
		{func(c *Config) { c.Conversations, c.Samples = 0, -1 }, "conversations: 0, need at least 1\nsamples: -1"},
	} {
		c := DefaultConfig()
		tc.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}

func httpInfo(requests int64) *httpmeta.Info {
	return &httpmeta.Info{Requests: requests, Responses: requests}
}
