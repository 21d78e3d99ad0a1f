package jsonl

import (
	"strconv"

	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/sink"
	"mirrorscope/tcp"
)

// Encoder turns records into lines. It keeps the text of every observation
// point, network and path, which Names bounds.
type Encoder struct {
	names    sink.Names
	points   [][]byte // by PointID and OuterSwapped: the value of observation_point
	networks [][]byte // by NetworkID: the value of network
	paths    [][]byte // by PathID: the fields tunnels and vlan
	reasons  []string
	clock    sink.Clock
	spread   tcp.Spread
	times    *tcp.Distributions // of the record at hand, if it is of an interval

	namer    *enrich.Namer           // nil: no tags are told
	tagTexts map[*enrich.Tags][]byte // as they are written
}

// NewEncoder gives an Encoder for records with numbers out of names.
func NewEncoder(names sink.Names) *Encoder { return &Encoder{names: names} }

// AppendRecord adds a connection or interval object and the end of the line.
func (e *Encoder) AppendRecord(dst []byte, r *flow.Record) []byte {
	if r.Kind == flow.Interval {
		dst = append(dst, `{"type":"interval","id":`...)
		dst = appendID(dst, r.ID)
		dst = appendTime(dst, `,"interval_start":`, r.IntervalStart)
		dst = appendTime(dst, `,"interval_end":`, r.IntervalEnd)
	} else {
		dst = append(dst, `{"type":"connection","id":`...)
		dst = appendID(dst, r.ID)
		dst = append(e.clock.AppendTime(append(dst, `,"start":"`...), r.Start), `","end":"`...)
		dst = append(e.clock.AppendTime(dst, r.End), '"')
		if r.End >= r.Start { // a clock that stepped back gives no duration
			dst = append(dst, `,"duration_us":`...)
			dst = sink.AppendMicros(dst, uint64(r.End)-uint64(r.Start))
		}
	}
	dst = append(append(dst, `,"observation_point":`...), e.point(r.Point, r.OuterSwapped)...)
	dst = append(dst, e.path(r.Path)...)
	dst = append(append(dst, `,"network":`...), e.network(r.Network)...)

	dst = append(dst, `,"protocol":"`...)
	dst = sink.AppendProtocol(dst, r.Proto)
	dst = appendUint(dst, `","ip_version":`, uint64(r.Version))
	dst = appendEnd(dst, `,"client":{"ip":"`, &r.Ends[flow.Client])
	dst = appendEnd(dst, `,"server":{"ip":"`, &r.Ends[flow.Server])
	if e.namer != nil {
		dst = e.recordTags(dst, r)
	}
	if r.Proto == packet.ProtoICMP || r.Proto == packet.ProtoICMPv6 {
		dst = appendUint(dst, `,"icmp":{"type":`, uint64(r.ICMP.Type))
		dst = appendUint(dst, `,"code":`, uint64(r.ICMP.Code))
		dst = append(dst, '}')
	}
	dst = append(append(append(dst, `,"direction":{"source":"`...), r.Direction.String()...), `",`...)
	dst = append(e.state(dst, r.DirectionState, 0), '}')
	if r.Kind == flow.Connection {
		dst = appendEnding(dst, r)
	}

	dst = appendVolume(dst, `,"client_sent":{"packets":`, &r.Sent[flow.Client])
	dst = appendVolume(dst, `,"server_sent":{"packets":`, &r.Sent[flow.Server])
	if r.HasHandshake {
		dst = e.handshake(dst, &r.Handshake)
	}
	if r.HasTCP {
		if e.times = nil; r.Kind == flow.Interval {
			e.times = r.Times(&e.spread)
		}
		dst = e.tcp(dst, r)
	}
	if r.Proto == packet.ProtoTCP {
		dst = appendSides(dst, `,"resets":{"client":`, r.Resets)
		dst = appendSides(dst, `,"fins":{"client":`, r.FINs)
	}
	dst = append(dst, `,"ecn":{`...)
	if r.ECN.Known && r.Kind == flow.Connection {
		dst = append(strconv.AppendBool(append(dst, `"negotiated":`...), r.ECN.Negotiated), ',')
	}
	if r.CE == [2]int64{} {
		dst = append(dst, `"ce_client":0,"ce_server":0}`...)
	} else {
		dst = appendInt(dst, `"ce_client":`, r.CE[flow.Client])
		dst = append(appendInt(dst, `,"ce_server":`, r.CE[flow.Server]), '}')
	}
	if r.Kind == flow.Connection {
		dst = appendOptions(dst, &r.Options)
	}
	if r.TLS != nil {
		dst = e.tls(dst, r.TLS)
	}
	if r.QUIC != nil {
		dst = e.quic(dst, r.QUIC)
	}
	if r.HasTCP {
		dst = e.response(dst, r)
	}
	if r.HTTP != nil {
		dst = appendHTTP(dst, r.HTTP, r.Kind == flow.Connection)
	}
	if r.DNS != nil {
		dst = appendDNS(dst, r.DNS, r.Kind == flow.Connection)
	}
	if sink.PhasesKnown(r) {
		dst = appendPhases(dst, r.Phases)
	}
	dst = append(dst, `,"capture":{`...)
	if r.HasTCP {
		dst = appendKnown(append(dst, `"missed_bytes":{`...), r, appendMissed)
		dst = append(dst, "},"...)
	}
	if r.MirrorDuplicates|r.TruncatedPackets|r.FragmentsIncomplete|r.Malformed|r.StrayPackets == 0 && r.Weight <= 1 {
		return append(dst, faultless...)
	}
	dst = appendInt(dst, `"mirror_duplicates":`, r.MirrorDuplicates)
	dst = appendInt(dst, `,"truncated_packets":`, r.TruncatedPackets)
	dst = appendInt(dst, `,"fragments_incomplete":`, r.FragmentsIncomplete)
	dst = appendInt(dst, `,"malformed_packets":`, r.Malformed)
	dst = appendInt(dst, `,"stray_packets":`, r.StrayPackets)
	if r.Weight > 1 {
		dst = appendInt(dst, `,"sample_weight":`, int64(r.Weight))
	}
	return append(dst, "}}\n"...)
}

// faultless ends a record whose packets were all whole, and came once.
const faultless = `"mirror_duplicates":0,"truncated_packets":0,"fragments_incomplete":0,"malformed_packets":0,"stray_packets":0}}` + "\n"

// appendEnding adds how the flow ended.
func appendEnding(dst []byte, r *flow.Record) []byte {
	if r.Outcome != flow.OutcomeNone {
		dst = append(append(append(dst, `,"outcome":"`...), r.Outcome.String()...), '"')
	}
	if r.Outcome == flow.Reset {
		dst = append(append(append(dst, `,"reset":{"by":"`...), r.ResetBy.String()...), `","unacknowledged_data":`...)
		dst = strconv.AppendBool(dst, r.ResetUnacked)
		dst = strconv.AppendBool(append(dst, `,"after_fin":`...), r.ResetAfterFIN)
		dst = append(dst, '}')
	}
	if r.Proto == packet.ProtoTCP {
		dst = strconv.AppendBool(append(dst, `,"rst_foreign":`...), r.RSTForeign)
	}
	if r.Unreachable.OK {
		dst = appendUint(dst, `,"unreachable":{"type":`, uint64(r.Unreachable.Type))
		dst = appendUint(dst, `,"code":`, uint64(r.Unreachable.Code))
		dst = append(r.Unreachable.By.IP().AppendTo(append(dst, `,"by":"`...)), `"}`...)
	}
	if r.EndReason != flow.EndNone {
		dst = append(append(append(dst, `,"end_reason":"`...), r.EndReason.String()...), '"')
	}
	return dst
}

func (e *Encoder) handshake(dst []byte, h *tcp.Handshake) []byte {
	dst = e.state(append(dst, `,"handshake":{`...), h.State, h.Reasons)
	dst = appendDuration(dst, `,"rtt_us":`, h.RTT)
	dst = appendDuration(dst, `,"client_us":`, h.Client)
	dst = appendDuration(dst, `,"server_us":`, h.Server)
	dst = appendDuration(dst, `,"setup_us":`, h.Setup)
	dst = appendDuration(dst, `,"connect_us":`, h.Connect)
	dst = appendUint(dst, `,"syn_packets":`, uint64(h.SYNs))
	dst = appendUint(dst, `,"synack_packets":`, uint64(h.SYNACKs))
	return append(dst, '}')
}

// state adds the fields state and, for all but measured, reasons.
func (e *Encoder) state(dst []byte, s tcp.State, r tcp.Reasons) []byte {
	if s == tcp.Measured {
		return append(dst, `"state":"measured"`...)
	}
	dst = append(append(append(dst, `"state":"`...), s.String()...), '"')
	dst = append(dst, `,"reasons":[`...)
	e.reasons = r.Append(e.reasons[:0])
	for i, name := range e.reasons {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), '"')
	}
	return append(dst, ']')
}

// appendOptions adds what each side offered in its SYN or SYN-ACK. A side
// whose packet was not recorded is absent.
func appendOptions(dst []byte, o *[2]tcp.Options) []byte {
	if !o[flow.Client].Known && !o[flow.Server].Known {
		return dst
	}
	dst = append(dst, `,"tcp_options":{`...)
	for side := flow.Client; side <= flow.Server; side++ {
		o := &o[side]
		if !o.Known {
			continue
		}
		if dst[len(dst)-1] == '}' {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), side.String()...), `":{`...)
		if o.HasMSS {
			dst = append(appendUint(dst, `"mss":`, uint64(o.MSS)), ',')
		}
		if o.HasWScale {
			dst = append(appendUint(dst, `"wscale":`, uint64(o.WScale)), ',')
		}
		dst = strconv.AppendBool(append(dst, `"sack":`...), o.SACK)
		dst = append(strconv.AppendBool(append(dst, `,"timestamps":`...), o.Timestamps), '}')
	}
	return append(dst, '}')
}

func appendEnd(dst []byte, key string, end *flow.Endpoint) []byte {
	dst = append(sink.AppendAddr(append(dst, key...), &end.Addr), '"')
	if end.HasPort {
		dst = appendUint(dst, `,"port":`, uint64(end.Port))
	}
	return append(appendText(dst, "name", end.Name), '}')
}

func appendVolume(dst []byte, key string, v *flow.Volume) []byte {
	dst = appendInt(dst, key, v.Packets)
	dst = appendInt(dst, `,"bytes":`, v.Bytes)
	dst = appendInt(dst, `,"payload_bytes":`, v.PayloadBytes)
	return append(dst, '}')
}

func appendSides(dst []byte, key string, n [2]int64) []byte {
	dst = appendInt(dst, key, n[flow.Client])
	dst = appendInt(dst, `,"server":`, n[flow.Server])
	return append(dst, '}')
}

// appendDuration adds a duration that may be absent.
func appendDuration(dst []byte, key string, ns int64) []byte {
	if ns < 0 {
		return dst
	}
	return sink.AppendMicros(append(dst, key...), uint64(ns))
}

func appendTime(dst []byte, key string, ns int64) []byte {
	dst = append(append(dst, key...), '"')
	return append(sink.AppendTime(dst, ns), '"')
}

func appendID(dst []byte, id uint64) []byte {
	return append(sink.AppendID(append(dst, '"'), id), '"')
}

func appendInt(dst []byte, key string, n int64) []byte {
	return sink.AppendInt(append(dst, key...), n)
}

func appendUint(dst []byte, key string, n uint64) []byte {
	return sink.AppendUint(append(dst, key...), n)
}
