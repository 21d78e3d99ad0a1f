package packet

import (
	"encoding/binary"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestExtensionHeaders(t *testing.T) {
	tcp := gen.TCP{SrcPort: 1, DstPort: 2}
	message := func(proto uint8, next uint8) []byte { // a mobility, HIP or shim6 header of 16 octets
		return gen.Build(ether, gen.IPv6{Src: ip6.Src, Dst: ip6.Dst, Next: &proto}, gen.Payload{next, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, tcp)
	}
	tests := []struct {
		name  string
		frame []byte
		skip  Skip
		proto uint8
	}{
		{"all", gen.Build(ether, ip6, gen.HopByHop{}, gen.DestinationOptions{}, gen.Routing{Type: 4}, gen.AH{}, gen.DestinationOptions{}, tcp), OK, ProtoTCP},
		{"AH in IPv4", gen.Build(ether, ip4, gen.AH{}, tcp), OK, ProtoTCP},
		{"ESP", gen.Build(ether, ip4, gen.ESP{}, data), OK, ProtoESP},
		{"no next header", gen.Build(ether, ip6, gen.HopByHop{Next: new(uint8(59))}), OK, protoNoNext},
		{"mobility in front of TCP", message(extMobility, ProtoTCP), OK, ProtoTCP},
		{"mobility message", message(extMobility, protoNoNext), OK, extMobility},
		{"HIP message", message(extHIP, protoNoNext), OK, extHIP},
		{"shim6 in front of TCP", message(extShim6, ProtoTCP), OK, ProtoTCP},
		{"header number 0 in IPv4", gen.Build(ether, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Protocol: 61}, data), OK, 61},
		{"longer than the packet", edit(gen.Build(ether, ip6, gen.HopByHop{}, tcp), 14+40+1, 9), BadIP, 0},
		{"AH longer than the packet", edit(gen.Build(ether, ip6, gen.AH{}, tcp), 14+40+1, 99), BadIP, 0},
		{"AH without fields", edit(gen.Build(ether, ip6, gen.AH{}, tcp), 14+40+1, 0), BadIP, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decodeWith(DefaultConfig(), linkEthernet, tt.frame)
			check(t, "skip", v.skip, tt.skip)
			if tt.skip == OK {
				check(t, "protocol", v.Proto, tt.proto)
			}
		})
	}
}

// A jumbo payload option that the frame does not bear out is not believed.
func TestJumboOptionLies(t *testing.T) {
	for _, length := range []uint32{0, 65535, 0xffffffff} {
		frame := gen.Build(ether, ip6, gen.HopByHop{Jumbo: true}, segment, gen.Payload(make([]byte, 70000)))
		binary.BigEndian.PutUint32(frame[14+40+4:], length)
		v := decodeWith(DefaultConfig(), linkEthernet, frame)
		check(t, "skip", v.skip, OK)
		check(t, "ip length", v.IPLen, uint32(len(frame)-14))
		check(t, "length unknown", v.Packet.Flags&LengthUnknown != 0, true)
	}
}
