package flow

import "mirrorscope/packet"

// Watcher is told what a table does with packets, to compare flows of several
// observation points. Flows are named by numbers: one that has ended gives its
// number to another.
type Watcher interface {
	// Packet tells of each packet that flow n counts, in direction dir (0 from
	// Key.A to Key.B): no mirror copies, no strays. Of a young connection that is the
	// only flow of its 5-tuple it does not tell: see Late.
	Packet(n uint32, p *packet.Packet, dir int)
	// End tells that flow n has its record, a Connection, and may set Joined.
	End(n uint32, r *Record)
	// Watches tells whether a flow is known whose 5-tuple has a hash
	// (packet.Packet.Hash).
	Watches(tuple uint64) bool
	// Late is Packet for one that came before, of a flow that was the only one of its
	// 5-tuple until now, which is after all that Packet told of. All packets of such a
	// flow come in order, and then Told.
	Late(n uint32, p *packet.Packet, dir int, now int64)
	Told()
	// Drain comes when the input has ended, before all flows end.
	Drain(now int64)
}

// Watch lets w be told from now on; nil: nobody. A flow that was there before
// may become known by a later packet, or only by its end.
func (t *Table) Watch(w Watcher) {
	if t.watcher = w; w == nil {
		t.forgetUnpaired()
	}
}

// ClientDirection is the direction, by the order of the record's key, in which
// the client sends.
func (r *Record) ClientDirection() uint8 {
	if e := &r.Ends[Client]; e.Addr == r.key.A && (!e.HasPort || e.Port == r.key.PortA) {
		return 0
	}
	return 1
}
