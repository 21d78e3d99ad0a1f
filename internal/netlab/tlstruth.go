package netlab

import (
	"cmp"
	"slices"
)

// TLSTruth is what is true of the TLS of one connection, and when it happened at
// one tap. Times are µs; nil where there is none.
type TLSTruth struct {
	Version           string      `json:"version,omitempty"` // empty: there was no ServerHello
	Resumed           bool        `json:"resumed"`
	HelloRetry        bool        `json:"hello_retry"`
	EarlyData         string      `json:"early_data"` // none offered accepted rejected
	ClientCertificate bool        `json:"client_certificate"`
	Alert             *AlertTruth `json:"alert,omitempty"`        // in the clear
	Sealed            *AlertTruth `json:"sealed_alert,omitempty"` // encrypted
	Done              bool        `json:"done"`                   // both Finished were sent
	EndBy             Direction   `json:"end_by"`                 // who sent the last octet of the handshake

	// Total is from the first octet of the ClientHello to the last of the
	// handshake, as packets passed the tap. AtClient is the same at the client's
	// host: from sending the one to sending or having the other. Clock is that by
	// the client's program.
	Total    *float64 `json:"total_us"`
	AtClient *float64 `json:"at_client_us"`
	Clock    *float64 `json:"clock_us"`

	// Seen is Total with the copy of the last octet that arrived, where the tap saw
	// that one and the first ClientHello.
	Seen *float64 `json:"seen_us"`

	// Unseen: the packet that first carried the first octet or the last was lost
	// before the tap, which saw a repeat. Total is not what the ends waited then.
	Unseen bool `json:"unseen"`

	Shares [2]ShareTruth `json:"shares"` // by end
}

// AlertTruth is an alert that was sent.
type AlertTruth struct {
	By          Direction `json:"by"`
	Level       uint8     `json:"level"`
	Description string    `json:"description"`
}

func (a *AlertTruth) String() string {
	if a == nil {
		return ""
	}
	return a.By.String() + " " + a.Description
}

// ShareTruth is the time that one end took in the handshake, in µs: from having all
// that it waited for to sending what it then sent, over all its flights. Pauses in
// a flight that the congestion window made are the network's.
type ShareTruth struct {
	Host  float64  `json:"host_us"`  // by the packets at the end's own device
	Tap   *float64 `json:"tap_us"`   // by the same packets at the tap, less the base of the round trip to the end for each flight
	Last  *float64 `json:"last_us"`  // the same with the last packet of each flight, which may have been later than the one before
	Waits int      `json:"waits"`    // flights that it took a base off for
	Clock *float64 `json:"clock_us"` // by the end's program: the time that it did not wait in a read
}

// tls says what is true of the connection's TLS at the tap.
func (v *view) tls() *TLSTruth {
	said := v.flow.said
	if said == nil || said.tls == nil {
		return nil
	}
	t := *said.tls
	t.Done, t.EndBy = said.done, said.endBy
	if !said.done {
		return &t
	}
	t.Total = duration(v.flow.passes(FromClient, 0, v.tap), v.flow.completed(said.endBy, said.end, v.tap))
	first, last := v.flow.carrier(FromClient, 0), v.flow.carrier(said.endBy, said.end-1)
	t.Unseen = len(first.Passed[v.tap]) == 0 || len(last.Passed[v.tap]) == 0
	begin := first.Time
	if said.endBy == FromClient {
		t.AtClient = microseconds(last.Time - begin)
		if !t.Unseen {
			t.Seen = t.Total
		}
	} else if s := v.flow.completer(FromServer, said.end, ClientTap); s != nil {
		t.AtClient = microseconds(arrival(s) - begin)
		if !t.Unseen && len(s.Passed[v.tap]) > 0 {
			t.Seen = microseconds(s.Passed[v.tap][0] - v.flow.passes(FromClient, 0, v.tap))
		}
	}
	if e := v.flow.ends; e != nil {
		if ns, ok := e[FromClient].took(); ok {
			t.Clock = microseconds(ns)
		}
	}
	for d := range t.Shares {
		t.Shares[d] = v.share(Direction(d))
	}
	return &t
}

// duration gives the µs between two times, of which 0 is none.
func duration(from, to int64) *float64 {
	if from == 0 || to == 0 {
		return nil
	}
	return microseconds(to - from)
}

// share sums the waits of one end.
func (v *view) share(d Direction) ShareTruth {
	var host, trips, trips2 int64 // to the packet that counts, to the last of its flight
	known := true
	waits := 0
	own := ClientTap
	if d == FromServer {
		own = ServerTap
	}
	for _, w := range v.flow.said.waits {
		if w.who != d {
			continue
		}
		waits++
		from := v.flow.completer(1-d, w.after, own)
		to, last, paused, pauses := v.flow.sends(w)
		if from == nil || to == nil {
			known = false
			continue
		}
		host += to.Time - arrival(from) - paused
		if len(from.Passed[v.tap]) == 0 || len(to.Passed[v.tap]) == 0 {
			known = false
			continue
		}
		trip := (to.Passed[v.tap][0] - to.Time) + (arrival(from) - from.Passed[v.tap][0])
		trips += trip
		if d == FromServer && len(last.Passed[v.tap]) > 0 {
			// The pauses of the congestion window are off, as they were at the host.
			trip += last.Passed[v.tap][0] - to.Passed[v.tap][0] - (pauses - paused)
		}
		trips2 += trip
	}
	t := ShareTruth{Host: float64(host) / 1000, Waits: waits}
	if base := v.rtt(1 - d).Min; known && base != nil {
		at := max(0, float64(host+trips)/1000-float64(waits)**base)
		last := max(0, float64(host+trips2)/1000-float64(waits)**base)
		t.Tap, t.Last = &at, &last
	}
	if v.tap == own && known {
		t.Tap, t.Last = &t.Host, &t.Host
	}
	if e := v.flow.ends; e != nil {
		var read, written int64
		for _, w := range v.flow.said.waits {
			switch {
			case w.who != d:
			case d == FromClient:
				written = w.first
			default:
				if read == 0 {
					read = w.after
				}
				written = w.last - 1
			}
		}
		if ns, ok := e[d].busy(read, written); ok {
			t.Clock = microseconds(ns)
		}
	}
	return t
}

// window is how much a host sends before the first acknowledgement: 10 segments
// (RFC 6928), less one that may not be full.
const window = 9 * (mtu - 52)

// sends gives the packet with which an end has sent what it had to, the first of a
// client and the last of a server, and the time to then in which the congestion window
// made it pause. Where the window alone keeps back what remains, that counts as sent;
// last and pauses are those of the whole flight.
func (f *flowTruth) sends(w wait) (counts, last *Sent, paused, pauses int64) {
	for pos := w.first; pos < w.last; {
		s := f.carrier(w.who, pos)
		if s == nil {
			return nil, nil, 0, 0
		}
		switch {
		case last == nil:
			counts = s
			if w.who == FromClient {
				return s, s, 0, 0
			}
		case last.Pos+last.Space-f.acknowledged(w.who, last.Time) >= window:
			pauses += s.Time - last.Time
		default:
			counts, paused = s, pauses
		}
		last = s
		pos = s.Pos - 1 + s.Space
	}
	return counts, last, paused, pauses
}

// acknowledged is how far d knew at a time that the other side had its data.
func (f *flowTruth) acknowledged(d Direction, at int64) int64 {
	var high int64
	for _, a := range f.sent[1-d] {
		if a.Delivered() && arrival(a) <= at {
			high = max(high, a.Ack)
		}
	}
	return high
}

// carrier is the packet that carried an octet of the stream first.
func (f *flowTruth) carrier(d Direction, pos int64) *Sent {
	for _, s := range f.sent[d] {
		if s.Len > 0 && s.Pos-1 <= pos && pos < s.Pos-1+int64(s.Len) {
			return s
		}
	}
	return nil
}

// passes is when an octet passed the tap first; 0: never.
func (f *flowTruth) passes(d Direction, pos int64, tap Tap) int64 {
	var first int64
	for _, s := range f.sent[d] {
		if s.Len > 0 && s.Pos-1 <= pos && pos < s.Pos-1+int64(s.Len) && len(s.Passed[tap]) > 0 && (first == 0 || s.Passed[tap][0] < first) {
			first = s.Passed[tap][0]
		}
	}
	return first
}

// completer is the packet with which everything before a position of the stream had
// passed the tap; nil: never.
func (f *flowTruth) completer(d Direction, end int64, tap Tap) *Sent {
	passed := slices.DeleteFunc(slices.Clone(f.sent[d]), func(s *Sent) bool { return s.Len == 0 || len(s.Passed[tap]) == 0 })
	slices.SortStableFunc(passed, func(a, b *Sent) int { return cmp.Compare(a.Passed[tap][0], b.Passed[tap][0]) })
	var all intervals
	for _, s := range passed {
		all.add(s.Pos-1, s.Pos-1+int64(s.Len))
		if all.within(0, end) == end {
			return s
		}
	}
	return nil
}

// completed is when that was.
func (f *flowTruth) completed(d Direction, end int64, tap Tap) int64 {
	if s := f.completer(d, end, tap); s != nil {
		return s.Passed[tap][0]
	}
	return 0
}

// turns gives the exchanges of an application, as ResponseTruth.
func (v *view) turns() []ResponseTruth {
	out := []ResponseTruth{}
	var busy int64 // until when the server was sending what was asked before
	for _, e := range v.flow.said.exchanges {
		request := v.flow.completer(FromClient, e.requestEnd, ServerTap)
		answer := v.flow.carrier(FromServer, e.response)
		if request == nil || answer == nil {
			continue
		}
		t := ResponseTruth{
			Path: e.path, Status: e.status, Server: float64(answer.Time-arrival(request)) / 1000,
			Early: answer.Time < arrival(request), Queued: arrival(request) < busy,
		}
		if last := v.flow.carrier(FromServer, e.responseEnd-1); last != nil {
			busy = max(busy, last.Time)
		}
		for _, s := range v.flow.sent[FromClient] {
			t.Repeat = t.Repeat || s.Repeated() && s.Len > 0 && s.Pos-1 < e.requestEnd && e.request < s.Pos-1+int64(s.Len)
		}
		from, ok1 := v.first[request]
		to, ok2 := v.first[answer]
		if ok1 && ok2 {
			t.Raw = microseconds(to - from)
		}
		out = append(out, t)
	}
	return out
}
