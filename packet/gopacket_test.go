package packet

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// oracle is the innermost packet of a frame as gopacket sees it.
type oracle struct {
	src, dst netip.Addr
	proto    uint8
	version  uint8
	ttl, tos uint8
	ipID     uint16
	ipLen    int
	tail     int // octets of IP payload from the transport header on
	fragment bool
	stack    string // names of the layers
	last     gopacket.LayerType
	err      error

	tcp      *layers.TCP
	udp      *layers.UDP
	sctp     *layers.SCTP
	icmp     *layers.ICMPv4
	icmp6    *layers.ICMPv6
	icmpEcho *layers.ICMPv6Echo
}

// lookWithGopacket decodes a frame with gopacket; ok is false for none inside.
func lookWithGopacket(f *frame) (o oracle, ok bool) {
	first := gopacketDecoder(f.link)
	if first == nil {
		return o, false
	}
	if first == layers.LayerTypeIPv4 && len(f.data) > 0 && f.data[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(f.data, first, gopacket.DecodeOptions{NoCopy: true})
	addr := func(ip net.IP) netip.Addr {
		a, _ := netip.AddrFromSlice(ip)
		return a.Unmap()
	}
	for _, l := range p.Layers() {
		o.last = l.LayerType()
		o.stack += " " + l.LayerType().String()
		switch l := l.(type) {
		case *layers.IPv4:
			ok = true
			o = oracle{stack: o.stack, last: o.last, version: 4, proto: uint8(l.Protocol), src: addr(l.SrcIP), dst: addr(l.DstIP),
				ttl: l.TTL, tos: l.TOS, ipID: l.Id, ipLen: int(l.Length), tail: int(l.Length) - 4*int(l.IHL),
				fragment: l.FragOffset != 0 || l.Flags&layers.IPv4MoreFragments != 0}
		case *layers.IPv6:
			ok = true
			o = oracle{stack: o.stack, last: o.last, version: 6, proto: uint8(l.NextHeader), src: addr(l.SrcIP), dst: addr(l.DstIP),
				ttl: l.HopLimit, tos: l.TrafficClass, ipLen: int(l.Length) + ipv6Header, tail: int(l.Length)}
		case *layers.IPv6HopByHop:
			o.proto, o.tail = uint8(l.NextHeader), o.tail-l.ActualLength
		case *layers.IPv6Routing:
			o.proto, o.tail = uint8(l.NextHeader), o.tail-l.ActualLength
		case *layers.IPv6Destination:
			o.proto, o.tail = uint8(l.NextHeader), o.tail-l.ActualLength
		case *layers.IPv6Fragment:
			o.proto, o.tail = uint8(l.NextHeader), o.tail-8
			o.fragment = l.MoreFragments || l.FragmentOffset != 0
		case *layers.IPSecAH:
			o.proto, o.tail = uint8(l.NextHeader), o.tail-l.ActualLength
		case *layers.TCP:
			o.tcp = l
		case *layers.UDP:
			o.udp = l
		case *layers.SCTP:
			o.sctp = l
		case *layers.ICMPv4:
			o.icmp = l
		case *layers.ICMPv6:
			o.icmp6 = l
		case *layers.ICMPv6Echo:
			o.icmpEcho = l
		}
	}
	if e := p.ErrorLayer(); e != nil {
		o.err = e.Error()
	}
	return o, ok
}

// diff compares what both read, field by field.
func (o *oracle) diff(p *Packet) (diffs []string) {
	check := func(name string, got, want any) {
		if got != want {
			diffs = append(diffs, fmt.Sprintf("%s %v, gopacket %v", name, got, want))
		}
	}
	check("source", p.Src.IP(), o.src)
	check("destination", p.Dst.IP(), o.dst)
	check("version", p.Version, o.version)
	check("protocol", p.Proto, o.proto)
	check("ttl", p.TTL, o.ttl)
	check("tos", p.TOS, o.tos)
	check("ip id", p.IPID, o.ipID)
	check("ip length", int(p.IPLen), o.ipLen)
	payload := o.tail
	switch {
	case o.tcp != nil:
		t := o.tcp
		payload -= 4 * int(t.DataOffset)
		check("source port", p.SrcPort, uint16(t.SrcPort))
		check("destination port", p.DstPort, uint16(t.DstPort))
		check("seq", p.TCP.Seq, t.Seq)
		check("ack", p.TCP.Ack, t.Ack)
		check("flags", p.TCP.Flags, gopacketFlags(t))
		check("window", p.TCP.Window, t.Window)
		check("checksum", p.TCP.Checksum, t.Checksum)
		check("header length", int(p.TCP.HeaderLen), 4*int(t.DataOffset))
		want := gopacketOptions(t)
		want.Seq, want.Ack, want.Flags, want.Window = p.TCP.Seq, p.TCP.Ack, p.TCP.Flags, p.TCP.Window
		want.Checksum, want.HeaderLen = p.TCP.Checksum, p.TCP.HeaderLen
		check("options", p.TCP, want)
	case o.udp != nil:
		payload = int(o.udp.Length) - udpHeader
		check("source port", p.SrcPort, uint16(o.udp.SrcPort))
		check("destination port", p.DstPort, uint16(o.udp.DstPort))
		check("checksum", p.Checksum, o.udp.Checksum)
	case o.sctp != nil:
		payload -= sctpHeader
		check("source port", p.SrcPort, uint16(o.sctp.SrcPort))
		check("destination port", p.DstPort, uint16(o.sctp.DstPort))
	case o.icmp != nil:
		payload -= icmpHeader
		check("icmp type", p.ICMPType, o.icmp.TypeCode.Type())
		check("icmp code", p.ICMPCode, o.icmp.TypeCode.Code())
		check("checksum", p.Checksum, o.icmp.Checksum)
		if p.Kind == ICMPEcho {
			check("identifier", p.SrcPort, o.icmp.Id)
		}
	case o.icmp6 != nil:
		payload -= icmpHeader
		check("icmp type", p.ICMPType, o.icmp6.TypeCode.Type())
		check("icmp code", p.ICMPCode, o.icmp6.TypeCode.Code())
		check("checksum", p.Checksum, o.icmp6.Checksum)
		if o.icmpEcho != nil {
			check("identifier", p.SrcPort, o.icmpEcho.Identifier)
		}
	}
	check("payload", int(p.PayloadLen), payload)
	return diffs
}

// carriesNoIP tells whether the innermost link header has no IP behind it.
func (o *oracle) carriesNoIP() bool {
	inner := o.stack[max(strings.LastIndex(o.stack, " IPv"), 0):]
	return strings.Contains(inner, " Ethernet")
}

func gopacketFlags(t *layers.TCP) (flags uint16) {
	for i, set := range []bool{t.FIN, t.SYN, t.RST, t.PSH, t.ACK, t.URG, t.ECE, t.CWR, t.NS} {
		if set {
			flags |= 1 << i
		}
	}
	return flags
}

// gopacketOptions reads gopacket's list of options into our form.
func gopacketOptions(t *layers.TCP) (o TCP) {
	for _, opt := range t.Options {
		v := opt.OptionData
		switch {
		case opt.OptionType == layers.TCPOptionKindMSS && len(v) == 2:
			o.Has |= HasMSS
			o.MSS = be16(v)
		case opt.OptionType == layers.TCPOptionKindWindowScale && len(v) == 1:
			o.Has |= HasWScale
			o.WScale = v[0]
		case opt.OptionType == layers.TCPOptionKindSACKPermitted && len(v) == 0:
			o.Has |= HasSACKPermitted
		case opt.OptionType == layers.TCPOptionKindSACK && len(v) > 0 && len(v)%8 == 0:
			o.Has |= HasSACK
			o.NumSACK = uint8(len(v) / 8)
			for i := range o.NumSACK {
				o.SACK[i] = SACK{be32(v[8*i:]), be32(v[8*i+4:])}
			}
		case opt.OptionType == layers.TCPOptionKindTimestamps && len(v) == 8:
			o.Has |= HasTimestamps
			o.TSval, o.TSecr = be32(v), be32(v[4:])
		case opt.OptionType == optFastOpen, opt.OptionType == optExperiment && len(v) >= 2 && be16(v) == fastOpenMagic:
			o.Has |= HasFastOpen
			o.FastOpenBytes = uint8(len(v))
			if opt.OptionType == optExperiment {
				o.FastOpenBytes -= 2
			}
		}
	}
	return o
}

// TestAgainstGopacket compares every packet of every capture with gopacket,
// field by field. What differs must have one of the reasons of gopacketLacks.
func TestAgainstGopacket(t *testing.T) {
	dir := capturesDir(t)
	compared, reasons := 0, map[string]int{}
	for _, file := range captureFiles(t, dir) {
		names := new(Names)
		d := NewDecoder(DefaultConfig(), names)
		var p Packet
		for i, f := range readCapture(t, filepath.Join(dir, file)) {
			skip := f.decode(d, &p)
			o, ok := lookWithGopacket(&f)
			var diffs []string
			if skip == OK && ok {
				diffs = o.diff(&p)
			}
			if skip == OK && ok && len(diffs) == 0 || skip == NotIP && o.carriesNoIP() {
				compared++
				continue
			}
			path := names.Path(p.Path)
			reason := gopacketLacks(&f, skip, &p, &path, &o, diffs)
			reasons[reason]++
			if reason == "" {
				t.Errorf("%s frame %d: skip %q, %d layers%s (%v)\n %s -> %s proto %d flags %b tunnels %v\n %q", file, i+1, skip,
					len(diffs), o.stack, o.err, p.Src.IP(), p.Dst.IP(), p.Proto, p.Flags, path.Tunnels, diffs)
			}
		}
	}
	t.Logf("%d frames compared equal; not comparable: %v", compared, reasons)
	if compared < 14000 {
		t.Errorf("only %d frames compared equal", compared)
	}
}

// gopacketLacks names the reason why a frame cannot be compared with gopacket,
// "" when there is none.
func gopacketLacks(f *frame, skip Skip, p *Packet, path *Path, o *oracle, diffs []string) string {
	has := func(t Tunnel) bool { return slices.Contains(path.Tunnels[:], t) }
	only := func(fields ...string) bool { // differences are in these fields alone
		return len(diffs) > 0 && !slices.ContainsFunc(diffs, func(diff string) bool {
			return !slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(diff, f+" ") })
		})
	}
	switch {
	case gopacketDecoder(f.link) == nil:
		return "no decoder for the link type"
	case strings.HasSuffix(o.stack, " Fragment") && (skip == Held || skip == OK && p.Flags&Reassembled != 0):
		return "no reassembly"
	case strings.HasSuffix(o.stack, " Fragment") && skip == OK && only("payload"):
		return "atomic fragments left alone"
	case strings.HasSuffix(o.stack, " Fragment") && skip == BadIP:
		return "impossible fragments let pass"
	case skip == OK && has(ERSPAN1) && strings.Contains(o.stack, "ERSPAN Type II"):
		return "ERSPAN I taken for II"
	case skip == OK && has(ERSPAN3) && strings.HasSuffix(o.stack, " GRE"):
		return "no ERSPAN III"
	case skip == OK && has(CiscoMetadata):
		return "no Cisco metadata"
	case skip == OK && has(MPLSUDP) && strings.HasSuffix(o.stack, " UDP Payload"):
		return "no MPLS over UDP"
	case o.udp != nil && o.udp.DstPort == vxlanLinuxPort && (skip == NotIP || has(VXLAN)):
		return "no VXLAN on port 8472"
	case skip == OK && p.Flags&LengthUnknown != 0 && only("ip length", "payload"):
		return "length field 0 taken as it is"
	case skip == OK && p.Flags&BadHeader != 0 && o.udp != nil && only("payload"):
		return "UDP length that contradicts IP's taken as it is"
	case skip == OK && p.Proto == ProtoGRE && strings.Contains(o.stack, " GRE PPP"):
		return "PPTP entered, by design a GRE flow"
	case skip == OK && has(PPPoE) && only("ip length", "payload"):
		return "IP length beyond PPPoE's taken as it is"
	case skip == OK && p.Flags&(HeaderCut|BadHeader|OptionsUnknown) != 0 && o.err != nil:
		return "damaged TCP header not read at all"
	case skip == SkipTruncated && o.err != nil, skip == BadIP && o.err != nil:
		return "refused by both"
	case skip == SkipTruncated && (o.last == layers.LayerTypeGeneve || o.last == layers.LayerTypeMPLS):
		return "cut inside a tunnel header, let pass"
	case skip == BadIP && f.data[etherHeader]>>4 != 4:
		return "IP version not looked at"
	}
	return ""
}
