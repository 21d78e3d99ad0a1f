package afxdp

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// Ring is the socket of one queue. It is a capture.Ring.
//
// Of the kernel's six counters (XDP_STATISTICS) two are losses, and they do not
// overlap: xsk_rx_dropped (no free buffer, or a frame longer than a buffer
// where several are not possible) and xsk_rx_ring_full. The other four are
// events: xsk_rx_fill_ring_empty_descs counts the attempts that found no free
// buffer, which xsk_rx_dropped has as frames. So, while nothing waits to be
// read, the frames that the XDP program handed to this queue's socket are
// Frames plus Losses. With zero copy a frame without a free buffer does not
// get as far as the program: then it is the driver that counts it.
type Ring struct {
	walker
	sock  *socket
	clock *clock
	link  *netif

	queue   int
	frames  int   // buffers
	slack   int64 // ns
	horizon int64 // ns since the Unix epoch
	busy    bool  // busy poll

	steps atomic.Uint64 // of the wall clock

	mu     sync.Mutex // for what other goroutines call
	closed bool
	last   unix.XDPStatistics
}

var _ capture.Ring = (*Ring)(nil)

func newRing(queue int, cfg Config, s *socket, c *clock, link *netif) *Ring {
	return &Ring{
		walker: walker{
			rx:     s.rx,
			fill:   s.fill,
			umem:   s.umem.mem,
			size:   uint64(cfg.FrameBytes),
			filled: s.fill.producer.Load(),
			joined: make([]byte, 0, maxFrame), other: make([]byte, 0, maxFrame),
			clock: &c.offset,
			kick:  s.wake,

			backlog: backlog{mem: s.backlog},
			gather:  cfg.gather(), longest: cfg.gather(),
		},
		sock:   s,
		clock:  c,
		link:   link,
		queue:  queue,
		frames: cfg.Frames,
		slack:  int64(cfg.SlackUS) * 1000,
		busy:   cfg.BusyPollUS > 0,
	}
}

// Queue is the receive queue of the interface that this ring reads.
func (r *Ring) Queue() int { return r.queue }

// Horizon implements capture.Ring. A frame is stamped in the driver's softirq,
// and is in the ring at the end of the same NAPI batch, of 64 frames at most.
// On veth, with the machine overloaded, one frame in a thousand was stamped more
// than 0.06 ms before a look that did not find it, and none more than 0.2 ms
// (BenchmarkLateness). The slack is for that and for a virtual machine that is
// held up in between, for which there is no bound.
//
// The ring is looked at after the clock, so that it does not matter how long ago
// Next gave nothing. Where the wall clock is ahead of the one that stamps are
// turned into, because it was set and Check has not seen it yet, the latter
// counts.
func (r *Ring) Horizon(now int64) int64 {
	h := min(now, r.clock.mono()+r.clock.offset.Load()) - r.slack
	if r.empty() {
		r.horizon = h
	}
	return r.horizon
}

// FD implements capture.Ring.
func (r *Ring) FD() int { return r.sock.fd }

// Wake implements capture.Ring. With busy poll it runs the driver.
func (r *Ring) Wake() {
	if r.busy || r.fill.flags.Load()&unix.XDP_RING_NEED_WAKEUP != 0 {
		r.sock.wake()
	}
}

// Check implements capture.Ring. It follows the wall clock, and its error wraps
// capture.ErrRestart once the interface is down, gone or renamed: a socket that
// was bound to it does not come back with every driver.
func (r *Ring) Check(int64) error {
	stepped, err := r.clock.follow()
	if err != nil {
		return err
	}
	if stepped {
		r.steps.Add(1)
	}
	return r.link.check()
}

// Fill implements capture.Ring.
func (r *Ring) Fill() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0
	}
	waiting := r.rx.producer.Load() - r.rx.consumer.Load()
	return max(float64(waiting)/float64(min(len(r.rx.descs), r.frames)), r.backlog.fill())
}

// Stats implements capture.Ring.
func (r *Ring) Stats() capture.Stats {
	r.mu.Lock()
	r.statistics()
	k := r.last
	r.mu.Unlock()
	s := capture.Stats{
		Frames: r.counts.frames.Load(),
		Bytes:  r.counts.bytes.Load(),
		Losses: []capture.Loss{
			{Place: "xsk_rx_dropped", Frames: k.Rx_dropped},
			{Place: "xsk_rx_ring_full", Frames: k.Rx_ring_full},
			{Place: "xsk_invalid_frame", Frames: r.counts.invalid.Load()},
			{Place: "xsk_too_long", Frames: r.counts.tooLong.Load()},
		},
		Events: []capture.Loss{
			{Place: "xsk_rx_fill_ring_empty_descs", Frames: k.Rx_fill_ring_empty_descs},
			{Place: "xsk_rx_invalid_descs", Frames: k.Rx_invalid_descs},
			{Place: "xsk_tx_invalid_descs", Frames: k.Tx_invalid_descs},
			{Place: "xsk_tx_ring_empty_descs", Frames: k.Tx_ring_empty_descs},
			{Place: "xsk_stray_buffer", Frames: r.counts.stray.Load()},
			{Place: "clock_step", Frames: r.steps.Load()},
			{Place: "interface_down"},
			{Place: "interface_gone"},
			{Place: "interface_renamed"},
		},
	}
	if r.queue == 0 { // what befell the interface is told once
		s.Events[6].Frames, s.Events[7].Frames, s.Events[8].Frames = r.link.down.Load(), r.link.gone.Load(), r.link.renamed.Load()
	}
	return s
}

// statistics asks the kernel while the socket is open. A socket that cannot be
// asked keeps what it said last.
func (r *Ring) statistics() {
	if r.closed {
		return
	}
	if st, err := r.sock.statistics(); err == nil {
		r.last = st
	}
}

// Close implements capture.Ring. Afterwards only Stats and Fill may be called;
// a frame that was lent is gone.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.statistics()
	r.closed = true
	return r.sock.close()
}
