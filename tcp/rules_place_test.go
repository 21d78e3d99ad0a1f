package tcp

import (
	"testing"

	"mirrorscope/packet"
)

// Where the original was lost.
func TestRulePlace(t *testing.T) {
	older := func(ms uint32) func(*pk) { return func(p *pk) { p.ts = ms } }
	playRules(t, []ruleTest{
		{"recorded, not acknowledged: lost behind us", scene{}, []pk{
			data(10_000, 0), data(10_010, 1), data(10_020, 2), data(10_030, 3), acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4), data(10_900, 0), acks(11_400, 4),
		}, "repeats 1 octets 1000 after 1 fast 1"},
		{"recorded and acknowledged: needless", scene{}, []pk{
			data(10_000, 0), acks(10_500, 1), data(300_000, 0), acks(300_500, 1),
		}, "repeats 1 octets 1000 spurious 1 timer 1"},
		{"recorded and SACKed: needless", scene{}, []pk{
			data(10_000, 0), data(10_010, 1), data(10_020, 2), data(10_030, 3), acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4),
			data(10_900, 2), data(10_910, 0), acks(11_410, 4),
		}, "repeats 2 octets 2000 spurious 1 after 1 fast 1 recovery 1"},
		{"a hole, not acknowledged: lost before us", scene{}, []pk{
			data(10_010, 1), data(10_020, 2), data(10_030, 3), acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4), data(10_900, 0), acks(11_400, 4),
		}, "repeats 1 octets 1000 before 1 fast 1"},
		{"a hole, acknowledged long ago: the capture missed the original, the repeat is needless", scene{}, []pk{
			data(10_000, 0), acks(10_500, 2), data(900_000, 2), acks(900_500, 3), data(900_900, 1), acks(901_400, 3),
		}, "repeats 1 octets 1000 spurious 1 unknown 1 missed 1000 ambiguous capture_loss"},
		{"a late original, overtaken by its own repeat: the repeat was needless", scene{stamps: true}, []pk{
			data(10_010, 1), data(10_020, 2), data(10_030, 3), acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4),
			data(11_900, 0).with(older(11)), acks(12_400, 4), data(12_500, 0).with(older(10)), acks(13_000, 4),
		}, "repeats 1 octets 1000 spurious 1 fast 1 reordered 1"},
		{"mixed: the larger part decides, a hole", scene{}, []pk{
			{at: 10_000, seq: pos(0), n: 300}, data(10_010, 1), data(10_020, 2), data(10_030, 3), acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4),
			data(10_900, 0), acks(11_400, 4),
		}, "repeats 1 octets 1000 before 1 fast 1"},
		{"mixed: the larger part decides, recorded", scene{}, []pk{
			{at: 10_000, seq: pos(0), n: 700}, data(10_010, 1), data(10_020, 2), data(10_030, 3), acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4),
			data(10_900, 0), acks(11_400, 4),
		}, "repeats 1 octets 1000 after 1 fast 1"},
		{"lost before us, and its repeat behind us", scene{}, []pk{
			data(10_010, 1), data(10_020, 2), data(10_030, 3), acks(10_510, 0, 1, 2), acks(10_520, 0, 1, 3), acks(10_530, 0, 1, 4), data(10_900, 0),
			data(300_000, 0), acks(300_500, 4),
		}, "repeats 2 octets 2000 before 1 after 1 fast 1 rto 1"},
	})
}

// What fills a hole is a repeat, or a packet that was overtaken.
func TestRuleFiller(t *testing.T) {
	id := func(n uint16) func(*pk) { return func(p *pk) { p.id = n } }
	ts := func(ms uint32) func(*pk) { return func(p *pk) { p.ts = ms } }
	playRules(t, []ruleTest{
		{"1: a later timestamp, though sooner than a round trip", scene{stamps: true}, []pk{
			data(10_000, 1).with(ts(10)), data(10_300, 0).with(ts(12)), acks(10_800, 2),
		}, "repeats 1 octets 1000 before 1 unknown 1"},
		{"1: an earlier timestamp, though later than any round trip", scene{stamps: true}, []pk{
			data(10_000, 1).with(ts(10)), data(40_000, 0).with(ts(9)), acks(40_500, 2),
		}, "reordered 1 extent 1 late 30000"},
		{"2: an identification behind the latest, though sooner than a round trip", scene{ids: true}, []pk{
			data(10_000, 1).with(id(2)), data(10_300, 0).with(id(3)), acks(10_800, 2),
		}, "repeats 1 octets 1000 before 1 unknown 1"},
		{"2: an identification between its neighbours, though later than any round trip", scene{ids: true}, []pk{
			data(10_000, 1).with(id(2)), data(40_000, 0).with(id(1)), acks(40_500, 2),
		}, "reordered 1 extent 1 late 30000"},
		{"2: overtaken by a bare ACK, too", scene{ids: true}, []pk{
			{at: 9_990, seq: pos(1), id: 2}, data(10_000, 1).with(id(3)), data(40_000, 0).with(id(1)), acks(40_500, 2),
		}, "reordered 1 extent 2 late 30010"},
		{"3: the sender had time to hear of it", scene{}, []pk{
			data(10_000, 1), acks(10_200, 0, 1, 2), data(10_500, 0), acks(11_000, 2),
		}, "repeats 1 octets 1000 before 1 fast 1"},
		{"3: it had not", scene{}, []pk{
			data(10_000, 1), acks(10_500, 0, 1, 2), data(10_600, 0), acks(11_100, 2),
		}, "reordered 1 extent 1 late 600"},
		{"4: sooner than a round trip, and nothing was heard", scene{}, []pk{data(10_000, 1), data(10_700, 0), acks(11_200, 2)}, "reordered 1 extent 1 late 700"},
		{"4: later than a round trip", scene{}, []pk{data(10_000, 1), data(300_000, 0), acks(300_500, 2)}, "repeats 1 octets 1000 before 1 rto 1"},
		{"5: round trip unknown, soon", scene{bare: true}, []pk{
			{at: 9_000, dir: 1, seq: 1, ack: pos(0)}, data(10_000, 0), data(10_000, 2), data(12_900, 1),
		}, "reordered 1 extent 1 late 2900 ambiguous"},
		{"5: round trip unknown, late", scene{bare: true}, []pk{
			{at: 9_000, dir: 1, seq: 1, ack: pos(0)}, data(10_000, 0), data(10_000, 2), data(13_100, 1),
		}, "repeats 1 octets 1000 before 1 unknown 1 ambiguous"},
		{"extent in packets, and the worst lateness", scene{}, []pk{
			data(10_000, 1), data(10_010, 2), data(10_020, 3), data(10_030, 0), data(20_000, 5), data(20_500, 4), acks(20_900, 6),
		}, "reordered 2 extent 3 late 500"},
	})
}

// Tails lost before the point leave no hole; identifications
// betray their repeats.
func TestRuleInferred(t *testing.T) {
	id := func(n uint16) func(*pk) { return func(p *pk) { p.id = n } }
	start := func(ps ...pk) []pk { return append([]pk{data(10_000, 0), data(10_010, 1), acks(10_510, 2)}, ps...) }
	playRules(t, []ruleTest{
		{"an identification is missing behind a pause", scene{ids: true}, start(data(300_000, 2).with(id(4)), acks(300_500, 3)), "inferred 1"},
		{"none is missing", scene{ids: true}, start(data(300_000, 2).with(id(3)), acks(300_500, 3)), ""},
		{"no pause: the loss is a hole elsewhere", scene{ids: true}, start(data(10_300, 2).with(id(4)), acks(10_800, 3)), ""},
		{"the other side sent data: the missing one can be an ACK", scene{ids: true}, start(
			pk{at: 100_000, dir: 1, n: 500}, data(300_000, 2).with(id(4)), acks(300_500, 3),
		), ""},
		{"identifications do not count up", scene{}, start(data(300_000, 2), acks(300_500, 3)), ""},
	})
}

// What the capture misses, and what that spoils.
func TestRuleCaptureLoss(t *testing.T) {
	playRules(t, []ruleTest{
		{"acknowledged and never recorded", scene{}, []pk{
			data(10_000, 0), data(10_020, 2), acks(10_600, 3), data(900_000, 3), acks(900_500, 4),
		}, "missed 1000 ambiguous capture_loss"},
		{"acknowledged beyond all that was recorded", scene{}, []pk{data(10_000, 0), acks(10_600, 3), data(900_000, 3), acks(900_500, 4)}, "missed 2000 ambiguous capture_loss"},
		{"SACKed counts, too", scene{}, []pk{
			data(10_000, 1), data(10_020, 3), acks(10_600, 0, 1, 4), data(11_000, 0), acks(11_600, 4), data(900_000, 4), acks(900_500, 5),
		}, "repeats 1 octets 1000 unlocated 1 fast 1 missed 1000 ambiguous capture_loss"},
		{"recorded within the grace: a skewed mirror, nothing is missing", scene{}, []pk{
			acks(10_000, 2), data(12_000, 0), data(12_010, 1), acks(900_500, 2),
		}, ""},
		{"recorded within the grace, in a hole", scene{}, []pk{
			data(10_000, 0), data(10_020, 2), acks(10_600, 3), data(12_000, 1), data(900_000, 3), acks(900_500, 4),
		}, ""},
		{"one-sided: nobody is heard to miss it", scene{bare: true}, []pk{
			data(10_000, 0).with(func(p *pk) { p.ack = 1 }), data(10_010, 1).with(func(p *pk) { p.ack = 1 }), data(300_000, 0).with(func(p *pk) { p.ack = 1 }),
		}, "repeats 1 octets 1000 unlocated 1 rto 1 bounded one_sided"},
	})
}

// Only ACKs are recorded. What they cover is not missed but never
// was to be recorded.
func TestRuleACKsAlone(t *testing.T) {
	p := scene{bare: true}.play(pk{at: 0, dir: 1, seq: 1, ack: 1000}, pk{at: 1000, dir: 1, seq: 1, ack: 90_000}, pk{at: 900_000, dir: 1, seq: 1, ack: 200_000})
	r := p.report(2_000_000)
	if x := &r.Sides[0]; x.Retransmits.State != Unknown || x.Retransmits.Reasons != OneSided || x.Missed != 0 || x.RTT.State != Unknown {
		t.Errorf("%+v", *x)
	}
}

// AccECN and ECN are agreed by the SYNs (RFC 3168 section 6.1.1).
func TestRuleECN(t *testing.T) {
	for _, tt := range []struct {
		name              string
		syn, synack       uint16
		known, negotiated bool
	}{
		{"both", syn | packet.ECE | packet.CWR, synack | packet.ECE, true, true},
		{"the server refuses", syn | packet.ECE | packet.CWR, synack, true, false},
		{"the client does not ask", syn, synack | packet.ECE, true, false},
		{"a reflected offer is no agreement", syn | packet.ECE | packet.CWR, synack | packet.ECE | packet.CWR, true, false},
	} {
		p := newPlay().add(seg{at: 0, flags: tt.syn, seq: 100}, seg{at: 500, dir: 1, flags: tt.synack, seq: 900, ack: 101})
		if known, ok := p.c.ECN(); known != tt.known || ok != tt.negotiated {
			t.Errorf("%s: known %v, negotiated %v", tt.name, known, ok)
		}
	}
}
