// Package perf measures what `sensor replay` costs: CPU time and memory on
// generated workloads, beside other programs and the least that such a program
// must do (package floor), in one run on one machine. A figure counts only where
// the output is the truth about the workload. `make bench` writes the page with
// the results, docs/reference/performance.md.
package perf

import "mirrorscope/internal/pcapgen/workload"

// Target is a workload and what is asked of the sensor on it.
type Target struct {
	Name   string
	About  string
	Config workload.Config // at full size

	Must, Goal float64 // millions of packets in a second of CPU time
	Tcpdump    float64 // CPU time against tcpdump's, aimed at
	Memory     int64   // MiB at the peak, 0: nothing asked
	Shards     bool    // measured with one shard and with two
}

// Targets are the six workloads.
var Targets = []Target{
	{Name: "W1", About: "1 M connections of 12 packets, 65,536 open at once: handshake, small request and response, close",
		Config: workload.Config{Workload: "w1", Flows: 1_000_000}, Must: 5, Goal: 8, Tcpdump: 1.25, Memory: 80, Shards: true},
	{Name: "W2", About: "bulk: 2,000 long connections, 10 M packets, segments of 1,448 octets and their ACKs, 128 octets captured of each packet, 0.1 % lost and repeated",
		Config: workload.Config{Workload: "w2", Flows: 2000, Packets: 10_000_000}, Must: 12, Goal: 18, Tcpdump: 0.65},
	{Name: "W3", About: "300 k connections as in W1, in VXLAN with 4 VNIs",
		Config: workload.Config{Workload: "w3", Flows: 300_000}, Must: 4.5, Goal: 7.5, Tcpdump: 1.25, Shards: true},
	{Name: "W4", About: "200 k TLS 1.2 and 1.3 connections of 20 packets with recorded handshakes, whole packets",
		Config: workload.Config{Workload: "w4", Flows: 200_000}, Must: 3.5, Goal: 5.5, Tcpdump: 1.3, Shards: true},
	{Name: "W5", About: "2 M connections open at once, 6 packets each, in random order",
		Config: workload.Config{Workload: "w5", Flows: 2_000_000}, Must: 4, Goal: 6.5, Tcpdump: 1.4, Memory: 450},
	{Name: "W6", About: "SYN flood: 10 M SYNs, each of another connection",
		Config: workload.Config{Workload: "w6", Flows: 10_000_000}, Must: 6, Goal: 10, Tcpdump: 1.25, Memory: 700},
}

// JSONMust and JSONGoal are what encoding the record of a plain TCP connection
// may take, ns.
const (
	JSONMust = 800
	JSONGoal = 500
)

// scaled is the workload at a share of its size.
func (t *Target) scaled(scale float64) workload.Config {
	c := t.Config
	if c.Packets > 0 { // as many flows, shorter ones
		c.Packets = max(int(float64(c.Packets)*scale), 40*c.Flows)
		return c
	}
	c.Flows = max(1000, int(float64(c.Flows)*scale))
	return c
}
