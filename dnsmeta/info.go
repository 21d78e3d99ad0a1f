// Package dnsmeta reads DNS, mDNS and LLMNR messages: who was asked for what,
// with which result and how long that took, and which names the addresses in
// the responses have.
//
// A Conn follows one flow. It pairs responses with queries by id, name, type
// and direction, within bounds; what is dropped at a bound is counted. Only the
// first question of a message and its answers are kept. The parser trusts no
// length, compression pointers must point backwards, and a query or response
// for a name that is known already allocates nothing.
//
// Everything runs on packet time: when Advance is called decides when a timeout
// is told, never whether.
//
// RFC 1035 and 6895 (messages), 2181, 6891 (EDNS), 7766 (TCP), 6762 (mDNS),
// 4795 (LLMNR).
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
	Timeouts  int64 // queries without a response within Timeout; a query and its repeats count once
}

// Info is what a flow, or a part of its time, told. It is additive. Of each
// query, repeats aside, one thing is told in the end:
//
//	Queries - Repeats = Responses - Late + Timeouts + Unanswerable + Unpaired + Lost + Dropped
type Info struct {
	Protocol Protocol
	Counts
	Late         int64               // responses that came after Timeout: their queries are in Timeouts, too
	Unanswerable int64               // queries that were open when the flow ended: no response yet, and none missed
	Unpaired     int64               // queries to a multicast group, or by mDNS, without a response in this flow: other flows hold it, or silence is the answer
	Lost         int64               // queries without a response where octets were missed in which it may have been
	Dropped      int64               // queries that left a full table while they waited
	Unsolicited  int64               // responses whose query was not recorded
	Announced    int64               // the same in mDNS and LLMNR, where it is the usual case
	Duplicates   int64               // further responses to a query that was repeated
	Malformed    int64               // messages that could not be read, or not to their end
	Cut          int64               // the same, because the capture holds only a part of them
	RCodes       [24]int64           // all responses, unsolicited ones too, by rcode (RFC 6895); the last one counts all above
	Time         histogram.Histogram // from the last octet of a query to the last of its response, ns, late ones included; of queries that were sent once
	Names        []Name              // by query name and type, in order of first appearance; at most MaxNames
	Other        Counts              // of names that found no place, and of queries without a question
}

// Name is what one query name and type got.
type Name struct {
	Name string // lower case, without the dot at the end; "." is the root; octets that do not print, dots and backslashes in a label as RFC 1035 section 5.1 writes them
	Type uint16 // RFC 1035 section 3.2.2
	Counts
	Time histogram.Histogram
}

// MaxNames bounds Info.Names.
const MaxNames = 64

// Buckets of Info.Time and of Name.Time. Beyond them the histogram is made
// coarser, which does not depend on the order of its values.
const (
	maxTimeBuckets = 320
	maxNameBuckets = 64
)

// Merge adds all that o holds to i. o stays as it is, and shares nothing with i.
func (i *Info) Merge(o *Info) {
	if i.Protocol == DNS {
		i.Protocol = o.Protocol
	}
	i.Counts.add(&o.Counts)
	i.Late += o.Late
	i.Unanswerable += o.Unanswerable
	i.Unpaired += o.Unpaired
	i.Lost += o.Lost
	i.Dropped += o.Dropped
	i.Unsolicited += o.Unsolicited
	i.Announced += o.Announced
	i.Duplicates += o.Duplicates
	i.Malformed += o.Malformed
	i.Cut += o.Cut
	for r, n := range o.RCodes {
		i.RCodes[r] += n
	}
	merge(&i.Time, &o.Time, maxTimeBuckets)
	for k := range o.Names {
		from := &o.Names[k]
		to := i.find(from.Name, from.Type)
		if to == nil {
			if len(i.Names) >= MaxNames {
				i.Other.add(&from.Counts)
				continue
			}
			to = i.grow(from.Name, from.Type)
		}
		to.Counts.add(&from.Counts)
		merge(&to.Time, &from.Time, maxNameBuckets)
	}
	i.Other.add(&o.Other)
}

// Reset empties the Info and keeps its protocol and memory.
func (i *Info) Reset() {
	names := i.Names[:0]
	i.Time.Reset()
	*i = Info{Protocol: i.Protocol, Time: i.Time, Names: names}
}

// Clone gives a copy that shares nothing with i.
func (i *Info) Clone() *Info {
	c := *i
	c.Time = *i.Time.Clone()
	c.Names = make([]Name, len(i.Names))
	for k := range i.Names {
		c.Names[k] = i.Names[k]
		c.Names[k].Time = *i.Names[k].Time.Clone()
	}
	return &c
}

// find gives the entry of a name and type, nil where there is none.
func (i *Info) find(name string, typ uint16) *Name {
	for k := range i.Names {
		if n := &i.Names[k]; n.Type == typ && n.Name == name {
			return n
		}
	}
	return nil
}

// grow appends an entry, in memory that Reset has kept if there is some.
func (i *Info) grow(name string, typ uint16) *Name {
	n := len(i.Names)
	if n == cap(i.Names) {
		i.Names = append(i.Names, Name{})
	} else {
		i.Names = i.Names[:n+1]
	}
	e := &i.Names[n]
	e.Time.Reset()
	e.Name, e.Type, e.Counts = name, typ, Counts{}
	return e
}

func (c *Counts) add(o *Counts) {
	c.Queries += o.Queries
	c.Repeats += o.Repeats
	c.Responses += o.Responses
	c.NXDOMAIN += o.NXDOMAIN
	c.SERVFAIL += o.SERVFAIL
	c.OtherErr += o.OtherErr
	c.Truncated += o.Truncated
	c.Timeouts += o.Timeouts
}

// merge adds from to to and keeps to within its number of buckets.
func merge(to, from *histogram.Histogram, buckets int) {
	to.Merge(from)
	shrink(to, buckets)
}

func shrink(h *histogram.Histogram, buckets int) {
	for len(h.Buckets()) > buckets && h.Scale() > 0 {
		h.Downscale(h.Scale() - 1)
	}
}
