package dnsmeta

import "mirrorscope/histogram"

// Protocol that a flow speaks.
type Protocol uint8

const (
	DNS   Protocol = iota // RFC 1035, over UDP or TCP
	MDNS                  // RFC 6762
	LLMNR                 // RFC 4795
)

func (p Protocol) String() string { return [...]string{"dns", "mdns", "llmnr"}[p] }

// Counts of queries. They add up.
type Counts struct {
	Queries   int64 // repeats of a query (same id, name and type, unanswered) included
	Repeats   int64
	Responses int64 // that answer a recorded query
	NXDOMAIN  int64
	SERVFAIL  int64
	OtherErr  int64 // responses with another rcode than NOERROR, NXDOMAIN, SERVFAIL
	Truncated int64 // responses with TC
	Timeouts  int64 // queries without a response within Timeout
}

// Info is what a flow, or a part of its time, told. It is additive.
type Info struct {
	Protocol Protocol
	Counts
	Unanswerable int64               // queries that were open when the flow ended: no response yet, and none missed
	Unsolicited  int64               // responses whose query was not recorded
	Malformed    int64               // messages that could not be read
	RCodes       [24]int64           // responses by rcode (RFC 6895); the last one counts all above
	Time         histogram.Histogram // from query to response, ns; of queries that were sent once
	Names        []Name              // by query name and type, in order of first appearance; at most MaxNames
	Other        Counts              // of names that found no place
}

// Name is what one query name and type got.
type Name struct {
	Name string // lower case, without the dot at the end; "." is the root
	Type uint16 // RFC 1035 section 3.2.2
	Counts
	Time histogram.Histogram
}

// MaxNames bounds Info.Names.
const MaxNames = 64
