package csv

import (
	"slices"

	"mirrorscope/dnsmeta"
	"mirrorscope/histogram"
	"mirrorscope/sink"
)

// httpColumns are requests and responses. Endpoints are lists of equal length.
var httpColumns = func() []column {
	status := make([]column, len(sink.StatusClasses))
	for class, name := range sink.StatusClasses {
		status[class] = some("http_status_"+name, func(r *row) int64 { return r.HTTP.Status[class] })
	}
	rpc := func(r *row) bool { return r.HTTP.GRPC != 0 }
	endpoints := func(r *row) int { return len(r.HTTP.Endpoints) }
	return slices.Concat(
		[]column{
			text("http_version", func(r *row) string { return r.HTTP.Version.String() }),
			number("http_requests", func(r *row) int64 { return r.HTTP.Requests }),
			number("http_responses", func(r *row) int64 { return r.HTTP.Responses }),
		},
		status,
		[]column{
			when(rpc, number("http_grpc_ok", func(r *row) int64 { return r.HTTP.GRPC - r.HTTP.GRPCError })),
			when(rpc, number("http_grpc_error", func(r *row) int64 { return r.HTTP.GRPCError })),
			number("http_aborted", func(r *row) int64 { return r.HTTP.Aborted }),
			number("http_missed", func(r *row) int64 { return r.HTTP.Missed }),
			number("http_orphans", func(r *row) int64 { return r.HTTP.Orphans }),
			number("http_request_bytes", func(r *row) int64 { return r.HTTP.RequestBytes }),
			number("http_response_bytes", func(r *row) int64 { return r.HTTP.ResponseBytes }),
			text("http_upgraded", func(r *row) string { return r.HTTP.Upgraded }),
			number("http_losses_lost", func(r *row) int64 { return r.HTTP.Lost }),
			number("http_losses_malformed", func(r *row) int64 { return r.HTTP.Malformed }),
			number("http_losses_too_long", func(r *row) int64 { return r.HTTP.TooLong }),
			number("http_losses_no_memory", func(r *row) int64 { return r.HTTP.NoMemory }),
			number("http_losses_poisoned", func(r *row) int64 { return r.HTTP.Poisoned }),
			number("http_losses_untracked", func(r *row) int64 { return r.HTTP.Untracked }),
			list("http_endpoints_method", endpoints, func(r *row, i int) string { return r.HTTP.Endpoints[i].Method }),
			list("http_endpoints_host", endpoints, func(r *row, i int) string { return r.HTTP.Endpoints[i].Host }),
			list("http_endpoints_path", endpoints, func(r *row, i int) string { return r.HTTP.Endpoints[i].Path }),
			numbers("http_endpoints_requests", endpoints, func(r *row, i int) int64 { return r.HTTP.Endpoints[i].Requests }),
		},
	)
}()

// dnsColumns are queries and responses. Names are lists of equal length.
var dnsColumns = func() []column {
	columns := []column{text("dns_protocol", func(r *row) string { return r.DNS.Protocol.String() })}
	for _, c := range []struct {
		name string
		get  func(*dnsmeta.Info) int64
	}{
		{"queries", func(d *dnsmeta.Info) int64 { return d.Queries }},
		{"repeats", func(d *dnsmeta.Info) int64 { return d.Repeats }},
		{"responses", func(d *dnsmeta.Info) int64 { return d.Responses }},
		{"nxdomain", func(d *dnsmeta.Info) int64 { return d.NXDOMAIN }},
		{"servfail", func(d *dnsmeta.Info) int64 { return d.SERVFAIL }},
		{"other_errors", func(d *dnsmeta.Info) int64 { return d.OtherErr }},
		{"truncated", func(d *dnsmeta.Info) int64 { return d.Truncated }},
		{"timeouts", func(d *dnsmeta.Info) int64 { return d.Timeouts }},
		{"late", func(d *dnsmeta.Info) int64 { return d.Late }},
		{"unanswerable", func(d *dnsmeta.Info) int64 { return d.Unanswerable }},
		{"unpaired", func(d *dnsmeta.Info) int64 { return d.Unpaired }},
		{"lost", func(d *dnsmeta.Info) int64 { return d.Lost }},
		{"dropped", func(d *dnsmeta.Info) int64 { return d.Dropped }},
		{"unsolicited", func(d *dnsmeta.Info) int64 { return d.Unsolicited }},
		{"announced", func(d *dnsmeta.Info) int64 { return d.Announced }},
		{"duplicates", func(d *dnsmeta.Info) int64 { return d.Duplicates }},
		{"malformed", func(d *dnsmeta.Info) int64 { return d.Malformed }},
		{"cut", func(d *dnsmeta.Info) int64 { return d.Cut }},
	} {
		columns = append(columns, number("dns_"+c.name, func(r *row) int64 { return c.get(r.DNS) }))
	}
	for rcode := range (&dnsmeta.Info{}).RCodes {
		columns = append(columns, some("dns_rcodes_"+dnsmeta.RCodeName(rcode), func(r *row) int64 { return r.DNS.RCodes[rcode] }))
	}
	names := func(r *row) int { return len(r.DNS.Names) }
	return append(append(columns, timeColumns("dns_response_", func(r *row) *histogram.Histogram { return &r.DNS.Time })...),
		list("dns_names_name", names, func(r *row, i int) string { return r.DNS.Names[i].Name }),
		list("dns_names_type", names, func(r *row, i int) string { return dnsmeta.TypeName(r.DNS.Names[i].Type) }),
		numbers("dns_names_queries", names, func(r *row, i int) int64 { return r.DNS.Names[i].Queries }),
	)
}()

func timeColumns(prefix string, of func(*row) *histogram.Histogram) []column {
	known := func(r *row) bool { return of(r).Count() > 0 }
	return []column{
		when(known, number(prefix+"count", func(r *row) int64 { return int64(of(r).Count()) })),
		when(known, micros(prefix+"min_us", func(r *row) int64 { return of(r).Min() })),
		when(known, quantile(prefix+"p50_us", func(r *row) float64 { ns, _ := of(r).Quantile(0.50); return ns })),
		when(known, quantile(prefix+"p90_us", func(r *row) float64 { ns, _ := of(r).Quantile(0.90); return ns })),
		when(known, micros(prefix+"max_us", func(r *row) int64 { return of(r).Max() })),
	}
}

// phaseColumns are what a connection spent its time on.
var phaseColumns = func() []column {
	var columns []column
	for _, p := range sink.Phases {
		columns = append(columns, micros("phases_"+p.Field, func(r *row) int64 { return p.Of(r.Phases) }))
	}
	return append(columns, when(func(r *row) bool { return r.Phases.Overlap }, boolean("phases_overlap", func(r *row) bool { return r.Phases.Overlap })))
}()

// text is a string; "" is not known.
func text(name string, get func(*row) string) column {
	return column{name, func(dst []byte, r *row) []byte {
		if s := get(r); s != "" {
			return appendText(dst, s)
		}
		return dst
	}}
}

// list is n strings.
func list(name string, n func(*row) int, item func(*row, int) string) column {
	return column{name, func(dst []byte, r *row) []byte { return appendList(dst, r, n(r), item) }}
}

// numbers is n counts.
func numbers(name string, n func(*row) int, item func(*row, int) int64) column {
	return column{name, func(dst []byte, r *row) []byte {
		for i := range n(r) {
			dst = sink.AppendInt(separate(dst, i > 0), item(r, i))
		}
		return dst
	}}
}

// some is a count of what mostly does not occur: 0 is an empty cell.
func some(name string, get func(*row) int64) column {
	return when(func(r *row) bool { return get(r) != 0 }, number(name, get))
}
