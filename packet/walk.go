package packet

import "encoding/binary"

// step is what the loop of Decode does next: the header that the octets at
// hand start with, or an end.
type step uint8

const (
	stop     step = iota // no packet: walk.skip tells why
	done                 // the Packet is complete
	declined             // only between a carrier and its tunnel: not what port or protocol suggest

	atEthernet
	atVLAN
	atMPLS
	atPPPoE
	atPPP
	atCiscoMetadata
	atNSH
	atIP // IPv4 or IPv6, the version field tells
	atIPv4
	atIPv6
	atProto // what walk.proto says, behind an IP header or an extension header
)

// walk is the state of one pass through the headers of a frame.
type walk struct {
	progress
	point PointKey // valid unless kind is NoTunnel; not cleared for each frame
}

// progress is the part of a walk that starts anew with each frame. The octets
// from the next header on are b; wire is how many there were on the wire, to
// the end of the innermost layer that knows its length. b is never longer than
// wire, and is shorter where the capture is cut.
type progress struct {
	b    []byte
	wire int

	time  int64
	iface uint32
	skip  Skip  // with step stop
	proto uint8 // of the octets at b, with atProto

	trimmed  bool // see trim; since the last IP header
	numbered bool // sequence holds the mirror's number of the frame
	sequence uint32
	lost     bool   // walking the rest of a packet that did not complete: no reassembly
	kind     Tunnel // of the observation point
	entered  uint8  // tunnels entered, listed or not
	gateway  uint8  // entered right inside a gateway load balancer's GENEVE that is the point so far; 0 none
	nInner   uint8
	inner    [3]uint32 // NetworkKey.Inner
	path     Path

	position uint64 // hash of the innermost Ethernet addresses and the tags behind them
	released uint64 // frames held so far whose packets completed within this frame
}

// fail ends the loop without a packet.
func (w *walk) fail(s Skip) step {
	w.skip = s
	return stop
}

// advance goes n octets on; the caller knows that they are captured.
func (w *walk) advance(n int) {
	w.b = w.b[n:]
	w.wire -= n
}

// clip ends the octets at hand after n: the layer at hand says that it is no
// longer, and what follows is padding or a trailer. A layer that claims more
// than there is was cut on its way; the layers inside know better.
func (w *walk) clip(n int) {
	if n < w.wire {
		w.wire = n
		if n < len(w.b) {
			w.b = w.b[:n]
		}
	}
}

// trim is clip for a length that the packet's own link header states, and that
// leaves octets of the frame over. An IP header inside that claims more is
// wrong: hosts cut the packet there.
func (w *walk) trim(n int) {
	w.trimmed = w.trimmed || n < w.wire
	w.clip(n)
}

// enter lists a tunnel.
func (w *walk) enter(t Tunnel) {
	if w.path.NTunnels < maxTunnels {
		w.path.Tunnels[w.path.NTunnels] = t
		w.path.NTunnels++
	}
	if w.entered < 255 {
		w.entered++
	}
}

// tag lists a VLAN id and puts it into the position.
func (w *walk) tag(vid uint16) {
	if w.path.NVLANs < maxVLANs {
		w.path.VLANs[w.path.NVLANs] = vid
		w.path.NVLANs++
	}
	w.position = tagPosition(w.position, vid)
}

// identify lists a tunnel of a kind that can name the observation point. The
// outermost one does (p holds its outer addresses), except that a gateway load
// balancer's GENEVE gives way to a VXLAN directly inside. The id of every
// further VXLAN and GENEVE goes to the network.
func (w *walk) identify(p *Packet, kind Tunnel, id uint32, cookies *Cookies) {
	switch {
	case w.kind == NoTunnel, w.gateway != 0 && w.gateway == w.entered && kind == VXLAN:
		w.kind = kind
		w.point = PointKey{Interface: w.iface, Kind: kind, ID: id, A: p.Src, B: p.Dst}
		if cookies != nil {
			w.point.Cookies = *cookies
		}
		p.Flags &^= OuterSwapped
		if less(&p.Dst, &p.Src) {
			w.point.A, w.point.B = p.Dst, p.Src
			p.Flags |= OuterSwapped
		}
		w.gateway = 0
		if cookies != nil && cookies.Class == classAWS {
			w.gateway = w.entered + 1
		}
	case kind == VXLAN || kind == VXLANGPE || kind == Geneve:
		if int(w.nInner) < len(w.inner) {
			w.inner[w.nInner] = id + 1
			w.nInner++
		}
	}
	w.enter(kind)
}

// less orders addresses bytewise.
func less(a, b *Addr) bool {
	ah, bh := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8])
	if ah != bh {
		return ah < bh
	}
	return binary.BigEndian.Uint64(a[8:]) < binary.BigEndian.Uint64(b[8:])
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// be24 reads a VNI or another field of 24 bits.
func be24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
