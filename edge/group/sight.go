package group

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// sight is a connection at one point.
type sight struct {
	flow   uint64 // flow.Record.ID
	point  packet.PointID
	told   sparse // all its intervals, by direction
	traits        // by direction
	source flow.DirectionSource
	client int    // direction in which the client sends
	id     string // of the row of its latest interval …
	of     naming // … which follows from this …
	knew   known  // … and this

	partial     bool // it found no place before
	established bool
	open        bool           // … when the input ended
	over        bool           // its record has come
	resolved    bool           // it is known what of it counts …
	counts      [numParts]bool // … and that is this

	active      bool  // in the running interval …
	first, last int64 // … from and to when there were packets
	proto       uint8
	spoke       rowFlags
	states      [2]tcp.State // of what each direction sent again
	heard       []heard
}

// naming is what of a record the values of its row follow from, beside its point and
// protocol.
type naming struct {
	ends    [2]flow.Endpoint
	at      int64
	network packet.NetworkID
	version uint8
}

// heard is what an interval tells beside its counts.
type heard struct {
	client       int // direction
	handshake    tcp.Handshake
	hasHandshake bool
	timed
	tls *session.TLS
	dns *dnsmeta.Info
}

// add takes an interval of a sight. Its counts are changes by role: where the roles
// are others than before, to what was told in the other role.
func (s *sight) add(k *edge.Tuple, r *flow.Record, whole, delta *sums) {
	sumsOf(r, delta)
	*whole = sums{}
	s.told.addTo(whole)
	if s.client == 1 {
		whole.swap()
	}
	whole.add(delta)
	client := k.Client(r)
	if client == 1 {
		whole.swap()
	}
	s.told = whole.pack(s.told)
	x := traitsOf(r)
	s.begun, s.dns = x.begun, s.dns || x.dns
	s.bear()
	s.knows(client, &x)
	s.client, s.source, s.established, s.proto = client, r.Direction, r.Established, r.Proto
	for role := range s.states {
		s.states[role^client] = tcp.Unknown
		if r.HasTCP {
			s.states[role^client] = r.TCP.Sides[role].Retransmits.State
		}
	}
	first := max(r.Start, r.IntervalStart)
	if !s.active {
		s.active, s.first, s.last = true, first, r.End
	}
	s.first, s.last = min(s.first, first), max(s.last, r.End)
	if r.HTTP != nil {
		s.spoke |= spokeHTTP
	}
	if r.DNS != nil {
		s.spoke |= spokeDNS
	}
	h := heard{client: client, timed: timesOf(r), tls: r.TLS, dns: r.DNS}
	if r.HasHandshake && r.Handshake.State == tcp.Measured {
		h.handshake, h.hasHandshake = r.Handshake, true
	}
	if h.hasHandshake || h.dist != nil || h.few.Len() > 0 || h.tls != nil || h.dns != nil {
		s.heard = append(s.heard, h)
	}
}

// bear makes it a connection of its own, unless it counted as one before it was
// followed.
func (s *sight) bear() {
	if !s.partial {
		s.born = max(s.born, 1)
	}
}

// knows notes what is known of each direction.
func (s *sight) knows(client int, x *traits) {
	for role := range x.told {
		s.traits.told[role^client] = x.told[role]
	}
}

// says tells whether anything was said.
func (h *heard) says() bool { return h.tls != nil || h.dns != nil }

// halves is how many halves of the round trip were sampled.
func (h *heard) halves() (n int) {
	var half [2]bool
	if d := h.dist; d != nil {
		for i := range d.RTT {
			half[i] = d.RTT[i] != nil || d.Delayed[i] != nil
		}
	}
	for i := range h.few.Len() {
		if what, _ := h.few.At(i); what != tcp.TimedThink {
			half[what/2] = true
		}
	}
	for _, is := range half {
		if is {
			n++
		}
	}
	return n
}
