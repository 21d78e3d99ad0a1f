package afxdp

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// BenchmarkLive reads a veth pair that the kernel floods as fast as it can,
// through the bare program: what a reader costs, system calls and waiting
// included, in ns of its thread's CPU time a frame.
func BenchmarkLive(b *testing.B) {
	for _, tc := range []struct {
		octets, trim int
	}{{64, 0}, {1514, 0}, {1514, 128}} {
		b.Run(fmt.Sprintf("%d octets, trim %d", tc.octets, tc.trim), func(b *testing.B) {
			l := newLab(b, 1, 1500)
			cfg := DefaultConfig()
			cfg.Attach = "native"
			c := l.open(cfg, bare{trim: tc.trim})
			f := l.newFlood()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				l.enter(b)
				f.send(b, frame(tc.octets, 1), b.N)
			}()
			b.ResetTimer()
			cpu, start := threadCPU(b), time.Now()
			var fr capture.Frame
			r := c.Rings()[0]
			given, over := 0, false
			missed := func() int { return int(counters(b, "m1").TxDropped) } // by the pair itself
			for last := start; !over || given+lost(c)+missed() < b.N && time.Since(last) < time.Second; {
				before := given
				for r.Next(&fr) {
					given++
				}
				if given != before {
					last = time.Now()
				}
				wait(b, c, 5)
				select {
				case <-sent:
					over = true
				default:
				}
			}
			b.StopTimer()
			if given+lost(c)+missed() != b.N {
				b.Fatalf("%d sent, %d given out, %d lost, %d missed by the device", b.N, given, lost(c), missed())
			}
			b.ReportMetric(float64(threadCPU(b)-cpu)/float64(given), "cpu-ns/frame")
			b.ReportMetric(100*float64(b.N-given)/float64(b.N), "%lost")
			b.ReportMetric(float64(given)/1e6/time.Since(start).Seconds(), "Mframes/s")
		})
	}
}

// threadCPU is the CPU time of the calling thread, ns.
func threadCPU(t testing.TB) int64 {
	n, err := readClock(unix.CLOCK_THREAD_CPUTIME_ID)
	must(t, err)
	return n
}

// BenchmarkLateness measures how long before a look at an empty ring a frame
// was stamped that came after it: how much slack a horizon needs.
func BenchmarkLateness(b *testing.B) {
	for _, attach := range []string{"native", "generic"} {
		for _, how := range []string{"flood", "single"} {
			if attach == "generic" && how == "flood" {
				continue // live frames do not get there
			}
			b.Run(attach+", "+how, func(b *testing.B) {
				l := newLab(b, 1, 1500)
				cfg := DefaultConfig()
				cfg.Attach = attach
				c := l.open(cfg, bare{})
				r := c.rings[0]
				f := l.newFlood()
				tx := l.socket()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					l.enter(b)
					if how == "flood" {
						f.send(b, frame(64, 1), b.N)
						return
					}
					for i := range b.N {
						_, _ = unix.Write(tx, frame(64, i))
					}
				}()
				late := make([]int64, 0, b.N)
				var fr capture.Frame
				now := func() int64 { return r.clock.mono() + r.clock.offset.Load() }
				for over := false; !over; {
					for r.Next(&fr) {
					}
					looked := int64(0)
					for range 1000 { // as Horizon: first the clock, then the ring
						at := now()
						if !r.empty() {
							break
						}
						looked = at
					}
					if looked != 0 && r.Next(&fr) {
						late = append(late, looked-fr.Time)
					}
					select {
					case <-sent:
						over = r.empty()
					default:
					}
				}
				if len(late) == 0 {
					return
				}
				slices.Sort(late)
				at := func(p float64) float64 { return float64(late[min(len(late)-1, int(p*float64(len(late))))]) / 1000 }
				b.ReportMetric(at(0.5), "p50-µs")
				b.ReportMetric(at(0.999), "p99.9-µs")
				b.ReportMetric(at(1), "max-µs")
				b.ReportMetric(float64(len(late)), "looks")
			})
		}
	}
}
