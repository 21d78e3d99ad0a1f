package prom

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"mirrorscope/edge/live"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
)

// serve gives the URL of the metrics of what snapshot tells.
func serve(t testing.TB, c Config, snapshot func() *Snapshot) string {
	t.Helper()
	h, err := New(c, snapshot, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/metrics"
}

func still(s *Snapshot) func() *Snapshot { return func() *Snapshot { return s } }

// scrape reads all families, as Prometheus does: as text, or as protocol
// buffers, which alone have native histograms.
func scrape(t testing.TB, url string, binary bool) map[string]*dto.MetricFamily {
	t.Helper()
	r, _ := http.NewRequest(http.MethodGet, url, nil)
	if binary {
		r.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	format := expfmt.ResponseFormat(res.Header)
	if isBinary := format.FormatType() == expfmt.TypeProtoDelim; res.StatusCode != http.StatusOK || isBinary != binary {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("%s, %s: %s", res.Status, format, body)
	}
	families := map[string]*dto.MetricFamily{}
	for d := expfmt.NewDecoder(res.Body, format); ; {
		f := new(dto.MetricFamily)
		if err := d.Decode(f); err == io.EOF {
			return families
		} else if err != nil {
			t.Fatal(err)
		}
		families[f.GetName()] = f
	}
}

// series writes the families of the sensor as "name{label=value}" → value. A
// histogram is its number of samples.
func series(families map[string]*dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for name, f := range families {
		short, ours := strings.CutPrefix(name, namespace)
		if !ours {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			key := short
			if labels != nil {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			all[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// full is a Snapshot in which everything is known.
func full() *Snapshot {
	c := &flow.Capture{
		Packets: 1000, Bytes: 2000, Decoded: 900, MirrorDuplicates: 1, Truncated: 2, Malformed: 3, Stray: 4, CopiesForgotten: 5, ClockSteps: 6, PayloadShed: 7,
		Unread: 8, Connections: 9, Evicted: 10, Uncompared: 11, First: 1e9, Last: 1_700_000_000_500_000_000,
		Losses:      []flow.Loss{{Place: "nic_dropped", Frames: 12}, {Place: "ring_full", Frames: 0}, {Place: "nic_dropped", Frames: 1}},
		Prefiltered: []flow.Loss{{Place: "not_vni", Frames: 13}},
		Rules:       []flow.Loss{{Place: "deny the scrapers", Frames: 3}},
		Events:      []flow.Loss{{Place: "rebinds", Frames: 2}},
		Points: []flow.PointCapture{
			{Missed: 10, Recorded: 90, Sequence: packet.MirrorSequence{Frames: 5, Lost: 3}, Skipped: &flow.MirrorSkipped{Instance: "i-1", Packets: 4, Bytes: 4000}},
			{Missed: 0, Recorded: 50, Skipped: &flow.MirrorSkipped{Instance: "i-1", Packets: 4, Bytes: 4000}},
			{Skipped: &flow.MirrorSkipped{Instance: "i-2", Packets: -1, Bytes: 0}},
		},
		Inventory: []flow.Inventory{
			{Source: "aws/own/here", Taken: 1e9, Age: 1_500_000_000, Interfaces: 2000, Instances: 1500, Failures: 3, Error: "throttled"},
			{Source: "kubernetes/prod"},
			{Source: "kubernetes/prod", Taken: 1e9},
		},
	}
	c.Skipped[packet.NotIP] = 100
	totals := &Totals{Opened: 20}
	totals.Ended[flow.Closed] = 8
	totals.Ended[flow.OutcomeNone] = 1
	for _, ns := range []int64{500, 1000, 1001, 33_000, 64_000, 64_001, 5_000_000, 90_000_000_000} {
		totals.Handshake.Add(ns)
	}
	totals.RTT[flow.Client].Add(1_000_000)
	port := uint16(443)
	return &Snapshot{
		Version: "1.2.3", Started: time.Unix(1_600_000_000, 0),
		Interfaces: []Interface{{"eth1", "af_packet", "ena", "kernel"}},
		Rings:      []Ring{{"eth1", 0, 0.25, 600, 1200}, {"eth1", 1, 0, 400, 800}},
		Capture:    c, Totals: totals,
		Outputs: []Output{{
			Name: "file", Written: Lines{7, 700}, Dropped: []Dropped{{"queue_full", Lines{1, 100}}, {"write_error", Lines{0, 0}}}, Queued: 10, Queue: 1 << 20, Failing: true,
		}},
		Degradation: Known(1), Sampled: Known(uint16(2)), Open: Known(uint64(11)), TableFill: Known(0.5), Memory: Known(int64(1 << 30)), MemoryUsed: Known(1 << 20),
		Names: &Names{Ambiguous: 3, Sources: []NameSource{
			{Name: "aws/1/eu-central-1", Rank: "cloud", Entries: 10, History: 4, Age: Known(90.5), Changes: 14, Dropped: []NamesDropped{{"no_room", 2}}},
			{Name: "tags.toml", Rank: "static", Entries: 1, Failing: true},
		}},
		IntervalLag: Known(1.5), Reload: &Reload{true, time.Unix(1_650_000_000, 0)},
		Top: &live.Top{
			Start: 0, End: 60e9, Conversations: 2,
			Rows: []live.Row{
				{
					Network: "default", Protocol: "udp", Client: live.End{IP: "10.0.0.1"}, Server: live.End{IP: "10.0.0.3"},
					Connections: 1, ClientSent: live.Volume{Packets: 1, Bytes: 100},
				},
				{
					Network: "default", Protocol: "tcp", Client: live.End{IP: "10.0.0.1"}, Server: live.End{IP: "10.0.0.2", Port: &port},
					Connections: 3, Opened: 2, Outcomes: map[string]int64{"refused": 1}, ClientSent: live.Volume{Packets: 4, Bytes: 400}, ServerSent: live.Volume{Packets: 5, Bytes: 500},
					Retransmits: &live.Repeats2{Client: &live.Repeats{State: "bounded", Packets: 6}},
					RTT:         &live.RTT{Server: &live.Times{State: "measured", P50: 1_500_000, P95: 2_000_000}},
					Response:    &live.Times{State: "ambiguous", P50: 3_000, P95: 4_000},
				},
			},
		},
	}
}

// Everything that is known has a series, with its value.
func TestSeries(t *testing.T) {
	for _, binary := range []bool{false, true} {
		got := series(scrape(t, serve(t, Config{Conversations: 1}, still(full())), binary))
		want := map[string]float64{
			"build_info{version=1.2.3}": 1, "capture_info{driver=ena,interface=eth1,mode=af_packet,timestamps=kernel}": 1,
			"ring_fill_ratio{interface=eth1,queue=0}": 0.25, "ring_fill_ratio{interface=eth1,queue=1}": 0,
			"ring_packets_total{interface=eth1,queue=0}": 600, "ring_packets_total{interface=eth1,queue=1}": 400,
			"ring_bytes_total{interface=eth1,queue=0}": 1200, "ring_bytes_total{interface=eth1,queue=1}": 800,
			"names_entries{rank=cloud,source=aws/1/eu-central-1}": 10, "names_entries{rank=static,source=tags.toml}": 1,
			"names_history_entries{rank=cloud,source=aws/1/eu-central-1}": 4, "names_history_entries{rank=static,source=tags.toml}": 0,
			"names_age_seconds{rank=cloud,source=aws/1/eu-central-1}": 90.5,
			"names_failing{rank=cloud,source=aws/1/eu-central-1}":     0, "names_failing{rank=static,source=tags.toml}": 1,
			"names_changes_total{rank=cloud,source=aws/1/eu-central-1}": 14, "names_changes_total{rank=static,source=tags.toml}": 0,
			"names_dropped_total{rank=cloud,reason=no_room,source=aws/1/eu-central-1}": 2, "names_ambiguous_total": 3,
			"degradation_step": 1, "sampling_weight": 2, "open_connections": 11, "table_fill_ratio": 0.5, "memory_budget_bytes": 1 << 30, "memory_used_bytes": 1 << 20,
			"interval_lag_seconds": 1.5, "config_last_reload_successful": 1, "config_last_reload_timestamp_seconds": 1_650_000_000,

			"packets_total": 1000, "bytes_total": 2000, "decoded_packets_total": 900, "mirror_duplicates_total": 1, "truncated_packets_total": 2, "malformed_packets_total": 3,
			"stray_packets_total": 4, "forgotten_packets_total": 5, "clock_steps_total": 6, "payload_shed_packets_total": 7, "unread_pieces_total": 8,
			"connections_total": 9, "evicted_connections_total": 10, "uncompared_connections_total": 11, "last_packet_timestamp_seconds": 1_700_000_000.5,
			"lost_packets_total{place=nic_dropped}": 13, "lost_packets_total{place=ring_full}": 0, "lost_packets_total{place=mirror}": 3,
			"prefiltered_packets_total{verdict=not_vni}": 13, "filter_rule_packets_total{rule=deny the scrapers}": 3, "capture_events_total{event=rebinds}": 2,
			"tcp_missed_bytes_total": 10, "tcp_recorded_bytes_total": 140, "observation_points": 3,

			"inventory_age_seconds{source=aws/own/here}": 1.5, "inventory_interfaces{source=aws/own/here}": 2000, "inventory_instances{source=aws/own/here}": 1500,
			"inventory_failing{source=aws/own/here}": 1, "inventory_failed_attempts{source=aws/own/here}": 3,
			"inventory_failing{source=kubernetes/prod}": 0, "inventory_failed_attempts{source=kubernetes/prod}": 0,
			"mirror_skipped_packets_total{instance=i-1}": 4, "mirror_skipped_bytes_total{instance=i-1}": 4000, "mirror_skipped_bytes_total{instance=i-2}": 0,

			"connections_opened_total": 20, "handshake_rtt_us": 8, "rtt_us{side=client}": 1, "rtt_us{side=server}": 0, "tls_handshake_us": 0, "response_us": 0,

			"output_written_lines_total{output=file}": 7, "output_written_bytes_total{output=file}": 700,
			"output_dropped_lines_total{output=file,reason=queue_full}": 1, "output_dropped_lines_total{output=file,reason=write_error}": 0,
			"output_dropped_bytes_total{output=file,reason=queue_full}": 100, "output_dropped_bytes_total{output=file,reason=write_error}": 0,
			"output_queued_bytes{output=file}": 10, "output_queue_bytes{output=file}": 1 << 20, "output_failing{output=file}": 1,

			"conversations": 2, "conversation_window_seconds": 60,
		}
		for why := packet.Held + 1; why < packet.NumSkips; why++ {
			want["skipped_packets_total{reason="+why.String()+"}"] = map[bool]float64{true: 100}[why == packet.NotIP]
		}
		for o := range flow.NumOutcomes {
			want["connections_ended_total{outcome="+o.String()+"}"] = 0
		}
		delete(want, "connections_ended_total{outcome=}")
		want["connections_ended_total{outcome=none}"], want["connections_ended_total{outcome=closed}"] = 1, 8
		talk := func(name, before, after string, v float64) { // labels come sorted
			want["conversation_"+name+"{client=10.0.0.1,network=default,"+before+"port=443,protocol=tcp"+after+"}"] = v
		}
		talk("connections", "", ",server=10.0.0.2", 3)
		talk("connections_opened", "", ",server=10.0.0.2", 2)
		talk("connections_ended", "outcome=refused,", ",server=10.0.0.2", 1)
		talk("sent_packets", "", ",server=10.0.0.2,side=client", 4)
		talk("sent_packets", "", ",server=10.0.0.2,side=server", 5)
		talk("sent_bytes", "", ",server=10.0.0.2,side=client", 400)
		talk("sent_bytes", "", ",server=10.0.0.2,side=server", 500)
		talk("retransmitted_packets", "", ",server=10.0.0.2,side=client,state=bounded", 6)
		talk("rtt_p50_us", "", ",server=10.0.0.2,side=server,state=measured", 1500)
		talk("rtt_p95_us", "", ",server=10.0.0.2,side=server,state=measured", 2000)
		talk("response_p50_us", "", ",server=10.0.0.2,state=ambiguous", 3)
		talk("response_p95_us", "", ",server=10.0.0.2,state=ambiguous", 4)
		for key, v := range want {
			if g, ok := got[key]; !ok || g != v {
				t.Errorf("binary %v: %s = %v (there: %v), want %v", binary, key, g, ok, v)
			}
			delete(got, key)
		}
		for key, v := range got {
			t.Errorf("binary %v: %s = %v is not expected", binary, key, v)
		}
	}
}

// What is not known has no series.
func TestUnknown(t *testing.T) {
	got := series(scrape(t, serve(t, Config{Conversations: 5}, still(&Snapshot{Version: "x"})), true))
	if len(got) != 1 || got["build_info{version=x}"] != 1 {
		t.Errorf("got %v, want build_info alone", got)
	}
	if got := series(scrape(t, serve(t, Config{}, still(nil)), true)); len(got) != 0 {
		t.Errorf("got %v before there is a state", got)
	}
	families := scrape(t, serve(t, Config{}, still(nil)), false)
	if families["go_gc_duration_seconds"] == nil || families["process_resident_memory_bytes"] == nil {
		t.Error("the process itself is not shown")
	}

	// A capture of nothing: counts are 0, what nothing tells is not there.
	got = series(scrape(t, serve(t, Config{}, still(&Snapshot{Capture: &flow.Capture{}})), true))
	for key, there := range map[string]bool{
		"packets_total": true, "last_packet_timestamp_seconds": false, "tcp_missed_bytes_total": false, "lost_packets_total{place=mirror}": false, "observation_points": true,
	} {
		if _, ok := got[key]; ok != there {
			t.Errorf("%s: there %v, want %v", key, ok, there)
		}
	}
	if got := series(scrape(t, serve(t, Config{}, still(full())), true)); slices.ContainsFunc(keys(got), func(k string) bool { return strings.HasPrefix(k, "conversation") }) {
		t.Errorf("conversations are shown unasked: %v", got)
	}
}

func keys(m map[string]float64) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	return list
}

// Hostile and countless values neither break a scrape nor make countless
// series.
func TestBound(t *testing.T) {
	s := full()
	names := []string{"\xff\xfe", "a\nb", `"`, "\\", strings.Repeat("é", 1000), "", "nic_dropped"}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		name := names[r.IntN(len(names))]
		if i%2 == 0 {
			name = fmt.Sprintf("%s%d", name, i)
		}
		s.Capture.Losses = append(s.Capture.Losses, flow.Loss{Place: name, Frames: 1})
		s.Capture.Prefiltered = append(s.Capture.Prefiltered, flow.Loss{Place: name, Frames: 1})
		s.Capture.Rules = append(s.Capture.Prefiltered, flow.Loss{Place: name, Frames: 1})
		s.Capture.Events = append(s.Capture.Events, flow.Loss{Place: name, Frames: 1})
		s.Interfaces = append(s.Interfaces, Interface{Name: name, Mode: name})
		s.Rings = append(s.Rings, Ring{Interface: name, Queue: i % 7})
		s.Outputs = append(s.Outputs, Output{Name: name, Dropped: []Dropped{{name, Lines{}}, {name, Lines{}}}})
		row := s.Top.Rows[1]
		row.Network, row.Client.IP, row.Protocol = name, name, name
		s.Top.Rows = append(s.Top.Rows, row)
	}
	for _, n := range []int{0, 1, maxConversations} {
		families := scrape(t, serve(t, Config{Conversations: n}, still(s)), n == 1)
		got := series(families)
		// Without conversations: one for each metric and bounded value.
		if most := 12*maxValues + 100 + n*25; len(got) > most {
			t.Errorf("%d conversations: %d series, want at most %d", n, len(got), most)
		}
		if talks := len(families[namespace+"conversation_connections"].GetMetric()); talks != n {
			t.Errorf("%d conversations are shown, want %d", talks, n)
		}
		lost := 0.0
		for _, m := range families[namespace+"lost_packets_total"].GetMetric() {
			lost += m.GetCounter().GetValue()
			if v := m.GetLabel()[0].GetValue(); len(v) > maxLabel || !model.LabelValue(v).IsValid() {
				t.Errorf("label %q", v)
			}
		}
		if want := 13.0 + 3 + 20_000; lost != want {
			t.Errorf("the places of losses add up to %v, want %v", lost, want)
		}
	}
	if err := (&Config{Conversations: maxConversations + 1}).Validate(); err == nil {
		t.Error("more conversations than are shown can be asked for")
	}
	if _, err := New(Config{Conversations: -1}, still(nil), slog.Default()); err == nil {
		t.Error("-1 conversations can be asked for")
	}
}

// The families are as a registry that checks everything wants them.
func TestPedantic(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{cfg: Config{Conversations: 10}, families: newFamilies(), snapshot: still(full())})
	got, err := registry.Gather()
	if err != nil {
		t.Error(err)
	}
	shown := map[string]bool{}
	for _, f := range got {
		shown[f.GetName()] = true
	}
	for _, f := range newFamilies().all {
		name := strings.Split(f.desc.String(), `"`)[1]
		if !shown[name] && !strings.Contains(name, "conversation_tls_handshake_p") && !strings.Contains(name, "conversation_handshake_rtt_p") {
			t.Errorf("%s is never shown", name)
		}
	}
}

// Prometheus' own linter has nothing to say but that microseconds are no base
// unit.
func TestPromtool(t *testing.T) {
	promtool := needs.Tool(t, "promtool")
	res, err := http.Get(serve(t, Config{Conversations: 10}, still(full())))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = res.Body
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() != 3 { // findings
		t.Fatalf("%v: %s", err, out)
	}
	complaints := 0
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "_us ") && strings.Contains(line, "abbreviated unit") {
			complaints++
			continue
		}
		t.Errorf("promtool: %s", line)
	}
	if complaints == 0 {
		t.Error("promtool does not complain of _us: it did not look at the metrics")
	}
}

// Scrapes go along with records that come.
func TestConcurrent(t *testing.T) {
	var tally Tally
	url := serve(t, Config{}, func() *Snapshot { return &Snapshot{Totals: tally.Totals()} })
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		r := flow.Record{Kind: flow.Interval, IntervalStart: 0, IntervalEnd: 10e9}
		for {
			select {
			case <-stop:
				return
			default:
				tally.Add([]*flow.Record{&r, {Kind: flow.Connection, Outcome: flow.Closed}})
				time.Sleep(time.Millisecond)
			}
		}
	})
	last := 0.0
	for range 20 {
		got := series(scrape(t, url, true))
		if n := got["connections_opened_total"]; n < last || n != got["connections_ended_total{outcome=closed}"] {
			t.Errorf("%v opened after %v, %v ended", n, last, got["connections_ended_total{outcome=closed}"])
		} else {
			last = n
		}
	}
	close(stop)
	wg.Wait()
}

func TestKnown(t *testing.T) {
	if v := Known(uint64(math.MaxUint64)); !v.known || v.v != math.MaxUint64 {
		t.Errorf("%+v", v)
	}
	if (Value{}).known {
		t.Error("a Value that nobody set is known")
	}
}
