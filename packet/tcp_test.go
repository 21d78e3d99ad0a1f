package packet

import (
	"slices"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestTCP(t *testing.T) {
	v := decodeLayers(ether, ip4, gen.TCP{SrcPort: 1, DstPort: 65535, Seq: 0xfffffffe, Ack: 3, Flags: 0x1ff, Window: 65535,
		Checksum: new(uint16(0xbeef))}, data)
	check(t, "skip", v.skip, OK)
	check(t, "protocol", v.Proto, ProtoTCP)
	check(t, "source port", v.SrcPort, 1)
	check(t, "destination port", v.DstPort, 65535)
	check(t, "header", v.TCP, TCP{Seq: 0xfffffffe, Ack: 3, Flags: FIN | SYN | RST | PSH | ACK | URG | ECE | CWR | AE, Window: 65535,
		Checksum: 0xbeef, HeaderLen: 20})
	check(t, "payload octets", v.PayloadLen, uint32(len(data)))
	check(t, "payload", string(v.Payload), string(data))
	check(t, "flags", v.Packet.Flags, HasMAC)
	check(t, "ip length", v.IPLen, 40+uint32(len(data)))
}

func TestTCPOptions(t *testing.T) {
	all := HasMSS | HasWScale | HasSACKPermitted | HasTimestamps
	tests := []struct {
		name    string
		options gen.TCPOptions
		want    TCP
		bad     bool
	}{
		{"none", gen.TCPOptions{}, TCP{}, false},
		{"syn", gen.TCPOptions{MSS: 8961, WScale: new(uint8(15)), SACKPermitted: true, Timestamps: &gen.Timestamps{Val: 1, Ecr: 2}},
			TCP{Has: all, MSS: 8961, WScale: 15, TSval: 1, TSecr: 2}, false},
		{"wscale 0", gen.TCPOptions{WScale: new(uint8(0))}, TCP{Has: HasWScale}, false},
		{"one sack block", gen.TCPOptions{SACK: []gen.SACK{{Left: 1, Right: 2}}},
			TCP{Has: HasSACK, NumSACK: 1, SACK: [4]SACK{{1, 2}}}, false},
		{"four sack blocks", gen.TCPOptions{SACK: []gen.SACK{{Left: 1, Right: 2}, {Left: 3, Right: 4}, {Left: 5, Right: 6}, {Left: 7, Right: 8}}},
			TCP{Has: HasSACK, NumSACK: 4, SACK: [4]SACK{{1, 2}, {3, 4}, {5, 6}, {7, 8}}}, false},
		{"three sack blocks and timestamps", gen.TCPOptions{Timestamps: &gen.Timestamps{Val: 9}, SACK: []gen.SACK{{Left: 1, Right: 2}, {Left: 3, Right: 4}, {Left: 5, Right: 6}}},
			TCP{Has: HasSACK | HasTimestamps, TSval: 9, NumSACK: 3, SACK: [4]SACK{{1, 2}, {3, 4}, {5, 6}}}, false},
		{"fast open request", gen.TCPOptions{FastOpen: []byte{}}, TCP{Has: HasFastOpen}, false},
		{"fast open cookie", gen.TCPOptions{FastOpen: []byte("12345678")}, TCP{Has: HasFastOpen, FastOpenBytes: 8}, false},
		{"fast open, experimental", gen.TCPOptions{Raw: []byte{254, 10, 0xf9, 0x89, 1, 2, 3, 4, 5, 6}}, TCP{Has: HasFastOpen, FastOpenBytes: 6}, false},
		{"another experiment", gen.TCPOptions{Raw: []byte{254, 4, 1, 2}}, TCP{}, false},
		{"unknown kind", gen.TCPOptions{Raw: []byte{77, 5, 1, 2, 3, 3, 3, 7}}, TCP{Has: HasWScale, WScale: 7}, false},
		{"behind the end", gen.TCPOptions{Raw: []byte{0, 3, 3, 7}}, TCP{}, false},
		{"length 0", gen.TCPOptions{Raw: []byte{3, 3, 7, 8, 0, 1, 1, 1}}, TCP{Has: HasWScale, WScale: 7}, true},
		{"length 1", gen.TCPOptions{Raw: []byte{77, 1, 1, 1}}, TCP{}, true},
		{"beyond the header", gen.TCPOptions{Raw: []byte{1, 1, 77, 3}}, TCP{}, true},
		{"kind without length", gen.TCPOptions{Raw: []byte{1, 1, 1, 8}}, TCP{}, true},
		{"timestamps of 8", gen.TCPOptions{Raw: []byte{8, 8, 0, 0, 0, 0, 0, 0, 3, 3, 7, 1}}, TCP{Has: HasWScale, WScale: 7}, true},
		{"mss of 3", gen.TCPOptions{Raw: []byte{2, 3, 1, 1}}, TCP{}, true},
		{"wscale of 4", gen.TCPOptions{Raw: []byte{3, 4, 1, 1}}, TCP{}, true},
		{"sack permitted of 3", gen.TCPOptions{Raw: []byte{4, 3, 1, 1}}, TCP{}, true},
		{"sack of half a block", gen.TCPOptions{Raw: []byte{5, 6, 1, 1, 1, 1, 1, 1}}, TCP{}, true},
		{"empty sack", gen.TCPOptions{Raw: []byte{5, 2, 1, 1}}, TCP{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decodeLayers(ether, ip4, gen.TCP{SrcPort: 1, DstPort: 2, Options: tt.options}, data)
			check(t, "skip", v.skip, OK)
			got := v.TCP
			got.Checksum, got.HeaderLen = 0, 0
			check(t, "header", got, tt.want)
			check(t, "options unknown", v.Packet.Flags&OptionsUnknown != 0, tt.bad)
			check(t, "payload", string(v.Payload), string(data))
		})
	}
}

// Options that are read at a glance are what they are one by one, however the
// octets of the usual layouts are changed.
func TestOptionsUsual(t *testing.T) {
	ts := []byte{8, 10, 1, 2, 3, 4, 5, 6, 7, 8}
	block := []byte{0, 0, 0, 9, 0, 0, 0, 17}
	layouts := [][]byte{
		slices.Concat([]byte{1, 1}, ts),
		{2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2},
		slices.Concat([]byte{2, 4, 5, 180, 4, 2}, ts, []byte{1, 3, 3, 7}),
		slices.Concat([]byte{1, 1}, ts, []byte{1, 1, 5, 10}, block),
		slices.Concat([]byte{1, 1}, ts, []byte{1, 1, 5, 18}, block, block),
		slices.Concat([]byte{1, 1}, ts, []byte{1, 1, 5, 26}, block, block, block),
	}
	compare := func(b []byte) bool {
		t.Helper()
		var got, want TCP
		quick := got.usual(b)
		ok := want.list(b)
		if quick && (!ok || got != want) || !quick && got != (TCP{}) {
			t.Fatalf("%x: %+v, one by one %+v, well-formed %v", b, got, want, ok)
		}
		return quick
	}
	for _, b := range layouts {
		if !compare(b) {
			t.Errorf("%x is not read at a glance", b)
		}
		for n := range b {
			compare(b[:n])
		}
		for i := range b {
			was := b[i]
			for v := range 256 {
				b[i] = byte(v)
				compare(b)
			}
			b[i] = was
		}
	}
}

// A capture with a short snap length leaves what it leaves, field by field.
func TestTCPCut(t *testing.T) {
	packet := gen.Build(ip4, gen.TCP{SrcPort: 51234, DstPort: 443, Seq: 1, Ack: 2, Flags: ACK, Window: 3, Options: gen.TCPOptions{MSS: 1460, Timestamps: &gen.Timestamps{Val: 4}}}, data)
	const head = 36 // 20 and options
	for n := range head + 1 {
		v := &verdict{names: new(Names)}
		v.d = NewDecoder(DefaultConfig(), v.names)
		v.skip = v.d.Decode(packet[:20+n], linkRaw, 0, len(packet), 1, &v.Packet)
		check(t, "skip", v.skip, OK)
		check(t, "truncated", v.Packet.Flags&Truncated != 0, true)
		check(t, "ports unknown", v.Packet.Flags&PortsUnknown != 0, n < 4)
		check(t, "header cut", v.Packet.Flags&HeaderCut != 0, n < 20)
		check(t, "options unknown", v.Packet.Flags&OptionsUnknown != 0, n < head)
		check(t, "bad header", v.Packet.Flags&BadHeader != 0, false)
		check(t, "ports", v.SrcPort == 51234 && v.DstPort == 443, n >= 4)
		check(t, "seq", v.TCP.Seq == 1, n >= 8)
		check(t, "ack", v.TCP.Ack == 2, n >= 12)
		check(t, "payload octets", v.PayloadLen == uint32(len(data)), n >= 13)
		check(t, "tcp flags", v.TCP.Flags == ACK, n >= 14)
		check(t, "window", v.TCP.Window == 3, n >= 16)
		check(t, "mss", v.TCP.Has&HasMSS != 0, n >= 24)
		check(t, "timestamps", v.TCP.Has&HasTimestamps != 0, n >= 36)
		check(t, "captured payload", len(v.Payload), 0)
		check(t, "ip length", v.IPLen, uint32(len(packet)))
		if t.Failed() {
			t.Fatalf("with %d octets of TCP", n)
		}
	}
}

// What contradicts itself is still a packet of its flow.
func TestTCPBadHeader(t *testing.T) {
	tests := []struct {
		name  string
		frame []byte
	}{
		{"data offset 4", gen.Build(ip4, gen.TCP{SrcPort: 51234, DstPort: 443, DataOffset: new(uint8(4))}, data)},
		{"data offset 0", gen.Build(ip4, gen.TCP{SrcPort: 51234, DstPort: 443, DataOffset: new(uint8(0))}, data)},
		{"data offset beyond the packet", gen.Build(ip4, gen.TCP{SrcPort: 51234, DstPort: 443, DataOffset: new(uint8(15))})},
		{"packet shorter than a header", gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(32))}, gen.TCP{SrcPort: 51234, DstPort: 443})},
	}
	for _, tt := range tests {
		v := decodeRaw(tt.frame)
		check(t, tt.name, v.skip, OK)
		check(t, tt.name+": bad header", v.Packet.Flags&BadHeader != 0, true)
		check(t, tt.name+": source port", v.SrcPort, 51234)
		check(t, tt.name+": destination port", v.DstPort, 443)
		check(t, tt.name+": payload", v.PayloadLen, 0)
		check(t, tt.name+": captured payload", len(v.Payload), 0)
	}
}
