package tcp

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// flight remembers when a direction's data was sent, from its first octet in
// flight on: the end of each segment with its time, and the first use of the
// latest timestamps. It serves round-trip samples and the age of what is
// repeated. Where more is in flight than that holds, every second boundary is
// forgotten; those that are left stay exact.
//
// It is the head of either a pair, which has room for a few segments, or a crowd,
// which has for many, and becomes that: then it has moved.
type flight struct {
	collapse int64 // no data→ACK sample reaches below: something there was repeated or filled a hole
	latest   uint32
	n        uint8 // segments
	first    uint8 // place of the first of them, in a ring
	mark     uint8 // next mark to overwrite, in a ring
	open     uint8 // marks of which no echo was taken, a bit for each
	stamped  bool  // there is a mark, the latest of the timestamp latest
	crowded  bool  // it is that of a crowd
}

// pair is a flight of a few segments.
type pair struct {
	flight
	tsvals [fewMarks]uint32
	marks  [fewMarks]segment
	segs   [fewSegs]segment
}

// crowd is a flight of many segments. What is looked at most is one cache line.
type crowd struct {
	flight
	tags   [maxMarks]uint8 // the lowest bits of each of tsvals
	tsvals [maxMarks]uint32
	marks  [maxMarks]segment
	segs   [maxSegs]segment
}

// segment was sent at the time at, and ends at end. A mark is the first that used
// its timestamp.
type segment struct{ end, at int64 }

const (
	maxSegs  = 64
	maxMarks = 8
	fewSegs  = 4
	fewMarks = 2
)

// inCrowds marks the number of a flight as that of a crowd.
const inCrowds = 1 << 31

// flight gives the flight of a number.
func (st *Store) flight(n uint32) *flight {
	if n&inCrowds != 0 {
		return &st.crowds.At(n &^ inCrowds).flight
	}
	return &st.pairs.At(n).flight
}

// asPair and asCrowd give what f is the head of.
func (f *flight) asPair() *pair   { return (*pair)(unsafe.Pointer(f)) }
func (f *flight) asCrowd() *crowd { return (*crowd)(unsafe.Pointer(f)) }

// grow makes a crowd of the pair that is a direction's flight. next is the packet,
// as the direction counts them, that is noted next: that tells its place, so that
// it can be loaded ahead.
func (st *Store) grow(d *Dir, next uint32) *crowd {
	n := st.crowds.Get()
	c, f := st.crowds.At(n), st.pairs.At(d.flight)
	c.flight = f.flight
	c.crowded = true
	c.first = uint8(next) - f.n
	for i := range f.n {
		c.segs[(c.first+i)%maxSegs] = f.segs[(f.first+i)%fewSegs]
	}
	c.tags, c.tsvals, c.marks = [maxMarks]uint8{}, [maxMarks]uint32{}, [maxMarks]segment{}
	for i := range fewMarks {
		c.setMark(uint8(i), f.tsvals[i], f.marks[i])
	}
	st.pairs.Put(d.flight)
	d.flight = n | inCrowds
	return c
}

// setMark notes the mark in a place.
func (c *crowd) setMark(i uint8, tsval uint32, m segment) {
	i %= maxMarks
	c.tags[i], c.tsvals[i], c.marks[i] = uint8(tsval), tsval, m
}

// alike has the highest bit set in the octet of each mark whose tag is that of a
// timestamp, and perhaps of some more.
func (c *crowd) alike(ts uint32) uint64 {
	x := binary.LittleEndian.Uint64(c.tags[:]) ^ uint64(uint8(ts))*eachMark
	return (x - eachMark) &^ x & (eachMark << 7)
}

// eachMark has a 1 in the octet of each mark.
const eachMark = (1<<64 - 1) / 255

// put notes new data that ends at end, in the flight of a direction, and gives that.
func (st *Store) put(d *Dir, f *flight, end, at int64) *flight {
	if !f.crowded {
		if f.n < fewSegs {
			f.asPair().segs[(f.first+f.n)%fewSegs] = segment{end, at}
			f.n++
			return f
		}
		f = &st.grow(d, d.packets).flight
	}
	c := f.asCrowd()
	if c.n == maxSegs {
		c.thin()
	}
	g := &c.segs[(c.first+c.n)%maxSegs]
	g.end, g.at = end, at
	c.n++
	return f
}

// thin forgets every second of the older segments. The next one's place stays.
func (c *crowd) thin() {
	// Keep the newer quarter whole: ACKs and tail repeats name those.
	const whole = maxSegs / 4
	k := uint8(0)
	for i := uint8(maxSegs - 1); i > 0; i-- {
		if i%2 == 1 || i >= maxSegs-whole {
			k++
			c.segs[(c.first-k)%maxSegs] = c.segs[(c.first+i)%maxSegs]
		}
	}
	c.first, c.n = c.first-k, k
}

// stamp notes the first use of a TSval, in the flight of a direction.
func (st *Store) stamp(d *Dir, f *flight, tsval uint32, end, at int64) {
	i := f.mark
	switch {
	case f.stamped && !After(tsval, f.latest):
	case f.crowded:
		f.asCrowd().stamp(tsval, end, at)
	case i == fewMarks:
		st.grow(d, d.packets+1).stamp(tsval, end, at)
	default:
		x := f.asPair()
		x.tsvals[i%fewMarks], x.marks[i%fewMarks] = tsval, segment{end, at}
		f.latest, f.stamped = tsval, true
		f.open |= 1 << i
		f.mark = i + 1
	}
}

// stamp notes the first use of a TSval that is later than those before.
func (c *crowd) stamp(tsval uint32, end, at int64) {
	i := c.mark % maxMarks
	c.setMark(i, tsval, segment{end, at})
	c.latest, c.stamped = tsval, true
	c.open |= 1 << i
	c.mark = (i + 1) % maxMarks
}

// echo takes the first echo of a TSval, in a packet that acknowledges ack, and
// gives the time of its use.
func (f *flight) echo(tsecr uint32, ack int64) (at int64, ok bool) {
	i := f.closes(tsecr)
	if i < 0 {
		return 0, false
	}
	m := &f.asPair().marks[i%fewMarks]
	if f.crowded {
		m = &f.asCrowd().marks[i%maxMarks]
	}
	return m.at, ack >= m.end
}

// closes takes the first echo of a TSval, and gives the place of its mark; it is
// negative if there is none.
func (f *flight) closes(tsecr uint32) int {
	if !f.crowded {
		for i, ts := range &f.asPair().tsvals {
			if ts == tsecr && f.open>>i&1 != 0 {
				f.open &^= 1 << i
				return i
			}
		}
		return -1
	}
	c := f.asCrowd()
	for z := c.alike(tsecr); z != 0; z &= z - 1 {
		if i := bits.TrailingZeros64(z) / 8 % maxMarks; c.tsvals[i] == tsecr && c.open>>i&1 != 0 {
			c.open &^= 1 << i
			return i
		}
	}
	return -1
}

// acked removes what lies below ack, and gives the last segment removed if it
// ends exactly there.
func (f *flight) acked(ack int64) (at int64, exact bool) {
	var last *segment
	first, n := f.first, f.n
	if f.crowded {
		for segs := &f.asCrowd().segs; n > 0 && segs[first%maxSegs].end <= ack; n-- {
			last = &segs[first%maxSegs]
			first++
		}
	} else {
		for segs := &f.asPair().segs; n > 0 && segs[first%fewSegs].end <= ack; n-- {
			last = &segs[first%fewSegs]
			first++
		}
	}
	if last == nil {
		return 0, false
	}
	f.first, f.n = first, n
	return last.at, last.end == ack
}

// sentAt is when the octet at position s was first sent, as far as is known,
// or 0.
func (f *flight) sentAt(s int64) int64 {
	for i := range f.n {
		g := &f.asPair().segs[(f.first+i)%fewSegs]
		if f.crowded {
			g = &f.asCrowd().segs[(f.first+i)%maxSegs]
		}
		if g.end > s {
			return g.at
		}
	}
	return 0
}
