package tlsmeta

import (
	"unsafe"

	"mirrorscope/pool"
)

// work is what a Conn needs while it reads, in 11 cache lines of which most
// segments touch five of the first seven, and ACKs the first and those of acksAt. It
// holds no pointers.
type work struct {
	fresh

	acksAt ring      // when the latest of acks came
	recent [8]moment // ends of the latest of srv.records
}

// fresh is what a work has for each handshake anew; of the rest it tells what holds.
type fresh struct {
	next          [2]int64 // position behind what was fed of a direction, for who has Lend
	active        uint8    // direction of the present flight
	inferred      bool     // see Segment; of the latest
	acks          uint32   // how often the client acknowledged more of the server
	filled, since int64    // record time of the latest segment if it filled a hole, and since when that was open
	helloAt       int64    // record time of the ClientHello's first octet
	after         after
	_             [8]byte

	flights [2]flight
	dirs    [2]direction

	srv   server13
	early Early
	cf    client13
}

// Room lends the Conns of one goroutine what they need while they read.
type Room struct {
	*pool.Budget         // of messages in parts
	buffers      buffers // of those
	works        pool.Pool[work]
	whole        record // the latest that lay in a segment whole
	draft        Info   // what one tells whose Info others share
	unhurried    bool   // those are read like others; for tests
}

// Lent is to how many Conns.
func (b *Room) Lent() int { return b.works.InUse() }

// Conn puts a connection together that the Room serves, for a moment. i may be
// nil for whoever asks how far it is, or tells of octets that came again and of
// acknowledgments.
func (b *Room) Conn(s *State, i *Info) Conn {
	c := Conn{State: s, Info: i}
	if s.work != 0 {
		c.w = b.works.At(s.work)
	}
	return c
}

// Share makes c what Conn gives, for an Info that others share: if what happens
// changes it, then Changed tells so, and Info is another, until the next is made.
func (b *Room) Share(c *Conn, s *State, i *Info) {
	*c = Conn{State: s, Info: i, draft: &b.draft}
	if s.work != 0 {
		c.w = b.works.At(s.work)
	}
}

// Prefetch adds the cache lines that Feed needs of what a Conn is lent, for data of
// a side, or Acked if there is none. The client's data are likely to be its second flight.
func (b *Room) Prefetch(work uint32, client, data bool, lines *pool.Lines) {
	w := b.works.At(work)
	lines.Add(unsafe.Pointer(w))
	if !data {
		lines.Add(unsafe.Pointer(&w.acksAt[0]))
		return
	}
	lines.Add(unsafe.Pointer(&w.flights[0]))
	lines.Add(unsafe.Pointer(&w.flights[1]))
	lines.Add(unsafe.Pointer(&w.dirs[0]))
	lines.Add(unsafe.Pointer(&w.dirs[1]))
	lines.Add(unsafe.Pointer(&w.srv))
	if client {
		lines.Add(unsafe.Pointer(&w.cf))
	}
}

// PrefetchFree begins to load what the next Conn will be lent.
func (b *Room) PrefetchFree() { b.works.PrefetchFree(int(unsafe.Sizeof(fresh{})+63) / 64) }

func (c *Conn) lend(b *Room) {
	c.work = b.works.Get()
	c.w = b.works.At(c.work)
	c.w.fresh = fresh{active: c.client}
}

// Release gives back what was lent. Nothing can be read behind it.
func (c *Conn) Release(b *Room) {
	if c.w == nil {
		return
	}
	for i := range c.w.dirs {
		c.w.dirs[i].drop(b)
	}
	c.early = c.w.early
	b.works.Put(c.work)
	c.work, c.w = 0, nil
	c.stage = stageOver
}
