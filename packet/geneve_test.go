package packet

import (
	"slices"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

// Options come in any order and number, and only identity counts.
func TestGeneveCookies(t *testing.T) {
	read := func(options ...gen.GeneveOption) Cookies {
		v := decodeLayers(ether, outer4, udp, gen.Geneve{Options: options}, ip4, segment)
		check(t, "skip", v.skip, OK)
		return v.point.Cookies
	}
	google := Cookies{Class: 0x0132, Net: 0xabcdef1, ID: googleID}
	ingress, egress := gen.GoogleOptions(0xabcdef1, googleID, 1, false), gen.GoogleOptions(0xabcdef1, googleID, 2, true)
	check(t, "google", read(ingress...), google)
	check(t, "google, other direction and profile", read(egress...), google)
	slices.Reverse(egress)
	check(t, "google, other order", read(join2([]gen.GeneveOption{{Class: 0x0132, Type: 9, Data: make([]byte, 124)}}, egress)...), google)
	aws := Cookies{Class: 0x0108, ID: [16]byte{7: 1, 15: 2}}
	check(t, "aws", read(gen.AWSOptions(1, 2, 3)...), aws)
	check(t, "aws, another flow", read(gen.AWSOptions(1, 2, 4)...), aws)
	check(t, "tencent", read(gen.GeneveOption{Class: 0x0167, Type: 1, Data: make([]byte, 8)}), Cookies{})
	check(t, "wrong lengths", read(gen.GeneveOption{Class: 0x0132, Type: 1, Data: make([]byte, 8)}, gen.GeneveOption{Class: 0x0108, Type: 1, Data: make([]byte, 4)}), Cookies{})

	// An option that does not fit ends the list, not the packet.
	frame := gen.Build(ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, ip4, segment)
	v := decodeWith(DefaultConfig(), linkEthernet, edit(frame, 14+28+8+12+3, 31))
	check(t, "skip", v.skip, OK)
	check(t, "cookies in front of the damage", v.point.Cookies, Cookies{Class: 0x0108, ID: [16]byte{7: 1}})
}

func join2(a, b []gen.GeneveOption) []gen.GeneveOption {
	return append(append([]gen.GeneveOption(nil), a...), b...)
}
