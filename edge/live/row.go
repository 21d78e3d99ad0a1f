package live

import (
	"strings"
	"unicode"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// Row is one conversation in the window. Names and units are those of the
// conversations view: what is not known is absent, a count that was really zero
// is 0.
type Row struct {
	Type        string           `json:"type"` // "conversation"
	Network     string           `json:"network"`
	Protocol    string           `json:"protocol"`
	Client      End              `json:"client"`
	Server      End              `json:"server"`
	Start       Moment           `json:"start"` // first and last packet in the window
	End         Moment           `json:"end"`
	Connections int64            `json:"connections"`        // with packets in the window
	Opened      int64            `json:"connections_opened"` // of those that began in it, for certain
	Outcomes    map[string]int64 `json:"outcomes,omitempty"` // of those that ended in it
	ClientSent  Volume           `json:"client_sent"`
	ServerSent  Volume           `json:"server_sent"`
	Throughput  Throughput       `json:"throughput"`
	Retransmits *Repeats2        `json:"retransmits,omitempty"`
	RTT         *RTT             `json:"rtt,omitempty"`
	Handshake   *Times           `json:"handshake,omitempty"`
	TLS         *TLS             `json:"tls,omitempty"`
	Requests    *Requests        `json:"requests,omitempty"`
	Response    *Times           `json:"response,omitempty"`
	ZeroWindow  *ZeroWindow      `json:"zero_window,omitempty"`
	Capture     *Captured        `json:"capture,omitempty"`
}

// End is one side.
type End struct {
	IP   string  `json:"ip"`
	Port *uint16 `json:"port,omitempty"`
	Name string  `json:"name,omitempty"`
}

// Volume is what one side sent.
type Volume struct {
	Packets int64 `json:"packets"`
	Bytes   int64 `json:"bytes"`
	Payload int64 `json:"payload_bytes"`
}

// Throughput is the mean over the window.
type Throughput struct {
	Client float64 `json:"client_bytes_per_s"`
	Server float64 `json:"server_bytes_per_s"`
}

// Repeats2 are those of both sides.
type Repeats2 struct {
	Client *Repeats `json:"client,omitempty"`
	Server *Repeats `json:"server,omitempty"`
}

// Repeats are the retransmissions of one side.
type Repeats struct {
	State   string `json:"state"` // measured, or bounded: at least
	Packets int64  `json:"packets"`
	Bytes   int64  `json:"bytes"`
}

// RTT is the round trip: of the whole path, and of its halves on both sides of the
// observation point.
type RTT struct {
	State  string  `json:"state,omitempty"` // of the path: measured, or bounded: at most
	P50    *Micros `json:"p50_us,omitempty"`
	Client *Times  `json:"client,omitempty"`
	Server *Times  `json:"server,omitempty"`
}

// Times tells of a distribution.
type Times struct {
	State   string `json:"state"` // measured; bounded: the most it can be; ambiguous: some may be of something else
	P50     Micros `json:"p50_us"`
	P95     Micros `json:"p95_us"`
	Max     Micros `json:"max_us"`
	Samples uint64 `json:"samples"`
}

// TLS tells of handshakes of TLS, DTLS and QUIC.
type TLS struct {
	Connections int64  `json:"connections"`
	QUIC        int64  `json:"quic"`
	Resumed     int64  `json:"resumed"`
	Failed      int64  `json:"failed"`
	Handshake   *Times `json:"handshake,omitempty"`
	Perceived   *Times `json:"handshake_perceived,omitempty"`
	Unmeasured  int64  `json:"unmeasured"`
}

// Requests tells what was asked, as far as it can be told.
type Requests struct {
	Requests    int64  `json:"requests"`
	Errors      int64  `json:"errors"`
	ErrorRatio  *Ratio `json:"error_ratio,omitempty"`
	Unknown     int64  `json:"unknown"`
	Unmeasured  int64  `json:"unmeasured"`
	BeforeAsked int64  `json:"failed_before_request"`
}

// ZeroWindow is for how long each side kept its receive window closed, of all
// connections together.
type ZeroWindow struct {
	Client Closed `json:"client"`
	Server Closed `json:"server"`
}

// Closed is how long a window was.
type Closed struct {
	Time Micros `json:"time_us"`
}

// Captured is what the capture did to a conversation.
type Captured struct {
	Missed    BySide `json:"missed_bytes"`
	LossRatio *Ratio `json:"loss_ratio,omitempty"`
}

// BySide is a number of each side.
type BySide struct {
	Client int64 `json:"client"`
	Server int64 `json:"server"`
}

// row sums a conversation over the window, which covers so many ns.
func (t *Table) row(k *edge.Key, v *conversation, covered int64) *Row {
	c, more := t.total(v)
	if c.Connections == 0 && c.Packets() == 0 && !ended(c) {
		return nil // only in the running step so far
	}
	r := &Row{
		Type: "conversation", Network: clean(t.names.NetworkName(k.Network)), Protocol: t.protocol(k.Proto),
		Client: endOf(k.Client, v.names[flow.Client]), Server: endOf(k.Server, v.server), Start: Moment(c.First), End: Moment(c.Last),
		Connections: c.Connections, Opened: more.opened, ClientSent: volumeOf(&c.Sent[flow.Client]), ServerSent: volumeOf(&c.Sent[flow.Server]),
		Handshake: timesOf(&c.Handshake, tcp.Measured),
	}
	if r.Server.Name == "" {
		r.Server.Name = clean(v.names[flow.Server])
	}
	if k.HasPort {
		r.Server.Port = new(k.Port)
	}
	if s := float64(covered) / 1e9; s > 0 {
		r.Throughput = Throughput{float64(c.Sent[flow.Client].Bytes) / s, float64(c.Sent[flow.Server].Bytes) / s}
	}
	if k.Proto == packet.ProtoTCP {
		r.tcp(c, more)
	}
	r.RTT = rttOf(c.Times)
	if x := c.TLS; x != nil {
		r.TLS = &TLS{
			Connections: x.Connections, QUIC: x.QUIC, Resumed: x.Resumed, Failed: x.Failed(), Unmeasured: x.Unmeasured,
			Handshake: timesOf(&x.Total, tcp.Measured), Perceived: timesOf(&x.Perceived, tcp.Measured),
		}
	}
	h, state := c.Response()
	r.Response = timesOf(h, state)
	if c.Tried() {
		r.Requests = &Requests{Requests: c.Requests(), Errors: c.RequestErrors(), Unknown: c.UnknownRequests(), Unmeasured: c.Unmeasured, BeforeAsked: c.Unasked}
		if rate, ok := c.ErrorRate(); ok {
			r.Requests.ErrorRatio = new(Ratio(rate))
		}
	}
	return r
}

// ended tells whether any connection did.
func ended(c *edge.Conversation) bool {
	for _, n := range c.Outcomes {
		if n > 0 {
			return true
		}
	}
	return false
}

// tcp adds what only TCP has.
func (r *Row) tcp(c *edge.Conversation, more *extra) {
	r.Outcomes = outcomesOf(c)
	client, server := repeatsOf(&c.Repeats[flow.Client]), repeatsOf(&c.Repeats[flow.Server])
	if client != nil || server != nil {
		r.Retransmits = &Repeats2{client, server}
		r.ZeroWindow = &ZeroWindow{Closed{Micros(more.closedFor[flow.Client])}, Closed{Micros(more.closedFor[flow.Server])}}
	}
	r.Capture = &Captured{Missed: BySide{c.Missed[flow.Client], c.Missed[flow.Server]}, LossRatio: lossOf(c)}
}

func outcomesOf(c *edge.Conversation) map[string]int64 {
	m := map[string]int64{}
	for o, n := range c.Outcomes {
		if name := flow.Outcome(o).String(); n > 0 && name != "" {
			m[name] = n
		}
	}
	return m
}

func lossOf(c *edge.Conversation) *Ratio {
	missed, recorded := c.Missed[0]+c.Missed[1], c.Recorded[0]+c.Recorded[1]
	if missed+recorded <= 0 {
		return nil
	}
	return new(Ratio(float64(missed) / float64(missed+recorded)))
}

func rttOf(x *edge.Times) *RTT {
	if x == nil {
		return nil
	}
	r := &RTT{Client: halfOf(x, flow.Client), Server: halfOf(x, flow.Server)}
	if ns, atMost, ok := x.PathRTT(); ok {
		r.State = boundedIf(atMost).String()
		r.P50 = new(micros(ns))
	}
	if r.Client == nil && r.Server == nil {
		return nil
	}
	return r
}

// halfOf is one half of the round trip. It is bounded where it was sampled only
// when a delayed ACK may have made it longer.
func halfOf(x *edge.Times, side flow.Side) *Times {
	if t := timesOf(&x.RTT[side], tcp.Measured); t != nil {
		return t
	}
	return timesOf(&x.Delayed[side], tcp.Bounded)
}

func boundedIf(bound bool) tcp.State {
	if bound {
		return tcp.Bounded
	}
	return tcp.Measured
}

func endOf(a packet.Addr, name string) End { return End{IP: a.IP().String(), Name: clean(name)} }

func volumeOf(v *flow.Volume) Volume {
	return Volume{max(v.Packets, 0), max(v.Bytes, 0), max(v.PayloadBytes, 0)}
}

func repeatsOf(r *edge.Repeats) *Repeats {
	if r.Connections == 0 {
		return nil
	}
	return &Repeats{boundedIf(r.AtLeast).String(), max(r.Packets, 0), max(r.Bytes, 0)}
}

func timesOf(h *histogram.Histogram, state tcp.State) *Times {
	p50, ok := h.Quantile(0.5)
	if !ok {
		return nil
	}
	p95, _ := h.Quantile(0.95)
	return &Times{State: state.String(), P50: micros(p50), P95: micros(p95), Max: Micros(h.Max()), Samples: h.Count()}
}

// clean makes a name safe for a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
