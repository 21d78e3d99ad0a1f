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
