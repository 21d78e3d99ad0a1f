package pipeline

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// attempts gives SYNs of many hosts, of which every third is answered.
func attempts() *frames {
	f := new(frames)
	at := int64(1_700_000_000e9)
	for i := range 4000 {
		client, server := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), netip.AddrFrom4([4]byte{10, 1, 0, byte(i % 7)})
		send := func(ip pcapgen.IPv4, tcp pcapgen.TCP) {
			frame := pcapgen.Build(pcapgen.Ethernet{}, ip, tcp)
			f.list = append(f.list, capture.Frame{Data: frame, Time: at, WireLen: len(frame), Link: capture.LinkEthernet})
			at += int64(i%5) * 4e6 // some at the same time
		}
		send(pcapgen.IPv4{Src: client, Dst: server}, pcapgen.TCP{SrcPort: 1024, DstPort: 80, Seq: uint32(i), Flags: packet.SYN})
		if i%3 == 0 {
			send(pcapgen.IPv4{Src: server, Dst: client}, pcapgen.TCP{SrcPort: 80, DstPort: 1024, Ack: uint32(i) + 1, Flags: packet.SYN | packet.ACK})
		}
	}
	return f
}

// What is taken as small comes in the place that its record would have, and the
// health of the capture is the same.
func TestLone(t *testing.T) {
	replay := func(shards int, small bool) (lines []string, lones int, c flow.Capture) {
		cfg := config(shards)
		if cfg.piece = 50; small {
			cfg.Lone = func(some []*flow.Lone) error {
				lones += len(some)
				for _, l := range some {
					_, port := l.Client()
					lines = append(lines, fmt.Sprint(l.Release(), l.Start(), port, l.Bytes(), l.Outcome(), l.EndReason(), l.Place().Mark))
				}
				return nil
			}
		}
		c, err := Run(context.Background(), attempts(), cfg, func(recs []*flow.Record) error {
			for _, r := range recs {
				lines = append(lines, fmt.Sprint(r.Release, r.Start, r.Ends[flow.Client].Port, r.Sent[0].Bytes+r.Sent[1].Bytes, r.Outcome, r.EndReason, r.Place().Mark))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return lines, lones, c
	}
	want, _, health := replay(2, false)
	for _, shards := range []int{1, 3} {
		got, lones, c := replay(shards, true)
		if !slices.Equal(got, want) || lones < 2000 || lones == len(got) {
			t.Fatalf("%d shards: %d records, %d of them small; want %d, in the same order", shards, len(got), lones, len(want))
		}
		if c.Connections != health.Connections || c.Points[0] != health.Points[0] {
			t.Errorf("%+v, want %+v", c, health)
		}
	}
}
