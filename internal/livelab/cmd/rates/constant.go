//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/livelab"
)

// traffic comes at a constant rate.
type traffic struct {
	name    string
	flows   int // open at a time
	packets int // of a connection
}

var traffics = []traffic{
	{"65,536 connections, 12 packets each", 65536, 12},
	{"2,000 long connections", 2000, endless},
}

const (
	constantSize  = 128                    // octets of a frame
	constantBatch = 8                      // frames that come at once
	idleTime      = 2 * time.Second        // for which is measured what it takes without frames
	warmTime      = 4 * time.Second        // of frames that are not counted, at least: flows come to be, ended ones begin to leave
	startTime     = 500 * time.Millisecond // for a program that does not say when it is ready
)

// endless is how many packets a connection has that does not end.
const endless = 1 << 30

// warm is for how long frames are not counted: until all connections are such as were
// seen from their beginning. Those that end begin at different times, the first ones in the
// middle.
func (t *traffic) warm(rate int) time.Duration {
	if t.packets == endless {
		return warmTime
	}
	return warmTime + time.Duration(t.flows*t.packets)*time.Second/time.Duration(max(rate, 1))
}

// cost is what a reader took.
type cost struct {
	frames uint64
	took   time.Duration
	used   livelab.Usage // in took
	idle   time.Duration // of CPU, in a second without frames
	lost   string
}

func (c *cost) perFrame(d time.Duration) float64 { return float64(d) / float64(max(1, c.frames)) }

// net is the CPU time less that of idling.
func (c *cost) net() time.Duration {
	return c.used.CPU - time.Duration(float64(c.idle)*c.took.Seconds())
}

// constantReaders are those that are measured at a constant rate.
func constantReaders(dir string, all []reader) ([]reader, error) {
	chosen := map[string]bool{"bare AF_PACKET": true, "tcpdump -w /dev/null": true, "bare AF_XDP": true, "sensor AF_PACKET": true, "sensor AF_XDP": true}
	var list []reader
	var sensor string
	for _, r := range all {
		if r.name == "bare AF_XDP" {
			list = append(list, others(dir)...)
		}
		if chosen[r.name] {
			list = append(list, r)
		}
		if r.name == "sensor AF_PACKET" {
			sensor = r.path
		}
	}
	// What is written of a connection before it ends costs more than its packets,
	// and other programs do not do it.
	const ends = stdout + "intervals = false\n[top]\nsocket = \"\"\n[health]\nlisten = \"\"\n"
	// As replay is measured: records are built and folded into the table that 'sensor top' shows, and
	// to write them as JSON is its own cost.
	const table = stdout + "connections = false\nintervals = false\n"
	for _, x := range []struct{ name, ring, more string }{
		{"sensor AF_PACKET, table alone", afpacket, table},
		{"sensor AF_XDP, table alone", afxdp, table},
		{"sensor AF_XDP generic", afxdp, stdout + "[capture.afxdp]\nattach = \"generic\"\n"},
		{"sensor AF_PACKET, records at the end", afpacket, ends},
		{"sensor AF_XDP, records at the end", afxdp, ends},
		{"sensor AF_XDP generic, records at the end", afxdp, ends + "[capture.afxdp]\nattach = \"generic\"\n"},
	} {
		r, err := sensorReader(dir, sensor, x.name, x.ring, x.more)
		if err != nil {
			return nil, err
		}
		r.stack = r.stack || strings.Contains(x.name, "generic")
		list = append(list, r)
	}
	return list, nil
}

// others are other programs that make flows, where they are installed.
func others(dir string) (list []reader) {
	for _, r := range []reader{
		{
			name: "softflowd", path: "softflowd",
			args: []string{"-i", livelab.CaptureName, "-d", "-m", "200000", "-p", filepath.Join(dir, "softflowd.pid"), "-c", "none", "-v", "9", "-n", sinkAddress},
		},
		{name: "argus", path: "argus", args: []string{"-i", livelab.CaptureName, "-w", "/dev/null"}},
	} {
		path, err := exec.LookPath(r.path)
		if err != nil {
			fmt.Printf("Without %s, which is not installed (package %s).\n\n", r.path, map[string]string{"argus": "argus-server", "softflowd": "softflowd"}[r.path])
			continue
		}
		r.path, r.ring, r.stack = path, afpacket, true
		list = append(list, r)
	}
	return list
}

// sinkAddress is where exported flows are sent to, and not read.
const sinkAddress = "127.0.0.1:9995"

// constant prints what each reader takes for a frame.
func constant(ctx context.Context, s settings, all []reader) error {
	fmt.Printf("%d frames a second of %d octets, %d at a time, for %v.\n\n", s.rate, constantSize, constantBatch, s.seconds)
	fmt.Println("| traffic | reader | frames/s | CPU ns/frame | of bare | of that, system | wakes/s | idle CPU | lost |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, t := range traffics {
		if !s.traffic.MatchString(t.name) {
			continue
		}
		floor := map[string]float64{}
		for _, r := range all {
			var best cost
			for try := range s.tries {
				got, err := costs(ctx, s, r, t)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", r.name, t.name, err)
				}
				if try == 0 || got.perFrame(got.net()) < best.perFrame(best.net()) {
					best = got
				}
			}
			each := best.perFrame(best.net())
			times := "-"
			if r.bare {
				floor[r.ring] = each
			} else if f := floor[r.ring]; f > 0 {
				times = fmt.Sprintf("%.1f ×", each/f)
			}
			fmt.Printf("| %s | %s | %.0f | %.0f | %s | %.0f | %.0f | %.2f %% | %s |\n", t.name, r.name,
				float64(best.frames)/best.took.Seconds(), each, times, best.perFrame(best.used.System),
				float64(best.used.Wakes)/best.took.Seconds(), best.idle.Seconds()*100, best.lost)
		}
	}
	return nil
}

// costs measures one reader with one traffic.
func costs(ctx context.Context, s settings, r reader, t traffic) (c cost, err error) {
	if err := ctx.Err(); err != nil {
		return c, err
	}
	l, err := livelab.Open(livelab.Config{})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	dir, err := os.MkdirTemp("", "rates")
	if err != nil {
		return c, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	stdout, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		return c, err
	}
	defer func() { _ = stdout.Close() }()
	closeSink, err := sink(l.Sensor)
	if err != nil {
		return c, err
	}
	defer closeSink()
	p, err := l.Sensor.Start(livelab.Command{Path: r.path, Args: r.args, Ready: r.ready, CPU: readerCore, Stdout: stdout})
	if err != nil {
		return c, err
	}
	if r.ready == nil {
		time.Sleep(startTime)
	}
	time.Sleep(startTime)
	idle, _, err := during(p, idleTime)
	if err != nil {
		return c, err
	}
	c.idle = idle.CPU * time.Second / idleTime
	flood := livelab.Flood{
		Frames: 1 << 40, Size: constantSize, Flows: t.flows, Packets: t.packets, Stagger: t.packets != endless, Rate: s.rate, Stack: r.stack, CPU: senderCore, Batch: constantBatch,
	}
	flood.Meanwhile = func(sent func() (uint64, error)) error {
		time.Sleep(t.warm(s.rate))
		before, err := sent()
		if err != nil {
			return err
		}
		if c.used, c.took, err = during(p, s.seconds); err != nil {
			return err
		}
		after, err := sent()
		c.frames = after - before
		return err
	}
	made, err := l.Flood(ctx, flood)
	if err != nil {
		return c, err
	}
	time.Sleep(100 * time.Millisecond)
	if _, err := p.Stop(unix.SIGTERM, 30*time.Second); err != nil {
		return c, err
	}
	c.lost = "?"
	if r.account != nil {
		text, err := os.ReadFile(stdout.Name())
		if err != nil {
			return c, err
		}
		res := result{sent: made}
		if res.taken, res.lost, err = r.account(text, p.Stderr()); err != nil {
			return c, err
		}
		c.lost = res.losses()
	}
	return c, nil
}

// during tells what a program uses in a time.
func during(p *livelab.Process, d time.Duration) (u livelab.Usage, took time.Duration, err error) {
	before, err := p.Usage()
	if err != nil {
		return u, 0, err
	}
	start := time.Now()
	time.Sleep(d)
	u, err = p.Usage()
	took = time.Since(start)
	u.CPU -= before.CPU
	u.System -= before.System
	u.Wakes -= min(u.Wakes, before.Wakes)
	return u, took, err
}

// sink takes what is sent to sinkAddress in the namespace, and drops it.
func sink(n *livelab.Namespace) (closing func(), err error) {
	fd := -1
	err = n.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Port: 9995, Addr: [4]byte{127, 0, 0, 1}})
	})
	return func() { _ = unix.Close(fd) }, err
}
