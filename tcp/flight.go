package tcp

import "mirrorscope/packet"

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
	segs     [fewSegs]segment
	marks    [fewMarks]mark
}

// crowd is the place of many segments in flight.
type crowd struct {
	segs  [maxSegs]segment
	marks [maxMarks]mark
}

type segment struct{ end, at int64 }

// mark is the first use of a TSval by data that ends at end.
type mark struct {
	end, at int64
	tsval   uint32
	open    bool // no echo was taken
}

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

func (f *flight) ringOfMarks(st *Store) []mark {
	if f.crowd != 0 {
		return st.crowds.At(f.crowd).marks[:]
	}
	return f.marks[:]
}

// grow moves segments and marks into a crowd.
func (f *flight) grow(st *Store) {
	n := st.crowds.Get()
	c := st.crowds.At(n)
	for i := range f.n {
		c.segs[i] = f.segs[(f.first+i)%fewSegs]
	}
	c.marks = [maxMarks]mark{}
	copy(c.marks[:], f.marks[:])
	f.crowd, f.first = n, 0
}

// sent notes new data that ends at end.
func (f *flight) sent(st *Store, end, at int64) {
	if f.crowd == 0 {
		if f.n < fewSegs {
			f.segs[(f.first+f.n)%fewSegs] = segment{end, at}
			f.n++
			return
		}
		f.grow(st)
	}
	segs := &st.crowds.At(f.crowd).segs
	if f.n == maxSegs {
		f.thin(segs)
	}
	segs[(f.first+f.n)%maxSegs] = segment{end, at}
	f.n++
}

// put is sent and, for a segment with a timestamp, stamp.
func (f *flight) put(st *Store, t *packet.TCP, end, at int64) {
	if f.crowd == 0 {
		f.sent(st, end, at)
		if t.Has&packet.HasTimestamps != 0 {
			f.stamp(st, t.TSval, end, at)
		}
		return
	}
	c := st.crowds.At(f.crowd)
	if f.n == maxSegs {
		f.thin(&c.segs)
	}
	g := &c.segs[(f.first+f.n)%maxSegs]
	g.end, g.at = end, at
	f.n++
	if t.Has&packet.HasTimestamps == 0 {
		return
	}
	if last := &c.marks[(f.mark-1)%maxMarks]; last.at == 0 || After(t.TSval, last.tsval) {
		m := &c.marks[f.mark%maxMarks]
		m.end, m.at, m.tsval, m.open = end, at, t.TSval, true
		f.mark = (f.mark + 1) % maxMarks
	}
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
	var last *mark
	if f.crowd != 0 {
		last = &st.crowds.At(f.crowd).marks[(f.mark-1)%maxMarks]
	} else {
		last = &f.marks[(f.mark-1)%fewMarks]
	}
	if last.at == 0 || After(tsval, last.tsval) {
		f.addMark(st, tsval, end, at)
	}
}

func (f *flight) addMark(st *Store, tsval uint32, end, at int64) {
	if f.mark == fewMarks && f.crowd == 0 {
		f.grow(st)
	}
	f.ringOfMarks(st)[f.mark] = mark{end: end, at: at, tsval: tsval, open: true}
	if f.mark++; f.mark == maxMarks {
		f.mark = 0
	}
}

// echo takes the first echo of a TSval, in a packet that acknowledges ack, and
// gives the time of its use.
func (f *flight) echo(st *Store, tsecr uint32, ack int64) (at int64, ok bool) {
	marks := f.ringOfMarks(st)
	for i := range marks {
		m := &marks[i]
		if m.tsval == tsecr && m.open {
			m.open = false
			return m.at, ack >= m.end
		}
	}
	return 0, false
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
