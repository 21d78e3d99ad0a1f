package packet

// maxDepth bounds the headers of one frame, tags and extension headers
// included. An AWS gateway load balancer's mirror of a tagged IP-in-IP packet
// has 12.
const maxDepth = 24

// maxFrame is the longest frame whose recorded wire length is believed, in
// octets. The largest real ones are offloaded packets (BIG TCP: 512 KiB); a
// damaged file may claim anything.
const maxFrame = 1 << 20

// Decoder turns frames into Packets. It is used by one goroutine. Several
// Decoders may share one Names.
//
// Every frame given to Decode gets exactly one verdict: what Decode returns,
// or, for Held, what is added to Settled later. So, once Flush was called,
//
//	frames = Σ over skips except Held (returned + Settled)
//
// where OK stands for the decoded ones.
type Decoder struct {
	// Settled counts frames that were Held by the verdict they got in the end:
	// that of the frame that completed their packet (OK as a rule),
	// FragmentIncomplete or FragmentOverlap.
	Settled [NumSkips]uint64

	// Declined counts packets whose UDP port or IP protocol names a tunnel and
	// whose octets are none that the decoder reads. They are packets of the
	// outer addresses.
	Declined [numTunnels]uint64

	// Lost, if set, is called for a packet whose fragments did not all come
	// when its first one did: p holds its 5-tuple, point and network, and is
	// valid during the call. The call happens inside Decode or Flush; it is not
	// a packet of its own, and must not be counted as one.
	Lost func(p *Packet)

	cfg   Config
	names *Names
	ports portSet
	ids   idCache
	frags fragmentTable
	walk  walk

	straight fastIDs

	sequences sequences
}

// NewDecoder returns a Decoder that takes ids from names. cfg must be valid.
func NewDecoder(cfg Config, names *Names) *Decoder {
	d := &Decoder{cfg: cfg, names: names}
	d.ports.init(&cfg)
	d.ids.init(&cfg)
	d.frags.init(cfg.Fragments)
	names.configure(&cfg)
	return d
}

// Decode reads one frame into p, which is overwritten. link is a LINKTYPE_
// number, iface the capture interface, wireLen the octets of the frame before
// any snap length, and time its record time in ns since the Unix epoch.
//
// The result is OK when p holds a packet; otherwise p is not valid. p.Payload
// aliases data, or, for a Reassembled packet, memory of the Decoder that the
// next call of Decode overwrites.
func (d *Decoder) Decode(data []byte, link uint16, iface uint32, wireLen int, time int64, p *Packet) Skip {
	if d.frags.oldest != nil {
		d.expire(time)
	}
	if wireLen < len(data) || wireLen > maxFrame {
		wireLen = len(data)
	}
	if link == linkEthernet {
		if d.Usual(data, iface, wireLen, time, p) {
			return OK
		}
		if !d.cfg.VLANInKey && d.fast(data, wireLen, iface, time, p) {
			return OK
		}
	}
	return d.general(data, link, iface, wireLen, time, p)
}

// general is Decode for every frame there can be.
func (d *Decoder) general(data []byte, link uint16, iface uint32, wireLen int, time int64, p *Packet) Skip {
	w := &d.walk
	// Cleared, then set: a literal with values would be built elsewhere and
	// copied.
	w.progress = progress{}
	w.b, w.wire, w.iface, w.time = data, wireLen, iface, time
	*p = Packet{}
	p.Time = time
	s := d.run(w, w.link(link), p)
	if w.numbered {
		d.numbered(w, w.sequence)
	}
	if w.released != 0 {
		d.Settled[s] += w.released
	}
	return s
}

// Holds tells whether there is anything of which the next Decode may call Lost.
func (d *Decoder) Holds() bool { return d.frags.oldest != nil }

// Flush ends the reassembly of all that is held: the input is at its end.
func (d *Decoder) Flush() {
	for d.frags.oldest != nil {
		d.drop(d.frags.oldest)
	}
}

// run is the loop over "which header comes next".
func (d *Decoder) run(w *walk, next step, p *Packet) Skip {
	for range maxDepth {
		switch next {
		case atEthernet:
			next = w.ethernet(p)
		case atVLAN:
			next = w.vlan()
		case atIP:
			next = w.ip()
		case atIPv4:
			next = d.ipv4(w, p)
		case atIPv6:
			next = d.ipv6(w, p)
		case atProto:
			next = d.transport(w, p)
		case atMPLS:
			next = w.mpls()
		case atPPPoE:
			next = w.pppoe()
		case atPPP:
			next = w.ppp()
		case atCiscoMetadata:
			next = w.ciscoMetadata()
		case atNSH:
			next = w.nsh()
		case done:
			d.finish(w, p)
			return OK
		default:
			return w.skip
		}
	}
	if next == done {
		d.finish(w, p)
		return OK
	}
	return TooDeep
}

// finish fills in what depends on the whole frame.
func (d *Decoder) finish(w *walk, p *Packet) {
	p.Hash = SymmetricHash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto, p.Kind)
	if p.Flags&HasMAC != 0 {
		p.Position = uint32(w.position>>32) | 1
	}
	p.SetWords()
	d.identify(w, p)
}
