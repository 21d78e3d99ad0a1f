package httpmeta

import "mirrorscope/histogram"

// Info is what a connection, or a part of its time, told. It is additive.
type Info struct {
	Version   Version
	Requests  int64    // whose head was read
	Responses int64    // final ones (not 1xx)
	Status    [6]int64 // by first digit of the status code; 0: none of 1xx to 5xx
	GRPC      int64    // responses with a grpc-status
	GRPCError int64    // of those, other than 0 (OK)
	Aborted   int64    // requests without a response when the connection ended

	RequestBytes, ResponseBytes int64  // octets of bodies, without framing
	Upgraded                    string // "websocket", "h2c", "connect", …; what comes then is not HTTP/1

	Endpoints []Endpoint // in order of first appearance; at most MaxEndpoints
	Other     Endpoint   // of those that found no place; its names are empty
}

// Endpoint sums the requests of one method, host and path template.
type Endpoint struct {
	Method, Host, Path string
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
	Method, Host, Path string // template
	Status             int    // 0: no response
	GRPC               int    // grpc-status; -1: none

	RequestAt, RequestEnd   int64 // first octet of the head, last octet of the body
	ResponseAt, ResponseEnd int64 // first octet of the final response's head, last octet of its body
	RequestPos, RequestLast int64 // positions of the first octet, and behind the last
	ResponsePos             int64
	RequestBytes            int64 // body
	ResponseBytes           int64
	Broken                  bool // octets of the request's or the response's head were missed: the times do not count
}
