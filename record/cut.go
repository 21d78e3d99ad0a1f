package record

import (
	"encoding/binary"

	"mirrorscope/capture"
	"mirrorscope/packet"
)

// maxHeaders bounds the headers of one frame, in octets. A mirrored packet of real
// networks has less than 300; IPv6 extension headers may hold anything.
const maxHeaders = 2048

// cutter finds where the headers of a frame end. It looks with a decoder of its
// own, so that nothing of this package knows how any header is built: the headers
// end where the shortest part of the frame ends that gives the same packet.
type cutter struct {
	decoder *packet.Decoder
	whole   packet.Packet // of the whole frame
	part    packet.Packet // … of its beginning
	first   packet.Packet // what a first fragment is of its packet …
	isFirst bool          // … if the latest fragment was one
	uncut   []byte        // scratch
	guess   int           // where the latest headers ended
}

func newCutter(c packet.Config) *cutter {
	return &cutter{decoder: packet.NewDecoder(c, new(packet.Names))}
}

// decode reads the first n octets of a frame, as if the capture had cut it there.
func (x *cutter) decode(f *capture.Frame, n int, p *packet.Packet) packet.Skip {
	s := x.decoder.Decode(f.Data[:n], uint16(f.Link), 0, f.WireLen, f.Time, p)
	if s == packet.Held || p.Flags&packet.Reassembled != 0 {
		x.decoder.Flush() // each look is the first one
	}
	return s
}

// headers gives the octets of a frame in front of the payload of the packet that
// it gave, in which no fragment had a part.
func (x *cutter) headers(f *capture.Frame, p *packet.Packet) int {
	if n, ok := within(f.Data, p.Payload); ok {
		switch p.Proto {
		case packet.ProtoICMP, packet.ProtoICMPv6:
			n += quoted(p)
		case packet.ProtoGRE: // one that is not looked into, as PPTP's
			n = max(n, min(x.shortest(f), n+maxGRE))
		}
		return min(n, maxHeaders)
	}
	return min(x.shortest(f), maxHeaders)
}

// maxGRE is the longest header of GRE (RFC 2637 section 4.1, RFC 2890).
const maxGRE = 16

// within tells where in data a payload begins that aliases it.
func within(data, payload []byte) (at int, ok bool) {
	at = cap(data) - cap(payload)
	if len(payload) == 0 || at < 0 || at+len(payload) > len(data) || &data[at] != &payload[0] {
		return 0, false
	}
	return at, true
}

// shortest gives the shortest part of a frame that gives the same packet: there is
// no payload, or it was not captured, and what is behind the headers is padding.
func (x *cutter) shortest(f *capture.Frame) int {
	if x.decode(f, len(f.Data), &x.whole) != packet.OK {
		return 0 // another decoder read it: of this frame nothing is known
	}
	return x.search(len(f.Data), func(n int) bool {
		return x.decode(f, n, &x.part) == packet.OK && same(&x.part, &x.whole)
	})
}

// search gives the smallest n up to most for which it is enough. most is, and what
// is more than enough is enough.
func (x *cutter) search(most int, enough func(int) bool) int {
	if most == 0 || !enough(most-1) {
		return most // without padding
	}
	low, high := -1, most-1 // not enough; enough
	if g := x.guess; 0 < g && g < high {
		if enough(g) {
			high = g
			if !enough(g - 1) {
				return g
			}
		} else {
			low = g
		}
	}
	for high-low > 1 {
		if n := low + (high-low)/2; enough(n) {
			high = n
		} else {
			low = n
		}
	}
	x.guess = high
	return high
}

// same tells whether two packets have the same headers.
func same(a, b *packet.Packet) bool {
	const cut = packet.Truncated
	return a.Flags&^cut == b.Flags&^cut && a.Proto == b.Proto && a.Version == b.Version && a.IPLen == b.IPLen && a.PayloadLen == b.PayloadLen &&
		a.Src == b.Src && a.Dst == b.Dst && a.SrcPort == b.SrcPort && a.DstPort == b.DstPort && a.Kind == b.Kind &&
		a.ICMPType == b.ICMPType && a.ICMPCode == b.ICMPCode && a.Checksum == b.Checksum && a.TCP == b.TCP
}

// quoted gives the octets of the headers that an ICMP error quotes, at the start of
// its payload: without them nobody knows which connection it is about.
func quoted(p *packet.Packet) int {
	var q packet.Quote
	if p.Kind != packet.ICMPOther || p.ICMPType == redirect6 || !packet.ParseQuote(p, &q) {
		return 0
	}
	b := p.Payload // ParseQuote has seen the whole IP header
	n, proto := 40, b[6]
	if p.Version == 4 {
		n, proto = int(b[0]&0xf)<<2, b[9]
		if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return n // a later fragment: what follows is payload
		}
	}
	switch proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP, packet.ProtoICMP, packet.ProtoICMPv6:
		n += quotedTransport
	}
	return min(n, len(b))
}

// redirect6 is ICMPv6's redirect: its quote is an option behind others (RFC 4861
// section 4.5), and tells nothing of a connection.
const redirect6 = 137

// quotedTransport is how much of a transport header is kept of a quote: ports and
// what else is in the first 8 octets, in which no transport has payload.
const quotedTransport = 8
