package packet

// vlan reads one tag of IEEE 802.1Q, 802.1ad or an older stacking scheme: 3
// bits priority, 1 bit DEI, 12 bits VLAN id, then the next EtherType. Tags
// nest to any depth, each is one header of the loop.
func (w *walk) vlan() step {
	if len(w.b) < 4 {
		return w.fail(SkipTruncated)
	}
	w.tag(be16(w.b) & 0xfff)
	etherType := be16(w.b[2:])
	w.advance(4)
	return w.ether(etherType)
}
