package jsonl

import (
	"strconv"

	"mirrorscope/flow"
)

// appendInventory adds how sources of names do; nothing where there are none.
func appendInventory(dst []byte, list []flow.Inventory) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(dst, `,"inventory":[`...)
	for i := range list {
		v := &list[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(append(dst, `{"source":`...), v.Source)
		if v.Taken != 0 {
			dst = appendTime(dst, `,"taken":`, v.Taken)
			dst = appendDuration(dst, `,"age_us":`, max(v.Age, 0))
			dst = strconv.AppendBool(append(dst, `,"from_disk":`...), v.FromDisk)
			dst = appendInt(dst, `,"interfaces":`, int64(v.Interfaces))
			dst = appendInt(dst, `,"instances":`, int64(v.Instances))
			dst = appendInt(dst, `,"unread_addresses":`, int64(v.Unread))
		}
		dst = appendInt(dst, `,"failed_attempts":`, int64(v.Failures))
		if v.Error != "" {
			dst = appendString(append(dst, `,"error":`...), v.Error)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendSkipped adds what the mirror of a point's sender left out.
func appendSkipped(dst []byte, s *flow.MirrorSkipped) []byte {
	if s == nil {
		return dst
	}
	dst = appendString(append(dst, `,"mirror_instance":`...), s.Instance)
	if s.Packets >= 0 {
		dst = appendInt(dst, `,"mirror_skipped_packets":`, s.Packets)
	}
	if s.Bytes >= 0 {
		dst = appendInt(dst, `,"mirror_skipped_bytes":`, s.Bytes)
	}
	dst = appendTime(dst, `,"mirror_skipped_from":`, s.From)
	dst = appendTime(dst, `,"mirror_skipped_to":`, s.To)
	if s.Gap > 0 {
		dst = appendDuration(dst, `,"mirror_skipped_gap_us":`, s.Gap)
	}
	return dst
}
