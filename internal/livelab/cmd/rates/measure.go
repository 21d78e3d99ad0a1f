//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/livelab"
)

// Cores, counted from 1.
const (
	senderCore = 1
	readerCore = 2
)

// result is one run.
type result struct {
	sent  livelab.Sent
	taken uint64
	lost  map[string]uint64 // by place
	cpu   time.Duration     // of the reader, from when it was ready to its end
}

func (r *result) offered() float64 { return float64(r.sent.Frames) / r.sent.Took.Seconds() }

// rate is what was taken in a second. What the reader worked off behind the last
// frame, out of a large ring, is no rate it can keep up: it has one core, and so
// took as long as its CPU time at least.
func (r *result) rate() float64 {
	if r.sent.Took == 0 {
		return 0
	}
	return float64(r.taken) / max(r.sent.Took, r.cpu).Seconds()
}

// keptUp tells whether nothing was lost, and nothing was only put off.
func (r *result) keptUp() bool {
	return r.taken == r.sent.Frames && r.cpu <= r.sent.Took
}

func (r *result) perFrame() int64 { return int64(r.cpu) / max(1, int64(r.taken)) }

// losses tells where frames were lost, in shares of those sent, and what is not
// accounted for.
func (r *result) losses() string {
	var parts []string
	missing := int64(r.sent.Frames - r.taken)
	for _, place := range slices.Sorted(maps.Keys(r.lost)) {
		n := r.lost[place]
		missing -= int64(n)
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %.1f %%", place, float64(n)/float64(r.sent.Frames)*100))
		}
	}
	if missing != 0 {
		parts = append(parts, fmt.Sprintf("unaccounted %d", missing))
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, ", ")
}

// measure has a reader take what is sent at a rate, or as fast as it goes with
// a rate of 0, for s.seconds.
func measure(ctx context.Context, s settings, r reader, size, rate int) (res result, err error) {
	if err := ctx.Err(); err != nil {
		return res, err
	}
	l, err := livelab.Open(livelab.Config{})
	if err != nil {
		return res, err
	}
	defer func() {
		if closing := l.Close(); err == nil {
			err = closing
		}
	}()
	dir, err := os.MkdirTemp("", "rates")
	if err != nil {
		return res, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// To a file: a pipe would have this process work beside the sender.
	stdout, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		return res, err
	}
	defer func() { _ = stdout.Close() }()
	p, err := l.Sensor.Start(livelab.Command{Path: r.path, Args: r.args, Ready: r.ready, CPU: readerCore, Stdout: stdout})
	if err != nil {
		return res, err
	}
	before, err := p.CPU()
	if err != nil {
		return res, err
	}
	sending, cancel := context.WithTimeout(ctx, s.seconds)
	defer cancel()
	flood := livelab.Flood{
		Frames: 1 << 40, Size: size, VNI: s.vni, Flows: s.flows, Stagger: true, Rate: rate, Stack: r.stack, CPU: senderCore,
	}
	if res.sent, err = l.Flood(sending, flood); err != nil {
		return res, err
	}
	time.Sleep(100 * time.Millisecond) // tcpdump gives up what is in the ring when it ends
	exit, err := p.Stop(unix.SIGTERM, 30*time.Second)
	if err != nil {
		return res, err
	}
	res.cpu = exit.User + exit.System - before
	text, err := os.ReadFile(stdout.Name())
	if err != nil {
		return res, err
	}
	if res.taken, res.lost, err = r.account(text, p.Stderr()); err != nil {
		return res, err
	}
	if res.sent.Dropped > 0 && res.lost["nic_dropped"] == 0 {
		res.lost["device"] = res.sent.Dropped
	}
	return res, nil
}

const halvings = 6

// highest is the highest rate of which the reader takes all, to about 2 %.
func highest(ctx context.Context, s settings, r reader, size int, full result) (int, error) {
	if full.keptUp() {
		return int(full.offered()), nil
	}
	low, high := 0, int(full.offered())
	for range halvings {
		rate := (low + high) / 2
		lossless := false
		for range s.tries {
			got, err := measure(ctx, s, r, size, rate)
			if err != nil {
				return 0, err
			}
			// The sender may be kept from its rate.
			if lossless = got.keptUp() && got.offered() > 0.9*float64(rate); lossless {
				break
			}
		}
		if lossless {
			low = rate
		} else {
			high = rate
		}
	}
	return low, nil
}
