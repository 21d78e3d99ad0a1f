package main

import (
	"os"
	"runtime/debug"
)

// defaultMemory is the budget where none is given: 60 % of what the process
// may use.
func defaultMemory() int64 { return usableMemory() / 10 * 6 }

// limitHeap makes the collector work harder before the heap grows far beyond
// the flow tables: by default it would let it reach twice their size. Whoever
// sets GOMEMLIMIT knows better.
func limitHeap(tables int64) {
	const rest = 256 << 20 // buffers, fragments, conversations
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(tables + tables/8 + rest)
	}
}
