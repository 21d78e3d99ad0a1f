package perf

import "mirrorscope/internal/pcapgen/workload"

// bound is what a workload may cost: up to twice what it costs now, so that what
// other programs on the machine do breaks no test, and a change that makes the
// sensor half as fast does. Whoever makes it faster lowers them; `go test -v
// -run TestGuard ./internal/perf` says what it is.
type bound struct {
	config workload.Config // of the shorter of two runs
	longer func(*workload.Config)

	floor        float64 // CPU time against that of the least that a program must do
	instructions float64 // for each packet of the steady state
	allocations  float64 // likewise: records of connections that end included
}

func moreFlows(c *workload.Config)   { c.Flows *= 2 }
func morePackets(c *workload.Config) { c.Packets *= 2 }

// smaller is the workload for runs that are fifty times as slow.
func (b bound) smaller() *bound {
	b.config.Flows = max(50, b.config.Flows/5)
	b.config.Packets /= 5
	return &b
}

var bounds = []bound{
	{config: workload.Config{Workload: "w1", Flows: 10_000, Open: 1000}, longer: moreFlows, floor: 20, instructions: 4200, allocations: 0.03},
	{config: workload.Config{Workload: "w2", Flows: 50, Packets: 100_000}, longer: morePackets, floor: 22, instructions: 3400, allocations: 0.01},
	{config: workload.Config{Workload: "w4", Flows: 4000, Open: 400}, longer: moreFlows, floor: 26, instructions: 5200, allocations: 0.05},
	{config: workload.Config{Workload: "w6", Flows: 150_000}, longer: moreFlows, floor: 26, instructions: 3900, allocations: 0.2},
}
