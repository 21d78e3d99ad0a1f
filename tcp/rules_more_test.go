package tcp

import "testing"

// Data in the SYN (RFC 7413): what the server did not take is sent again, and
// that is no loss.
func TestRuleFastOpen(t *testing.T) {
	playRules(t, []ruleTest{
		{"taken", scene{bare: true}, []pk{
			{flags: syn, n: 400}, {at: 500, dir: 1, flags: synack, ack: 401}, {at: 800, seq: 401, ack: 1}, {at: 900, seq: 401, ack: 1, n: 100}, {at: 1_400, dir: 1, seq: 1, ack: 501},
		}, ""},
		{"refused, and sent again at once", scene{bare: true}, []pk{
			{flags: syn, n: 400}, {at: 500, dir: 1, flags: synack, ack: 1}, {at: 800, seq: 1, ack: 1, n: 400}, {at: 1_300, dir: 1, seq: 1, ack: 401},
		}, ""},
		{"refused, sent again, and lost behind us then", scene{bare: true}, []pk{
			{flags: syn, n: 400}, {at: 500, dir: 1, flags: synack, ack: 1}, {at: 800, seq: 1, ack: 1, n: 400}, {at: 301_000, seq: 1, ack: 1, n: 400}, {at: 301_500, dir: 1, seq: 1, ack: 401},
		}, "repeats 1 octets 400 after 1 timer 1"},
		{"a SYN-ACK recorded behind the client's first data refuses nothing", scene{bare: true}, []pk{
			{flags: syn}, {at: 800, seq: 1, ack: 1, n: 400}, {at: 900, dir: 1, flags: synack, ack: 1}, {at: 1_300, dir: 1, seq: 1, ack: 401}, {at: 900_000, seq: 401, ack: 1, n: 10}, {at: 900_500, dir: 1, seq: 1, ack: 411},
		}, ""},
	})
}

// With one half of the round trip known the path is at least as long.
func TestRuleHalfKnown(t *testing.T) {
	// Only the client's data was acknowledged: 20 ms to the server and back.
	half := []pk{
		{at: 0, seq: 1, ack: 1, n: fullLen}, {at: 10, seq: 1 + fullLen, ack: 1, n: fullLen}, {at: 20_010, dir: 1, seq: 1, ack: firstByte},
	}
	playRules(t, []ruleTest{
		{"sooner than that half: overtaken, without doubt", scene{bare: true}, append(half, data(30_000, 1), data(40_000, 0), acks(60_000, 2)), "reordered 1 extent 1 late 10000"},
	})
}

// What is no keep-alive and no probe, though one octet long or none.
func TestRuleNoProbe(t *testing.T) {
	shut := acks(10_500, 1).with(func(p *pk) { p.win = -1 })
	tests := []struct {
		name    string
		packets []pk
		probes  int64
	}{
		{"one octet of new data, window open", []pk{{at: 10_000, seq: pos(0), n: 1}, {at: 10_500, dir: 1, ack: pos(0) + 1}}, 0},
		{"more than one octet, window shut", []pk{data(10_000, 0), shut, {at: 300_000, seq: pos(1), n: 2}}, 0},
		{"one octet, window shut", []pk{data(10_000, 0), shut, {at: 300_000, seq: pos(1), n: 1}}, 1},
		{"the last ACK, overtaken by its FIN", []pk{
			data(10_000, 0), acks(10_500, 1), {at: 11_000, seq: pos(1)}, {at: 20_000, dir: 0, seq: pos(1)},
		}, 0},
	}
	for _, tt := range tests {
		r := (scene{}).play(tt.packets...).report(1_000_000)
		if got := r.Sides[1].ZeroWindow.Probes; got != tt.probes || r.Sides[0].KeepAlives != 0 || r.Sides[0].Retransmits.Packets != 0 {
			t.Errorf("%s: %d probes, want %d; %d keep-alives, %d repeats", tt.name, got, tt.probes, r.Sides[0].KeepAlives, r.Sides[0].Retransmits.Packets)
		}
	}
}

// A bare ACK behind its own FIN is no keep-alive.
func TestRuleLastACK(t *testing.T) {
	r := (scene{}).play(
		pk{at: 10_000, flags: ack | 1, seq: pos(0)}, pk{at: 10_500, dir: 1, flags: ack | 1, ack: pos(0) + 1}, pk{at: 10_800, seq: pos(0) + 1},
		pk{at: 10_900, seq: pos(0), ack: firstByte}, // overtaken by the FIN
	).report(20_000)
	for i := range r.Sides {
		if s := told(&r.Sides[i]); s != "" {
			t.Errorf("side %d: %s", i, s)
		}
	}
}

// Where the round trips came from: from timestamps when most samples did.
func TestRuleSource(t *testing.T) {
	if r := (scene{stamps: true}).play(data(10_000, 0), acks(10_500, 1)).report(20_000).Sides[1].RTT; r.Stamps {
		t.Errorf("by timestamps: %+v", r)
	}
	var ps []pk
	for i := range 4 {
		at := int64(i+1) * 1_000_000
		ps = append(ps, data(at, i), data(at+215_000, i), acks(at+215_480, i+1).with(func(p *pk) { p.echo = uint32(at/1000) + 215 }))
	}
	if r := (scene{stamps: true}).play(ps...).report(9_000_000).Sides[1].RTT; !r.Stamps || r.Min != 480_000 {
		t.Errorf("not by timestamps: %+v", r)
	}
}
