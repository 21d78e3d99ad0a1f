package flow

// copies remembers the packets of the latest moments by fingerprint: a ring in
// order of arrival, and an index into it by open addressing. What is too old
// to matter leaves at the tail of the ring; so memory follows the packet rate,
// up to a bound.
type copies struct {
	ring       []seenCopy // length a power of two
	head, tail uint32     // counters, modulo the length: [tail, head) is in use
	index      []uint64   // tag<<32 | counter, 0 free; twice as long as the ring
	max        int        // entries

	window, windowHop int64  // ns: what is younger than window is kept as long as there is room
	evicted           uint64 // that was not
}

// enough entries of a table are kept up to windowHop; beyond that only what is
// younger than window.
const enough = 4096

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

func (c *copies) init(octets int64, cfg *Config) {
	c.max = 64
	for int64(c.max)*2*(24+16) <= octets {
		c.max *= 2
	}
	c.window, c.windowHop = int64(cfg.DupWindow), int64(cfg.DupWindowHop)
	c.resize(min(c.max, 256))
}

// tag is the part of a fingerprint that the index keeps. It is never 0.
func tag(print uint64) uint32 { return uint32(print>>32) | 1 }

func (c *copies) home(tag uint32) uint32 { return tag >> 1 & uint32(len(c.index)-1) }

func (c *copies) at(counter uint32) *seenCopy { return &c.ring[counter&uint32(len(c.ring)-1)] }

// find gives the remembered packet of a fingerprint whose checksum does not
// tell it apart, or nil. It is valid until the next add.
func (c *copies) find(print uint64, checksum uint16, flags copyFlags) *seenCopy {
	mask := uint32(len(c.index) - 1)
	for i := c.home(tag(print)); c.index[i] != 0; i = (i + 1) & mask {
		if uint32(c.index[i]>>32) == tag(print) {
			e := c.at(uint32(c.index[i]))
			if e.print == print && (e.checksum == checksum || (e.flags|flags)&noChecksum != 0) {
				return e
			}
		}
	}
	return nil
}

// add remembers a packet that find does not know, at time now of the input's
// clock.
func (c *copies) add(e seenCopy, now int64) {
	c.forget(now)
	if int(c.head-c.tail) == len(c.ring) {
		if len(c.ring) < c.max {
			c.resize(2 * len(c.ring))
		} else {
			c.evicted++
			c.drop()
		}
	}
	c.push(e)
}

// forget drops what has become too old.
func (c *copies) forget(now int64) {
	for c.head != c.tail {
		e := c.at(c.tail)
		age := now - e.at
		if age < c.window || age < c.windowHop && c.head-c.tail < enough {
			if e.flags&refreshed == 0 {
				return
			}
			young := *e // it may not keep the older ones behind it
			young.flags &^= refreshed
			c.drop()
			c.push(young)
			continue
		}
		c.drop()
	}
}

// push enters e at the head.
func (c *copies) push(e seenCopy) {
	*c.at(c.head) = e
	mask := uint32(len(c.index) - 1)
	i := c.home(tag(e.print))
	for c.index[i] != 0 {
		i = (i + 1) & mask
	}
	c.index[i] = uint64(tag(e.print))<<32 | uint64(c.head)
	c.head++
}

// drop removes the entry at the tail, shifting back those of the index that it
// had displaced.
func (c *copies) drop() {
	mask := uint32(len(c.index) - 1)
	g := tag(c.at(c.tail).print)
	want := uint64(g)<<32 | uint64(c.tail)
	i := c.home(g)
	for c.index[i] != want {
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		if c.index[j] == 0 {
			break
		}
		if (j-c.home(uint32(c.index[j]>>32)))&mask >= (j-i)&mask {
			c.index[i] = c.index[j]
			i = j
		}
	}
	c.index[i] = 0
	c.tail++
}

// resize moves all to a ring of n entries.
func (c *copies) resize(n int) {
	old := *c
	c.ring, c.index = make([]seenCopy, n), make([]uint64, 2*n)
	c.head, c.tail = 0, 0
	for i := old.tail; i != old.head; i++ {
		c.push(*old.at(i))
	}
}
