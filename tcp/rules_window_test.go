package tcp

import (
	"testing"

	"mirrorscope/packet"
)

// Zero windows, and windows that are full. Times in µs.
func TestRuleWindows(t *testing.T) {
	zero := func(p pk) pk { return p.with(func(p *pk) { p.win = -1 }) }
	size := func(p pk, win int) pk { return p.with(func(p *pk) { p.win = win }) }
	tests := []struct {
		name             string
		scene            scene
		packets          []pk
		episodes, probes int64 // of the server's window
		time, full       int64 // of the server's window; of the client, µs
	}{
		{"never shut", scene{}, []pk{data(10_000, 0), acks(10_500, 1)}, 0, 0, 0, 0},
		{"from the first packet without to the first with a window", scene{}, []pk{
			data(10_000, 0), zero(acks(10_500, 1)), zero(acks(20_500, 1)), acks(70_500, 1), data(71_000, 1), acks(71_500, 2),
		}, 1, 0, 60_000, 0},
		{"two episodes", scene{}, []pk{
			data(10_000, 0), zero(acks(10_500, 1)), acks(20_500, 1), data(21_000, 1), zero(acks(21_500, 2)), acks(22_500, 2),
		}, 2, 0, 11_000, 0},
		{"the other direction's packets end nothing", scene{}, []pk{
			data(10_000, 0), zero(acks(10_500, 1)), {at: 30_000}, acks(50_500, 1),
		}, 1, 0, 40_000, 0},
		{"still shut at the end", scene{}, []pk{data(10_000, 0), zero(acks(10_500, 1)), {at: 30_500}}, 1, 0, 20_000, 0},
		{"probes are the other side's", scene{}, []pk{
			data(10_000, 0), zero(acks(10_500, 1)), {at: 210_000, seq: pos(1) - 1}, zero(acks(210_500, 1)), {at: 610_000, seq: pos(1) - 1}, zero(acks(610_500, 1)),
			{at: 1_410_000, seq: pos(1), n: 1}, acks(1_410_500, 1),
		}, 1, 3, 1_400_000, 0},
		{"the window of an RST says nothing", scene{}, []pk{data(10_000, 0), acks(10_500, 1), {at: 11_000, dir: 1, flags: packet.RST | ack, win: -1}}, 0, 0, 0, 0},
		{"full: all that was offered is in flight", scene{}, []pk{
			data(10_000, 0), size(acks(10_500, 1), 2000), data(10_800, 1), data(10_810, 2), size(acks(11_310, 3), 60_000),
		}, 0, 0, 0, 500},
		{"one octet short of full", scene{}, []pk{
			data(10_000, 0), size(acks(10_500, 1), 2001), data(10_800, 1), data(10_810, 2), size(acks(11_310, 3), 60_000),
		}, 0, 0, 0, 0},
		{"full in units of the scale", scene{scaled: true}, []pk{
			data(10_000, 0), size(acks(10_500, 1), 16), {at: 10_800, seq: pos(1), n: 1024}, {at: 10_810, seq: pos(1) + 1024, n: 1024}, size(acks(11_310, 1), 16).with(func(p *pk) { p.ack = pos(1) + 2048 }),
		}, 0, 0, 0, 500},
		{"without the SYNs the scale is unknown", scene{bare: true}, []pk{
			{at: 9_000, dir: 1, seq: 1, ack: pos(0), win: 2000}, data(10_800, 0), data(10_810, 1), {at: 11_310, dir: 1, seq: 1, ack: pos(2), win: 60_000},
		}, 0, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.scene.play(tt.packets...).report(tt.packets[len(tt.packets)-1].at)
			sound(t, r)
			z := r.Sides[1].ZeroWindow
			if z.Episodes != tt.episodes || z.Probes != tt.probes || z.Time/1000 != tt.time || r.Sides[0].WindowFull/1000 != tt.full {
				t.Errorf("%d episodes, %d probes, %d µs; %d µs full; want %d, %d, %d; %d", z.Episodes, z.Probes, z.Time/1000, r.Sides[0].WindowFull/1000, tt.episodes, tt.probes, tt.time, tt.full)
			}
			if x := r.Sides[0].ZeroWindow; x.Episodes != 0 || x.Probes != 0 {
				t.Errorf("the client's window: %+v", x)
			}
			if x := r.Sides[0].Retransmits; x.Packets != 0 {
				t.Errorf("repeats: %+v", x)
			}
		})
	}
}

// Which ACKs give a sample of the server's half, and of which kind.
// The scene itself gives one clean sample of 500 µs.
func TestRuleSamples(t *testing.T) {
	tests := []struct {
		name         string
		scene        scene
		packets      []pk
		clean, maybe int64 // beyond the scene's
		min          int64 // µs
	}{
		{"two full segments: clean", scene{}, []pk{{at: 10_000, seq: pos(0), n: fullLen}, {at: 10_010, seq: pos(0) + fullLen, n: fullLen}, {at: 10_450, dir: 1, ack: pos(0) + 2*fullLen}}, 1, 0, 440},
		{"of the last segment that it covers", scene{}, []pk{
			{at: 10_000, seq: pos(0), n: fullLen}, {at: 10_100, seq: pos(0) + fullLen, n: fullLen}, {at: 10_400, seq: pos(0) + 2*fullLen, n: fullLen}, {at: 10_550, dir: 1, ack: pos(0) + 2*fullLen},
		}, 1, 0, 450},
		{"one segment: it may have been delayed", scene{}, []pk{data(10_000, 0), acks(50_500, 1)}, 0, 1, 500},
		{"FIN is answered at once", scene{}, []pk{{at: 10_000, flags: packet.FIN | ack, seq: pos(0)}, {at: 10_450, dir: 1, ack: pos(0) + 1}}, 1, 0, 450},
		{"an answer that comes at once", scene{}, []pk{data(10_000, 0), {at: 10_600, dir: 1, ack: pos(1), n: 100}}, 1, 0, 500},
		{"an answer that took thought", scene{}, []pk{data(10_000, 0), {at: 10_700, dir: 1, ack: pos(1), n: 100}}, 0, 1, 500},
		{"Karn: repeated", scene{}, []pk{data(10_000, 0), data(215_000, 0), acks(215_100, 1)}, 0, 0, 500},
		{"what closes a hole says nothing of what is behind it", scene{}, flight4(
			acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4), data(10_900, 0), acks(11_000, 4)), 0, 0, 500},
		{"an overtaken segment", scene{}, []pk{data(10_000, 1), data(10_300, 0), acks(10_600, 2)}, 0, 0, 500},
		{"timestamps serve where sequence numbers cannot", scene{stamps: true}, []pk{
			data(10_000, 0), data(215_000, 0), acks(215_480, 1).with(func(p *pk) { p.echo = 215 }),
		}, 0, 1, 480},
		{"a keep-alive's answer gives none by sequence", scene{}, []pk{data(10_000, 0), acks(10_600, 1), {at: 5_000_000, seq: pos(1) - 1}, acks(5_000_100, 1)}, 0, 1, 500},
		{"an ACK recorded before its data gives none", scene{}, []pk{acks(10_000, 2), data(10_100, 0), data(10_110, 1), acks(10_700, 2)}, 0, 0, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			without := tt.scene.play().report(9_000).Sides[1].RTT
			r := tt.scene.play(tt.packets...).report(tt.packets[len(tt.packets)-1].at).Sides[1].RTT
			if got, m := r.Clean-without.Clean, r.Maybe-without.Maybe; got != tt.clean || m != tt.maybe || r.Min/1000 != tt.min {
				t.Errorf("%d clean, %d maybe, smallest %d µs; want %d, %d, %d", got, m, r.Min/1000, tt.clean, tt.maybe, tt.min)
			}
			if r.State != Measured {
				t.Errorf("state %v", r.State)
			}
		})
	}
}

// Only samples that may be delayed give a bound.
func TestRuleSamplesBounded(t *testing.T) {
	r := scene{bare: true}.play(pk{at: 9_000, dir: 1, seq: 1, ack: pos(0)}, data(10_000, 0), acks(50_500, 1), data(60_000, 1), acks(100_500, 2)).report(200_000).Sides[1].RTT
	if r.State != Bounded || r.Maybe != 2 || r.Clean != 0 || r.Min != 40_500_000 {
		t.Errorf("%+v", r)
	}
}
