package tcp

import (
	"testing"

	"mirrorscope/packet"
)

// A play is a connection made by hand: direction 0 is the client's. Times are
// in µs.
type play struct {
	c  Conn
	o  Opening
	st *Store
}

func newPlay() *play {
	p := &play{st: NewStore(DefaultConfig())}
	p.c.Init()
	return p
}

type seg struct {
	at           int64 // µs
	dir          int
	flags        uint16
	seq, ack     uint32
	n            uint32 // payload octets
	tsval, tsecr uint32 // 0, 0: no timestamps
}

func (p *play) add(segs ...seg) *play {
	for _, s := range segs {
		k := packet.Packet{Time: s.at*1000 + 1e15, PayloadLen: s.n, Proto: packet.ProtoTCP, TTL: 64, Position: 1}
		k.TCP = packet.TCP{Flags: s.flags, Seq: s.seq, Ack: s.ack, Window: 65535, TSval: s.tsval, TSecr: s.tsecr}
		if s.tsval != 0 {
			k.TCP.Has |= packet.HasTimestamps
		}
		p.c.follow(p.st, &k, s.dir, 0, &p.o, false)
	}
	return p
}

const (
	syn    = packet.SYN
	synack = packet.SYN | packet.ACK
	ack    = packet.ACK
	psh    = packet.ACK | packet.PSH
)

// base gives both halves clean samples: two segments of data and their ACK,
// each way. server and client are the halves in µs.
func base(at, server, client int64) []seg {
	return []seg{
		{at: at, dir: 0, flags: psh, seq: 101, ack: 901, n: 1460}, {at: at, dir: 0, flags: psh, seq: 1561, ack: 901, n: 1460},
		{at: at + server, dir: 1, flags: ack, seq: 901, ack: 3021},
		{at: at + server + 10, dir: 1, flags: psh, seq: 901, ack: 3021, n: 1460}, {at: at + server + 10, dir: 1, flags: psh, seq: 2361, ack: 3021, n: 1460},
		{at: at + server + 10 + client, dir: 0, flags: ack, seq: 3021, ack: 3821},
	}
}

const none = Absent

func TestHandshake(t *testing.T) {
	us := func(n int64) int64 { return n * 1000 }
	tests := []struct {
		name                                string
		play                                []seg
		state                               State
		reasons                             Reasons
		rtt, client, server, setup, connect int64 // µs, none
	}{
		{"plain", []seg{
			{at: 0, flags: syn, seq: 100}, {at: 500, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 800, flags: ack, seq: 101, ack: 901},
		}, Measured, 0, 800, 300, 500, 800, 800},
		{"the ACK is lost, data proves the end: an upper bound", []seg{
			{at: 0, flags: syn, seq: 100}, {at: 500, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 90_000, flags: psh, seq: 101, ack: 901, n: 5},
		}, Bounded, 0, 90_000, 89_500, 500, 90_000, 90_000},
		{"SYN lost behind us: the second is answered", append([]seg{
			{at: 0, flags: syn, seq: 100, tsval: 1000}, {at: 1_000_000, flags: syn, seq: 100, tsval: 2000},
			{at: 1_000_500, dir: 1, flags: synack, seq: 900, ack: 101, tsval: 77, tsecr: 2000}, {at: 1_000_800, flags: ack, seq: 101, ack: 901, tsval: 2001, tsecr: 77},
		}, base(1_100_000, 500, 300)...), Measured, 0, 800, 300, 500, 1_000_800, 1_000_800},
		{"SYN-ACK lost before us: Linux echoes the first SYN's time in the second SYN-ACK", append([]seg{
			{at: 0, flags: syn, seq: 100, tsval: 1000}, {at: 1_000_000, flags: syn, seq: 100, tsval: 2000},
			{at: 1_000_500, dir: 1, flags: synack, seq: 900, ack: 101, tsval: 77, tsecr: 1000}, {at: 1_000_800, flags: ack, seq: 101, ack: 901, tsval: 2001, tsecr: 77},
		}, base(1_100_000, 500, 300)...), Measured, 0, 800, 300, 500, 1_000_800, 1_000_800},
		{"a slow server answers the first SYN after the second: TSecr and the base say so", append([]seg{
			{at: 0, flags: syn, seq: 100, tsval: 1000}, {at: 1_000_000, flags: syn, seq: 100, tsval: 2000},
			{at: 1_200_000, dir: 1, flags: synack, seq: 900, ack: 101, tsval: 77, tsecr: 1000}, {at: 1_200_300, flags: ack, seq: 101, ack: 901, tsval: 2001, tsecr: 77},
		}, base(2_000_000, 1_200_000, 300)...), Measured, 0, 1_200_300, 300, 1_200_000, 1_200_300, 1_200_300},
		{"SYN repeated, nothing later to judge by: Karn", []seg{
			{at: 0, flags: syn, seq: 100}, {at: 1_000_000, flags: syn, seq: 100},
			{at: 1_000_500, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 1_000_800, flags: ack, seq: 101, ack: 901},
		}, Unknown, SYNRetransmitted, none, 300, none, 1_000_800, 1_000_800},
		{"SYN-ACK repeated by its timer: never timed from the repeat without proof", []seg{
			{at: 0, flags: syn, seq: 100}, {at: 500, dir: 1, flags: synack, seq: 900, ack: 101},
			{at: 1_000_500, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 1_000_800, flags: ack, seq: 101, ack: 901},
		}, Unknown, SYNRetransmitted, none, none, 500, 1_000_800, none},
		{"SYN-ACK lost behind us, repeated by the repeated SYN", append([]seg{
			{at: 0, flags: syn, seq: 100}, {at: 500, dir: 1, flags: synack, seq: 900, ack: 101},
			{at: 1_000_000, flags: syn, seq: 100}, {at: 1_000_500, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 1_000_800, flags: ack, seq: 101, ack: 901},
		}, base(1_100_000, 500, 300)...), Measured, 0, 800, 300, 500, 1_000_800, 1_000_800},
		{"one SYN, one SYN-ACK a second later whose original was lost before us", append([]seg{
			{at: 0, flags: syn, seq: 100}, {at: 1_000_500, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 1_000_800, flags: ack, seq: 101, ack: 901},
		}, base(1_100_000, 500, 300)...), Unknown, LostBeforeOP, none, 300, none, 1_000_800, 1_000_800},
		{"SYN-ACK repeated behind the ACK: its loss was behind us, or the server defers", []seg{
			{at: 0, flags: syn, seq: 100}, {at: 500, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 800, flags: ack, seq: 101, ack: 901},
			{at: 1_000_500, dir: 1, flags: synack, seq: 900, ack: 101},
		}, Measured, 0, 800, 300, 500, 800, 800},
		{"client side only", []seg{
			{at: 0, flags: syn, seq: 100}, {at: 800, flags: ack, seq: 101, ack: 901},
		}, Measured, 0, 800, none, none, 800, none},
		{"client side only, data first: nothing can be told", []seg{
			{at: 0, flags: syn, seq: 100}, {at: 800, flags: psh, seq: 101, ack: 901, n: 10},
		}, Unknown, 0, none, none, none, none, none},
		{"SYN-ACK and ACK alone: one half", []seg{
			{at: 500, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 800, flags: ack, seq: 101, ack: 901},
		}, Unknown, Midstream, none, 300, none, none, none},
		{"Fast Open, data taken", []seg{
			{at: 0, flags: syn, seq: 100, n: 50}, {at: 500, dir: 1, flags: synack, seq: 900, ack: 151}, {at: 520, dir: 1, flags: psh, seq: 901, ack: 151, n: 9},
			{at: 800, flags: ack, seq: 151, ack: 901}, {at: 820, flags: ack, seq: 151, ack: 910},
		}, Measured, 0, 800, 300, 500, 800, 800},
		{"SYN recorded behind its SYN-ACK", []seg{
			{at: 0, dir: 1, flags: synack, seq: 900, ack: 101}, {at: 100, flags: syn, seq: 100}, {at: 300, flags: ack, seq: 101, ack: 901},
		}, Unknown, ClockStep, none, none, none, none, none},
		{"unfinished", []seg{{at: 0, flags: syn, seq: 100}}, Unknown, 0, none, none, none, none, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlay().add(tt.play...)
			got := p.o.Result(p.st, &p.c)
			want := Handshake{State: tt.state, Reasons: tt.reasons}
			for _, d := range []struct {
				to   *int64
				from int64
			}{{&want.RTT, tt.rtt}, {&want.Client, tt.client}, {&want.Server, tt.server}, {&want.Setup, tt.setup}, {&want.Connect, tt.connect}} {
				*d.to = Absent
				if d.from != none {
					*d.to = us(d.from)
				}
			}
			for _, s := range tt.play {
				switch s.flags {
				case syn:
					want.SYNs++
				case synack:
					want.SYNACKs++
				}
			}
			if got != want {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

// More copies of a SYN than are kept: the first and the latest remain.
func TestManyCopies(t *testing.T) {
	p := newPlay()
	for i := range int64(20) {
		p.add(seg{at: i * 1_000_000, flags: syn, seq: 100})
	}
	p.add(seg{at: 19_000_500, dir: 1, flags: synack, seq: 900, ack: 101}, seg{at: 19_000_800, flags: ack, seq: 101, ack: 901})
	p.add(base(20_000_000, 500, 300)...)
	h := p.o.Result(p.st, &p.c)
	if h.SYNs != 20 || h.RTT != 800_000 || h.Setup != 19_000_800_000 {
		t.Errorf("%+v", h)
	}
}

// Sequence space wraps in the middle of a connection.
func TestWrap(t *testing.T) {
	const isn = 1<<32 - 2
	p := newPlay().add(
		seg{at: 0, flags: syn, seq: isn}, seg{at: 500, dir: 1, flags: synack, seq: 900, ack: isn + 1}, seg{at: 800, flags: ack, seq: isn + 1, ack: 901},
		seg{at: 900, flags: psh, seq: isn + 1, ack: 901, n: 1000}, seg{at: 1300, dir: 1, flags: ack, seq: 901, ack: 999},
		seg{at: 1400, flags: packet.RST | packet.ACK, seq: 999, ack: 901},
	)
	if h := p.o.Result(p.st, &p.c); h.State != Measured || h.RTT != 800_000 {
		t.Errorf("%+v", h)
	}
	if p.c.Dirs[0].rtt.min != 400_000 {
		t.Errorf("base %d", p.c.Dirs[0].rtt.min)
	}
	if ok, by, _, unacked := p.c.Reset(); !ok || by != 0 || unacked {
		t.Errorf("reset %v by %d, unacknowledged %v", ok, by, unacked)
	}
}
