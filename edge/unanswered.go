package edge

import (
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/tcp"
)

// Unanswered tells of requests that had no response, on connections of which
// both directions were recorded.
type Unanswered struct {
	GaveUp    int64               // requests whose client ended the connection after patience or more
	GaveUpRST int64               // connections that it ended so by a reset
	Left      int64               // requests whose client ended the connection before
	Unheard   int64               // requests that the server had not acknowledged when the client gave up
	Waits     histogram.Histogram // from the last request of a connection to its end, ns, at least: where there was no response

	Mute int64 // connections of unknown protocols on which the client spoke, and waited, and the server never said anything

	Open      int64 // requests that waited when the capture ended
	OpenSince int64 // sum of the times since when, ms since the Unix epoch
	OpenFirst int64 // the earliest of them, ns since the Unix epoch
	Until     int64 // end of the capture, ns since the Unix epoch: of the last packet of any record
}

// patience is how long a client waits at least, in ns, to be said to have given
// up. Below that it went away by itself, or closes its direction behind the
// request and still listens.
const patience = slowResponse

func (u *Unanswered) merge(o *Unanswered) {
	u.GaveUp += o.GaveUp
	u.GaveUpRST += o.GaveUpRST
	u.Left += o.Left
	u.Unheard += o.Unheard
	merge(&u.Waits, &o.Waits)
	u.Mute += o.Mute
	if o.Open > 0 && (u.Open == 0 || o.OpenFirst < u.OpenFirst) {
		u.OpenFirst = o.OpenFirst
	}
	u.Open += o.Open
	u.OpenSince += o.OpenSince
	u.Until = max(u.Until, o.Until)
}

// OpenWait gives how long the requests that waited in the end had waited: in the
// mean, and the first of them. Both are ns.
func (u *Unanswered) OpenWait() (mean, longest int64) {
	if u == nil || u.Open == 0 {
		return 0, 0
	}
	return max(u.Until-u.OpenSince/u.Open*1e6, 0), max(u.Until-u.OpenFirst, 0)
}

// ending is how a connection ended, as far as its requests are concerned.
type ending uint8

const (
	endingUnknown ending = iota // one direction was recorded, or the memory ended before it
	stillOpen                   // the capture ended before it
	over                        // it ended by itself, or by the server
	gaveUp                      // the client ended it after patience or more …
	gaveUpRST                   // … by a reset
	unheard                     // … by a reset, with data unacknowledged
	left                        // it ended it before
)

// endingOf tells how one connection ended. waited is how long nothing came behind
// the last payload, ns; it is the wait for a response where that was a request.
func endingOf(r *flow.Record) (e ending, waited int64) {
	waited = tcp.Absent
	if r.Phases != nil {
		waited = r.Phases.Close
	}
	byClient := r.FINs[flow.Client] > 0 && r.FINs[flow.Server] == 0 || r.Outcome == flow.Reset && r.ResetBy == flow.Client
	switch {
	case r.Sent[flow.Client].Packets <= 0 || r.Sent[flow.Server].Packets <= 0 || r.EndReason == flow.EndLackOfResources:
		return endingUnknown, waited
	case byClient && waited >= patience:
		switch {
		case r.Outcome != flow.Reset:
			return gaveUp, waited
		case r.ResetUnacked:
			return unheard, waited
		}
		return gaveUpRST, waited
	case r.EndReason == flow.EndForced:
		return stillOpen, waited
	case byClient && r.EndReason != flow.EndIdleTimeout:
		return left, waited
	}
	return over, waited
}

// muteOf tells whether the client sent something that no reader knows, waited,
// and gave up without a word from the server. Whether that was a request, only
// the other connections of its conversation tell: some protocols have no answers.
func muteOf(r *flow.Record, e ending) bool {
	return r.HasTCP && r.TLS == nil && r.HTTP == nil && r.DNS == nil && r.Direction >= flow.DirSYNACK && r.TCP.Sides[flow.Server].Missed == 0 &&
		r.Sent[flow.Client].PayloadBytes > 0 && r.Sent[flow.Server].PayloadBytes == 0 && (e == gaveUp || e == gaveUpRST)
}

// unanswered gives the place for them.
func (v *Conversation) unanswered() *Unanswered {
	if v.Unanswered == nil {
		v.Unanswered = new(Unanswered)
	}
	return v.Unanswered
}

// hang adds n requests of a connection that had no response.
func (v *Conversation) hang(c *connection, n int64) {
	if n == 0 {
		return
	}
	u, t := v.unanswered(), &c.talk
	switch t.ending {
	case stillOpen:
		since := c.end - max(t.waited, 0)
		if u.Open == 0 || since < u.OpenFirst {
			u.OpenFirst = since
		}
		u.Open += n
		u.OpenSince += n * (since / 1e6)
		return
	case gaveUp, gaveUpRST:
		u.GaveUp += n
		if t.ending == gaveUpRST {
			u.GaveUpRST++
		}
	case unheard:
		u.Unheard += n
		u.GaveUpRST++
	case left:
		u.Left += n
	}
	if t.waited >= 0 && t.ending != endingUnknown {
		add(&u.Waits, t.waited)
	}
}
