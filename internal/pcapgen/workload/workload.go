// Package workload streams large captures for measuring speed, with the truth
// about them.
//
// Frames are templates whose addresses, ports, numbers and time stamps are
// overwritten for each packet and whose checksums follow from precomputed
// sums, so that a generator takes far less time than what it measures. All
// follows from the seed and the flow's number: memory grows with the flows
// that are open at once, not with the capture.
package workload

import (
	"fmt"
	"maps"
	"slices"

	"mirrorscope/internal/pcapgen"
)

// Start is the time of every workload's first packet, ns since the Unix epoch:
// 2026-01-01T00:00:00Z.
const Start = 1_767_225_600_000_000_000

// Config says what to generate. What is 0 takes the workload's own default.
type Config struct {
	Workload string // see Names
	Flows    int
	Packets  int // about so many in all; of workloads with a length of its own for each flow it sets Flows
	Open     int // flows open at once
	Seed     uint64
	Progress func(packets int64) // called now and then, nil: never
}

// Truth is what a workload holds.
type Truth struct {
	Workload    string                         `json:"workload"`
	Seed        uint64                         `json:"seed"`
	Packets     int64                          `json:"packets"`
	Bytes       int64                          `json:"bytes"` // octets of the frames on the wire
	First       int64                          `json:"first_ns"`
	Last        int64                          `json:"last_ns"`
	Flows       int64                          `json:"flows"`
	Outcomes    map[string]int64               `json:"outcomes"`
	ClientSent  pcapgen.Volume                 `json:"client_sent"`
	ServerSent  pcapgen.Volume                 `json:"server_sent"`
	Retransmits map[string]pcapgen.Retransmits `json:"retransmits,omitempty"` // by side
	TLS         map[string]int64               `json:"tls,omitempty"`         // flows by version
	Part        *Truth                         `json:"part,omitempty"`        // of w6w4: its w4 flows
}

func (t *Truth) sent(s pcapgen.Side) *pcapgen.Volume {
	if s == pcapgen.Client {
		return &t.ClientSent
	}
	return &t.ServerSent
}

// sends counts a packet of one side.
func (t *Truth) sends(side pcapgen.Side, now int64, wireLen, ipBytes, payload int) {
	v := t.sent(side)
	v.Packets++
	v.Bytes += int64(ipBytes)
	v.PayloadBytes += int64(payload)
	if t.Packets == 0 {
		t.First = now
	}
	t.Last = now
	t.Bytes += int64(wireLen)
	t.Packets++
}

// ends counts a flow that followed a script.
func (t *Truth) ends(sc *script) {
	t.Flows++
	t.Outcomes[sc.outcome]++
	if sc.tls != "" {
		if t.TLS == nil {
			t.TLS = map[string]int64{}
		}
		t.TLS[sc.tls]++
	}
}

// kind is one workload: what it is and how it is made.
type kind struct {
	about    string
	snapLen  int // 0: whole frames
	flows    int
	open     int
	generate func(*generator)
}

var kinds = map[string]kind{
	"w1": {"TCP flows of 12 packets, many open at once", 0, 1_000_000, 65_536, func(g *generator) { g.run(shortFlow(nil), inTurn) }},
	"w2": {"2,000 long transfers of full segments, 0.1 % of them lost and repeated, snap length 128", transferSnapLen, 2_000, 2_000, (*generator).transfers},
	"w3": {"w1 inside VXLAN with 4 VNIs", 0, 1_000_000, 65_536, func(g *generator) { g.run(mirroredFlows(), inTurn) }},
	"w4": {"TLS 1.2 and 1.3 flows of 20 packets", 0, 200_000, 65_536, func(g *generator) { g.run(tlsFlows(), inTurn) }},
	"w5": {"2 million flows of 6 packets open at once, in random order", 0, 2_000_000, 2_000_000, func(g *generator) { g.run(openFlow(), shuffled) }},
	"w6": {"SYN flood: every packet another flow", 0, 10_000_000, 1, func(g *generator) { g.run(lonelySYN(), inTurn) }},

	"w6w4":      {"nine packets of w6 before every one of w4", 0, 50_000, 4096, func(g *generator) { g.flooded(true) }},
	"w6w4-part": {"the w4 packets of w6w4 alone, at the same times", 0, 50_000, 4096, func(g *generator) { g.flooded(false) }},
}

// Names lists the workloads, each with what it is.
func Names() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, name+"  "+kinds[name].about)
	}
	return out
}

// SnapLen gives the snap length that belongs to a workload, 0 for none.
func SnapLen(workload string) int { return kinds[workload].snapLen }

// Validate reports a workload that is not there, and numbers that make no sense.
func (c Config) Validate() error {
	if _, ok := kinds[c.Workload]; !ok {
		return fmt.Errorf("no workload %q; there are %v", c.Workload, slices.Sorted(maps.Keys(kinds)))
	}
	if c.Flows < 0 || c.Packets < 0 || c.Open < 0 {
		return fmt.Errorf("flows %d, packets %d, open %d: none may be negative", c.Flows, c.Packets, c.Open)
	}
	return nil
}

// Generate writes the packets of a workload to w.
func Generate(c Config, w pcapgen.Writer) (Truth, error) {
	if err := c.Validate(); err != nil {
		return Truth{}, err
	}
	k := kinds[c.Workload]
	g := &generator{config: c, w: w, now: Start, truth: newTruth(c.Workload, c.Seed)}
	if g.config.Flows == 0 {
		g.config.Flows = k.flows
	}
	if g.config.Open == 0 {
		g.config.Open = k.open
	}
	k.generate(g)
	if err := w.Flush(); err != nil && g.err == nil {
		g.err = err
	}
	return g.truth, g.err
}

func newTruth(workload string, seed uint64) Truth {
	return Truth{Workload: workload, Seed: seed, Outcomes: map[string]int64{}}
}

// generator is one run.
type generator struct {
	config Config
	w      pcapgen.Writer
	now    int64  // time of the next packet
	ticks  uint64 // packets so far, those that are left out included
	err    error  // of the first write that failed
	truth  Truth
	flood  *flood // nil: none
}

// emit writes a frame of which payload octets are TCP payload, as a packet of
// one side, and moves the clock.
func (g *generator) emit(f pcapgen.Frame, side pcapgen.Side, ipBytes, payload int) {
	f.Time = g.now
	if err := g.w.Write(f); err != nil && g.err == nil {
		g.err = err
	}
	g.truth.sends(side, g.now, f.WireLen, ipBytes, payload)
	if g.truth.Part != nil && !g.flood.plays {
		g.truth.Part.sends(side, g.now, f.WireLen, ipBytes, payload)
	}
	g.tick()
	if g.truth.Packets&0xffff == 0 && g.config.Progress != nil {
		g.config.Progress(g.truth.Packets)
	}
}

// tick moves the clock by one packet: 1 µs on average, unevenly.
func (g *generator) tick() {
	g.ticks++
	g.now += 488 + int64(mix(g.config.Seed, g.ticks)&1023)
}

// mix gives a random-looking number that follows from a and b.
func mix(a, b uint64) uint64 {
	x := a ^ b*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
