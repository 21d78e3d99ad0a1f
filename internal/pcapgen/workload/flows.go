package workload

import (
	"bytes"

	"mirrorscope/internal/pcapgen"
)

// script is the packets of one kind of flow and what becomes of it.
type script struct {
	packets []template
	outcome string
	tls     string // version, "" for none
	port    uint16 // of the server, 0: by the flow
}

// Order in which the open flows take turns.
type order bool

const (
	inTurn   order = false
	shuffled order = true // another random order in every round
)

// slot is one open flow.
type slot struct {
	flow  uint64
	step  uint8
	wait  uint8 // rounds until it starts
	done  bool
	tsVal [2]uint32 // last timestamp of each side
}

// run plays flows, Config.Open at a time; flow n follows script n mod the
// number of scripts. Every flow that ends makes room for the next one.
func (g *generator) run(scripts []script, o order) {
	if g.config.Packets > 0 {
		g.config.Flows = max(1, g.config.Packets/(len(scripts[0].packets)*g.flood.share()))
	}
	flows := uint64(g.config.Flows)
	slots := make([]slot, max(1, min(g.config.Open, g.config.Flows)))
	next := uint64(0)
	start := func(s *slot, wait int) {
		*s = slot{flow: next, wait: uint8(wait), done: next == flows}
		if !s.done {
			next++
		}
	}
	for i := range slots {
		start(&slots[i], i%len(scripts[0].packets)) // not all in step
	}
	for round, open := uint64(0), true; open && g.err == nil; round++ {
		open = false
		p := newPermutation(len(slots), mix(g.config.Seed, round))
		for i := range slots {
			if o == shuffled {
				i = p.at(i)
			}
			s := &slots[i]
			switch {
			case s.done:
				continue
			case s.wait > 0:
				s.wait--
			default:
				sc := &scripts[s.flow%uint64(len(scripts))]
				g.step(s, sc)
				if s.step++; int(s.step) == len(sc.packets) {
					g.truth.ends(sc)
					if g.truth.Part != nil {
						g.truth.Part.ends(sc)
					}
					start(s, 0)
				}
			}
			open = true
		}
	}
}

// step emits the next packet of an open flow, behind those of the flood.
func (g *generator) step(s *slot, sc *script) {
	if g.flood != nil {
		g.flood.play(g)
	}
	t := &sc.packets[s.step]
	f := newFlow(g.config.Seed, s.flow)
	if sc.port != 0 {
		f.serverPort = sc.port
	}
	// One tick a millisecond (RFC 7323 section 5.4).
	s.tsVal[t.side] = f.clock[t.side] + uint32((g.now-Start)/1e6)
	ecr := uint32(0)
	if t.hasAck {
		ecr = s.tsVal[1-t.side]
	}
	t.fill(&f, s.tsVal[t.side], ecr)
	g.emit(pcapgen.Frame{Data: t.frame, WireLen: t.wireLen}, t.side, t.ipBytes, t.payload)
}

// permutation gives the numbers below n in a random-looking order without
// memory: steps of a length that is prime to n.
type permutation struct{ n, step, at0 uint64 }

func newPermutation(n int, seed uint64) permutation {
	p := permutation{uint64(n), seed%uint64(n) | 1, seed >> 32}
	for gcd(p.step, p.n) != 1 {
		p.step += 2
	}
	return p
}

func (p permutation) at(i int) int { return int((uint64(i)*p.step + p.at0) % p.n) }

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

var (
	sensorMAC = pcapgen.MAC{2, 0, 0, 0, 0, 0xfe}
	ethernet  = pcapgen.Ethernet{Src: pcapgen.MAC{2, 0, 0, 0, 0, 1}, Dst: pcapgen.MAC{2, 0, 0, 0, 0, 2}}
)

// builder adds the packets of a flow one after the other.
type builder struct {
	outer   []pcapgen.Layer
	snap    int
	packets []template
	next    [2]uint32 // sequence number of each side
	ids     [2]uint16
}

func newBuilder(outer []pcapgen.Layer) *builder {
	return &builder{outer: append(outer[:len(outer):len(outer)], ethernet)}
}

// add appends a packet of one side.
func (b *builder) add(side pcapgen.Side, flags uint16, payload []byte) {
	t := pcapgen.TCP{Flags: flags, Seq: b.next[side], Ack: b.next[1-side], Window: 502,
		Options: pcapgen.TCPOptions{Timestamps: &pcapgen.Timestamps{}}}
	if flags&pcapgen.SYN != 0 {
		t.Window, t.Options.MSS, t.Options.SACKPermitted, t.Options.WScale = 64240, 1460, true, new(uint8(7))
	}
	b.packets = append(b.packets, newTemplate(b.outer, side, b.ids[side], t, payload, b.snap))
	b.ids[side]++
	b.next[side] += uint32(len(payload))
	if flags&(pcapgen.SYN|pcapgen.FIN) != 0 {
		b.next[side]++
	}
}

const (
	client  = pcapgen.Client
	server  = pcapgen.Server
	ack     = pcapgen.ACK
	pushAck = pcapgen.PSH | pcapgen.ACK
)

func (b *builder) handshake() {
	b.add(client, pcapgen.SYN, nil)
	b.add(server, pcapgen.SYN|ack, nil)
	b.add(client, ack, nil)
}

func (b *builder) close() {
	b.add(client, pcapgen.FIN|ack, nil)
	b.add(server, ack, nil)
	b.add(server, pcapgen.FIN|ack, nil)
	b.add(client, ack, nil)
}

// filler is payload that is no protocol's.
func filler(n int) []byte { return bytes.Repeat([]byte{'.'}, n) }

// shortFlow is a whole connection with a small request and response.
func shortFlow(outer []pcapgen.Layer) []script {
	b := newBuilder(outer)
	b.handshake()
	b.add(client, pushAck, filler(120))
	b.add(server, ack, nil)
	b.add(server, ack, filler(300))
	b.add(server, pushAck, filler(77))
	b.add(client, ack, nil)
	b.close()
	return []script{{packets: b.packets, outcome: "closed"}}
}

// mirroredFlows are short flows inside VXLAN from four interfaces.
func mirroredFlows() (out []script) {
	for i := range byte(4) {
		outer := pcapgen.IPv4{Src: pcapgen.IP("10.0.0.5"), Dst: pcapgen.IP("10.0.9.9"), TTL: 255}
		for range i {
			outer.Src = outer.Src.Next()
		}
		out = append(out, shortFlow([]pcapgen.Layer{
			pcapgen.Ethernet{Src: pcapgen.MAC{2, 0, 0, 0, 1, i}, Dst: sensorMAC},
			outer, pcapgen.UDP{SrcPort: 49152 + uint16(i), NoChecksum: true}, pcapgen.VXLAN{VNI: 4660 + uint32(i)},
		})...)
	}
	return out
}

// openFlow is a connection that stays open.
func openFlow() []script {
	b := newBuilder(nil)
	b.handshake()
	b.add(client, pushAck, filler(120))
	b.add(server, pushAck, filler(300))
	b.add(client, ack, nil)
	return []script{{packets: b.packets, outcome: "established"}}
}

// lonelySYN is one packet of a flood. Its flows time out; a sensor may not say
// so, since it never records the other direction.
func lonelySYN() []script {
	b := newBuilder(nil)
	b.add(client, pcapgen.SYN, nil)
	return []script{{packets: b.packets, outcome: "timeout"}}
}
