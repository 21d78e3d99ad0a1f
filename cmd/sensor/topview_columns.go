package main

import (
	"math"
	"strconv"
	"strings"

	"mirrorscope/edge"
	"mirrorscope/edge/live"
)

// topColumns are all that there are.
var topColumns = []column{
	{title: "CLIENT", left: true, cells: 15, more: 40, cell: func(_ *live.Top, r *live.Row) (string, tone) {
		if r.Client.Name != "" {
			return printable(r.Client.Name), plainly
		}
		return printable(r.Client.IP), plainly
	}},
	{title: "SERVER", left: true, cells: 19, more: 48, cell: func(_ *live.Top, r *live.Row) (string, tone) {
		if r.Server.Name == "" {
			return printable(address(&r.Server)), plainly
		}
		name := r.Server.Name
		if r.Server.Port != nil {
			name += ":" + strconv.Itoa(int(*r.Server.Port))
		}
		return printable(name), plainly
	}},
	{title: "PROTO", left: true, cells: 5, drop: 8, cell: func(_ *live.Top, r *live.Row) (string, tone) { return printable(r.Protocol), plainly }},
	{title: "→ BIT/S", cells: 8, order: []edge.Order{edge.ByBytes}, cell: func(_ *live.Top, r *live.Row) (string, tone) { return bits(r.Throughput.Client * 8), plainly }},
	{title: "← BIT/S", cells: 8, order: []edge.Order{edge.ByBytes}, cell: func(_ *live.Top, r *live.Row) (string, tone) { return bits(r.Throughput.Server * 8), plainly }},
	{title: "PKT/S", cells: 6, drop: 3, order: []edge.Order{edge.ByPackets}, cell: func(t *live.Top, r *live.Row) (string, tone) {
		return number(float64(r.ClientSent.Packets+r.ServerSent.Packets) / seconds(t)), plainly
	}},
	{title: "CONN", cells: 6, drop: 12, order: []edge.Order{edge.ByConnections}, cell: func(_ *live.Top, r *live.Row) (string, tone) { return number(float64(r.Connections)), plainly }},
	{title: "NEW", cells: 5, drop: 4, cell: func(_ *live.Top, r *live.Row) (string, tone) { return number(float64(r.Opened)), plainly }},
	{title: "FAIL", cells: 5, drop: 14, order: []edge.Order{edge.ByErrors}, cell: func(_ *live.Top, r *live.Row) (string, tone) {
		if r.Protocol != "tcp" {
			return unknown, plainly
		}
		return counted(r.Failures(), alarmed)
	}},
	{title: "RETR", cells: 6, drop: 13, order: []edge.Order{edge.ByRetransmits}, cell: func(_ *live.Top, r *live.Row) (string, tone) {
		n, ok := r.Repeated()
		if !ok {
			return unknown, plainly
		}
		return counted(n, warned)
	}},
	{title: "RTT", cells: 7, drop: 11, order: []edge.Order{edge.ByRTT}, cell: func(_ *live.Top, r *live.Row) (string, tone) {
		if r.RTT == nil || r.RTT.P50 == nil {
			return unknown, plainly
		}
		return bounded(r.RTT.State, *r.RTT.P50), plainly
	}},
	{title: "SETUP", cells: 7, drop: 2, order: []edge.Order{edge.ByHandshake}, cell: func(_ *live.Top, r *live.Row) (string, tone) { return p95(r.Handshake), plainly }},
	{title: "TLS", cells: 7, drop: 5, order: []edge.Order{edge.ByTLS}, cell: func(_ *live.Top, r *live.Row) (string, tone) {
		if r.TLS != nil && r.TLS.Failed > 0 {
			return p95(r.AsClient()), alarmed
		}
		return p95(r.AsClient()), plainly
	}},
	{title: "REQ/S", cells: 6, drop: 7, order: []edge.Order{edge.ByRequests}, cell: func(t *live.Top, r *live.Row) (string, tone) {
		if r.Requests == nil {
			return unknown, plainly
		}
		return number(float64(r.Requests.Requests) / seconds(t)), plainly
	}},
	{title: "ERR", cells: 6, drop: 9, order: []edge.Order{edge.ByErrorRate}, cell: func(_ *live.Top, r *live.Row) (string, tone) {
		if r.Requests == nil || r.Requests.ErrorRatio == nil {
			return unknown, plainly
		}
		ratio := float64(*r.Requests.ErrorRatio)
		if ratio > 0 {
			return share(ratio), alarmed
		}
		return share(ratio), plainly
	}},
	{title: "RESP", cells: 7, drop: 10, order: []edge.Order{edge.ByResponse}, cell: func(_ *live.Top, r *live.Row) (string, tone) { return p95(r.Response), plainly }},
	{title: "0-WIN", cells: 7, drop: 1, cell: func(_ *live.Top, r *live.Row) (string, tone) {
		if r.ZeroWindow == nil {
			return unknown, plainly
		}
		if ns := r.ZeroWindow.Client.Time + r.ZeroWindow.Server.Time; ns > 0 {
			return span(float64(ns)), warned
		}
		return "0", plainly
	}},
	{title: "LAST", cells: 5, drop: 6, cell: func(t *live.Top, r *live.Row) (string, tone) {
		return strconv.FormatInt(max(int64(t.End-r.End), 0)/1e9, 10) + "s", plainly
	}},
}

// counted is a number that should be 0.
func counted(n int64, otherwise tone) (string, tone) {
	if n > 0 {
		return number(float64(n)), otherwise
	}
	return "0", plainly
}

// p95 is the 95th percentile of a distribution.
func p95(t *live.Times) string {
	if t == nil {
		return unknown
	}
	return bounded(t.State, t.P95)
}

// bounded is a duration, with a mark where it is the most that it can be, or one of
// several explanations.
func bounded(state string, d live.Micros) string {
	switch state {
	case "bounded":
		return "≤" + span(float64(d))
	case "ambiguous":
		return "~" + span(float64(d))
	}
	return span(float64(d))
}

// span is a duration with two or three digits.
func span(ns float64) string {
	for _, u := range [...]struct {
		less, unit float64
		name       string
	}{{999.5e3, 1e3, "µs"}, {999.5e6, 1e6, "ms"}, {math.Inf(1), 1e9, "s"}} {
		if ns < u.less {
			return three(ns/u.unit) + u.name
		}
	}
	return unknown
}

// bits is a rate with the prefix that fits, in thousands.
func bits(v float64) string {
	prefix := ""
	for _, p := range []string{"k", "M", "G", "T"} {
		if v < 999.5 {
			break
		}
		v, prefix = v/1000, p
	}
	return three(v) + prefix
}

func perSecond(v float64) string {
	number := strings.TrimRight(bits(v), "kMGT")
	return number + " " + bits(v)[len(number):] + "bit/s"
}

// number is a count or a rate, beyond four digits in thousands.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) && v < 9999.5:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v < 999.5:
		return three(v)
	case v < 9999.5:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	prefix := ""
	for _, p := range []string{"k", "M", "G", "T"} {
		if v < 999.5 {
			break
		}
		v, prefix = v/1000, p
	}
	return three(v) + prefix
}

// three gives at most three digits.
func three(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.005:
		return "<.01"
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// share is a ratio in percent, and never 0 of something that is there.
func share(ratio float64) string {
	p := 100 * ratio
	switch {
	case p > 0 && p < 0.1:
		return "<0.1%"
	case p < 99.95:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + "%"
}
