package jsonl

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/sink"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tcp"
)

// expectedTCP gives what must be at each path of the groups of TCP.
func expectedTCP(r *flow.Record, us func(int64) any) map[string]any {
	want := map[string]any{}
	if !r.HasTCP {
		for _, group := range []string{"rtt", "retransmits", "out_of_order", "network_duplicates", "keep_alives", "zero_window", "window_full_us", "response", "capture.missed_bytes"} {
			want[group] = nil
		}
		return want
	}
	signed := func(ns int64) any {
		if ns < 0 {
			return "-" + us(-ns).(string)
		}
		return us(ns)
	}
	whole := r.Kind == flow.Connection
	quantile := func(known bool, ns float64) any {
		if !known || !whole {
			return nil
		}
		return us(int64(ns + 0.5))
	}
	reasons := func(s tcp.State, r tcp.Reasons) any {
		if s == tcp.Measured {
			return nil
		}
		words := make([]any, 0)
		for _, name := range r.Append(nil) {
			words = append(words, name)
		}
		return fmt.Sprint(words...)
	}
	for side := flow.Client; side <= flow.Server; side++ {
		s := &r.TCP.Sides[side]
		put := func(group, field string, known bool, v any) {
			if !known {
				v = nil
			}
			want[strings.TrimSuffix(group+"."+side.String()+"."+field, ".")] = v
		}
		x := &s.RTT
		known := x.State != tcp.Unknown
		put("rtt", "state", true, x.State)
		put("rtt", "reasons", true, reasons(x.State, x.Reasons))
		put("rtt", "min_us", known && whole, us(x.Min))
		put("rtt", "p50_us", true, quantile(known, x.P50))
		put("rtt", "p90_us", true, quantile(known, x.P90))
		put("rtt", "p99_us", true, quantile(known, x.P99))
		put("rtt", "samples", true, x.Clean)
		put("rtt", "maybe_delayed", true, x.Maybe)
		put("rtt", "source", known && whole, map[bool]string{false: "ack", true: "timestamps"}[x.Stamps])

		y := &s.Retransmits
		known = !whole || y.State != tcp.Unknown
		put("retransmits", "state", true, y.State)
		put("retransmits", "reasons", true, reasons(y.State, y.Reasons))
		for field, n := range map[string]int64{
			"packets": y.Packets, "segments": y.Segments, "bytes": y.Bytes, "spurious_packets": y.SpuriousPackets, "spurious_bytes": y.SpuriousBytes,
			"lost_before_packets": y.LostBefore, "lost_after_packets": y.LostAfter, "unlocated_packets": y.Unlocated, "inferred_packets": y.Inferred,
			"dsack_unmatched": y.DSACKUnmatched,
		} {
			put("retransmits", field, known, n)
		}
		for c, n := range y.ByClass {
			put("retransmits", "by_class."+tcp.Class(c).String(), known && n != 0, n)
		}
		put("out_of_order", "packets", known, s.OutOfOrder.Packets)
		put("out_of_order", "max_extent", known && whole && s.OutOfOrder.Packets > 0, s.OutOfOrder.MaxExtent)
		put("out_of_order", "max_late_us", known && whole && s.OutOfOrder.Packets > 0, us(s.OutOfOrder.MaxLate))
		put("network_duplicates", "", known, s.NetworkDuplicates)
		put("keep_alives", "", known, s.KeepAlives)
		put("zero_window", "episodes", known, s.ZeroWindow.Episodes)
		put("zero_window", "probes", known, s.ZeroWindow.Probes)
		put("zero_window", "time_us", known, signed(s.ZeroWindow.Time))
		put("window_full_us", "", known && r.Options[0].Known && r.Options[1].Known, signed(s.WindowFull))
		put("capture.missed_bytes", "", known, s.Missed)
	}
	x := &r.TCP.Response
	known := x.State != tcp.Unknown
	want["response.state"], want["response.reasons"] = x.State, reasons(x.State, x.Reasons)
	want["response.turns"], want["response.samples"] = x.Turns, x.Measured
	want["response.p50_us"], want["response.p90_us"] = quantile(known, x.P50), quantile(known, x.P90)
	want["response.min_us"], want["response.max_us"] = nil, nil
	if known && whole {
		want["response.min_us"], want["response.max_us"] = us(x.Min), us(x.Max)
	}
	return want
}

// What is written at once for a connection without trouble is what would be
// written piece by piece.
func TestShortCuts(t *testing.T) {
	for _, kind := range []flow.Kind{flow.Connection, flow.Interval} {
		r := sinktest.TCP()
		r.Kind = kind
		for i := range r.TCP.Sides {
			r.TCP.Sides[i] = tcp.Side{Retransmits: tcp.Retransmits{State: tcp.Measured}}
		}
		if !calm(&r) || !none(&r.TCP.Sides[0].Retransmits) {
			t.Fatal("a connection without anything is not calm")
		}
		if got := string(appendTrouble(nil, &r)); got != noTrouble {
			t.Errorf("kind %d:\ngot  %s\nwant %s", kind, got, noTrouble)
		}
		e := NewEncoder(sinktest.Sample())
		short := e.retransmits(nil, &r, flow.Client)
		r.TCP.Sides[flow.Client].Retransmits.Packets = 1 // the long way
		long := strings.Replace(string(e.retransmits(nil, &r, flow.Client)), `"packets":1`, `"packets":0`, 1)
		if string(short) != long {
			t.Errorf("kind %d:\nshort %s\nlong  %s", kind, short, long)
		}
	}
}

// A single count that is not 0 leads to the long way.
func TestCalmSeesEveryCount(t *testing.T) {
	for side := range 2 {
		for name, set := range map[string]func(*tcp.Side){
			"out of order": func(s *tcp.Side) { s.OutOfOrder.Packets = 1 }, "network duplicates": func(s *tcp.Side) { s.NetworkDuplicates = -1 },
			"keep-alives": func(s *tcp.Side) { s.KeepAlives = 1 }, "episodes": func(s *tcp.Side) { s.ZeroWindow.Episodes = 1 },
			"zero window": func(s *tcp.Side) { s.ZeroWindow.Time = 1 }, "probes": func(s *tcp.Side) { s.ZeroWindow.Probes = 1 },
			"window full": func(s *tcp.Side) { s.WindowFull = -1 }, "unknown": func(s *tcp.Side) { s.Retransmits.State = tcp.Unknown },
		} {
			r := sinktest.TCP()
			r.TCP.Sides[0] = tcp.Side{Retransmits: tcp.Retransmits{State: tcp.Measured}}
			r.TCP.Sides[1] = r.TCP.Sides[0]
			set(&r.TCP.Sides[side])
			if calm(&r) {
				t.Errorf("side %d: %s is not seen", side, name)
			}
		}
	}
	var x tcp.Retransmits
	for i, n := range []*int64{
		&x.Packets, &x.Segments, &x.Bytes, &x.SpuriousPackets, &x.SpuriousBytes, &x.LostBefore, &x.LostAfter, &x.Unlocated, &x.Inferred, &x.DSACKUnmatched,
		&x.ByClass[0], &x.ByClass[tcp.NumClasses-1],
	} {
		if *n = -1; none(&x) {
			t.Errorf("count %d of retransmits is not seen", i)
		}
		*n = 0
	}
}

func TestDistribution(t *testing.T) {
	r := sinktest.Interval()
	e := NewEncoder(sinktest.Sample())
	text := e.AppendRecord(nil, &r)
	few := r
	few.Samples, few.Distributions = sinktest.Samples(), nil
	for range 2 {
		if got := e.AppendRecord(nil, &few); string(got) != string(text) {
			t.Errorf("of samples\n%s, of their distributions\n%s", got, text)
		}
	}
	o := decode(t, text)
	for path, h := range map[string]interface {
		Count() uint64
		Sum() int64
		Min() int64
		Max() int64
	}{
		"rtt.client.distribution": r.Distributions.RTT[0], "rtt.server.distribution": r.Distributions.RTT[1],
		"rtt.client.distribution_maybe_delayed": r.Distributions.Delayed[0], "response.distribution": r.Distributions.Think,
	} {
		sum := int64(0)
		buckets, _ := o.at(path + ".buckets").([]any)
		last := int64(-1 << 31)
		for _, b := range buckets {
			pair := b.([]any)
			i, _ := pair[0].(json.Number).Int64()
			n, _ := pair[1].(json.Number).Int64()
			if sum += n; i <= last {
				t.Errorf("%s: bucket %d after %d", path, i, last)
			}
			last = i
		}
		zero, _ := o.at(path + ".zero").(json.Number).Int64()
		if uint64(sum+zero) != h.Count() || fmt.Sprint(o.at(path+".count")) != fmt.Sprint(h.Count()) {
			t.Errorf("%s: %d in buckets and %d below 1 µs, count %v, want %d", path, sum, zero, o.at(path+".count"), h.Count())
		}
		for field, ns := range map[string]int64{"sum_us": h.Sum(), "min_us": h.Min(), "max_us": h.Max()} {
			if got, want := fmt.Sprint(o.at(path+"."+field)), string(sink.AppendMicros(nil, uint64(ns))); got != want {
				t.Errorf("%s.%s = %s, want %s", path, field, got, want)
			}
		}
	}
	if o.at("rtt.server.distribution_maybe_delayed") != nil {
		t.Error("an empty distribution is there")
	}
	r.Kind = flow.Connection
	o = decode(t, NewEncoder(sinktest.Sample()).AppendRecord(nil, &r))
	if o.at("rtt.client.distribution") != nil || o.at("response.distribution") != nil {
		t.Error("a connection has distributions: it has quantiles")
	}
}
