package workload

import "mirrorscope/internal/pcapgen"

// floodPackets come before each packet of what is flooded.
const floodPackets = 9

// firstFlood is the number of the flood's first flow. The ports of its clients
// begin 9,072 above those of the other flows (newFlow), so that none of the
// first 5·10⁸ of these has the addresses and ports of one of the flood.
const firstFlood = 1 << 32

// flood is SYNs of ever other flows between the packets of others.
type flood struct {
	syn   script
	next  uint64
	heard bool // else only the time passes
	plays bool // the packet that is made is the flood's
}

// share is the packets that there are for each of what is flooded.
func (f *flood) share() int {
	if f == nil || !f.heard {
		return 1
	}
	return 1 + floodPackets
}

// play emits the flood's packets before the next of the others.
func (f *flood) play(g *generator) {
	f.plays = true
	for range floodPackets {
		if !f.heard {
			g.tick()
			continue
		}
		t := &f.syn.packets[0]
		n := newFlow(g.config.Seed, f.next)
		f.next++
		t.fill(&n, n.clock[client]+uint32((g.now-Start)/1e6), 0)
		g.emit(pcapgen.Frame{Data: t.frame, WireLen: t.wireLen}, client, t.ipBytes, 0)
		g.truth.ends(&f.syn)
	}
	f.plays = false
}

// flooded plays the flows of w4 in a flood, or, where it is not heard, at the
// times that they have there.
func (g *generator) flooded(heard bool) {
	g.flood = &flood{syn: lonelySYN()[0], next: firstFlood, heard: heard}
	if heard {
		part := newTruth(g.truth.Workload+"-part", g.config.Seed)
		g.truth.Part = &part
	}
	g.run(tlsFlows(), inTurn)
}
