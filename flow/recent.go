package flow

import (
	"math"
	"math/bits"
	"unsafe"

	"mirrorscope/pool"
)

// copies remembers the packets of the latest moments by fingerprint: a ring in
// order of arrival, and an index into it. What is too old to matter leaves at
// the tail of the ring; so memory follows the packet rate, up to a bound.
//
// Entries are numbered as they come, and the index holds those numbers. One
// that has left the ring needs no removal: its number tells, and its slot is
// taken by the next that comes to lie there. When something leaves is told by
// the block that it is in, when another one begins. So a new packet touches one line of the
// index, and the head of the ring.
type copies struct {
	ring       []seenCopy // length a power of two
	index      []bucket   // half as many as the ring has entries
	head, tail uint32     // numbers of entries: [tail, head) are in use; tail is never 0
	left       uint32     // entries that may be pushed before makeRoom
	clock      int64      // the input's clock at the latest add, ns
	blocks     []int64    // of blockLen entries each, but for the one at the head: the input's clock when the latest came; twice those of the ring, so that head and tail have different ones
	memory     pool.Memory
	max        int // entries

	window, windowHop int64  // ns: what is younger than window is kept as long as there is room
	exact             uint32 // head when all that was too old had gone
	refreshed         int    // entries that are
	evicted           uint64 // that had to leave for lack of room
}

// bucket of the index: half a cache line. The lower bits of a fingerprint name
// it. Its slots are taken in turn, so the next one is the oldest: when that is in
// use they all are.
type bucket struct {
	tags  [7]uint8         // of each slot, of its fingerprint
	next  uint8            // slot
	slots [slotsLen]uint32 // numbers of entries; 0 never used
	more  uint32           // the latest entry that found no room here, and went to the next bucket; 0 none
}

// mostSpill bounds in how many buckets a packet is looked for. Two slots of five are in use,
// so where fingerprints differ, full buckets are hardly ever neighbours.
const mostSpill = 8

const (
	slotsLen = 5
	eachTag  = 1 << (8 * slotsLen) / 255 // 1 in the octet of each slot
)

func tagOf(print uint64) uint8 { return uint8(print >> 32) }

// alike has the highest bit set in the octet of each slot whose tag is that of
// a fingerprint, and perhaps of some more.
func (b *bucket) alike(print uint64) uint64 {
	x := word((*[8]uint8)(unsafe.Pointer(b))[:]) ^ uint64(tagOf(print))*eachTag
	return (x - eachTag) &^ x & (eachTag << 7)
}

// enough entries of a table are kept up to windowHop; beyond that only what is
// younger than window. A ring of a power of two has room for a block beside them.
const enough = 4096 - blockLen

// blockLen entries share the time in copies.blocks, and leave together.
const blockLen = 64

// seenCopy is one remembered packet.
type seenCopy struct {
	print    uint64 // fingerprint
	at       int64  // record time of the latest copy, ns
	position uint32 // packet.Packet.Position
	checksum uint16
	ttl      uint8
	flags    copyFlags
}

type copyFlags uint8

const (
	noChecksum copyFlags = 1 << iota // the checksum is no evidence
	refreshed                        // at is later than the place in the ring tells
)

// The least and the first length of the ring.
const minCopies, firstCopies = 64, 256

func (c *copies) init(octets int64, cfg *Config) {
	c.max = minCopies
	for int64(c.max)*2*(24+2*8/blockLen+16) <= octets {
		c.max *= 2
	}
	c.window, c.windowHop = int64(cfg.DupWindow), int64(cfg.DupWindowHop)
	c.resize(min(c.max, firstCopies))
}

// octets that are held.
func (c *copies) octets() int { return 24*len(c.ring) + 8*len(c.blocks) + 32*len(c.index) }

func (c *copies) at(number uint32) *seenCopy { return &c.ring[number&uint32(len(c.ring)-1)] }

// block is that of an entry, which is not the one at the head.
func (c *copies) block(number uint32) *int64 {
	return &c.blocks[number/blockLen&uint32(len(c.blocks)-1)]
}

// has tells whether an entry is still in the ring.
func (c *copies) has(number uint32) bool { return number-c.tail < c.head-c.tail }

// bucket is where a fingerprint is found.
func (c *copies) bucket(print uint64) *bucket { return &c.index[uint32(print)&uint32(len(c.index)-1)] }

// address is that of the bucket.
func (c *copies) address(print uint64) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(c.index))) + uintptr(uint32(print)&uint32(len(c.index)-1))*unsafe.Sizeof(bucket{})
}

// ahead is one of the places where entries will come to lie after the next few; of which of them
// tells i. A store that misses the caches keeps those behind it waiting.
func (c *copies) ahead(i int) uintptr {
	return uintptr(unsafe.Pointer(c.at(c.head + 4 + uint32(i)%8)))
}

// may tells whether it is worth to call find.
func (c *copies) may(print uint64) bool {
	b := c.bucket(print)
	return b.alike(print) != 0 || c.has(b.more)
}

// noSum is no checksum.
const noSum = 1 << 16

// find gives the remembered packet of a fingerprint whose checksum does not
// tell it apart, the one that came first if there are several, or nil. It is
// valid until the next add. void are two checksums that are no evidence, or noSum.
func (c *copies) find(print uint64, checksum uint16, flags copyFlags, void [2]uint32) *seenCopy {
	if sum := uint32(checksum); sum == void[0] || sum == void[1] {
		flags |= noChecksum
	}
	n, ok := c.search(print, checksum, flags, &void)
	if ok && c.exact != c.head {
		c.forget(c.clock, 1)
		n, ok = c.search(print, checksum, flags, &void)
	}
	if !ok {
		return nil
	}
	return c.at(n)
}

func (c *copies) search(print uint64, checksum uint16, flags copyFlags, void *[2]uint32) (n uint32, ok bool) {
	mask := uint32(len(c.index) - 1)
	for i := range min(mask+1, mostSpill) {
		b := &c.index[(uint32(print)+i)&mask]
		for z := b.alike(print); z != 0; z &= z - 1 {
			s := b.slots[bits.TrailingZeros64(z)/8]
			if !c.has(s) {
				continue
			}
			e := c.at(s)
			if e.print != print || ok && s-c.tail >= n-c.tail {
				continue
			}
			if sum := uint32(e.checksum); e.checksum == checksum || (e.flags|flags)&noChecksum != 0 || sum == void[0] || sum == void[1] {
				n, ok = s, true
			}
		}
		if !c.has(b.more) {
			break
		}
	}
	return n, ok
}

// refresh tells that a copy of e came, which find gave, at record time at.
func (c *copies) refresh(e *seenCopy, at int64, ttl uint8, position uint32) {
	e.at, e.ttl, e.position = max(e.at, at), ttl, position
	if e.flags&refreshed == 0 {
		e.flags |= refreshed
		c.refreshed++
		c.left = 0
	}
}

// add remembers a packet that find does not know, of record time at, at time
// now of the input's clock. Its other fields are those of an older one: the caller
// sets them.
func (c *copies) add(print uint64, at, now int64) *seenCopy {
	if c.left == 0 {
		c.makeRoom(now)
	}
	c.left--
	e := c.push(print, at)
	c.clock = now
	return e
}

// makeRoom drops what is too old, and what there is no room for, and tells in left
// when that must be done again, one entry later at the soonest.
func (c *copies) makeRoom(now int64) {
	if c.head > math.MaxUint32-2*uint32(len(c.ring)) {
		c.resize(len(c.ring)) // numbers begin again
	}
	// The refreshed take their new place when they come to the tail. Without them
	// dropping may lag behind: what is too old does not come back.
	if c.refreshed == 0 {
		c.forgetBlocks(now)
	}
	exact := c.refreshed != 0 || int(c.head-c.tail) == len(c.ring)
	if exact {
		c.forget(now, 0)
	}
	if int(c.head-c.tail) == len(c.ring) {
		if len(c.ring) < c.max {
			c.resize(min(4*len(c.ring), max(2*len(c.ring), enough+blockLen), c.max))
		} else {
			c.evicted++
			c.drop()
		}
	}
	if exact {
		c.exact = c.head + 1
	}
	c.left = 1
	if c.refreshed == 0 {
		c.left = min(blockLen-c.head%blockLen, uint32(len(c.ring))-(c.head-c.tail))
	}
}

// forgetBlocks drops what must be too old, from what its block tells.
func (c *copies) forgetBlocks(now int64) {
	for {
		next := (c.tail | (blockLen - 1)) + 1
		if next-c.tail >= c.head-c.tail { // the block at the head has no time yet
			return
		}
		age := now - *c.block(c.tail)
		if age < c.window {
			return
		}
		if age < c.windowHop {
			if c.head-next < enough-1 {
				c.tail += max(c.head-c.tail, enough-1) - (enough - 1)
				return
			}
		}
		c.tail = next
	}
}

// forget drops what had become too old at time now, before the latest entries
// came, so many.
func (c *copies) forget(now int64, latest uint32) {
	for c.head != c.tail {
		e := c.at(c.tail)
		age := now - e.at
		if age < c.window || age < c.windowHop && c.head-latest-c.tail < enough {
			if e.flags&refreshed == 0 {
				break
			}
			young := *e // it may not keep the older ones behind it
			young.flags &^= refreshed
			c.drop()
			*c.push(young.print, young.at) = young
			continue
		}
		c.drop()
	}
	c.exact, c.left = c.head, 0
}

// push enters a packet at the head. The caller sets its other fields.
func (c *copies) push(print uint64, at int64) *seenCopy {
	head := c.head
	if head%blockLen == 0 {
		*c.block(head - 1) = c.clock
	}
	b := c.bucket(print)
	if c.has(b.slots[b.next]) {
		b = c.spill(uint32(print))
	}
	i := b.next
	b.slots[i], b.tags[i] = head, tagOf(print)
	if i++; i == slotsLen {
		i = 0
	}
	b.next = i
	c.head = head + 1
	e := c.at(head)
	e.print, e.at = print, at
	return e
}

// spill finds a bucket with room, bucket i or one behind it. Where there is none near by,
// which is so when somebody sends packets that differ in what no fingerprint has, the oldest
// of bucket i is not found any more.
func (c *copies) spill(i uint32) *bucket {
	mask := uint32(len(c.index) - 1)
	for k := range min(mask+1, mostSpill) {
		b := &c.index[(i+k)&mask]
		if !c.has(b.slots[b.next]) {
			return b
		}
		b.more = c.head
	}
	c.evicted++
	return &c.index[i&mask]
}

// drop removes the entry at the tail.
func (c *copies) drop() {
	c.refreshed -= int(c.at(c.tail).flags & refreshed / refreshed)
	c.tail++
}

// empty forgets all, and gives its memory back.
func (c *copies) empty() {
	c.tail, c.refreshed = c.head, 0
	c.resize(min(c.max, firstCopies))
}

// resize moves all to a ring of n entries.
func (c *copies) resize(n int) {
	old := *c
	c.ring, c.index = pool.MakeSlice[seenCopy](&c.memory, n), pool.MakeSlice[bucket](&c.memory, n/2)
	c.blocks = make([]int64, 2*n/blockLen)
	c.head, c.tail, c.left, c.exact = 1, 1, 0, 0
	for i := old.tail; i != old.head; i++ {
		e := old.at(i)
		*c.push(e.print, e.at) = *e
	}
	c.evicted = old.evicted // whoever finds no place has none already
	pool.FreeSlice(&c.memory, old.ring)
	pool.FreeSlice(&c.memory, old.index)
}
