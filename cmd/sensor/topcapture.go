package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"time"

	"mirrorscope/daemon"
	"mirrorscope/edge/live"
	"mirrorscope/unit"
)

// captureTop captures by itself, as `sensor run` does, and writes nothing. The
// interface is left as it is: whoever looks for a moment wants no guard that
// stays.
func captureTop(ctx context.Context, interfaces []string) (topFeed, error) {
	cfg := daemon.DefaultConfig()
	cfg.Capture.Interfaces, cfg.Capture.Guard = interfaces, false
	cfg.Health.Listen, cfg.Top.Socket = "", ""
	cfg.Output.Connections, cfg.Output.Intervals = false, false
	cfg.Measure.Interval = unit.Duration(2 * time.Second)
	ctx, cancel := context.WithCancel(ctx)
	f := &captured{tops: make(chan *live.Top, 1), ended: make(chan struct{}), cancel: cancel}
	memory := daemon.PlanMemory(&cfg, true, usableMemory())
	limitHeap(memory.Heap)
	go func() {
		defer close(f.ended)
		f.err = daemon.Run(ctx, daemon.Options{
			Config: cfg, Memory: memory.Connections, Stdout: io.Discard, Log: slog.New(slog.DiscardHandler), Version: version, Top: f.publish,
		})
	}()
	return f, nil
}

// captured is the feed of a capture in this process.
type captured struct {
	tops   chan *live.Top
	latest *live.Top
	ended  chan struct{}
	err    error // valid when ended is closed
	cancel context.CancelFunc
}

// publish replaces what nobody has looked at.
func (f *captured) publish(t *live.Top) {
	select {
	case <-f.tops:
	default:
	}
	f.tops <- t
}

func (f *captured) Next() (*live.Top, error) {
	select {
	case f.latest = <-f.tops:
		return f.latest, nil
	case <-f.ended:
		if f.err != nil {
			return nil, f.err
		}
		return nil, io.EOF
	}
}

func (f *captured) Line() []byte {
	line, err := json.Marshal(f.latest)
	if err != nil {
		return nil // it is made of plain values
	}
	return line
}

// Close ends the capture.
func (f *captured) Close() error {
	f.cancel()
	<-f.ended
	return nil
}
