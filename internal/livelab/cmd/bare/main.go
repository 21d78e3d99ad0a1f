//go:build linux

// Command bare reads an interface through the rings that the sensor uses, and
// does nothing with the frames but count them: what a sensor costs beyond that
// is its own.
//
//	bare [-i cap0] [-mode afpacket|afxdp] [-attach native|generic] [-trim N]
//
// It writes "ready" to standard error when it captures, and on SIGTERM one JSON
// object to standard output: the frames, their octets, and losses by place.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
	"mirrorscope/capture"
	"mirrorscope/capture/afpacket"
	"mirrorscope/capture/afxdp"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

// live is either kind of capture.
type live interface {
	Rings() []capture.Ring
	Stop() error
	Close() error
}

func run() error {
	name := flag.String("i", "cap0", "the interface")
	mode := flag.String("mode", "afpacket", "afpacket or afxdp")
	attach := flag.String("attach", "native", "where the XDP program of afxdp is: native or generic")
	trim := flag.Int("trim", 0, "octets of payload that the XDP program of afxdp leaves; 0: all")
	flag.Parse()

	c, err := open(*name, *mode, *attach, *trim)
	if err != nil {
		return err
	}
	var stop atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		stop.Store(true)
	}()
	fmt.Fprintln(os.Stderr, "ready")
	if err := read(c, &stop); err != nil {
		return errors.Join(err, c.Close())
	}
	report := struct {
		Frames uint64            `json:"frames"`
		Octets uint64            `json:"octets"`
		Losses map[string]uint64 `json:"losses"`
	}{Losses: map[string]uint64{}}
	if err := c.Close(); err != nil {
		return err
	}
	for _, r := range c.Rings() {
		s := r.Stats()
		report.Frames += s.Frames
		report.Octets += s.Bytes
		for _, l := range s.Losses {
			report.Losses[l.Place] += l.Frames
		}
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func open(name, mode, attach string, trim int) (live, error) {
	switch mode {
	case "afpacket":
		return afpacket.Open(name, afpacket.DefaultConfig(), afpacket.NoPrograms())
	case "afxdp":
		queues, err := afxdp.Queues(name)
		if err != nil {
			return nil, err
		}
		filter := bpf.DefaultConfig()
		filter.Trim, filter.TrimHead = uint32(trim), 0
		program, err := bpf.Load(filter, bpf.ToSocket, queues)
		if err != nil {
			return nil, err
		}
		cfg := afxdp.DefaultConfig()
		cfg.Attach = attach
		return afxdp.Open(name, cfg, program)
	}
	return nil, fmt.Errorf("-mode %s: it is afpacket or afxdp", mode)
}

// read takes frames until it is told to stop, and then what is left.
func read(c live, stop *atomic.Bool) error {
	rings := c.Rings()
	polls := make([]unix.PollFd, len(rings))
	fs := make([]capture.Frame, 64)
	var checked, stopped time.Time
	for {
		found, more := false, false
		for _, r := range rings {
			left := 64 // batches between two looks at the clock
			for left > 0 && r.NextBatch(fs) > 0 {
				found = true
				left--
			}
			more = more || left == 0
		}
		now := time.Now()
		if now.Sub(checked) > 100*time.Millisecond {
			checked = now
			for _, r := range rings {
				if err := r.Check(now.UnixNano()); err != nil {
					return err
				}
			}
		}
		wait := 100 * time.Millisecond
		if more {
			continue
		}
		switch {
		case stopped.IsZero() && stop.Load():
			if err := c.Stop(); err != nil {
				return err
			}
			stopped = time.Now()
			continue
		case !stopped.IsZero() && drained(rings, stopped):
			return nil
		case !stopped.IsZero():
			wait = time.Millisecond
		}
		if g := gather(rings); found && stopped.IsZero() && g > 0 {
			time.Sleep(g)
			continue
		}
		for i, r := range rings {
			r.Wake()
			polls[i] = unix.PollFd{Fd: int32(r.FD()), Events: unix.POLLIN}
		}
		timeout := unix.NsecToTimespec(int64(wait))
		if _, err := unix.Ppoll(polls, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
	}
}

// gather is how long all rings can be let alone.
func gather(rings []capture.Ring) (d time.Duration) {
	d = time.Second
	for _, r := range rings {
		d = min(d, r.Gather())
	}
	return d
}

// drained tells whether no ring can have a frame from before a moment.
func drained(rings []capture.Ring, since time.Time) bool {
	now := time.Now()
	for _, r := range rings {
		if r.Horizon(now.UnixNano()) <= since.UnixNano() && now.Sub(since) < time.Second {
			return false
		}
	}
	return true
}
