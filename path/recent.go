package path

// recent remembers the packets of the latest moments by fingerprint: a ring in
// order of arrival, and an index into it by open addressing. A counter names
// an entry: it never comes again. What only one point can have recorded so far
// is in the ring alone, which is written and read in order and so costs little.
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
	back   uint32 // while not indexed: how many entries before the one before of its sight is; 0: none
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
	indexed
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

// add remembers a packet, in the index if it is flagged so. There must be room.
func (r *recent) add(e *entry) (counter uint64) {
	if int(r.head-r.tail) == len(r.ring) {
		r.resize(2 * len(r.ring))
	}
	r.push(e)
	return r.head - 1
}

func (r *recent) push(e *entry) {
	*r.at(r.head) = *e
	if e.flags&indexed != 0 {
		r.enter(e.print, r.head)
	}
	r.head++
}

// enter puts an entry into the index.
func (r *recent) enter(print, counter uint64) {
	mask := uint32(len(r.index) - 1)
	i := r.home(tag(print))
	for r.index[i] != 0 {
		i = (i + 1) & mask
	}
	r.index[i] = uint64(tag(print))<<32 | uint64(uint32(counter))
}

// alike tells whether there are already as many of a fingerprint as may be.
func (r *recent) alike(print uint64) bool {
	n := 0
	for w := r.search(print); ; n++ {
		if e, _ := r.next(&w); e == nil {
			return false
		}
		if n == maxAlike-1 {
			return true
		}
	}
}

// drop removes the oldest, shifting back those of the index that it had
// displaced.
func (r *recent) drop() {
	e := r.at(r.tail)
	if e.flags&indexed == 0 {
		r.tail++
		return
	}
	mask := uint32(len(r.index) - 1)
	g := tag(e.print)
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
		r.push(old.at(i))
	}
}

// clear forgets all.
func (r *recent) clear() {
	for r.tail != r.head {
		r.drop()
	}
}
