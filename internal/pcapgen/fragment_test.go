package pcapgen

import (
	"bytes"
	"testing"
)

// tsharkPackets dissects raw IP packets in one go, so that fragments meet.
func tsharkPackets(t *testing.T, packets [][]byte, fields ...string) []string {
	t.Helper()
	var buf bytes.Buffer
	w := NewPcapWriter(&buf, PcapConfig{Link: LinkRaw})
	for i, p := range packets {
		w.Write(Frame{Time: t0 + int64(i), Data: p})
	}
	w.Flush()
	return tshark(t, buf.Bytes(), fields...)
}

func TestFragment4(t *testing.T) {
	ip := IPv4{Src: IP("10.0.0.1"), Dst: IP("10.0.0.2"), ID: 99, Options: []byte{1, 1, 1, 0}}
	whole := Build(ip, UDP{SrcPort: 5, DstPort: 9999}, Payload(bytes.Repeat([]byte("x"), 1001)))
	frags := Fragment4(whole, 424)
	if len(frags) != 3 {
		t.Fatalf("%d fragments, want 3", len(frags))
	}
	// tshark gives offsets in units of 8 octets.
	equalLines(t, tsharkPackets(t, frags, "ip.len", "ip.frag_offset", "ip.flags.mf", "ip.checksum.status", "ip.reassembled.length", "udp.checksum.status"), []string{
		"424\t0\t1\t1\t\t", "424\t50\t1\t1\t\t", "233\t100\t0\t1\t1009\t1",
	})
	if again := Fragment4(frags[1], 224); len(again) != 2 || be.Uint16(again[0][6:]) != 1<<13|50 || be.Uint16(again[1][6:]) != 1<<13|75 {
		t.Errorf("a fragment cut again: %x", again)
	}
	if same := Fragment4(whole, len(whole)); len(same) != 1 || !bytes.Equal(same[0], whole) {
		t.Error("a packet that fits was changed")
	}
}

func TestFragment6(t *testing.T) {
	ip := IPv6{Src: IP("fd00::1"), Dst: IP("fd00::2")}
	for _, tt := range []struct {
		name  string
		extra []Layer
		want  []string
	}{
		{"plain", nil, []string{"584\t0\t1\t\t", "521\t67\t0\t1009\t1"}},
		// The routing header and what stands before it goes into each fragment, the options behind only into the first.
		{"extensions", []Layer{HopByHop{}, Routing{Type: 4, Addrs: oneAddr}, DestinationOptions{}}, []string{"584\t0\t1\t\t", "584\t63\t1\t\t", "89\t126\t0\t1017\t1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := Build(append(append([]Layer{ip}, tt.extra...), UDP{SrcPort: 5, DstPort: 9999}, Payload(bytes.Repeat([]byte("x"), 1001)))...)
			frags := Fragment6(whole, 585, 7) // leaves no multiple of 8: rounded down
			for _, f := range frags {
				if len(f) > 585 || int(be.Uint16(f[4:])) != len(f)-40 {
					t.Errorf("fragment of %d octets, payload length %d", len(f), be.Uint16(f[4:]))
				}
			}
			got := tsharkPackets(t, frags, "frame.len", "ipv6.fraghdr.offset", "ipv6.fraghdr.more", "ipv6.reassembled.length", "udp.checksum.status")
			equalLines(t, got, tt.want)
		})
	}
}

func TestBigTCP(t *testing.T) {
	payload := make([]byte, 70000)
	b := Build(BigTCP(ip6, true, tcpSeg, payload)...)
	if be.Uint16(b[4:]) != 0 || b[6] != 0 || b[42] != 0xc2 || be.Uint32(b[44:]) != uint32(len(b)-40) {
		t.Errorf("jumbogram: % x", b[:48])
	}
	if b := Build(BigTCP(ip6, false, tcpSeg, payload)...); be.Uint16(b[4:]) != 0 || b[6] != 6 || len(b) != 40+20+70000 {
		t.Errorf("without the option: % x", b[:48])
	}
	if b := Build(BigTCP(ip4, false, tcpSeg, payload)...); be.Uint16(b[2:]) != 0 || len(b) != 20+20+70000 {
		t.Errorf("IPv4: % x", b[:20])
	}
	b = Build(ether, ip4, UDP{SrcPort: 1}, VXLAN{VNI: 1}, ether, ip6, HopByHop{Jumbo: true}, tcpSeg, Payload(payload))
	if be.Uint16(b[14+2:]) != 0 || be.Uint16(b[34+4:]) != 0 {
		t.Errorf("outer lengths: % x", b[14:42])
	}
}
