package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// XDP actions.
const (
	xdpDrop     = 1
	xdpPass     = 2
	xdpRedirect = 4
)

// xdpSocket gives an AF_XDP socket that the map of sockets takes: it has memory
// and a fill ring, and is bound to nothing.
func xdpSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	memory, err := unix.Mmap(-1, 0, 16*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	check(t, err)
	t.Cleanup(func() { check(t, unix.Munmap(memory)) })
	umem := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&memory[0]))), Len: uint64(len(memory)), Size: 4096}
	if _, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&umem)), unsafe.Sizeof(umem), 0); errno != 0 {
		t.Fatalf("register memory: %v", errno)
	}
	check(t, unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_UMEM_FILL_RING, 16))
	return fd
}

// deliver runs one frame and gives what comes out.
func deliver(t *testing.T, p *Prefilter, frame []byte) (action uint32, out []byte) {
	t.Helper()
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	action, err := p.objects.Prefilter.Run(&o)
	check(t, err)
	return action, o.DataOut
}

func TestToSocket(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	cfg.Trim, cfg.TrimHead, cfg.Sample = 64, 0, 3
	p, err := Load(cfg, ToSocket, 2)
	check(t, err)
	defer p.Close()
	headers := []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1}, ether, ip4}
	var frame, other []byte // in the sample, and not
	for port := uint16(1); frame == nil || other == nil; port++ {
		a, b := packet.AddrFrom(ip4.Src), packet.AddrFrom(ip4.Dst)
		f := gen.Build(append(headers, gen.TCP{SrcPort: port, DstPort: 443, Flags: packet.ACK}, gen.Payload(make([]byte, 1000)))...)
		if packet.Sampled(packet.SymmetricHash(&a, &b, port, 443, 6, 0), 3) {
			frame = f
		} else {
			other = f
		}
	}

	if action, _ := deliver(t, p, frame); action != xdpDrop {
		t.Errorf("action %d without a socket", action)
	}
	check(t, p.SetSocket(0, xdpSocket(t)))
	var before, after unix.Timespec
	check(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &before))
	action, out := deliver(t, p, frame)
	check(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &after))
	if action != xdpRedirect {
		t.Fatalf("action %d with a socket", action)
	}
	want := frame[:len(frame)-1000+64]
	if len(out) != MetaLen+len(want) || !bytes.Equal(out[MetaLen:], want) {
		t.Fatalf("out came\n%x\nwant 16 octets and\n%x", out, want)
	}
	m := Meta{MonoNs: binary.NativeEndian.Uint64(out), WireLen: binary.NativeEndian.Uint32(out[8:]), Weight: binary.NativeEndian.Uint32(out[12:])}
	if m.WireLen != uint32(len(frame)) || m.Weight != 3 || int64(m.MonoNs) < before.Nano() || int64(m.MonoNs) > after.Nano() {
		t.Errorf("stamp %+v of %d octets between %d and %d", m, len(frame), before.Nano(), after.Nano())
	}
	if action, _ := deliver(t, p, other); action != xdpDrop {
		t.Errorf("action %d outside the sample", action)
	}
	for range 2 { // nobody to take away is no error
		check(t, p.SetSocket(0, -1))
	}
	if action, _ := deliver(t, p, frame); action != xdpDrop {
		t.Errorf("action %d without the socket", action)
	}
	if err := p.SetSocket(2, -1); err == nil {
		t.Error("a queue that does not exist has no socket either")
	}

	c, err := p.Counters()
	check(t, err)
	for name, n := range map[string]uint64{"socket": 1, "no_socket": 2, "not_sampled": 1} {
		if got := named(t, c.Verdicts, name); got.Packets != n || got.Octets != n*uint64(len(frame)) {
			t.Errorf("%+v", got)
		}
	}
	if c.Trimmed.Packets != 3 || c.Trimmed.Octets != 3*(1000-64) {
		t.Errorf("%+v, want 3 frames, also those that no socket took", c.Trimmed)
	}
}

// TestShared passes the machine's own traffic to its stack and nothing else.
func TestShared(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	cfg.Shared = true
	p, err := Load(cfg, ToSocket, 1)
	check(t, err)
	defer p.Close()
	check(t, p.SetSocket(0, xdpSocket(t)))
	me, me6 := gen.IP("192.0.2.9"), gen.IP("fe80::9")
	check(t, p.SetOwn(append([]netip.Addr{me}, me6.WithZone("eth0"))))
	to := func(dst netip.Addr) gen.IPv4 { return gen.IPv4{Src: gen.IP("192.0.2.1"), Dst: dst} }
	to6 := func(dst string) gen.IPv6 { return gen.IPv6{Src: gen.IP("fe80::1"), Dst: gen.IP(dst)} }
	inner := []gen.Layer{ether, ip4, gen.TCP{SrcPort: 1, DstPort: 2}}
	mirrored := func(outer ...gen.Layer) []byte {
		return gen.Build(append(append([]gen.Layer{ether}, outer...), inner...)...)
	}
	for name, c := range map[string]struct {
		own   bool
		frame []byte
	}{
		"health check":            {true, gen.Build(ether, to(me), gen.TCP{SrcPort: 9, DstPort: 8080})},
		"to a link-local address": {true, gen.Build(ether, to6("fe80::9"), gen.TCP{SrcPort: 9, DstPort: 8080})},
		"arp":                     {true, gen.Build(ether, gen.ARP{Sender: gen.IP("192.0.2.1"), Target: me})},
		"neighbour solicitation":  {true, gen.Build(ether, to6("ff02::1:ff00:9"), gen.ICMPv6{Type: 135}, gen.Payload(make([]byte, 16)))},
		"router advertisement":    {true, gen.Build(ether, to6("ff02::1"), gen.ICMPv6{Type: 134}, gen.Payload(make([]byte, 8)))},
		"dhcp offer to everyone":  {true, gen.Build(ether, to(gen.IP("255.255.255.255")), gen.UDP{SrcPort: 67, DstPort: 68})},
		"gtp to this machine":     {true, mirrored(to(me), gen.UDP{SrcPort: 5}, gen.GTPU{})},
		"tzsp to this machine":    {false, mirrored(to(me), gen.UDP{SrcPort: 5}, gen.TZSP{})},
		"not tzsp on its port":    {false, gen.Build(ether, to(me), gen.UDP{SrcPort: 5, DstPort: 37008}, gen.Payload("nothing"))},
		"gpe to this machine":     {false, mirrored(to(me), gen.UDP{SrcPort: 5}, gen.VXLANGPE{VNI: 1})},
		"erspan 1":                {false, mirrored(to(me), gen.ERSPAN1{})},
		"erspan 3":                {false, mirrored(to(me), gen.ERSPAN3{Session: 1})},
		"erspan of nothing":       {false, gen.Build(ether, to(me), gen.GRE{Protocol: 0x88be, Seq: new(uint32)}, gen.Payload("nothing"))},
		"from a mirror's port":    {true, gen.Build(ether, to(me), gen.UDP{SrcPort: 37008, DstPort: 9}, gen.Payload("nothing"))},
		"vxlan to this machine":   {false, mirrored(to(me), gen.UDP{SrcPort: 5}, gen.VXLAN{VNI: 1})},
		"geneve to this machine":  {false, mirrored(to(me), gen.UDP{SrcPort: 5}, gen.Geneve{VNI: 1})},
		"erspan to this machine":  {false, mirrored(to(me), gen.ERSPAN2{Session: 1})},
		"not vxlan on its port":   {false, gen.Build(ether, to(me), gen.UDP{SrcPort: 5, DstPort: 4789}, gen.Payload("nothing"))},
		"arp inside vxlan":        {false, gen.Build(ether, to(me), gen.UDP{SrcPort: 5}, gen.VXLAN{VNI: 1}, ether, gen.ARP{Sender: me, Target: me})},
		"others' traffic":         {false, gen.Build(ether, ip4, gen.TCP{SrcPort: 9, DstPort: 8080})},
		"others' ping":            {false, gen.Build(ether, ip6, gen.ICMPv6{Type: 128})},
		"lldp":                    {false, gen.Build(gen.Ethernet{Type: 0x88cc}, data)},
	} {
		want := uint32(xdpRedirect)
		if c.own {
			want = xdpPass
		}
		if action, _ := deliver(t, p, c.frame); action != want {
			t.Errorf("%s: action %d, want %d", name, action, want)
		}
	}
	check(t, p.SetOwn(nil))
	if action, _ := deliver(t, p, gen.Build(ether, to(me), gen.TCP{SrcPort: 9, DstPort: 8080})); action != xdpRedirect {
		t.Errorf("action %d for an address that is no longer its own", action)
	}
}

// TestUnknownIsNoReason lets frames through whose tunnel is not known to the
// end: what is cut off might name one of the list.
func TestUnknownIsNoReason(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	cfg.VNIs, cfg.Sources = []uint32{8}, []Prefix{{netip.MustParsePrefix("198.51.100.0/24")}}
	p, err := Load(cfg, ToStack, 1)
	check(t, err)
	defer p.Close()
	source := gen.IPv4{Src: gen.IP("198.51.100.7"), Dst: outer4.Dst}
	gateway := []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}}
	whole := gen.Build(append(gateway, source, udp, gen.VXLAN{VNI: 8}, ether, ip4, gen.TCP{})...)
	other := gen.Build(append(gateway, source, udp, gen.VXLAN{VNI: 9}, ether, ip4, gen.TCP{})...)
	for _, c := range []struct {
		what  string
		frame []byte
		want  uint32
	}{
		{"whole", whole, xdpPass},
		{"of another tunnel", other, xdpDrop},
		{"cut inside the tunnel", whole[:len(whole)-30], xdpPass},
		{"of another tunnel, cut inside", other[:len(other)-30], xdpDrop},
		{"cut in front of it", other[:len(other)-60], xdpPass},
		{"without it", gen.Build(append(gateway, source, gen.TCP{})...), xdpDrop},
		{"a fragment of it", gen.Build(append(gateway, gen.IPv4{Src: source.Src, Dst: source.Dst, MF: true}, gen.Payload("16 octets, whole"))...), xdpPass},
	} {
		if action, _ := deliver(t, p, c.frame); action != c.want {
			t.Errorf("%s: action %d, want %d", c.what, action, c.want)
		}
	}
}

// TestHeads follows one connection through trimming.
func TestHeads(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	cfg.Trim, cfg.TrimHead = 32, 4000
	p, err := Load(cfg, ToStack, 1)
	check(t, err)
	defer p.Close()
	const size = 1000
	payload := func(start string) gen.Payload {
		return append(gen.Payload(start), make([]byte, size-len(start))...)
	}
	segment := func(src, dst uint16, flags uint16, data gen.Payload) []byte {
		return gen.Build(ether, ip4, gen.TCP{SrcPort: src, DstPort: dst, Flags: flags}, data)
	}
	there := func(start string) []byte { return segment(1111, 80, packet.ACK, payload(start)) }
	back := func(start string) []byte {
		return gen.Build(ether, gen.IPv4{Src: ip4.Dst, Dst: ip4.Src}, gen.TCP{SrcPort: 80, DstPort: 1111, Flags: packet.ACK}, payload(start))
	}
	datagram := func(dst uint16, start string) []byte {
		return gen.Build(ether, ip4, gen.UDP{SrcPort: 5000, DstPort: dst}, payload(start))
	}
	for i, c := range []struct {
		what  string
		frame []byte
		cut   bool
	}{
		{"1000 octets", there("x"), false},
		{"2000", there("x"), false},
		{"3000", there("x"), false},
		{"4000", there("x"), false},
		{"behind the head", there("x"), true},
		{"the other direction", back("x"), false},
		{"an ACK", segment(1111, 80, packet.ACK, nil), false},
		{"too little to cut", segment(1111, 80, packet.ACK, gen.Payload(make([]byte, 90))), false},
		{"a request", there("GET / HTTP/1.1"), false},
		{"which goes on", there("cookie"), false},
		{"and on", there("cookie"), false},
		{"and on", there("cookie"), false},
		{"and ends", there("x"), true},
		{"a handshake record", there("\x16\x03\x03"), false},
		{"which goes on", there("x"), false},
		{"application data", there("\x17\x03\x03"), false},
		{"application data", there("\x17\x03\x03"), false},
		{"application data", there("\x17\x03\x03"), true},
		{"an alert", there("\x15\x03\x03"), false},
		{"SYN of the next connection", segment(1111, 80, packet.SYN, nil), false},
		{"1000 octets", there("x"), false},
		{"2000", there("x"), false},
		{"3000", there("x"), false},
		{"4000", there("x"), false},
		{"behind the head", there("x"), true},
		{"datagram", datagram(5001, "x"), true},
		{"dns", datagram(53, "x"), false},
		{"mdns", datagram(5353, "x"), false},
		{"quic initial", datagram(443, "\xc3\x00\x00\x00\x01"), false},
		{"quic initial, greased", datagram(443, "\x83\x00\x00\x00\x01"), false},
		{"quic, short header", datagram(443, "\x43\x00\x00\x00\x01"), true},
		{"rtp", datagram(4000, "\x80\x60\x12\x34\x56"), true},
		{"dtls handshake", datagram(4000, "\x16\xfe\xfd"), false},
		{"icmp", gen.Build(ether, ip4, gen.ICMP{Type: 3}, payload("x")), false},
		{"esp", gen.Build(ether, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Protocol: 50}, payload("x")), true},
		{"fragment", gen.Build(ether, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Protocol: 17, Offset: 800}, payload("x")), false},
	} {
		_, out := deliver(t, p, c.frame)
		want := len(c.frame)
		if c.cut {
			want += 32 - size
		}
		if !bytes.Equal(out, c.frame[:want]) {
			t.Errorf("step %d, %s: %d of %d octets, want %d", i, c.what, len(out), len(c.frame), want)
		}
	}
}

// TestFrags is TestToSocket for a frame of several buffers.
func TestFrags(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	p, err := Load(cfg, ToSocket, 1)
	check(t, err)
	defer p.Close()
	if p.frags == nil {
		t.Skipf("needs kernel 5.18: %v", p.noFrags)
	}
	check(t, p.SetSocket(0, xdpSocket(t)))
	payload := make(gen.Payload, 8800)
	for i := range payload {
		payload[i] = byte(i)
	}
	frame := gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 1}, ether, ip4, gen.UDP{SrcPort: 1, DstPort: 2}, payload)
	for _, trim := range []uint32{0, 5000, 64} {
		cfg.Trim = trim
		check(t, p.Update(cfg))
		o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
		action, err := p.frags.Run(&o)
		check(t, err)
		want := len(frame)
		if trim > 0 {
			want += int(trim) - len(payload)
		}
		if action != xdpRedirect || len(o.DataOut) != MetaLen+want || !bytes.Equal(o.DataOut[MetaLen:], frame[:want]) {
			t.Errorf("trim %d: action %d, %d octets, want %d", trim, action, len(o.DataOut), MetaLen+want)
		} else if n := binary.NativeEndian.Uint32(o.DataOut[8:]); n != uint32(len(frame)) {
			t.Errorf("trim %d: a stamp of %d octets, want %d", trim, n, len(frame))
		}
	}
}
