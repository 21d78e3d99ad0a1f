package flow

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
)

// seed is a connection of which nothing was recorded but one SYN, of the usual
// kind, at the time of the input's clock: an embryo, smaller. Seeds come one after the
// other and end so, unless something is heard of the connection before: then it
// becomes an embryo that has a youth, or a flow. So they lie in rows in the order in which they came,
// which is that in which they end and that of their records: no wheel has them, and no
// plan lists them. What many SYNs have in common is kept once.
type seed struct {
	src, dst         uint32
	srcPort, dstPort uint16
	seq, tsval       uint32
	after            uint32 // ns from row.base
	window, ipid     uint16
	form             uint16 // number in seeds.forms
	afterHigh        uint8  // of after, above its 32 bits
	ttl              uint8
}

const (
	rowLen    = 64
	isSeed    = isEmbryo | isResting          // set in the numbers of seeds
	perSeed   = 32 + 24                       // octets, with slot in the index while that grows
	rowOctets = rowLen*perSeed + 32           // with its entry among the rows
	mostRows  = (maxNumbers + 1) / rowLen / 2 // between the first and the last; half of what can be told apart
	mostForms = 1 << 12
	rowBits   = 40 // of the time between the seeds of a row
)

// seedling tells whether a number is that of a seed.
func seedling(n uint32) bool { return n >= isSeed }

// form is what many SYNs have in common: the place where they were recorded, and what their
// hosts send in each.
type form struct {
	point         packet.PointID
	network       packet.NetworkID
	path          packet.PathID
	position      uint32
	flags         packet.Flags
	mss, tcpFlags uint16
	options       uint16 // packet.TCPOptions
	ipLen, wscale uint8
	trafc, header uint8 // header: of TCP, octets
}

// formOf gives that of a packet which can be a seed.
func formOf(p *packet.Packet) form {
	c := &p.TCP
	return form{p.Point, p.Network, p.Path, p.Position, p.Flags, c.MSS, c.Flags, uint16(c.Has), uint8(p.IPLen), c.WScale, p.TOS, c.HeaderLen}
}

// has tells whether formOf a packet is w. It makes none: what is put together in memory and
// then copied waits until all that was written before has left the core.
func (w *form) has(p *packet.Packet) bool {
	c := &p.TCP
	return w.position == p.Position && w.mss == c.MSS && w.wscale == c.WScale && uint32(w.ipLen) == p.IPLen&0xff && w.header == c.HeaderLen && w.options == uint16(c.Has) &&
		w.tcpFlags == c.Flags && w.flags == p.Flags && w.trafc == p.TOS && w.path == p.Path && w.point == p.Point && w.network == p.Network
}

// nearForm is where that of a packet is found among the latest ones.
func nearForm(p *packet.Packet) uint32 {
	return (uint32(p.Path) ^ p.Position>>16 ^ uint32(p.TCP.MSS) ^ uint32(p.TCP.WScale)<<1 ^ uint32(p.Flags)) % nearForms
}

const nearForms = 32

// seeds are those of a table. The number of a seed tells its row and its place in
// it: rows are counted on and on.
type seeds struct {
	rows       []row  // ring: row i is at i modulo its length, a power of two
	tail, head uint32 // rows [tail, head) are there; seeds are added to the last one
	last       *row   // row head-1
	fill       uint32 // places of that which were given out; rowLen if there is none
	live       int
	held       int    // rows that have memory
	latest     int64  // time of the latest seed, ns
	form       uint16 // the latest
	latestOf   [nearForms]uint16
	forms      []form
	numbers    map[form]uint16 // of forms
	arena      *pool.Arena     // where rows lie
}

// row is rowLen seeds, and which of them are there: none, and no memory, where all
// that it had have gone.
type row struct {
	seeds *[rowLen]seed
	alive uint64
	base  int64  // ns: none came before
	run   uint32 // of the arena: the seeds
}

// at gives seed i. As for store.at, its address is reckoned.
func (r *row) at(i uint32) *seed {
	return (*seed)(unsafe.Add(unsafe.Pointer(r.seeds), uintptr(i%rowLen)*unsafe.Sizeof(seed{})))
}

// time is when a seed came, ns.
func (r *row) time(i int) int64 {
	e := r.at(uint32(i))
	return r.base + int64(e.after) + int64(e.afterHigh)<<32
}

// set makes seed i, which is of this row or another, one that came at a time.
func (r *row) set(i uint32, e *seed, time int64) {
	to := r.at(i)
	*to = *e
	to.after, to.afterHigh = uint32(time-r.base), uint8((time-r.base)>>32)
	r.alive |= 1 << (i % rowLen)
}

// A row fits a run.
var _ [pool.RunUnits*pool.Unit - unsafe.Sizeof([rowLen]seed{})]byte

func (s *seeds) row(i uint32) *row { return &s.rows[i&uint32(len(s.rows)-1)] }

func (s *seeds) at(n uint32) *seed { return s.row(n / rowLen).at(n) }

// seen is when a seed came, ns.
func (s *seeds) seen(n uint32) int64 { return s.row(n / rowLen).time(int(n % rowLen)) }

// rowFor tells whether the last row has room for a seed of a time, ns. Where others came
// too long before, it has none any more.
func (s *seeds) rowFor(time int64) bool {
	if s.fill >= rowLen {
		return false
	}
	if r := s.last; uint64(time-r.base)>>rowBits != 0 {
		if r.alive != 0 {
			s.fill = rowLen
			return false
		}
		r.base = time
	}
	return true
}

// grow begins a row, for which the table has room, with a seed of a time, ns.
func (s *seeds) grow(time int64) {
	if s.head-s.tail+1 >= uint32(len(s.rows)) {
		old := *s
		s.rows = make([]row, max(4, 2*len(s.rows)))
		for i := s.tail; i != s.head; i++ {
			*s.row(i) = *old.row(i)
		}
	}
	if s.head%(2*mostRows) == 2*mostRows-1 { // its last number is noFlow
		*s.row(s.head) = row{}
		if s.head++; s.tail == s.head-1 {
			s.tail = s.head
		}
	}
	r := s.row(s.head)
	r.run = s.arena.GetRun()
	r.seeds, r.alive, r.base = (*[rowLen]seed)(s.arena.At(r.run)), 0, time
	s.last = r
	s.head++
	s.fill = 0
	s.held++
}

// put takes a seed out.
func (s *seeds) put(n uint32) { s.clear(n/rowLen, 1<<(n%rowLen)) }

// clear takes seeds of a row out.
func (s *seeds) clear(i uint32, which uint64) {
	i = s.tail + (i-s.tail)&(maxNumbers/rowLen)
	r := s.row(i)
	r.alive &^= which
	s.live -= bits.OnesCount64(which)
	if r.alive != 0 || i+1 == s.head && s.fill < rowLen && s.live > 0 {
		return
	}
	if i+1 == s.head {
		s.fill = rowLen
	}
	s.arena.PutRun(r.run)
	r.seeds = nil
	s.held--
	for s.tail != s.head && s.row(s.tail).seeds == nil {
		s.tail++
	}
}

// next is where the next seed will lie; nil if that is not known yet.
func (s *seeds) next() unsafe.Pointer {
	if s.fill >= rowLen {
		return nil
	}
	return unsafe.Pointer(s.last.at(s.fill))
}

// first gives the number of the seed that came first.
func (s *seeds) first() uint32 {
	if s.live == 0 {
		return noFlow
	}
	// The first row has seeds: else it would have gone, or be the last one.
	return s.number(s.tail, bits.TrailingZeros64(s.row(s.tail).alive))
}

func (s *seeds) number(row uint32, at int) uint32 {
	return isSeed | (row*rowLen+uint32(at))&maxNumbers
}

// until is how many seeds came at or before a time, ns.
func (s *seeds) until(time int64) (n int) {
	if s.live == 0 || s.latest <= time {
		return s.live
	}
	for i := s.tail; i != s.head; i++ {
		r := s.row(i)
		if r.alive == 0 {
			continue
		}
		if r.time(63-bits.LeadingZeros64(r.alive)) <= time {
			n += bits.OnesCount64(r.alive)
			continue
		}
		for m := r.alive; r.time(bits.TrailingZeros64(m)) <= time; m &= m - 1 {
			n++
		}
		break
	}
	return n
}

// nth gives the number of the seed that has n before it, which are there.
func (s *seeds) nth(n int) uint32 {
	for i := s.tail; ; i++ {
		r := s.row(i)
		if k := bits.OnesCount64(r.alive); n >= k {
			n -= k
			continue
		}
		m := r.alive
		for ; n > 0; n-- {
			m &= m - 1
		}
		return s.number(i, bits.TrailingZeros64(m))
	}
}

// shape finds the number of a packet's form, or tells that there are too many.
func (s *seeds) shape(p *packet.Packet) bool {
	near := &s.latestOf[nearForm(p)]
	if int(*near) < len(s.forms) && s.forms[*near].has(p) {
		s.form = *near
		return true
	}
	w := formOf(p)
	n, ok := s.numbers[w]
	if !ok {
		if s.live == 0 && len(s.forms) >= mostForms {
			s.forms = s.forms[:0]
			clear(s.numbers)
		}
		if len(s.forms) >= mostForms {
			return false
		}
		if s.numbers == nil {
			s.numbers = make(map[form]uint16)
		}
		n = uint16(len(s.forms))
		s.numbers[w] = n
		s.forms = append(s.forms, w)
	}
	s.form, *near = n, n
	return true
}

// sows tells whether a packet can be a seed, but for its time and its place.
func sows(p *packet.Packet) bool {
	c := &p.TCP
	return c.Flags&(packet.SYN|packet.ACK|packet.RST|packet.FIN) == packet.SYN && p.Version == 4 && p.Time == p.Now && uint64(p.Time) < 1<<62 &&
		uint32(p.Flags&^usual)|uint32(p.Kind|p.ICMPType|p.ICMPCode)|uint32(p.Weight)|p.PayloadLen|p.IPLen>>8|c.Ack|c.TSecr == 0 &&
		uint32(c.Flags>>synFlagBits)|uint32(c.NumSACK|c.FastOpenBytes|c.HeaderLen&3)|uint32(c.Has>>optionBits) == 0
}

// usual flags of a packet may be a seed's.
const usual = packet.Truncated | packet.OptionsUnknown | packet.Reassembled | packet.LengthUnknown | packet.OuterSwapped | packet.HasMAC

// sow keeps the first packet of a connection, of TCP in IPv4, as a seed, if it can be
// one. Its hash, h, is not in the index; free is where it would come to lie there, or as
// much as the index is long where nobody has looked.
func (t *Table) sow(p *packet.Packet, h, free uint64) bool {
	s := &t.flows.seeds
	if !sows(p) || p.Time <= s.latest || p.Time < t.toldBefore || p.Now != t.now || t.watcher != nil || t.fullGrown {
		return false
	}
	if int(s.form) >= len(s.forms) || !s.forms[s.form].has(p) {
		if !s.shape(p) {
			return false
		}
	}
	x := &t.index
	if t.crowded || free >= uint64(len(x.slots)) || x.full() || !s.rowFor(p.Time) {
		if !t.sowMore(p.Time) {
			return false
		}
		free = x.free(h)
	}
	c, at, r := &p.TCP, s.fill, s.last
	e := r.at(at)
	s.latest = p.Time
	e.after, e.afterHigh = uint32(p.Time-r.base), uint8((p.Time-r.base)>>32)
	e.src, e.dst = binary.LittleEndian.Uint32(p.Src[12:]), binary.LittleEndian.Uint32(p.Dst[12:])
	e.srcPort, e.dstPort, e.seq, e.tsval = p.SrcPort, p.DstPort, c.Seq, c.TSval
	e.window, e.ipid, e.form, e.ttl = c.Window, p.IPID, s.form, p.TTL
	r.alive |= 1 << (at % rowLen)
	s.fill = at + 1
	s.live++
	x.slots[free] = h&^numberMask | uint64(s.number(s.head-1, int(at))+1)
	x.used++
	return true
}

// sowMore makes room for one more seed, of a time, ns, and more to come.
func (t *Table) sowMore(time int64) bool {
	s := &t.flows.seeds
	if t.crowded {
		t.makeRoom(0)
		t.crowded = false
	}
	if !s.rowFor(time) {
		if int64(t.maxFlows)*t.perFlow < 8*rowOctets {
			return false // others would have to go for it
		}
		t.makeRoom(rowOctets)
		if s.head-s.tail > uint32(s.live/(rowLen/2)+2) {
			t.closeUp()
		}
	}
	if !s.rowFor(time) {
		if s.head-s.tail >= mostRows {
			return false
		}
		s.grow(time)
	}
	if t.index.full() {
		t.index.grow()
	}
	return true
}

// closeUp puts the seeds together, where most of those that have been there have
// gone and the others keep the rows.
func (t *Table) closeUp() {
	s := &t.flows.seeds
	for i, end := s.tail, s.head; i != end; i++ {
		r := *s.row(i)
		for m := r.alive; m != 0; m &= m - 1 {
			at := bits.TrailingZeros64(m)
			time := r.time(at)
			if !s.rowFor(time) {
				s.grow(time)
			}
			s.last.set(s.fill, &r.seeds[at], time)
			t.index.replace(s.hash(&r.seeds[at], t.secret), s.number(i, at), s.number(s.head-1, int(s.fill)))
			s.fill++
			s.live++
		}
		if r.seeds != nil {
			s.clear(i, r.alive)
		}
	}
}

// hash is that of the key of a seed.
func (s *seeds) hash(e *seed, by *secret) uint64 {
	w := &s.forms[e.form]
	x, y := uint64(bits.ReverseBytes32(e.src))<<16|uint64(e.srcPort), uint64(bits.ReverseBytes32(e.dst))<<16|uint64(e.dstPort)
	_, less := bits.Sub64(y, x, 0)
	swap := int(less) << 5
	hosts, ports := uint64(e.src)|uint64(e.dst)<<32, uint32(e.srcPort)|uint32(e.dstPort)<<16
	hosts, ports = bits.RotateLeft64(hosts, swap), bits.RotateLeft32(ports, swap>>1)
	return by.hash4(hosts, uint64(ports)|packet.ProtoTCP<<32, uint64(w.point)|uint64(w.network)<<32)
}

// embryo makes e the embryo that a seed would be.
func (s *seeds) embryo(n uint32, e *embryo) { s.embryoAt(s.at(n), s.seen(n), e) }

// embryoAt is that for one that came at a time, ns.
func (s *seeds) embryoAt(x *seed, time int64, e *embryo) {
	w := &s.forms[x.form]
	e.time, e.hosts, e.ports = time, uint64(x.src)|uint64(x.dst)<<32, uint32(x.srcPort)|uint32(x.dstPort)<<16
	e.where, e.path, e.position, e.behind = uint64(w.point)|uint64(w.network)<<32, w.path, w.position, 0
	e.seq, e.tsval, e.window, e.mss, e.ipid, e.flags = x.seq, x.tsval, x.window, w.mss, x.ipid, w.flags
	e.tcpFlags = w.tcpFlags | w.options<<synFlagBits
	e.place = uint16(w.header>>2)<<slotBits | upper(x.src, x.dst, x.srcPort, x.dstPort)
	e.ipLen, e.wscale, e.ttl, e.trafc = w.ipLen, w.wscale, x.ttl, w.trafc
}

// is tells whether the key of a seed is four.
func (s *seeds) is(x *seed, four *key4) bool {
	w := &s.forms[x.form]
	hosts, ports := uint64(x.src)|uint64(x.dst)<<32, uint32(x.srcPort)|uint32(x.dstPort)<<16
	return (hosts == four.hosts && ports == uint32(four.ends) || bits.RotateLeft64(hosts, 32) == four.hosts && bits.RotateLeft32(ports, 16) == uint32(four.ends)) &&
		four.ends>>32 == packet.ProtoTCP && uint32(four.where) == uint32(w.point) && uint32(four.where>>32) == uint32(w.network)
}

// key is that of a seed.
func (s *seeds) key(x *seed) Key {
	var e embryo
	s.embryoAt(x, 0, &e)
	return e.key()
}
