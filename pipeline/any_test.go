package pipeline

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/path"
	"mirrorscope/session"
)

// threePoints are frames of three interfaces.
type threePoints struct{ frames }

func (*threePoints) Interfaces() []string { return []string{"test0", "test1", "test2"} }

// threeLent lends them some at a time.
type threeLent struct{ batchLender }

func (*threeLent) Interfaces() []string { return []string{"test0", "test1", "test2"} }

// anyFrames are of connections that begin, end and come again as they like, at several points of
// which some are behind tunnels, among frames of other kinds.
func anyFrames(r *rand.Rand, n int) (list []capture.Frame) {
	at := int64(1_700_000_000e9)
	host := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	odd, tunnels := []int{4, 40, 400}[r.IntN(3)], r.IntN(3)
	sent, face := map[int]*[2]uint32{}, uint32(0)
	for i := range n {
		if at += r.Int64N(2e6); r.IntN(300) == 0 {
			at += r.Int64N(3e9)
		}
		if r.IntN(20) == 0 && i > n/4 {
			face = uint32(r.IntN(3))
		}
		add := func(layers ...pcapgen.Layer) {
			b := pcapgen.Build(layers...)
			f := capture.Frame{Data: b, Time: at, WireLen: len(b), Link: capture.LinkEthernet, Interface: face}
			if r.IntN(50) == 0 && len(b) > 60 {
				f.Data = b[:60]
			}
			if list = append(list, f); r.IntN(3) == 0 && i > n/4 {
				f.Interface = uint32(r.IntN(3))
				f.Time += 1000
				list = append(list, f)
			}
		}
		under := []pcapgen.Layer{pcapgen.Ethernet{}}
		if r.IntN(8) < 3*tunnels && i > n/3 {
			under = append(under, pcapgen.IPv4{Src: host(200), Dst: host(201)}, pcapgen.UDP{SrcPort: 5555}, pcapgen.VXLAN{VNI: uint32(1 + r.IntN(2))}, pcapgen.Ethernet{})
		}
		if r.IntN(odd) == 0 {
			switch r.IntN(4) {
			case 0:
				first, rest := fragments(at)
				if list = append(list, first); r.IntN(2) == 0 {
					list = append(list, rest)
				}
			case 1:
				add(append(under, pcapgen.IPv4{Src: host(1), Dst: host(2)}, pcapgen.UDP{SrcPort: uint16(1 + r.IntN(9)), DstPort: 8125}, pcapgen.Payload("counter:1|c"))...)
			case 2:
				if len(list) > 0 && len(list[len(list)-1].Data) > 60 {
					add(pcapgen.Ethernet{}, pcapgen.IPv4{Src: host(9), Dst: host(1)}, pcapgen.ICMP{Type: 3, Code: 3}, pcapgen.Payload(list[len(list)-1].Data[14:]))
				}
			case 3:
				list = append(list, capture.Frame{Data: []byte{1, 2, 3}, Time: at, WireLen: 3, Link: capture.LinkEthernet, Interface: face})
			}
			continue
		}
		k, d := r.IntN(60), r.IntN(2)
		seq := sent[k]
		if seq == nil {
			seq = new([2]uint32)
			sent[k] = seq
		}
		ports, hosts := [2]uint16{uint16(1000 + k), 443}, [2]netip.Addr{host(1 + k%5), host(100)}
		tcp := pcapgen.TCP{SrcPort: ports[d], DstPort: ports[1-d], Seq: seq[d], Ack: seq[1-d], Flags: pcapgen.ACK, Window: 1000}
		payload := ""
		switch r.IntN(12) {
		case 0:
			if tcp.Flags = pcapgen.SYN; d == 1 {
				tcp.Flags |= pcapgen.ACK
			}
			seq[d]++
		case 1:
			tcp.Flags |= pcapgen.FIN
			seq[d]++
		case 2:
			tcp.Flags |= pcapgen.RST
		case 3, 4, 5, 6:
			payload = strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1+r.IntN(30))
			seq[d] += uint32(len(payload))
		case 7:
			seq[d] += 100
		}
		add(append(under, pcapgen.IPv4{Src: hosts[d], Dst: hosts[1-d], ID: uint16(i)}, tcp, pcapgen.Payload(payload))...)
	}
	return list
}

// How frames come, how many shards there are, how many records are made at a time and whether their
// reports are lent changes neither records, nor paths, nor what was counted.
func TestAnyFrames(t *testing.T) {
	joined, paths := 0, 0
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 99))
		list := anyFrames(r, 1000)
		every, interval, sums := []int{mostWait, 64, 7, 1}[r.IntN(4)], time.Duration(r.IntN(2))*time.Second, r.IntN(2) == 0
		var want []string
		for _, by := range []struct {
			shards       int
			batch, lends bool
			piece        int
		}{{1, false, false, 0}, {1, true, true, 0}, {2, true, false, 0}, {2, true, true, 3}, {3, true, true, 0}} {
			var src capture.Source = &threePoints{frames{list: list}}
			if by.batch {
				src = &threeLent{batchLender{lender: lender{frames: frames{list: list}}}}
			}
			cfg := config(by.shards)
			cfg.Flow.Interval, cfg.Flow.Sums, cfg.Flow.Lends, cfg.piece = interval, sums, by.lends, by.piece
			var got, ways []string
			cfg.Paths = func(c *path.Connection) error {
				ways = append(ways, fmt.Sprintf("%+v", *c))
				return nil
			}
			var held []flow.Record
			add := func(x flow.Record) {
				text := said(t, &x.Report)
				x.Report, x.Distributions = session.Report{}, nil
				got = append(got, text+fmt.Sprintf("%+v", x))
			}
			c := runOut(t, every, src, cfg, func(records []*flow.Record) error {
				for _, x := range records {
					if x.Joined { // and owns what it has
						held = append(held, *x)
					} else {
						add(*x)
					}
				}
				return nil
			})
			for _, x := range held {
				add(x)
			}
			slices.Sort(ways) // they come behind their records, which come in pieces
			got = append(append(got, ways...), fmt.Sprintf("%+v", c))
			if want == nil {
				want = got
				joined += len(held)
				paths += len(ways)
			}
			for i := range min(len(want), len(got)) {
				if want[i] != got[i] {
					t.Fatalf("seed %d, %+v: line %d of %d is\n%s\nand was, of %d,\n%s", seed, by, i, len(got), got[i], len(want), want[i])
				}
			}
			if len(got) != len(want) {
				t.Fatalf("seed %d, %+v: %d lines, and were %d", seed, by, len(got), len(want))
			}
		}
	}
	if joined < 1000 || paths < 200 {
		t.Errorf("%d records were joined, and %d paths: that proves nothing", joined, paths)
	}
}

// runOut is runEvery with an output of its own.
func runOut(t *testing.T, every int, src capture.Source, cfg Config, out func([]*flow.Record) error) flow.Capture {
	t.Helper()
	defer func(n int) { collectEvery = n }(collectEvery)
	collectEvery = every
	c, err := Run(t.Context(), src, cfg, out)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
