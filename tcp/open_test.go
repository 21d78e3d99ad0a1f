package tcp

import (
	"math/rand/v2"
	"testing"

	"mirrorscope/packet"
)

// The straight way of an opening leads to the same as the whole way, whatever
// comes before, between and instead of its three packets.
func TestOpensIsWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	w := newTwins()
	straight := 0
	for range 30000 {
		for i := range w.c {
			w.c[i].Init()
			w.o[i] = Opening{}
		}
		isn := [2]uint32{r.Uint32(), r.Uint32()}
		now, wild := epoch, 1+r.IntN(8)
		if r.IntN(4) == 0 { // what is recorded before its SYN
			dir := r.IntN(2)
			k := packet.TCP{Flags: ack, Seq: isn[dir] + r.Uint32N(3), Ack: isn[1-dir] + r.Uint32N(3), Window: 1000}
			w.add(t, &packet.Packet{Time: now, Now: now, Proto: packet.ProtoTCP, Version: 4, TTL: 64, PayloadLen: r.Uint32N(2), TCP: k}, dir, false, false)
		}
		for i := range 3 + r.IntN(6) {
			now += r.Int64N(3e9)
			p := packet.Packet{Time: now, Now: now, Proto: packet.ProtoTCP, Version: 4, TTL: 64, IPID: uint16(i), TCP: packet.TCP{Window: 1000}}
			k := &p.TCP
			dir := i & 1
			switch i {
			case 0:
				k.Flags, k.Seq, k.Has, k.MSS = syn, isn[0], packet.HasMSS|packet.HasTimestamps, 1460
			case 1:
				k.Flags, k.Seq, k.Ack, k.Has, k.MSS = synack, isn[1], isn[0]+1, packet.HasMSS|packet.HasTimestamps, 1400
			default:
				k.Flags, k.Seq, k.Ack, k.Has = ack, isn[dir]+1, isn[1-dir]+1, packet.HasTimestamps
			}
			k.TSval, k.TSecr = uint32(now/1e6), uint32(now/1e6)-1
			alike := false
			for range 3 {
				if r.IntN(wild) == 0 {
					break
				}
				off := []uint32{0, 1, 2, 100, 1 << 20, ^uint32(0)}[r.IntN(6)]
				switch r.IntN(10) {
				case 0:
					k.Flags = []uint16{syn, synack, ack, ack | packet.FIN, packet.RST, packet.RST | ack, syn | packet.FIN, 0}[r.IntN(8)]
				case 1:
					k.Seq = isn[dir] + off
				case 2:
					k.Ack = isn[1-dir] + off
				case 3:
					p.PayloadLen = []uint32{0, 1, 100}[r.IntN(3)]
				case 4:
					k.Window = 0
				case 5:
					dir = 1 - dir
				case 6:
					alike = i > 0
				default:
					alike = change(r, &p) && i > 0
				}
			}
			before := w.st[0].wholes
			w.add(t, &p, dir, r.IntN(20) == 0, alike)
			if i < 3 && w.st[0].wholes == before {
				straight++
			}
		}
		w.end(t, now)
	}
	if straight < 15000 {
		t.Errorf("%d packets took the straight way", straight)
	}
}
