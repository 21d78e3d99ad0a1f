package packet

import (
	"encoding/binary"
	"math/bits"
)

// The straight way through the headers that nearly all frames have: Ethernet
// with one VLAN tag at most, IPv4 without options that is no fragment, TCP or
// UDP; and all of it once more inside VXLAN. It gives exactly what the loop of
// run gives, and leaves to that whatever is in any way unusual.

// Little-endian forms of EtherTypes, as they are loaded.
const (
	fastIPv4 = etherIPv4>>8 | etherIPv4&0xff<<8
	fastVLAN = etherVLAN>>8 | etherVLAN&0xff<<8
	fastQinQ = etherQinQ>>8 | etherQinQ&0xff<<8
)

// longestFast is up to how many octets a frame goes straight.
const longestFast = etherHeader + maxIPv4

// leastFast is the least number of octets that fast looks at: Ethernet, IPv4 and
// the header of UDP.
const leastFast = etherHeader + ipv4Header + udpHeader

// Where things stand in a frame without tags.
const (
	fastTOS       = etherHeader + 1
	fastIPID      = etherHeader + 4
	fastProto     = etherHeader + 9
	fastSrc       = etherHeader + 12 // both addresses
	fastTransport = etherHeader + ipv4Header
	fastSegment   = fastTransport + tcpHeader // options, or payload
	fastInside    = fastTransport + udpHeader + vxlanHeader
)

// The first 8 octets of an IPv4 header, as they are loaded: version and length
// of the header, and neither more fragments nor an offset.
const (
	fastIPMask = 0xff | 0xff3f<<48
	fastIPWant = 0x45
)

// The same with the EtherType in front, and with TCP behind.
const (
	fastTCPMask     = 0xffffff
	fastTCPWant     = fastIPv4 | fastIPWant<<16
	fastTCPMoreMask = 0xff00ff3f
	fastTCPMoreWant = ProtoTCP << 24
	fastUDPMoreWant = ProtoUDP << 24
)

// fastIDs are the ids of what fast met of late, found by a few words.
type fastIDs struct {
	direct Direct
	points [256]fastPoint
	paths  [64]fastPath
	port   uint16 // the latest by which VXLAN was found; 0 none
}

// Direct are the ids of what comes from an interface without tunnels and tags.
type Direct struct {
	from    uint64 // interface + 1; 0 where they are not known, or there are none
	point   PointID
	network NetworkID
	path    PathID
}

// fastPoint is the observation point that a VXLAN header in IPv4 makes.
type fastPoint struct {
	where uint64 // interface and VNI
	ends  uint64 // outer addresses, the lower one first
	ids   Direct // path is 0 until a frame without tags gave it
}

type fastPath struct {
	key fastPathKey
	id  PathID
}

// fastPathKey is a Path of VXLAN, or of nothing, with two tags at most:
// 0 without any; bit 31 VXLAN, bits 30 and 29 the number of tags, 24 bits VLAN
// ids, the outer one below.
type fastPathKey uint32

const (
	fastPathVXLAN fastPathKey = 1 << 31
	fastPathTag   fastPathKey = 1 << 29
)

func (k fastPathKey) tags() int { return int(k >> 29 & 3) }

// tag adds a VLAN id.
func (k fastPathKey) tag(vid uint16) fastPathKey {
	return (k | fastPathKey(vid)<<(12*k.tags())) + fastPathTag
}

func (k fastPathKey) path() (path Path) {
	if k&fastPathVXLAN != 0 {
		path.Tunnels[0], path.NTunnels = VXLAN, 1
	}
	for i := range k.tags() {
		path.VLANs[i] = uint16(k >> (12 * i) & 0xfff)
	}
	path.NVLANs = uint8(k.tags())
	return path
}

// outside is what fast has entered: a VXLAN header and the tags.
type outside struct {
	path  fastPathKey
	vni   uint32
	ends  uint64 // the outer addresses, the lower one first
	flags Flags  // OuterSwapped, if so
}

// fast reads a frame, of wire octets, into p, as Decode does. Where it gives
// false, what p holds is not valid, and the Decoder is as it was.
func (d *Decoder) fast(b []byte, wire int, iface uint32, time int64, p *Packet) bool {
	var out outside
	var position uint64
	for {
		if len(b) < leastFast {
			return false
		}
		tagged := false
		if tag := binary.LittleEndian.Uint16(b[12:]); tag == fastVLAN || tag == fastQinQ {
			vid := be16(b[14:]) & 0xfff
			out.path = out.path.tag(vid)
			tagged, position = true, tagPosition(ethernetPosition(b), vid)
			// What follows stands where it would without the tag.
			b, wire = b[4:], wire-4
			if len(b) < leastFast {
				return false
			}
		}
		if b[fastProto] == ProtoTCP {
			if !fastTCP(b, wire, time, &d.straight.direct, p) {
				return false
			}
		} else {
			inside := false
			if b, wire, inside = d.fastUDP(b, wire, &out, p); inside {
				continue
			}
			if b == nil {
				return false
			}
		}
		if tagged {
			p.Position = uint32(position>>32) | 1
		}
		p.Flags |= out.flags
		p.Time, p.Now = time, 0
		d.fastIDs(iface, &out, p)
		return true
	}
}

// fastVXLAN notes the VXLAN header behind UDP, if it proves itself and its VNI
// is no network of its own.
func (d *Decoder) fastVXLAN(b []byte, wire int, out *outside) bool {
	if wire < udpHeader+vxlanHeader+etherHeader || len(b) < fastInside {
		return false
	}
	h := (*[fastInside]byte)(b)
	x := be64(h[fastInside-vxlanHeader:])
	out.vni = uint32(x) >> 8
	if x>>32 != vxlanFlagI<<24 || x&0xff != 0 || len(d.ids.vnis) > 0 && d.ids.vnis[out.vni] != 0 {
		return false
	}
	out.path |= fastPathVXLAN
	ends := be64(h[fastSrc:])
	if swapped := bits.RotateLeft64(ends, 32); swapped < ends {
		ends = swapped
		out.flags = OuterSwapped
	}
	out.ends = ends
	return true
}

// Usual is Decode for the frame that most frames are, TCP in IPv4 right behind
// Ethernet, from an interface that such a frame was decoded from before. Where
// it gives false, p is not valid, and the frame is for Decode, as are all while
// the Decoder Holds fragments. wireLen is at least the length of data.
func (d *Decoder) Usual(data []byte, iface uint32, wireLen int, time int64, p *Packet) bool {
	return d.straight.direct.from == uint64(iface)+1 && fastTCP(data, wireLen, time, &d.straight.direct, p)
}

// Direct is what Usual knows of an interface, nil where it reads nothing from there. It
// is valid until the next Decode.
func (d *Decoder) Direct(iface uint32) *Direct {
	if d.straight.direct.from != uint64(iface)+1 {
		return nil
	}
	return &d.straight.direct
}

// Usual is that of the Decoder, for its interface.
func (c *Direct) Usual(data []byte, wireLen int, time int64, p *Packet) bool {
	return fastTCP(data, wireLen, time, c, p)
}

// UsualInside is Usual for such a frame in VXLAN, at a point that one was decoded at
// before.
func (d *Decoder) UsualInside(data []byte, iface uint32, wireLen int, time int64, p *Packet) bool {
	if len(data) < fastInside+fastSegment || wireLen > longestFast {
		return false
	}
	h := (*[fastInside]byte)(data)
	x, y := binary.LittleEndian.Uint64(h[12:]), binary.LittleEndian.Uint32(h[20:])
	v, c := be64(h[fastInside-vxlanHeader:]), &d.straight
	if x&fastTCPMask != fastTCPWant || y&fastTCPMoreMask != fastUDPMoreWant || v>>32 != vxlanFlagI<<24 || v&0xff != 0 ||
		be16(h[fastTransport+2:]) != c.port || be16(h[fastTransport:]) == gtpuPort || len(d.ids.vnis) > 0 {
		return false
	}
	total, length := int(bits.ReverseBytes16(uint16(x>>32))), int(be16(h[fastTransport+4:]))
	if length > total-ipv4Header || length < udpHeader+vxlanHeader+etherHeader {
		return false
	}
	ends, flags := be64(h[fastSrc:]), Flags(0)
	if swapped := bits.RotateLeft64(ends, 32); swapped < ends {
		ends, flags = swapped, OuterSwapped
	}
	where := uint64(iface)<<32 | uint64(uint32(v)>>8)
	slot := c.place(where, ends)
	if slot.ids.path == 0 || slot.where != where || slot.ends != ends {
		return false
	}
	if !fastTCP(data[fastInside:min(len(data), fastTransport+length)], length-udpHeader-vxlanHeader, time, &slot.ids, p) {
		return false
	}
	p.Flags |= flags
	return true
}

// UsualPoint is the observation point of the packets that Usual gives, 0 where
// there are none yet.
func (d *Decoder) UsualPoint() PointID { return d.straight.direct.point }

// fastTCP reads TCP in IPv4 right behind Ethernet into p, if all headers are
// there. wire is at least the length of b.
func fastTCP(b []byte, wire int, time int64, ids *Direct, p *Packet) bool {
	if len(b) < fastSegment || wire > longestFast {
		return false
	}
	h := (*[fastSegment]byte)(b)
	x, y := binary.LittleEndian.Uint64(h[12:]), binary.LittleEndian.Uint32(h[20:])
	// x holds EtherType, version, TOS, length and IPID, y fragments, TTL and protocol.
	if x&fastTCPMask != fastTCPWant || y&fastTCPMoreMask != fastTCPMoreWant {
		return false
	}
	z := be64(h[fastTransport+12:]) // the length of the header and flags, window, checksum
	length := bits.ReverseBytes16(uint16(x >> 32))
	end, flags := etherHeader+int(length), HasMAC
	captured := end // octets of the frame that belong to the IP packet
	if len(b) < end {
		captured = len(b)
		flags |= Truncated
	}
	head := int(z>>60) << 2
	behind := fastTransport + head
	if head < tcpHeader || behind > captured {
		return false
	}
	if behind < captured {
		p.Payload = b[behind:captured]
	} else {
		p.Payload = nil
	}
	octets := uint64(length) | uint64(end-behind)<<32
	p.IPLen, p.PayloadLen = uint32(octets), uint32(octets>>32)
	t := &p.TCP
	numbers := bits.RotateLeft64(be64(h[fastTransport+4:]), 32)
	t.Seq, t.Ack = uint32(numbers), uint32(numbers>>32)
	z &= 0x1ff<<48 | 0xffffffff<<16
	t.MSS, t.Checksum, t.Window, t.Flags = uint16(z), uint16(z>>16), uint16(z>>32), uint16(z>>48)
	stamps, lengths := uint64(0), uint32(head)<<24
	if head == tcpHeader+12 && be32((*[fastSegment + 12]byte)(b)[fastSegment:]) == wordTimestamps {
		stamps = bits.RotateLeft64(be64((*[fastSegment + 12]byte)(b)[fastSegment+4:]), 32)
		lengths |= uint32(HasTimestamps) << 16
	}
	t.TSval, t.TSecr = uint32(stamps), uint32(stamps>>32)
	if t.NumSACK != 0 { // of the packet before; else they are zero, and in a cache line that need not come
		t.SACK = [4]SACK{}
	}
	t.WScale, t.NumSACK, t.Has, t.HeaderLen = uint8(lengths), uint8(lengths>>8), TCPOptions(lengths>>16), uint8(lengths>>24)
	t.FastOpenBytes = 0
	if head > tcpHeader && lengths&0xffffff == 0 && !t.options(b[fastSegment:behind]) {
		flags |= OptionsUnknown
	}
	p.Flags, p.Checksum, p.Weight = flags, 0, 0
	p.Time, p.Now = time, 0
	p.Point, p.Network, p.Path = ids.point, ids.network, ids.path
	p.Words.set(binary.LittleEndian.Uint64(h[fastSrc:]), bits.RotateLeft32(be32(h[fastTransport:]), 16),
		uint64(be16(h[fastIPID:]))|z>>16&^0xffff, z>>48&uint64(oddFlags)|(uint64(h[fastTOS])&3+1)&4<<1)
	fastIP((*[leastFast]byte)(b), p)
	return true
}

// fastUDP reads UDP in IPv4 right behind Ethernet into p, all but time and ids;
// or it steps into VXLAN: then inside is set, and what is left is the frame in
// there. What it cannot read leaves nil.
func (d *Decoder) fastUDP(b []byte, wire int, out *outside, p *Packet) (left []byte, wireLeft int, inside bool) {
	h := (*[leastFast]byte)(b)
	x := binary.LittleEndian.Uint64(h[etherHeader:]) // the first 8 octets of the IP header
	total := int(bits.ReverseBytes16(uint16(x >> 16)))
	if binary.LittleEndian.Uint16(h[12:]) != fastIPv4 || x&fastIPMask != fastIPWant || h[fastProto] != ProtoUDP ||
		total < ipv4Header+udpHeader || wire > longestFast {
		return nil, 0, false
	}
	flags := HasMAC
	if end := etherHeader + total; len(b) >= end {
		b = b[:end]
	} else {
		flags |= Truncated
	}
	wire = total - ipv4Header
	length := int(be16(h[fastTransport+4:]))
	if length < udpHeader || length > wire {
		return nil, 0, false
	}
	if length < wire {
		wire = length
		b = b[:min(len(b), fastTransport+length)]
	}
	port := be16(h[fastTransport+2:])
	if d.ports.bits[port>>6]&(1<<(port&63)) != 0 || be16(h[fastTransport:]) == gtpuPort {
		if out.path&fastPathVXLAN != 0 || d.ports.kind(port) != VXLAN || !d.fastVXLAN(b, wire, out) {
			return nil, 0, false
		}
		d.straight.port = port
		return b[fastInside:], wire - udpHeader - vxlanHeader, true
	}
	p.TCP = TCP{}
	p.Checksum = be16(h[fastTransport+6:])
	p.PayloadLen = uint32(wire - udpHeader)
	p.Payload = nil
	if len(b) > leastFast {
		p.Payload = b[leastFast:]
	}
	p.Flags = flags
	p.Words = Words{}
	p.IPLen, p.Weight = uint32(total), 0
	fastIP(h, p)
	return b, wire, false
}

// fastIP fills in what the headers of Ethernet and IPv4 say, but for lengths, and the
// ports.
func fastIP(h *[leastFast]byte, p *Packet) {
	src, dst := binary.LittleEndian.Uint32(h[fastSrc:]), binary.LittleEndian.Uint32(h[fastSrc+4:])
	setMapped(&p.Src, src)
	setMapped(&p.Dst, dst)
	ports := bits.RotateLeft32(be32(h[fastTransport:]), 16)
	ends := uint64(ports) | uint64(h[fastProto])<<32 | 4<<40 | uint64(h[fastProto-1])<<48 | uint64(h[fastTOS])<<56
	p.SrcPort, p.DstPort = uint16(ends), uint16(ends>>16)
	p.Proto, p.Version, p.TTL, p.TOS = uint8(ends>>32), uint8(ends>>40), uint8(ends>>48), uint8(ends>>56)
	p.IPID = be16(h[fastIPID:])
	p.Kind, p.ICMPType, p.ICMPCode, p.DF = 0, 0, 0, h[fastIPID+2]&0x40 != 0
	p.Position = uint32(ethernetPosition(h[:])>>32) | 1
	p.Hash = combine(mix4(src, uint64(ports&0xffff)), mix4(dst, uint64(ports>>16)), h[fastProto], 0)
}

// fastIDs fills in the ids, of a frame that is sure to give a packet: asking for
// them counts where there are no more.
func (d *Decoder) fastIDs(iface uint32, out *outside, p *Packet) {
	c := &d.straight
	if out.path&fastPathVXLAN == 0 {
		p.Point, p.Network = d.ifaceID(iface), d.bareID()
		p.Path = c.pathID(d, out.path)
	} else {
		slot := c.point(d, iface, out, p.Time)
		p.Point, p.Network = slot.ids.point, slot.ids.network
		if p.Path = c.pathID(d, out.path); out.path == fastPathVXLAN {
			slot.ids.path = p.Path
		}
	}
	if out.path == 0 && p.Point != 0 && p.Network != 0 && p.Path != 0 {
		c.direct = Direct{uint64(iface) + 1, p.Point, p.Network, p.Path}
	}
}

// setMapped writes an IPv4 address, loaded as little-endian, in its mapped form.
func setMapped(a *Addr, ip uint32) {
	binary.LittleEndian.PutUint64(a[:8], 0)
	binary.LittleEndian.PutUint64(a[8:], 0xffff_0000|uint64(ip)<<32)
}

// place is where the ids of the point lie that a VXLAN header makes.
func (c *fastIDs) place(where, ends uint64) *fastPoint {
	return &c.points[(where*positionPrime^ends)*positionPrime>>56]
}

// point gives the ids of the point that a VXLAN header makes, and of the network
// that what is mirrored there is in.
func (c *fastIDs) point(d *Decoder, iface uint32, out *outside, time int64) *fastPoint {
	where, ends := uint64(iface)<<32|uint64(out.vni), out.ends
	slot := c.place(where, ends)
	if slot.ids.point == 0 || slot.where != where || slot.ends != ends {
		k := PointKey{Interface: iface, Kind: VXLAN, ID: out.vni}
		setMapped(&k.A, bits.ReverseBytes32(uint32(ends>>32)))
		setMapped(&k.B, bits.ReverseBytes32(uint32(ends)))
		*slot = fastPoint{where: where, ends: ends}
		slot.ids.point = d.pointID(k)
		if vni := d.networkVNI(&k, slot.ids.point, out.flags&OuterSwapped != 0, time); vni != 0 {
			slot.ids.network = d.names.networkID(&NetworkKey{VNI: vni})
		} else {
			slot.ids.network = d.bareID()
		}
	}
	return slot
}

func (c *fastIDs) pathID(d *Decoder, k fastPathKey) PathID {
	if k == 0 {
		return d.directID()
	}
	slot := &c.paths[uint32(k)*0x9e3779b1>>26]
	if slot.id == 0 || slot.key != k {
		path := k.path()
		*slot = fastPath{k, d.names.pathID(&path)}
	}
	return slot.id
}
