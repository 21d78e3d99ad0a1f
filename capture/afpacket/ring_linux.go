package afpacket

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"mirrorscope/capture"
)

// Ring is one packet socket and its blocks. It is a capture.Ring: Next, Horizon
// and Check are for one goroutine at a time, the one that reads; the others may
// be called from any. After Close nothing of it may be read any more but Stats
// and Received.
type Ring struct {
	capture *Capture
	fd      int // stays the same number, see replace

	link     capture.LinkType
	size     int // octets of a block
	blocks   int
	snap     uint32 // 0: all
	room     uint32 // octets of a frame that fit into a block for sure
	outgoing bool   // give out what this machine has sent
	hardware bool   // stamps are asked of the card
	slack    int64  // ns by which a stamp may be earlier than the frame's place in the ring

	// The reader's.
	walk    walker
	frame   frame
	tally   tally
	block   int          // at hand, or the next to come
	at      atomic.Int32 // the same, for others
	held    bool         // the block at hand is ours
	dirty   bool         // tally holds what is not published
	horizon int64        // as last given

	found   int           // blocks since Next last gave none
	gather  time.Duration // how long frames may gather now
	longest time.Duration // and at most

	// The attachment, guarded by capture.mu; see check_linux.go.
	state      state
	generation int
	index      int    // of the interface that it is bound to
	called     string // its name
	down       bool   // as last seen
	shut       bool   // its gate
	vanished   bool   // the interface has, and is not back yet

	// mu guards what follows: the mapping and the descriptor, when they are
	// changed or used by others than the reader, and the counts.
	mu     sync.Mutex
	sock   socket
	counts counts
}

// roomIn is how long a frame at least is that was cut because it does not fit
// into a block: the headers of block and frame take the rest.
func roomIn(block int) uint32 { return uint32(block) - 256 }

func newRing(c *Capture, s socket) *Ring {
	slack := time.Duration(c.cfg.SlackUS) * time.Microsecond
	if c.hardware {
		slack += 2 * maxClockOffset // which may also drift
	}
	return &Ring{
		capture: c, fd: s.fd, link: c.link,
		size: c.cfg.BlockBytes, blocks: c.cfg.Blocks, snap: uint32(c.cfg.SnapBytes),
		room:     roomIn(c.cfg.BlockBytes),
		outgoing: c.cfg.Outgoing, hardware: c.hardware, slack: slack.Nanoseconds(),
		gather: c.cfg.gather(), longest: c.cfg.gather(),
		state: waiting, shut: true, sock: s,
	}
}

// Next overwrites f with the next frame, if there is one, and f.Interface is
// left as it is. f.Data is lent until the next call, which may give the block
// that holds it back to the kernel.
func (r *Ring) Next(f *capture.Frame) bool {
	for {
		if r.more(f) {
			return true
		}
		if !r.turn() {
			return false
		}
	}
}

// NextBatch implements capture.Ring. A batch ends with the block that it is
// from.
func (r *Ring) NextBatch(fs []capture.Frame) (n int) {
	for {
		for n < len(fs) && r.more(&fs[n]) {
			n++
		}
		if n > 0 || !r.turn() {
			return n
		}
	}
}

// more gives the next frame of the block at hand.
func (r *Ring) more(f *capture.Frame) bool {
	for r.walk.left > 0 {
		if !r.walk.next(&r.frame) {
			r.tally.malformed += uint64(r.walk.left)
			r.walk.left = 0
			break
		}
		if r.give(f) {
			return true
		}
	}
	return false
}

// give makes a Frame of what the walker is at, or sorts it out.
func (r *Ring) give(f *capture.Frame) bool {
	p := &r.frame
	if p.pktType == pktOutgoing && !r.outgoing {
		r.tally.outgoing++
		return false
	}
	if have := p.end - p.start; have < p.wire && have >= r.room && (r.snap == 0 || have < r.snap) {
		r.tally.cut++ // not by a filter, which may keep less of any frame
	}
	if p.status&statusVLAN != 0 && r.link == capture.LinkEthernet {
		r.walk.restoreTag(p)
		if r.snap != 0 {
			p.end = min(p.end, p.start+r.snap)
		}
	}
	if r.hardware && p.status&statusHardware == 0 {
		r.tally.softwareStamps++
	}
	if p.time < r.horizon {
		r.tally.late++
	}
	r.tally.frames++
	r.tally.bytes += uint64(p.wire)
	f.Data = r.walk.block[p.start:p.end:p.end]
	f.Time = p.time
	f.WireLen = int(p.wire)
	f.Link = r.link
	return true
}

// turn gives back the block that has been read, and begins with the next. It
// gives false where the kernel still has that.
func (r *Ring) turn() bool {
	if r.held {
		r.held = false
		handBack(r.walk.block)
		r.block++
		if r.block == r.blocks {
			r.block = 0
		}
		r.at.Store(int32(r.block))
		r.dirty = true
	}
	if r.dirty {
		r.dirty = false
		r.publish()
	}
	b := r.current()
	if !isUser(b) {
		r.pace()
		return false
	}
	r.held = true
	r.found++
	r.walk.start(b)
	return true
}

// current is the block at hand, or the next to come.
func (r *Ring) current() []byte {
	at := r.block * r.size
	return r.sock.ring[at : at+r.size : at+r.size]
}

// Horizon is a time, ns since the Unix epoch, before which no frame can come any
// more. It does not rely on the kernel's timer.
//
// The block to come tells how many frames the kernel has put into it. If there
// is none, none that has arrived is still to be read, and later frames are
// stamped later: the horizon is now. If there are some, they came after the
// block was begun, and after the horizon that was last told. So it lags by no
// more than the block timeout, or the time since the last call.
//
// Since the kernel may stamp a frame some time before it copies it,
// Config.SlackUS is taken off. A frame that comes with an earlier time
// nevertheless is given out, and counted (late_frames).
func (r *Ring) Horizon(now int64) int64 {
	b := r.current()
	h := now
	if isUser(b) || filling(b) > 0 {
		h = openedAt(b)
	}
	r.horizon = max(r.horizon, h-r.slack)
	return r.horizon
}

// FD is what poll(2) waits for, with POLLIN. It reports POLLERR, at once and
// until Check is called, when the interface has gone down.
func (r *Ring) FD() int { return r.fd }

// Gather implements capture.Ring. The kernel hands over whole blocks, each of
// which wakes who waits for it: a little longer than it fills one at the most, so
// that there is one.
func (r *Ring) Gather() time.Duration { return r.gather }

// pace shortens the time in which frames gather where many blocks were found at
// once, and makes it longer again where few were.
func (r *Ring) pace() {
	switch found := r.found; {
	case found > r.blocks/8:
		r.gather /= 2
	case found > 0 && found <= max(r.blocks/64, 1):
		r.gather = min(r.gather+r.longest/16, r.longest)
	}
	r.found = 0
}

// Wake does nothing: the kernel fills a ring unasked.
func (r *Ring) Wake() {}

// Fill is the share of the blocks that the kernel has handed over and not got
// back, 0 to 1.
//
// These are one run of blocks, from the one at hand on: its end is searched by
// halves, which may be off by what changes meanwhile.
func (r *Ring) Fill() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sock.ring) == 0 {
		return 0
	}
	first := int(r.at.Load())
	n := sort.Search(r.blocks, func(i int) bool {
		at := (first + i) % r.blocks * r.size
		return !isUser(r.sock.ring[at : at+r.size])
	})
	return float64(n) / float64(r.blocks)
}
