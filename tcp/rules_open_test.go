package tcp

import "testing"

// opened gives the handshake in µs; none where it is absent.
func opened(p *play) (client, server, setup int64, s State) {
	h := p.o.Result(p.st, &p.c)
	us := func(ns int64) int64 {
		if ns == Absent {
			return none
		}
		return ns / 1000
	}
	return us(h.Client), us(h.Server), us(h.Setup), h.State
}

// What the handshake's times are taken from.
func TestRuleOpen(t *testing.T) {
	// Clean samples of both halves, 500 and 300 µs, later.
	later := []pk{
		{at: 2_000_000, seq: 1, ack: 1, n: fullLen}, {at: 2_000_000, seq: 1 + fullLen, ack: 1, n: fullLen}, {at: 2_000_500, dir: 1, seq: 1, ack: firstByte},
		{at: 2_001_000, dir: 1, seq: 1, ack: firstByte, n: fullLen}, {at: 2_001_000, dir: 1, seq: 1 + fullLen, ack: firstByte, n: fullLen}, {at: 2_001_300, seq: firstByte, ack: firstByte},
	}
	tests := []struct {
		name                  string
		packets               []pk
		client, server, setup int64 // µs
		state                 State
	}{
		{"each answers the one before", []pk{{flags: syn}, {at: 500, dir: 1, flags: synack, ack: 1}, {at: 800, seq: 1, ack: 1}}, 300, 500, 800, Measured},
		{"a network's copy of the SYN-ACK is no other SYN-ACK", append([]pk{
			{flags: syn}, {at: 500, dir: 1, flags: synack, ack: 1}, {at: 650, dir: 1, flags: synack, ack: 1, alike: true}, {at: 800, seq: 1, ack: 1},
		}, later...), 300, 500, 800, Measured},
		{"nor a copy of the SYN another SYN", append([]pk{
			{flags: syn}, {at: 200, flags: syn, alike: true}, {at: 500, dir: 1, flags: synack, ack: 1}, {at: 800, seq: 1, ack: 1},
		}, later...), 300, 500, 800, Measured},
		{"the ACK was missed: one of later data is a bound", []pk{
			{flags: syn}, {at: 500, dir: 1, flags: synack, ack: 1}, {at: 30_000, dir: 1, seq: 1, ack: 200, n: 100}, {at: 30_300, seq: 200, ack: 101},
		}, 29_800, 500, 30_300, Bounded},
		{"two SYN-ACKs far apart, the second answered", append([]pk{
			{flags: syn}, {at: 500, dir: 1, flags: synack, ack: 1}, {at: 1_000_500, dir: 1, flags: synack, ack: 1}, {at: 1_000_800, seq: 1, ack: 1},
		}, later...), 300, 500, 1_000_800, Measured},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s, setup, state := opened(scene{bare: true}.play(tt.packets...))
			if c != tt.client || s != tt.server || setup != tt.setup || state != tt.state {
				t.Errorf("client %d, server %d, setup %d µs, %v; want %d, %d, %d, %v", c, s, setup, state, tt.client, tt.server, tt.setup, tt.state)
			}
		})
	}
}

// Both sides send a SYN, and answer the other's (RFC 9293 section
// 3.5). The SYN-ACKs repeat no octet.
func TestRuleSimultaneousOpen(t *testing.T) {
	p := scene{bare: true}.play(
		pk{at: 0, flags: syn}, pk{at: 100, dir: 1, flags: syn}, pk{at: 400, flags: synack, ack: 1}, pk{at: 500, dir: 1, flags: synack, ack: 1},
		pk{at: 10_000, seq: 1, ack: 1, n: 100}, pk{at: 10_500, dir: 1, seq: 1, ack: 101},
	)
	h := p.o.Result(p.st, &p.c)
	if h.State != Ambiguous || h.Reasons != SimultaneousOpen || h.Server != 500_000 || h.Client != 300_000 || h.RTT != 800_000 {
		t.Errorf("%+v", h)
	}
	if !p.c.SimultaneousOpen() || !p.c.Established() {
		t.Errorf("simultaneous %v, established %v", p.c.SimultaneousOpen(), p.c.Established())
	}
	r := p.report(20_000)
	for i := range r.Sides {
		if s := told(&r.Sides[i]); s != "" {
			t.Errorf("side %d: %s", i, s)
		}
	}
}
