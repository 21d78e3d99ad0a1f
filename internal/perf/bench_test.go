package perf

import (
	"io"
	"slices"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen/workload"
	"mirrorscope/packet"
)

// benchmarked are small workloads: what they hold fits into the caches of the
// processor, so stages are compared with themselves and not with memory.
var benchmarked = []workload.Config{
	{Workload: "w1", Flows: 4000, Open: 500}, {Workload: "w2", Flows: 50, Packets: 50_000}, {Workload: "w3", Flows: 4000, Open: 500},
	{Workload: "w4", Flows: 2000, Open: 500}, {Workload: "w5", Flows: 8000, Open: 8000}, {Workload: "w6", Flows: 50_000},
}

// stage runs a benchmark that goes through a workload once. What is reported
// beside the time on the clock, which says little on a machine that others use, is
// the CPU time of one of the things that a run goes through.
func stage(b *testing.B, what string, names []string, do func(b *testing.B, f File, m *meter) (things int64)) {
	for _, c := range benchmarked {
		if !slices.Contains(names, c.Workload) {
			continue
		}
		b.Run(c.Workload, func(b *testing.B) {
			f := file(b, c)
			var m meter
			things := int64(0)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				things += do(b, f, &m)
			}
			b.ReportMetric(float64(m.used)/float64(things), "cpu-ns/"+what)
		})
	}
}

// meter adds up CPU time of this process.
type meter struct{ used, since time.Duration }

func (m *meter) start(b *testing.B) { m.since = processTime(b); b.StartTimer() }
func (m *meter) stop(b *testing.B)  { b.StopTimer(); m.used += processTime(b) - m.since }

// BenchmarkReplay is all stages with one shard, and the table.
func BenchmarkReplay(b *testing.B) {
	stage(b, "packet", []string{"w1", "w2", "w3", "w4", "w5", "w6"}, func(b *testing.B, f File, m *meter) int64 {
		m.start(b)
		replay(b, f, 0, discarded)
		m.stop(b)
		return f.Packets
	})
}

// BenchmarkFloor is the least that a program must do.
func BenchmarkFloor(b *testing.B) {
	stage(b, "packet", []string{"w1", "w2", "w3", "w4", "w5", "w6"}, func(b *testing.B, f File, m *meter) int64 {
		m.start(b)
		leastWork(b, f)
		m.stop(b)
		return f.Packets
	})
}

// BenchmarkRead is the reader of files.
func BenchmarkRead(b *testing.B) {
	stage(b, "packet", []string{"w1", "w2", "w4"}, func(b *testing.B, f File, m *meter) int64 {
		m.start(b)
		each(b, f, func(*capture.Frame) {})
		m.stop(b)
		return f.Packets
	})
}

// BenchmarkDecode is reader, decoder and hash.
func BenchmarkDecode(b *testing.B) {
	stage(b, "packet", []string{"w1", "w3"}, func(b *testing.B, f File, m *meter) int64 {
		var p packet.Packet
		d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
		m.start(b)
		each(b, f, func(x *capture.Frame) { d.Decode(x.Data, uint16(x.Link), 0, x.WireLen, x.Time, &p) })
		m.stop(b)
		return f.Packets
	})
}

// BenchmarkTable is what a table does with packets: w2 finds the flow as a rule,
// w6 never does, w1 begins and ends one with every twelfth packet. Records are
// not made.
func BenchmarkTable(b *testing.B) {
	stage(b, "packet", []string{"w1", "w2", "w4", "w6"}, func(b *testing.B, f File, m *meter) int64 {
		b.StopTimer()
		filled(b, f, m)
		return f.Packets
	})
}

// BenchmarkRecord ends flows and makes their records.
func BenchmarkRecord(b *testing.B) {
	stage(b, "record", []string{"w4", "w5", "w6"}, func(b *testing.B, f File, m *meter) int64 {
		b.StopTimer()
		var other meter
		t := filled(b, f, &other)
		var to flow.Records
		m.start(b)
		t.PlanFlush(workload.Start + 1e15)
		t.Step(flow.Last())
		t.Take(&to)
		m.stop(b)
		return f.Truth.Flows
	})
}

// BenchmarkFold adds records to the table of conversations.
func BenchmarkFold(b *testing.B) {
	stage(b, "record", []string{"w1", "w4", "w6"}, func(b *testing.B, f File, m *meter) int64 {
		b.StopTimer()
		replay(b, f, 0, func(*packet.Names) sink { return &folding{b, m, edge.New(edge.DefaultConfig())} })
		return f.Truth.Flows
	})
}

// folding is the table of conversations, with a meter.
type folding struct {
	b *testing.B
	m *meter
	t *edge.Table
}

func (f *folding) Write(records []*flow.Record) error {
	f.m.start(f.b)
	for _, r := range records {
		f.t.Add(r)
	}
	f.m.stop(f.b)
	return nil
}

func (f *folding) Close(*flow.Capture) error { return nil }

// filled is a table that has been given the packets of a file.
func filled(b *testing.B, f File, m *meter) *flow.Table {
	names := new(packet.Names)
	packets := decoded(b, f, names)
	cfg := flow.DefaultConfig()
	cfg.Memory = 16 << 30 // one table for all
	t := flow.NewTable(cfg, flow.NewLearned(cfg), names)
	m.start(b)
	for i := range packets {
		t.Add(&packets[i])
	}
	m.stop(b)
	return t
}

// each reads a file.
func each(tb testing.TB, f File, do func(*capture.Frame)) {
	tb.Helper()
	r, err := pcapfile.Open(pcapfile.Config{Paths: []string{f.Path}})
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	var x capture.Frame
	for {
		if err := r.Next(&x); err == io.EOF {
			return
		} else if err != nil {
			tb.Fatal(err)
		}
		do(&x)
	}
}

// decoded are the packets of a file, with payload of their own.
func decoded(tb testing.TB, f File, names *packet.Names) (all []packet.Packet) {
	tb.Helper()
	d := packet.NewDecoder(packet.DefaultConfig(), names)
	each(tb, f, func(x *capture.Frame) {
		var p packet.Packet
		if d.Decode(x.Data, uint16(x.Link), 0, x.WireLen, x.Time, &p) == packet.OK {
			p.Payload = slices.Clone(p.Payload)
			all = append(all, p)
		}
	})
	return all
}
