package edge

import (
	"math/rand/v2"
	"slices"
	"unsafe"

	"mirrorscope/index"
	"mirrorscope/packet"
	"mirrorscope/pool"
)

// store keeps conversations in the order in which they became known. Most have
// few connections, and those plain: of these it keeps an entry and the packed
// connections, some 200 octets without a pointer. Any other one is a
// Conversation.
type store struct {
	pages  []*page
	n      int // entries
	index  index.Index
	memory pool.Memory // of pages, index and octets

	cells  pool.Pool[cell]  // of packed connections
	names  pool.Pool[names] // of entries that are packed
	whole  []*Conversation
	spare  []uint32 // numbers in whole that are free
	buf    []byte   // scratch: packed connections
	replay replay   // scratch
	octets []int64  // scratch
}

// entry is one conversation.
type entry struct {
	Key
	point  packet.PointID // where it was seen, one of several
	hash   uint32         // of Key
	number uint32         // from 0 on

	first, last uint32 // cells with its packed connections; where it is lone, the time
	whole       uint32 // number of its Conversation in store.whole, and 1; 0: it is packed
	names       uint32 // number in store.names, while it is packed; 0: not known

	fill   uint8 // octets used in the last cell; where it is lone, the outcome
	packed uint8 // connections that are packed
	traits traits
}

// names of a conversation that is packed.
type names struct {
	ends [2]string // Conversation.Names
	sni  string    // in the handshakes, which all have the same
}

// traits tell what is worth a look at a conversation.
type traits uint8

const (
	tried   traits = 1 << iota // Conversation.Tried, while it is packed
	secure                     // there are handshakes, likewise
	suspect                    // the verdict may point at somebody
	located                    // entry.point is known
	several                    // it was seen at several points
	lone                       // it is one SYN, and nothing else: see setLone
)

// cell is a part of packed connections.
type cell struct {
	next uint32 // 0: none
	data [60]byte
}

// maxPacked is how many connections of a conversation are kept packed. A
// Conversation with its distributions takes as much as a dozen.
const maxPacked = 4

const pageLen = 1 << 9

// page holds entries, and beside them, close together, what orders them: shed looks at that of all.
type page struct {
	entries [pageLen]entry
	bytes   [pageLen]int64 // Conversation.Bytes
}

func (s *store) at(i int) *entry { return s.pages[i/pageLen].at(i) }

// bytes is what both sides of a conversation sent, in IP octets.
func (s *store) bytes(i int) *int64 { return &s.pages[i/pageLen].bytes[uint(i)%pageLen] }

// at gives entry i. Its address is reckoned: to index the array, Go first reads the page's
// first octet, to see that the pointer is not nil, and waits for it to come.
func (p *page) at(i int) *entry {
	return (*entry)(unsafe.Add(unsafe.Pointer(p), uintptr(uint(i)%pageLen)*unsafe.Sizeof(entry{})))
}

// lookUp gives the entry of a key that has a hash, nil if there is none.
func (s *store) lookUp(k *Key, h uint32) *entry {
	slots := s.index.Slots
	for i := s.index.Place(h); i < uint64(len(slots)); i = (i + 1) & s.index.Mask() {
		slot := slots[i]
		if slot == 0 {
			return nil
		}
		if uint32(slot>>32) == h {
			if e := s.at(int(uint32(slot)) - 1); e.Key == *k {
				return e
			}
		}
	}
	return nil
}

// add makes an entry for a key that has none.
func (s *store) add(k *Key, hash uint32) *entry {
	if s.full() {
		s.grow()
	}
	s.n++
	s.index.Insert(hash, uint32(s.n))
	e := s.at(s.n - 1)
	*e = entry{}
	*s.bytes(s.n - 1) = 0
	e.number = uint32(s.n - 1)
	e.Network, e.Client, e.Server, e.Port, e.HasPort, e.Proto = k.Network, k.Client, k.Server, k.Port, k.HasPort, k.Proto // as they were written
	e.hash = hash
	return e
}

// full tells whether there is no room for another entry.
func (s *store) full() bool { return s.n == len(s.pages)*pageLen || 2*(s.n+1) > len(s.index.Slots) }

// grow makes room for another entry.
func (s *store) grow() {
	if s.n == len(s.pages)*pageLen {
		s.pages = append(s.pages, pool.New[page](&s.memory))
	}
	if 2*(s.n+1) > len(s.index.Slots) {
		s.rebuild(max(2*len(s.index.Slots), 1<<10))
	}
}

// fold adds a connection to its conversation.
func (s *store) fold(e *entry, c *connection) {
	s.packLone(e)
	*s.bytes(int(e.number)) += c.sent[0].Bytes + c.sent[1].Bytes
	for _, p := range c.points {
		e.seen(p)
	}
	plain := c.plain()
	if !plain || c.suspect() {
		e.traits |= suspect
	}
	if plain && e.whole == 0 && e.packed < maxPacked && s.sameName(e, c) {
		s.pack(e, c)
		return
	}
	s.unfold(e).add(c)
}

// sameName tells whether the handshake of a connection, if it has one, names the
// server as those that are packed do.
func (s *store) sameName(e *entry, c *connection) bool {
	if !c.talk.handshake.spoken || e.traits&secure == 0 {
		return true
	}
	known := ""
	if e.names != 0 {
		known = s.names.At(e.names).sni
	}
	return c.talk.handshake.name == known
}

// seen notes that a connection was seen at a point.
func (e *entry) seen(p packet.PointID) {
	if e.traits&located != 0 && p != e.point {
		e.traits |= several
	}
	e.point = p
	e.traits |= located
}

// write adds packed connections to those of an entry.
func (s *store) write(e *entry, b []byte) {
	for {
		if e.last != 0 {
			n := copy(s.cells.At(e.last).data[e.fill:], b)
			e.fill += uint8(n)
			if b = b[n:]; len(b) == 0 {
				return
			}
		}
		n := s.cells.Get()
		s.cells.At(n).next = 0
		if e.last == 0 {
			e.first = n
		} else {
			s.cells.At(e.last).next = n
		}
		e.last, e.fill = n, 0
	}
}

func (s *store) pack(e *entry, c *connection) {
	s.buf = c.pack(s.buf[:0])
	s.write(e, s.buf)
	h := &c.talk.handshake
	if c.talk.turns > 0 || c.talk.bare && failed(c.outcome) || tlsFailed(h.outcome) {
		e.traits |= tried
	}
	if h.spoken {
		e.traits |= secure
	}
	e.packed++
	if c.names == [2]string{} && h.name == "" {
		return
	}
	if e.names == 0 {
		e.names = s.names.GetZero()
	}
	n := s.names.At(e.names)
	if h.spoken {
		n.sni = h.name
	}
	known := &n.ends
	for side := range known {
		if known[side] == "" {
			known[side] = c.names[side]
		}
	}
}

// unfold gives the Conversation of an entry, which is not packed any more.
func (s *store) unfold(e *entry) *Conversation {
	if e.whole != 0 {
		return s.whole[e.whole-1]
	}
	v := &Conversation{Key: e.Key}
	s.sum(e, v)
	s.drop(e)
	if n := len(s.spare); n > 0 {
		e.whole = s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.whole[e.whole-1] = v
		return v
	}
	s.whole = append(s.whole, v)
	e.whole = uint32(len(s.whole))
	return v
}

// sum adds the connections that an entry has packed.
func (s *store) sum(e *entry, v *Conversation) {
	if e.traits&lone != 0 {
		x := s.getLone(e)
		v.addLone(&x)
		return
	}
	s.buf = s.buf[:0]
	for n := e.first; n != 0; n = s.cells.At(n).next {
		s.buf = append(s.buf, s.cells.At(n).data[:]...)
	}
	b, known := slices.Grow(s.buf, mostPacked)[:len(s.buf)+mostPacked], names{}
	s.buf = b
	if e.names != 0 {
		known = *s.names.At(e.names)
	}
	for range e.packed {
		b = s.replay.add(v, b, known.sni)
	}
	v.name(&known.ends)
}

// drop gives back what an entry holds.
func (s *store) drop(e *entry) {
	if e.traits&lone != 0 {
		e.traits &^= lone
		e.first = 0 // it is no cell
	}
	for n := e.first; n != 0; {
		next := s.cells.At(n).next
		s.cells.Put(n)
		n = next
	}
	if e.names != 0 {
		*s.names.At(e.names) = names{}
		s.names.Put(e.names)
	}
	if e.whole != 0 {
		s.whole[e.whole-1] = nil
		s.spare = append(s.spare, e.whole)
	}
	e.first, e.last, e.packed, e.names, e.whole = 0, 0, 0, 0, 0
}

// shed puts the conversations with the fewest bytes into other, of equals those
// that became known first, until so many are left. It gives the most bytes that
// one of them had.
func (s *store) shed(keep int, other *Conversation) (most int64) {
	if len(s.octets) < s.n {
		pool.FreeSlice(&s.memory, s.octets)
		s.octets = pool.MakeSlice[int64](&s.memory, s.n)
	}
	list := s.octets[:0]
	for i := 0; i*pageLen < s.n; i++ {
		list = append(list, s.pages[i].bytes[:min(s.n-i*pageLen, pageLen)]...)
	}
	leave := s.n - keep
	most, less := nth(list, leave-1)
	leave -= less
	all := s.n
	s.n = 0
	clear(s.index.Slots)
	var small attempts
	for i := range all {
		e, bytes := s.at(i), *s.bytes(i)
		if bytes <= most {
			leaves := bytes < most
			if !leaves && leave > 0 {
				leave--
				leaves = true
			}
			switch {
			case leaves && e.traits&lone != 0: // it holds nothing beside itself
				x := s.getLone(e)
				small.add(&x, other)
				continue
			case leaves:
				s.pour(e, other)
				continue
			}
		}
		if s.n != i {
			*s.at(s.n), *s.bytes(s.n) = *e, bytes
			e = s.at(s.n)
			e.number = uint32(s.n)
		}
		s.n++
		s.index.Insert(e.hash, uint32(s.n))
	}
	other.addLones(&small)
	return most
}

// entries lends all of them, some at a time, in order.
func (s *store) entries(yield func([]entry) bool) {
	for i, left := 0, s.n; left > 0; i, left = i+1, left-pageLen {
		if !yield(s.pages[i].entries[:min(left, pageLen)]) {
			return
		}
	}
}

// rebuild puts all entries into an index of so many slots, a power of two.
func (s *store) rebuild(slots int) {
	x := &s.index
	pool.FreeSlice(&s.memory, x.Slots)
	x.Slots = pool.MakeSlice[uint64](&s.memory, slots)
	number := uint32(0)
	for some := range s.entries {
		for i := range some {
			number++
			x.Insert(some[i].hash, number)
		}
	}
}

// pour adds all of an entry to other, and lets go of it.
func (s *store) pour(e *entry, other *Conversation) {
	if e.whole != 0 {
		other.merge(s.whole[e.whole-1])
	} else {
		s.sum(e, other)
	}
	s.drop(e)
}

// nth gives the value that would be at place k if the values were in order, and how
// many are less. It changes their order. Whoever sends packets chooses the values, but no
// pivot, so he cannot make it slow.
func nth(values []int64, k int) (value int64, smaller int) {
	for {
		pivot := values[rand.IntN(len(values))]
		// What is less comes first, then what is equal.
		less, same := 0, 0
		for i, v := range values {
			switch {
			case v < pivot:
				values[i], values[less+same] = values[less+same], values[less]
				values[less] = v
				less++
			case v == pivot:
				values[i], values[less+same] = values[less+same], v
				same++
			}
		}
		switch {
		case k < less:
			values = values[:less]
		case k < less+same:
			return pivot, smaller + less
		default:
			values, k, smaller = values[less+same:], k-less-same, smaller+less+same
		}
	}
}

// prefetch begins to load the entry that a hash is of, if there is one.
func (s *store) prefetch(h uint32) {
	x := &s.index
	for i := x.Place(h); i < uint64(len(x.Slots)) && x.Slots[i] != 0; i = (i + 1) & x.Mask() {
		if uint32(x.Slots[i]>>32) == h {
			pool.Prefetch(unsafe.Pointer(s.at(int(uint32(x.Slots[i]))-1)), 2)
			return
		}
	}
}
