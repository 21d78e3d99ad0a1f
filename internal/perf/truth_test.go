package perf

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/pcapgen"
	"mirrorscope/internal/pcapgen/workload"
	"mirrorscope/packet"
	"mirrorscope/sink/jsonl"
	"mirrorscope/sink/table"
)

// TestRecords: the sensor's records of each workload are the truth, by both ways
// of reading them, and any figure that is not is found.
func TestRecords(t *testing.T) {
	for _, c := range []workload.Config{
		{Workload: "w1", Flows: 300}, {Workload: "w2", Flows: 20, Packets: 40_000}, {Workload: "w3", Flows: 300},
		{Workload: "w4", Flows: 60}, {Workload: "w5", Flows: 500}, {Workload: "w6", Flows: 500},
	} {
		t.Run(c.Workload, func(t *testing.T) {
			f := file(t, c)
			var lines, text bytes.Buffer
			replay(t, f, 0, func(names *packet.Names) sink { return jsonl.New(&lines, names) })
			replay(t, f, 0, func(names *packet.Names) sink { return table.New(&text, names, table.Config{Limit: 20}) })
			sum, err := Records(bytes.NewReader(lines.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if wrong := sum.Wrong(f.Truth); len(wrong) > 0 {
				t.Fatalf("the records are not the truth: %q", wrong)
			}
			for l := range bytes.Lines(lines.Bytes()) {
				if bytes.HasPrefix(l, []byte(`{"type":"connection"`)) {
					if whole, err := parse(l); err != nil || scan(l) != whole {
						t.Fatalf("%s\nwas read as %+v, and is %+v, %v", l, scan(l), whole, err)
					}
				}
			}
			for i, spoil := range []func(*workload.Truth){
				func(t *workload.Truth) { t.Packets++ },
				func(t *workload.Truth) { t.Flows-- },
				func(t *workload.Truth) { t.ClientSent.Bytes++ },
				func(t *workload.Truth) { t.ServerSent.PayloadBytes-- },
				func(t *workload.Truth) { t.Outcomes = map[string]int64{"reset": t.Flows} },
				func(t *workload.Truth) { t.Retransmits = map[string]pcapgen.Retransmits{"server": {LostAfter: 1e9}} },
				func(t *workload.Truth) { t.TLS = map[string]int64{"1.1": 1} },
			} {
				other := *f.Truth
				spoil(&other)
				if len(sum.Wrong(&other)) != 1 && i != 0 && i != 1 { // two places tell packets and flows
					t.Errorf("spoiled truth %d: %q", i, sum.Wrong(&other))
				}
				if len(sum.Wrong(&other)) == 0 {
					t.Errorf("spoiled truth %d is not found", i)
				}
			}
			if err := summary(text.String(), f.Truth); err != nil {
				t.Error(err)
			}
			other := *f.Truth
			other.Flows++
			if summary(text.String(), &other) == nil || summary("", f.Truth) == nil {
				t.Error("a table that says something else is not found")
			}
		})
	}
	for _, broken := range []string{"", "{\"type\":\"connection\",\"x\":", "{\"type\":\"connection\",}\n"} {
		if _, err := Records(strings.NewReader(broken)); err == nil {
			t.Errorf("%q is no error", broken)
		}
	}
}

// TestCache: a workload is made once, and anew when it is another's.
func TestCache(t *testing.T) {
	made := 0
	c := Cache{Dir: t.TempDir(), Seed: 3, Log: func(string, ...any) { made++ }}
	config := workload.Config{Workload: "w1", Flows: 50}
	first, err := c.File(config)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.File(config)
	if err != nil || again.Path != first.Path || made != 1 {
		t.Errorf("%v, %v, made %d times", again, err, made)
	}
	c.Seed++
	if other, err := c.File(config); err != nil || other.Path == first.Path || made != 2 {
		t.Errorf("another seed gives %v, %v", other, err)
	}
	part, err := cut(first, 100, first.Path+".part")
	if err != nil || part.Packets != 100 {
		t.Fatal(part, err)
	}
	if _, n := counts(t, part.Path); n != 100 {
		t.Errorf("%d packets in a part of 100", n)
	}
	if whole, err := cut(first, 1000, "nowhere"); err != nil || whole.Path != first.Path {
		t.Errorf("the part that is the whole: %v, %v", whole, err)
	}
}

// counts gives the flows and packets of a file.
func counts(t *testing.T, path string) (flows, packets int64) {
	t.Helper()
	f := File{Path: path, Truth: &workload.Truth{}}
	c := replay(t, f, 0, func(*packet.Names) sink { return dropped{} })
	return int64(c.Connections), int64(c.Packets)
}

// TestPage looks that what was found stands there.
func TestPage(t *testing.T) {
	row := Row{Target: Targets[0], Checked: true, File: File{Packets: 1200, Truth: &workload.Truth{Flows: 100}, Size: 3 << 20}}
	for i, p := range Programs("sensor", "floor") {
		r := Result{Program: p, Packets: 1200}
		if i < 4 {
			for n := range 3 {
				r.Usage = append(r.Usage, Usage{User: time.Duration(i+1) * time.Millisecond, System: time.Duration(n) * time.Microsecond, RSS: 2048})
			}
		} else {
			r.Why = "not installed"
		}
		row.Results = append(row.Results, r)
	}
	row.Pairs = []Pair{{3 * time.Second, 2 * time.Second, 4 * time.Second}, {4 * time.Second, 2 * time.Second, 5 * time.Second}, {2 * time.Second, 2 * time.Second, 2 * time.Second}}
	report := Report{Config: Config{Scale: 1, Runs: 3}, Rows: []Row{row}, JSONNanos: 600, Notes: []string{"a note"}}
	var page strings.Builder
	report.Page(&page, "a machine", []string{"tool 1.0"})
	for _, want := range []string{
		"| W1 | **1.20** | 0.60 | 5 | 8 | 0.33 | 1.25 | 0.25 | 2 | 80 | true |", "| argus | | | | not installed |", "**600 ns**",
		"| W1 | 3 | 3.00 | 2.00 | **1.50** | 1.00 | 2.00 | 4.00 | 1.60 |", "a machine", "tool 1.0", "> a note", "1,200 packets, 100 connections, 3 MiB",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	report.Rows[0].Wrong = []string{"records 1, and not 2"}
	page.Reset()
	report.Page(&page, "", nil)
	if !strings.Contains(page.String(), "does not count: records 1, and not 2") {
		t.Error("the page does not say that a row does not count")
	}
}
