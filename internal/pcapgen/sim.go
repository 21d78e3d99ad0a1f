package pcapgen

import (
	"container/heap"
	"slices"
	"time"
)

// nsPerOctet is the time a host's interface needs, at 1 Gbit/s.
const nsPerOctet = 8

// event is something that happens at a time; equal times keep their order.
type event struct {
	at    int64
	order int
	do    func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// segment is a TCP segment on its way. Positions count from the SYN of their
// direction: 0 is the SYN, 1 the first octet of data.
type segment struct {
	flags   uint16
	seq     int64
	ack     int64
	data    []byte
	repeat  bool // all of it was sent before
	options TCPOptions
	window  uint16
}

// occupied gives the sequence space that the segment takes.
func (g *segment) occupied() span {
	n := int64(len(g.data))
	if g.flags&(SYN|FIN) != 0 {
		n++
	}
	return span{g.seq, g.seq + n}
}

func (g *segment) kind() PacketKind {
	switch {
	case g.flags&SYN != 0:
		return SYNPacket
	case g.flags&FIN != 0:
		return FINPacket
	case len(g.data) > 0:
		return DataPacket
	case g.flags&RST != 0:
		return AnyPacket
	}
	return PureACK
}

// sim plays one connection.
type sim struct {
	wire
	conn     *Conn
	now      int64
	queue    events
	order    int
	ends     [2]*endpoint
	free     [2]int64   // when each end's interface is free again
	seen     [2][]spans // by side and tap: sequence space recorded
	rec      []Recorded
	truth    []Truth
	turn     int // of the client; the server answers turn answered
	answered int
}

// Record plays the script and gives what each tap records, with its truth.
func (c Conn) Record() Recording {
	s := &sim{conn: &c, wire: newWire(c.Path, c.Fates)}
	s.truth = make([]Truth, len(s.taps))
	for i, tap := range s.taps {
		s.truth[i] = Truth{Protocol: "tcp", Client: c.Client.String(), Server: c.Server.String(), TCP: &TCPTruth{
			ClientHalf: 2 * tap.Nanoseconds(), ServerHalf: 2 * (c.Path.Delay - tap).Nanoseconds()}}
		for _, t := range c.Turns {
			s.truth[i].TCP.Think = append(s.truth[i].TCP.Think, t.Think.Nanoseconds())
		}
	}
	for side := range s.ends {
		s.ends[side] = newEndpoint(s, Side(side), c.Stacks[side])
		s.seen[side] = make([]spans, len(s.taps))
	}
	s.at(c.Start, s.ends[Client].open)
	for len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
	for i := range s.truth {
		s.truth[i].TCP.Outcome = s.outcome(i)
	}
	slices.SortStableFunc(s.rec, func(a, b Recorded) int { return int(a.Time - b.Time) })
	for _, r := range s.rec {
		s.truth[r.Tap].End = r.Time
	}
	return Recording{s.rec, s.truth}
}

func (s *sim) at(t int64, do func()) {
	s.order++
	heap.Push(&s.queue, event{t, s.order, do})
}

func (s *sim) after(d time.Duration, do func()) { s.at(s.now+d.Nanoseconds(), do) }

// transmit sends a segment along the path.
func (s *sim) transmit(from Side, g segment) {
	e := s.ends[from]
	f := s.send(from, g.kind(), max(s.now, s.free[from]))
	id := e.ipid
	e.ipid++
	size := 0
	for tap := range s.taps {
		packet := s.packet(from, tap, id, g)
		size = len(packet)
		if t, ok := s.passes(f, tap); ok {
			s.at(t, func() { s.record(from, tap, g, packet) })
		}
	}
	s.free[from] = f.leaves + int64(size)*nsPerOctet
	if t, ok := s.passes(f, s.far(from)); ok {
		s.at(t, func() { s.ends[from.peer()].receive(g) })
	}
}

// record notes a packet at a tap.
func (s *sim) record(from Side, tap int, g segment, packet []byte) {
	s.rec = append(s.rec, Recorded{s.now, tap, from, packet})
	t := &s.truth[tap]
	t.count(s.now, from, len(packet), len(g.data))
	switch {
	case g.flags&(SYN|ACK) == SYN:
		t.TCP.SYNs++
	case g.flags&SYN != 0:
		t.TCP.SYNACKs++
	case t.TCP.Setup == 0 && from == Client && g.ack > 0:
		t.TCP.Setup = s.now - t.Start
	}
	if g.flags&FIN != 0 {
		t.TCP.FINs[from]++
	}
	if g.flags&RST != 0 {
		t.TCP.RSTs[from]++
		return
	}
	x := g.occupied()
	if x.from == x.to {
		return
	}
	seen := &s.seen[from][tap]
	if g.repeat {
		r := t.TCP.retransmits(from)
		r.Packets++
		switch {
		case s.ends[from.peer()].has(x):
			r.Spurious++
		case seen.meets(x):
			r.LostAfter++
		default:
			r.LostBefore++
			if x.from >= seen.top() {
				r.Hidden++
			}
		}
	}
	*seen = seen.add(x)
}

// packet builds the IP packet as it is at a tap: each tap is one hop.
func (s *sim) packet(from Side, tap int, id uint16, g segment) []byte {
	src, dst := s.conn.Client, s.conn.Server
	if from == Server {
		src, dst = dst, src
	}
	tcp := TCP{SrcPort: src.Port(), DstPort: dst.Port(), Seq: s.ends[from].stack.ISN + uint32(g.seq), Flags: g.flags, Window: g.window, Options: g.options}
	if g.flags&ACK != 0 {
		tcp.Ack = s.ends[from.peer()].stack.ISN + uint32(g.ack)
	}
	return Build(ipLayer(src.Addr(), dst.Addr(), or(s.ends[from].stack.TTL, 64)-s.hops(from, tap), id), tcp, Payload(g.data))
}

// unreachable sends the router's answer to a SYN, from the server's end.
func (s *sim) unreachable(syn []byte) {
	c := s.conn
	var packet []byte
	if c.Client.Addr().Is6() {
		packet = Build(IPv6{Src: c.Router, Dst: c.Client.Addr()}, ICMPv6{Type: Unreachable6, Code: 3}, Payload(syn))
	} else {
		packet = Build(IPv4{Src: c.Router, Dst: c.Client.Addr(), ID: 1}, ICMP{Type: Unreachable, Code: HostUnreachable}, Quote(syn))
	}
	f := s.send(Server, AnyPacket, s.now)
	for tap := range s.taps {
		t, ok := s.passes(f, tap)
		if !ok {
			continue
		}
		s.at(t, func() {
			s.rec = append(s.rec, Recorded{s.now, tap, Server, packet})
			s.truth[tap].ICMPErrors++
		})
	}
	if t, ok := s.passes(f, s.far(Server)); ok {
		s.at(t, func() { s.ends[Client].fail("unreachable") })
	}
}

// outcome tells how the connection went, seen from a tap.
func (s *sim) outcome(tap int) string {
	t := s.truth[tap].TCP
	client := s.ends[Client]
	switch {
	case client.failure != "" && client.failure != "timeout":
		return client.failure
	case !client.established && t.SYNACKs > 0:
		return "half_open_timeout"
	case !client.established:
		return "timeout"
	case t.RSTs[Client]+t.RSTs[Server] > 0:
		return "reset"
	case client.failure != "" || s.ends[Server].failure != "":
		return "aborted_timeout"
	case t.FINs[Client] > 0 && t.FINs[Server] > 0:
		return "closed"
	}
	return "established"
}
