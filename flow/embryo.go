package flow

import (
	"encoding/binary"
	"math/bits"

	"mirrorscope/packet"
	"mirrorscope/pool"
)

// embryo is a connection of which nothing was recorded but one SYN: that
// packet, as small as it gets. A flood of SYNs makes them by the million. Whatever
// happens to the connection next, its end or another packet than the answer that
// gives it a youth, first hatches it: a flow begins, and takes the SYN as it would
// have done then. So a record does not depend on whether its flow ever was one.
type embryo struct {
	time               int64
	hosts              uint64 // addresses, the source in the lower half; written and read at once, as that is all that does not wait
	where              uint64 // packet.PointID, and above it packet.NetworkID
	ports              uint32 // likewise
	path               packet.PathID
	position           uint32
	behind             uint32 // ns from time to the input's clock then; the number of its youth, if it isGrown
	seq, tsval         uint32
	window, mss        uint16
	ipid               uint16
	flags              packet.Flags
	tcpFlags           uint16 // and above synFlagBits the options that it has
	place              uint16 // slot of the wheel; above slotBits the length of the TCP header in words, and upperBit
	ipLen              uint8
	wscale, ttl, trafc uint8
}

const (
	synFlagBits = 9
	slotBits    = 10
	upperBit    = 15          // of embryo.place: the client is the upper end of the key
	perEmbryo   = 64 + 8 + 24 // octets, with link and slot in the index
)

func (e *embryo) src() uint32               { return uint32(e.hosts) }
func (e *embryo) dst() uint32               { return uint32(e.hosts >> 32) }
func (e *embryo) srcPort() uint16           { return uint16(e.ports) }
func (e *embryo) dstPort() uint16           { return uint16(e.ports >> 16) }
func (e *embryo) point() packet.PointID     { return packet.PointID(e.where) }
func (e *embryo) network() packet.NetworkID { return packet.NetworkID(e.where >> 32) }

// mapped is in front of an IPv4 address in a packet.Addr, as two words.
const mapped = 0xffff_0000

// conceives tells whether a SYN can be an embryo.
func conceives(p *packet.Packet) bool {
	c := &p.TCP
	w := func(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
	src, dst := w(p.Src[8:]), w(p.Dst[8:])
	behind := uint64(p.Now) - uint64(p.Time)
	switch {
	case c.Flags&(packet.SYN|packet.ACK|packet.RST|packet.FIN) != packet.SYN || c.Flags>>synFlagBits != 0,
		p.Version != 4 || w(p.Src[:])|w(p.Dst[:]) != 0 || uint32(src) != mapped || uint32(dst) != mapped,
		p.Flags&(packet.HeaderCut|packet.BadHeader|packet.PortsUnknown) != 0 || p.Kind|p.ICMPType|p.ICMPCode != 0 || p.Weight != 0,
		p.PayloadLen != 0 || p.IPLen > 255 || c.HeaderLen&3 != 0 || behind > 1<<32-1,
		c.Ack != 0 || c.TSecr != 0 || c.NumSACK != 0 || c.FastOpenBytes != 0 || c.Has&(packet.HasSACK|packet.HasFastOpen) != 0:
		return false
	}
	return true
}

// set makes e that of a SYN which conceives.
func (e *embryo) set(p *packet.Packet) {
	c := &p.TCP
	src, dst := uint32(word(p.Src[8:])>>32), uint32(word(p.Dst[8:])>>32)
	e.time, e.hosts, e.ports = p.Time, uint64(src)|uint64(dst)<<32, uint32(p.SrcPort)|uint32(p.DstPort)<<16
	e.where, e.path, e.position, e.behind = uint64(p.Point)|uint64(p.Network)<<32, p.Path, p.Position, uint32(p.Now-p.Time)
	e.seq, e.tsval, e.window, e.mss, e.ipid, e.flags = c.Seq, c.TSval, c.Window, c.MSS, p.IPID, p.Flags
	e.tcpFlags = c.Flags | uint16(c.Has)<<synFlagBits
	e.place = uint16(c.HeaderLen>>2)<<slotBits | upper(src, dst, p.SrcPort, p.DstPort)
	e.ipLen, e.wscale, e.ttl, e.trafc = uint8(p.IPLen), c.WScale, p.TTL, p.TOS
}

// syn gives back the packet, but for what only the memory of copies asks for:
// its hash, checksum and DF.
func (e *embryo) syn(p *packet.Packet) {
	*p = packet.Packet{}
	setAddress(&p.Src, e.src())
	setAddress(&p.Dst, e.dst())
	p.Time, p.Now, p.SrcPort, p.DstPort, p.Proto, p.Version = e.time, e.seen(), e.srcPort(), e.dstPort(), packet.ProtoTCP, 4
	p.TTL, p.TOS, p.Point, p.Network, p.Path, p.Position = e.ttl, e.trafc, e.point(), e.network(), e.path, e.position
	p.IPLen, p.IPID, p.Flags = uint32(e.ipLen), e.ipid, e.flags&^(isGrown|isUnpaired|isQuiet|toldSYN)
	c := &p.TCP
	c.Seq, c.TSval, c.Window, c.MSS, c.WScale = e.seq, e.tsval, e.window, e.mss, e.wscale
	c.Flags, c.Has, c.HeaderLen = e.tcpFlags&(1<<synFlagBits-1), packet.TCPOptions(e.tcpFlags>>synFlagBits), uint8(e.place>>slotBits&15)<<2
}

func address(v4 uint32) (a packet.Addr) {
	setAddress(&a, v4)
	return a
}

// setAddress is address in place: what is copied right behind two stores waits until they, and all
// before them, have left the core.
func setAddress(a *packet.Addr, v4 uint32) {
	binary.LittleEndian.PutUint64(a[:8], 0)
	binary.LittleEndian.PutUint64(a[8:], mapped|uint64(v4)<<32)
}

// upper has upperBit, for embryo.place, if the source comes behind the destination in a key.
func upper(src, dst uint32, srcPort, dstPort uint16) uint16 {
	_, less := bits.Sub64(uint64(bits.ReverseBytes32(dst))<<16|uint64(dstPort), uint64(bits.ReverseBytes32(src))<<16|uint64(srcPort), 0)
	return uint16(less) << upperBit
}

// four is its key. There is no branch: nobody can guess who is the client.
func (e *embryo) four() key4 {
	turn := int(e.place >> upperBit)
	return key4{bits.RotateLeft64(e.hosts, turn<<5), uint64(bits.RotateLeft32(e.ports, turn<<4)) | packet.ProtoTCP<<32, e.where}
}

func (e *embryo) key() (k Key) {
	e.setKey(&k)
	return k
}

// setKey is key in place, like setAddress.
func (e *embryo) setKey(k *Key) {
	four := e.four()
	setAddress(&k.A, uint32(four.hosts))
	setAddress(&k.B, uint32(four.hosts>>32))
	k.PortA, k.PortB, k.Proto, k.Kind = uint16(four.ends), uint16(four.ends>>16), packet.ProtoTCP, 0
	k.Point, k.Network = e.point(), e.network()
}

// has tells whether its key is k.
func (e *embryo) has(k *Key) bool {
	a, b := word(k.A[8:]), word(k.B[8:])
	if word(k.A[:8])|word(k.B[:8])|uint64((uint32(a)^mapped)|(uint32(b)^mapped)) != 0 || k.Point != e.point() || k.Network != e.network() || k.Proto|k.Kind != packet.ProtoTCP {
		return false
	}
	src, dst := uint64(e.src())<<16|uint64(e.srcPort()), uint64(e.dst())<<16|uint64(e.dstPort())
	x, y := a>>32<<16|uint64(k.PortA), b>>32<<16|uint64(k.PortB)
	return src == x && dst == y || src == y && dst == x
}

// side tells which side of the connection sends in direction dir of a key, the client
// being 0; other if its key is another one.
func (e *embryo) side(four *key4, dir uint8) uint8 {
	if e.four() != *four {
		return other
	}
	return dir ^ uint8(e.place>>upperBit)
}

const other = 2

// seen is the input's clock when the SYN came.
func (e *embryo) seen() int64 {
	if e.grown() {
		return e.time // else it would not have
	}
	return e.time + int64(e.behind)
}

func (e *embryo) slot() int { return int(e.place & (1<<slotBits - 1)) }

func (e *embryo) setSlot(i int) { e.place = e.place&^(1<<slotBits-1) | uint16(i) }

// conceive keeps the first packet of a connection as a seed or an embryo, if it can
// be one. met tells that a flow of its 5-tuple is watched: then, and where there are
// intervals beside who watches, each packet is told of at once.
func (t *Table) conceive(h uint64, p *packet.Packet, met bool) bool {
	if t.sow(p, h, uint64(len(t.index.slots))) {
		return true
	}
	if met || t.watcher != nil && t.cfg.Interval > 0 || t.fullGrown || p.Now != t.now || t.flows.embryos.live+len(t.gone) >= maxNumbers {
		return false
	}
	if !conceives(p) {
		return false
	}
	t.makeRoom(perEmbryo)
	n := t.flows.embryos.get() | isEmbryo
	t.flows.embryo(n).set(p)
	t.index.insert(h, n)
	t.wheels[halfOpen].add(n, &t.flows)
	if t.watcher != nil {
		t.isolate(n, t.flows.embryo(n), p)
	}
	return true
}

// taken is how many octets are reckoned for an embryo or a seed. A seed gives nothing
// back but with its row.
func (t *Table) taken(n uint32) int64 {
	if seedling(n) {
		return 0
	}
	octets := int64(perEmbryo)
	if e := t.flows.embryo(n); e.grown() {
		octets += int64(youthUnits(e.behind)) * pool.Unit
	}
	return octets
}

// hatch makes an embryo or a seed a flow, which has taken all its packets. It takes
// over the place in the wheel, unless the embryo has left that.
func (t *Table) hatch(n uint32, inWheel bool) uint32 {
	if inWheel {
		t.roomFor(n, t.perFlow-t.taken(n))
	}
	var scratch embryo
	e := t.embryo(n, &scratch)
	m := t.flows.get()
	t.index.replace(e.hash(t.secret), n, m)
	f := t.flows.at(m)
	if e.unpaired() {
		t.meet(n, e)
		t.telling, t.clock = m+1, t.now
		t.relive(e, f)
		t.telling = 0
		t.watcher.Told()
	} else {
		t.relive(e, f)
	}
	if !t.toldOf(n) {
		t.activate(m, f)
	}
	switch {
	case inWheel && seedling(n):
		f.class = f.classOf()
		t.wheels[f.class].add(m, &t.flows)
	case inWheel:
		t.wheels[f.class].replace(n, m, &t.flows)
		if c := f.classOf(); c != f.class {
			t.wheels[f.class].remove(m, &t.flows)
			f.class = c
			t.wheels[c].add(m, &t.flows)
		}
	}
	t.flows.put(n)
	return m
}

// embryo gives that of a number, or what a seed would be, in scratch.
func (t *Table) embryo(n uint32, scratch *embryo) *embryo {
	if !seedling(n) {
		return t.flows.embryo(n)
	}
	s := &t.flows.seeds
	if s.embryo(n, scratch); t.told(scratch.time) {
		scratch.flags |= toldSYN
	}
	return scratch
}

// sprout makes a seed an embryo, which is e.
func (t *Table) sprout(n uint32, e *embryo) *embryo {
	m := t.flows.embryos.get() | isEmbryo
	t.index.replace(e.hash(t.secret), n, m)
	x := t.flows.embryo(m)
	t.flows.seeds.embryo(n, x) // as e was made a moment ago: copying that would wait for it
	x.flags = e.flags
	x.setSlot(t.wheels[halfOpen].enter(m, x.time, &t.flows))
	t.flows.seeds.put(n)
	return x
}
