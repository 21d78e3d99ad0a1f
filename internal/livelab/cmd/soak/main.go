//go:build linux

// Command soak runs the sensor for long at a constant rate, with files, metrics
// and top, and tells how its memory goes and what became of every frame.
//
//	soak [-mode afpacket] [-rate 100000] [-duration 10m] [-size 128] [-flows 5000] [-memory 256MiB]
//
// It needs root. It prints the resident memory each tenth of the time, and ends
// with status 1 when a frame is unaccounted for, when frames were lost, or when
// memory in the second half rose by more than a tenth.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"mirrorscope/internal/livelab"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run() error {
	mode := flag.String("mode", "afpacket", "afpacket or afxdp")
	rate := flag.Int("rate", 100_000, "frames a second")
	duration := flag.Duration("duration", 10*time.Minute, "length of the run")
	size := flag.Int("size", 128, "octets of a frame")
	flows := flag.Int("flows", 5000, "connections open at a time")
	memory := flag.String("memory", "256MiB", "budget of the sensor")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	config := filepath.Join(dir, "sensor.toml")
	text := fmt.Sprintf("[measure]\nmemory = %q\n[overload]\nsteps = 0\n[output.file]\ndirectory = %q\nrotate_size = \"64MiB\"\nkeep_size = \"512MiB\"\n[top]\nsocket = %q\n[metrics]\nconversations = 100\n",
		*memory, filepath.Join(dir, "records"), filepath.Join(dir, "top.sock"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	binary, err := livelab.BuildCommand("mirrorscope/cmd/sensor")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(binary) }()
	l, err := livelab.Open(livelab.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	p, err := l.Sensor.Start(livelab.Command{
		Path: binary, Args: []string{"run", "-i", livelab.CaptureName, "--mode", *mode, "--config", config}, Ready: regexp.MustCompile("msg=ready"), CPU: 2,
	})
	if err != nil {
		return err
	}

	watched := make(chan []int64)
	done := make(chan struct{})
	go watch(p, *duration/10, done, watched)
	sent, err := l.Flood(ctx, livelab.Flood{
		Frames: uint64(float64(*rate) * duration.Seconds()), Rate: *rate, Size: *size, Flows: *flows, Packets: 40, Stack: *mode == "afpacket", CPU: 1,
	})
	close(done)
	memories := <-watched
	if err != nil {
		return err
	}
	cpu, err := p.CPU()
	if err != nil {
		return err
	}
	exit, err := p.Stop(syscall.SIGTERM, time.Minute)
	if err != nil || exit.Code != 0 {
		return fmt.Errorf("the sensor ended with %+v, %w\n%s", exit, err, p.Stderr())
	}
	last, err := lastCapture(filepath.Join(dir, "records", "connections.jsonl"))
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d frames of %d octets in %v (%.0f/s), %d dropped by the lab's own link\n", *mode, sent.Frames, *size, sent.Took.Round(time.Second), float64(sent.Frames)/sent.Took.Seconds(), sent.Dropped)
	fmt.Printf("captured %d, lost %d %v, prefiltered %d; %d connections; %d CPU ns a frame; at most %d MiB resident\n",
		last.Packets, sum(last.Losses), last.Losses, sum(last.Prefiltered), last.Connections, cpu.Nanoseconds()/int64(sent.Frames), exit.MaxRSS>>20)
	var errs []error
	if got := last.Packets + sum(last.Losses) + sum(last.Prefiltered); got != sent.Frames {
		errs = append(errs, fmt.Errorf("%d frames were sent, %d are accounted for", sent.Frames, got))
	}
	if n := sum(last.Losses); n > 0 {
		errs = append(errs, fmt.Errorf("%d frames were lost", n))
	}
	if n := len(memories); n >= 10 && memories[n-1] > memories[n/2]+memories[n/2]/10 {
		errs = append(errs, fmt.Errorf("memory rose from %d to %d MiB in the second half", memories[n/2]>>20, memories[n-1]>>20))
	}
	return errors.Join(errs...)
}

// watch prints the resident memory now and then, and gives all figures when it
// is done.
func watch(p *livelab.Process, every time.Duration, done <-chan struct{}, out chan<- []int64) {
	var all []int64
	tick := time.NewTicker(every)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case <-tick.C:
			if rss, err := p.RSS(); err == nil {
				all = append(all, rss)
				fmt.Printf("%8v  %d MiB\n", time.Since(start).Round(time.Second), rss>>20)
			}
		case <-done:
			out <- all
			return
		}
	}
}

type captureLine struct {
	Type        string            `json:"type"`
	Packets     uint64            `json:"packets"`
	Connections uint64            `json:"connections"`
	Losses      map[string]uint64 `json:"losses"`
	Prefiltered map[string]uint64 `json:"prefiltered"`
}

func sum(places map[string]uint64) (n uint64) {
	for _, v := range places {
		n += v
	}
	return n
}

// lastCapture reads the last line of the records.
func lastCapture(path string) (c captureLine, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	text = bytes.TrimSpace(text)
	err = json.Unmarshal(text[bytes.LastIndexByte(text, '\n')+1:], &c)
	if err == nil && c.Type != "capture" {
		err = errors.New("the last record is none of the capture")
	}
	return c, err
}
