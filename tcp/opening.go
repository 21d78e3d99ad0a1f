package tcp

import "mirrorscope/packet"

// maxCopies of a SYN or SYN-ACK are kept with their times: the first and the
// latest. Linux sends a SYN seven times at most.
const maxCopies = 6

// stamp is the record time of one packet of the handshake, its TSval and
// TSecr, and the place on the path where it was recorded.
type stamp struct {
	t            int64
	tsval, tsecr uint32
	place        uint32
	hasTS        bool
}

// Opening holds the packets of a handshake until it is decided: the copies of
// the SYN and the SYN-ACK, and the ACK. It is needed only while that is open,
// so it lives apart from Conn.
type Opening struct {
	syn, synack   [1]stamp // the first copy
	ack           stamp
	more          uint32 // in the Store; 0 none
	nsyn, nsynack uint8
	ackData       bool // the first packet that covers the SYN-ACK carries data
	ackPlain      bool // it is an ACK of the next octet after the SYN, without data
}

// reopening is what few openings need: copies of what was sent again, and those
// of a simultaneous open.
type reopening struct {
	syn, synack [maxCopies - 1]stamp // but for the first copy
	peerSYN     stamp                // simultaneous open: the other side's SYN …
	peerSYNACK  stamp                // … and the client's SYN-ACK
}

// Release gives back what an opening holds in the store.
func (o *Opening) Release(st *Store) {
	if o.more != 0 {
		st.reopenings.Put(o.more)
		o.more = 0
	}
}

func (o *Opening) moreOf(st *Store) *reopening {
	if o.more == 0 {
		o.more = st.reopenings.GetZero()
	}
	return st.reopenings.At(o.more)
}

func newStamp(p *packet.Packet) (s stamp) {
	s.set(p)
	return s
}

func (s *stamp) set(p *packet.Packet) {
	s.t, s.tsval, s.tsecr, s.place, s.hasTS = p.Time, p.TCP.TSval, p.TCP.TSecr, place(p), p.TCP.Has&packet.HasTimestamps != 0
}

// place tells recording positions on one path apart: the link addresses and
// the TTL.
func place(p *packet.Packet) uint32 { return p.Position*31 + uint32(p.TTL) }

// push keeps the latest copies, of which there are n with the first.
func push(s *[maxCopies - 1]stamp, n *uint8, v stamp) {
	if int(*n) == maxCopies {
		copy(s[:], s[1:])
		s[maxCopies-2] = v
		return
	}
	s[*n-1] = v
	*n++
}

func (o *Opening) sawSYN(st *Store, c *Conn, p *packet.Packet, dir int) {
	switch {
	case int(c.client) != dir:
		if m := o.moreOf(st); m.peerSYN.t == 0 {
			m.peerSYN = newStamp(p)
		}
	case o.nsyn == 0:
		o.syn[0].set(p)
		o.nsyn = 1
	default:
		push(&o.moreOf(st).syn, &o.nsyn, newStamp(p))
	}
}

func (o *Opening) sawSYNACK(st *Store, c *Conn, p *packet.Packet, dir int) {
	switch {
	case int(c.client) == dir:
		if m := o.moreOf(st); m.peerSYNACK.t == 0 {
			m.peerSYNACK = newStamp(p)
		}
	case o.ack.t != 0:
		// Repeated although the ACK was recorded: the ACK was lost behind us, or the server waits for data.
	case o.nsynack == 0:
		o.synack[0].set(p)
		o.nsynack = 1
	default:
		push(&o.moreOf(st).synack, &o.nsynack, newStamp(p))
	}
}

// syns and synacks give the copies, the first and the latest. They may lie in
// room.
func (o *Opening) syns(st *Store, room *[maxCopies]stamp) []stamp {
	if o.nsyn <= 1 {
		return o.syn[:o.nsyn]
	}
	room[0] = o.syn[0]
	copy(room[1:], st.reopenings.At(o.more).syn[:])
	return room[:o.nsyn]
}

func (o *Opening) synacks(st *Store, room *[maxCopies]stamp) []stamp {
	if o.nsynack <= 1 {
		return o.synack[:o.nsynack]
	}
	room[0] = o.synack[0]
	copy(room[1:], st.reopenings.At(o.more).synack[:])
	return room[:o.nsynack]
}

// answered takes a packet of the client with ACK, if it is the first that can
// end the handshake.
func (o *Opening) answered(c *Conn, p *packet.Packet, dir int) {
	s, cl := &c.Dirs[1-dir], &c.Dirs[dir]
	switch {
	case s.has&hasISN != 0:
		if !s.plausible(p.TCP.Ack) {
			return
		}
	case cl.has&hasISN == 0 || p.TCP.Seq != cl.begin+1 || p.PayloadLen > 0:
		return // no SYN-ACK recorded: only the plain ACK behind the SYN is proof
	}
	o.ack.set(p)
	o.ackData = p.PayloadLen > 0 && p.TCP.Flags&packet.SYN == 0
	o.ackPlain = p.PayloadLen == 0 && (cl.has&hasISN == 0 || p.TCP.Seq == cl.begin+1 || cl.packets == 1 && p.TCP.Seq == uint32(cl.hi)) && (s.has&hasISN == 0 || p.TCP.Ack == s.begin+1)
	if o.nsyn == 1 && o.nsynack == 1 && c.flags&simultaneous == 0 {
		// Until data has shown better: what the halves are at most.
		cl.rtt.handshake = max(o.synack[0].t-o.syn[0].t, 0)
		if o.ackPlain {
			s.rtt.handshake = max(o.ack.t-o.synack[0].t, 0)
		}
	}
}

// Answered is the record time of the packet that ended the handshake, or 0.
func (o *Opening) Answered() int64 { return o.ack.t }

// Copy takes a mirror copy of a packet that was counted already. Times of one
// handshake must come from one place of the path; the place of a direction is
// where its first packet was recorded first. A copy from there replaces the
// time of one recorded elsewhere.
func (o *Opening) Copy(st *Store, c *Conn, p *packet.Packet, dir int) {
	if c.client < 0 {
		return
	}
	t := &p.TCP
	v := newStamp(p)
	fromClient := dir == int(c.client)
	var again *[maxCopies - 1]stamp
	switch {
	case t.Flags&(packet.SYN|packet.ACK) == packet.SYN && fromClient:
		if o.nsyn > 1 {
			again = &st.reopenings.At(o.more).syn
		}
		replace(&o.syn[0], again, int(o.nsyn), v)
	case t.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK && !fromClient:
		if o.nsynack > 1 {
			again = &st.reopenings.At(o.more).synack
		}
		replace(&o.synack[0], again, int(o.nsynack), v)
	case fromClient && o.ack.t != 0 && o.nsyn > 0 && o.ack.place != o.syn[0].place && v.place == o.syn[0].place &&
		o.ack.tsval == v.tsval && t.Flags&packet.ACK != 0 && (p.PayloadLen > 0) == o.ackData:
		o.ack = v
	}
}

// replace looks for the copy that v is another recording of: of n, the first and
// those that came again.
func replace(first *stamp, again *[maxCopies - 1]stamp, n int, v stamp) {
	pinned := first.place
	if v.place != pinned {
		return
	}
	for i := n - 1; i >= 0; i-- {
		s := first
		if i > 0 {
			s = &again[i-1]
		}
		if s.tsval == v.tsval && s.t <= v.t {
			if s.place != pinned {
				*s = v
			}
			return
		}
	}
}

// initialRTO is just below the smallest first retransmission timeout of a SYN
// in use (RFC 6298 section 2.1: 1 s). A half as long as that may have hidden
// a repeat whose original was lost before the observation point.
const initialRTO = 900e6

// Decided tells whether Result can be final before the end of the connection:
// nothing was repeated, or both halves have a base to judge repeats by.
func (o *Opening) Decided(c *Conn) bool {
	if o.ack.t == 0 {
		return false
	}
	if o.nsyn <= 1 && o.nsynack <= 1 {
		slow := o.ack.t-o.first() >= initialRTO
		return !slow || c.bases()
	}
	return c.bases()
}

func (o *Opening) first() int64 {
	if o.nsyn > 0 {
		return o.syn[0].t
	}
	return o.synack[0].t
}

// bases: both halves have a clean sample.
func (c *Conn) bases() bool {
	return c.Dirs[0].rtt.solid != 0 && c.Dirs[1].rtt.solid != 0
}

// Result computes the handshake's figures from what was recorded so far.
func (o *Opening) Result(st *Store, c *Conn) Handshake {
	h := Handshake{RTT: Absent, Client: Absent, Server: Absent, Setup: Absent, Connect: Absent, SYNs: c.SYNs(), SYNACKs: c.SYNACKs()}
	if c.client < 0 {
		h.Reasons = Midstream
		return h
	}
	if o.nsyn == 0 {
		h.Reasons |= Midstream
	}
	if o.ack.t != 0 && o.nsyn > 0 && o.ack.t >= o.syn[0].t {
		h.Setup = o.ack.t - o.syn[0].t
	}
	switch {
	case c.flags&simultaneous != 0:
		o.simultaneous(st, &h)
	case o.nsynack == 0 && o.ack.t == 0:
		// There is nothing but SYNs.
	case o.more == 0:
		o.halves(c, &h, o.syn[:o.nsyn], o.synack[:o.nsynack])
	default:
		var room [2][maxCopies]stamp
		o.halves(c, &h, o.syns(st, &room[0]), o.synacks(st, &room[1]))
	}
	return h
}

// halves fills in what the copies of the SYN and SYN-ACK tell.
func (o *Opening) halves(c *Conn, h *Handshake, syns, synacks []stamp) {
	client := c.client & 1
	server, toClient := &c.Dirs[client].rtt, &c.Dirs[client^1].rtt // client data until the server's ACK, and the other way round
	accepted, cst := o.pair(synacks, &o.ack, toClient, true, &h.Reasons)
	if accepted >= 0 {
		h.Client = o.ack.t - synacks[accepted].t
		if cst == Measured && !o.ackPlain {
			cst = Bounded // data may have waited for the application, and a later ACK for data
		}
	}
	sst := Unknown
	if o.nsynack > 0 && o.nsyn > 0 {
		// Any copy of the SYN-ACK serves; the first that has a proven SYN is taken.
		var why Reasons
		for i := range synacks {
			why = 0
			var syn int
			if syn, sst = o.pair(syns, &synacks[i], server, false, &why); syn >= 0 {
				h.Server = synacks[i].t - syns[syn].t
				break
			}
		}
		h.Reasons |= why
		if why&ClockStep != 0 {
			// The directions are skewed: what follows the SYN is too short, and the client's half is off by as much.
			h.Setup, h.Client = Absent, Absent
		}
	}
	switch {
	case h.Client >= 0 && h.Server >= 0:
		h.RTT = h.Client + h.Server
		h.State = max(cst, sst) // Measured, or Bounded by the client's half
		h.Reasons = 0
	case o.nsynack == 0 && o.nsyn == 1 && o.ackPlain && h.Setup >= 0:
		h.RTT, h.State, h.Reasons = h.Setup, Measured, 0 // one-sided: the sum is still whole
	case o.nsynack == 0 && o.nsyn > 0 && o.ack.t != 0:
		h.Reasons |= OneSided
		if o.nsyn > 1 {
			h.Reasons |= SYNRetransmitted
		}
	}
	if h.Client >= 0 && o.nsyn > 0 {
		if d := synacks[accepted].t - o.syn[0].t; d >= 0 {
			h.Connect = d + h.Client
		}
	}
}

// pair finds the copy that the answer answers. One copy before it needs no
// proof. Of several, TSecr names the one whose TSval the peer stored, which
// need not be the one it answers (Linux answers a repeated SYN with the first
// one's), so a copy counts only if TSecr names it or it is the nearest before,
// and if the half that follows fits the base that later data showed. echoes says
// that the answer echoes the very packet it answers: the client's ACK does.
func (o *Opening) pair(copies []stamp, answer *stamp, base *half, echoes bool, why *Reasons) (int, State) {
	n := 0
	for n < len(copies) && copies[n].t <= answer.t {
		n++
	}
	if answer.t == 0 || len(copies) == 0 {
		return -1, Unknown
	}
	if n == 0 {
		*why |= ClockStep // recorded behind its own answer
		return -1, Unknown
	}
	if n == 1 {
		if base.hides(answer.t - copies[0].t) {
			*why |= LostBeforeOP
			return -1, Unknown
		}
		return 0, Measured
	}
	nearest, found := n-1, -1
	if base.solid > 0 {
		for i := n - 1; i >= 0; i-- {
			named := answer.hasTS && copies[i].hasTS && copies[i].tsval == answer.tsecr
			if (named || i == nearest && !(echoes && answer.hasTS)) && base.fits(answer.t-copies[i].t) {
				if found >= 0 {
					found = -1 // two explanations
					break
				}
				found = i
			}
		}
	}
	if found < 0 {
		*why |= SYNRetransmitted
		return -1, Unknown
	}
	return found, Measured
}

// hides tells of the time between a packet and its answer, of which nothing is known to
// be missing, that something was lost: it is long, and samples are much shorter.
func (h *half) hides(ns int64) bool { return ns >= initialRTO && h.min > 0 && ns > max(2*h.min, 1e6) }

// simultaneous fills in the halves of a simultaneous open (RFC 9293 section
// 3.5): each SYN is answered by the other side's SYN-ACK.
func (o *Opening) simultaneous(st *Store, h *Handshake) {
	h.State = Ambiguous
	h.Reasons |= SimultaneousOpen
	if o.nsyn > 0 && o.nsynack > 0 && o.synack[0].t >= o.syn[0].t {
		h.Server = o.synack[0].t - o.syn[0].t
	}
	if o.more != 0 {
		if m := st.reopenings.At(o.more); m.peerSYN.t != 0 && m.peerSYNACK.t >= m.peerSYN.t {
			h.Client = m.peerSYNACK.t - m.peerSYN.t
		}
	}
	if h.Server >= 0 && h.Client >= 0 {
		h.RTT = h.Server + h.Client
	} else {
		h.State = Unknown
	}
}
