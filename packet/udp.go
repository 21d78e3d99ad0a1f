package packet

const (
	udpHeader = 8

	vxlanPort      = 4789  // RFC 7348 section 5
	vxlanLinuxPort = 8472  // Linux's default before the assignment
	vxlanGPEPort   = 4790  // IANA
	genevePort     = 6081  // RFC 8926 section 3.3
	gtpuPort       = 2152  // 3GPP TS 29.281 section 4.4.2
	tzspPort       = 37008 // as Wireshark and routers agree on it
	mplsUDPPort    = 6635  // RFC 7510 section 3
)

// portSet maps the UDP ports of tunnels to what they carry. Most packets are
// answered by one bit.
type portSet struct {
	bits  [1024]uint64
	kinds []portKind
}

type portKind struct {
	port uint16
	kind Tunnel
}

func (s *portSet) init(cfg *Config) {
	s.add(vxlanPort, VXLAN)
	s.add(vxlanLinuxPort, VXLAN)
	s.add(vxlanGPEPort, VXLANGPE)
	s.add(genevePort, Geneve)
	s.add(gtpuPort, GTPU)
	s.add(tzspPort, TZSP)
	s.add(mplsUDPPort, MPLSUDP)
	for _, port := range cfg.VXLANPorts {
		s.add(port, VXLAN)
	}
	for _, port := range cfg.GenevePorts {
		s.add(port, Geneve)
	}
}

// add lets the configuration override a default.
func (s *portSet) add(port uint16, kind Tunnel) {
	s.bits[port>>6] |= 1 << (port & 63)
	for i := range s.kinds {
		if s.kinds[i].port == port {
			s.kinds[i].kind = kind
			return
		}
	}
	s.kinds = append(s.kinds, portKind{port, kind})
}

func (s *portSet) kind(port uint16) Tunnel {
	if s.bits[port>>6]&(1<<(port&63)) == 0 {
		return NoTunnel
	}
	for _, k := range s.kinds {
		if k.port == port {
			return k.kind
		}
	}
	return NoTunnel
}

// udp reads a UDP header (RFC 768), and enters the tunnel that its port
// suggests if the content agrees. The destination port tells, as tunnels
// choose the source port by hash; GTP-U answers from its own port.
func (d *Decoder) udp(w *walk, p *Packet) step {
	b := w.b
	if len(b) < udpHeader {
		if len(b) >= 4 && w.wire > udpHeader && d.ports.kind(be16(b[2:])) != NoTunnel {
			return w.fail(SkipTruncated)
		}
		p.Proto = ProtoUDP
		w.ports(p, udpHeader)
		return done
	}
	src, dst, length := be16(b), be16(b[2:]), int(be16(b[4:]))
	var bad Flags
	switch {
	case p.Flags&LengthUnknown != 0 && (length == 0 || w.wire > maxIPv4):
		// Offloaded: neither length field was filled in.
	case length < udpHeader || length > w.wire:
		bad = BadHeader
	default:
		w.clip(length) // what is beyond are UDP options (RFC 9868)
	}
	kind := d.ports.kind(dst)
	if kind == NoTunnel && src == gtpuPort {
		kind = GTPU
	}
	if kind != NoTunnel && w.wire >= udpHeader {
		b, wire := w.b, w.wire
		w.advance(udpHeader)
		if next := d.udpTunnel(w, p, kind); next != declined {
			return next
		}
		w.b, w.wire = b, wire
		d.Declined[kind]++
	}
	p.Proto = ProtoUDP
	p.Flags |= bad
	if w.ports(p, udpHeader) {
		p.Checksum = be16(w.b[6:])
	}
	return done
}

// udpTunnel enters a tunnel of the given kind, whose header is at w.b, or
// declines and leaves w as it was. Declining depends on octets only: a header
// that the capture cuts is SkipTruncated.
func (d *Decoder) udpTunnel(w *walk, p *Packet, kind Tunnel) step {
	switch kind {
	case VXLAN:
		return w.vxlan(p)
	case VXLANGPE:
		return w.vxlanGPE(p)
	case Geneve:
		return w.geneve(p)
	case GTPU:
		return w.gtpu()
	case TZSP:
		return w.tzsp(p)
	case MPLSUDP:
		return w.mplsIn(MPLSUDP) // RFC 7510: the label stack follows at once
	}
	return declined
}
