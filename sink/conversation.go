package sink

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"mirrorscope/edge"
	"mirrorscope/edge/group"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// Grouped is a row of a window, with what is made of it for an output.
type Grouped struct {
	*group.Row
	*edge.Conversation
	Window  *group.Window
	Verdict edge.Verdict
}

// GroupedOf makes it.
func GroupedOf(w *group.Window, r *group.Row) *Grouped {
	c := r.Conversation()
	return &Grouped{Row: r, Conversation: c, Window: w, Verdict: c.Verdict()}
}

// Seconds is how long the window is; ok is false where it has no length.
func (g *Grouped) Seconds() (s float64, ok bool) {
	s = (float64(g.Window.End) - float64(g.Window.Start)) / 1e9
	return s, s > 0
}

// GroupField is one field of a conversation record: where it stands in the object,
// and its value. Outputs for programs share them, so that the names are the same.
type GroupField struct {
	Path []string // names from the outside in
	// Append adds a number, a time in quotes, true or, where List is set, any JSON
	// value; nothing where it is not known.
	Append func(dst []byte, g *Grouped) []byte
	// Text gives a text that is not escaped; "" where it is not known. It stands in
	// place of Append.
	Text func(g *Grouped) string
	List bool // the value is no single one: a list or an object
}

// GroupFields lists the fields of rows with values of keys, in their order.
func GroupFields(keys []group.Key) []GroupField {
	f := &groupFields{}
	f.text("conversation", "type")
	f.moment(func(g *Grouped) int64 { return g.Window.Start }, "interval_start")
	f.moment(func(g *Grouped) int64 { return g.Window.End }, "interval_end")
	for i, k := range keys {
		f.add(GroupField{Path: []string{"group", k.String()}, Text: func(g *Grouped) string {
			if g.Values == nil {
				return ""
			}
			return g.Values[i]
		}})
	}
	f.when(func(g *Grouped) bool { return g.Values == nil }, "other")
	f.moment(func(g *Grouped) int64 { return g.Row.Start }, "start")
	f.moment(func(g *Grouped) int64 { return g.Row.End }, "end")
	f.number(func(g *Grouped) int64 { return g.Row.Connections }, "connections")
	f.number(func(g *Grouped) int64 { return g.Count(group.Opened) }, "connections_opened")
	f.number(func(g *Grouped) int64 { return g.Count(group.Midstream) }, "connections_midstream")
	f.number(func(g *Grouped) int64 { return g.Ended }, "connections_ended")
	f.tcp(func(g *Grouped) int64 { return g.Established }, "connections_established")
	f.endings()
	for _, s := range sides {
		f.sideOf(s, group.Packets, s.String()+"_sent", "packets")
		f.sideOf(s, group.Bytes, s.String()+"_sent", "bytes")
		f.sideOf(s, group.Payload, s.String()+"_sent", "payload_bytes")
	}
	for _, s := range sides {
		f.add(GroupField{Path: []string{"throughput", s.String() + "_bytes_per_s"}, Append: func(dst []byte, g *Grouped) []byte {
			seconds, ok := g.Seconds()
			if !ok {
				return dst
			}
			return strconv.AppendFloat(dst, round(float64(g.Side(s, group.Bytes))/seconds, 1), 'f', -1, 64)
		}})
	}
	f.handshake()
	f.rtt()
	for _, s := range sides {
		f.repeats(s)
	}
	for _, x := range [...]struct {
		name   string
		counts []named
	}{
		{"out_of_order", []named{{"packets", group.OutOfOrder}}},
		{"network_duplicates", []named{{"", group.NetworkDuplicates}}},
		{"keep_alives", []named{{"", group.KeepAlives}}},
		{"zero_window", []named{{"episodes", group.ZeroWindowEpisodes}, {"time_us", group.ZeroWindowTime}, {"probes", group.ZeroWindowProbes}}},
		{"window_full_us", []named{{"", group.WindowFull}}},
		{"resets", []named{{"", group.Resets}}},
		{"fins", []named{{"", group.FINs}}},
	} {
		for _, s := range sides {
			for _, c := range x.counts {
				path := []string{x.name, s.String(), c.name}
				if c.name == "" {
					path = path[:2]
				}
				f.tcpSide(s, c.count, path...)
			}
		}
	}
	for _, s := range sides {
		f.sideOf(s, group.CE, "ecn", "ce_"+s.String())
	}
	f.tls()
	f.requests()
	f.response()
	f.verdict()
	f.capture()
	return f.all
}

var sides = [...]flow.Side{flow.Client, flow.Server}

// named is a count of a side under a name.
type named struct {
	name  string
	count group.SideCount
}

type groupFields struct{ all []GroupField }

func (f *groupFields) add(x GroupField) { f.all = append(f.all, x) }

func (f *groupFields) text(s string, path ...string) {
	f.add(GroupField{Path: path, Text: func(*Grouped) string { return s }})
}

func (f *groupFields) number(n func(*Grouped) int64, path ...string) {
	f.add(GroupField{Path: path, Append: func(dst []byte, g *Grouped) []byte { return AppendInt(dst, n(g)) }})
}

func (f *groupFields) given(is func(*Grouped) bool, n func(*Grouped) int64, path ...string) {
	f.add(GroupField{Path: path, Append: func(dst []byte, g *Grouped) []byte {
		if !is(g) {
			return dst
		}
		return AppendInt(dst, n(g))
	}})
}

func (f *groupFields) when(is func(*Grouped) bool, path ...string) {
	f.add(GroupField{Path: path, Append: func(dst []byte, g *Grouped) []byte {
		if !is(g) {
			return dst
		}
		return append(dst, "true"...)
	}})
}

func (f *groupFields) moment(ns func(*Grouped) int64, path ...string) {
	f.add(GroupField{Path: path, Append: func(dst []byte, g *Grouped) []byte {
		if ns(g) == 0 {
			return dst
		}
		return append(AppendTime(append(dst, '"'), ns(g)), '"')
	}})
}

// tcp adds a number that only rows with connections of TCP have.
func (f *groupFields) tcp(n func(*Grouped) int64, path ...string) {
	f.given(func(g *Grouped) bool { return g.TCP() }, n, path...)
}

func (f *groupFields) sideOf(s flow.Side, c group.SideCount, path ...string) {
	f.number(func(g *Grouped) int64 { return g.Side(s, c) }, path...)
}

// tcpSide adds a count of TCP. Times are ns.
func (f *groupFields) tcpSide(s flow.Side, c group.SideCount, path ...string) {
	if c == group.ZeroWindowTime || c == group.WindowFull {
		f.add(GroupField{Path: path, Append: func(dst []byte, g *Grouped) []byte {
			if !g.TCP() {
				return dst
			}
			return appendSigned(dst, g.Side(s, c))
		}})
		return
	}
	f.tcp(func(g *Grouped) int64 { return g.Side(s, c) }, path...)
}

// appendSigned adds a sum of durations, which is negative where it corrects what
// was told before.
func appendSigned(dst []byte, ns int64) []byte {
	if ns < 0 {
		return AppendMicros(append(dst, '-'), uint64(-ns))
	}
	return AppendMicros(dst, uint64(ns))
}

func (f *groupFields) ratio(of func(*Grouped) (part, whole int64), path ...string) {
	f.add(GroupField{Path: path, Append: func(dst []byte, g *Grouped) []byte {
		part, whole := of(g)
		if whole <= 0 {
			return dst
		}
		return strconv.AppendFloat(dst, round(float64(part)/float64(whole), 6), 'f', -1, 64)
	}})
}

func round(x float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(x*p) / p
}

// endings are how connections ended.
func (f *groupFields) endings() {
	for o := flow.Established; o < flow.NumOutcomes; o++ {
		f.tcp(func(g *Grouped) int64 { return g.Row.Outcomes()[o] }, "outcomes", o.String())
	}
	f.tcp(func(g *Grouped) int64 { // of TCP, and of no named outcome
		n := int64(0)
		for _, of := range g.Unknown[group.MeasureHandshake] {
			n += of
		}
		for o := flow.Established; o < flow.NumOutcomes; o++ {
			n -= g.Row.Outcomes()[o]
		}
		return n
	}, "outcomes", "unknown")
	for _, s := range sides {
		f.tcp(func(g *Grouped) int64 { return g.Row.Ends().ResetBy[s] }, "reset", s.String())
	}
	f.tcp(func(g *Grouped) int64 { return g.Row.Ends().ResetsBehind }, "reset", "after_fin")
	f.tcp(func(g *Grouped) int64 { return g.Row.Ends().Leftover }, "reset", "leftover")
	f.tcp(func(g *Grouped) int64 { return g.Row.Ends().Foreign }, "rst_foreign")
	f.tcp(func(g *Grouped) int64 { return g.Row.Ends().FromServer }, "unreachable_by_server")
}

// states adds how many whole connections there are by the state of a measure.
func (f *groupFields) states(m group.Measure, path ...string) {
	for _, s := range [...]tcp.State{tcp.Measured, tcp.Bounded, tcp.Ambiguous, tcp.Unknown} {
		f.given(func(g *Grouped) bool { return g.Unknown[m] != group.States{} }, func(g *Grouped) int64 { return g.Unknown[m][s] },
			append(slices.Clone(path), "states", s.String())...)
	}
}

// times adds a distribution.
func (f *groupFields) times(t group.Times, path ...string) {
	at := func(name string) []string { return append(slices.Clone(path), name) }
	of := func(name string, value func([]byte, *histogram.Histogram) []byte, list bool) {
		f.add(GroupField{Path: at(name), List: list, Append: func(dst []byte, g *Grouped) []byte {
			if h := g.Row.Times(t); h != nil && h.Count() > 0 {
				return value(dst, h)
			}
			return dst
		}})
	}
	for _, q := range [...]struct {
		name  string
		share float64
	}{{"p50_us", 0.5}, {"p95_us", 0.95}, {"p99_us", 0.99}} {
		of(q.name, func(dst []byte, h *histogram.Histogram) []byte {
			ns, _ := h.Quantile(q.share)
			return AppendMicros(dst, Nanos(ns))
		}, false)
	}
	of("samples", func(dst []byte, h *histogram.Histogram) []byte { return AppendUint(dst, h.Count()) }, false)
	of("distribution", AppendDistribution, true)
}

// AppendDistribution adds a histogram as an object.
func AppendDistribution(dst []byte, h *histogram.Histogram) []byte {
	dst = AppendInt(append(dst, `{"scale":`...), int64(h.Scale()))
	dst = AppendUint(append(dst, `,"zero":`...), h.Zero())
	dst = AppendUint(append(dst, `,"count":`...), h.Count())
	dst = AppendMicros(append(dst, `,"sum_us":`...), uint64(h.Sum()))
	dst = AppendMicros(append(dst, `,"min_us":`...), uint64(h.Min()))
	dst = AppendMicros(append(dst, `,"max_us":`...), uint64(h.Max()))
	dst = append(dst, `,"buckets":[`...)
	for i, b := range h.Buckets() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendInt(append(dst, '['), int64(b.Index))
		dst = append(AppendUint(append(dst, ','), b.Count), ']')
	}
	return append(dst, "]}"...)
}

func (f *groupFields) handshake() {
	f.tcp(func(g *Grouped) int64 { return g.Count(group.SYNs) }, "handshake", "syn_packets")
	f.tcp(func(g *Grouped) int64 { return g.Count(group.SYNACKs) }, "handshake", "synack_packets")
	f.times(group.Handshake, "handshake", "rtt")
	f.times(group.HandshakeClient, "handshake", "client")
	f.times(group.HandshakeServer, "handshake", "server")
	f.states(group.MeasureHandshake, "handshake")
}

func (f *groupFields) rtt() {
	f.add(GroupField{Path: []string{"rtt", "state"}, Text: func(g *Grouped) string {
		if _, atMost, ok := g.Conversation.Times.PathRTT(); ok {
			return state(atMost).String()
		}
		return ""
	}})
	f.add(GroupField{Path: []string{"rtt", "p50_us"}, Append: func(dst []byte, g *Grouped) []byte {
		if ns, _, ok := g.Conversation.Times.PathRTT(); ok {
			return AppendMicros(dst, Nanos(ns))
		}
		return dst
	}})
	for _, s := range sides {
		f.times(group.RTTClient+group.Times(s), "rtt", s.String())
		f.times(group.RTTClientDelayed+group.Times(s), "rtt", s.String(), "maybe_delayed")
		f.states(group.MeasureRTTClient+group.Measure(s), "rtt", s.String())
	}
}

func state(bound bool) tcp.State {
	if bound {
		return tcp.Bounded
	}
	return tcp.Measured
}

// repeats are the retransmissions of one side.
func (f *groupFields) repeats(s flow.Side) {
	known := func(g *Grouped) bool { is, _ := g.RepeatsKnown(s); return is }
	f.add(GroupField{Path: []string{"retransmits", s.String(), "state"}, Text: func(g *Grouped) string {
		is, atLeast := g.RepeatsKnown(s)
		switch {
		case !g.TCP():
			return ""
		case !is:
			return tcp.Unknown.String()
		}
		return state(atLeast).String()
	}})
	for _, c := range [...]struct {
		name  string
		count group.SideCount
	}{
		{"packets", group.Repeats}, {"segments", group.RepeatSegments}, {"bytes", group.RepeatBytes}, {"spurious_packets", group.SpuriousPackets},
		{"spurious_bytes", group.SpuriousBytes}, {"lost_before_packets", group.LostBefore}, {"lost_after_packets", group.LostAfter},
		{"unlocated_packets", group.Unlocated}, {"inferred_packets", group.Inferred}, {"dsack_unmatched", group.DSACKUnmatched},
	} {
		f.given(known, func(g *Grouped) int64 { return g.Side(s, c.count) }, "retransmits", s.String(), c.name)
	}
	for c := range tcp.NumClasses {
		f.given(func(g *Grouped) bool { return g.Class(s, c) != 0 }, func(g *Grouped) int64 { return g.Class(s, c) }, "retransmits", s.String(), "by_class", c.String())
	}
	f.given(known, func(g *Grouped) int64 { return g.Side(s, group.Tellable) }, "retransmits", s.String(), "of_payload_bytes")
	f.ratio(func(g *Grouped) (int64, int64) { return g.Side(s, group.RepeatBytes), g.Side(s, group.Tellable) }, "retransmits", s.String(), "ratio")
	f.states(group.MeasureRepeatsClient+group.Measure(s), "retransmits", s.String())
}

func (f *groupFields) tls() {
	there := func(g *Grouped) bool { return g.Row.TLS() != nil }
	f.given(there, func(g *Grouped) int64 { return g.Row.TLS().Connections }, "tls", "connections")
	f.given(there, func(g *Grouped) int64 { return g.Row.TLS().QUIC }, "tls", "quic")
	f.given(there, func(g *Grouped) int64 { return g.Row.TLS().Resumed }, "tls", "resumed")
	f.given(there, func(g *Grouped) int64 { return g.Row.TLS().Failed() }, "tls", "failed")
	for o := tlsmeta.Completed; o <= tlsmeta.NotTLS; o++ {
		f.given(func(g *Grouped) bool { return there(g) && g.Row.TLS().Outcomes[o] > 0 }, func(g *Grouped) int64 { return g.Row.TLS().Outcomes[o] }, "tls", "outcomes", o.String())
	}
	for _, t := range [...]struct {
		name  string
		times group.Times
	}{{"handshake", group.TLSTotal}, {"handshake_perceived", group.TLSPerceived}, {"handshake_network", group.TLSNetwork}, {"handshake_server", group.TLSServer}, {"handshake_client", group.TLSClient}} {
		f.times(t.times, "tls", t.name)
	}
	f.given(there, func(g *Grouped) int64 { return g.Row.TLS().Unmeasured }, "tls", "unmeasured")
	f.states(group.MeasureTLS, "tls")
}

func (f *groupFields) requests() {
	tried := func(g *Grouped) bool { return g.Tried() }
	for _, n := range [...]struct {
		name string
		of   func(*Grouped) int64
	}{
		{"requests", func(g *Grouped) int64 { return g.Requests() }}, {"errors", func(g *Grouped) int64 { return g.RequestErrors() }},
		{"unknown", func(g *Grouped) int64 { return g.UnknownRequests() }}, {"unmeasured", func(g *Grouped) int64 { return g.Conversation.Unmeasured }},
		{"failed_before_request", func(g *Grouped) int64 { return g.Unasked }},
	} {
		f.given(tried, n.of, "requests", n.name)
	}
	f.add(GroupField{Path: []string{"requests", "per_s"}, Append: func(dst []byte, g *Grouped) []byte {
		seconds, ok := g.Seconds()
		if !ok || !g.Tried() {
			return dst
		}
		return strconv.AppendFloat(dst, round(float64(g.Requests())/seconds, 6), 'f', -1, 64)
	}})
	f.add(GroupField{Path: []string{"requests", "error_ratio"}, Append: func(dst []byte, g *Grouped) []byte {
		rate, ok := g.ErrorRate()
		if !ok {
			return dst
		}
		return strconv.AppendFloat(dst, round(rate, 6), 'f', -1, 64)
	}})
	for _, n := range [...]struct {
		name  string
		count group.Count
	}{{"requests", group.HTTPRequests}, {"4xx", group.HTTPClient}, {"5xx", group.HTTPServer}, {"grpc_errors", group.HTTPGRPC}, {"aborted", group.HTTPAborted}, {"unknown", group.HTTPUnknown}} {
		f.given(func(g *Grouped) bool { return g.HTTP != nil }, func(g *Grouped) int64 { return g.Count(n.count) }, "requests", "http", n.name)
	}
	for _, n := range [...]struct {
		name  string
		count group.Count
	}{{"queries", group.DNSQueries}, {"nxdomain", group.DNSNXDomain}, {"servfail", group.DNSServFail}, {"other_errors", group.DNSOtherErrors}, {"timeouts", group.DNSTimeouts}, {"unknown", group.DNSUnknown}} {
		f.given(func(g *Grouped) bool { return g.DNS != nil }, func(g *Grouped) int64 { return g.Count(n.count) }, "requests", "dns", n.name)
	}
	f.times(group.DNSTime, "requests", "dns", "time")
}

func (f *groupFields) response() {
	f.add(GroupField{Path: []string{"response", "state"}, Text: func(g *Grouped) string {
		if h := g.Row.Times(group.Response); h == nil || h.Count() == 0 {
			return ""
		}
		return g.ResponseState().String()
	}})
	f.tcp(func(g *Grouped) int64 { return g.Count(group.Turns) }, "response", "turns")
	f.times(group.Response, "response")
	f.states(group.MeasureResponse, "response")
}

func (f *groupFields) verdict() {
	f.add(GroupField{Path: []string{"verdict", "who"}, Text: func(g *Grouped) string { return g.Verdict.Who.String() }})
	f.add(GroupField{Path: []string{"verdict", "text"}, Text: func(g *Grouped) string { return g.Verdict.Text }})
	f.add(GroupField{Path: []string{"verdict", "also"}, List: true, Append: func(dst []byte, g *Grouped) []byte {
		if len(g.Verdict.Also) == 0 {
			return dst
		}
		type sentence struct {
			Who  string `json:"who"`
			Text string `json:"text"`
		}
		var all []sentence
		for i := range g.Verdict.Also {
			all = append(all, sentence{g.Verdict.Also[i].Who.String(), g.Verdict.Also[i].Text})
		}
		text, err := json.Marshal(all)
		if err != nil {
			panic(err) // texts alone
		}
		return append(dst, text...)
	}})
	f.add(GroupField{Path: []string{"verdict", "evidence"}, List: true, Append: func(dst []byte, g *Grouped) []byte {
		dst = append(dst, '{')
		for i, x := range g.Verdict.Evidence {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), x.Name...), `":`...)
			dst = strconv.AppendFloat(dst, round(x.Value, 4), 'f', -1, 64)
		}
		return append(dst, '}')
	}})
}

// capture is what the capture did.
func (f *groupFields) capture() {
	for _, s := range sides {
		f.tcpSide(s, group.Missed, "capture", "missed_bytes", s.String())
	}
	for _, s := range sides {
		f.tcpSide(s, group.Recorded, "capture", "recorded_bytes", s.String())
	}
	f.ratio(func(g *Grouped) (int64, int64) {
		missed := g.Side(flow.Client, group.Missed) + g.Side(flow.Server, group.Missed)
		return missed, missed + g.Side(flow.Client, group.Recorded) + g.Side(flow.Server, group.Recorded)
	}, "capture", "loss_ratio")
	for _, n := range [...]struct {
		name  string
		count group.Count
	}{
		{"mirror_duplicates", group.MirrorDuplicates}, {"truncated_packets", group.TruncatedPackets}, {"fragments_incomplete", group.FragmentsIncomplete},
		{"malformed_packets", group.MalformedPackets}, {"stray_packets", group.StrayPackets},
	} {
		f.number(func(g *Grouped) int64 { return g.Count(n.count) }, "capture", n.name)
	}
	f.ratio(func(g *Grouped) (int64, int64) {
		copies := g.Count(group.MirrorDuplicates)
		return copies, copies + g.Row.Packets()
	}, "capture", "mirror_duplicate_ratio")
}
