package edge

import (
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/session"
	"mirrorscope/tlsmeta"
)

// Whole is what is taken of one whole connection, seen at one point or at
// several. It lends what the records hold. Its memory is used again.
type Whole struct{ c connection }

// Single makes it a connection that one point recorded.
func (w *Whole) Single(r *flow.Record) { w.c.single(r) }

// Joined makes it a connection that several points recorded. record gives the
// record of a point by its id, nil where there is none: then other points stand
// for the connection.
func (w *Whole) Joined(p *path.Connection, record func(id uint64) *flow.Record) {
	waiting := make(map[uint64]*waiter, len(p.Points))
	for i := range p.Points {
		if r := record(p.Points[i].Flow); r != nil {
			w.c.single(r)
			waiting[r.ID] = w.c.waiter(r)
		}
	}
	w.c = joined(p, waiting)
}

// Talker is the point as which the connection's protocols count; 0: none heard
// anything.
func (w *Whole) Talker() packet.PointID { return w.c.talk.point }

// Timer is the point as which its round trips and response times count; 0: none
// sampled any.
func (w *Whole) Timer() packet.PointID { return w.c.times.point }

// Open is how many of its requests the capture ended before. They are among the
// aborted ones of HTTP, and may have been answered.
func (w *Whole) Open() int64 {
	if w.c.talk.HTTP == nil {
		return 0
	}
	_, open := httpOf(w.c.talk.HTTP, w.c.talk.ending)
	return open
}

// Conclude adds how a connection ended: its outcome and who ended it, requests
// that had no answer, and how its time divides. It is a part of what a Table
// counts of a connection; volumes, durations and what was said are left to the
// caller.
func (v *Conversation) Conclude(w *Whole) {
	v.Outcomes[w.c.outcome]++
	v.Ends.add(&w.c.ends)
	v.name(&w.c.names)
	v.conclude(&w.c)
}

// Merge adds all that another conversation holds, but for its key. Distributions
// become coarser where they hold much.
func (v *Conversation) Merge(o *Conversation) { v.merge(o) }

// Hello is what the TLS, DTLS or QUIC handshake of a connection told; nil where
// there was none.
func Hello(r *session.Report) (*tlsmeta.Info, session.Handshake) { return hello(r) }

// Count adds what one point has of a handshake, but for its durations.
func (t *TLS) Count(r *session.Report, point packet.PointID) {
	var h handshake
	if h.of(r); h.spoken {
		t.count(&h, point)
	}
}

// Merge adds all that another one holds. Distributions become coarser where they
// hold much.
func (t *TLS) Merge(o *TLS) { t.merge(o) }

// Failed tells of a TLS handshake that it gave no connection.
func Failed(o tlsmeta.Outcome) bool { return tlsFailed(o) }

// Rank is by what an order sorts a conversation: the larger n comes first, then the
// larger x. Both are 0 where it sorts by octets, which follow in any case.
func (o Order) Rank(c *Conversation) (n int64, x float64) {
	v := o.of(c)
	return v.n, v.x
}
