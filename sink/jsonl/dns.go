package jsonl

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/sink"
)

// appendDNS adds the queries of a flow, or, unless whole, of an interval.
func appendDNS(dst []byte, d *dnsmeta.Info, whole bool) []byte {
	dst = append(append(append(dst, `,"dns":{"protocol":"`...), d.Protocol.String()...), '"')
	dst = appendCounts(dst, &d.Counts)
	dst = appendInt(dst, `,"late":`, d.Late)
	dst = appendInt(dst, `,"unanswerable":`, d.Unanswerable)
	dst = appendInt(dst, `,"unpaired":`, d.Unpaired)
	dst = appendInt(dst, `,"lost":`, d.Lost)
	dst = appendInt(dst, `,"dropped":`, d.Dropped)
	dst = appendInt(dst, `,"unsolicited":`, d.Unsolicited)
	dst = appendInt(dst, `,"announced":`, d.Announced)
	dst = appendInt(dst, `,"duplicates":`, d.Duplicates)
	dst = appendInt(dst, `,"malformed":`, d.Malformed)
	dst = appendInt(dst, `,"cut":`, d.Cut)
	dst = append(dst, `,"rcodes":{`...)
	for r, n := range d.RCodes {
		if n != 0 {
			dst = sink.AppendInt(appendKey(dst, dnsmeta.RCodeName(r)), n)
		}
	}
	dst = append(dst, '}')
	dst = appendTimes(dst, &d.Time, whole)
	dst = append(dst, `,"names":[`...)
	for i := range d.Names {
		if i > 0 {
			dst = append(dst, ',')
		}
		n := &d.Names[i]
		dst = append(dst, '{')
		dst = appendText(dst, "name", n.Name)
		dst = appendText(dst, "type", dnsmeta.TypeName(n.Type))
		dst = appendCounts(dst, &n.Counts)
		dst = append(appendTimes(dst, &n.Time, whole), '}')
	}
	dst = append(dst, ']')
	if d.Other != (dnsmeta.Counts{}) {
		dst = append(appendKey(dst, "other_names"), '{')
		dst = append(appendCounts(dst, &d.Other), '}')
	}
	return append(dst, '}')
}

func appendCounts(dst []byte, c *dnsmeta.Counts) []byte {
	dst = sink.AppendInt(appendKey(dst, "queries"), c.Queries)
	dst = appendInt(dst, `,"repeats":`, c.Repeats)
	dst = appendInt(dst, `,"responses":`, c.Responses)
	dst = appendInt(dst, `,"nxdomain":`, c.NXDOMAIN)
	dst = appendInt(dst, `,"servfail":`, c.SERVFAIL)
	dst = appendInt(dst, `,"other_errors":`, c.OtherErr)
	dst = appendInt(dst, `,"truncated":`, c.Truncated)
	return appendInt(dst, `,"timeouts":`, c.Timeouts)
}
