package packet

// ciscoMetadata reads the Cisco metadata header (EtherType 0x8909), which
// carries a security group tag in front of the real EtherType: version 1, the
// number of options, then the options of 4 octets each (length and type, then
// a value), then the EtherType. The format is not published; this reading
// agrees with captures.
func (w *walk) ciscoMetadata() step {
	if len(w.b) < 2 {
		return w.fail(SkipTruncated)
	}
	n := 2 + 4*int(w.b[1])
	if w.b[0] != 1 || n+2 > w.wire {
		return w.fail(BadTunnel)
	}
	if len(w.b) < n+2 {
		return w.fail(SkipTruncated)
	}
	etherType := be16(w.b[n:])
	w.enter(CiscoMetadata)
	w.advance(n + 2)
	return w.ether(etherType)
}

// greCiscoMetadata reads the same behind n octets of GRE, where the EtherType
// comes first. GRE is listed as well: it is a tunnel of its own here.
func (w *walk) greCiscoMetadata(n int) step {
	if n+4 > w.wire {
		return declined
	}
	if len(w.b) < n+4 {
		return w.fail(SkipTruncated)
	}
	h := w.b[n:]
	head := n + 4 + 4*int(h[3])
	if h[2] != 1 || head > w.wire {
		return declined
	}
	if len(w.b) < head {
		return w.fail(SkipTruncated)
	}
	w.enter(GRE)
	w.enter(CiscoMetadata)
	w.advance(head)
	return w.ether(be16(h))
}
