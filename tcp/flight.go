package tcp

import "math/bits"

// flight remembers when a direction's data was sent, from its first octet in
// flight on: the end of each segment with its time, and the first use of the
// latest timestamps. It serves round-trip samples and the age of what is
// repeated. A few segments are in the flight itself, more in a crowd of the
// Store. Where more is in flight than that holds, every second boundary is
// forgotten; those that are left stay exact.
type flight struct {
	collapse int64  // no data→ACK sample reaches below: something there was repeated or filled a hole
	crowd    uint32 // in the Store: where segments and marks are; 0: in segs and marks
	n        uint8  // segments
	first    uint8  // place of the first of them, in a ring
	mark     uint8  // next mark to overwrite, in a ring
	open     uint8  // marks of which no echo was taken, a bit for each
	latest   uint32 // timestamp of the latest mark
	stamped  bool   // there is one
	tsvals   [fewMarks]uint32
	marks    [fewMarks]segment
	segs     [fewSegs]segment
}

// crowd is the place of many segments in flight. What is looked at most comes first.
type crowd struct {
	tags   uint64 // the lowest 8 bits of each of tsvals
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

// ring gives the segments' places; their number is a power of two.
func (f *flight) ring(st *Store) []segment {
	if f.crowd != 0 {
		return st.crowds.At(f.crowd).segs[:]
	}
	return f.segs[:]
}

// grow moves segments and marks into a crowd.
func (f *flight) grow(st *Store) *crowd {
	n := st.crowds.Get()
	c := st.crowds.At(n)
	for i := range f.n {
		c.segs[i] = f.segs[(f.first+i)%fewSegs]
	}
	c.tags, c.tsvals, c.marks = 0, [maxMarks]uint32{}, [maxMarks]segment{}
	for i := range fewMarks {
		c.setMark(uint8(i), f.tsvals[i], f.marks[i])
	}
	f.crowd, f.first = n, 0
	return c
}

// setMark notes the mark in a place.
func (c *crowd) setMark(i uint8, tsval uint32, m segment) {
	i %= maxMarks
	c.tsvals[i], c.marks[i] = tsval, m
	c.tags = c.tags&^(0xff<<(8*i)) | uint64(uint8(tsval))<<(8*i)
}

// alike has the highest bit set in the octet of each mark whose tag is that of a
// timestamp, and perhaps of some more.
func (c *crowd) alike(ts uint32) uint64 {
	x := c.tags ^ uint64(uint8(ts))*eachMark
	return (x - eachMark) &^ x & (eachMark << 7)
}

// eachMark has a 1 in the octet of each mark.
const eachMark = (1<<64 - 1) / 255

// sent notes new data that ends at end.
func (f *flight) sent(st *Store, end, at int64) {
	var c *crowd
	switch {
	case f.crowd != 0:
		c = st.crowds.At(f.crowd)
	case f.n < fewSegs:
		f.segs[(f.first+f.n)%fewSegs] = segment{end, at}
		f.n++
		return
	default:
		c = f.grow(st)
	}
	if f.n == maxSegs {
		f.thin(&c.segs)
	}
	g := &c.segs[(f.first+f.n)%maxSegs]
	g.end, g.at = end, at
	f.n++
}

// thin forgets every second of the older segments.
func (f *flight) thin(segs *[maxSegs]segment) {
	// Keep the newer quarter whole: ACKs and tail repeats name those.
	const whole = maxSegs / 4
	k := uint8(0)
	for i := uint8(1); i < maxSegs; i++ {
		if i%2 == 1 || i >= maxSegs-whole {
			segs[(f.first+k)%maxSegs] = segs[(f.first+i)%maxSegs]
			k++
		}
	}
	f.n = k
}

// stamp notes the first use of a TSval.
func (f *flight) stamp(st *Store, tsval uint32, end, at int64) {
	if f.stamped && !After(tsval, f.latest) {
		return
	}
	f.latest, f.stamped = tsval, true
	i := f.mark
	if f.crowd == 0 && i < fewMarks {
		f.tsvals[i], f.marks[i] = tsval, segment{end, at}
	} else {
		var c *crowd
		if f.crowd == 0 {
			c = f.grow(st)
		} else {
			c = st.crowds.At(f.crowd)
		}
		c.setMark(i, tsval, segment{end, at})
	}
	f.open |= 1 << (i % maxMarks)
	f.mark = (i + 1) % maxMarks
}

// echo takes the first echo of a TSval, in a packet that acknowledges ack, and
// gives the time of its use.
func (f *flight) echo(st *Store, tsecr uint32, ack int64) (at int64, ok bool) {
	i := f.closes(st, tsecr)
	if i < 0 {
		return 0, false
	}
	m := &f.marks[i%fewMarks]
	if f.crowd != 0 {
		m = &st.crowds.At(f.crowd).marks[i%maxMarks]
	}
	return m.at, ack >= m.end
}

// closes takes the first echo of a TSval, and gives the place of its mark; it is
// negative if there is none.
func (f *flight) closes(st *Store, tsecr uint32) int {
	if f.crowd == 0 {
		for i, ts := range &f.tsvals {
			if ts == tsecr && f.open>>i&1 != 0 {
				f.open &^= 1 << i
				return i
			}
		}
		return -1
	}
	c := st.crowds.At(f.crowd)
	for z := c.alike(tsecr); z != 0; z &= z - 1 {
		if i := bits.TrailingZeros64(z) / 8; c.tsvals[i] == tsecr && f.open>>i&1 != 0 {
			f.open &^= 1 << i
			return i
		}
	}
	return -1
}

// acked removes what lies below ack, and gives the last segment removed if it
// ends exactly there.
func (f *flight) acked(st *Store, ack int64) (at int64, exact bool) {
	var last *segment
	first, n := f.first, f.n
	if f.crowd != 0 {
		segs := &st.crowds.At(f.crowd).segs
		for ; n > 0 && segs[first%maxSegs].end <= ack; n-- {
			last = &segs[first%maxSegs]
			first++
		}
	} else {
		for ; n > 0 && f.segs[first%fewSegs].end <= ack; n-- {
			last = &f.segs[first%fewSegs]
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
func (f *flight) sentAt(st *Store, s int64) int64 {
	segs := f.ring(st)
	for i := range f.n {
		if g := &segs[(f.first+i)&uint8(len(segs)-1)]; g.end > s {
			return g.at
		}
	}
	return 0
}
