package path_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/tcp"
)

// only keeps the packets of some taps that a rule lets through.
func only(rec pcapgen.Recording, keep func(p *pcapgen.Recorded) bool) pcapgen.Recording {
	out := pcapgen.Recording{Truths: rec.Truths}
	for i := range rec.Packets {
		if keep(&rec.Packets[i]) {
			out.Packets = append(out.Packets, rec.Packets[i])
		}
	}
	return out
}

// setTTL changes the TTL of a packet; nothing verifies checksums.
func setTTL(rec *pcapgen.Recording, ttl func(p *pcapgen.Recorded) byte) {
	for i := range rec.Packets {
		p := &rec.Packets[i]
		p.Data = bytes.Clone(p.Data)
		p.Data[8] = ttl(p)
	}
}

var ab = []tap{{name: "a"}, {name: "b"}}

// Two taps at one place: halves cannot tell their order, TTLs can.
func TestOrderByTTL(t *testing.T) {
	rec := conn(5*ms, 5*ms).Record()
	x := replay(t, record(ab, rec), 1)
	p := x.one(t)
	if got := x.points(p); got[0] != "a" || p.Order.State != tcp.Measured {
		t.Errorf("order %v %v, want a first by TTL", got, p.Order)
	}
	if s := p.Segments[0].RTT; s.State != tcp.Measured || s.Min != 0 {
		t.Errorf("round trip %+v, want 0", s)
	}
	setTTL(&rec, func(*pcapgen.Recorded) byte { return 60 })
	if p := replay(t, record(ab, rec), 1).one(t); p.Order.State != tcp.Ambiguous || p.Segments[0].Loss[0].State != tcp.Ambiguous {
		t.Errorf("order %v, loss %v: nothing tells the order", p.Order, p.Segments[0].Loss[0])
	}
}

func TestTTLsThatContradict(t *testing.T) {
	rec := conn(2*ms, 7*ms).Record()
	setTTL(&rec, func(p *pcapgen.Recorded) byte {
		if (p.Tap == 0) == (p.From == pcapgen.Client) {
			return 50 // lower where it comes past first
		}
		return 60
	})
	x := replay(t, record(ab, rec), 1)
	p := x.one(t)
	if got := x.points(p); got[0] != "a" || p.Order.State != tcp.Ambiguous {
		t.Errorf("order %v %v, want a first, ambiguous", got, p.Order)
	}
}

// Each point records one direction: no packet is shared.
func TestComplement(t *testing.T) {
	rec := only(conn(2*ms, 7*ms).Record(), func(p *pcapgen.Recorded) bool { return p.Tap == int(p.From) })
	x := replay(t, record(ab, rec), 1)
	p := x.one(t)
	if p.Joined.State != tcp.Ambiguous || p.Joined.Reasons != tcp.OneSided || p.Order.State != tcp.Ambiguous {
		t.Errorf("joined %v, order %v", p.Joined, p.Order)
	}
	s := p.Segments[0]
	if s.RTT.State != tcp.Unknown || s.RTT.Min != tcp.Absent || s.HasOffset || s.Loss[0].State != tcp.Unknown || s.Loss[1].State != tcp.Unknown {
		t.Errorf("segment %+v: nothing of it can be known", s)
	}
	for side, v := range [2]pcapgen.Volume{rec.Truths[0].ClientSent, rec.Truths[1].ServerSent} {
		if p.Sent[side].Packets != v.Packets {
			t.Errorf("side %d sent %+v, want %+v", side, p.Sent[side], v)
		}
	}
	// Of another connection with the same ends the acknowledgements do not fit.
	other := conn(2*ms, 7*ms)
	other.Stacks[0].ISN, other.Stacks[1].ISN = 2e9, 1e9
	both := []pcapgen.Recording{
		only(conn(2*ms, 7*ms).Record(), func(p *pcapgen.Recorded) bool { return p.Tap == 0 && p.From == pcapgen.Client }),
		only(other.Record(), func(p *pcapgen.Recorded) bool { return p.Tap == 1 && p.From == pcapgen.Server }),
	}
	if x := replay(t, record(ab, both...), 1); len(x.paths) != 0 || len(x.records) != 2 {
		t.Errorf("%d paths of strangers", len(x.paths))
	}
}

// One point records both directions, the other one of them.
func TestOneSidedPoint(t *testing.T) {
	c := conn(2*ms, 7*ms)
	c.Fates = []pcapgen.Fate{{From: pcapgen.Client, Kind: pcapgen.DataPacket, N: 3, Where: 1}}
	rec := only(c.Record(), func(p *pcapgen.Recorded) bool { return p.Tap == 0 || p.From == pcapgen.Client })
	x := replay(t, record(ab, rec), 1)
	p := x.one(t)
	s := &p.Segments[0]
	if s.Loss[flow.Client].Lost != 1 || s.Loss[flow.Server].State != tcp.Unknown || s.RTT.State != tcp.Unknown {
		t.Errorf("segment %+v", s)
	}
	if got := x.points(p); got[0] != "a" || p.Order.State != tcp.Measured || p.Points[1].Missed[flow.Server] != 0 {
		t.Errorf("order %v %v, missed %v", got, p.Order, p.Points[1].Missed)
	}
	if p.Sent[flow.Server].Packets != rec.Truths[0].ServerSent.Packets {
		t.Errorf("the server sent %+v", p.Sent[flow.Server])
	}
}

// Short ones: refused, without an answer, and datagrams.
func TestSmallConnections(t *testing.T) {
	refused := conn(2*ms, 7*ms)
	refused.Service = pcapgen.Refusing
	silent := conn(2*ms, 7*ms)
	silent.Service, silent.Client = pcapgen.Silent, addrPort("10.1.0.7:51235")
	both := replay(t, record([]tap{{name: "a"}, {name: "b", clock: 250 * ms}}, refused.Record(), silent.Record()), 1)
	if len(both.paths) != 2 {
		t.Fatalf("%d paths, want 2", len(both.paths))
	}
	for i, want := range []flow.Outcome{flow.Refused, flow.OutcomeNone} {
		if p := &both.paths[i]; p.Outcome != want || p.Joined.State != tcp.Measured || p.Matched[flow.Client] == 0 {
			t.Errorf("%v: %+v", want, p)
		}
	}
	f := record(ab)
	for i := range 2 {
		for tap := range 2 {
			b := pcapgen.Build(pcapgen.Ethernet{}, pcapgen.IPv4{Src: refused.Client.Addr(), Dst: refused.Server.Addr(), ID: uint16(i), TTL: uint8(64 - tap)},
				pcapgen.UDP{SrcPort: 5000, DstPort: 514}, pcapgen.Payload("same"))
			f.list = append(f.list, capture.Frame{Data: b, Time: sceneStart + int64(i)*10e6 + int64(tap)*1e6, WireLen: len(b), Link: capture.LinkEthernet, Interface: uint32(tap)})
		}
	}
	last := f.list[len(f.list)-1]
	last.Data = bytes.Clone(last.Data)
	last.Data[14+5]++ // another identification: a datagram that one point records only
	last.Time += 1e6
	f.list = append(f.list, last)
	x := replay(t, f, 1)
	p := x.one(t)
	if l := p.Segments[0].Loss[flow.Client]; l.Lost != 0 || l.Unlocated != 0 || p.Points[0].Missed[flow.Client] != 1 || l.State != tcp.Ambiguous {
		t.Errorf("datagrams: loss %+v, missed %v", l, p.Points[0].Missed)
	}
	if got := x.points(p); p.Matched != [2]int64{2, 0} || got[0] != "a" || p.Order.State != tcp.Measured || p.Segments[0].Loss[flow.Server].State != tcp.Unknown {
		t.Errorf("datagrams at %v: %+v", got, p)
	}
}

// The SYN is lost between the points twice, 1 s and 2 s before one arrives.
func TestLostSYN(t *testing.T) {
	c := conn(2*ms, 7*ms)
	for n := range 2 {
		c.Fates = append(c.Fates, pcapgen.Fate{From: pcapgen.Client, Kind: pcapgen.SYNPacket, N: n, Where: 1})
	}
	p := replay(t, record(ab, c.Record()), 1).one(t)
	if l := p.Segments[0].Loss[flow.Client]; l.Lost != 2 || l.State != tcp.Measured {
		t.Errorf("%+v, want 2 SYNs lost", l)
	}
	if p.Points[1].Missed != [2]int64{} || p.Segments[0].RTT.Min != int64(10*ms) {
		t.Errorf("%+v", p)
	}
}

// The second capture begins late: what went by before was not missed by it.
func TestPointThatBeginsLate(t *testing.T) {
	c := conn(2*ms, 7*ms)
	c.Fates = []pcapgen.Fate{{From: pcapgen.Server, Kind: pcapgen.DataPacket, N: 42, Where: 1}}
	rec := only(c.Record(), func(p *pcapgen.Recorded) bool { return p.Tap == 0 || p.Time > sceneStart+int64(60*ms) })
	p := replay(t, record(ab, rec), 1).one(t)
	if p.Points[1].Missed != [2]int64{} || p.Segments[0].Loss[flow.Server].Lost != 1 || p.Segments[0].Loss[flow.Client].Lost != 0 {
		t.Errorf("missed %v, segment %+v", p.Points[1].Missed, p.Segments[0])
	}
}

// The path dies in the middle, and the client gives up.
func TestBlackHole(t *testing.T) {
	c := conn(2*ms, 7*ms)
	for n := 12; n < 80; n++ {
		c.Fates = append(c.Fates, pcapgen.Fate{From: pcapgen.Client, Kind: pcapgen.AnyPacket, N: n, Where: 1}, pcapgen.Fate{From: pcapgen.Server, Kind: pcapgen.AnyPacket, N: n + 5, Where: 1})
	}
	rec := c.Record()
	all := journal(&rec)
	p := replay(t, record(ab, rec), 1).one(t)
	for side := range 2 {
		l, want := p.Segments[0].Loss[side], lossBetween(all, 0, pcapgen.Side(side))
		if l.Lost+l.Unlocated < want || l.Lost > want || l.Lost < want-3 || side == 1 && want < 3 {
			t.Errorf("side %d: %+v, want %d lost", side, l, want)
		}
	}
	if p.Points[0].Missed != [2]int64{} || p.Points[1].Missed != [2]int64{} {
		t.Errorf("missed %v and %v, but nothing came past", p.Points[0].Missed, p.Points[1].Missed)
	}
}

// Ports are used again at once, and the points' clocks are apart.
func TestGenerations(t *testing.T) {
	first, second := conn(2*ms, 7*ms), conn(2*ms, 7*ms)
	first.Turns, second.Turns = first.Turns[1:], second.Turns[1:]
	second.Start += int64(120 * ms)
	second.Stacks[0].ISN += 1 << 20
	second.Stacks[1].ISN += 1 << 20
	x := replay(t, record([]tap{{name: "a"}, {name: "b", clock: -50 * ms}}, first.Record(), second.Record()), 1)
	if len(x.paths) != 2 || len(x.records) != 4 {
		t.Fatalf("%d paths, %d records", len(x.paths), len(x.records))
	}
	for _, p := range x.paths {
		if p.Segments[0].RTT.Min != int64(10*ms) || p.Segments[0].Loss[0].Lost+p.Segments[0].Loss[1].Lost+p.Points[0].Missed[0]+p.Points[1].Missed[0] != 0 {
			t.Errorf("%+v", p)
		}
	}
}

// The same addresses and ports at two points, but other packets: two networks
// that nobody told apart.
func TestStrangersStayApart(t *testing.T) {
	a, b := conn(2*ms, 7*ms), conn(2*ms, 7*ms)
	b.Stacks[0].ISN, b.Stacks[1].ISN = 77, 78
	x := replay(t, record(ab, only(a.Record(), func(p *pcapgen.Recorded) bool { return p.Tap == 0 }), only(b.Record(), func(p *pcapgen.Recorded) bool { return p.Tap == 1 })), 1)
	if len(x.paths) != 0 || len(x.records) != 2 || x.records[0].Joined {
		t.Errorf("%d paths, %d records", len(x.paths), len(x.records))
	}
}

// One point records what the network card has joined: data cannot be compared
// packet by packet, and no loss follows from that.
func TestOffload(t *testing.T) {
	rec := conn(2*ms, 7*ms).Record()
	var out []pcapgen.Recorded
	last := -1 // of tap 0 from the server, with a full segment
	for _, p := range rec.Packets {
		full := len(p.Data) == 1500
		if p.Tap == 0 && p.From == pcapgen.Server {
			if full && last >= 0 && len(out[last].Data) == 1500 {
				joined := append(bytes.Clone(out[last].Data), p.Data[52:]...)
				binary.BigEndian.PutUint16(joined[2:], uint16(len(joined)))
				out[last].Data = joined
				continue
			}
			last = len(out)
		}
		out = append(out, p)
	}
	rec.Packets = out
	p := replay(t, record(ab, rec), 1).one(t)
	if l := p.Segments[0].Loss[flow.Server]; l != (path.Loss{Quality: path.Quality{State: tcp.Unknown, Reasons: tcp.Offload}}) {
		t.Errorf("loss %+v", l)
	}
	for i := range p.Points {
		if p.Points[i].Missed != [2]int64{0, path.NotKnown} {
			t.Errorf("point %d missed %v", i, p.Points[i].Missed)
		}
	}
	if l := p.Segments[0].Loss[flow.Client]; l.State != tcp.Measured || l.Lost != 0 || p.Segments[0].RTT.Min != int64(10*ms) {
		t.Errorf("%+v", p.Segments[0])
	}
}

// Further away in time than the window allows.
func TestWindow(t *testing.T) {
	for clock, want := range map[time.Duration]int{1900 * ms: 1, 2100 * ms: 0} {
		if x := replay(t, record([]tap{{name: "a"}, {name: "b", clock: clock}}, conn(2*ms, 7*ms).Record()), 1); len(x.paths) != want {
			t.Errorf("%v apart: %d paths, want %d", clock, len(x.paths), want)
		}
	}
}

// A clock that goes far back: what it says then is not compared, and no time
// overflows.
func TestClockThatGoesBack(t *testing.T) {
	f := record(ab, conn(2*ms, 7*ms).Record())
	for i := range f.list {
		if i >= 20 && i%2 == 0 {
			f.list[i].Time -= 1 << 62
		}
	}
	for _, p := range replay(t, f, 1).paths {
		if rtt := p.Segments[0].RTT; rtt.Min > int64(time.Second) || rtt.P50 > float64(time.Second) {
			t.Errorf("round trip %+v", rtt)
		}
	}
}

// More points than are followed: the rest are connections of their own.
func TestManyPoints(t *testing.T) {
	var at []time.Duration
	var taps []tap
	for i := range 11 {
		at = append(at, time.Duration(i)*ms/2)
		taps = append(taps, tap{name: fmt.Sprint(i)})
	}
	x := replay(t, record(taps, conn(at...).Record()), 1)
	points := 0
	for _, p := range x.paths {
		points += len(p.Points)
		for i := range p.Segments {
			if rtt := p.Segments[i].RTT; rtt.Min != int64(ms) {
				t.Errorf("segment %d: %+v", i, rtt)
			}
		}
	}
	if points != 11 || len(x.paths[0].Points) != 8 {
		t.Errorf("%d points in %d paths", points, len(x.paths))
	}
}

// replayFile replays a capture file.
func replayFile(t *testing.T, file string) *result {
	t.Helper()
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	return replay(t, src, 2)
}

// Every connection of the demo capture that two hosts' mirrors recorded.
func TestShop(t *testing.T) {
	dir := filepath.Join(needs.Repository(t), "testdata", "pcaps")
	b, err := os.ReadFile(filepath.Join(dir, "shop.json"))
	if err != nil {
		t.Fatal(err)
	}
	var truth struct{ Conversations []pcapgen.Observed }
	if err := json.Unmarshal(b, &truth); err != nil {
		t.Fatal(err)
	}
	type key struct{ client, server string }
	views := map[key][]pcapgen.Observed{}
	for _, c := range truth.Conversations {
		if c.Protocol == "tcp" && c.Start != 0 {
			views[key{c.Client, c.Server}] = append(views[key{c.Client, c.Server}], c)
		}
	}
	x := replayFile(t, filepath.Join(dir, "shop.pcap"))
	end := func(e flow.Endpoint) string { return fmt.Sprintf("%v:%d", e.Addr.IP(), e.Port) }
	found := 0
	for i := range x.paths {
		p := &x.paths[i]
		if p.Proto != packet.ProtoTCP {
			continue
		}
		v := views[key{end(p.Ends[0]), end(p.Ends[1])}]
		if len(v) != 2 || len(p.Points) != 2 {
			t.Errorf("%v → %v: %d points, in truth %d", p.Ends[0], p.Ends[1], len(p.Points), len(v))
			continue
		}
		found++
		near, far := v[0].TCP, v[1].TCP
		if near.ClientHalf > far.ClientHalf {
			near, far = far, near
		}
		if want := far.ClientHalf - near.ClientHalf; p.Order.State != tcp.Measured || p.Segments[0].RTT.Min < want || p.Segments[0].RTT.Min > want+want/100 {
			t.Errorf("%v: round trip %+v, want %d", p.Ends[0], p.Segments[0].RTT, want)
		}
		for side := range 2 {
			lost := near.ClientRetransmits.LostAfter - far.ClientRetransmits.LostAfter
			if side == 1 {
				lost = far.ServerRetransmits.LostAfter - near.ServerRetransmits.LostAfter
			}
			if l := p.Segments[0].Loss[side]; l.Lost != lost || l.State != tcp.Measured {
				t.Errorf("%v → %v side %d: %+v, want %d", p.Ends[0], p.Ends[1], side, l, lost)
			}
		}
	}
	want := 0
	for _, v := range views {
		if len(v) == 2 {
			want++
		}
	}
	if found != want || want < 30 {
		t.Errorf("%d connections at two points found, want %d", found, want)
	}
}

// Requests in GENEVE, responses plain, and a pair of GENEVE tunnels of one
// direction each.
func TestOneDirectionInATunnel(t *testing.T) {
	x := replayFile(t, filepath.Join(needs.Captures(t), "dev", "encap", "mercury-geneve.pcap"))
	if len(x.paths) != 44 {
		t.Errorf("%d paths, want 44", len(x.paths))
	}
	for _, p := range x.paths {
		if p.Joined.State != tcp.Ambiguous || p.Joined.Reasons != tcp.OneSided || p.Sent[0].Packets == 0 || p.Sent[1].Packets == 0 {
			t.Errorf("%+v", p)
		}
	}
}
