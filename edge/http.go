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

	limit int
	rows  map[endpointKey]*Endpoint
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
	Response           histogram.Histogram
	AtMost             bool // Response holds upper bounds
}

// Errors is how many requests ended in an error of the server's.
func (e *Endpoint) Errors() int64 { return min(e.Status[5]+e.GRPCErrors, e.Requests) }

// Answered is how many requests have a response.
func (e *Endpoint) Answered() (n int64) {
	for _, s := range e.Status {
		n += s
	}
	return n
}

func newEndpoints(limit int) *Endpoints {
	return &Endpoints{limit: limit, rows: map[endpointKey]*Endpoint{}}
}

func (t *Endpoints) add(c *connection) {
	i := c.talk.HTTP
	if i == nil {
		return
	}
	for n := range i.Endpoints {
		p := &i.Endpoints[n]
		key := endpointKey{serviceOf(&c.key), p.Method, p.Host, p.Path}
		e := t.rows[key]
		if e == nil && len(t.rows) < t.limit {
			e = &Endpoint{Service: key.Service, Method: p.Method, Host: p.Host, Path: p.Path}
			t.rows[key] = e
		}
		if e == nil {
			e = &t.Other
		} else if e.Name == "" {
			e.Name = c.names[1]
		}
		e.add(p, c.talk.atMost)
	}
	t.Other.add(&i.Other, c.talk.atMost)
}

func (e *Endpoint) add(p *httpmeta.Endpoint, atMost bool) {
	e.Requests += p.Requests
	for class, n := range p.Status {
		e.Status[class] += n
	}
	e.GRPC += p.GRPC
	e.GRPCErrors += p.GRPCError
	merge(&e.Response, &p.Response)
	e.AtMost = e.AtMost || atMost && p.Response.Count() > 0
}

// Rows lends the rows in an order.
func (t *Endpoints) Rows(order Order) []*Endpoint {
	rows := make([]*Endpoint, 0, len(t.rows))
	for _, e := range t.rows {
		rows = append(rows, e)
	}
	rate := func(e *Endpoint) float64 { return float64(e.Errors()) / float64(max(e.Requests, 1)) }
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
