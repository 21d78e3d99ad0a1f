package flow

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"mirrorscope/packet"
)

// A scene drives one table with packets made by hand, on a clock that stands
// still until it is told to move, with barriers at whole seconds as the
// pipeline does.
type scene struct {
	most    int // records that were there at a time
	t       testing.TB
	table   *Table
	learned *Learned
	now     int64
	second  int64
	id      uint16
	recs    []Record
	piece   int // records made at a time; 0: 1
	heard   func(p packet.Packet)
	whole   *Expander
}

const sceneStart = 1_700_000_000e9

func newScene(t testing.TB, change func(*Config)) *scene {
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	l := NewLearned(cfg)
	s := &scene{t: t, learned: l, table: NewTable(cfg, l, new(packet.Names)), now: sceneStart, second: -1}
	return s
}

// at moves the clock to d after the start.
func (s *scene) at(d time.Duration) *scene {
	s.now = sceneStart + int64(d)
	return s
}

// add gives a packet to the table at the present time.
func (s *scene) add(p packet.Packet) *scene {
	p.Time = s.now
	return s.put(p)
}

// put gives a packet with a time of its own; the input's clock never goes
// back.
func (s *scene) put(p packet.Packet) *scene {
	p.Now = max(p.Time, s.table.now)
	s.barrier(p.Now - p.Now%1e9)
	if p.Hash == 0 {
		p.Hash = packet.SymmetricHash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto, p.Kind)
	}
	if s.heard != nil {
		s.heard(p)
	}
	s.table.Add(&p)
	return s
}

func (s *scene) barrier(second int64) {
	if second != s.second {
		s.learned.Merge([]*Table{s.table}, s.second, second)
		s.told((*Table).PlanExpire, second, second)
		s.second = second
	}
}

// told takes what a plan tells, and then the interval that closes.
func (s *scene) told(plan func(*Table, int64), now, closes int64) {
	all := []*Table{s.table}
	closing := s.table.Closes(closes)
	plan(s.table, now)
	for more := true; more; s.take() {
		var cut Mark
		cut, more = Cut(all, max(s.piece, 1))
		s.table.Step(cut)
		if !more && closing {
			closing, more = false, true
			s.table.PlanIntervals(closes)
		}
	}
}

func (s *scene) collect() {
	s.table.PlanCollect(s.table.now)
	for more := true; more; s.take() {
		var cut Mark
		cut, more = Cut([]*Table{s.table}, max(s.piece, 1))
		s.table.Step(cut)
	}
}

func (s *scene) take() {
	s.most = max(s.most, s.table.out.Len()+s.table.out.Lones())
	var taken Records
	s.table.Take(&taken)
	recs := make([]Record, taken.Len()+taken.Lones())
	for i := range taken.Len() {
		recs[i] = *taken.At(i)
	}
	if s.whole == nil {
		s.whole = NewExpander(&s.table.cfg, s.table.names)
	}
	for i := range taken.Lones() {
		s.whole.Reset()
		recs[taken.Len()+i] = *s.whole.Expand(taken.Lone(i))
	}
	slices.SortFunc(recs, func(a, b Record) int { return Compare(&a, &b) })
	s.recs = append(s.recs, recs...)
}

// end ends the input now, and gives all connection records.
func (s *scene) end() []Record {
	s.learned.Merge([]*Table{s.table}, s.second, s.second+1e9)
	s.told((*Table).PlanFlush, max(s.now, s.table.now), EndOfInput)
	var out []Record
	for _, r := range s.recs {
		if r.Kind == Connection {
			out = append(out, r)
		}
	}
	return out
}

// one is end for a scene of a single flow.
func (s *scene) one() Record {
	s.t.Helper()
	recs := s.end()
	if len(recs) != 1 {
		s.t.Fatalf("%d records, want 1: %+v", len(recs), recs)
	}
	return recs[0]
}

// host is one end of a conversation.
type host struct {
	addr string
	port uint16
}

var (
	cli = host{"10.0.0.7", 51234}
	srv = host{"10.0.0.9", 443}
)

// tcpPacket makes a TCP packet; flags are letters of SAFRPEC.
func (s *scene) tcp(from, to host, flags string, seq, ack uint32, payload string) packet.Packet {
	p := s.ip(from, to, packet.ProtoTCP, len(payload)+20)
	p.Payload = []byte(payload)
	p.PayloadLen = uint32(len(payload))
	p.TCP = packet.TCP{Seq: seq, Ack: ack, Window: 65535, HeaderLen: 20, Checksum: 9}
	for _, f := range flags {
		p.TCP.Flags |= map[rune]uint16{
			'S': packet.SYN, 'A': packet.ACK, 'F': packet.FIN, 'R': packet.RST, 'P': packet.PSH, 'E': packet.ECE, 'C': packet.CWR,
		}[f]
	}
	return p
}

func (s *scene) udp(from, to host, payload string) packet.Packet {
	p := s.ip(from, to, packet.ProtoUDP, len(payload)+8)
	p.Payload = []byte(payload)
	p.PayloadLen = uint32(len(payload))
	return p
}

func (s *scene) ip(from, to host, proto uint8, n int) packet.Packet {
	s.id++
	return packet.Packet{
		Src: packet.AddrFrom(netip.MustParseAddr(from.addr)), Dst: packet.AddrFrom(netip.MustParseAddr(to.addr)),
		SrcPort: from.port, DstPort: to.port, Proto: proto, Version: 4, TTL: 64, IPID: s.id, Point: 1, Network: 1, Path: 1,
		IPLen: uint32(20 + n), Position: 77, Flags: packet.HasMAC,
	}
}

// open plays a handshake: SYN at d, SYN-ACK 10 ms and ACK 11 ms later.
func (s *scene) open(d time.Duration, c, v host, isnC, isnV uint32) *scene {
	s.at(d).add(s.tcp(c, v, "S", isnC, 0, ""))
	s.at(d + 10*time.Millisecond).add(s.tcp(v, c, "SA", isnV, isnC+1, ""))
	s.at(d + 11*time.Millisecond).add(s.tcp(c, v, "A", isnC+1, isnV+1, ""))
	return s
}
