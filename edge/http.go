package edge

import (
	"cmp"
	"slices"

	"mirrorscope/histogram"
	"mirrorscope/httpmeta"
)

// Endpoints sums HTTP requests by server, method, host and path template.
type Endpoints struct {
	Other Endpoint // requests that found no row, or whose names are not known

	heavy[endpointKey, Endpoint]
}

type endpointKey struct {
	Service
	method, host, path string
}

// Endpoint is one method, host and path template at one server.
type Endpoint struct {
	Service
	Name               string // by which DNS knew the server
	Method, Host, Path string
	Requests           int64
	Status             [6]int64 // of responses, by first digit of the status code; 0: none of 1xx to 5xx
	GRPC, GRPCErrors   int64    // responses with a grpc-status, and those other than OK
	Aborted            int64    // requests without a response when the connection ended, or the client gave up
	Unknown            int64    // … of which it is not known whether they had one
	Response           histogram.Histogram
	AtMost             bool // Response holds upper bounds
}

// Errors is how many requests ended in an error of the server's, or without a
// response.
func (e *Endpoint) Errors() int64 {
	return min(e.Status[5]+e.GRPCErrors+e.Aborted, e.Known())
}

// Known is how many requests it is known of how they ended.
func (e *Endpoint) Known() int64 { return max(e.Requests-e.Unknown, 0) }

func newEndpoints(limit int) *Endpoints {
	t := &Endpoints{}
	t.heavy = newHeavy[endpointKey](limit, func(e *Endpoint) (n, errors int64) { return e.Requests, e.Errors() }, func(e *Endpoint) { t.Other.merge(e) })
	return t
}

func (t *Endpoints) add(c *connection) {
	i := c.talk.HTTP
	if i == nil {
		return
	}
	h, _ := httpOf(i, c.talk.ending)
	fate := func(e *httpmeta.Endpoint) (aborted, unknown int64) {
		n := e.Requests
		for _, s := range e.Status {
			n -= s
		}
		if h.Unknown > 0 { // of several on one connection it is not known which
			return 0, max(n, 0)
		}
		return max(n, 0), 0
	}
	for n := range i.Endpoints {
		p := &i.Endpoints[n]
		key := endpointKey{serviceOf(&c.key), p.Method, p.Host, p.Path}
		e, isNew := t.get(key)
		if isNew {
			*e = Endpoint{Service: key.Service, Method: p.Method, Host: p.Host, Path: p.Path}
		}
		if e.Name == "" {
			e.Name = c.names[1]
		}
		aborted, unknown := fate(p)
		e.add(p, aborted, unknown, c.talk.atMost)
	}
	aborted, unknown := fate(&i.Other)
	t.Other.add(&i.Other, aborted, unknown, c.talk.atMost)
}

// Lack is the most requests that a row may lack, because it had no room before.
func (t *Endpoints) Lack() int64 { return t.lack }

func (e *Endpoint) add(p *httpmeta.Endpoint, aborted, unknown int64, atMost bool) {
	e.merge(&Endpoint{
		Requests: p.Requests, Status: p.Status, GRPC: p.GRPC, GRPCErrors: p.GRPCError, Aborted: aborted, Unknown: unknown,
		Response: p.Response, AtMost: atMost && p.Response.Count() > 0,
	})
}

func (e *Endpoint) merge(o *Endpoint) {
	e.Requests += o.Requests
	for class, n := range o.Status {
		e.Status[class] += n
	}
	e.GRPC += o.GRPC
	e.GRPCErrors += o.GRPCErrors
	e.Aborted += o.Aborted
	e.Unknown += o.Unknown
	merge(&e.Response, &o.Response)
	e.AtMost = e.AtMost || o.AtMost
}

// Rows lends the rows in an order.
func (t *Endpoints) Rows(order Order) []*Endpoint {
	rows := t.list()
	rate := func(e *Endpoint) float64 {
		if e.Known() == 0 {
			return notKnown
		}
		return float64(e.Errors()) / float64(e.Known())
	}
	slices.SortFunc(rows, func(a, b *Endpoint) int {
		first := 0
		switch order {
		case ByErrors:
			first = cmp.Compare(b.Errors(), a.Errors())
		case ByErrorRate:
			first = cmp.Compare(rate(b), rate(a))
		case ByResponse:
			first = cmp.Compare(p95(&b.Response), p95(&a.Response))
		}
		return cmp.Or(
			first, cmp.Compare(b.Requests, a.Requests), compareServices(&a.Service, &b.Service),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method),
		)
	})
	return rows
}
