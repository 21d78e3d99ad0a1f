package packet

import (
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestIPv4Fields(t *testing.T) {
	v := decodeLayers(ether, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: 4711, DF: true, TTL: 63, TOS: 0xb9, Options: []byte{0x94, 4, 0, 0}}, segment, data)
	check(t, "skip", v.skip, OK)
	check(t, "source", v.Src.IP(), ip4.Src)
	check(t, "destination", v.Dst.IP(), ip4.Dst)
	check(t, "source as key", v.Src, AddrFrom(ip4.Src))
	check(t, "version", v.Version, 4)
	check(t, "id", v.IPID, 4711)
	check(t, "df", v.DF, true)
	check(t, "ttl", v.TTL, 63)
	check(t, "tos", v.TOS, 0xb9)
	check(t, "ip length", v.IPLen, uint32(24+32+len(data)))
	check(t, "payload", v.PayloadLen, uint32(len(data)))
}

func TestIPv6Fields(t *testing.T) {
	v := decodeLayers(ether, ip6, segment, data)
	check(t, "skip", v.skip, OK)
	check(t, "source", v.Src.IP(), ip6.Src)
	check(t, "destination", v.Dst.IP(), ip6.Dst)
	check(t, "version", v.Version, 6)
	check(t, "id", v.IPID, 0)
	check(t, "df", v.DF, false)
	check(t, "hop limit", v.TTL, 62)
	check(t, "traffic class", v.TOS, 0xb9)
	check(t, "ip length", v.IPLen, uint32(40+32+len(data)))
}

// IPv6 inside IPv4: nothing of the outer header stays.
func TestInnerOverwritesOuter(t *testing.T) {
	v := decodeLayers(ether, ip4, ip6, segment)
	check(t, "id", v.IPID, 0)
	check(t, "df", v.DF, false)
	check(t, "version", v.Version, 6)
}

func TestIPLengths(t *testing.T) {
	tcp := gen.TCP{SrcPort: 1, DstPort: 2, Flags: ACK}
	long := gen.Payload(make([]byte, 1000))
	huge := gen.Payload(make([]byte, 70000))
	tests := []struct {
		name    string
		frame   []byte
		wire    int // 0: as captured
		skip    Skip
		ipLen   int
		payload int
		flags   Flags
	}{
		{"padding", gen.Build(gen.Ethernet{Pad: true}, ip4, tcp), 0, OK, 40, 0, 0},
		{"padding, IPv6", gen.Build(gen.Ethernet{Trailer: make([]byte, 9)}, ip6, tcp), 0, OK, 60, 0, 0},
		{"no payload, IPv6", gen.Build(gen.Ethernet{Trailer: make([]byte, 6)}, gen.IPv6{Src: ip6.Src, Dst: ip6.Dst, Next: new(uint8(59))}), 0, OK, 40, 0, PortsUnknown},
		{"snap length", gen.Build(gen.Ethernet{}, ip4, tcp, long)[:100], 1054, OK, 1040, 1000, Truncated},
		// A mirror cut the packet before it was encapsulated: only IP knows.
		{"cut before the tunnel", gen.Build(gen.Ethernet{}, outer4, udp, gen.VXLAN{}, gen.Packet(gen.Build(gen.Ethernet{}, ip4, tcp, long)[:200])), 0, OK, 1040, 1000, Truncated},
		{"length 0 (offload)", gen.Build(gen.Ethernet{}, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(0))}, tcp, long), 0, OK, 1040, 1000, LengthUnknown},
		{"length 0, snap length", gen.Build(gen.Ethernet{}, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(0))}, tcp, long)[:60], 1054, OK, 1040, 1000, LengthUnknown | Truncated},
		{"length below the header", gen.Build(gen.Ethernet{}, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(19))}, tcp), 0, BadIP, 0, 0, 0},
		{"big tcp", gen.Build(gen.Ethernet{}, ip4, tcp, huge), 0, OK, 70040, 70000, LengthUnknown},
		{"big tcp, length modulo 2^16", gen.Build(gen.Ethernet{}, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(70040 - 65536))}, tcp, huge), 0, OK, 70040, 70000, LengthUnknown},
		{"big tcp, length modulo 2^16, cut", gen.Build(gen.Ethernet{}, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(70040 - 65536))}, tcp, huge)[:96], 70054, OK, 70040, 70000, LengthUnknown | Truncated},
		{"a file that claims a huge frame", gen.Build(gen.Ethernet{}, ip4, tcp, long), 262144, OK, 1040, 1000, 0},
		{"a file that claims an absurd frame", gen.Build(gen.Ethernet{}, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(0))}, tcp, long), 1 << 30, OK, 1040, 1000, LengthUnknown},
		{"big tcp, IPv6", gen.Build(gen.Ethernet{}, ip6, tcp, huge), 0, OK, 70060, 70000, LengthUnknown},
		{"jumbogram", gen.Build(gen.Ethernet{}, ip6, gen.HopByHop{Jumbo: true}, tcp, huge), 0, OK, 70068, 70000, 0},
		{"jumbogram with trailer", gen.Build(gen.Ethernet{Trailer: []byte("fcs.")}, ip6, gen.HopByHop{Jumbo: true}, tcp, huge), 0, OK, 70068, 70000, 0},
		{"big tcp in vxlan, all outer lengths 0", gen.Build(gen.Ethernet{}, outer4, udp, gen.VXLAN{}, gen.Ethernet{}, ip6, tcp, huge), 0, OK, 70060, 70000, LengthUnknown},
		{"big tcp in vxlan over IPv6", gen.Build(gen.Ethernet{}, outer6, udp, gen.VXLAN{}, gen.Ethernet{}, ip4, tcp, huge), 0, OK, 70040, 70000, LengthUnknown},
		{"big tcp in geneve", gen.Build(gen.Ethernet{}, outer4, udp, gen.Geneve{}, ip4, tcp, huge), 0, OK, 70040, 70000, LengthUnknown},
		{"big tcp in gre in pppoe", gen.Build(gen.Ethernet{}, gen.PPPoE{}, gen.PPP{}, outer4, gen.GRE{}, ip4, tcp, huge), 0, OK, 70040, 70000, LengthUnknown},
		{"pppoe shorter than IP", gen.Build(gen.Ethernet{}, gen.PPPoE{Length: new(uint16(42))}, gen.PPP{}, ip4, tcp, gen.Payload("six...")), 0, OK, 40, 0, 0},
		{"802.3 shorter than IP", gen.Build(gen.Ethernet{Type: 48}, gen.LLC{SNAP: true}, ip4, tcp, gen.Payload("six...")), 0, OK, 40, 0, 0},
		{"length 0 in gtp-u with a trailer", edit(gen.Build(gen.Ethernet{}, outer4, udp, gen.GTPU{}, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(0))}, tcp, gen.Payload("trailer")),
			14+28+3, 40), 0, OK, 40, 0, LengthUnknown},
		{"version 5", edit(gen.Build(gen.Ethernet{}, ip4, tcp), 14, 0x55), 0, BadIP, 0, 0, 0},
		{"header of 16", edit(gen.Build(gen.Ethernet{}, ip4, tcp), 14, 0x44), 0, BadIP, 0, 0, 0},
		{"version 4 for IPv6", edit(gen.Build(gen.Ethernet{}, ip6, tcp), 14, 0x40), 0, BadIP, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			d := NewDecoder(DefaultConfig(), new(Names))
			check(t, "skip", d.Decode(tt.frame, linkEthernet, 0, max(tt.wire, len(tt.frame)), 1, &p), tt.skip)
			if tt.skip != OK {
				return
			}
			check(t, "ip length", p.IPLen, uint32(tt.ipLen))
			check(t, "payload", p.PayloadLen, uint32(tt.payload))
			check(t, "flags", p.Flags&^(HasMAC|OptionsUnknown|HeaderCut), tt.flags)
		})
	}
}

// edit sets one octet of a frame.
func edit(frame []byte, at int, v byte) []byte {
	frame[at] = v
	return frame
}

func TestTooDeep(t *testing.T) {
	var layers []gen.Layer
	for range 60 {
		layers = append(layers, ip4)
	}
	check(t, "60 headers", decodeRaw(gen.Build(append(layers, segment)...)).skip, TooDeep)
	v := decodeRaw(gen.Build(append(layers[:maxDepth/2-1:maxDepth/2-1], segment)...))
	check(t, "as many as allowed", v.skip, OK)
	check(t, "listed tunnels", v.path.NTunnels, maxTunnels)
}
