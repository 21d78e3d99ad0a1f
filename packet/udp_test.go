package packet

import (
	"slices"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestConfiguredPorts(t *testing.T) {
	cfg := DefaultConfig()
	cfg.VXLANPorts = []uint16{5555}
	cfg.GenevePorts = []uint16{4790} // takes the port from VXLAN-GPE
	for _, tt := range []struct {
		layers []gen.Layer
		want   Tunnel
	}{
		{[]gen.Layer{ether, outer4, gen.UDP{DstPort: 5555}, gen.VXLAN{VNI: 1}, ether, ip4, segment}, VXLAN},
		{[]gen.Layer{ether, outer4, gen.UDP{DstPort: 4790}, gen.Geneve{}, ip4, segment}, Geneve},
		{[]gen.Layer{ether, outer4, gen.UDP{DstPort: 4789}, gen.VXLAN{VNI: 1}, ether, ip4, segment}, VXLAN},
	} {
		v := decodeWith(cfg, linkEthernet, gen.Build(tt.layers...))
		check(t, "skip", v.skip, OK)
		if !slices.Equal(v.tunnels(), []Tunnel{tt.want}) {
			t.Errorf("tunnels %v, want %v", v.tunnels(), tt.want)
		}
	}
	// A source port names no tunnel, except GTP-U's.
	v := decodeLayers(ether, outer4, gen.UDP{SrcPort: 4789, DstPort: 1}, gen.VXLAN{VNI: 1}, ether, ip4, segment)
	check(t, "tunnels from the source port", len(v.tunnels()), 0)
}

func TestUDPLengths(t *testing.T) {
	tests := []struct {
		name    string
		length  uint16
		payload int
		bad     bool
	}{
		{"as it is", 30, 22, false},
		{"with UDP options behind", 20, 12, false},
		{"empty", 8, 0, false},
		{"beyond the packet", 31, 22, true},
		{"below the header", 7, 22, true},
		{"zero", 0, 22, true},
	}
	for _, tt := range tests {
		v := decodeRaw(gen.Build(ip4, gen.UDP{SrcPort: 1, DstPort: 2, Length: &tt.length}, data[:22]))
		check(t, tt.name, v.skip, OK)
		check(t, tt.name+": payload", v.PayloadLen, uint32(tt.payload))
		check(t, tt.name+": captured payload", len(v.Payload), tt.payload)
		check(t, tt.name+": bad header", v.Packet.Flags&BadHeader != 0, tt.bad)
	}
	v := decodeRaw(gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(26))}, gen.UDP{SrcPort: 1, DstPort: 2}))
	check(t, "6 octets: skip", v.skip, OK)
	check(t, "6 octets: bad header", v.Packet.Flags&BadHeader != 0, true)
	check(t, "6 octets: port", v.DstPort, 2)
}

// A tunnel whose UDP length field is wrong is entered all the same.
func TestTunnelWithWrongUDPLength(t *testing.T) {
	for _, length := range []uint16{0, 7, 60000} {
		v := decodeLayers(ether, outer4, gen.UDP{SrcPort: 1, Length: &length}, gen.VXLAN{VNI: 1}, ether2, ip4, segment, data)
		check(t, "skip", v.skip, OK)
		check(t, "port", v.SrcPort, segment.SrcPort)
		check(t, "bad header", v.Packet.Flags&BadHeader != 0, false)
	}
}
