package flow

import "mirrorscope/packet"

// Quote takes an ICMP error for the flow that it quotes, which is in this
// table; the error itself is a packet of a flow of its own, which may be in
// another. Only an error that stopped a connection from being opened changes
// an outcome: for TCP the quoted packet must be its SYN.
func (t *Table) Quote(p *packet.Packet, q *packet.Quote) {
	t.now = max(t.now, p.Now)
	t.unchecked++
	if !stopsOpening(p) {
		return
	}
	key, dir := quoteKey(p, q)
	n, ok := t.index.find(t.secret.hash(&key), &key, &t.flows)
	if !ok {
		return
	}
	if asleep(n) {
		n = t.wake(n)
	}
	f := t.flows.at(n)
	if t.now >= t.due(f) || t.rareIf(f).unreachable.ok || f.sent[1-dir].packets > 0 {
		return
	}
	if key.Proto == packet.ProtoTCP {
		isn, known := f.tcp.ISN(dir)
		if !known || !q.HasSeq || q.Seq != isn || f.tcp.Established() {
			return
		}
	}
	u := &t.rareOf(f).unreachable
	u.ok, u.by, u.typ, u.code = true, p.Src, p.ICMPType, p.ICMPCode
}

// stopsOpening: destination unreachable, but not "fragmentation needed", and
// time exceeded in transit (RFC 792, RFC 4443 section 3).
func stopsOpening(p *packet.Packet) bool {
	if p.Proto == packet.ProtoICMPv6 {
		return p.ICMPType == 1 || p.ICMPType == 3 && p.ICMPCode == 0
	}
	return p.ICMPType == 3 && p.ICMPCode != 4 || p.ICMPType == 11 && p.ICMPCode == 0
}

// Lost takes a packet of which some fragments did not come: its flow, if
// there is one, remembers that.
func (t *Table) Lost(p *packet.Packet) {
	t.unchecked++
	key, _ := keyOf(p)
	if n, ok := t.index.find(t.secret.hash(&key), &key, &t.flows); ok {
		if asleep(n) {
			n = t.wake(n)
		}
		f := t.flows.at(n)
		t.rareOf(f).incomplete++
		t.activate(n, f)
	}
}
