package jsonl

import (
	"maps"
	"math"
	"slices"
	"strconv"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/sink"
)

// AppendCapture adds the capture object and the end of the line.
func (e *Encoder) AppendCapture(dst []byte, c *flow.Capture) []byte {
	dst = append(dst, `{"type":"capture"`...)
	if c.At != 0 {
		dst = appendTime(dst, `,"at":`, c.At)
	}
	dst = appendUint(dst, `,"packets":`, c.Packets)
	dst = appendUint(dst, `,"bytes":`, c.Bytes)
	dst = appendUint(dst, `,"decoded_packets":`, c.Decoded)
	dst = append(dst, `,"skipped":{`...)
	for s := packet.Held + 1; s < packet.NumSkips; s++ { // Held is not final, so never a reason
		if s > packet.Held+1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), s.String()...), `":`...)
		dst = sink.AppendUint(dst, c.Skipped[s])
	}
	dst = append(dst, `},"unknown_link_types":{`...)
	for i, name := range slices.Sorted(maps.Keys(c.UnknownLinks)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendUint(appendString(dst, name), `:`, c.UnknownLinks[name])
	}
	dst = appendUint(dst, `},"mirror_duplicates":`, c.MirrorDuplicates)
	dst = appendUint(dst, `,"truncated_packets":`, c.Truncated)
	dst = appendUint(dst, `,"malformed_packets":`, c.Malformed)
	dst = appendUint(dst, `,"stray_packets":`, c.Stray)
	dst = appendUint(dst, `,"forgotten_packets":`, c.CopiesForgotten)
	dst = appendUint(dst, `,"clock_steps":`, c.ClockSteps)
	dst = appendUint(dst, `,"unread_pieces":`, c.Unread)
	dst = appendUint(dst, `,"payload_shed_packets":`, c.PayloadShed)
	if len(c.Losses) > 0 { // of a live capture
		dst = appendInt(dst, `,"overload_step":`, int64(c.Step))
		dst = appendUint(dst, `,"sample":`, uint64(c.Sample))
		dst = appendUint(dst, `,"open_connections":`, c.Open)
	}
	dst = appendPlaces(dst, `,"losses":{`, c.Losses)
	dst = appendPlaces(dst, `,"prefiltered":{`, c.Prefiltered)
	dst = appendPlaces(dst, `,"filter_rules":{`, c.Rules)
	dst = appendPlaces(dst, `,"events":{`, c.Events)
	dst = appendUint(dst, `,"connections":`, c.Connections)
	dst = appendUint(dst, `,"evicted_connections":`, c.Evicted)
	dst = appendUint(dst, `,"uncompared_connections":`, c.Uncompared)
	if c.Packets > 0 {
		dst = appendTime(dst, `,"first":`, c.First)
		dst = appendTime(dst, `,"last":`, c.Last)
	}
	dst = append(dst, `,"observation_points":[`...)
	for i := range c.Points {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.pointCapture(dst, &c.Points[i])
	}
	dst = append(dst, ']')
	if c.MorePoints > 0 {
		dst = appendInt(dst, `,"more_observation_points":`, int64(c.MorePoints))
	}
	dst = appendInventory(dst, c.Inventory)
	dst = append(dst, `,"errors":[`...)
	for i, err := range c.Errors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, err.Error())
	}
	return append(dst, "]}\n"...)
}

// appendPlaces adds counts by place; nothing where there are no places.
func appendPlaces(dst []byte, key string, places []flow.Loss) []byte {
	if len(places) == 0 {
		return dst
	}
	dst = append(dst, key...)
	for i, l := range places {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendUint(appendString(dst, l.Place), `:`, l.Frames)
	}
	return append(dst, '}')
}

// pointCapture adds one observation point. Its outer addresses are a pair: an
// overlay that is tapped between two tunnel endpoints sends both ways.
func (e *Encoder) pointCapture(dst []byte, pc *flow.PointCapture) []byte {
	p := sink.PointOf(e.names, pc.ID)
	dst = appendPoint(append(dst, '{'), &p)
	if p.Tunnel != packet.NoTunnel {
		dst = appendAddr(dst, `,"outer_addresses":[`, p.A)
		dst = append(appendAddr(dst, `,`, p.B), ']')
		dst = appendCookies(dst, &p.Cookies)
	}
	dst = appendUint(dst, `,"packets":`, pc.Packets)
	dst = appendUint(dst, `,"bytes":`, pc.Bytes)
	dst = appendUint(dst, `,"mirror_duplicates":`, pc.MirrorDuplicates)
	if s := &pc.Sequence; s.Frames > 0 {
		dst = appendUint(dst, `,"mirror_lost_packets":`, s.Lost)
		dst = appendUint(dst, `,"mirror_sequence_resets":`, s.Resets)
	}
	dst = appendSkipped(dst, pc.Skipped)
	if ratio, ok := pc.LossRatio(); ok {
		dst = appendInt(dst, `,"missed_bytes":`, pc.Missed)
		dst = strconv.AppendFloat(append(dst, `,"loss_ratio":`...), math.Round(ratio*1e6)/1e6, 'f', -1, 64)
	}
	dst = strconv.AppendBool(append(dst, `,"duplicating_mirror":`...), pc.DupMirror)
	dst = strconv.AppendBool(append(dst, `,"both_directions":`...), pc.BothDirections)
	return append(dst, '}')
}
