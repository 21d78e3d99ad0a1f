package jsonl

import (
	"mirrorscope/histogram"
	"mirrorscope/httpmeta"
	"mirrorscope/sink"
)

// appendHTTP adds the requests of a connection, or, unless whole, of an
// interval.
func appendHTTP(dst []byte, h *httpmeta.Info, whole bool) []byte {
	dst = append(dst, `,"http":{`...)
	dst = appendText(dst, "version", h.Version.String())
	dst = sink.AppendInt(appendKey(dst, "requests"), h.Requests)
	dst = appendInt(dst, `,"responses":`, h.Responses)
	dst = appendStatus(dst, &h.Status)
	dst = appendGRPC(dst, h.GRPC, h.GRPCError)
	dst = appendInt(dst, `,"aborted":`, h.Aborted)
	dst = appendInt(dst, `,"missed":`, h.Missed)
	dst = appendInt(dst, `,"orphans":`, h.Orphans)
	dst = appendInt(dst, `,"request_bytes":`, h.RequestBytes)
	dst = appendInt(dst, `,"response_bytes":`, h.ResponseBytes)
	dst = appendText(dst, "upgraded", h.Upgraded)
	dst = appendInt(dst, `,"losses":{"lost":`, h.Lost)
	dst = appendInt(dst, `,"malformed":`, h.Malformed)
	dst = appendInt(dst, `,"too_long":`, h.TooLong)
	dst = appendInt(dst, `,"no_memory":`, h.NoMemory)
	dst = appendInt(dst, `,"poisoned":`, h.Poisoned)
	dst = appendInt(dst, `,"untracked":`, h.Untracked)
	dst = append(dst, `},"endpoints":[`...)
	for i := range h.Endpoints {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendEndpoint(dst, &h.Endpoints[i], whole)
	}
	dst = append(dst, ']')
	if h.Other.Requests != 0 {
		dst = appendEndpoint(append(dst, `,"other_endpoints":`...), &h.Other, whole)
	}
	return append(dst, '}')
}

func appendEndpoint(dst []byte, p *httpmeta.Endpoint, whole bool) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, "method", p.Method)
	dst = appendText(dst, "host", p.Host)
	dst = appendText(dst, "path", p.Path)
	dst = sink.AppendInt(appendKey(dst, "requests"), p.Requests)
	dst = appendStatus(dst, &p.Status)
	dst = appendGRPC(dst, p.GRPC, p.GRPCError)
	dst = appendTimes(dst, &p.Response, whole)
	return append(dst, '}')
}

// appendStatus adds the responses by class of their status, those that there
// were.
func appendStatus(dst []byte, status *[6]int64) []byte {
	dst = append(dst, `,"status":{`...)
	for class, name := range sink.StatusClasses {
		if n := status[class]; n != 0 {
			dst = sink.AppendInt(appendKey(dst, name), n)
		}
	}
	return append(dst, '}')
}

// appendGRPC adds the responses with a grpc-status, nothing without any.
func appendGRPC(dst []byte, all, failed int64) []byte {
	if all == 0 {
		return dst
	}
	dst = appendInt(dst, `,"grpc":{"ok":`, all-failed)
	return append(appendInt(dst, `,"error":`, failed), '}')
}

// appendTimes adds the times to the responses: their distribution for an
// interval, which can be added up. Without samples there is nothing.
func appendTimes(dst []byte, h *histogram.Histogram, whole bool) []byte {
	if h.Count() == 0 {
		return dst
	}
	dst = appendUint(dst, `,"response":{"count":`, h.Count())
	if !whole {
		return append(appendDistribution(dst, `,"distribution":`, h), '}')
	}
	p50, _ := h.Quantile(0.50)
	p90, _ := h.Quantile(0.90)
	dst = appendDuration(dst, `,"min_us":`, h.Min())
	dst = appendQuantile(dst, `,"p50_us":`, p50)
	dst = appendQuantile(dst, `,"p90_us":`, p90)
	dst = appendDuration(dst, `,"max_us":`, h.Max())
	return append(dst, '}')
}
