package netlab

import (
	"net/netip"
	"testing"

	"mirrorscope/internal/pcapgen"
)

func TestParse(t *testing.T) {
	tcp := pcapgen.TCP{SrcPort: 1000, DstPort: 80, Seq: 7, Ack: 9, Flags: uint16(ack), Window: 5, Options: pcapgen.TCPOptions{Timestamps: &pcapgen.Timestamps{Val: 11, Ecr: 12}}}
	for _, tc := range []struct {
		name  string
		ip    pcapgen.Layer
		src   string
		ttlAt int
	}{
		{"ipv4", pcapgen.IPv4{Src: pcapgen.IP("10.2.0.1"), Dst: pcapgen.IP("10.2.0.2"), Options: []byte{1, 1, 1, 1}}, "10.2.0.1:1000", 22},
		{"ipv6", pcapgen.IPv6{Src: pcapgen.IP("fd02::1"), Dst: pcapgen.IP("fd02::2")}, "[fd02::1]:1000", 21},
	} {
		t.Run(tc.name, func(t *testing.T) {
			frame := pcapgen.Build(pcapgen.Ethernet{}, tc.ip, tcp, pcapgen.Payload("hello"))
			h, ok := parse(append(frame, 0, 0, 0)) // with padding
			want := header{
				src: netip.MustParseAddrPort(tc.src), dst: h.dst, seq: 7, ack: 9, flags: ack, window: 5, payload: 5,
				dataAt: len(frame) - 5, ttlAt: tc.ttlAt, v6: tc.name == "ipv6",
			}
			if !ok || h != want {
				t.Errorf("%+v, %v, want %+v", h, ok, want)
			}
			for n := range len(frame) {
				if _, ok := parse(frame[:n]); ok {
					t.Fatalf("parsed %d of %d octets", n, len(frame))
				}
			}
		})
	}
}

func TestDecrementTTL(t *testing.T) {
	for ttl := uint8(1); ttl != 0; ttl++ {
		ip := pcapgen.IPv4{Src: pcapgen.IP("10.2.0.1"), Dst: pcapgen.IP("10.2.0.2"), TTL: ttl, ID: uint16(ttl) * 251}
		frame := pcapgen.Build(pcapgen.Ethernet{}, ip, pcapgen.TCP{})
		h, _ := parse(frame)
		decrementTTL(frame, &h)
		if got := frame[h.ttlAt]; got != ttl-1 {
			t.Fatalf("TTL %d became %d", ttl, got)
		}
		if err := checksums(frame); err != nil {
			t.Fatalf("TTL %d: %v", ttl, err)
		}
	}
}

func TestKind(t *testing.T) {
	for _, tc := range []struct {
		flags   uint8
		payload int
		kind    Kind
		space   int64
	}{
		{syn, 0, SYN, 1}, {syn, 10, SYN, 11}, {syn | ack, 0, SYNACK, 1}, {ack, 0, ACK, 0}, {ack | psh, 3, Data, 3},
		{ack | fin, 0, FIN, 1}, {ack | fin, 3, Data, 4}, {rst, 0, RST, 0}, {rst | ack, 0, RST, 0},
	} {
		h := header{flags: tc.flags, payload: tc.payload}
		if h.kind() != tc.kind || h.space() != tc.space {
			t.Errorf("flags %#x with %d octets: %v of space %d, want %v of %d", tc.flags, tc.payload, h.kind(), h.space(), tc.kind, tc.space)
		}
	}
}

func TestUnwrap(t *testing.T) {
	const first = 1<<32 - 10
	for _, tc := range []struct {
		seq  uint32
		near int64
		want int64
	}{
		{first, 0, 0}, {first + 9, 0, 9}, {0, 8, 10}, {5, 12, 15}, {first + 9, 12, 9}, {first, 1 << 32, 1 << 32},
	} {
		if got := unwrap(first, tc.seq, tc.near); got != tc.want {
			t.Errorf("unwrap(%d near %d) = %d, want %d", tc.seq, tc.near, got, tc.want)
		}
	}
}

// TestIntervals compares the set with a plain array.
func TestIntervals(t *testing.T) {
	const size = 60
	var set intervals
	var model [size]bool
	x := uint32(1)
	next := func() int64 {
		x = x*1664525 + 1013904223
		return int64(x>>8) % size
	}
	for range 12 {
		a, b := next(), next()
		set.add(a, b)
		for i := a; i < b; i++ {
			model[i] = true
		}
		for a := range int64(size) {
			for b := a; b <= size; b++ {
				var want int64
				for i := a; i < b; i++ {
					if model[i] {
						want++
					}
				}
				if got := set.within(a, b); got != want {
					t.Fatalf("%v: %d positions in [%d, %d), want %d", set, got, a, b, want)
				}
			}
		}
		if set.size() != set.within(0, size) {
			t.Fatalf("%v: size %d", set, set.size())
		}
	}
}

func TestRules(t *testing.T) {
	data := func(n int, offset int64, attempt int) Packet {
		return Packet{Kind: Data, N: n, Offset: offset, Len: 100, Attempt: attempt, Random: 0.5}
	}
	for _, tc := range []struct {
		name  string
		match func(Packet) bool
		p     Packet
		want  bool
	}{
		{"nth", nth(Data, 3, 5), data(5, 0, 1), true},
		{"nth, another", nth(Data, 3, 5), data(4, 0, 1), false},
		{"nth, another kind", nth(ACK, 5), data(5, 0, 1), false},
		{"every", every(Data, 4), data(8, 0, 1), true},
		{"every, another", every(Data, 4), data(9, 0, 1), false},
		{"octet, first of the packet", octet(100, 1), data(1, 100, 1), true},
		{"octet, last of the packet", octet(199, 1), data(1, 100, 1), true},
		{"octet, behind the packet", octet(200, 1), data(1, 100, 1), false},
		{"octet, repeated", octet(100, 1), data(1, 100, 2), false},
		{"octet, twice", octet(100, 2), data(1, 100, 2), true},
		{"chance, below", chance(Data, 0.6), data(1, 0, 1), true},
		{"chance, above", chance(Data, 0.5), data(1, 0, 1), false},
		{"first", first(Data, 2), data(2, 0, 1), true},
		{"first, later", first(Data, 2), data(3, 0, 1), false},
	} {
		if got := tc.match(tc.p); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestPlanValues: with makes a new plan and leaves the old one as it was.
func TestPlanValues(t *testing.T) {
	base := delays(1, 2)
	a := base.with(0, FromClient, drop(nth(Data, 1)))
	b := a.with(0, FromClient, drop(nth(Data, 2))).bottleneck(1, FromServer, 10, 3)
	if len(base.Hops[0].FromClient.Rules) != 0 || len(a.Hops[0].FromClient.Rules) != 1 || len(b.Hops[0].FromClient.Rules) != 2 {
		t.Error("plans share their rules")
	}
	old, limited := a.Hops[1].FromServer, b.Hops[1].FromServer
	if old.Rate != 0 || limited.Delay != 2 || limited.Rate != 10 || limited.Queue != 3 {
		t.Errorf("bottleneck: %+v became %+v", old, limited)
	}
}
