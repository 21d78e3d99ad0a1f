package afxdp

import (
	"testing"
	"time"

	"mirrorscope/capture"
)

// Whatever is lost is counted: sent = given out + counted, to the frame.
func TestOverflow(t *testing.T) {
	const n = 20_000
	flood := func(l *lab) { l.newFlood().send(l.t, frame(64, 1), n) }
	one := func(l *lab) {
		for i := range n {
			l.send(frame(64, i))
		}
	}
	for _, tc := range []struct {
		name, attach string
		rxRing       int
		place        string // where the losses are
		send         func(*lab)
	}{
		{"no free buffer", "native", 0, "xsk_rx_dropped", flood},
		{"ring full", "native", 64, "xsk_rx_ring_full", flood},
		{"no free buffer, generic", "generic", 0, "xsk_rx_dropped", one},
		{"ring full, generic", "generic", 64, "xsk_rx_ring_full", one},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, 1, 1500)
			cfg := small()
			cfg.Frames, cfg.RXRing, cfg.Attach = 256, tc.rxRing, tc.attach
			c := l.open(cfg, bare{})
			tc.send(l) // nobody reads meanwhile
			if fill := c.Rings()[0].Fill(); fill != 1 {
				t.Errorf("%v of the ring is full", fill)
			}
			missed := func() int { return int(counters(t, "m1").TxDropped) } // by the pair itself
			frames := readUntil(t, c, func(f []got) bool { return len(f)+lost(c)+missed() >= n })
			if len(frames)+lost(c)+missed() != n || lost(c) != int(count(t, c, tc.place)) || lost(c) == 0 {
				t.Errorf("%d sent, %d given out, %d missed by the device; %+v", n, len(frames), missed(), c.Rings()[0].Stats())
			}
			if fill := c.Rings()[0].Fill(); fill != 0 {
				t.Errorf("%v of the ring is full after all was read", fill)
			}
			if again := count(t, c, "xsk_rx_fill_ring_empty_descs"); tc.rxRing == 0 && again != count(t, c, "xsk_rx_dropped") {
				t.Errorf("%d times no buffer, for %d frames", again, lost(c))
			}
			// A native driver counts again what its socket did not take.
			if dropped := counters(t, "m2").RxDropped; tc.attach == "native" && int(dropped) != lost(c)+missed() {
				t.Errorf("the device says %d dropped, the socket %d", dropped, lost(c))
			}
		})
	}
}

// A ring that is asked to make room while nobody reads it loses nothing that it has room
// for: many times its buffers, in order, and with the lengths and stamps that they had.
func TestSpillTakesAll(t *testing.T) {
	const n, each = 20_000, 100
	for _, attach := range []string{"native", "generic"} {
		t.Run(attach, func(t *testing.T) {
			l := newLab(t, 1, 1500)
			cfg := small()
			cfg.Frames, cfg.Attach, cfg.SpillBytes = 256, attach, 16<<20
			c := l.open(cfg, bare{})
			r := c.Rings()[0].(capture.Spiller)
			for i := range n {
				l.send(frame(64+i%1000, i))
				if i%each == each-1 {
					r.Spill(0)
				}
			}
			if fill := c.Rings()[0].Fill(); fill < 0.6 || fill > 0.8 {
				t.Errorf("%v of it is full with %d frames of 564 octets in 16 MiB", fill, n)
			}
			missed := int(counters(t, "m1").TxDropped)
			frames := readUntil(t, c, func(f []got) bool { return len(f)+lost(c)+missed >= n })
			if lost(c) != 0 || len(frames)+missed != n || len(frames) < n/2 {
				t.Errorf("%d sent, %d given out, %d missed by the device; %+v", n, len(frames), missed, c.Rings()[0].Stats())
			}
			last := int64(0)
			for i, f := range frames {
				if f.WireLen != len(f.Data) || f.Time < last {
					t.Fatalf("frame %d: %d octets of %d, %d ns behind the one before", i, len(f.Data), f.WireLen, f.Time-last)
				}
				last = f.Time
			}
		})
	}
}

// While it is read, a flood loses nothing uncounted either.
func TestFlood(t *testing.T) {
	l := newLab(t, 1, 1500)
	c := l.open(small(), bare{})
	f := l.newFlood()
	sent := make(chan int)
	const n = 100_000
	go func() {
		defer close(sent)
		l.enter(t) // this is another thread
		f.send(t, frame(64, 1), n)
	}()
	missed := func() int { return int(counters(t, "m1").TxDropped) }
	given := 0
	var fr capture.Frame
	over := false
	for last := time.Now(); !over || given+lost(c)+missed() < n && time.Since(last) < time.Second; {
		before := given
		for c.Rings()[0].Next(&fr) {
			given++
		}
		if given != before {
			last = time.Now()
		}
		wait(t, c, 10)
		select {
		case <-sent:
			over = true
		default:
		}
	}
	if given+lost(c)+missed() != n || given == 0 {
		t.Errorf("%d sent, %d given out, %d missed by the device; %+v", n, given, missed(), c.Rings()[0].Stats())
	}
}
