package main

import (
	"runtime"
	"testing"
)

// One shard works on one core, until the replay is over; more have all, and so has whoever
// sets GOMAXPROCS.
func TestUseCores(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for _, c := range []struct {
		shards int
		set    string
		want   int
	}{{0, "", 3}, {1, "", 1}, {2, "", 3}, {1, "3", 3}} {
		t.Setenv("GOMAXPROCS", c.set)
		restore := useCores(c.shards)
		got := runtime.GOMAXPROCS(0)
		if restore(); got != c.want || runtime.GOMAXPROCS(0) != 3 {
			t.Errorf("%+v: %d cores, and %d behind", c, got, runtime.GOMAXPROCS(0))
		}
	}
}
