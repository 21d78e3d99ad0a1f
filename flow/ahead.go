package flow

import "mirrorscope/packet"

// Ahead is what looking ahead at a packet leaves for AddLooked. It is used
// again for the next batch, holds no pointers, and promises nothing: between
// Look and AddLooked flows begin, end and move, so AddLooked asks again.
type Ahead struct {
	key   Key
	hash  uint64 // of the index, keyed
	print uint64 // fingerprint of the packet
	dir   uint8
}

// Look prepares the adding of a packet: its key, the hash of that, its
// fingerprint, and loads of the places where its flow is found, and packets like
// it. Whoever has a batch calls
// Look for all of it, then Fetch for all, then AddLooked.
func (t *Table) Look(p *packet.Packet, a *Ahead) {
	key, dir := keyOf(p)
	a.key, a.dir = key, uint8(dir)
	a.hash = t.secret.hash(&a.key)
	t.index.prefetch(a.hash)
	a.print = t.copies.secret.fingerprint(a.hash, p, dir)
	t.copies.prefetch(a.print)
}

// Fetch loads what of the flow the packet will need.
func (t *Table) Fetch(a *Ahead) {
	if n, ok := t.index.probable(a.hash); ok {
		t.flows.prefetch(n)
	}
}

// Add takes one packet, in record order. It keeps nothing that aliases it.
func (t *Table) Add(p *packet.Packet) {
	var a Ahead
	t.Look(p, &a)
	t.AddLooked(p, &a)
}
