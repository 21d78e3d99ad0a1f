package dnsmeta

// kind of an event.
type kind uint8

const (
	query     kind = iota
	repeat         // a query again, unanswered so far
	unheard        // a query whose responses go elsewhere
	response       // the first to a recorded query
	duplicate      // a further one
	unsolicited
	announced
	timeout
	unanswerable
	unpaired
	lost
	dropped
	malformed
	cut
)

// Marks of a response.
const (
	late      uint8 = 1 << iota // it came after Timeout
	truncated                   // TC
	timed                       // its time is a sample
)

// event is one step of a flow's Info. A Conn keeps the first few instead of an
// Info: most flows have no more.
type event struct {
	name  string // of the query; "" where it has none
	took  int64  // ns from query to response
	typ   uint16
	rcode uint16
	kind  kind
	marks uint8
}

// add tells an event. room tells whether Names may grow.
func (i *Info) add(e *event, room bool) {
	switch e.kind {
	case query, repeat, unheard, response, timeout:
		n := i.place(e, room)
		i.Counts.count(e)
		n.count(e)
	case duplicate:
		i.Duplicates++
	case unsolicited:
		i.Unsolicited++
	case announced:
		i.Announced++
	case unanswerable:
		i.Unanswerable++
	case unpaired:
		i.Unpaired++
	case lost:
		i.Lost++
	case dropped:
		i.Dropped++
	case malformed:
		i.Malformed++
	case cut:
		i.Cut++
	}
	switch e.kind {
	case unheard:
		i.Unpaired++
	case response:
		if e.marks&late != 0 {
			i.Late++
		}
		if e.marks&timed != 0 {
			i.Time.Add(e.took)
			shrink(&i.Time, maxTimeBuckets)
		}
		fallthrough
	case duplicate, unsolicited, announced:
		i.RCodes[min(int(e.rcode), len(i.RCodes)-1)]++
	}
}

// place gives the counts that an event's name has, and records its time.
func (i *Info) place(e *event, room bool) *Counts {
	if e.name == "" {
		return &i.Other
	}
	n := i.find(e.name, e.typ)
	if n == nil {
		if !room || len(i.Names) >= MaxNames {
			return &i.Other
		}
		n = i.grow(e.name, e.typ)
	}
	if e.kind == response && e.marks&timed != 0 {
		n.Time.Add(e.took)
		shrink(&n.Time, maxNameBuckets)
	}
	return &n.Counts
}

func (c *Counts) count(e *event) {
	switch e.kind {
	case repeat:
		c.Repeats++
		c.Queries++
	case query, unheard:
		c.Queries++
	case timeout:
		c.Timeouts++
	case response:
		c.Responses++
		switch e.rcode {
		case rcodeNoError:
		case rcodeServFail:
			c.SERVFAIL++
		case rcodeNXDomain:
			c.NXDOMAIN++
		default:
			c.OtherErr++
		}
		if e.marks&truncated != 0 {
			c.Truncated++
		}
	}
}
