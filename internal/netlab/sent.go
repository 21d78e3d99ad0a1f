package netlab

import "net/netip"

// Sent is one TCP packet that a host sent, with what became of it.
type Sent struct {
	N       int       // index in Result.Sent
	From    Direction //
	Time    int64     // ns since the Unix epoch
	Client  netip.AddrPort
	Server  netip.AddrPort
	Kind    Kind
	Flags   uint8
	Pos     int64 // of its first octet in the sender's sequence space, 64 bits; the SYN is 0
	Space   int64 // octets of sequence space: payload, SYN and FIN
	Len     int   // octets of payload
	Ack     int64 // position in the other side's space that it acknowledges; -1: no ACK
	Window  uint16
	Attempt int              // 1, or one more than the packets before that carried its first octet
	Repeat  int64            // octets of sequence space that were sent before
	Passed  [numTaps][]int64 // when it passed each tap; more than once when the network made copies
}

// Delivered tells whether a copy arrived at the other host.
func (s *Sent) Delivered() bool { return len(s.Passed[s.receiver()]) > 0 }

// receiver is the tap at the host that the packet is for.
func (s *Sent) receiver() Tap {
	if s.From == FromClient {
		return ServerTap
	}
	return ClientTap
}

// Repeated tells whether the host counts the packet as a retransmission: most
// of it was sent before.
func (s *Sent) Repeated() bool { return s.Repeat > 0 && 2*s.Repeat >= s.Space }

// flowKey names a connection.
type flowKey struct{ client, server netip.AddrPort }

// sender follows the sequence numbers of both ends of a connection as they are
// sent, which is in order and complete.
type sender struct {
	ends [2]struct {
		known bool
		first uint32 // sequence number at position 0
		high  int64  // end of what was sent
		sent  []*Sent
	}
}

// note puts down a packet that the host of direction d has just sent.
func (n *network) note(d Direction, h *header) *Sent {
	s := &Sent{N: len(n.sent), From: d, Kind: h.kind(), Flags: h.flags, Len: h.payload, Space: h.space(), Window: h.window, Attempt: 1, Ack: -1}
	s.Client, s.Server = h.src, h.dst
	if d == FromServer {
		s.Client, s.Server = h.dst, h.src
	}
	key := flowKey{s.Client, s.Server}
	f := n.senders[key]
	if f == nil {
		f = &sender{}
		n.senders[key] = f
	}
	own, other := &f.ends[d], &f.ends[1-d]
	if !own.known {
		own.known, own.first = true, h.seq
	}
	s.Pos = unwrap(own.first, h.seq, own.high)
	if h.flags&ack != 0 && other.known {
		s.Ack = unwrap(other.first, h.ack, other.high)
	}
	if s.Kind == ACK && own.high > 1 && s.Pos == own.high-1 {
		s.Kind = Probe
	}
	if s.Space > 0 {
		var before intervals
		for _, o := range own.sent {
			if o.Pos < s.Pos+s.Space && s.Pos < o.Pos+o.Space {
				before.add(o.Pos, o.Pos+o.Space)
				if o.Pos <= s.Pos {
					s.Attempt++
				}
			}
		}
		s.Repeat = before.within(s.Pos, s.Pos+s.Space)
		own.sent = append(own.sent, s)
		own.high = max(own.high, s.Pos+s.Space)
	}
	n.sent = append(n.sent, s)
	return s
}

// unwrap gives the position of sequence number seq, next to near.
func unwrap(first, seq uint32, near int64) int64 {
	return near + int64(int32(seq-first-uint32(near)))
}
