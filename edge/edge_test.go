package edge

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/tcp"
)

const second = int64(1e9)

// record is a TCP connection of 10.0.0.1 to 10.0.0.2:443 at point 1.
func record(clientPort uint16, start, end int64) flow.Record {
	return flow.Record{
		Start: start, End: end, Point: 1, Proto: packet.ProtoTCP, Version: 4,
		Ends:      [2]flow.Endpoint{end4("10.0.0.1", clientPort), end4("10.0.0.2", 443)},
		Direction: flow.DirSYN, DirectionState: tcp.Measured, Outcome: flow.Closed, EndReason: flow.EndOfFlow,
		Sent:         [2]flow.Volume{{Packets: 5, Bytes: 500, PayloadBytes: 300}, {Packets: 6, Bytes: 6000, PayloadBytes: 5700}},
		HasHandshake: true, Handshake: tcp.Handshake{State: tcp.Measured, RTT: 2e6, Client: 1e6, Server: 1e6, Setup: 2e6, Connect: 2e6, SYNs: 1, SYNACKs: 1},
	}
}

func end4(ip string, port uint16) flow.Endpoint {
	return flow.Endpoint{Addr: packet.AddrFrom(netip.MustParseAddr(ip)), Port: port, HasPort: true}
}

func at(p packet.PointID, r flow.Record) flow.Record {
	r.Point = p
	return r
}

// fold adds records of single points, and such that are the same connection at
// several: those with the same ends at different points, as they come. They
// get a path as the matcher would give it.
func fold(c Config, records ...flow.Record) *Summary {
	t := New(c)
	for _, g := range groups(records) {
		if len(g) == 1 {
			t.Add(&g[0])
			continue
		}
		p := pathOf(g)
		for i := range g {
			g[i].Joined = true
			t.Add(&g[i])
		}
		t.AddPath(&p)
	}
	return t.Summary()
}

func groups(records []flow.Record) (all [][]flow.Record) {
next:
	for i, r := range records {
		r.ID = uint64(i + 1)
		for n, g := range all {
			o := &g[0]
			straight := same(&o.Ends[0], &r.Ends[0]) && same(&o.Ends[1], &r.Ends[1])
			turned := same(&o.Ends[0], &r.Ends[1]) && same(&o.Ends[1], &r.Ends[0])
			seen := slices.ContainsFunc(g, func(x flow.Record) bool { return x.Point == r.Point })
			if (straight || turned) && !seen {
				all[n] = append(g, r)
				continue next
			}
		}
		all = append(all, []flow.Record{r})
	}
	return all
}

// pathOf gives the path of some records, the best proof of the roles among
// them, and the most bytes of each side.
func pathOf(g []flow.Record) path.Connection {
	best := g[0]
	for _, r := range g[1:] {
		if r.Direction > best.Direction {
			best = r
		}
	}
	p := path.Connection{Network: best.Network, Proto: best.Proto, Ends: best.Ends, Start: best.Start, End: best.End, Outcome: best.Outcome, RTT: best.Handshake.RTT}
	for i, r := range g {
		if !same(&r.Ends[0], &best.Ends[0]) {
			r.Sent[0], r.Sent[1] = r.Sent[1], r.Sent[0]
		}
		p.Points = append(p.Points, path.Point{ID: r.Point, Flow: r.ID})
		p.Start, p.End = min(p.Start, r.Start), max(p.End, r.End)
		for side := range p.Sent {
			if r.Sent[side].Bytes > p.Sent[side].Bytes {
				p.Sent[side], p.Primary[side] = r.Sent[side], i
			}
		}
	}
	return p
}

// conversations gives all of them, in the order in which they became known.
func conversations(s *Summary) (all []Conversation) {
	for i := range s.Len() {
		all = append(all, *s.Conversation(i))
	}
	return all
}

// one demands that there is one conversation.
func one(t *testing.T, s *Summary) *Conversation {
	t.Helper()
	if s.Len() != 1 {
		t.Fatalf("%d conversations, want 1: %+v", s.Len(), conversations(s))
	}
	return s.Conversation(0)
}

func TestSums(t *testing.T) {
	refused := record(3, 30*second, 31*second)
	refused.Outcome, refused.Handshake.State, refused.Handshake.RTT = flow.Refused, tcp.Unknown, tcp.Absent
	slow := record(2, 10*second, 50*second)
	slow.Handshake.RTT = 8e6
	ambiguous := record(4, 5*second, 6*second)
	ambiguous.Handshake.State, ambiguous.Handshake.RTT = tcp.Ambiguous, 5e9
	s := fold(DefaultConfig(), record(1, 20*second, 21*second), slow, refused, ambiguous)
	c := one(t, s)
	want := Key{Client: refused.Ends[0].Addr, Server: refused.Ends[1].Addr, Port: 443, HasPort: true, Proto: packet.ProtoTCP}
	if c.Key != want {
		t.Errorf("key %+v", c.Key)
	}
	if c.Connections != 4 || c.Bytes() != 4*6500 || c.Packets() != 4*11 || c.Sent[flow.Server].PayloadBytes != 4*5700 {
		t.Errorf("volumes: %+v", c)
	}
	if c.Outcomes[flow.Closed] != 3 || c.Outcomes[flow.Refused] != 1 || c.Errors() != 1 {
		t.Errorf("outcomes: %v", c.Outcomes)
	}
	if c.First != 5*second || c.Last != 50*second {
		t.Errorf("first %d, last %d", c.First, c.Last)
	}
	if n, m := c.Handshake.Count(), c.Handshake.Max(); n != 2 || m != 8e6 {
		t.Errorf("%d handshakes, the slowest %d: only measured ones count", n, m)
	}
	if !slices.Equal(c.Points, []packet.PointID{1}) || s.Joined != 0 {
		t.Errorf("points %v, joined %d", c.Points, s.Joined)
	}
}

func TestConversationsAreToldApart(t *testing.T) {
	base := record(1, 0, second)
	network, server, port, proto := base, base, base, base
	network.Network = 1
	server.Ends[1] = end4("10.0.0.3", 443)
	port.Ends[1].Port = 444
	proto.Proto = packet.ProtoUDP
	if s := fold(DefaultConfig(), base, network, server, port, proto); s.Len() != 5 {
		t.Errorf("%d conversations, want 5", s.Len())
	}
}

func TestIntervalsDoNotCount(t *testing.T) {
	r := record(1, 0, second)
	r.Kind = flow.Interval
	if s := fold(DefaultConfig(), r); s.Len() != 0 {
		t.Errorf("an interval made a conversation: %+v", conversations(s))
	}
}

// The same connections from three points give what one point gives.
func TestSeenAtSeveralPointsCountsOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var single, triple []flow.Record
	for i := range 300 {
		c := record(uint16(i%40), int64(i)*second/10, int64(i)*second/10+r.Int64N(second/20))
		single = append(single, c)
		for p := range packet.PointID(3) {
			late := at(p+1, c)
			late.Start += int64(p) * 1e6
			late.End += int64(p) * 1e6
			triple = append(triple, late)
		}
	}
	want, got := one(t, fold(DefaultConfig(), single...)), one(t, fold(DefaultConfig(), triple...))
	if !slices.Equal(got.Points, []packet.PointID{1, 2, 3}) {
		t.Errorf("points %v", got.Points)
	}
	got.Points, got.Last = want.Points, got.Last-2e6
	if !reflect.DeepEqual(got, want) {
		t.Errorf("three points:\n%+v\none point:\n%+v", got, want)
	}
}

// What the path says counts, not what the records say.
func TestPathDecides(t *testing.T) {
	a, b := record(1, 0, second), at(2, record(1, 0, 2*second))
	a.ID, b.ID, a.Joined, b.Joined = 1, 2, true, true
	a.HasTCP, b.HasTCP = true, true
	for i := range 2 {
		a.TCP.Sides[i].Retransmits = tcp.Retransmits{State: tcp.Measured, Packets: 1}
		b.TCP.Sides[i].Retransmits = tcp.Retransmits{State: tcp.Measured, Packets: 2}
	}
	p := pathOf([]flow.Record{a, b})
	p.Primary = [2]int{1, 0}
	p.Sent = [2]flow.Volume{{Packets: 7, Bytes: 70}, {Packets: 8, Bytes: 80}}
	p.Outcome, p.RTT = flow.Reset, 5e6
	tab := New(DefaultConfig())
	tab.Add(&b)
	tab.Add(&a)
	if s := tab.Summary(); s.Len() != 0 {
		t.Errorf("joined records count before their path came: %+v", conversations(s))
	}
	tab.AddPath(&p)
	s := tab.Summary()
	c := one(t, s)
	if c.Sent != p.Sent || c.Outcomes[flow.Reset] != 1 || c.Handshake.Max() != 5e6 || c.Connections != 1 || s.Joined != 1 || c.Last != 2*second {
		t.Errorf("%+v, joined %d", c, s.Joined)
	}
	if c.Repeats[flow.Client].Packets != 2 || c.Repeats[flow.Server].Packets != 1 {
		t.Errorf("repeats %+v: not those of the primaries", c.Repeats)
	}
	if len(tab.waiting) != 0 || tab.buckets != 0 {
		t.Errorf("%d records wait after their path, with %d buckets", len(tab.waiting), tab.buckets)
	}
}

// A point that came in mid-stream may take the server for the client.
func TestRolesOfTheBetterProof(t *testing.T) {
	right, wrong := record(1, 0, second), at(2, record(1, 0, second))
	wrong.Ends[0], wrong.Ends[1] = wrong.Ends[1], wrong.Ends[0]
	wrong.Sent[0], wrong.Sent[1] = wrong.Sent[1], wrong.Sent[0]
	wrong.Direction = flow.DirOrder
	for _, order := range [][]flow.Record{{right, wrong}, {wrong, right}} {
		c := one(t, fold(DefaultConfig(), order...))
		if c.Port != 443 || c.Sent != right.Sent || c.Connections != 1 {
			t.Errorf("port %d, sent %+v, %d connections", c.Port, c.Sent, c.Connections)
		}
	}
}

func TestConversationsAreBounded(t *testing.T) {
	config := DefaultConfig()
	config.Conversations = 10
	var records []flow.Record
	add := func(port uint16, bytes int64) {
		r := record(1000, 0, second)
		r.Ends[1].Port = port
		r.Sent = [2]flow.Volume{{Packets: 1, Bytes: bytes}, {}}
		records = append(records, r)
	}
	for port := range uint16(200) {
		add(port, 100)
		add(9999, 10) // small each time, large in sum
	}
	add(8888, 1_000_000) // large and late
	s := fold(config, records...)
	connections, bytes := s.Other.Connections, s.Other.Bytes()
	found := map[uint16]int64{}
	for i := range s.Len() {
		c := s.Conversation(i)
		connections += c.Connections
		bytes += c.Bytes()
		found[c.Port] = c.Bytes()
	}
	if s.Len() > 10 || connections != 401 || bytes != 1_000_000+200*110 || s.Other.Key != (Key{}) {
		t.Errorf("%d conversations, %d connections, %d bytes", s.Len(), connections, bytes)
	}
	if found[8888] != 1_000_000 {
		t.Errorf("the largest conversation came late and has %d bytes", found[8888])
	}
	if s.Missing < 2000-found[9999] {
		t.Errorf("a conversation lacks %d bytes, at most %d are said to be missing", 2000-found[9999], s.Missing)
	}
	if s.Other.Handshake.Count() == 0 || s.Other.Outcomes[flow.Closed] != s.Other.Connections {
		t.Errorf("other lost its outcomes or handshakes: %+v", s.Other)
	}
}

func TestOneConversation(t *testing.T) {
	config := DefaultConfig()
	config.Conversations = 1
	other := record(1, 0, second)
	other.Ends[1].Port = 1
	s := fold(config, record(1, 0, second), other, record(2, 0, second))
	if s.Len() != 1 || s.Other.Connections != 2 {
		t.Errorf("%d conversations, other %+v", s.Len(), s.Other)
	}
}

func BenchmarkAdd(b *testing.B) {
	t := New(DefaultConfig())
	r := record(1, 0, second)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Ends[0].Port, r.Ends[1].Port = uint16(i), uint16(i>>16%512)
		t.Add(&r)
	}
}
