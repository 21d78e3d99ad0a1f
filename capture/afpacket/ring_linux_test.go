package afpacket

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorscope/capture"
)

// fake is a ring in ordinary memory whose kernel is the test. Nothing that asks
// the socket may be called.
func fake(cfg Config, blocks ...[]byte) *Ring {
	cfg.Blocks, cfg.BlockBytes = len(blocks), len(blocks[0])
	return newRing(&Capture{cfg: cfg, link: capture.LinkEthernet, hardware: cfg.Timestamps == "hardware"},
		socket{fd: -1, ring: bytes.Join(blocks, nil)})
}

// user hands a block over, as the kernel does.
func user(r *Ring, n int) { native.PutUint32(r.sock.ring[n*r.size+blockStatus:], blockUser) }

func TestBlocksAreHandedBack(t *testing.T) {
	r := fake(DefaultConfig(),
		block(4096, 0, written{data: []byte("one")}, written{data: []byte("two")}),
		block(4096, 0),
		block(4096, 0, written{data: []byte("three")}))
	status := func() (s string) {
		for i := range 3 {
			s += string("ku"[b2i(isUser(r.sock.ring[i*r.size:]))])
		}
		return s
	}
	var f capture.Frame
	for i, want := range []string{"one uuu", "two uuu", "three kku", " kkk", " kkk"} {
		f.Data = nil
		r.Next(&f)
		if got := string(f.Data) + " " + status(); got != want {
			t.Errorf("after Next %d: %q, want %q", i+1, got, want)
		}
	}
	if filling(r.sock.ring) != 0 {
		t.Error("a block that was handed back tells of frames")
	}
	// Round again, from the first block on.
	copy(r.sock.ring, block(4096, 0, written{data: []byte("four")}))
	if !r.Next(&f) || string(f.Data) != "four" {
		t.Errorf("frame %q, want four", f.Data)
	}
	if got := r.Fill(); got != 1./3 {
		t.Errorf("fill %v, want 1/3", got)
	}
}

// A batch ends with its block, which is the kernel's again with the next one.
func TestNextBatch(t *testing.T) {
	r := fake(DefaultConfig(),
		block(4096, 0, written{data: []byte("a")}, written{data: []byte("b")}, written{data: []byte("c")}),
		block(4096, 0, written{data: []byte("sent"), sent: true}), // nothing of this one is given out
		block(4096, 0, written{data: []byte("d")}),
		block(4096, 0))
	native.PutUint32(r.sock.ring[3*r.size+blockStatus:], blockKernel)
	fs := make([]capture.Frame, 2)
	for i, want := range []string{"ab uuuk", "c uuuk", "d kkuk", " kkkk", " kkkk"} {
		got := ""
		for _, f := range fs[:r.NextBatch(fs)] {
			got += string(f.Data)
		}
		got += " "
		for b := range 4 {
			got += string("ku"[b2i(isUser(r.sock.ring[b*r.size:]))])
		}
		if got != want {
			t.Errorf("after batch %d: %q, want %q", i+1, got, want)
		}
	}
	if r.tally.frames != 4 || r.tally.outgoing != 1 {
		t.Errorf("counted %+v", r.tally)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestSortedOutAndCounted(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Timestamps, cfg.SnapBytes = "hardware", 100
	long := make([]byte, 100)
	r := fake(cfg, block(8192, 0,
		written{data: octets, sent: true, ns: 5},
		written{data: octets, status: statusHardware, ns: 1000},
		written{data: octets, ns: 999},                                   // late and without hardware stamp
		written{data: octets, wire: 50, status: statusHardware, ns: 2e9}, // cut
		written{data: long, wire: 1500, status: statusHardware | statusVLAN, ns: 2e9},
		written{data: octets},
		written{data: octets},
	))
	native.PutUint32(r.sock.ring[blockHeaderLen+frameNext:], 104)
	r.horizon = 1000
	r.room = 20                              // octets, as if there had been no room for more
	at := blockHeaderLen + 5*104 + 184 - 104 // the sixth
	native.PutUint16(r.sock.ring[at+frameMac:], 0)
	var f capture.Frame
	n := 0
	for r.Next(&f) {
		n++
		if len(f.Data) > 100 {
			t.Errorf("%d octets, beyond the snap length", len(f.Data))
		}
	}
	want := tally{frames: 4, bytes: 21 + 21 + 50 + 1504, malformed: 2, outgoing: 1, cut: 1, late: 1, softwareStamps: 1}
	if r.tally != want || n != 4 {
		t.Errorf("counted %+v, want %+v", r.tally, want)
	}
	if r.counts.tally != want {
		t.Errorf("published %+v", r.counts.tally)
	}
}

func TestHorizon(t *testing.T) {
	const ms = 1_000_000
	now := int64(1_700_000_000_000 * ms)
	r := fake(DefaultConfig(), block(4096, now-10*ms), block(4096, 0))
	opened := func(n int, at int64) {
		b := r.sock.ring[n*r.size:]
		native.PutUint32(b[blockOpenedS:], uint32(at/1e9))
		native.PutUint32(b[blockOpenedNS:], uint32(at%1e9))
	}
	fill := func(n int, status, frames uint32) {
		native.PutUint32(r.sock.ring[n*r.size+blockStatus:], status)
		native.PutUint32(r.sock.ring[n*r.size+blockFrames:], frames)
	}
	check := func(what string, now, want int64) {
		t.Helper()
		if got := r.Horizon(now) + 2*ms; got != want { // less the slack
			t.Errorf("%s: horizon %d ms from now, want %d ms", what, (got-now)/ms, (want-now)/ms)
		}
	}
	fill(0, blockKernel, 2)
	check("frames are in the block to come", now, now-10*ms)
	fill(0, blockKernel, 0)
	check("none is", now+ms, now+ms)
	fill(0, blockKernel, 1)
	check("one is, that came after", now+5*ms, now+ms)
	opened(0, now+2*ms)
	check("the block was begun later", now+5*ms, now+2*ms)
	fill(0, blockUser, 1)
	check("handed over since Next", now+6*ms, now+2*ms)
	var f capture.Frame
	fill(1, blockKernel, 0)
	for r.Next(&f) {
	}
	check("all read", now+7*ms, now+7*ms)
	check("the clock was put back", now, now+7*ms)
	cfg := DefaultConfig()
	cfg.Timestamps = "hardware"
	if got := fake(cfg, make([]byte, 4096)).Horizon(now); got != now-22*ms {
		t.Errorf("hardware stamps: horizon %d ms from now, want -22 ms", (got-now)/ms)
	}
}

// Every place is told, with or without a loss, and the same ones in any state.
func TestPlaces(t *testing.T) {
	r := fake(DefaultConfig(), block(4096, 0))
	r.sock.ring = nil // as after Close: the socket is not asked
	var places []string
	s := r.Stats()
	for _, l := range append(s.Losses, s.Events...) {
		places = append(places, l.Place)
	}
	const want = "ring_full ring_malformed ring_unread ring_frozen link_down link_up interface_gone interface_back interface_renamed " +
		"late_frames long_frames_cut software_stamps outgoing_skipped"
	if got := strings.Join(places, " "); got != want {
		t.Errorf("places\n%s\nwant\n%s", got, want)
	}
}

func TestAllocations(t *testing.T) {
	l := newLab(t)
	l.pair()
	c := l.open("cap0", small(), -1)
	tx := l.sender("tx0")
	frame := numbered(60, 1)
	copy(frame[12:], "\x81\x00\x00\x05") // no IP packet any more, but tagged
	for range 500 {
		tx.send(frame)
	}
	until := time.Now().Add(patience)
	for received(c) < 500 || c.rings[0].Fill() == 0 {
		if time.Now().After(until) {
			t.Fatal("frames do not arrive")
		}
		time.Sleep(time.Millisecond)
	}
	r := c.Rings()[0]
	var f capture.Frame
	given, none := 0, 0
	if n := testing.AllocsPerRun(1000, func() {
		if r.Next(&f) {
			given++
		} else {
			none++
			r.Horizon(1)
		}
		r.Fill()
	}); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
	if given == 0 || none == 0 {
		t.Errorf("%d frames given, %d times none: not all was run", given, none)
	}
}

// Stats, Received and Fill may be called while the ring is read.
func TestCountsMeanwhile(t *testing.T) {
	l := newLab(t)
	l.pair()
	c := l.open("cap0", small(), -1)
	tx := l.sender("tx0")
	var end sync.WaitGroup
	stop := make(chan struct{})
	end.Go(func() {
		var last uint64
		for {
			select {
			case <-stop:
				return
			default:
			}
			s, fill := c.rings[0].Stats(), c.rings[0].Fill()
			if s.Frames < last || fill < 0 || fill > 1 || c.rings[0].Received() < s.Frames {
				t.Errorf("%d frames after %d, fill %v", s.Frames, last, fill)
				return
			}
			last = s.Frames
		}
	})
	for range 20 {
		for i := range 50 {
			tx.send(numbered(60, uint32(i)))
		}
		frames(t, c, 50)
	}
	close(stop)
	end.Wait()
}
