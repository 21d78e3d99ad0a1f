package tcp

import "testing"

// flight4 is four segments at 10 ms.
func flight4(ps ...pk) []pk {
	return append([]pk{data(10_000, 0), data(10_010, 1), data(10_020, 2), data(10_030, 3)}, ps...)
}

// What made the sender repeat.
func TestRuleClass(t *testing.T) {
	dup := func(at int64) pk { return acks(at, 0) }
	playRules(t, []ruleTest{
		{"fast: three duplicate ACKs", scene{noSACK: true}, flight4(dup(10_510), dup(10_520), dup(10_530), data(10_900, 0), acks(11_400, 4)),
			"repeats 1 octets 1000 after 1 fast 1"},
		{"two duplicate ACKs and a timer", scene{noSACK: true}, flight4(dup(10_510), dup(10_520), data(300_000, 0), acks(300_500, 4)),
			"repeats 1 octets 1000 after 1 rto 1"},
		{"a changed window is no duplicate ACK", scene{noSACK: true}, flight4(
			dup(10_510).with(func(p *pk) { p.win = 60000 }), dup(10_520).with(func(p *pk) { p.win = 50000 }), dup(10_530).with(func(p *pk) { p.win = 40000 }),
			data(300_000, 0), acks(300_500, 4)),
			"repeats 1 octets 1000 after 1 rto 1"},
		{"an ACK with payload is no duplicate ACK", scene{noSACK: true}, flight4(
			pk{at: 10_510, dir: 1, ack: pos(0), n: 10}, pk{at: 10_520, dir: 1, ack: pos(0), n: 10}, pk{at: 10_530, dir: 1, ack: pos(0), n: 10},
			data(300_000, 0), acks(300_500, 4)),
			"repeats 1 octets 1000 after 1 rto 1"},
		{"fast: more than two segments SACKed above", scene{}, flight4(acks(10_530, 0, 1, 4), data(10_700, 0), acks(11_200, 4)),
			"repeats 1 octets 1000 after 1 fast 1"},
		{"fast: one SACK, a quarter round trip old (RACK)", scene{}, flight4(acks(10_510, 0, 1, 2), data(10_900, 0), acks(11_400, 4)),
			"repeats 1 octets 1000 after 1 fast 1"},
		{"fast hides behind changing windows with SACK", scene{}, flight4(
			acks(10_510, 0, 1, 2).with(func(p *pk) { p.win = 60000 }), acks(10_520, 0, 1, 3).with(func(p *pk) { p.win = 50000 }), acks(10_530, 0, 1, 4).with(func(p *pk) { p.win = 40000 }),
			data(10_900, 0), acks(11_400, 4)),
			"repeats 1 octets 1000 after 1 fast 1"},
		{"recovery: a further hole of the same episode", scene{}, append(flight4(data(10_040, 4), data(10_050, 5)),
			acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 2, 3, 4), acks(10_530, 0, 1, 2, 3, 5), acks(10_540, 0, 1, 2, 3, 6), data(10_900, 0), data(10_910, 2), acks(11_410, 6)),
			"repeats 2 octets 2000 after 2 fast 1 recovery 1"},
		{"recovery: a partial ACK without SACK (NewReno)", scene{noSACK: true}, append(flight4(data(10_040, 4), data(10_050, 5)),
			dup(10_510), dup(10_530), dup(10_540), dup(10_550), data(10_900, 0), acks(11_400, 2), data(11_800, 2), acks(12_300, 6)),
			"repeats 2 octets 2000 after 2 fast 1 recovery 1"},
		{"lost retransmission: what was sent later has arrived", scene{}, append(flight4(acks(10_530, 0, 1, 4), data(10_900, 0), data(10_910, 4), data(10_920, 5)),
			acks(11_410, 0, 1, 5), acks(11_420, 0, 1, 6), data(11_900, 0), acks(12_400, 6)),
			"repeats 2 octets 2000 after 2 fast 1 lost_retransmission 1"},
		{"tlp: the last of several", scene{}, flight4(data(12_000, 3), acks(12_500, 4)), "repeats 1 octets 1000 after 1 tlp 1"},
		{"tlp: one in flight, before any retransmission timer", scene{}, []pk{data(10_000, 0), data(12_000, 0), acks(12_500, 1)},
			"repeats 1 octets 1000 after 1 tlp 1"},
		{"timer: one in flight, probe and timer fit", scene{}, []pk{data(10_000, 0), data(211_500, 0), acks(212_000, 1)}, "repeats 1 octets 1000 after 1 timer 1"},
		{"the second in a row is the retransmission timer's", scene{}, []pk{data(10_000, 0), data(211_500, 0), data(413_000, 0), acks(413_500, 1)},
			"repeats 2 octets 2000 after 2 rto 1 timer 1"},
		{"rto: the first of several, without evidence", scene{}, flight4(data(215_000, 0), acks(215_500, 4)), "repeats 1 octets 1000 after 1 rto 1"},
		{"rto: backing off", scene{}, flight4(data(215_000, 0), data(620_000, 0), data(1_430_000, 0), acks(1_430_500, 4)),
			"repeats 3 octets 3000 after 3 rto 3"},
		{"rto, however early the SACK: it is too old to be the cause", scene{}, flight4(acks(10_510, 0, 3, 4), data(215_000, 0), acks(215_500, 4)),
			"repeats 1 octets 1000 after 1 rto 1"},
		{"rto recovery: the rest of the flight behind the timer", scene{}, flight4(data(215_000, 0), acks(215_500, 1), data(215_900, 1), data(215_910, 2), acks(216_400, 3), data(216_800, 3), acks(217_300, 4)),
			"repeats 4 octets 4000 after 4 rto 1 rto_recovery 3"},
		{"too early for anything", scene{}, flight4(data(10_300, 0), acks(10_800, 4)), "repeats 1 octets 1000 after 1 unknown 1"},
		{"round trip unknown", scene{bare: true}, []pk{
			{at: 9_000, dir: 1, seq: 1, ack: pos(0)}, data(10_000, 0), data(10_010, 1), data(12_000, 1),
		}, "repeats 1 octets 1000 after 1 unknown 1"},
		{"its ACK passed here before the repeat: what came before that was the cause", scene{}, flight4(
			acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4), acks(10_600, 4), data(10_830, 0), acks(11_330, 4)),
			"repeats 1 octets 1000 spurious 1 fast 1"},
	})
}

// The series of timer repeats of one octet, which tells that a connection is
// aborted: it ends with progress.
func TestRuleTimerRun(t *testing.T) {
	packets := flight4(data(215_000, 0), data(620_000, 0), data(1_430_000, 0))
	if n := (scene{}).play(packets...).c.TimerRun(); n != 3 {
		t.Errorf("%d timer repeats in a row, want 3", n)
	}
	if n := (scene{}).play(append(packets, acks(1_430_500, 4))...).c.TimerRun(); n != 0 {
		t.Errorf("%d timer repeats in a row behind an ACK, want 0", n)
	}
}

// Repeats that were needless, although they did not look so here.
func TestRuleSpurious(t *testing.T) {
	dsack := func(at int64, i int, blocks ...int) pk { return acks(at, i, blocks...) }
	playRules(t, []ruleTest{
		{"DSACK below the ACK", scene{}, flight4(data(215_000, 0), acks(215_100, 4), dsack(215_500, 4, 0, 1)), "repeats 1 octets 1000 spurious 1 rto 1"},
		{"DSACK inside the second block", scene{}, append(flight4(acks(10_520, 0, 2, 3), acks(10_530, 0, 2, 4)),
			data(10_900, 0), data(10_910, 1), data(10_920, 2), dsack(11_430, 1, 2, 3, 2, 4), acks(11_440, 4)),
			"repeats 3 octets 3000 spurious 1 after 2 fast 1 recovery 2"},
		{"DSACK for a repeat that was needed on its face", scene{}, []pk{
			data(10_000, 0), data(215_000, 0), dsack(215_500, 1, 0, 1), acks(216_000, 1),
		}, "repeats 1 octets 1000 spurious 1 timer 1"},
		{"a second DSACK for one repeat tells of a third arrival", scene{}, []pk{
			data(10_000, 0), data(215_000, 0), dsack(215_500, 1, 0, 1), dsack(215_600, 1, 0, 1), acks(216_000, 1),
		}, "repeats 1 octets 1000 spurious 1 timer 1 dsack_unmatched 1"},
		{"DSACK without a recorded repeat: the network made the second", scene{}, []pk{data(10_000, 0), acks(10_500, 1), dsack(10_600, 1, 0, 1)}, "dsack_unmatched 1"},
		{"a first block above all ACKs is no DSACK", scene{}, flight4(acks(10_530, 0, 3, 4, 1, 2), data(10_900, 0), acks(11_400, 4)),
			"repeats 1 octets 1000 after 1 fast 1"},
		{"Eifel: the ACK echoes a time before the repeat, which began at the left edge", scene{stamps: true}, []pk{
			data(10_000, 0), data(215_000, 0), acks(215_200, 1).with(func(p *pk) { p.echo = 10 }),
		}, "repeats 1 octets 1000 spurious 1 timer 1"},
		{"the echo of the repeat proves nothing", scene{stamps: true}, []pk{
			data(10_000, 0), data(215_000, 0), acks(215_500, 1).with(func(p *pk) { p.echo = 215 }),
		}, "repeats 1 octets 1000 after 1 timer 1"},
		{"not Eifel: something older was unacknowledged, which the echo may mean", scene{stamps: true}, []pk{
			data(10_000, 0), data(10_010, 1), data(13_000, 1), acks(13_500, 2).with(func(p *pk) { p.echo = 10 }),
		}, "repeats 1 octets 1000 after 1 tlp 1"},
	})
}
