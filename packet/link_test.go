package packet

import (
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestLinkTypes(t *testing.T) {
	packet := gen.Build(ip4, segment)
	tests := []struct {
		name  string
		link  uint16
		frame []byte
		skip  Skip
	}{
		{"unknown", 147, packet, UnknownLink},
		{"raw, as BSD has it", 12, packet, OK},
		{"raw, as OpenBSD has it", 14, packet, OK},
		{"IPv4", 228, packet, OK},
		{"IPv6 that is IPv4", 229, append(packet, make([]byte, 20)...), BadIP},
		{"raw noise", 101, []byte{0x90, 1, 2, 3}, NotIP},
		{"null: another family", 0, gen.Build(gen.Null{Family: 7}, gen.Payload(packet)), NotIP},
		{"cisco hdlc", 50, append([]byte{0x0f, 0, 8, 0}, packet...), OK},
		{"ppp: link control", 9, gen.Build(gen.PPP{}, data), NotIP},
		{"sll: 802.2", 113, gen.Build(gen.LinuxSLL{Protocol: 4}, gen.LLC{SNAP: true}, ip4, segment), OK},
		{"sll: the kernel's own number", 113, gen.Build(gen.LinuxSLL{Protocol: 0xc}, data), NotIP},
		{"sll: netlink", 113, gen.Build(gen.LinuxSLL{ARPHRD: 824, Protocol: 0x800}, ip4, segment), NotIP},
		{"sll2: arp", 276, gen.Build(gen.SLL2{Protocol: 0x806}, data), NotIP},
		{"nflog: version 1", 239, edit(gen.Build(gen.NFLOG{}, ip4, segment), 1, 1), NotIP},
		{"nflog: family by the packet", 239, gen.Build(gen.NFLOG{Family: 7}, ip4, segment), OK},
		{"nflog: no payload", 239, gen.Build(gen.NFLOG{})[:12], NotIP},
		{"nflog: TLV of length 0", 239, []byte{2, 0, 0, 0, 0, 0, 1, 0}, BadTunnel},
		{"nflog: big endian", 239, append([]byte{2, 0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 4 + 52, 0, 9}, packet...), OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decodeWith(DefaultConfig(), tt.link, tt.frame)
			check(t, "skip", v.skip, tt.skip)
			if tt.skip == OK {
				check(t, "source port", v.SrcPort, segment.SrcPort)
			}
		})
	}
}
