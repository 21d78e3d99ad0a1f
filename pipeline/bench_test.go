package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/internal/pcapgen/workload"
	"mirrorscope/packet"
)

// memory is a source of frames in memory, given out again and again until n are.
// Each time they begin after those of the time before have ended.
type memory struct {
	list []capture.Frame
	at   int
	n    int
	lap  int64 // ns to add
}

func (m *memory) Write(f pcapgen.Frame) error {
	m.list = append(m.list, capture.Frame{Data: bytes.Clone(f.Data), Time: f.Time, WireLen: max(f.WireLen, len(f.Data)), Link: capture.LinkEthernet})
	return nil
}

func (m *memory) Flush() error { return nil }

func (m *memory) Next(f *capture.Frame) error {
	var one [1]capture.Frame
	_, err := m.NextBatch(one[:])
	*f = one[0]
	return err
}

func (m *memory) NextBatch(fs []capture.Frame) (int, error) {
	if m.n <= 0 {
		return 0, io.EOF
	}
	if m.at == len(m.list) {
		m.at = 0
		m.lap += m.list[len(m.list)-1].Time - m.list[0].Time + 180e9
	}
	n := copy(fs[:min(len(fs), m.n)], m.list[m.at:])
	for i := range fs[:n] {
		fs[i].Time += m.lap
	}
	m.at += n
	m.n -= n
	return n, nil
}

func (m *memory) Interfaces() []string { return []string{"test0"} }
func (m *memory) Errors() []error      { return nil }
func (m *memory) Close() error         { return nil }

// generated are the frames of a workload, cut as it is recorded.
func generated(b *testing.B, name string, packets, open int) *memory {
	b.Helper()
	m := new(memory)
	if _, err := workload.Generate(workload.Config{Workload: name, Packets: packets, Open: open, Seed: 1}, m); err != nil {
		b.Fatal(err)
	}
	for i := range m.list {
		if snap := workload.SnapLen(name); snap > 0 {
			m.list[i].Data = m.list[i].Data[:min(snap, len(m.list[i].Data))]
		}
	}
	return m
}

// BenchmarkRun is the whole way of a packet, without a file and an output: many
// small flows, some long ones, and small ones in VXLAN.
func BenchmarkRun(b *testing.B) {
	for _, name := range []string{"w1", "w2", "w3"} {
		src := generated(b, name, 200_000, 4096)
		for _, shards := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/shards=%d", name, shards), func(b *testing.B) {
				b.ReportAllocs()
				src.at, src.lap, src.n = 0, 0, b.N
				if _, err := Run(context.Background(), src, config(shards), func([]*flow.Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkReader is the reader's part: reading, decoding and filling batches,
// which nobody takes.
func BenchmarkReader(b *testing.B) {
	for _, name := range []string{"w1", "w2", "w3"} {
		src := generated(b, name, 20_000, 4096)
		for _, keep := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/keep=%v", name, keep), func(b *testing.B) {
				frames := make([]capture.Frame, aheadLen)
				d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
				to := newBatch(1)
				src.at, src.n = 0, b.N
				b.ReportAllocs()
				b.ResetTimer()
				for {
					n, err := src.NextBatch(frames)
					if err != nil {
						break
					}
					for i := range n {
						f, p := &frames[i], to.next()
						if d.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, p) != packet.OK {
							b.Fatal("not decoded")
						}
						if to.put(p, flow.Partition(p.Hash), isPacket, keep) {
							to.clear()
						}
					}
				}
			})
		}
	}
}
