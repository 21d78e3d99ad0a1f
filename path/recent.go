package path

// recent remembers the packets of the latest moments by fingerprint: a ring in
// order of arrival, and an index into it by open addressing. A counter names
// an entry: it never comes again.
type recent struct {
	ring       []entry // length a power of two
	head, tail uint64  // counters: [tail, head) is in use
	index      []uint64
	max        int // entries
}

// entry is one remembered packet, as the first point and the second recorded
// it, or, flagged further, as another point did after those.
type entry struct {
	print  uint64
	now    int64  // the input's clock at the first record
	repeat uint64 // counter of its note in repeats + 1; 0: it repeats nothing. further: counter of its entry
	first  sight
	second sight
	end, n uint32 // sequence space [end-n, end)
	seen   uint8  // slots of the sights behind the first
	dir    uint8
	flags  entryFlags
}

// sight is the record of a packet at one point.
type sight struct {
	at       int64 // record time, ns
	sighting uint32
	ttl      uint8
}

type entryFlags uint8

const (
	further entryFlags = 1 << iota
	isSYN
)

// maxAlike bounds the entries of one fingerprint, so that packets without
// anything that counts up cannot fill the index with equals.
const maxAlike = 16

// octetsPerEntry are those of the ring and its share of the index.
const octetsPerEntry = 72 + 2*8

func (r *recent) init(octets int64) {
	r.max = 64
	for int64(r.max)*2*octetsPerEntry <= octets {
		r.max *= 2
	}
	r.resize(64)
}

func tag(print uint64) uint32 { return uint32(print>>32) | 1 }

func (r *recent) home(tag uint32) uint32 { return tag >> 1 & uint32(len(r.index)-1) }

func (r *recent) at(counter uint64) *entry { return &r.ring[counter&uint64(len(r.ring)-1)] }

// search walks the entries of one fingerprint.
type search struct {
	print uint64
	slot  uint32
}

func (r *recent) search(print uint64) search { return search{print, r.home(tag(print))} }

// next gives the next entry, which is valid until add, or nil.
func (r *recent) next(s *search) (e *entry, counter uint64) {
	mask := uint32(len(r.index) - 1)
	for r.index[s.slot] != 0 {
		x := r.index[s.slot]
		s.slot = (s.slot + 1) & mask
		if uint32(x>>32) != tag(s.print) {
			continue
		}
		counter = r.head - uint64(uint32(r.head)-uint32(x))
		if e = r.at(counter); e.print == s.print {
			return e, counter
		}
	}
	return nil, 0
}

// full tells whether add would need an entry to leave first.
func (r *recent) full() bool { return int(r.head-r.tail) == r.max }

// add remembers a packet. There must be room.
func (r *recent) add(e entry) (counter uint64) {
	if int(r.head-r.tail) == len(r.ring) {
		r.resize(2 * len(r.ring))
	}
	return r.push(e)
}

func (r *recent) push(e entry) (counter uint64) {
	*r.at(r.head) = e
	mask := uint32(len(r.index) - 1)
	i := r.home(tag(e.print))
	for r.index[i] != 0 {
		i = (i + 1) & mask
	}
	r.index[i] = uint64(tag(e.print))<<32 | uint64(uint32(r.head))
	r.head++
	return r.head - 1
}

// drop removes the oldest, shifting back those of the index that it had
// displaced.
func (r *recent) drop() {
	mask := uint32(len(r.index) - 1)
	g := tag(r.at(r.tail).print)
	want := uint64(g)<<32 | uint64(uint32(r.tail))
	i := r.home(g)
	for r.index[i] != want {
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		if r.index[j] == 0 {
			break
		}
		if (j-r.home(uint32(r.index[j]>>32)))&mask >= (j-i)&mask {
			r.index[i] = r.index[j]
			i = j
		}
	}
	r.index[i] = 0
	r.tail++
}

// resize moves all to a ring of n entries; counters stay.
func (r *recent) resize(n int) {
	old := *r
	r.ring, r.index = make([]entry, n), make([]uint64, 2*n)
	r.head = old.tail
	for i := old.tail; i != old.head; i++ {
		r.push(*old.at(i))
	}
}

// clear forgets all.
func (r *recent) clear() {
	for r.tail != r.head {
		r.drop()
	}
}
