package edge

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/packet"
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

func fold(c Config, records ...flow.Record) *Summary {
	t := New(c)
	for i := range records {
		t.Add(&records[i])
	}
	return t.Summary()
}

// one demands that there is one conversation.
func one(t *testing.T, s *Summary) *Conversation {
	t.Helper()
	if len(s.Conversations) != 1 {
		t.Fatalf("%d conversations, want 1: %+v", len(s.Conversations), s.Conversations)
	}
	return &s.Conversations[0]
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
	if !slices.Equal(c.Points, []packet.PointID{1}) || s.Joined != 0 || s.Unjudged != 0 {
		t.Errorf("points %v, joined %d, unjudged %d", c.Points, s.Joined, s.Unjudged)
	}
}

func TestConversationsAreToldApart(t *testing.T) {
	base := record(1, 0, second)
	network, server, port, proto := base, base, base, base
	network.Network = 1
	server.Ends[1] = end4("10.0.0.3", 443)
	port.Ends[1].Port = 444
	proto.Proto = packet.ProtoUDP
	if s := fold(DefaultConfig(), base, network, server, port, proto); len(s.Conversations) != 5 {
		t.Errorf("%d conversations, want 5", len(s.Conversations))
	}
}

func TestIntervalsDoNotCount(t *testing.T) {
	r := record(1, 0, second)
	r.Kind = flow.Interval
	if s := fold(DefaultConfig(), r); len(s.Conversations) != 0 {
		t.Errorf("an interval made a conversation: %+v", s.Conversations)
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

func TestMostBytesPerDirection(t *testing.T) {
	a, b := record(1, 0, second), at(2, record(1, 0, second))
	a.Sent = [2]flow.Volume{{Packets: 9, Bytes: 900}, {Packets: 1, Bytes: 100}}
	b.Sent = [2]flow.Volume{{Packets: 8, Bytes: 800}, {Packets: 2, Bytes: 200}}
	c := one(t, fold(DefaultConfig(), a, b))
	if c.Sent[flow.Client].Bytes != 900 || c.Sent[flow.Server].Bytes != 200 {
		t.Errorf("sent %+v: want 900 of the first point, 200 of the second", c.Sent)
	}
}

func TestOutcomeOfTheBetterWitness(t *testing.T) {
	oneSided, both := record(1, 0, second), at(2, record(1, 0, second))
	oneSided.Outcome, oneSided.Sent[flow.Server] = flow.HalfOpenTimeout, flow.Volume{}
	oneSided.Handshake.State = tcp.Unknown
	for _, order := range [][]flow.Record{{oneSided, both}, {both, oneSided}} {
		c := one(t, fold(DefaultConfig(), order...))
		if c.Outcomes[flow.Closed] != 1 || c.Outcomes[flow.HalfOpenTimeout] != 0 || c.Handshake.Count() != 1 {
			t.Errorf("outcomes %v, %d handshakes", c.Outcomes, c.Handshake.Count())
		}
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

func TestSightsThatAreNotTheSame(t *testing.T) {
	base := record(1, 10*second, 11*second)
	later := at(2, record(1, 20*second, 21*second))
	samePoint := record(1, 10*second, 11*second)
	network := at(2, base)
	network.Network = 1
	for name, other := range map[string]flow.Record{"later": later, "same point": samePoint, "other network": network} {
		s := fold(DefaultConfig(), base, other)
		n := int64(0)
		for _, c := range s.Conversations {
			n += c.Connections
		}
		if n != 2 || s.Joined != 0 {
			t.Errorf("%s: %d connections, %d joined, want 2 and 0", name, n, s.Joined)
		}
	}
}

// Times of a single packet each, a moment apart, are one connection; hostile
// times do not overflow.
func TestOverlapOfMoments(t *testing.T) {
	for _, test := range []struct {
		a, b   int64
		joined int64
	}{
		{0, joinWindow, 1}, {joinWindow, 0, 1}, {0, joinWindow + 1, 0}, {math.MinInt64, math.MaxInt64, 0}, {math.MaxInt64, math.MaxInt64 - 1, 1},
	} {
		if s := fold(DefaultConfig(), record(1, test.a, test.a), at(2, record(1, test.b, test.b))); s.Joined != test.joined {
			t.Errorf("%d and %d: %d joined, want %d", test.a, test.b, s.Joined, test.joined)
		}
	}
}

// Both generations of a port arrive from one point before those of the other.
func TestNearestGeneration(t *testing.T) {
	first, again := record(1, 0, second), record(1, 2*second, 3*second)
	again.Sent[flow.Client].Bytes = 5
	s := fold(DefaultConfig(), first, again, at(2, first), at(2, again))
	if c := one(t, s); c.Connections != 2 || c.Sent[flow.Client].Bytes != 505 || s.Joined != 2 {
		t.Errorf("%d connections, %d joined, sent %+v", c.Connections, s.Joined, c.Sent)
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
	for i := range s.Conversations {
		c := &s.Conversations[i]
		connections += c.Connections
		bytes += c.Bytes()
		found[c.Port] = c.Bytes()
	}
	if len(s.Conversations) > 10 || connections != 401 || bytes != 1_000_000+200*110 || s.Other.Key != (Key{}) {
		t.Errorf("%d conversations, %d connections, %d bytes", len(s.Conversations), connections, bytes)
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
	if len(s.Conversations) != 1 || s.Other.Connections != 2 {
		t.Errorf("%d conversations, other %+v", len(s.Conversations), s.Other)
	}
}

func TestPendingIsBounded(t *testing.T) {
	config := DefaultConfig()
	config.Pending = 4
	var records []flow.Record
	for i := range uint16(10) {
		records = append(records, record(i, int64(i)*second, int64(i)*second))
	}
	s := fold(config, records...)
	if c := one(t, s); c.Connections != 10 || s.Unjudged != 0 {
		t.Errorf("one point: %d connections, %d unjudged, want 10 and 0", c.Connections, s.Unjudged)
	}
	for i := range records[:10] {
		records = append(records, at(2, records[i]))
	}
	s = fold(config, records...)
	if c := one(t, s); s.Joined+c.Connections != 20 || s.Unjudged == 0 || c.Connections-10 > s.Unjudged {
		t.Errorf("two points: %d connections, %d joined, %d unjudged: what was counted twice must be unjudged", c.Connections, s.Joined, s.Unjudged)
	}
}

func TestSearchIsBounded(t *testing.T) {
	var records []flow.Record
	for range 40 { // flows without ports, all with the same ends
		r := record(0, 0, second)
		r.Proto, r.Ends[0].HasPort, r.Ends[1].HasPort = packet.ProtoICMP, false, false
		records = append(records, r)
	}
	for i := range records[:40] {
		records = append(records, at(2, records[i]))
	}
	s := fold(DefaultConfig(), records...)
	if c := one(t, s); c.Connections+s.Joined != 80 || c.Connections-40 > s.Unjudged {
		t.Errorf("%d connections, %d joined, %d unjudged", c.Connections, s.Joined, s.Unjudged)
	}
}

func TestManyPoints(t *testing.T) {
	var records []flow.Record
	for p := range packet.PointID(100) {
		records = append(records, at(p+1, record(1, 0, second)))
	}
	if c := one(t, fold(DefaultConfig(), records...)); c.Connections != 1 {
		t.Errorf("a connection at 100 points counts %d times", c.Connections)
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
