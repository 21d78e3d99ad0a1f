package packet

import (
	"math/rand/v2"
	"testing"
	"time"

	gen "mirrorscope/internal/pcapgen"
)

// feed decodes packets of LINKTYPE_RAW and keeps the books as a caller does.
type feed struct {
	t       *testing.T
	d       *Decoder
	names   *Names
	now     int64
	frames  uint64
	returns [NumSkips]uint64
	last    *verdict // of the latest OK
	lost    []Packet
}

func newFeed(t *testing.T, cfg Config) *feed {
	f := &feed{t: t, names: new(Names)}
	f.d = NewDecoder(cfg, f.names)
	f.d.Lost = func(p *Packet) {
		c := *p
		c.Payload = nil
		f.lost = append(f.lost, c)
	}
	return f
}

func (f *feed) add(packet []byte) Skip { return f.cut(packet, len(packet)) }

// cut adds a packet of which n octets are captured.
func (f *feed) cut(packet []byte, n int) Skip {
	v := &verdict{names: f.names, d: f.d}
	v.skip = f.d.Decode(packet[:n:n], linkRaw, 0, len(packet), f.now, &v.Packet)
	f.frames++
	f.returns[v.skip]++
	if v.skip == OK {
		v.Payload = append([]byte(nil), v.Payload...)
		f.last = v
	}
	return v.skip
}

// want adds packets and checks what they give.
func (f *feed) want(want Skip, packets ...[]byte) {
	f.t.Helper()
	for i, p := range packets {
		if got := f.add(p); got != want {
			f.t.Fatalf("packet %d: skip %q, want %q", i, got, want)
		}
	}
}

// balance flushes, checks that every frame has one verdict, and gives them.
func (f *feed) balance() (total [NumSkips]uint64) {
	f.t.Helper()
	f.d.Flush()
	var sum uint64
	for s := range f.returns {
		if Skip(s) != Held {
			total[s] = f.returns[s] + f.d.Settled[s]
			sum += total[s]
		}
	}
	if sum != f.frames || f.d.Settled[Held] != 0 {
		f.t.Errorf("%d frames, %d verdicts: returned %v, settled %v", f.frames, sum, f.returns, f.d.Settled)
	}
	if t := &f.d.frags; len(t.entries) != 0 || len(t.points) != 0 || t.octets != 0 || t.n != 0 || t.oldest != nil || t.newest != nil {
		f.t.Errorf("fragment table not empty after Flush: %d entries, %d points, %d octets", len(t.entries), len(t.points), t.octets)
	}
	return total
}

// fragmented is a packet of each version and its fragments.
func fragmented() map[string]struct{ whole, parts [][]byte } {
	long := gen.Payload(make([]byte, 2000))
	for i := range long {
		long[i] = byte(i * 7)
	}
	p4, p6 := gen.Build(ip4free, segment, long), gen.Build(ip6, gen.DestinationOptions{}, segment, long)
	return map[string]struct{ whole, parts [][]byte }{
		"IPv4": {[][]byte{p4}, gen.Fragment4(p4, 576)},
		"IPv6": {[][]byte{p6}, gen.Fragment6(p6, 576, 99)},
	}
}

var ip4free = gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: 4711, TTL: 63, TOS: 0xb8}

// TestReassembly adds the fragments in every order: the last to come gives the
// packet as it was.
func TestReassembly(t *testing.T) {
	for name, tt := range fragmented() {
		t.Run(name, func(t *testing.T) {
			if len(tt.parts) != 4 {
				t.Fatalf("%d fragments, want 4", len(tt.parts))
			}
			want := decodeRaw(tt.whole[0])
			want.Packet.Flags |= Reassembled
			permute(4, func(order []int) {
				f := newFeed(t, DefaultConfig())
				for i, k := range order {
					f.now = int64(10 * i)
					if i < 3 {
						f.want(Held, tt.parts[k])
					}
				}
				f.want(OK, tt.parts[order[3]])
				check(t, "time", f.last.Time, 30)
				f.last.Time = want.Time
				samePacket(t, f.last, want)
				check(t, "decoded", f.balance()[OK], 4)
			})
		})
	}
}

func permute(n int, do func(order []int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var rec func(k int)
	rec = func(k int) {
		if k == n {
			do(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			rec(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	rec(0)
}

// A mirror delivers every fragment twice, before or after the packet is whole.
func TestFragmentCopies(t *testing.T) {
	for name, tt := range fragmented() {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t, DefaultConfig())
			p := tt.parts
			f.want(Held, p[0])
			f.want(FragmentDuplicate, p[0])
			f.want(Held, p[1], p[3])
			f.want(FragmentDuplicate, p[3])
			f.want(OK, p[2])
			f.want(FragmentDuplicate, p...)
			total := f.balance()
			check(t, "decoded", total[OK], 4)
			check(t, "duplicates", total[FragmentDuplicate], 6)
		})
	}
}

// The same identification with other content is the next packet, whether the
// one before was completed or not.
func TestFragmentIDReused(t *testing.T) {
	for name, complete := range map[string]bool{"after a whole packet": true, "after half a packet": false} {
		t.Run(name, func(t *testing.T) {
			first := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
			other := gen.Fragment4(gen.Build(ip4free, gen.TCP{SrcPort: 9, DstPort: 10}, gen.Payload(make([]byte, 900))), 576)
			f := newFeed(t, DefaultConfig())
			f.want(Held, first[0])
			if complete {
				f.want(OK, first[1])
			}
			f.want(Held, other[0])
			f.want(OK, other[1])
			check(t, "source port", f.last.SrcPort, 9)
			total := f.balance()
			check(t, "incomplete", total[FragmentIncomplete] == 0, complete)
		})
	}
}

// A shorter packet with the identification of a whole one: other extents.
func TestFragmentIDReusedByShorter(t *testing.T) {
	first := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
	other := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 400)
	f := newFeed(t, DefaultConfig())
	f.want(Held, first[0])
	f.want(OK, first[1])
	f.want(Held, other[0], other[1])
	f.want(OK, other[2])
	check(t, "decoded", f.balance()[OK], 5)
}

func TestFragmentOverlap(t *testing.T) {
	piece := func(offset uint16, n int, more bool) []byte {
		return gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: 1, Offset: offset, MF: more, Protocol: ProtoUDP}, gen.Payload(make([]byte, n)))
	}
	tests := []struct {
		name   string
		pieces [][]byte // the last one contradicts the others
	}{
		{"reaches into the next", [][]byte{piece(16, 16, true), piece(0, 24, true)}},
		{"begins inside the one before", [][]byte{piece(0, 24, true), piece(16, 16, true)}},
		{"covers another", [][]byte{piece(8, 8, true), piece(0, 32, true)}},
		{"lies inside another", [][]byte{piece(0, 32, true), piece(8, 8, true)}},
		{"same start, longer", [][]byte{piece(0, 8, true), piece(0, 16, true)}},
		{"same start, shorter", [][]byte{piece(0, 16, true), piece(0, 8, true)}},
		{"beyond the last", [][]byte{piece(32, 8, false), piece(40, 8, true)}},
		{"another last", [][]byte{piece(32, 8, false), piece(48, 8, false)}},
		{"last before others", [][]byte{piece(48, 8, true), piece(32, 8, false)}},
		{"the same, last and not last", [][]byte{piece(32, 8, false), piece(32, 8, true)}},
		{"the same, not last and last", [][]byte{piece(32, 8, true), piece(32, 8, false)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFeed(t, DefaultConfig())
			last := len(tt.pieces) - 1
			f.want(Held, tt.pieces[:last]...)
			f.want(FragmentOverlap, tt.pieces[last])
			f.want(FragmentOverlap, tt.pieces...) // no way back
			f.want(FragmentOverlap, piece(80, 8, true))
			f.now += int64(6 * time.Second)
			f.want(Held, tt.pieces[0])
			total := f.balance()
			check(t, "overlap", total[FragmentOverlap], uint64(2*len(tt.pieces)+1))
			check(t, "incomplete", total[FragmentIncomplete], 1)
		})
	}
}

func TestImpossibleFragments(t *testing.T) {
	v4 := func(offset uint16, n int, more bool) []byte {
		return gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: 1, Offset: offset, MF: more, Protocol: ProtoUDP}, gen.Payload(make([]byte, n)))
	}
	v6 := func(offset uint16, n int, more bool) []byte {
		return gen.Build(ip6, gen.IPv6Fragment{ID: 1, Offset: offset, More: more, Next: new(uint8(ProtoUDP))}, gen.Payload(make([]byte, n)))
	}
	for name, packet := range map[string][]byte{
		"IPv4, empty":                  v4(8, 0, true),
		"IPv4, empty last":             v4(8, 0, false),
		"IPv4, no multiple of 8":       v4(0, 7, true),
		"IPv4, beyond 65535":           v4(65528, 8, false),
		"IPv4, beyond with its header": v4(65504, 16, false),
		"IPv6, empty":                  v6(8, 0, true),
		"IPv6, no multiple of 8":       v6(0, 12, true),
		"IPv6, beyond 65535":           v6(65528, 8, false),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t, DefaultConfig())
			f.want(BadIP, packet)
			check(t, "bad ip", f.balance()[BadIP], 1)
		})
	}
	f := newFeed(t, DefaultConfig())
	f.want(Held, v4(65496, 16, false), v6(65520, 15, false)) // the largest that fit
	check(t, "incomplete", f.balance()[FragmentIncomplete], 2)
}

// The 5 seconds run from the fragment that came first, in packet time.
func TestFragmentTimeout(t *testing.T) {
	p := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
	other := gen.Build(ip4, segment)
	f := newFeed(t, DefaultConfig())
	f.want(Held, p[0])
	f.now = int64(5 * time.Second)
	f.want(OK, p[1])
	f.now++
	f.want(OK, other)
	check(t, "remembered packets", len(f.d.frags.entries), 0)

	f.want(Held, p[0])
	f.now += int64(5*time.Second) + 1
	f.want(OK, other)
	check(t, "incomplete, before anything else of it came", f.d.Settled[FragmentIncomplete], 1)
	f.want(Held, p[1])
	f.now -= int64(time.Hour) // a clock that steps back must not join packets either
	f.want(Held, p[0])
	total := f.balance()
	check(t, "incomplete", total[FragmentIncomplete], 3)
	check(t, "decoded", total[OK], 4)
}

// What the capture cut off a fragment is missing from the packet's payload,
// and from nothing else.
func TestFragmentsCut(t *testing.T) {
	long := gen.Payload(make([]byte, 1000))
	p := gen.Fragment4(gen.Build(ip4free, segment, long), 400)
	f := newFeed(t, DefaultConfig())
	f.cut(p[0], 120)
	f.cut(p[1], 60)
	check(t, "skip", f.cut(p[2], 60), OK)
	check(t, "ip length", f.last.IPLen, 1052)
	check(t, "payload", f.last.PayloadLen, 1000)
	check(t, "captured payload", len(f.last.Payload), 120-52)
	check(t, "flags", f.last.Packet.Flags, Reassembled|Truncated)

	// Whole in the middle, cut at the end.
	f.now += int64(6 * time.Second)
	f.add(p[0])
	f.add(p[1])
	check(t, "skip", f.cut(p[2], 40), OK)
	check(t, "captured payload", len(f.last.Payload), 2*376-32+20)
	// The second copy of a fragment, cut elsewhere, is a copy.
	check(t, "copy", f.cut(p[1], 300), FragmentDuplicate)
	check(t, "decoded", f.balance()[OK], 6)
}

// A tunnel around a fragmented packet that is fragmented itself.
func TestNestedFragments(t *testing.T) {
	inner := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 1400))), 800)
	var outer [][]byte
	for i, p := range inner {
		o := gen.IPv4{Src: outer4.Src, Dst: outer4.Dst, ID: uint16(100 + i)}
		outer = append(outer, gen.Fragment4(gen.Build(o, udp, gen.VXLAN{VNI: 5}, ether, gen.Packet(p)), 400)...)
	}
	want := decodeRaw(gen.Build(ip4free, segment, gen.Payload(make([]byte, 1400))))
	want.Packet.Flags |= Reassembled
	f := newFeed(t, DefaultConfig())
	f.now = 1
	last := len(outer) - 1
	f.want(Held, outer[:last]...)
	f.want(OK, outer[last])
	samePacket(t, f.last, want)
	check(t, "point", f.names.PointName(f.last.Point), "0 vxlan 5 172.16.0.5-172.16.9.9")
	check(t, "decoded", f.balance()[OK], uint64(len(outer)))

	// When the inner packet stays incomplete, all frames that went into it do.
	f = newFeed(t, DefaultConfig())
	f.want(Held, outer[:last]...)
	check(t, "incomplete", f.balance()[FragmentIncomplete], uint64(last))
}

// The same fragments in two tunnels, or of another protocol, do not meet.
func TestFragmentKeys(t *testing.T) {
	p := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
	in := func(vni uint32, p []byte) []byte {
		return gen.Build(outer4, udp, gen.VXLAN{VNI: vni}, ether, gen.Packet(p))
	}
	f := newFeed(t, DefaultConfig())
	f.want(Held, in(1, p[0]), in(2, p[1]), p[0])
	f.want(OK, in(2, p[0]), in(1, p[1]), p[1])
	check(t, "decoded", f.balance()[OK], 6)
}

// With names for networks and VLANs in the key, both separate fragments.
func TestFragmentKeysOfNetworks(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Networks, cfg.VLANInKey = map[uint32]string{1: "red"}, true
	p := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
	in := func(vlan uint16, p []byte) []byte {
		return gen.Build(outer4, udp, gen.VXLAN{VNI: 1}, ether, gen.VLAN{ID: vlan}, gen.Packet(p))
	}
	f := newFeed(t, cfg)
	f.want(Held, in(1, p[0]), in(2, p[1]))
	f.want(OK, in(2, p[0]))
	check(t, "network", f.names.NetworkName(f.last.Network), "red/vlan2")
	f.want(OK, in(1, p[1]))
	check(t, "network", f.names.NetworkName(f.last.Network), "red/vlan1")
	f.balance()
}

// Without a second point to spare, the bound of the whole table drops the
// oldest packet.
func TestFragmentTableDropsOldest(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Fragments.Packets, cfg.Fragments.PerPoint = 2, 2
	p := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
	in := func(vni uint32, p []byte) []byte {
		return gen.Build(outer4, udp, gen.VXLAN{VNI: vni}, ether, gen.Packet(p))
	}
	f := newFeed(t, cfg)
	f.want(Held, in(1, p[0]), in(2, p[0]), in(3, p[0])) // 1 leaves
	f.want(OK, in(2, p[1]), in(3, p[1]))
	f.want(Held, in(1, p[1]))
	total := f.balance()
	check(t, "decoded", total[OK], 4)
	check(t, "incomplete", total[FragmentIncomplete], 2)
}

func TestLostTellsTheFlow(t *testing.T) {
	p := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
	in := func(p []byte) []byte { return gen.Build(outer4, udp, gen.VXLAN{VNI: 1}, ether, gen.Packet(p)) }
	f := newFeed(t, DefaultConfig())
	f.want(Held, in(p[0]))
	f.balance()
	if len(f.lost) != 1 {
		t.Fatalf("told %d times, want 1", len(f.lost))
	}
	want := decodeRaw(gen.Build(ip4free, segment))
	got := f.lost[0]
	check(t, "hash", got.Hash, want.Hash)
	check(t, "source port", got.SrcPort, 51234)
	check(t, "point", f.names.PointName(got.Point), "0 vxlan 1 172.16.0.5-172.16.9.9")

	// Without its first fragment the flow is not known. An inner fragment that
	// is lost with its outer packet is not held by anything.
	outer := gen.Fragment4(in(p[0]), 300)
	f = newFeed(t, DefaultConfig())
	f.want(Held, in(p[1]), outer[0])
	f.balance()
	check(t, "told", len(f.lost), 0)
}

// TestFragmentBounds floods the table from one point: it stays within its
// bounds, and another point's fragments stay.
func TestFragmentBounds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Fragments.Packets, cfg.Fragments.PerPoint, cfg.Fragments.Octets = 64, 48, 200000
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	p := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 900))), 576)
	in := func(vni uint32, p []byte) []byte {
		return gen.Build(outer4, udp, gen.VXLAN{VNI: vni}, ether, gen.Packet(p))
	}
	f := newFeed(t, cfg)
	f.want(Held, in(2, p[0]))
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 5000 {
		n := 8 * (1 + r.IntN(40))
		f.want(Held, in(1, gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: uint16(i), MF: true, Protocol: ProtoUDP}, gen.Payload(make([]byte, n)))))
		if t := &f.d.frags; t.n > 64 || t.octets > 200000 || t.n != len(t.entries) {
			f.t.Fatalf("%d packets, %d octets", t.n, t.octets)
		}
	}
	f.want(OK, in(2, p[1]))
	check(t, "packets of the flooding point", f.d.frags.points[PointKey{Kind: VXLAN, ID: 1, A: AddrFrom(outer4.Src), B: AddrFrom(outer4.Dst)}].n, 48)

	// Large fragments run into the bound of octets.
	for i := range 1000 {
		f.want(Held, gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: uint16(i), MF: true, Protocol: ProtoUDP}, gen.Payload(make([]byte, 60000))))
		if t := &f.d.frags; t.octets > 200000+2*65536 {
			f.t.Fatalf("%d octets", t.octets)
		}
	}
	total := f.balance()
	check(t, "decoded", total[OK], 2)
	check(t, "incomplete", total[FragmentIncomplete], 6000)
}

// A packet of the smallest fragments is still a packet; one of more than any
// network makes is refused.
func TestManyFragments(t *testing.T) {
	p := gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 11000))), 28)
	if len(p) < 1300 || len(p) > maxParts {
		t.Fatalf("%d fragments", len(p))
	}
	f := newFeed(t, DefaultConfig())
	f.want(Held, p[1:]...)
	f.want(OK, p[0])
	check(t, "payload", f.last.PayloadLen, 11000)
	f.balance()

	f = newFeed(t, DefaultConfig())
	p = gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 20000))), 28)
	for _, part := range p {
		f.add(part)
	}
	total := f.balance()
	check(t, "decoded", total[OK], 0)
	check(t, "overlap", total[FragmentOverlap], uint64(len(p)))
}

// ECN's CE mark on one fragment is on the packet (RFC 3168 section 5.3).
func TestFragmentCE(t *testing.T) {
	ip := ip4free
	ip.TOS = 2
	p := gen.Fragment4(gen.Build(ip, segment, gen.Payload(make([]byte, 900))), 576)
	p[1][1] = 3
	f := newFeed(t, DefaultConfig())
	f.want(Held, p[1])
	f.want(OK, p[0])
	check(t, "tos", f.last.TOS, 3)
	f.balance()
}

func TestAtomicFragment(t *testing.T) {
	f := newFeed(t, DefaultConfig())
	f.want(OK, gen.Build(ip6, gen.IPv6Fragment{ID: 1}, segment, data), gen.Build(ip6, gen.IPv6Fragment{ID: 1}, segment, data))
	check(t, "payload", f.last.PayloadLen, uint32(len(data)))
	check(t, "flags", f.last.Packet.Flags, 0)
	f.balance()
}
