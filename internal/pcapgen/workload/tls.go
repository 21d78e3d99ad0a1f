package workload

import (
	"math/rand/v2"

	"mirrorscope/internal/pcapgen"
)

const (
	tlsPackets  = 20
	mss         = 1448 // with timestamps
	recordBytes = 400  // of application data in a packet
)

// tlsFlows are connections of tlsPackets packets, one for each recorded
// handshake: the flights in full segments, an ACK for each, application data
// back and forth, and the end. Flows differ in the client random.
func tlsFlows() (out []script) {
	r := rand.New(rand.NewPCG(1, 4)) // of the templates: the same for every seed
	for _, h := range pcapgen.Handshakes() {
		b := newBuilder(nil)
		b.handshake()
		for i, flight := range h.Flights {
			from := pcapgen.Side(i % 2)
			random := h.ClientRandomAt(i)
			for len(flight) > 0 {
				n := min(mss, len(flight))
				flags := ack
				if n == len(flight) {
					flags = pushAck
				}
				b.add(from, flags, flight[:n])
				if random >= 0 {
					b.vary(random)
					random = -1
				}
				flight = flight[n:]
			}
			b.add(1-from, ack, nil)
		}
		for i := 0; len(b.packets) < tlsPackets-4; i++ {
			b.add(pcapgen.Side(i%2), pushAck, pcapgen.TLSData(r, recordBytes))
		}
		b.close()
		out = append(out, script{packets: b.packets, outcome: "closed", tls: h.Version, port: 443})
	}
	return out
}

// vary makes 32 octets of the last packet's payload, from at on, differ in
// every flow.
func (b *builder) vary(at int) {
	t := &b.packets[len(b.packets)-1]
	t.random = len(t.frame) - t.payload + at
	field := t.frame[t.random : t.random+32]
	whole := t.frame[t.tcp:]
	t.tcpSum -= sum(whole)
	clear(field)
	t.tcpSum += sum(whole)
}
