// Package httpmeta follows clear-text HTTP on one TCP connection: HTTP/1.0 and
// 1.1, HTTP/2 with prior knowledge or by upgrade, and gRPC over it. It tells
// the exchanges, requests with their responses, and sums them.
//
// What is kept of a message is its method, host, path template, status,
// grpc-status and lengths. Query, fragment, other fields and bodies never are;
// bodies are stepped over without a look, by their length. Octets are kept only
// while a head is incomplete, at most 64 KiB in each direction and within a
// pool.Budget.
//
// A Conn is fed both directions in the order of their record times. Any split
// of the same octets gives the same exchanges. Octets that were not recorded are
// stepped over where a length says what they were. Elsewhere the direction is
// lost until a new message begins in answer to the other side, and what was
// open is Broken: an exchange that cannot be paired for certain has no times.
// Of a connection joined on its way nothing is told before both sides agree that
// it is HTTP.
//
// RFC 9110, 9112 (HTTP/1.1), 1945 (HTTP/1.0), 9113 (HTTP/2), 7540 section 3.2
// (h2c), 7541 (HPACK), the gRPC protocol over HTTP/2.
package httpmeta

import (
	"slices"

	"mirrorscope/histogram"
)

// Info is what a connection, or a part of its time, told. It is additive.
type Info struct {
	Version   Version  // the highest
	Requests  int64    // whose head was read
	Responses int64    // final ones (not 1xx, but for the 101 that ends HTTP/1)
	Status    [6]int64 // by first digit of the status code; 0: none of 1xx to 5xx
	GRPC      int64    // responses with a grpc-status
	GRPCError int64    // of those, other than 0 (OK)
	Aborted   int64    // requests without a response when the connection ended, or whose stream was reset
	Missed    int64    // requests of which it is not known how they were answered: octets were not recorded
	Orphans   int64    // responses whose request was not recorded; they are in Responses and Status, and in no Endpoint

	RequestBytes, ResponseBytes int64  // octets of bodies, without framing
	Upgraded                    string // "websocket", "h2c", "connect", …; what comes then is not HTTP/1

	Losses

	Endpoints []Endpoint // in order of first appearance; at most MaxEndpoints
	Other     Endpoint   // of those that found no place, and of requests whose names are not known; its names are empty
}

// Losses count what could not be followed.
type Losses struct {
	Lost      int64 // times that octets were missed and a direction with them, until a new message or the end
	Malformed int64 // times that a direction was lost because what came is not HTTP
	TooLong   int64 // heads of more than 64 KiB
	NoMemory  int64 // heads that the budget had no room for
	Poisoned  int64 // directions whose HPACK state was lost: names or statuses are not known from then on
	Untracked int64 // requests beyond what a Conn follows at a time, responses that wait behind a request that does not end, and messages of a connection joined on its way that the other side did not bear out
}

func (l *Losses) add(o *Losses) {
	l.Lost += o.Lost
	l.Malformed += o.Malformed
	l.TooLong += o.TooLong
	l.NoMemory += o.NoMemory
	l.Poisoned += o.Poisoned
	l.Untracked += o.Untracked
}

// Endpoint sums the requests of one method, host and path template.
type Endpoint struct {
	Method, Host, Path string // Method is OTHER, Host is invalid in place of what nobody uses
	Requests           int64
	Status             [6]int64
	GRPC, GRPCError    int64
	Response           histogram.Histogram // the server's time to think, ns: the network's share is taken off by the caller
}

// MaxEndpoints bounds Info.Endpoints.
const MaxEndpoints = 64

// Version of HTTP.
type Version uint8

const (
	HTTP10 Version = iota + 1
	HTTP11
	HTTP2
)

func (v Version) String() string { return [...]string{"", "1.0", "1.1", "2"}[v] }

// Exchange is one request with its response. Times are the record times, in
// ns, of the packets that completed the octets in order; 0 is not known.
// Positions are those given to Conn.Feed.
type Exchange struct {
	Version            Version
	Method, Host, Path string // template; empty where not known
	Status             int    // 0: no response
	GRPC               int    // grpc-status; -1: none
	Upgraded           string // this exchange ended HTTP/1 on the connection: see Conn.Upgraded

	RequestAt, RequestEnd   int64 // first octet of the head, last octet of the body
	ResponseAt, ResponseEnd int64 // first octet of the final response's head, last octet of its body
	RequestPos, RequestLast int64 // positions of the first octet, and behind the last
	ResponsePos             int64
	RequestBytes            int64 // body
	ResponseBytes           int64
	Requested               bool // the request was recorded
	Broken                  bool // octets of the request's or the response's head were missed, or the response was recorded first: the times do not count
}

// Add counts an exchange. think is the server's share of the time to its
// response in ns, -1 where it is not known; it counts only where the exchange
// is not Broken.
func (i *Info) Add(e *Exchange, think int64) {
	i.Version = max(i.Version, e.Version)
	i.RequestBytes += e.RequestBytes
	i.ResponseBytes += e.ResponseBytes
	if e.Upgraded != "" {
		i.Upgraded = e.Upgraded
	}
	if e.Status != 0 {
		i.Responses++
		i.Status[class(e.Status)]++
		if e.GRPC >= 0 {
			i.GRPC++
			if e.GRPC > 0 {
				i.GRPCError++
			}
		}
	}
	if !e.Requested {
		if e.Status != 0 {
			i.Orphans++
		}
		return
	}
	i.Requests++
	if e.Status == 0 {
		if e.Broken {
			i.Missed++
		} else {
			i.Aborted++
		}
	}
	i.endpoint(e.Method, e.Host, e.Path).add(e, think)
}

func (p *Endpoint) add(e *Exchange, think int64) {
	p.Requests++
	if e.Status == 0 {
		return
	}
	p.Status[class(e.Status)]++
	if e.GRPC >= 0 {
		p.GRPC++
		if e.GRPC > 0 {
			p.GRPCError++
		}
	}
	if !e.Broken {
		p.Response.Add(think)
	}
}

// class is the first digit of a status code, 0 where it is none of 1 to 5.
func class(status int) int {
	if c := status / 100; c >= 1 && c <= 5 {
		return c
	}
	return 0
}

// endpoint finds the place of the given names, or makes one.
func (i *Info) endpoint(method, host, path string) *Endpoint {
	if method == "" {
		return &i.Other
	}
	for j := range i.Endpoints {
		if p := &i.Endpoints[j]; p.Path == path && p.Method == method && p.Host == host {
			return p
		}
	}
	n := len(i.Endpoints)
	if n >= MaxEndpoints {
		return &i.Other
	}
	if n < cap(i.Endpoints) { // what Reset left, with its memory
		i.Endpoints = i.Endpoints[:n+1]
	} else {
		i.Endpoints = append(i.Endpoints, Endpoint{})
	}
	p := &i.Endpoints[n]
	p.clear()
	p.Method, p.Host, p.Path = method, host, path
	return p
}

// clear empties p and keeps the memory of its histogram.
func (p *Endpoint) clear() {
	h := p.Response
	h.Reset()
	*p = Endpoint{Response: h}
}

// sum adds the counts and times of o, and no names.
func (p *Endpoint) sum(o *Endpoint) {
	p.Requests += o.Requests
	p.GRPC += o.GRPC
	p.GRPCError += o.GRPCError
	for c, n := range o.Status {
		p.Status[c] += n
	}
	p.Response.Merge(&o.Response)
}

// Rates are the shares of the requests that ended in a status of the client's
// errors (4xx), of the server's (5xx), and of the responses with a grpc-status
// in another than OK. ok is false where there was no request, and grpc is 0
// where there was no grpc-status.
func (p *Endpoint) Rates() (client, server, grpc float64, ok bool) {
	if p.Requests == 0 {
		return 0, 0, 0, false
	}
	if p.GRPC > 0 {
		grpc = float64(p.GRPCError) / float64(p.GRPC)
	}
	return float64(p.Status[4]) / float64(p.Requests), float64(p.Status[5]) / float64(p.Requests), grpc, true
}

// AddLosses counts what a Conn could not follow.
func (i *Info) AddLosses(l Losses) { i.Losses.add(&l) }

// Merge adds all that o holds. o stays as it is. Endpoints come in o's order
// behind those that i has; those that find no place go to Other.
func (i *Info) Merge(o *Info) {
	i.Version = max(i.Version, o.Version)
	i.Requests += o.Requests
	i.Responses += o.Responses
	i.GRPC += o.GRPC
	i.GRPCError += o.GRPCError
	i.Aborted += o.Aborted
	i.Missed += o.Missed
	i.Orphans += o.Orphans
	i.RequestBytes += o.RequestBytes
	i.ResponseBytes += o.ResponseBytes
	for c, n := range o.Status {
		i.Status[c] += n
	}
	if o.Upgraded != "" {
		i.Upgraded = o.Upgraded
	}
	i.Losses.add(&o.Losses)
	for j := range o.Endpoints {
		p := &o.Endpoints[j]
		i.endpoint(p.Method, p.Host, p.Path).sum(p)
	}
	i.Other.sum(&o.Other)
}

// Empty tells whether nothing was counted.
func (i *Info) Empty() bool {
	return i.Requests == 0 && i.Responses == 0 && i.Losses == Losses{}
}

// Reset empties i and keeps its memory.
func (i *Info) Reset() {
	endpoints, other := i.Endpoints[:0], i.Other
	other.clear()
	*i = Info{Endpoints: endpoints, Other: other}
}

// Clone gives a copy that shares nothing with i but the names.
func (i *Info) Clone() *Info {
	c := *i
	c.Endpoints = slices.Clone(i.Endpoints)
	for j := range c.Endpoints {
		c.Endpoints[j].Response = *c.Endpoints[j].Response.Clone()
	}
	c.Other.Response = *i.Other.Response.Clone()
	return &c
}
