package csv

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"

	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/sink"
	"mirrorscope/tcp"
)

// row is a record with what its numbers stand for.
type row struct {
	*flow.Record
	point   sink.Point
	path    packet.Path
	network string
	tags    [2]*enrich.Tags // with tagColumns only
}

// column is one column: append adds the cell, nothing where it is empty.
type column struct {
	name   string
	append func(dst []byte, r *row) []byte
}

// group is some columns side by side. Where it is not there all its cells are
// empty.
type group struct {
	there   func(*row) bool
	columns []column
}

// groups are all columns there are, in the order of record.md.
var groups = [...]group{
	{always, plainColumns},
	{func(r *row) bool { return r.TLS != nil }, tlsColumns},
	{func(r *row) bool { return r.QUIC != nil }, quicColumns},
	{hasTCP, responseColumns},
	{func(r *row) bool { return r.HTTP != nil }, httpColumns},
	{func(r *row) bool { return r.DNS != nil }, dnsColumns},
	{func(r *row) bool { return sink.PhasesKnown(r.Record) }, phaseColumns},
	{always, captureColumns},
}

func always(*row) bool { return true }

// plainColumns are what the packets of a flow show.
var plainColumns = slices.Concat(
	[]column{
		{"type", func(dst []byte, _ *row) []byte { return append(dst, "connection"...) }},
		{"id", func(dst []byte, r *row) []byte { return sink.AppendID(dst, r.ID) }},
		{"start", func(dst []byte, r *row) []byte { return sink.AppendTime(dst, r.Start) }},
		{"end", func(dst []byte, r *row) []byte { return sink.AppendTime(dst, r.End) }},
		{"duration_us", func(dst []byte, r *row) []byte {
			if r.End < r.Start {
				return dst // a clock that stepped back gives no duration
			}
			return sink.AppendMicros(dst, uint64(r.End)-uint64(r.Start))
		}},
	},
	pointColumns,
	[]column{
		{"tunnels", func(dst []byte, r *row) []byte {
			for i := range r.path.NTunnels {
				dst = append(separate(dst, i > 0), r.path.Tunnels[i].String()...)
			}
			return dst
		}},
		{"vlan", func(dst []byte, r *row) []byte {
			for i := range r.path.NVLANs {
				dst = sink.AppendUint(separate(dst, i > 0), uint64(r.path.VLANs[i]))
			}
			return dst
		}},
		{"network", func(dst []byte, r *row) []byte { return appendText(dst, r.network) }},
		{"protocol", func(dst []byte, r *row) []byte { return sink.AppendProtocol(dst, r.Proto) }},
		{"ip_version", func(dst []byte, r *row) []byte { return sink.AppendUint(dst, uint64(r.Version)) }},
	},
	endColumns(flow.Client), endColumns(flow.Server),
	[]column{
		when(isICMP, number("icmp_type", func(r *row) int64 { return int64(r.ICMP.Type) })),
		when(isICMP, number("icmp_code", func(r *row) int64 { return int64(r.ICMP.Code) })),
		{"direction_source", func(dst []byte, r *row) []byte { return append(dst, r.Direction.String()...) }},
		{"direction_state", func(dst []byte, r *row) []byte { return append(dst, r.DirectionState.String()...) }},
		{"direction_reasons", func(dst []byte, _ *row) []byte { return dst }},
		{"outcome", func(dst []byte, r *row) []byte { return append(dst, r.Outcome.String()...) }},
		when(hasReset, column{"reset_by", func(dst []byte, r *row) []byte { return append(dst, r.ResetBy.String()...) }}),
		when(hasReset, boolean("reset_unacknowledged_data", func(r *row) bool { return r.ResetUnacked })),
		when(hasReset, boolean("reset_after_fin", func(r *row) bool { return r.ResetAfterFIN })),
		when(isTCP, boolean("rst_foreign", func(r *row) bool { return r.RSTForeign })),
		when(isUnreachable, number("unreachable_type", func(r *row) int64 { return int64(r.Unreachable.Type) })),
		when(isUnreachable, number("unreachable_code", func(r *row) int64 { return int64(r.Unreachable.Code) })),
		when(isUnreachable, column{"unreachable_by", func(dst []byte, r *row) []byte { return r.Unreachable.By.IP().AppendTo(dst) }}),
		{"end_reason", func(dst []byte, r *row) []byte { return append(dst, r.EndReason.String()...) }},
	},
	volumeColumns(flow.Client), volumeColumns(flow.Server),
	[]column{
		when(hasHandshake, column{"handshake_state", func(dst []byte, r *row) []byte { return append(dst, r.Handshake.State.String()...) }}),
		when(hasHandshake, column{"handshake_reasons", func(dst []byte, r *row) []byte {
			return appendReasons(dst, r.Handshake.State, r.Handshake.Reasons)
		}}),
		duration("handshake_rtt_us", func(h *tcp.Handshake) int64 { return h.RTT }),
		duration("handshake_client_us", func(h *tcp.Handshake) int64 { return h.Client }),
		duration("handshake_server_us", func(h *tcp.Handshake) int64 { return h.Server }),
		duration("handshake_setup_us", func(h *tcp.Handshake) int64 { return h.Setup }),
		duration("handshake_connect_us", func(h *tcp.Handshake) int64 { return h.Connect }),
		when(hasHandshake, number("handshake_syn_packets", func(r *row) int64 { return int64(r.Handshake.SYNs) })),
		when(hasHandshake, number("handshake_synack_packets", func(r *row) int64 { return int64(r.Handshake.SYNACKs) })),
	},
	tcpColumns,
	[]column{
		when(isTCP, number("resets_client", func(r *row) int64 { return r.Resets[flow.Client] })),
		when(isTCP, number("resets_server", func(r *row) int64 { return r.Resets[flow.Server] })),
		when(isTCP, number("fins_client", func(r *row) int64 { return r.FINs[flow.Client] })),
		when(isTCP, number("fins_server", func(r *row) int64 { return r.FINs[flow.Server] })),
		when(func(r *row) bool { return r.ECN.Known }, boolean("ecn_negotiated", func(r *row) bool { return r.ECN.Negotiated })),
		number("ecn_ce_client", func(r *row) int64 { return r.CE[flow.Client] }),
		number("ecn_ce_server", func(r *row) int64 { return r.CE[flow.Server] }),
	},
	optionColumns(flow.Client), optionColumns(flow.Server),
)

var captureColumns = slices.Concat(
	bothSides("capture_missed_bytes", func(s *tcp.Side) int64 { return s.Missed }),
	[]column{
		number("capture_mirror_duplicates", func(r *row) int64 { return r.MirrorDuplicates }),
		number("capture_truncated_packets", func(r *row) int64 { return r.TruncatedPackets }),
		number("capture_fragments_incomplete", func(r *row) int64 { return r.FragmentsIncomplete }),
		number("capture_malformed_packets", func(r *row) int64 { return r.Malformed }),
		number("capture_stray_packets", func(r *row) int64 { return r.StrayPackets }),
		when(func(r *row) bool { return r.Weight > 1 }, number("capture_sample_weight", func(r *row) int64 { return int64(r.Weight) })),
	},
)

func isTCP(r *row) bool         { return r.Proto == packet.ProtoTCP }
func isICMP(r *row) bool        { return r.Proto == packet.ProtoICMP || r.Proto == packet.ProtoICMPv6 }
func isUnreachable(r *row) bool { return r.Unreachable.OK }
func hasHandshake(r *row) bool  { return r.HasHandshake }
func hasReset(r *row) bool      { return r.Outcome == flow.Reset }

// pointColumns are the observation point.
var pointColumns = []column{
	{"observation_point_name", func(dst []byte, r *row) []byte { return appendText(dst, r.point.Name) }},
	{"observation_point_interface", func(dst []byte, r *row) []byte { return appendText(dst, r.point.Interface) }},
	{"observation_point_tunnel", func(dst []byte, r *row) []byte { return append(dst, r.point.Tunnel.String()...) }},
	when(func(r *row) bool { return r.point.HasID }, number("observation_point_tunnel_id", func(r *row) int64 { return int64(r.point.ID) })),
	{"observation_point_outer_src", func(dst []byte, r *row) []byte { return appendOuter(dst, r, r.OuterSwapped) }},
	{"observation_point_outer_dst", func(dst []byte, r *row) []byte { return appendOuter(dst, r, !r.OuterSwapped) }},
	cookie("aws_endpoint", sink.ClassAWS, func(dst []byte, c *packet.Cookies) []byte { return hex.AppendEncode(dst, c.ID[:8]) }),
	cookie("aws_attachment", sink.ClassAWS, func(dst []byte, c *packet.Cookies) []byte { return hex.AppendEncode(dst, c.ID[8:]) }),
	cookie("google_network", sink.ClassGoogle, func(dst []byte, c *packet.Cookies) []byte { return sink.AppendUint(dst, uint64(c.Net)) }),
	cookie("google_endpoint", sink.ClassGoogle, func(dst []byte, c *packet.Cookies) []byte { return hex.AppendEncode(dst, c.ID[:]) }),
}

func appendOuter(dst []byte, r *row, second bool) []byte {
	var a netip.Addr
	switch {
	case r.point.Tunnel == packet.NoTunnel:
		return dst
	case second:
		a = r.point.B
	default:
		a = r.point.A
	}
	return a.AppendTo(dst)
}

func cookie(name string, class uint16, add func([]byte, *packet.Cookies) []byte) column {
	return column{"observation_point_tunnel_cookies_" + name, func(dst []byte, r *row) []byte {
		if r.point.Tunnel == packet.NoTunnel || r.point.Cookies.Class != class {
			return dst
		}
		return add(dst, &r.point.Cookies)
	}}
}

func endColumns(side flow.Side) []column {
	return []column{
		{side.String() + "_ip", func(dst []byte, r *row) []byte { return r.Ends[side].Addr.IP().AppendTo(dst) }},
		when(func(r *row) bool { return r.Ends[side].HasPort }, number(side.String()+"_port", func(r *row) int64 { return int64(r.Ends[side].Port) })),
		text(side.String()+"_name", func(r *row) string { return r.Ends[side].Name }),
	}
}

func volumeColumns(side flow.Side) []column {
	name := side.String() + "_sent_"
	return []column{
		number(name+"packets", func(r *row) int64 { return r.Sent[side].Packets }),
		number(name+"bytes", func(r *row) int64 { return r.Sent[side].Bytes }),
		number(name+"payload_bytes", func(r *row) int64 { return r.Sent[side].PayloadBytes }),
	}
}

func optionColumns(side flow.Side) []column {
	name := "tcp_options_" + side.String() + "_"
	known := func(r *row) bool { return isTCP(r) && r.Options[side].Known }
	return []column{
		when(func(r *row) bool { return known(r) && r.Options[side].HasMSS }, number(name+"mss", func(r *row) int64 { return int64(r.Options[side].MSS) })),
		when(func(r *row) bool { return known(r) && r.Options[side].HasWScale }, number(name+"wscale", func(r *row) int64 { return int64(r.Options[side].WScale) })),
		when(known, boolean(name+"sack", func(r *row) bool { return r.Options[side].SACK })),
		when(known, boolean(name+"timestamps", func(r *row) bool { return r.Options[side].Timestamps })),
	}
}

func duration(name string, get func(*tcp.Handshake) int64) column {
	return when(hasHandshake, micros(name, func(r *row) int64 { return get(&r.Handshake) }))
}

func number(name string, get func(*row) int64) column {
	return column{name, func(dst []byte, r *row) []byte { return sink.AppendInt(dst, get(r)) }}
}

func boolean(name string, get func(*row) bool) column {
	return column{name, func(dst []byte, r *row) []byte { return strconv.AppendBool(dst, get(r)) }}
}

// when empties the cells of rows that do not meet the condition.
func when(condition func(*row) bool, c column) column {
	return column{c.name, func(dst []byte, r *row) []byte {
		if !condition(r) {
			return dst
		}
		return c.append(dst, r)
	}}
}

// separate adds the separator of list items.
func separate(dst []byte, needed bool) []byte {
	if needed {
		return append(dst, ';')
	}
	return dst
}
