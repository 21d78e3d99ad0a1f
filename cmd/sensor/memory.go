package main

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"mirrorscope/daemon"
	"mirrorscope/pipeline"
)

// defaultMemory is the budget of replay where none is given: 60 % of what the
// process may use.
func defaultMemory() int64 { return usableMemory() / 10 * 6 }

// limitHeap makes the collector work harder before the heap grows beyond a
// limit, in octets: by default it would let it reach twice what is in use.
// Whoever sets GOMEMLIMIT knows better. It gives the limit that holds.
func limitHeap(limit int64) int64 {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
	return debug.SetMemoryLimit(-1)
}

// leanHeap lets the heap of replay grow by half, and not to twice what is in use,
// before the collector works: nearly all of what replay holds lies outside of it, and
// what is there has few pointers. Whoever sets GOGC knows better.
func leanHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// useCores leaves the Go runtime one core for replay with one shard, which does everything
// in one goroutine: others would be woken time and again to find nothing, and take it over.
// Whoever sets GOMAXPROCS knows better. What it gives takes that back. Where most of the work is
// to write records, a second core would end sooner, which is what more shards are for.
func useCores(shards int) (restore func()) {
	if shards != 1 || os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	before := runtime.GOMAXPROCS(1)
	return func() { runtime.GOMAXPROCS(before) }
}

// replayHeap is what replay may hold, octets, and a seventh for the collector.
func replayHeap(c *pipeline.Config) int64 {
	const rest = 256 << 20 // what is read ahead, and what the views add up
	p := *c
	if p.Shards == 0 {
		p.Shards = runtime.GOMAXPROCS(0)
	}
	return (p.Flow.Memory + pipeline.Beside(&p) + rest) / 7 * 8
}

// tellMemory tells the log how memory is divided, and whether it suffices. heap
// is the limit that holds.
func tellMemory(log *slog.Logger, m daemon.Memory, heap int64) {
	args := []any{"usable", mebibytes(m.Usable), "rings", mebibytes(m.Rings), "heap_limit", mebibytes(heap), "connections", mebibytes(m.Connections), "beside_connections", mebibytes(m.Beside)}
	if heap == math.MaxInt64 {
		args[5] = "off"
	}
	if m.Fits && heap <= max(m.Heap, m.Usable-m.Rings) {
		log.Info("memory", args...)
		return
	}
	log.Warn("memory does not suffice if all of this is used: allow the process more, or give less to measure.memory, rings and queues", args...)
}

// mebibytes gives octets in whole MiB, rounded down.
func mebibytes(n int64) string { return fmt.Sprintf("%dMiB", n>>20) }
