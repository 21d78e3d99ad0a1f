package tcp

import (
	"math/bits"

	"mirrorscope/pool"
)

// Beside is what a connection at rest takes along of what it has in the Store:
// its first samples, and the times that wait for their base. The rest stays
// there.
type Beside struct {
	waits waits
	few   few
}

// Rest makes a connection that waits for its next packet, for long, small
// numbers: times are told from last, its latest record time, and seen, the
// input's clock then; positions from each other. Nothing but Wake may be asked
// until that has given it back as it was.
func (st *Store) Rest(c *Conn, b *Beside, last, seen int64) {
	if n := c.samples; n != 0 && n&inDists == 0 {
		f := st.fews.At(n)
		b.few.tags = f.tags
		copy(b.few.ns[:], f.ns[:min(f.n(), maxFew)])
		st.fews.Put(n)
		c.samples = 1
	}
	if n := c.turn.waits; n != 0 {
		w := st.waits.At(n)
		b.waits.n, b.waits.client = w.n, w.client
		copy(b.waits.ns[:], w.ns[:w.n])
		st.waits.Put(n)
		c.turn.waits = 1
	}
	second := uint32(seen / 1e9)
	c.turn.second = pool.Below32(c.turn.second, second)
	below(&c.turn.reqAt, last)
	below(&c.turn.reqEnd, c.Dirs[max(c.client, 0)].hi)
	pool.Mix(&c.turn.turns, &c.turn.waits)
	pool.Mix(&c.Cut, &c.samples)
	bases := b.few.bases()
	for i := range c.Dirs {
		d, few := &c.Dirs[i], &bases[i]
		d.has &^= isStill
		d.still = 0
		// Each from what stays as it is, or is changed later.
		d.movedEcr = pool.Below32(d.movedEcr, d.tsval)
		d.movedFrom = pool.Below32(d.movedFrom, uint32(d.hi))
		d.fin = pool.Below32(d.fin, uint32(d.hi))
		below(&d.una, d.hi)
		below(&d.lo, d.hi)
		below(&d.lastAt, d.seenAt)
		below(&d.seenAt, last)
		d.hi = -d.hi // it lies above
		below(&d.hi, -d.first())
		below(&d.rtt.min, few[0])
		below(&d.rtt.solid, few[1])
		pool.Mix(&d.movedFrom, &d.packets)
		pool.Mix(&d.samples, &d.maybe)
		d.byStamps, d.begin = d.begin, d.byStamps
	}
	b.few.tags = bits.RotateLeft64(b.few.tags, 64-countShift)
}

// Wake is the reverse of Rest.
func (st *Store) Wake(c *Conn, b *Beside, last, seen int64) {
	b.few.tags = bits.RotateLeft64(b.few.tags, countShift)
	bases := b.few.bases()
	for i := range c.Dirs {
		d, few := &c.Dirs[i], &bases[i]
		d.byStamps, d.begin = d.begin, d.byStamps
		pool.Mix(&d.samples, &d.maybe)
		pool.Mix(&d.movedFrom, &d.packets)
		below(&d.rtt.solid, few[1])
		below(&d.rtt.min, few[0])
		below(&d.hi, -d.first())
		d.hi = -d.hi
		below(&d.seenAt, last)
		below(&d.lastAt, d.seenAt)
		below(&d.lo, d.hi)
		below(&d.una, d.hi)
		d.fin = pool.Below32(d.fin, uint32(d.hi))
		d.movedFrom = pool.Below32(d.movedFrom, uint32(d.hi))
		d.movedEcr = pool.Below32(d.movedEcr, d.tsval)
	}
	pool.Mix(&c.Cut, &c.samples)
	pool.Mix(&c.turn.turns, &c.turn.waits)
	below(&c.turn.reqEnd, c.Dirs[max(c.client, 0)].hi)
	below(&c.turn.reqAt, last)
	second := uint32(seen / 1e9)
	c.turn.second = pool.Below32(c.turn.second, second)
	if c.turn.waits != 0 {
		c.turn.waits = st.waits.Get()
		*st.waits.At(c.turn.waits) = b.waits
	}
	if n := c.samples; n != 0 && n&inDists == 0 {
		c.samples = st.fews.Get()
		*st.fews.At(c.samples) = b.few
	}
}

// bases are the first two round trips of each direction.
func (f *few) bases() (ns [2][2]int64) {
	var n [2]int
	tags := f.tags
	for i := range min(f.n(), maxFew) {
		if q := quantity(tags & quantityTag); q < thinkTime {
			if dir := q >> 1 & 1; n[dir] < len(ns[dir]) {
				ns[dir][n[dir]] = int64(f.ns[i])
				n[dir]++
			}
		}
		tags >>= 4
	}
	return ns
}

func below(x *int64, base int64) { *x = int64(pool.Below(uint64(*x), uint64(base))) }

// first is where the positions of a direction begin, as far as is known.
func (d *Dir) first() int64 { return firstPos + int64(d.begin) }

// Request is the latest request: the position behind it, and when that was
// recorded.
func (c *Conn) Request() (end, at int64) { return c.turn.reqEnd, c.turn.reqAt }

// HandshakeHalf is the half of the path, to who acknowledges a direction, that
// the handshake showed; 0 none.
func (c *Conn) HandshakeHalf(dir int) int64 { return c.Dirs[dir].rtt.handshake }

// HighestID is the highest IPv4 identification of a direction.
func (c *Conn) HighestID(dir int) uint16 { return c.Dirs[dir].idHigh }
