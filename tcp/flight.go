package tcp

// flight remembers when a direction's data was sent, from its first octet in
// flight on: the end of each segment with its time, and the first use of the
// latest timestamps. It serves round-trip samples and the age of what is
// repeated. Where more is in flight than it holds, every second boundary is
// forgotten; those that are left stay exact.
type flight struct {
	segs     [maxSegs]segment
	n        int
	marks    [maxMarks]mark // ring
	mark     int            // next to overwrite
	collapse int64          // no data→ACK sample reaches below: something there was repeated or filled a hole
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
)

func (f *flight) reset() {
	f.n, f.mark, f.collapse = 0, 0, 0
	f.marks = [maxMarks]mark{}
}

// sent notes new data that ends at end.
func (f *flight) sent(end, at int64) {
	if f.n == maxSegs {
		// Keep the newer quarter whole: ACKs and tail repeats name those.
		const whole = maxSegs / 4
		k := 0
		for i := 1; i < maxSegs-whole; i += 2 {
			f.segs[k] = f.segs[i]
			k++
		}
		k += copy(f.segs[k:], f.segs[maxSegs-whole:])
		f.n = k
	}
	f.segs[f.n] = segment{end, at}
	f.n++
}

// stamp notes the first use of a TSval.
func (f *flight) stamp(tsval uint32, end, at int64) {
	last := &f.marks[(f.mark+maxMarks-1)%maxMarks]
	if last.at != 0 && !After(tsval, last.tsval) {
		return
	}
	f.marks[f.mark] = mark{end: end, at: at, tsval: tsval, open: true}
	f.mark = (f.mark + 1) % maxMarks
}

// echo takes the first echo of a TSval, in a packet that acknowledges ack, and
// gives the time of its use.
func (f *flight) echo(tsecr uint32, ack int64) (at int64, ok bool) {
	for i := range f.marks {
		m := &f.marks[i]
		if m.open && m.tsval == tsecr {
			m.open = false
			return m.at, ack >= m.end
		}
	}
	return 0, false
}

// acked removes what lies below ack, and gives the last segment removed if it
// ends exactly there.
func (f *flight) acked(ack int64) (at int64, exact bool) {
	i := 0
	for i < f.n && f.segs[i].end <= ack {
		i++
	}
	if i == 0 {
		return 0, false
	}
	last := f.segs[i-1]
	f.n = copy(f.segs[:], f.segs[i:f.n])
	return last.at, last.end == ack
}

// sentAt is when the octet at position s was first sent, as far as is known,
// or 0.
func (f *flight) sentAt(s int64) int64 {
	for i := range f.n {
		if f.segs[i].end > s {
			return f.segs[i].at
		}
	}
	return 0
}
