package packet

import (
	"bytes"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

// TestQuote lets routers quote packets of several kinds, as much of them as
// they do, and wants the flow of the packet itself.
func TestQuote(t *testing.T) {
	packets := []struct {
		name   string
		packet []byte
		seq    uint32
	}{
		{"tcp", gen.Build(ip4, segment, data), segment.Seq},
		{"udp", gen.Build(ip4, gen.UDP{SrcPort: 5, DstPort: 53}, data), 0},
		{"tcp with ip options", gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Options: []byte{7, 3, 4, 0}}, segment, data), segment.Seq},
		{"tcp behind AH", gen.Build(ip4, gen.AH{}, segment, data), segment.Seq},
		{"echo", gen.Build(ip4, gen.ICMP{Type: 8, ID: 77}, data), 0},
		{"another error", gen.Build(ip4, gen.ICMP{Type: 3, Code: 1}, data), 0},
		{"sctp", gen.Build(ip4, gen.SCTP{SrcPort: 5, DstPort: 6}), 0},
		{"tcp6", gen.Build(ip6, segment, data), segment.Seq},
		{"tcp6 behind extensions", gen.Build(ip6, gen.HopByHop{}, gen.DestinationOptions{}, gen.Routing{Type: 4}, gen.IPv6Fragment{ID: 3}, segment, data), segment.Seq},
		{"echo6", gen.Build(ip6, gen.ICMPv6{Type: 128, ID: 78}, data), 0},
	}
	router4, router6 := gen.IPv4{Src: gen.IP("10.254.0.1"), Dst: ip4.Src}, gen.IPv6{Src: gen.IP("fd00::ffff"), Dst: ip6.Src}
	for _, tt := range packets {
		t.Run(tt.name, func(t *testing.T) {
			want := decodeRaw(tt.packet)
			check(t, "skip", want.skip, OK)
			head := int(want.IPLen) - int(want.PayloadLen)
			switch want.Proto {
			case ProtoTCP:
				head -= int(want.TCP.HeaderLen)
			case ProtoSCTP:
				head -= sctpHeader
			default:
				head -= 8
			}
			for n := range tt.packet {
				var v *verdict
				if want.Version == 4 {
					v = decodeRaw(gen.Build(router4, gen.ICMP{Type: 11}, gen.Payload(tt.packet[:n])))
				} else {
					v = decodeRaw(gen.Build(router6, gen.ICMPv6{Type: 3}, gen.Payload(tt.packet[:n])))
				}
				var q Quote
				ok := ParseQuote(&v.Packet, &q)
				ipHeader := map[uint8]int{4: int(tt.packet[0]&15) * 4, 6: 40}[want.Version]
				check(t, "ok", ok, n >= ipHeader)
				if !ok {
					check(t, "quote", q, Quote{})
					continue
				}
				check(t, "addresses", q.Src == want.Src && q.Dst == want.Dst, true)
				check(t, "version", q.Version, want.Version)
				need := map[uint8]int{0: 4, ICMPEcho: 6, ICMPOther: 2}[want.Kind] // octets that hold the ports
				check(t, "has ports", q.HasPorts, n >= head+need)
				check(t, "has seq", q.HasSeq, want.Proto == ProtoTCP && n >= head+8)
				if q.HasPorts {
					check(t, "protocol", q.Proto, want.Proto)
					check(t, "ports", q.SrcPort == want.SrcPort && q.DstPort == want.DstPort, true)
					check(t, "kind", q.Kind, want.Kind)
					check(t, "hash", q.Hash, want.Hash)
				}
				if q.HasSeq {
					check(t, "seq", q.Seq, tt.seq)
				}
				if t.Failed() {
					t.Fatalf("%d octets quoted", n)
				}
			}
		})
	}
}

func TestQuoteNone(t *testing.T) {
	quoted := gen.Payload(gen.Build(ip4, segment))
	quoted6 := gen.Payload(gen.Build(ip6, segment))
	redirect := bytes.Repeat([]byte{0}, 32)
	redirect = append(redirect, 2, 1, 0, 0, 0, 0, 0, 0) // target link-layer address
	redirect = append(redirect, 4, 9, 0, 0, 0, 0, 0, 0)
	tests := []struct {
		name   string
		layers []gen.Layer
		want   bool
	}{
		{"unreachable", []gen.Layer{ip4, gen.ICMP{Type: 3}, quoted}, true},
		{"source quench", []gen.Layer{ip4, gen.ICMP{Type: 4}, quoted}, true},
		{"redirect", []gen.Layer{ip4, gen.ICMP{Type: 5}, quoted}, true},
		{"parameter problem", []gen.Layer{ip4, gen.ICMP{Type: 12}, quoted}, true},
		{"packet too big", []gen.Layer{ip6, gen.ICMPv6{Type: 2}, quoted6}, true},
		{"parameter problem 6", []gen.Layer{ip6, gen.ICMPv6{Type: 4}, quoted6}, true},
		{"redirect 6", []gen.Layer{ip6, gen.ICMPv6{Type: 137}, gen.Payload(append(redirect, quoted6...))}, true},
		{"redirect 6 without a header", []gen.Layer{ip6, gen.ICMPv6{Type: 137}, gen.Payload(redirect[:40])}, false},
		{"redirect 6, option of length 0", []gen.Layer{ip6, gen.ICMPv6{Type: 137}, gen.Payload(edit(append(redirect[:0:0], redirect...), 33, 0))}, false},
		{"echo", []gen.Layer{ip4, gen.ICMP{Type: 8}, quoted}, false},
		{"echo 6", []gen.Layer{ip6, gen.ICMPv6{Type: 128}, quoted6}, false},
		{"another version", []gen.Layer{ip4, gen.ICMP{Type: 3}, quoted6}, false},
		{"another version 6", []gen.Layer{ip6, gen.ICMPv6{Type: 1}, quoted}, false},
		{"header of 16", []gen.Layer{ip4, gen.ICMP{Type: 3}, gen.Payload(edit(gen.Build(ip4, segment), 0, 0x44))}, false},
		{"udp", []gen.Layer{ip4, gen.UDP{SrcPort: 3}, quoted}, false},
		{"nothing", []gen.Layer{ip4, gen.ICMP{Type: 3}}, false},
	}
	for _, tt := range tests {
		v := decodeRaw(gen.Build(tt.layers...))
		var q Quote
		check(t, tt.name, ParseQuote(&v.Packet, &q), tt.want)
		if tt.want {
			check(t, tt.name+": source port", q.SrcPort, segment.SrcPort)
		}
	}
	// A later fragment has no ports.
	f := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
	v := decodeRaw(gen.Build(ip4, gen.ICMP{Type: 11, Code: 1}, gen.Payload(f[1])))
	var q Quote
	check(t, "fragment", ParseQuote(&v.Packet, &q), true)
	check(t, "fragment: has ports", q.HasPorts, false)
	f = gen.Fragment6(gen.Build(ip6, segment, gen.Payload(make([]byte, 900))), 576, 1)
	v = decodeRaw(gen.Build(ip6, gen.ICMPv6{Type: 1}, gen.Payload(f[1])))
	check(t, "fragment 6", ParseQuote(&v.Packet, &q), true)
	check(t, "fragment 6: has ports", q.HasPorts, false)
	check(t, "fragment 6: protocol", q.Proto, ProtoTCP)
}
