package pipeline

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

const many = 8000

// crowd gives connections of which hundreds end in every second. begins tells when each begins, ns.
func crowd(begins func(*rand.Rand) int64) *frames {
	f := new(frames)
	rng := rand.New(rand.NewPCG(1, 2))
	const begin = int64(1_700_000_000e9)
	server := netip.MustParseAddr("10.1.0.1")
	for i := range many {
		client, port := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), uint16(20000+i)
		at, seq, ack := begin+begins(rng), uint32(1000), uint32(5000)
		send := func(back bool, flags uint16, seq, ack uint32, payload string) {
			ip, tcp := pcapgen.IPv4{Src: client, Dst: server, ID: uint16(rng.Uint32())}, pcapgen.TCP{SrcPort: port, DstPort: 80, Seq: seq, Ack: ack, Flags: flags}
			if back {
				ip.Src, ip.Dst, tcp.SrcPort, tcp.DstPort = ip.Dst, ip.Src, 80, port
			}
			frame := pcapgen.Build(pcapgen.Ethernet{}, ip, tcp, pcapgen.Payload(payload))
			f.list = append(f.list, capture.Frame{Data: frame, Time: at, WireLen: len(frame), Link: capture.LinkEthernet})
			at += 1 + rng.Int64N(5e6)
		}
		send(false, packet.SYN, seq, 0, "")
		send(true, packet.SYN|packet.ACK, ack, seq+1, "")
		send(false, packet.ACK, seq+1, ack+1, "")
		send(false, packet.ACK|packet.PSH, seq+1, ack+1, "ask")
		send(true, packet.ACK|packet.PSH|packet.FIN, ack+1, seq+4, "answer")
		send(false, packet.ACK|packet.FIN, seq+4, ack+8, "")
		send(true, packet.ACK, ack+8, seq+5, "")
	}
	slices.SortStableFunc(f.list, func(a, b capture.Frame) int { return int(a.Time - b.Time) })
	return f
}

// Where more connections end in a second than there is room for at once, several shards wait for
// each other only when those of the moment are too many. Nothing else depends on that.
func TestCrowd(t *testing.T) {
	replay := func(shards, every, piece int, memory int64) (lines []string) {
		cfg := config(shards)
		cfg.piece = piece
		if memory > 0 {
			cfg.Flow.Memory = memory
		}
		recs, c := runEvery(t, every, crowd(func(rng *rand.Rand) int64 { return rng.Int64N(7e9) }), cfg)
		if c.Evicted != 0 {
			t.Fatalf("%d evicted", c.Evicted)
		}
		for i := range recs {
			r := &recs[i]
			lines = append(lines, fmt.Sprintf("%016x %d %d %v %v %v", r.ID, r.Release, r.End, r.Sent, r.FINs, r.TCP.Response))
		}
		return lines
	}
	want := replay(1, mostWait, 0, 0)
	if len(want) != many {
		t.Fatalf("%d records", len(want))
	}
	for _, shards := range []int{1, 2, 5} {
		for _, piece := range []int{1, 50, 0} {
			for _, every := range []int{16, 200} {
				if got := replay(shards, every, piece, 12<<20); !slices.Equal(got, want) {
					t.Errorf("%d shards, pieces of %d, every %d packets: other records", shards, piece, every)
				}
			}
		}
	}
}

// However many connections end at the same moment, several shards make no more records at once
// than a piece, or few more, in every second.
func TestCrowdPieces(t *testing.T) {
	cfg := config(2)
	cfg.piece, cfg.Flow.Memory = 50, 24<<20
	defer func(n int) { collectEvery = n }(collectEvery)
	collectEvery = 2000
	learned := flow.NewLearned(cfg.Flow)
	var tables []*flow.Table
	for range flow.Partitions {
		tables = append(tables, flow.NewTable(cfg.Flow, learned, cfg.Names))
	}
	src := crowd(func(rng *rand.Rand) int64 { return rng.Int64N(5)*1e9 + 5e8 })
	r := newReader(src, cfg, tables, learned)
	for _, s := range r.shards {
		go s.run(r.batches)
	}
	done := make(chan [2]int)
	go func() {
		all, most := 0, 0
		for sec := range r.seconds {
			sec.wait.Wait()
			n := 0
			for i := range sec.records {
				list := &sec.records[i]
				n += list.Len()
				for k := range list.Len() {
					list.At(k).Forget()
				}
			}
			all, most = all+n, max(most, n)
			r.free <- sec
		}
		done <- [2]int{all, most}
	}()
	err := r.run(t.Context())
	r.close()
	if got := <-done; err != nil || got[0] != many || got[1] > 2*cfg.piece {
		t.Errorf("%d records, %d at once, error %v; want %d, %d at once", got[0], got[1], err, many, cfg.piece)
	}
}
