package flow

import (
	"unsafe"

	"mirrorscope/pool"
	"mirrorscope/tcp"
)

// slab holds the flows of a table: those that are awake, those that are embryos
// yet, whose numbers have isEmbryo set, those at rest, with isResting, and those that
// are seeds, with both.
type slab struct {
	store[Flow]
	embryos store[embryo]
	seeds   seeds
	resting store[rested]

	beds      pool.Arena // what those at rest are when packed
	restLines int        // lines that are counted for it

	youths pool.Arena // of embryos; and rows of seeds
	quiet  int        // embryos that are
}

const (
	noFlow    = ^uint32(0)
	isEmbryo  = 1 << (numberBits - 1)
	isResting = 1 << (numberBits - 2)
)

func newSlab() slab {
	return slab{seeds: seeds{fill: rowLen}, store: store[Flow]{free: noFlow}, embryos: store[embryo]{free: noFlow}, resting: store[rested]{free: noFlow}}
}

// asleep tells that a number is that of a seed, an embryo or a flow at rest.
func asleep(n uint32) bool { return n >= isResting }

func (s *slab) embryo(n uint32) *embryo { return s.embryos.at(n &^ isEmbryo) }

// link is that of what is no seed: those are in no wheel.
func (s *slab) link(n uint32) *link {
	switch {
	case n < isResting:
		return s.store.link(n)
	case n < isEmbryo:
		return s.resting.link(n - isResting)
	}
	return s.embryos.link(n - isEmbryo)
}

// entered tells whether a number that was ever given out is in a wheel.
func (s *slab) entered(n uint32) bool { return s.link(n).prev != noFlow }

// seen is the input's clock when the latest packet of a flow or embryo came.
func (s *slab) seen(n uint32) int64 {
	switch {
	case !asleep(n):
		return s.at(n).seen
	case seedling(n):
		return s.seeds.seen(n)
	case n&isEmbryo != 0:
		e := s.embryo(n)
		if e.grown() {
			return s.youth(e.behind).seen
		}
		return e.seen()
	}
	return s.rested(n).seen
}

// start is the record time of its first packet.
func (s *slab) start(n uint32) int64 {
	switch {
	case !asleep(n):
		return s.at(n).start
	case seedling(n):
		return s.seeds.seen(n)
	case n&isEmbryo != 0:
		return s.embryo(n).time
	}
	return s.rested(n).start
}

func (s *slab) class(n uint32) class {
	switch {
	case !asleep(n):
		return s.at(n).class
	case seedling(n):
		return halfOpen
	case n&isEmbryo != 0:
		if e := s.embryo(n); e.grown() {
			return s.youth(e.behind).class()
		}
		return halfOpen
	}
	return s.rested(n).class
}

// slot is its slot in the wheel of its class.
func (s *slab) slot(n uint32) int {
	switch {
	case !asleep(n):
		return int(s.at(n).slot)
	case n&isEmbryo != 0:
		return s.embryo(n).slot()
	}
	return int(s.rested(n).slot)
}

func (s *slab) setSlot(n uint32, i int) {
	switch {
	case !asleep(n):
		s.at(n).slot = uint16(i)
	case n&isEmbryo != 0:
		s.embryo(n).setSlot(i)
	default:
		s.rested(n).slot = uint16(i)
	}
}

// key is its key, in scratch where it is not kept as such.
func (s *slab) key(n uint32, scratch *Key) *Key {
	switch {
	case !asleep(n):
		return &s.at(n).key
	case seedling(n):
		*scratch = s.seeds.key(s.seeds.at(n))
	case n&isEmbryo != 0:
		s.embryo(n).setKey(scratch)
	default:
		s.outline(n, scratch)
	}
	return scratch
}

// all is how many there are.
func (s *slab) all() int { return s.live + s.embryos.live + s.seeds.live + s.resting.live }

// put takes back the number of a flow, of one at rest that got up, of an
// embryo or of a seed.
func (s *slab) put(n uint32) {
	switch {
	case !asleep(n):
		s.store.put(n)
	case seedling(n):
		s.seeds.put(n)
	case n&isEmbryo != 0:
		s.putEmbryo(n)
	default:
		s.resting.put(n &^ isResting)
	}
}

// putEmbryo takes back an embryo, and its youth.
func (s *slab) putEmbryo(n uint32) {
	e := s.embryo(n)
	if e.grown() {
		s.putYouth(e.behind)
	}
	if e.flags&isQuiet != 0 {
		s.quiet--
	}
	s.embryos.put(n &^ isEmbryo)
}

// prefetch begins to load the lines of a flow that every packet touches.
func (s *slab) prefetch(n uint32) {
	switch {
	case !asleep(n):
		pool.Prefetch(unsafe.Pointer(s.at(n)), flowLines)
	case seedling(n):
		pool.Prefetch(unsafe.Pointer(s.seeds.at(n)), 1)
	case n&isEmbryo != 0:
		pool.Prefetch(unsafe.Pointer(s.embryo(n)), 1)
	default:
		pool.Prefetch(unsafe.Pointer(s.rested(n)), 1)
	}
}

// prefetchYouth adds the lines of a youth that a packet touches: its beginning, and
// where its log may end.
func (s *slab) prefetchYouth(n uint32, lines *pool.Lines) {
	at := unsafe.Pointer(s.youth(n))
	lines.Add(at)
	lines.Add(unsafe.Add(at, youthLen-1))
	if end := youthUnits(n) * pool.Unit; end > 2*youthLen {
		lines.Add(unsafe.Add(at, end-youthLen))
		lines.Add(unsafe.Add(at, end-1))
	} else {
		lines.Add(unsafe.Add(at, end-1))
	}
}

// prefetchFree begins to load the flow that comes next.
func (s *slab) prefetchFree() { s.store.prefetchFree(flowLines) }

// flowLines is how many cache lines of a flow most packets touch.
const flowLines = int(unsafe.Offsetof(Flow{}.handshake)+63) / 64

// Of these, a packet touches those up to the first of its direction, or of direction
// 0, and of the other direction both: of its own, the second is for the other's ACKs.
// So there are flowHead in front, and two from flowEnd of its direction on.
const flowHead = int(unsafe.Offsetof(Flow{}.tcp)+unsafe.Offsetof(tcp.Conn{}.Dirs))/64 + 1

var flowEnd = [2]uintptr{uintptr(flowHead+1) * 64, uintptr(flowHead) * 64}

// flowRest is what a packet of a direction leaves out of those; what ends needs it.
var flowRest = [2]uintptr{uintptr(flowHead) * 64, uintptr(flowHead+2) * 64}

// store holds values in chunks that never move, outside of the heap, so that a
// table grows without copying and the garbage collector has nothing to look
// into. What is given back is used first, while it is in the caches.
type store[T any] struct {
	chunks []*chunk[T]
	memory pool.Memory
	free   uint32 // head of the list of what is free, linked by link.next; none if noFlow
	n      uint32 // values ever handed out from chunks
	live   int
}

// chunk holds values, and beside them, close together, where they are in their
// wheels: a wheel touches the links of flows that have nothing to do with the
// packet at hand.
type chunk[T any] struct {
	values [chunkLen]T
	links  [chunkLen]link
}

// link places a value between others: in the ring of a wheel's slot, or in the
// list of what is free. Where it is in no wheel, prev is noFlow.
type link struct{ next, prev uint32 }

const chunkLen = 64

// at gives a value. Its address is reckoned: to index the array of a chunk, Go first reads
// the chunk's first octet, to see that the pointer is not nil, and waits for it to come.
func (s *store[T]) at(n uint32) *T {
	var c chunk[T]
	return (*T)(unsafe.Add(unsafe.Pointer(s.chunks[n/chunkLen]), uintptr(n%chunkLen)*unsafe.Sizeof(c.values[0])))
}

// link is that of a value.
func (s *store[T]) link(n uint32) *link {
	var c chunk[T]
	return (*link)(unsafe.Add(unsafe.Pointer(s.chunks[n/chunkLen]), unsafe.Offsetof(c.links)+uintptr(n%chunkLen)*unsafe.Sizeof(link{})))
}

// get hands out a value, not cleared.
func (s *store[T]) get() uint32 {
	s.live++
	if s.free != noFlow {
		n := s.free
		s.free = s.link(n).next
		return n
	}
	if int(s.n) == len(s.chunks)*chunkLen {
		s.chunks = append(s.chunks, pool.New[chunk[T]](&s.memory))
	}
	n := s.n
	s.n++
	s.link(n).prev = noFlow
	return n
}

// takeOut appends to numbers those of a chunk that are in wheels, with which kind of
// number they have. They are taken for out of them from then on.
func (s *store[T]) takeOut(i int, kind uint32, numbers []uint32) []uint32 {
	first := uint32(i) * chunkLen
	links := s.chunks[i].links[:min(s.n-first, chunkLen)]
	for k := range links {
		if l := &links[k]; l.prev != noFlow {
			l.prev = noFlow
			numbers = append(numbers, first+uint32(k)|kind)
		}
	}
	return numbers
}

// prefetchFree begins to load lines of what get gives next, if there is memory for it.
func (s *store[T]) prefetchFree(lines int) {
	n := s.free
	if n == noFlow {
		n = s.n
	}
	if int(n/chunkLen) < len(s.chunks) {
		pool.Prefetch(unsafe.Pointer(s.at(n)), lines)
	}
}

func (s *store[T]) put(n uint32) {
	s.live--
	s.link(n).next = s.free
	s.free = n
}
