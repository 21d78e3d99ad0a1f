package flow

import "mirrorscope/packet"

import "mirrorscope/tcp"

// talk follows what the two ends of a connection say to each other.
func (t *Table) talk(f *Flow, p *packet.Packet, g *tcp.Segment, dir int) {
	client := int(f.role.client)
	if c, _ := f.tcp.Client(); c >= 0 && p.TCP.Flags&packet.SYN != 0 {
		client = c // Fast Open
	} else if f.role.source == DirUnknown {
		client = -1
	}
	f.tcp.Exchange(t.tcp, g, dir, client)
}
