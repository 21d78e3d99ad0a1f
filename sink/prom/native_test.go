package prom

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/internal/needs"
	"mirrorscope/session"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta/quic"
)

// samples are durations of all sizes, and those next to boundaries.
func samples(n int) []int64 {
	r := rand.New(rand.NewPCG(3, 4))
	list := []int64{0, 1, 999, 1000, 1001, 1999, 2000, 2001, 31_999, 32_000, 32_001, 1 << 50}
	for power := range 26 {
		list = append(list, 1000<<power-1, 1000<<power, 1000<<power+1)
	}
	for range n {
		list = append(list, int64(math.Exp(r.Float64()*30)))
	}
	return list
}

// written gives what Prometheus gets of a histogram.
func written(t *testing.T, h *histogram.Histogram) *dto.Histogram {
	t.Helper()
	var m dto.Metric
	d := duration{desc: prometheus.NewDesc("x", "x", nil, nil), histogram: h, since: time.Unix(1, 0)}
	if err := d.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.Histogram
}

// nativeCounts unpacks a native histogram, as its definition says: bucket i ends
// at base^i with base = 2^(2^-schema).
func nativeCounts(x *dto.Histogram) map[int32]int64 {
	counts := map[int32]int64{}
	index, count, delta := int32(0), int64(0), 0
	for _, span := range x.PositiveSpan {
		index += span.GetOffset()
		for range span.GetLength() {
			count += x.PositiveDelta[delta]
			delta++
			counts[index] = count
			index++
		}
	}
	return counts
}

// Both kinds of buckets hold exactly the samples that lie in them, at every
// scale.
func TestHistogram(t *testing.T) {
	values := samples(3000)
	for scale := histogram.MaxScale; scale >= 0; scale-- {
		var h histogram.Histogram
		sum := 0.0
		for _, ns := range values {
			h.Add(ns)
			sum += float64(ns) / 1000
		}
		h.Downscale(scale)
		x := written(t, &h)
		if x.GetSampleCount() != uint64(len(values)) || math.Abs(x.GetSampleSum()-sum) > sum*1e-9 || x.GetSchema() != int32(scale) {
			t.Errorf("scale %d: count %d, sum %v, schema %d, want %d, %v", scale, x.GetSampleCount(), x.GetSampleSum(), x.GetSchema(), len(values), sum)
		}
		if x.GetCreatedTimestamp().AsTime() != time.Unix(1, 0).UTC() {
			t.Errorf("created %v", x.GetCreatedTimestamp())
		}
		for _, b := range x.Bucket {
			n := uint64(0)
			for _, ns := range values {
				if float64(ns) <= b.GetUpperBound()*1000 {
					n++
				}
			}
			if b.GetCumulativeCount() != n {
				t.Errorf("scale %d: %d samples up to %v µs, want %d", scale, b.GetCumulativeCount(), b.GetUpperBound(), n)
			}
		}
		if first, last := x.Bucket[0].GetUpperBound(), x.Bucket[len(x.Bucket)-1].GetUpperBound(); first != 32 || last != 1<<25 {
			t.Errorf("classic buckets from %v to %v", first, last)
		}
		want := map[int32]int64{}
		zero := uint64(0)
		for _, ns := range values {
			if float64(ns) <= x.GetZeroThreshold()*1000 {
				zero++
				continue
			}
			// The smallest i with value ≤ 2^(i/2^scale) µs; the boundaries that
			// samples fall on are powers of two, exact in floating point.
			i := int32(math.Ceil(math.Ldexp(math.Log2(float64(ns)/1000), scale) - 1e-12))
			want[i]++
		}
		got := nativeCounts(x)
		for i, n := range want {
			if got[i] != n {
				t.Errorf("scale %d: native bucket %d holds %d, want %d", scale, i, got[i], n)
			}
			delete(got, i)
		}
		for i, n := range got {
			if n != 0 {
				t.Errorf("scale %d: native bucket %d holds %d, want none", scale, i, n)
			}
		}
		if x.GetZeroCount() != zero {
			t.Errorf("scale %d: zero bucket %d, want %d", scale, x.GetZeroCount(), zero)
		}
	}
}

// One without samples is a native histogram as well.
func TestEmptyHistogram(t *testing.T) {
	x := written(t, new(histogram.Histogram))
	if x.GetSampleCount() != 0 || x.GetZeroThreshold() == 0 || x.Schema == nil || len(x.Bucket) == 0 {
		t.Errorf("%v", x)
	}
}

// Totals are what the records tell, and only what was measured.
func TestTally(t *testing.T) {
	interval := func(start int64, change func(*flow.Record)) flow.Record {
		r := flow.Record{Kind: flow.Interval, Start: start, IntervalStart: 10e9, IntervalEnd: 20e9}
		change(&r)
		return r
	}
	tls := func(s tcp.State, total int64) session.Report {
		return session.Report{TLS: &session.TLS{Handshake: session.Handshake{State: s, Total: total}}}
	}
	quicOf := func(h quic.Handshake) session.Report { return session.Report{QUIC: &session.QUIC{Handshake: h}} }
	records := sinktest.Lend([]flow.Record{
		interval(10e9, func(r *flow.Record) {
			r.HasHandshake, r.Handshake = true, tcp.Handshake{State: tcp.Measured, RTT: 5000}
			r.HasTCP = true
			r.TCP.Response.State = tcp.Measured
			r.Distributions = &tcp.Distributions{RTT: [2]*histogram.Histogram{dist(1000, 2000), nil}, Think: dist(7000)}
			r.Report = tls(tcp.Measured, 9000)
		}),
		interval(9e9, func(r *flow.Record) { // began before
			r.HasHandshake, r.Handshake = true, tcp.Handshake{State: tcp.Bounded, RTT: 5000}
			r.HasTCP = true
			r.TCP.Response.State = tcp.Bounded
			r.Distributions = &tcp.Distributions{RTT: [2]*histogram.Histogram{nil, dist(3000)}, Delayed: [2]*histogram.Histogram{dist(4000), nil}, Think: dist(8000)}
			r.Report = tls(tcp.Bounded, 9000)
		}),
		interval(20e9-1, func(r *flow.Record) {
			r.HasHandshake, r.Handshake = true, tcp.Handshake{State: tcp.Measured, RTT: tcp.Absent}
			r.Report = tls(tcp.Measured, tcp.Absent)
		}),
		{Kind: flow.Connection, Outcome: flow.Refused, HasHandshake: true, Handshake: tcp.Handshake{State: tcp.Measured, RTT: 5000}, Report: tls(tcp.Measured, 9000)},
		{Kind: flow.Connection, Report: quicOf(quic.Handshake{Total: 11_000})},
		{Kind: flow.Connection, Report: quicOf(quic.Handshake{Total: 11_000, Bounded: true})},
		{Kind: flow.Connection, Report: quicOf(quic.Handshake{Total: 11_000, Ambiguous: true})},
		{Kind: flow.Connection, Report: quicOf(quic.Handshake{Total: tcp.Absent})},
	}...)
	checkTally(t, records)
	records[0].Distributions, records[1].Distributions = nil, nil
	for what, ns := range map[tcp.Timed][]int64{tcp.TimedRTT: {2000, 1000}, tcp.TimedThink: {7000}} {
		for _, ns := range ns {
			records[0].Samples.Add(what, ns)
		}
	}
	records[1].Samples.Add(tcp.TimedDelayed, 4000)
	records[1].Samples.Add(tcp.TimedThink, 8000)
	records[1].Samples.Add(tcp.TimedRTT+2, 3000)
	checkTally(t, records)
}

func dist(ns ...int64) *histogram.Histogram {
	h := new(histogram.Histogram)
	for _, v := range ns {
		h.Add(v)
	}
	return h
}

func checkTally(t *testing.T, records []*flow.Record) {
	t.Helper()
	var tally Tally
	tally.Add(records)
	x := tally.Totals()
	if x.Opened != 2 || x.Ended[flow.Refused] != 1 || x.Ended[flow.OutcomeNone] != 4 {
		t.Errorf("opened %d, ended %v", x.Opened, x.Ended)
	}
	for name, h := range map[string]struct {
		got  *histogram.Histogram
		want []int64
	}{
		"handshake": {&x.Handshake, []int64{5000}}, "rtt of the client": {&x.RTT[flow.Client], []int64{1000, 2000}}, "rtt of the server": {&x.RTT[flow.Server], []int64{3000}},
		"tls": {&x.TLS, []int64{9000, 11_000}}, "response": {&x.Response, []int64{7000}},
	} {
		if want := dist(h.want...); h.got.Count() != want.Count() || h.got.Sum() != want.Sum() || fmt.Sprint(h.got.Buckets()) != fmt.Sprint(want.Buckets()) {
			t.Errorf("%s: %d samples, sum %d, want %v", name, h.got.Count(), h.got.Sum(), h.want)
		}
	}
	x.Handshake.Add(1) // a copy shares nothing
	if again := tally.Totals(); again.Handshake.Count() != 1 {
		t.Error("Totals gives away what it goes on counting in")
	}
}

// Prometheus itself scrapes the native histograms and gives the quantiles that
// we give, as far as its interpolation allows, and keeps classic ones beside
// them.
func TestPrometheus(t *testing.T) {
	binary := needs.Tool(t, "prometheus")
	totals := new(Totals)
	for _, ns := range samples(5000) {
		totals.Response.Add(ns)
	}
	target, err := url.Parse(serve(t, Config{}, still(&Snapshot{Version: "1", Totals: totals})))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := "global: {scrape_interval: 100ms}\nscrape_configs: [{job_name: sensor, static_configs: [{targets: ['" + target.Host + "']}]}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	cmd := exec.Command(binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at,
		"--enable-feature=native-histograms", "--log.level=error")
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()

	ask := func(query string) (float64, bool) {
		res, err := http.Get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(query))
		if err != nil {
			return 0, false
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if json.Unmarshal(body, &answer) != nil || len(answer.Data.Result) != 1 {
			return 0, false
		}
		text, _ := answer.Data.Result[0].Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		return v, err == nil
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, ok := ask("histogram_count(mirrorscope_response_us)"); ok {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("Prometheus has no native histogram: %s", out)
		}
	}
	if n, _ := ask("histogram_count(mirrorscope_response_us)"); n != float64(totals.Response.Count()) {
		t.Errorf("Prometheus counts %v samples, want %d", n, totals.Response.Count())
	}
	if sum, _ := ask("histogram_sum(mirrorscope_response_us)"); math.Abs(sum*1000/float64(totals.Response.Sum())-1) > 1e-9 {
		t.Errorf("Prometheus sums up to %v µs, want %v", sum, float64(totals.Response.Sum())/1000)
	}
	for _, q := range []float64{0.5, 0.9, 0.99} {
		got, ok := ask(fmt.Sprintf("histogram_quantile(%v, mirrorscope_response_us)", q))
		want, _ := totals.Response.Quantile(q)
		if want /= 1000; !ok || math.Abs(got/want-1) > 0.03 { // a bucket is 2.2 % wide
			t.Errorf("Prometheus: quantile %v is %v µs (%v), want %v", q, got, ok, want)
		}
	}
}
