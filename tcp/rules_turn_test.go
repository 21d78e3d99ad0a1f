package tcp

import "testing"

// The server's think time. The server's half is 500 µs.
func TestRuleTurns(t *testing.T) {
	answer := func(at int64, upTo int, seq, n uint32) pk { return pk{at: at, dir: 1, ack: pos(upTo), seq: seq, n: n} }
	const none = -1
	tests := []struct {
		name            string
		scene           scene
		packets         []pk
		turns, measured int64
		min, max        int64 // think, µs
		reasons         Reasons
	}{
		{"one request, one answer", scene{}, []pk{data(10_000, 0), answer(30_500, 1, firstByte, 100)}, 1, 1, 20_000, 20_000, 0},
		{"the request ends with its last octet", scene{}, []pk{data(10_000, 0), acks(10_500, 1), data(15_000, 1), answer(30_500, 2, firstByte, 100)}, 1, 1, 15_000, 15_000, 0},
		{"the answer starts with its first octet", scene{}, []pk{
			data(10_000, 0), answer(30_500, 1, firstByte, 100), answer(70_500, 1, firstByte+100, 100), {at: 71_000, ack: firstByte + 200}, data(80_000, 1), answer(85_500, 2, firstByte+200, 100),
		}, 2, 2, 5_000, 20_000, 0},
		{"an ACK is no answer", scene{}, []pk{data(10_000, 0), acks(10_600, 1), answer(30_500, 1, firstByte, 100)}, 1, 1, 20_000, 20_000, 0},
		{"less than the half is no time at all", scene{}, []pk{data(10_000, 0), answer(10_480, 1, firstByte, 100)}, 1, 1, 0, 0, 0},
		{"no answer yet", scene{}, []pk{data(10_000, 0), acks(10_600, 1)}, 0, 0, none, none, 0},
		{"the server speaks first: no turn", scene{}, []pk{{at: 10_000, dir: 1, n: 50}, {at: 10_300}, data(20_000, 0), answer(30_500, 1, firstByte+50, 100)}, 1, 1, 10_000, 10_000, 0},
		{"an early answer, before the request was all there, is not measured", scene{}, []pk{
			data(10_000, 0), data(10_010, 1), answer(10_600, 1, firstByte, 100),
		}, 1, 0, none, none, 0},
		{"the request was repeated: which copy was answered cannot be told", scene{}, []pk{
			data(10_000, 0), data(300_000, 0), answer(330_500, 1, firstByte, 100),
		}, 1, 0, none, none, RequestLost},
		{"a straggling repeat of a request that was answered starts none", scene{}, []pk{
			data(10_000, 0), answer(30_500, 1, firstByte, 100), data(31_000, 0), answer(40_500, 1, firstByte+100, 100),
		}, 1, 1, 20_000, 20_000, 0},
		{"the beginning of the answer is missing", scene{}, []pk{
			data(10_000, 0), answer(30_600, 1, firstByte+100, 100), answer(231_000, 1, firstByte, 100),
		}, 1, 0, none, none, ResponseLost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.scene.play(tt.packets...)
			r := p.report(100_000)
			without := tt.scene.play().report(9_000).Response // the scene's own turn
			if base, _ := p.c.Half(1); base < 500_000 {       // what is learned later counts for it, too
				without.Min += 500_000 - base
				without.Max += 500_000 - base
			}
			x := r.Response
			if want := [2]int64{without.Min, without.Max}; tt.measured > 0 {
				want = [2]int64{min(want[0], tt.min*1000), max(want[1], tt.max*1000)}
				if got := [2]int64{x.Min, x.Max}; got != want {
					t.Errorf("%d ns at least and at most, want %d", got, want)
				}
			} else if got := [2]int64{x.Min, x.Max}; got != want {
				t.Errorf("%d ns at least and at most, want the scene's %d", got, want)
			}
			if x.State != Measured {
				t.Errorf("state %v", x.State)
			}
			if x.Turns-without.Turns != tt.turns || x.Measured-without.Measured != tt.measured || x.Reasons != tt.reasons {
				t.Errorf("%d turns, %d measured, reasons %v; want %d, %d, %v", x.Turns-without.Turns, x.Measured-without.Measured, x.Reasons.Append(nil), tt.turns, tt.measured, tt.reasons.Append(nil))
			}
		})
	}
}

// Without a base of the server's half the time holds it, too: a bound.
func TestRuleTurnBounded(t *testing.T) {
	p := scene{bare: true}.play(
		pk{at: 9_000, dir: 1, seq: 1, ack: pos(0)}, data(10_000, 0), pk{at: 30_500, dir: 1, seq: 1, ack: pos(1), n: 100}, pk{at: 31_000, ack: 101},
		data(40_000, 1), pk{at: 60_500, dir: 1, seq: 101, ack: pos(2), n: 100},
	)
	if x := p.report(100_000).Response; x.State != Bounded || x.Turns != 2 || x.Min != 20_500_000 || x.Max != 20_500_000 {
		t.Errorf("%+v", x)
	}
}

// The caller may not know yet who the client is: then there are no turns.
func TestRuleTurnNoClient(t *testing.T) {
	p := scene{noClient: true}.play(data(10_000, 0), pk{at: 30_500, dir: 1, n: 100})
	if x := p.report(100_000).Response; x.Turns != 0 || x.State != Unknown || x.Min != Absent || x.Max != Absent {
		t.Errorf("%+v", x)
	}
}
