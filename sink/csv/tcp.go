package csv

import (
	"slices"

	"mirrorscope/flow"
	"mirrorscope/sink"
	"mirrorscope/tcp"
)

// tcpColumns are what TCP's sequence numbers, acknowledgments and windows give.
var tcpColumns = slices.Concat(
	rttColumns(flow.Client), rttColumns(flow.Server),
	retransmitColumns(flow.Client), retransmitColumns(flow.Server),
	lateColumns(flow.Client), lateColumns(flow.Server),
	bothSides("network_duplicates", func(s *tcp.Side) int64 { return s.NetworkDuplicates }),
	bothSides("keep_alives", func(s *tcp.Side) int64 { return s.KeepAlives }),
	zeroWindowColumns(flow.Client), zeroWindowColumns(flow.Server),
	windowFullColumns(),
)

// responseColumns are the server's think time.
var responseColumns = func() []column {
	response := func(r *row) *tcp.Response { return &r.TCP.Response }
	known := func(r *row) bool { return response(r).State != tcp.Unknown }
	return []column{
		{"response_state", func(dst []byte, r *row) []byte { return append(dst, response(r).State.String()...) }},
		{"response_reasons", func(dst []byte, r *row) []byte { return appendReasons(dst, response(r).State, response(r).Reasons) }},
		number("response_turns", func(r *row) int64 { return response(r).Turns }),
		number("response_samples", func(r *row) int64 { return response(r).Measured }),
		when(known, micros("response_min_us", func(r *row) int64 { return response(r).Min })),
		when(known, quantile("response_p50_us", func(r *row) float64 { return response(r).P50 })),
		when(known, quantile("response_p90_us", func(r *row) float64 { return response(r).P90 })),
		when(known, micros("response_max_us", func(r *row) int64 { return response(r).Max })),
	}
}()

func hasTCP(r *row) bool { return r.HasTCP }

func rttColumns(side flow.Side) []column {
	name := "rtt_" + side.String() + "_"
	rtt := func(r *row) *tcp.RTT { return &r.TCP.Sides[side].RTT }
	known := func(r *row) bool { return r.HasTCP && rtt(r).State != tcp.Unknown }
	return []column{
		when(hasTCP, column{name + "state", func(dst []byte, r *row) []byte { return append(dst, rtt(r).State.String()...) }}),
		when(hasTCP, column{name + "reasons", func(dst []byte, r *row) []byte { return appendReasons(dst, rtt(r).State, rtt(r).Reasons) }}),
		when(known, micros(name+"min_us", func(r *row) int64 { return rtt(r).Min })),
		when(known, quantile(name+"p50_us", func(r *row) float64 { return rtt(r).P50 })),
		when(known, quantile(name+"p90_us", func(r *row) float64 { return rtt(r).P90 })),
		when(known, quantile(name+"p99_us", func(r *row) float64 { return rtt(r).P99 })),
		when(hasTCP, number(name+"samples", func(r *row) int64 { return rtt(r).Clean })),
		when(hasTCP, number(name+"maybe_delayed", func(r *row) int64 { return rtt(r).Maybe })),
		when(known, column{name + "source", func(dst []byte, r *row) []byte { return append(dst, rtt(r).Source()...) }}),
	}
}

func retransmitColumns(side flow.Side) []column {
	name := "retransmits_" + side.String() + "_"
	of := func(r *row) *tcp.Retransmits { return &r.TCP.Sides[side].Retransmits }
	columns := []column{
		when(hasTCP, column{name + "state", func(dst []byte, r *row) []byte { return append(dst, of(r).State.String()...) }}),
		when(hasTCP, column{name + "reasons", func(dst []byte, r *row) []byte { return appendReasons(dst, of(r).State, of(r).Reasons) }}),
	}
	for _, c := range []struct {
		name string
		get  func(*tcp.Retransmits) int64
	}{
		{"packets", func(x *tcp.Retransmits) int64 { return x.Packets }},
		{"segments", func(x *tcp.Retransmits) int64 { return x.Segments }},
		{"bytes", func(x *tcp.Retransmits) int64 { return x.Bytes }},
		{"spurious_packets", func(x *tcp.Retransmits) int64 { return x.SpuriousPackets }},
		{"spurious_bytes", func(x *tcp.Retransmits) int64 { return x.SpuriousBytes }},
		{"lost_before_packets", func(x *tcp.Retransmits) int64 { return x.LostBefore }},
		{"lost_after_packets", func(x *tcp.Retransmits) int64 { return x.LostAfter }},
		{"unlocated_packets", func(x *tcp.Retransmits) int64 { return x.Unlocated }},
		{"inferred_packets", func(x *tcp.Retransmits) int64 { return x.Inferred }},
		{"dsack_unmatched", func(x *tcp.Retransmits) int64 { return x.DSACKUnmatched }},
	} {
		columns = append(columns, when(sideKnown(side), number(name+c.name, func(r *row) int64 { return c.get(of(r)) })))
	}
	for class := range tcp.NumClasses {
		happened := func(r *row) bool { return sink.SideKnown(r.Record, side) && of(r).ByClass[class] != 0 }
		columns = append(columns, when(happened, number(name+"by_class_"+class.String(), func(r *row) int64 { return of(r).ByClass[class] })))
	}
	return columns
}

func lateColumns(side flow.Side) []column {
	name := "out_of_order_" + side.String() + "_"
	return []column{
		when(sideKnown(side), number(name+"packets", func(r *row) int64 { return r.TCP.Sides[side].OutOfOrder.Packets })),
		when(anyLate(side), number(name+"max_extent", func(r *row) int64 { return r.TCP.Sides[side].OutOfOrder.MaxExtent })),
		when(anyLate(side), micros(name+"max_late_us", func(r *row) int64 { return r.TCP.Sides[side].OutOfOrder.MaxLate })),
	}
}

func anyLate(side flow.Side) func(*row) bool {
	return func(r *row) bool { return sink.SideKnown(r.Record, side) && r.TCP.Sides[side].OutOfOrder.Packets > 0 }
}

func zeroWindowColumns(side flow.Side) []column {
	name := "zero_window_" + side.String() + "_"
	return []column{
		when(sideKnown(side), number(name+"episodes", func(r *row) int64 { return r.TCP.Sides[side].ZeroWindow.Episodes })),
		when(sideKnown(side), micros(name+"time_us", func(r *row) int64 { return r.TCP.Sides[side].ZeroWindow.Time })),
		when(sideKnown(side), number(name+"probes", func(r *row) int64 { return r.TCP.Sides[side].ZeroWindow.Probes })),
	}
}

func windowFullColumns() []column {
	var columns []column
	for side := flow.Client; side <= flow.Server; side++ {
		known := func(r *row) bool { return sink.SideKnown(r.Record, side) && sink.WindowsKnown(r.Record) }
		columns = append(columns, when(known, micros("window_full_us_"+side.String(), func(r *row) int64 { return r.TCP.Sides[side].WindowFull })))
	}
	return columns
}

// bothSides are a count of the client and the same of the server.
func bothSides(name string, get func(*tcp.Side) int64) []column {
	var columns []column
	for side := flow.Client; side <= flow.Server; side++ {
		columns = append(columns, when(sideKnown(side), number(name+"_"+side.String(), func(r *row) int64 { return get(&r.TCP.Sides[side]) })))
	}
	return columns
}

func sideKnown(side flow.Side) func(*row) bool {
	return func(r *row) bool { return sink.SideKnown(r.Record, side) }
}

// micros is a duration in ns; one that is absent is an empty cell.
func micros(name string, get func(*row) int64) column {
	return column{name, func(dst []byte, r *row) []byte {
		ns := get(r)
		if ns < 0 {
			return dst
		}
		return sink.AppendMicros(dst, uint64(ns))
	}}
}

func quantile(name string, get func(*row) float64) column {
	return column{name, func(dst []byte, r *row) []byte { return sink.AppendMicros(dst, sink.Nanos(get(r))) }}
}

func appendReasons(dst []byte, s tcp.State, r tcp.Reasons) []byte {
	if s == tcp.Measured {
		return dst
	}
	var names [32]string
	for i, name := range r.Append(names[:0]) {
		dst = append(separate(dst, i > 0), name...)
	}
	return dst
}
