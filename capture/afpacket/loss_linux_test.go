package afpacket

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"mirrorscope/capture"
)

// TestOverflow sends more than the ring takes. Each frame that was sent is
// given out, in order, or counted.
func TestOverflow(t *testing.T) {
	l := newLab(t)
	l.pair()
	cfg := small()
	cfg.Blocks = minBlocks
	c := l.open("cap0", cfg, -1)
	r := c.Rings()[0]
	tx := l.sender("tx0")
	random := rand.New(rand.NewPCG(3, 4))
	var sent, given uint32
	var f capture.Frame
	last := -1
	read := func(n int) {
		for range n {
			if !r.Next(&f) {
				return
			}
			given++
			if n := int(numberOf(f.Data)); n <= last {
				t.Fatalf("frame %d after frame %d", n, last)
			} else {
				last = n
			}
		}
	}
	for range 40 {
		for range random.IntN(300) {
			tx.send(numbered(1000, sent))
			sent++
		}
		read(random.IntN(300))
	}
	given += uint32(rest(t, c))
	lost := count(t, c, "ring_full")
	if uint64(sent) != uint64(given)+lost || received(c) != uint64(sent) {
		t.Errorf("sent %d, received %d, given out %d, lost %d", sent, received(c), given, lost)
	}
	if lost == 0 || given == 0 {
		t.Errorf("%d lost, %d given out: nothing was tried", lost, given)
	}
	if count(t, c, "ring_frozen") == 0 {
		t.Error("the ring was never frozen")
	}
	quiet(t, c, "ring_full", "ring_frozen")
	t.Logf("sent %d, given out %d, lost %d", sent, given, lost)
}

// What is in a ring when it is closed is lost, and counted, with what the kernel
// dropped until then.
func TestClosedUnread(t *testing.T) {
	l := newLab(t)
	l.pair()
	cfg := small()
	cfg.Blocks = minBlocks
	c := l.open("cap0", cfg, -1)
	tx := l.sender("tx0")
	for i := range 1000 {
		tx.send(numbered(1000, uint32(i)))
	}
	frames(t, c, 10)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s := c.Rings()[0].Stats()
	unread, full := count(t, c, "ring_unread"), count(t, c, "ring_full")
	if s.Frames != 10 || s.Frames+unread+full != 1000 || received(c) != 1000 || unread == 0 || full == 0 {
		t.Errorf("of 1000 frames %d given out, %d unread, %d dropped", s.Frames, unread, full)
	}
}

// After Stop nothing comes in, and all that was there comes out, also the block
// that is not full.
func TestStop(t *testing.T) {
	l := newLab(t)
	l.pair()
	cfg := small()
	cfg.BlockTimeoutMS, cfg.Rings = 100, 2
	c := l.open("cap0", cfg, fanoutProgram(t))
	tx := l.sender("tx0")
	for i := range 200 {
		tx.send(flow(i, false, uint32(i)))
	}
	var f capture.Frame
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now().UnixNano()
	for i := range 200 {
		tx.send(flow(i, false, uint32(i)))
	}
	// As long as the kernel has a block with frames in it, the horizon says so.
	given := 0
	for i, r := range c.rings {
		n := uint64(0)
		for r.Next(&f) {
			n++
		}
		if h := r.Horizon(time.Now().UnixNano()); h > stopped && n < r.Received() {
			t.Errorf("ring %d: the horizon passes the time of Stop, and %d of %d frames are in the ring", i, r.Received()-n, r.Received())
		}
		given += int(n)
	}
	if n := given + rest(t, c); n != 200 || received(c) != 200 {
		t.Errorf("%d frames given out, %d received, want 200", n, received(c))
	}
	quiet(t, c)
}

// TestHorizonHolds reads two rings while frames come at random times: none may
// have a time before the horizon that was told. Frames wait in the kernel's
// block for much longer than the slack, which in turn is long enough for a
// machine that does something else.
func TestHorizonHolds(t *testing.T) {
	l := newLab(t)
	l.pair()
	cfg := small()
	cfg.Rings, cfg.BlockTimeoutMS, cfg.SlackUS = 2, 100, 20_000
	c := l.open("cap0", cfg, fanoutProgram(t))
	tx := l.sender("tx0")
	const sent = 20000
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		random := rand.New(rand.NewPCG(5, 6))
		for i := range sent {
			tx.send(flow(i, false, uint32(i)))
			if random.IntN(100) == 0 {
				time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
			}
		}
	})
	rings := c.Rings()
	horizon := make([]int64, len(rings))
	var f capture.Frame
	var lags []int64
	end := time.Now().Add(patience)
	for n := 0; n < sent; {
		for i, r := range rings {
			for r.Next(&f) {
				n++
				if f.Time < horizon[i] {
					t.Fatalf("ring %d: a frame %d ns before the horizon", i, horizon[i]-f.Time)
				}
			}
			now := time.Now().UnixNano()
			h := r.Horizon(now)
			if h > now {
				t.Fatalf("ring %d: the horizon is %d ns ahead", i, h-now)
			}
			horizon[i] = h
			lags = append(lags, now-h)
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d frames; %+v", n, sent, stats(rings))
		}
		time.Sleep(100 * time.Microsecond)
	}
	quiet(t, c)
	t.Logf("horizon lag: %s", quantiles(lags))
}
