package tcp

import "mirrorscope/packet"

// opens takes a packet the short way, if it is one of the three that nearly all
// connections open with: the first SYN, the SYN-ACK that answers it, the ACK of
// that, none with data. It does what the whole way would do with it, and sends
// all others there.
func (c *Conn) opens(st *Store, g *Segment, p *packet.Packet, dir int, o *Opening) {
	*g = Segment{}
	if !c.opened(st, g, p, dir, o) {
		c.add(st, g, p, dir, o, false)
	}
}

// opened is opens, or false.
func (c *Conn) opened(st *Store, g *Segment, p *packet.Packet, dir int, o *Opening) bool {
	t := &p.TCP
	d, r := &c.Dirs[dir&1], &c.Dirs[(dir^1)&1]
	if p.PayloadLen != 0 || t.NumSACK != 0 || (d.has|r.has)&(upset|hasFIN) != 0 {
		return false
	}
	switch t.Flags & (packet.SYN | packet.ACK | packet.FIN | packet.RST) {
	case packet.SYN:
		if c.client >= 0 || d.has|r.has != 0 {
			return false
		}
		c.syn(st, p, dir, o)
	case packet.SYN | packet.ACK:
		if d.has != 0 || int(c.client) != dir^1 || r.has&(hasSeq|hasUna|sentSYN|sentSYNACK|recordedAll) != hasSeq|sentSYN|recordedAll || r.packets != 1 || r.hi-r.lo != 1 ||
			t.Ack != r.begin+1 || t.Ack != uint32(r.hi) {
			return false
		}
		c.syn(st, p, dir, o)
		r.firstACK(t)
	case packet.ACK:
		if c.flags&(established|reset|refused|simultaneous) != 0 || int(c.client) != dir || d.has&(hasSeq|hasUna|sentSYN|sentSYNACK) != hasSeq|hasUna|sentSYN ||
			r.has&(hasSeq|hasUna|sentSYN|sentSYNACK) != hasSeq|sentSYNACK || r.packets != 1 || r.hi-r.lo != 1 || t.Window == 0 ||
			t.Seq != uint32(d.hi) || t.Ack != r.begin+1 || t.Ack != uint32(r.hi) || d.una != d.hi {
			return false
		}
		r.firstACK(t)
		c.acknowledged(p, dir, o)
		c.note(st, d, p, true)
		g.Time, g.Pos, g.End, g.Before, g.Acked = p.Time, d.hi, d.hi, d.hi, r.una
		return true
	default:
		return false
	}
	d.lo = firstPos | int64(t.Seq)
	d.hi, d.lastAt, d.packets = d.lo+1, p.Time, 1
	d.has |= hasSeq | recordedAll
	c.note(st, d, p, true)
	g.Time, g.Pos, g.End, g.Acked = p.Time, d.hi, d.hi, r.una
	return true
}

// firstACK takes the first ACK of a direction of which nothing was recorded but a
// SYN or SYN-ACK: of all that.
func (d *Dir) firstACK(t *packet.TCP) {
	d.una = d.lo
	d.has |= hasUna
	d.move(d.hi, t.TSecr, t.Has&packet.HasTimestamps != 0)
}
