package table

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"mirrorscope/edge"
	"mirrorscope/edge/group"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/internal/golden"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tcp"
)

func renderGroups(t *testing.T, c Config, g group.Config, cut int64, records []flow.Record) string {
	t.Helper()
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	names := sinktest.Sample()
	w := NewGroups(&out, names, c, cut, func(emit func(*group.Window)) *group.Table {
		return group.New(g, enrich.New(enrich.DefaultConfig()).NewNamer(names), func(uint8) string { return "any" }, emit)
	})
	if err := w.Write(sinktest.Lend(records...)); err != nil {
		t.Fatal(err)
	}
	x := healthy()
	if err := w.Close(&x); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func groupBy(keys ...string) group.Config {
	c := group.DefaultConfig()
	c.GroupBy = keys
	return c
}

// inHalves are connections whose responses and errors become more in the second half
// of two minutes, as interval records. It gives the time between.
func inHalves() (records []flow.Record, cut int64) {
	length := int64(10e9)
	begin := sinktest.TCP().Start/60e9*60e9 + 60e9
	cut = begin + 60e9
	for step := range int64(12) {
		at := begin + step*length
		for edge := range 3 {
			r := sinktest.TCP()
			r.Kind, r.Network, r.Start, r.End, r.IntervalStart, r.IntervalEnd, r.Release = flow.Interval, 0, at+1e9, at+9e9, at, at+length, at+length
			r.ID, r.TLS, r.HTTP, r.DNS, r.Outcome, r.EndReason = uint64(step*10)+uint64(edge)+1, nil, nil, nil, flow.OutcomeNone, flow.EndNone
			r.Ends[flow.Client].Port = uint16(20_000 + 10*step + int64(edge))
			r.Ends[flow.Server].Port = []uint16{443, 5432, 6379}[edge]
			think := []int64{12e6, 3e6, 200e3}[edge]
			if edge == 0 && at >= cut {
				think = 180e6
			}
			if edge == 2 && at >= cut {
				continue // it has gone
			}
			few := new(tcp.Distributions)
			few.Think = histogramOf(think, 30)
			r.Distributions, r.Samples = few, tcp.Samples{}
			r.TCP.Response = tcp.Response{State: tcp.Measured, Turns: 30, Measured: 30}
			whole := r
			whole.Kind, whole.Outcome, whole.EndReason, whole.Distributions = flow.Connection, flow.Closed, flow.EndOfFlow, nil
			if edge == 0 && at >= cut && step%2 == 0 {
				whole.Outcome, whole.ResetBy, whole.ResetAfterFIN = flow.Reset, flow.Server, false
			}
			whole.Release = at + length - 5e8
			records = append(records, whole, r)
		}
	}
	return records, cut
}

func TestGroupsGolden(t *testing.T) {
	halves, cut := inHalves()
	intervals := groupBy("client.ip", "server.port")
	intervals.Interval, intervals.Window = 10*time.Second, 60*time.Second
	compared := groupBy("client.ip", "server.port", "network")
	compared.Interval, compared.Cuts = 10*time.Second, []int64{cut}
	few := groupBy("client.port", "server.ip")
	few.Rows = 3
	for _, tc := range []struct {
		name    string
		config  Config
		group   group.Config
		cut     int64
		records []flow.Record
	}{
		{"groups", Config{Limit: 20}, groupBy("client.ip", "server.ip", "server.port", "protocol"), 0, shop()},
		{"groups-narrow", Config{Limit: 3, Width: 80}, groupBy("client.ip", "server.service"), 0, shop()},
		{"groups-one-side", Config{Limit: 5, Sort: edge.ByErrors}, groupBy("server.port"), 0, shop()},
		{"groups-record", Config{}, groupBy("network", "ip_version"), 0, shop()},
		{"groups-other", Config{}, few, 0, shop()},
		{"groups-intervals", Config{}, intervals, 0, halves},
		{"groups-since", Config{}, compared, cut, halves},
		{"groups-since-narrow", Config{Width: 100, Limit: 1}, compared, cut, halves},
		{"groups-none", Config{}, groupBy("network"), 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			golden.Equal(t, filepath.Join("testdata", tc.name+".txt"), []byte(renderGroups(t, tc.config, tc.group, tc.cut, tc.records)))
		})
	}
}

// Whatever is in the records, a line is no wider than the terminal and safe for it.
func TestGroupsStayText(t *testing.T) {
	var records []flow.Record
	for seed := range uint64(100) {
		if r := sinktest.Random(seed, sinktest.Hostile); r.Kind == flow.Connection {
			r.Joined = false
			records = append(records, r)
		}
	}
	for _, cells := range []int{0, 20, 60, 120} {
		for _, keys := range [][]string{{"client.ip", "sni"}, {"observation_point", "server.service"}} {
			out := renderGroups(t, Config{Width: cells}, groupBy(keys...), 0, records)
			for line := range strings.Lines(out) {
				line = strings.TrimSuffix(line, "\n")
				if cells > 0 && width.StringWidth(line) > cells {
					t.Errorf("%d cells: %q", cells, line)
				}
				if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q is not safe for a terminal", line)
				}
			}
		}
	}
}

func TestChanged(t *testing.T) {
	for _, tc := range []struct {
		now, before float64
		want        string
	}{
		{100, 100, "same"}, {112, 100, "+12 %"}, {88, 100, "−12 %"}, {340, 100, "×3.40"}, {25, 100, "÷4.00"}, {199, 100, "+99 %"}, {100.2, 100, "same"},
	} {
		if got := changed(tc.now, tc.before); got != tc.want {
			t.Errorf("from %v to %v: %s, want %s", tc.before, tc.now, got, tc.want)
		}
	}
}

func histogramOf(ns int64, n int) *histogram.Histogram {
	h := new(histogram.Histogram)
	for i := range n {
		h.Add(ns + ns*int64(i)/100)
	}
	return h
}
