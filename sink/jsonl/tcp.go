package jsonl

import (
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/sink"
	"mirrorscope/tcp"
)

// tcp adds the groups that TCP's sequence numbers, acknowledgments and windows
// give.
func (e *Encoder) tcp(dst []byte, r *flow.Record) []byte {
	dst = append(dst, `,"rtt":{"client":{`...)
	dst = append(e.rtt(dst, r, flow.Client), `},"server":{`...)
	dst = append(e.rtt(dst, r, flow.Server), `}},"retransmits":{"client":{`...)
	dst = append(e.retransmits(dst, r, flow.Client), `},"server":{`...)
	dst = append(e.retransmits(dst, r, flow.Server), `}}`...)
	if calm(r) && sink.WindowsKnown(r) {
		return append(dst, noTrouble...)
	}
	return appendTrouble(dst, r)
}

// noTrouble is what appendTrouble adds for a connection in which nothing
// happened, as in most.
const noTrouble = `,"out_of_order":{"client":{"packets":0},"server":{"packets":0}},"network_duplicates":{"client":0,"server":0},` +
	`"keep_alives":{"client":0,"server":0},"zero_window":{"client":{"episodes":0,"time_us":0,"probes":0},"server":{"episodes":0,"time_us":0,"probes":0}},` +
	`"window_full_us":{"client":0,"server":0}`

// calm tells that both sides are known and all counts of appendTrouble are 0.
func calm(r *flow.Record) bool {
	any := int64(0)
	for i := range r.TCP.Sides {
		x := &r.TCP.Sides[i]
		any |= x.OutOfOrder.Packets | x.NetworkDuplicates | x.KeepAlives | x.ZeroWindow.Episodes | x.ZeroWindow.Time | x.ZeroWindow.Probes | x.WindowFull
	}
	return any == 0 && sink.SideKnown(r, flow.Client) && sink.SideKnown(r, flow.Server)
}

// appendTrouble adds what is rare, and the windows.
func appendTrouble(dst []byte, r *flow.Record) []byte {
	dst = append(dst, `,"out_of_order":{`...)
	dst = appendKnown(dst, r, appendOutOfOrder)
	dst = append(dst, `},"network_duplicates":{`...)
	dst = appendKnown(dst, r, appendNetworkDuplicates)
	dst = append(dst, `},"keep_alives":{`...)
	dst = appendKnown(dst, r, appendKeepAlives)
	dst = append(dst, `},"zero_window":{`...)
	dst = appendKnown(dst, r, appendZeroWindow)
	dst = append(dst, '}')
	if sink.WindowsKnown(r) {
		dst = appendKnown(append(dst, `,"window_full_us":{`...), r, appendWindowFull)
		dst = append(dst, '}')
	}
	return dst
}

// appendKnown adds a value for each side of which something was recorded.
func appendKnown(dst []byte, r *flow.Record, value func([]byte, *flow.Record, flow.Side) []byte) []byte {
	if sink.SideKnown(r, flow.Client) {
		dst = value(append(dst, `"client":`...), r, flow.Client)
	}
	if sink.SideKnown(r, flow.Server) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = value(append(dst, `"server":`...), r, flow.Server)
	}
	return dst
}

func (e *Encoder) rtt(dst []byte, r *flow.Record, side flow.Side) []byte {
	x := &r.TCP.Sides[side].RTT
	dst = e.state(dst, x.State, x.Reasons)
	told := r.Kind == flow.Connection && x.State != tcp.Unknown
	if told {
		dst = appendDuration(dst, `,"min_us":`, x.Min)
		dst = appendQuantile(dst, `,"p50_us":`, x.P50)
		dst = appendQuantile(dst, `,"p90_us":`, x.P90)
		dst = appendQuantile(dst, `,"p99_us":`, x.P99)
	}
	dst = appendInt(dst, `,"samples":`, x.Clean)
	dst = appendInt(dst, `,"maybe_delayed":`, x.Maybe)
	if told {
		dst = append(append(append(dst, `,"source":"`...), x.Source()...), '"')
	}
	if d := e.times; d != nil {
		dst = appendDistribution(dst, `,"distribution":`, d.RTT[side])
		dst = appendDistribution(dst, `,"distribution_maybe_delayed":`, d.Delayed[side])
	}
	return dst
}

// noRepeats is the rest of a side of retransmits that had none, as most have.
const noRepeats = `,"packets":0,"segments":0,"bytes":0,"spurious_packets":0,"spurious_bytes":0,"lost_before_packets":0,"lost_after_packets":0,` +
	`"unlocated_packets":0,"inferred_packets":0,"dsack_unmatched":0,"by_class":{}`

func (e *Encoder) retransmits(dst []byte, r *flow.Record, side flow.Side) []byte {
	x := &r.TCP.Sides[side].Retransmits
	dst = e.state(dst, x.State, x.Reasons)
	if !sink.SideKnown(r, side) {
		return dst
	}
	if none(x) {
		return append(dst, noRepeats...)
	}
	dst = appendInt(dst, `,"packets":`, x.Packets)
	dst = appendInt(dst, `,"segments":`, x.Segments)
	dst = appendInt(dst, `,"bytes":`, x.Bytes)
	dst = appendInt(dst, `,"spurious_packets":`, x.SpuriousPackets)
	dst = appendInt(dst, `,"spurious_bytes":`, x.SpuriousBytes)
	dst = appendInt(dst, `,"lost_before_packets":`, x.LostBefore)
	dst = appendInt(dst, `,"lost_after_packets":`, x.LostAfter)
	dst = appendInt(dst, `,"unlocated_packets":`, x.Unlocated)
	dst = appendInt(dst, `,"inferred_packets":`, x.Inferred)
	dst = appendInt(dst, `,"dsack_unmatched":`, x.DSACKUnmatched)
	dst = append(dst, `,"by_class":{`...)
	for c, n := range x.ByClass {
		if n == 0 {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), tcp.Class(c).String()...), `":`...)
		dst = sink.AppendInt(dst, n)
	}
	return append(dst, '}')
}

// none tells that all counts are 0. In an interval a verdict may change
// although nothing was sent.
func none(x *tcp.Retransmits) bool {
	any := x.Packets | x.Segments | x.Bytes | x.SpuriousPackets | x.SpuriousBytes | x.LostBefore | x.LostAfter | x.Unlocated | x.Inferred | x.DSACKUnmatched
	for _, n := range x.ByClass {
		any |= n
	}
	return any == 0
}

func appendOutOfOrder(dst []byte, r *flow.Record, side flow.Side) []byte {
	x := &r.TCP.Sides[side].OutOfOrder
	dst = appendInt(dst, `{"packets":`, x.Packets)
	if r.Kind == flow.Connection && x.Packets > 0 {
		dst = appendInt(dst, `,"max_extent":`, x.MaxExtent)
		dst = appendDuration(dst, `,"max_late_us":`, x.MaxLate)
	}
	return append(dst, '}')
}

func appendZeroWindow(dst []byte, r *flow.Record, side flow.Side) []byte {
	x := &r.TCP.Sides[side].ZeroWindow
	dst = appendInt(dst, `{"episodes":`, x.Episodes)
	dst = appendSigned(append(dst, `,"time_us":`...), x.Time)
	dst = appendInt(dst, `,"probes":`, x.Probes)
	return append(dst, '}')
}

func appendNetworkDuplicates(dst []byte, r *flow.Record, side flow.Side) []byte {
	return sink.AppendInt(dst, r.TCP.Sides[side].NetworkDuplicates)
}

func appendKeepAlives(dst []byte, r *flow.Record, side flow.Side) []byte {
	return sink.AppendInt(dst, r.TCP.Sides[side].KeepAlives)
}

func appendWindowFull(dst []byte, r *flow.Record, side flow.Side) []byte {
	return appendSigned(dst, r.TCP.Sides[side].WindowFull)
}

func appendMissed(dst []byte, r *flow.Record, side flow.Side) []byte {
	return sink.AppendInt(dst, r.TCP.Sides[side].Missed)
}

// response adds the time that the server took to answer.
func (e *Encoder) response(dst []byte, r *flow.Record) []byte {
	x := &r.TCP.Response
	dst = e.state(append(dst, `,"response":{`...), x.State, x.Reasons)
	dst = appendInt(dst, `,"turns":`, x.Turns)
	dst = appendInt(dst, `,"samples":`, x.Measured)
	if r.Kind == flow.Connection && x.State != tcp.Unknown {
		dst = appendDuration(dst, `,"min_us":`, x.Min)
		dst = appendQuantile(dst, `,"p50_us":`, x.P50)
		dst = appendQuantile(dst, `,"p90_us":`, x.P90)
		dst = appendDuration(dst, `,"max_us":`, x.Max)
	}
	if d := e.times; d != nil {
		dst = appendDistribution(dst, `,"distribution":`, d.Think)
	}
	return append(dst, '}')
}

// appendDistribution adds a histogram, and nothing for an empty one.
func appendDistribution(dst []byte, key string, h *histogram.Histogram) []byte {
	if h == nil || h.Count() == 0 {
		return dst
	}
	return sink.AppendDistribution(append(dst, key...), h)
}

// appendQuantile adds a duration in ns ≥ 0 that is no whole number.
func appendQuantile(dst []byte, key string, ns float64) []byte {
	return sink.AppendMicros(append(dst, key...), sink.Nanos(ns))
}

// appendSigned adds a sum of durations. In an interval it may be a correction,
// and negative.
func appendSigned(dst []byte, ns int64) []byte {
	if ns < 0 {
		return sink.AppendMicros(append(dst, '-'), uint64(-ns))
	}
	return sink.AppendMicros(dst, uint64(ns))
}
