package record

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mirrorscope/capture"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"

	"mirrorscope/unit"
)

// marker stands for payload: no header has eight octets of it in a row.
var marker = bytes.Repeat([]byte{0xa7}, 8)

func payloadOf(n int) gen.Payload { return bytes.Repeat([]byte{0xa7}, n) }

// mustHaveNone fails where a ring holds payload.
func mustHaveNone(t *testing.T, r *Ring) {
	t.Helper()
	files := segmentsOf(t, r.cfg.Directory)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, marker); at >= 0 {
			t.Errorf("%s: payload at offset %d: % x", filepath.Base(file), at, b[max(0, at-64):at+16])
		}
	}
	if len(files) == 0 {
		t.Error("nothing was recorded")
	}
}

var (
	ether  = gen.Ethernet{Src: gen.MAC{2, 0, 0, 0, 0, 1}, Dst: gen.MAC{2, 0, 0, 0, 0, 2}}
	ether2 = gen.Ethernet{Src: gen.MAC{2, 0, 0, 0, 0, 3}, Dst: gen.MAC{2, 0, 0, 0, 0, 4}}
	outer4 = gen.IPv4{Src: gen.IP("172.16.0.5"), Dst: gen.IP("172.16.9.9"), ID: 1}
	outer6 = gen.IPv6{Src: gen.IP("fd16::5"), Dst: gen.IP("fd16::9")}
	udp    = gen.UDP{SrcPort: 50_000}
	ip4    = gen.IPv4{Src: gen.IP("10.0.0.7"), Dst: gen.IP("10.0.0.9"), ID: 77}
	ip6    = gen.IPv6{Src: gen.IP("fd00::7"), Dst: gen.IP("fd00::9")}
)

// wrappings are ways to carry an IP packet.
var wrappings = []struct {
	name   string
	link   capture.LinkType
	layers []gen.Layer
}{
	{"raw", capture.LinkRaw, nil},
	{"ethernet", capture.LinkEthernet, []gen.Layer{ether}},
	{"ethernet, trailer", capture.LinkEthernet, []gen.Layer{gen.Ethernet{Pad: true, Trailer: payloadOf(30)}}},
	{"null", capture.LinkNull, []gen.Layer{gen.Null{}}},
	{"ppp", capture.LinkPPP, []gen.Layer{gen.PPP{Framed: true}}},
	{"sll", capture.LinkLinuxSLL, []gen.Layer{gen.LinuxSLL{}}},
	{"sll2", capture.LinkSLL2, []gen.Layer{gen.SLL2{Interface: 3}}},
	{"nflog", capture.LinkNFLOG, []gen.Layer{gen.NFLOG{Prefix: "from the firewall"}}},
	{"qinq", capture.LinkEthernet, []gen.Layer{ether, gen.VLAN{ID: 100, TPID: 0x88a8}, gen.VLAN{ID: 200}}},
	{"snap", capture.LinkEthernet, []gen.Layer{ether, gen.LLC{SNAP: true}}},
	{"mpls", capture.LinkEthernet, []gen.Layer{ether, gen.MPLS{Labels: []uint32{16, 17}}}},
	{"pseudowire", capture.LinkEthernet, []gen.Layer{ether, gen.MPLS{Labels: []uint32{16}, ControlWord: true}, ether2}},
	{"pppoe", capture.LinkEthernet, []gen.Layer{ether, gen.PPPoE{Session: 9}, gen.PPP{}}},
	{"cisco metadata", capture.LinkEthernet, []gen.Layer{ether, gen.CiscoMetadata{SGT: 5}}},
	{"nsh", capture.LinkEthernet, []gen.Layer{ether, gen.NSH{Path: 1, Index: 255}}},
	{"ip in ip", capture.LinkEthernet, []gen.Layer{ether, outer4}},
	{"ip in ip6", capture.LinkEthernet, []gen.Layer{ether, outer6}},
	{"gre", capture.LinkEthernet, []gen.Layer{ether, outer4, gen.GRE{Key: new(uint32(7))}}},
	{"nvgre", capture.LinkEthernet, []gen.Layer{ether, outer4, gen.NVGRE{VSID: 7}, ether2}},
	{"mpls over udp", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.MPLS{Labels: []uint32{16}}}},
	{"gtp-u", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.GTPU{TEID: 7, Seq: new(uint16(1))}}},
	{"erspan 1", capture.LinkEthernet, []gen.Layer{ether, outer4, gen.ERSPAN1{}, ether2}},
	{"erspan 2", capture.LinkEthernet, []gen.Layer{ether, outer4, gen.ERSPAN2{Session: 1023}, ether2}},
	{"erspan 3", capture.LinkEthernet, []gen.Layer{ether, outer6, gen.ERSPAN3{Session: 5, Platform: new(uint64(1 << 60))}, ether2}},
	{"tzsp", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.TZSP{Tags: []gen.TZSPTag{{Type: 0}}}, ether2}},
	{"vxlan", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 4660}, ether2}},
	{"vxlan, padded inside", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 4660}, gen.Ethernet{Pad: true, Trailer: payloadOf(20)}}},
	{"vxlan in vxlan", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1}, ether2, outer6, udp, gen.VXLAN{VNI: 2}, ether}},
	{"vxlan-gpe", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLANGPE{VNI: 6}}},
	{"geneve", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{VNI: 8}, ether2}},
	{"geneve, aws, vxlan", capture.LinkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, gen.IPv4{Src: gen.IP("10.9.0.1"), Dst: gen.IP("10.9.0.2")}, udp, gen.VXLAN{VNI: 42}, ether2}},
}

// innermost are packets with payload, and such without.
func innermost() map[string][]gen.Layer {
	tcp := gen.TCP{SrcPort: 5, DstPort: 443, Seq: 1, Ack: 2, Flags: gen.ACK, Options: gen.TCPOptions{Timestamps: &gen.Timestamps{Val: 1, Ecr: 2}}}
	data := payloadOf(100)
	quote := gen.Build(gen.IPv4{Src: ip4.Dst, Dst: ip4.Src, ID: 3}, gen.UDP{SrcPort: 9, DstPort: 53}, data)
	quote6 := gen.Build(gen.IPv6{Src: ip6.Dst, Dst: ip6.Src}, tcp, data)
	later := gen.Fragment4(gen.Build(gen.IPv4{Src: ip4.Dst, Dst: ip4.Src, ID: 3}, gen.UDP{SrcPort: 9, DstPort: 53}, payloadOf(300)), 200)[1]
	return map[string][]gen.Layer{
		"tcp4":              {ip4, tcp, data},
		"tcp6":              {ip6, tcp, data},
		"tcp, one octet":    {ip4, tcp, payloadOf(1)},
		"ack":               {ip4, tcp},
		"syn":               {ip6, gen.TCP{SrcPort: 5, DstPort: 443, Seq: 1, Flags: gen.SYN, Options: gen.TCPOptions{MSS: 1460, WScale: new(uint8(7)), SACKPermitted: true}}},
		"udp4":              {ip4, gen.UDP{SrcPort: 5, DstPort: 53}, data},
		"udp6, empty":       {ip6, gen.UDP{SrcPort: 5, DstPort: 53}},
		"extensions":        {ip6, gen.HopByHop{}, gen.Routing{Type: 4, Addrs: []netip.Addr{gen.IP("fd00::9")}}, gen.DestinationOptions{}, gen.AH{}, tcp, data},
		"echo":              {ip4, gen.ICMP{Type: 8, ID: 77, Seq: 2}, data},
		"echo6":             {ip6, gen.ICMPv6{Type: 129, ID: 77, Seq: 2}, data},
		"unreachable":       {ip4, gen.ICMP{Type: 3, Code: 3}, gen.Payload(quote)},
		"unreachable6":      {ip6, gen.ICMPv6{Type: 1, Code: 4}, gen.Payload(quote6)},
		"unreachable later": {ip4, gen.ICMP{Type: 3, Code: 3}, gen.Payload(later)},
		"sctp":              {ip4, gen.SCTP{SrcPort: 5, DstPort: 6, Chunks: []gen.SCTPChunk{gen.SCTPData(1, 2, 3, data)}}},
		"esp":               {ip6, gen.ESP{SPI: 1, Seq: 2}, data},
		"any protocol":      {gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Protocol: 253}, data},
		"bad data offset":   {ip4, gen.TCP{SrcPort: 5, DstPort: 443, DataOffset: new(uint8(4))}, data},
		"bad length":        {ip4, gen.UDP{SrcPort: 5, DstPort: 53, Length: new(uint16(3))}, data},
		"no vxlan":          {ip4, gen.UDP{SrcPort: 5, DstPort: 4789}, data},
	}
}

// However a packet is wrapped, its headers are kept, and nothing behind them.
func TestNoPayload(t *testing.T) {
	src := &reel{names: []string{"eth1"}}
	inner := innermost()
	at := int64(1_800_000_000e9)
	for _, w := range wrappings {
		for _, layers := range inner {
			at += 1e6
			src.frames = append(src.frames, capture.Frame{Data: gen.Build(append(slices.Clone(w.layers), layers...)...), Time: at, Link: w.link})
		}
	}
	r := recorded(t, src, nil)
	mustHaveNone(t, r)
	got, _ := read(t, segmentsOf(t, r.cfg.Directory)...)
	if len(got) != len(src.frames) || r.Stats().Written != uint64(len(got)) {
		t.Fatalf("%d of %d frames, %+v", len(got), len(src.frames), r.Stats())
	}
	whole, kept := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names)), packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
	for i := range got {
		f, g := &src.frames[i], &got[i]
		if g.Time != f.Time || g.WireLen != len(f.Data) || g.Link != f.Link || !bytes.HasPrefix(f.Data, g.Data) {
			t.Fatalf("frame %d is not the same: %+v", i, g)
		}
		var p, q packet.Packet
		if whole.Decode(f.Data, uint16(f.Link), 0, len(f.Data), f.Time, &p) != packet.OK {
			t.Fatalf("frame %d gives no packet", i)
		}
		if s := kept.Decode(g.Data, uint16(g.Link), 0, g.WireLen, g.Time, &q); s != packet.OK && p.DstPort != 4789 || s == packet.OK && !same(&p, &q) {
			t.Errorf("frame %d: kept %v\n%+v, whole\n%+v", i, s, q, p)
		}
		var a, b packet.Quote
		if p.Kind == packet.ICMPOther && (packet.ParseQuote(&p, &a) != packet.ParseQuote(&q, &b) || a != b) {
			t.Errorf("frame %d quotes %+v, kept is %+v", i, a, b)
		}
	}
}

// Fragments are kept if the first one matches, in whatever order they come, cut to
// their headers: together they give the packet.
func TestFragments(t *testing.T) {
	tcp := func(port uint16) gen.TCP { return gen.TCP{SrcPort: port, DstPort: 443, Seq: 1, Flags: gen.ACK} }
	at := int64(1_800_000_000e9)
	src := &reel{}
	add := func(link []gen.Layer, packets ...[]byte) {
		for _, p := range packets {
			at += 1e6
			src.frames = append(src.frames, capture.Frame{Data: gen.Build(append(slices.Clone(link), gen.Packet(p))...), Time: at, Link: capture.LinkEthernet})
		}
	}
	plain := []gen.Layer{ether}
	vxlan := []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 5}, ether2}
	four := func(id uint16, port uint16) [][]byte {
		return gen.Fragment4(gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: id}, tcp(port), payloadOf(1000)), 400)
	}
	six := func(id uint32, port uint16) [][]byte {
		return gen.Fragment6(gen.Build(ip6, gen.HopByHop{}, tcp(port), payloadOf(1000)), 400, id)
	}
	add(plain, four(1, 1000)...)
	add(plain, four(2, 2000)...) // does not match
	backwards := four(3, 1000)
	slices.Reverse(backwards)
	add(plain, backwards...)
	add(vxlan, four(4, 1000)...)
	add(plain, six(5, 1000)...)
	add(vxlan, six(6, 1000)...)
	add(vxlan, six(7, 2000)...) // does not match
	inner := gen.Build(ip4, tcp(1000), payloadOf(1000))
	carrier := gen.Build(gen.IPv4{Src: outer4.Src, Dst: outer4.Dst, ID: 9}, udp, gen.VXLAN{VNI: 5}, ether, gen.Packet(inner))
	add(plain, gen.Fragment4(carrier, 400)...)
	add(plain, four(10, 1000)[:2]...)                                             // its last one is missing
	add(plain, gen.Build(ip6, gen.IPv6Fragment{ID: 1}, tcp(1000), payloadOf(50))) // whole, with a fragment header
	mixed, other := four(11, 1000), four(12, 2000)
	for i := range mixed {
		add(plain, mixed[i], other[i])
	}

	r := recorded(t, src, func(c *Config, _ *Options) { c.Filter = "tcp port 1000" })
	mustHaveNone(t, r)
	got, _ := read(t, segmentsOf(t, r.cfg.Directory)...)

	type sum struct{ packets, octets, payload int }
	decode := func(frames []capture.Frame) (sums map[uint16]sum, d *packet.Decoder) {
		d = packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
		sums = map[uint16]sum{}
		var p packet.Packet
		for i := range frames {
			f := &frames[i]
			if f.WireLen == 0 {
				f.WireLen = len(f.Data)
			}
			if d.Decode(f.Data, uint16(f.Link), 0, f.WireLen, f.Time, &p) == packet.OK {
				s := sums[p.SrcPort]
				sums[p.SrcPort] = sum{s.packets + 1, s.octets + int(p.IPLen), s.payload + int(p.PayloadLen)}
			}
		}
		d.Flush()
		return sums, d
	}
	want, _ := decode(src.frames)
	sums, d := decode(got)
	if sums[1000] != want[1000] || want[1000].packets != 8 || len(sums) != 1 {
		t.Errorf("kept %+v, whole %+v", sums, want)
	}
	if n := d.Settled[packet.FragmentIncomplete]; n != 2 {
		t.Errorf("%d fragments of a packet that was not complete, want 2", n)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Time < got[i-1].Time && got[i].Time > at {
			t.Errorf("frame %d is late", i)
		}
	}
}

// Fragments whose first one does not come are not kept for ever.
func TestFragmentsAreBounded(t *testing.T) {
	src := &reel{}
	var last []byte
	for i := range 5 * maxPieces {
		frags := gen.Fragment4(gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: uint16(i)}, gen.UDP{SrcPort: 5, DstPort: 6}, payloadOf(300)), 200)
		src.frames = append(src.frames, capture.Frame{Data: gen.Build(ether, gen.Packet(frags[1])), Time: int64(1_800_000_000e9) + int64(i)*1e3, Link: capture.LinkEthernet})
		last = frags[0]
	}
	src.frames = append(src.frames, capture.Frame{Data: gen.Build(ether, gen.Packet(last)), Time: 1_800_000_001e9, Link: capture.LinkEthernet})
	r := recorded(t, src, nil)
	if n := len(r.pieces.waiting); n >= maxPieces {
		t.Errorf("%d fragments wait", n)
	}
	if got := r.Stats().Written; got != 2 {
		t.Errorf("%d frames, want the two of the last packet", got)
	}
}

// In every capture that we have, with its payload overwritten, nothing of it is
// kept.
func TestNoPayloadOfCaptures(t *testing.T) {
	written := uint64(0)
	for _, file := range captures(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
			x := newCutter(packet.DefaultConfig())
			src := &reel{names: []string{"0"}}
			var p packet.Packet
			frames(t, file, func(f *capture.Frame) {
				g := *f
				g.Data = slices.Clone(f.Data)
				g.Interface = 0
				if d.Decode(g.Data, uint16(g.Link), 0, g.WireLen, g.Time, &p) == packet.OK && p.Flags&packet.Reassembled == 0 {
					n := x.headers(&g, &p)
					for i := n; i < len(g.Data); i++ {
						g.Data[i] = marker[0]
					}
				}
				src.frames = append(src.frames, g)
			})
			r := recorded(t, src, func(c *Config, _ *Options) { c.Last = unit.Duration(maxLast) })
			n := r.Stats().Written
			written += n
			if n > 0 && r.Stats().Segments > 0 {
				mustHaveNone(t, r)
			}
		})
	}
	if written < 10_000 {
		t.Errorf("%d frames were recorded", written)
	}
}

// What Take does allocates nothing, for packets with payload and without.
func TestTakeAllocs(t *testing.T) {
	for name, layers := range innermost() {
		for _, w := range wrappings {
			if w.name != "ethernet" && w.name != "vxlan, padded inside" {
				continue
			}
			f := capture.Frame{Data: gen.Build(append(slices.Clone(w.layers), layers...)...), Time: 1, Link: w.link}
			f.WireLen = len(f.Data)
			r := ringOf(t, nil, func(_ *Config, o *Options) { o.Wait = false })
			d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
			var p packet.Packet
			if d.Decode(f.Data, uint16(f.Link), 0, f.WireLen, f.Time, &p) != packet.OK {
				t.Fatal(name)
			}
			r.Take(&f, &p)
			if n := testing.AllocsPerRun(200, func() { r.Take(&f, &p) }); n != 0 {
				t.Errorf("%s in %s: %v allocations", name, w.name, n)
			}
			r.files.close()
		}
	}
}

func BenchmarkTake(b *testing.B) {
	inner := innermost()
	for _, name := range []string{"tcp4", "ack"} {
		b.Run(name, func(b *testing.B) {
			f := capture.Frame{Data: gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 4660}, ether2, gen.Packet(gen.Build(inner[name]...))), Time: 1, Link: capture.LinkEthernet}
			f.WireLen = len(f.Data)
			r := ringOf(b, nil, func(_ *Config, o *Options) { o.Wait = false })
			d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
			var p packet.Packet
			d.Decode(f.Data, uint16(f.Link), 0, f.WireLen, f.Time, &p)
			b.ReportAllocs()
			for b.Loop() {
				r.Take(&f, &p)
				if len(r.filling) > cap(r.filling)/2 {
					r.filling = r.filling[:0]
				}
			}
		})
	}
}
