package afpacket

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// BenchmarkNext is Next alone, over 64 MiB of blocks that are full already: a
// ring that is larger than the caches, whose kernel costs nothing. The second
// figure reads the first 64 octets of each frame as well, as a decoder does.
func BenchmarkNext(b *testing.B) {
	for _, size := range []int{64, 1514} {
		for _, touch := range []bool{false, true} {
			b.Run(fmt.Sprintf("octets=%d/touch=%v", size, touch), func(b *testing.B) {
				cfg := DefaultConfig()
				n := (cfg.BlockBytes - blockHeaderLen) / ((82 + size + 7) &^ 7)
				one := make([]written, n)
				for i := range one {
					one[i] = written{data: make([]byte, size), ns: 1_700_000_000_000_000_000, status: 1}
				}
				blocks := make([][]byte, cfg.Blocks)
				for i := range blocks {
					blocks[i] = block(cfg.BlockBytes, 1, one...)
				}
				r := fake(cfg, blocks...)
				var f capture.Frame
				var sum uint64
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if !r.Next(&f) {
						b.Fatal("empty")
					}
					if touch {
						for d := f.Data[:64]; len(d) > 0; d = d[8:] {
							sum += native.Uint64(d)
						}
					}
					if r.walk.left == 1 { // the kernel fills the block before again
						before := (r.block + r.blocks - 1) % r.blocks
						user(r, before)
						native.PutUint32(r.sock.ring[before*r.size+blockFrames:], uint32(n))
					}
				}
				runtime.KeepAlive(sum)
			})
		}
	}
}

// BenchmarkReceive is a whole ring with its kernel, fed by frames that the kernel
// makes as fast as it can on another processor (live frames of
// BPF_PROG_TEST_RUN). ns/op is per frame given out; cpu-ns/frame is the reader's
// thread, its poll(2) included; lost is the share that found no room.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{64, 1514} {
		b.Run(fmt.Sprintf("octets=%d", size), func(b *testing.B) {
			l := newLab(b)
			l.pair()
			c := l.open("cap0", DefaultConfig(), -1)
			stop := l.flood("cap0", numbered(max(size, 60), 1)[:size])
			r := c.Rings()[0]
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var f capture.Frame
			fds := []unix.PollFd{{Fd: int32(r.FD()), Events: unix.POLLIN}}
			polls := 0
			read := func(n int) {
				for n > 0 {
					for n > 0 && r.Next(&f) {
						n--
					}
					if n > 0 {
						polls++
						_, _ = unix.Poll(fds, 100)
					}
				}
			}
			read(100_000)
			before := r.Stats()
			cpu := threadTime()
			b.ResetTimer()
			read(b.N)
			b.StopTimer()
			used := threadTime() - cpu
			after := r.Stats()
			stop()
			lost := after.Losses[0].Frames - before.Losses[0].Frames
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/frame")
			b.ReportMetric(float64(lost)/float64(uint64(b.N)+lost), "lost")
			b.ReportMetric(float64(polls)/float64(b.N), "polls/frame")
		})
	}
}

// BenchmarkLatency is the time from a lone frame's stamp until a reader that
// waits in poll(2) has it: the block timeout, and what the kernel's timer makes
// of it.
func BenchmarkLatency(b *testing.B) {
	for _, ms := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("timeout=%dms", ms), func(b *testing.B) {
			l := newLab(b)
			l.pair()
			cfg := small()
			cfg.BlockTimeoutMS = ms
			c := l.open("cap0", cfg, -1)
			r := c.Rings()[0]
			tx := l.sender("tx0")
			frame := numbered(60, 1)
			fds := []unix.PollFd{{Fd: int32(r.FD()), Events: unix.POLLIN}}
			var f capture.Frame
			var times []int64
			for i := range b.N {
				time.Sleep(time.Duration(i%13) * 700 * time.Microsecond) // at any phase of the timer
				tx.send(frame)
				for !r.Next(&f) {
					_, _ = unix.Poll(fds, 100)
				}
				times = append(times, time.Now().UnixNano()-f.Time)
			}
			slices.Sort(times)
			at := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))]) / 1e6 }
			b.ReportMetric(at(.5), "p50-ms")
			b.ReportMetric(at(.99), "p99-ms")
			b.ReportMetric(at(1), "max-ms")
		})
	}
}

func threadTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// flood has an interface receive a frame again and again, until the function
// that it gives is called.
func (l *lab) flood(name string, frame []byte) (stop func()) {
	l.t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	var index int
	l.do(func() error {
		link, err := linkOf(name)
		if err == nil {
			index = link.Attrs().Index
		}
		return err
	})
	end, ended := make(chan struct{}), make(chan struct{})
	l.calls <- func() {
		defer close(ended)
		ctx := struct{ Data, DataEnd, DataMeta, Ingress, RxQ, Egress uint32 }{DataEnd: uint32(len(frame)), Ingress: uint32(index)}
		for {
			select {
			case <-end:
				return
			default:
			}
			// Each call idles for some 20 ms, so that it should be long.
			if _, err := prog.Run(&ebpf.RunOptions{Data: frame, Context: ctx, Repeat: 1 << 20, Flags: 2 /* BPF_F_TEST_XDP_LIVE_FRAMES */, BatchSize: 64}); err != nil {
				l.t.Error(err)
				return
			}
		}
	}
	return func() {
		close(end)
		<-ended
		prog.Close()
	}
}
