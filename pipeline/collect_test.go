package pipeline

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/path"
)

// However often records leave within a second, they and the paths behind them
// are the same, in the same order.
func TestCollectEvery(t *testing.T) {
	defer func(n int) { collectEvery = n }(collectEvery)
	replay := func(open func() capture.Source, every int) (lines []string, paths int) {
		collectEvery = every
		src := open()
		defer src.Close()
		cfg := config(3)
		cfg.Paths = func(c *path.Connection) error {
			paths++
			lines = append(lines, fmt.Sprintf("path %016x", c.Last))
			return nil
		}
		_, err := Run(context.Background(), src, cfg, func(recs []*flow.Record) error {
			for _, r := range recs {
				lines = append(lines, fmt.Sprintf("%016x %d %v", r.ID, r.Release, r.Sent))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return lines, paths
	}
	for name, open := range map[string]func() capture.Source{
		"shop": func() capture.Source {
			src, err := pcapfile.Open(pcapfile.Config{Paths: []string{filepath.Join(needs.Repository(t), "testdata", "pcaps", "shop.pcap")}})
			if err != nil {
				t.Fatal(err)
			}
			return src
		},
		"reused ports at two points": reusedPorts,
	} {
		t.Run(name, func(t *testing.T) {
			want, n := replay(open, 1<<20)
			if n == 0 {
				t.Fatal("no path")
			}
			for _, every := range []int{1, 2, 7, 100} {
				got, m := replay(open, every)
				if m != n {
					t.Errorf("every %d packets: %d paths, want %d", every, m, n)
				}
				for i := range min(len(got), len(want)) {
					if got[i] != want[i] {
						t.Errorf("every %d packets: line %d is %s, want %s", every, i, got[i], want[i])
						break
					}
				}
			}
		})
	}
}

// reusedPorts is one 5-tuple that is opened and closed again and again, seen
// through two mirrors: every connection ends with the SYN of the next one.
func reusedPorts() capture.Source {
	a, b := netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.0.9")
	f := new(frames)
	at, id := int64(1_700_000_000e9), uint16(0)
	send := func(fromA bool, flags uint16, seq, ack uint32) {
		ip, tcp := pcapgen.IPv4{Src: a, Dst: b}, pcapgen.TCP{SrcPort: 40000, DstPort: 443, Seq: seq, Ack: ack, Flags: flags, Window: 1000}
		if !fromA {
			ip.Src, ip.Dst, tcp.SrcPort, tcp.DstPort = b, a, 443, 40000
		}
		id++
		ip.ID = id
		for vni := range uint32(2) {
			frame := pcapgen.Build(
				pcapgen.Ethernet{}, pcapgen.IPv4{Src: netip.AddrFrom4([4]byte{10, 9, 0, byte(vni + 1)}), Dst: netip.MustParseAddr("10.9.9.9")},
				pcapgen.UDP{SrcPort: 50000}, pcapgen.VXLAN{VNI: 100 + vni}, pcapgen.Ethernet{}, ip, tcp,
			)
			f.list = append(f.list, capture.Frame{Data: frame, Time: at, WireLen: len(frame), Link: capture.LinkEthernet})
			at += 100_000
		}
		at += 1e6
	}
	for i := range uint32(5) {
		x, y := 1000*(i+1), 5000*(i+1)
		send(true, packet.SYN, x, 0)
		send(false, packet.SYN|packet.ACK, y, x+1)
		send(true, packet.ACK, x+1, y+1)
		send(true, packet.FIN|packet.ACK, x+1, y+1)
		send(false, packet.FIN|packet.ACK, y+1, x+2)
		send(true, packet.ACK, x+2, y+2)
	}
	return f
}
