package flow

import "mirrorscope/packet"

// Watcher is told what a table does with packets, to compare flows of several
// observation points. Flows are named by numbers: one that has ended gives its
// number to another.
type Watcher interface {
	// Packet tells of each packet that flow n counts, in direction dir (0 from
	// Key.A to Key.B): no mirror copies, no strays.
	Packet(n uint32, p *packet.Packet, dir int)
	// End tells that flow n has its record, a Connection, and may set Joined.
	End(n uint32, r *Record)
	// Drain comes when the input has ended, before all flows end.
	Drain(now int64)
}

// Watch lets w be told from now on; nil: nobody. A flow that was there before
// may become known by a later packet, or only by its end.
func (t *Table) Watch(w Watcher) { t.watcher = w }

// ClientDirection is the direction, by the order of the record's key, in which
// the client sends.
func (r *Record) ClientDirection() uint8 {
	if e := &r.Ends[Client]; e.Addr == r.key.A && (!e.HasPort || e.Port == r.key.PortA) {
		return 0
	}
	return 1
}
