package afpacket

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
	"mirrorscope/internal/pcapgen"
)

// TestFanout shows that both directions of a connection come by the same ring,
// in the clear, tagged, and inside VXLAN with other outer ports for each
// direction, and that all rings are used.
func TestFanout(t *testing.T) {
	const rings, conns = 4, 256
	l := newLab(t)
	l.pair()
	fanout, err := bpf.LoadFanout(rings, bpf.Ports{})
	if err != nil {
		t.Fatal(err)
	}
	defer fanout.Close()
	tx := l.sender("tx0")
	inner := func(i int, back bool) []pcapgen.Layer {
		ip := pcapgen.IPv4{Src: pcapgen.IP(fmt.Sprintf("10.1.0.%d", i%20)), Dst: pcapgen.IP("10.2.0.1")}
		tcp := pcapgen.TCP{SrcPort: uint16(40000 + i), DstPort: 443, Flags: pcapgen.ACK}
		if back {
			ip.Src, ip.Dst = ip.Dst, ip.Src
			tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
		}
		// The urgent pointer tells the connection, whatever is around it.
		number := make(pcapgen.Payload, 2)
		binary.BigEndian.PutUint16(number, uint16(i))
		return []pcapgen.Layer{ip, tcp, number}
	}
	for _, tc := range []struct {
		name   string
		around func(i int, back bool) []pcapgen.Layer
	}{
		{"plain", func(int, bool) []pcapgen.Layer { return []pcapgen.Layer{ether} }},
		{"tagged", func(i int, _ bool) []pcapgen.Layer {
			return []pcapgen.Layer{ether, pcapgen.VLAN{ID: uint16(i%7 + 1)}}
		}},
		{"VXLAN", func(i int, back bool) []pcapgen.Layer {
			outer := pcapgen.UDP{SrcPort: uint16(50000 + i), DstPort: 4789}
			if back {
				outer.SrcPort = uint16(60000 - i)
			}
			return []pcapgen.Layer{ether, ip4, outer, pcapgen.VXLAN{VNI: 7007}, ether}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l.t = t
			cfg := small()
			cfg.Rings = rings
			c := l.open("cap0", cfg, fanout.FD())
			for i := range conns {
				tx.send(pcapgen.Build(append(tc.around(i, false), inner(i, false)...)...))
				tx.send(pcapgen.Build(append(tc.around(i, true), inner(i, true)...)...))
			}
			var ringOf, seen [conns]int
			var of [rings]int
			for _, g := range frames(t, c, 2*conns) {
				i := binary.BigEndian.Uint16(g.Data[len(g.Data)-2:])
				if seen[i] > 0 && ringOf[i] != g.ring {
					t.Fatalf("connection %d came by ring %d and ring %d", i, ringOf[i], g.ring)
				}
				seen[i]++
				ringOf[i] = g.ring
				of[g.ring]++
			}
			for i, n := range seen {
				if n != 2 {
					t.Errorf("%d frames of connection %d, want 2", n, i)
				}
			}
			for ring, n := range of {
				if n < conns*2/rings/2 {
					t.Errorf("ring %d had %d of %d frames: %v", ring, n, 2*conns, of)
				}
			}
			quiet(t, c)
		})
	}
}

// While a fan-out is opened, under traffic, each flow begins in its own ring at
// some frame and from then on loses none, and no frame comes twice.
func TestOpenUnderTraffic(t *testing.T) {
	l := newLab(t)
	l.pair()
	tx := l.sender("tx0")
	program := fanoutProgram(t)
	const rings, flows = 4, 16
	for round := range 5 {
		var enough atomic.Bool
		sent := make(chan uint32)
		go func() {
			var n uint32
			for ; !enough.Load(); n++ {
				_, _ = unix.SendmsgN(tx.fd, flow(int(n%flows), false, n/flows), nil, nil, 0)
			}
			sent <- n
		}()
		cfg := small()
		cfg.Rings, cfg.Blocks = rings, 256
		c := l.open("cap0", cfg, program)
		all := frames(t, c, 2000)
		enough.Store(true)
		n := <-sent
		var ringOf, last [flows]int
		for i := range last {
			last[i] = -1
		}
		for _, g := range all {
			i := int(g.Data[14+15]) // last octet of the source address
			number := int(numberOf(g.Data))
			if last[i] >= 0 && (number != last[i]+1 || g.ring != ringOf[i]) {
				t.Fatalf("round %d, flow %d: frame %d by ring %d after frame %d by ring %d", round, i, number, g.ring, last[i], ringOf[i])
			}
			last[i], ringOf[i] = number, g.ring
		}
		if all[0].Time == 0 || int(n) < 2000 {
			t.Errorf("%d frames sent", n)
		}
		if n := count(t, c, "ring_full"); n > 0 {
			t.Errorf("%d frames found no room", n)
		}
		c.Close()
	}
}
