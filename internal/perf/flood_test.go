package perf

import (
	"context"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen/workload"
	"mirrorscope/packet"
	"mirrorscope/sink/jsonl"
)

// TestMain lets the test binary be the parent of programs that measure runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == ChildArgument {
		if err := Child(os.Args[2:]); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// answered keeps the records of connections whose servers said something, as
// JSON, and counts the others.
type answered struct {
	enc    *jsonl.Encoder
	lines  map[string]int
	others int64
}

func (a *answered) Write(records []*flow.Record) error {
	for _, r := range records {
		if r.Sent[flow.Server].Packets > 0 {
			a.lines[string(a.enc.AppendRecord(nil, r))]++
		} else {
			a.others++
		}
	}
	return nil
}

func (a *answered) Close(*flow.Capture) error { return nil }

// TestFlood: of connections between the SYNs of a flood, for which memory is far
// too small, every record is what it is without the flood, to the last digit.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const (
		memory = 64 << 20
		flows  = 3000 // and 540,000 SYNs
		// Handshakes are half-open for two rounds of the open connections, in
		// which the flood has 18 SYNs for each.
		open = 64
	)
	run := func(kind string) (map[string]int, int64, flow.Capture) {
		f := file(t, workload.Config{Workload: kind, Flows: flows, Open: open})
		a := &answered{lines: map[string]int{}}
		c := replay(t, f, memory, func(names *packet.Names) sink { a.enc = jsonl.NewEncoder(names); return a })
		return a.lines, a.others, c
	}
	alone, none, calm := run("w6w4-part")
	mixed, syns, c := run("w6w4")
	if len(alone) != flows || none != 0 || calm.Evicted != 0 {
		t.Fatalf("alone: %d connections, %d without an answer, %d evicted", len(alone), none, calm.Evicted)
	}
	if !maps.Equal(alone, mixed) {
		differ := 0
		for line := range mixed {
			if alone[line] == 0 {
				if differ++; differ == 1 {
					t.Errorf("only in the flood: %s", line)
				}
			}
		}
		t.Errorf("%d connections in the flood, %d without, %d differ", len(mixed), len(alone), differ)
	}
	if want := int64(flows * 20 * floodShare); syns != want || c.Evicted == 0 || c.Connections != uint64(flows+want) {
		t.Errorf("%d records of SYNs, want %d; %d of %d evicted", syns, want, c.Evicted, c.Connections)
	}
	t.Logf("%d of %d half-open connections evicted", c.Evicted, syns)
}

// liveHeap looks now and then how much of the heap is in use while records come.
type liveHeap struct {
	records int
	most    uint64 // octets
}

func (l *liveHeap) Write(records []*flow.Record) error {
	const every = 1 << 11
	if before := l.records; before/every != (before+len(records))/every {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		l.most = max(l.most, m.HeapAlloc)
	}
	l.records += len(records)
	return nil
}

func (l *liveHeap) Close(*flow.Capture) error { return nil }

// TestFloodRecords: what waits for the output is small, even where one packet ends all
// half-open connections of a table, as it does when others hold too much.
func TestFloodRecords(t *testing.T) {
	const memory = 8 << 20
	f := file(t, workload.Config{Workload: "w6w4", Flows: 700, Open: 64})
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var l liveHeap
	c := replay(t, f, memory, func(*packet.Names) sink { return &l })
	if uint64(l.records) != c.Connections || c.Evicted < c.Connections/2 {
		t.Fatalf("%d records of %d connections, %d evicted", l.records, c.Connections, c.Evicted)
	}
	held := int64(l.most) - int64(before.HeapAlloc)
	t.Logf("%.1f MiB of the heap in use at most", float64(held)/(1<<20))
	if held > memory {
		t.Errorf("%.1f MiB of the heap are in use, at most %d", float64(held)/(1<<20), memory>>20)
	}
}

// floodShare is how many SYNs there are for each other packet.
const floodShare = 9

// TestFloodMemory: a flood takes the memory that it may, and then no more.
func TestFloodMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const memory = 24 << 20
	// What the collector lets lie would be as much as all that is in use.
	const garbage = 25
	t.Setenv("GOGC", strconv.Itoa(garbage))
	sensor := buildSensor(t)
	peak := func(kind string, flows int) int64 {
		f := file(t, workload.Config{Workload: kind, Flows: flows, Open: 64})
		u, out, err := measure(context.Background(), []string{sensor, "replay", "--no-progress", "--shards", "1", "--memory", strconv.Itoa(memory), "--format", "csv", f.Path})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(out, "\n") < 100 {
			t.Fatal("there is no output")
		}
		return u.RSS << 10
	}
	alone, short, long := peak("w6w4-part", 1500), peak("w6w4", 1500), peak("w6w4", 4500)
	t.Logf("without a flood %d MiB, with one %d, with one of three times the length %d", alone>>20, short>>20, long>>20)
	if most := alone + memory*(100+2*garbage)/100; long > most {
		t.Errorf("%d MiB at the peak, at most %d", long>>20, most>>20)
	}
	if long > short*3/2 {
		t.Errorf("a flood three times as long takes %d MiB in place of %d", long>>20, short>>20)
	}
}
