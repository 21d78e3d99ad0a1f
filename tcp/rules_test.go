package tcp

import (
	"fmt"
	"strings"
	"testing"

	"mirrorscope/packet"
)

// These tests hold one packet sequence to each rule of measuring. A scene
// starts with a handshake and two segments each way, which show both halves:
// 500 µs to the server and back, 300 µs to the client and back. Then each side
// has sent up to position firstByte. The tests go on at 10 ms with segments of
// 1000 octets, number 0 first.
type scene struct {
	stamps   bool // both sides use timestamps, ticks of 1 ms
	ids      bool // both sides count IPv4 identifications up
	noSACK   bool
	bare     bool // nothing comes before: mid-stream
	scaled   bool // windows in units of 128
	noClient bool // the caller does not know who is the client
}

// pk is one packet of a scene.
type pk struct {
	at    int64 // µs
	dir   int
	flags uint16 // 0: ACK
	seq   uint32 // position; 0: where the sender is
	ack   uint32 // position; 0: all that was recorded of the other side
	n     uint32
	win   int    // -1: zero; 0: 65535
	id    uint16 // behind the scene's last of that direction; 0: the next
	ts    uint32 // ms; 0: by time
	echo  uint32 // TSecr, ms; 0: the other's latest
	sack  []span
	alike bool
}

const (
	firstByte = 1 + 2*fullLen // of segment 0, and of what the server sends next
	segLen    = 1000
	fullLen   = 1448 // of a full segment
)

// follow is what a caller does that knows nothing of the protocol above.
func (c *Conn) follow(st *Store, p *packet.Packet, dir, client int, o *Opening, alike bool) {
	var g Segment
	c.AddTo(st, &g, p, dir, o, alike)
	if p.TCP.Flags&packet.SYN != 0 {
		client, _ = c.Client() // Fast Open
	}
	c.Exchange(st, &g, dir, client)
}

// pos is where segment i starts.
func pos(i int) uint32 { return firstByte + uint32(i)*segLen }

// data is segment i of the client.
func data(at int64, i int) pk { return pk{at: at, seq: pos(i), n: segLen} }

// acks is the server's ACK of all before segment i, with SACK blocks in
// segments: from, to, from, to, …
func acks(at int64, i int, blocks ...int) pk {
	p := pk{at: at, dir: 1, ack: pos(i)}
	for j := 0; j+1 < len(blocks); j += 2 {
		p.sack = append(p.sack, span{int64(pos(blocks[j])), int64(pos(blocks[j+1]))})
	}
	return p
}

// with changes a packet.
func (p pk) with(f func(*pk)) pk {
	f(&p)
	return p
}

func (s scene) prelude() []pk {
	if s.bare {
		return nil
	}
	return []pk{
		{at: 0, flags: syn, seq: 0}, {at: 500, dir: 1, flags: synack, seq: 0, ack: 1}, {at: 800, seq: 1, ack: 1},
		{at: 1000, seq: 1, ack: 1, n: fullLen}, {at: 1000, seq: 1 + fullLen, ack: 1, n: fullLen}, {at: 1500, dir: 1, seq: 1, ack: firstByte},
		{at: 3000, dir: 1, seq: 1, ack: firstByte, n: fullLen}, {at: 3000, dir: 1, seq: 1 + fullLen, ack: firstByte, n: fullLen}, {at: 3300, seq: firstByte, ack: firstByte},
		{at: 3400, dir: 1, seq: firstByte, ack: firstByte}, {at: 3500, dir: 1, seq: firstByte, ack: firstByte},
	}
}

// ruleISN makes positions of the scene sequence numbers, by direction.
var ruleISN = [2]uint32{1<<32 - 5000, 700}

// play adds the scene's packets, then those of the test.
func (s scene) play(ps ...pk) *play {
	p := newPlay()
	var ids [2]uint16
	var next, stamp [2]uint32
	pre := s.prelude()
	var base [2]uint16
	for i, q := range append(pre, ps...) {
		if i == len(pre) {
			base = ids
		}
		d := q.dir
		k := packet.Packet{Time: q.at*1000 + epoch, Now: q.at*1000 + epoch, PayloadLen: q.n, Proto: packet.ProtoTCP, Version: 4, TTL: 64, Position: 1}
		if s.ids {
			ids[d]++
			if q.id != 0 {
				ids[d] = base[d] + q.id
			}
			k.IPID = 1000 + ids[d]
		}
		t := &k.TCP
		t.Flags = q.flags
		if t.Flags == 0 {
			t.Flags = ack
		}
		seq, acked := q.seq, q.ack
		if seq == 0 && t.Flags&syn == 0 {
			seq = next[d]
		}
		if acked == 0 && i >= len(pre) {
			acked = next[1-d]
		}
		t.Seq = ruleISN[d] + seq
		if t.Flags&ack != 0 {
			t.Ack = ruleISN[1-d] + acked
		}
		end := seq + q.n
		if t.Flags&(packet.SYN|packet.FIN) != 0 {
			end++
		}
		next[d] = max(next[d], end)
		t.Window = 65535
		if q.win != 0 {
			t.Window = uint16(max(q.win, 0))
		}
		if t.Flags&packet.SYN != 0 {
			t.Has = packet.HasMSS | packet.HasWScale
			t.MSS = fullLen
			if s.stamps {
				t.MSS += 12
			}
			if s.scaled {
				t.WScale = 7
			}
			if !s.noSACK {
				t.Has |= packet.HasSACKPermitted
			}
		}
		if s.stamps {
			t.Has |= packet.HasTimestamps
			t.TSval, t.TSecr = 5000+uint32(q.at/1000), stamp[1-d]
			if q.ts != 0 {
				t.TSval = 5000 + q.ts
			}
			if q.echo != 0 {
				t.TSecr = 5000 + q.echo
			}
			stamp[d] = max(stamp[d], t.TSval)
		}
		for _, b := range q.sack {
			t.Has |= packet.HasSACK
			t.SACK[t.NumSACK] = packet.SACK{Left: ruleISN[1-d] + uint32(b.lo), Right: ruleISN[1-d] + uint32(b.hi)}
			t.NumSACK++
		}
		client := 0
		if s.noClient {
			client = -1
		}
		p.c.follow(p.st, &k, d, client, &p.o, q.alike)
	}
	return p
}

// report is that of a play.
func (p *play) report(at int64) *Report {
	var r Report
	p.c.Report(p.st, &r, 0, true)
	return &r
}

// told writes what a report says of a side's packets, leaving out what is 0:
// retransmitted packets and octets, verdicts, classes, and the rest.
func told(s *Side) string {
	var b strings.Builder
	say := func(name string, n int64) {
		if n != 0 {
			fmt.Fprintf(&b, "%s %d ", name, n)
		}
	}
	x := &s.Retransmits
	say("repeats", x.Packets)
	say("octets", x.Bytes)
	if x.Segments != x.Packets {
		say("segments", x.Segments)
	}
	say("spurious", x.SpuriousPackets)
	say("before", x.LostBefore)
	say("after", x.LostAfter)
	say("unlocated", x.Unlocated)
	for c := range NumClasses {
		say(c.String(), x.ByClass[c])
	}
	say("inferred", x.Inferred)
	say("dsack_unmatched", x.DSACKUnmatched)
	say("reordered", s.OutOfOrder.Packets)
	say("extent", s.OutOfOrder.MaxExtent)
	say("late", s.OutOfOrder.MaxLate/1000)
	say("duplicates", s.NetworkDuplicates)
	say("keep_alives", s.KeepAlives)
	say("missed", s.Missed)
	say("strays", s.Strays)
	if x.State != Measured {
		fmt.Fprintf(&b, "%v ", x.State)
		for _, r := range x.Reasons.Append(nil) {
			b.WriteString(r + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

// ruleTest is a sequence and what must be told of the client's packets.
type ruleTest struct {
	name string
	scene
	packets []pk
	want    string
}

func playRules(t *testing.T, tests []ruleTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.scene.play(tt.packets...)
			last := int64(10_000)
			for _, q := range tt.packets {
				last = max(last, q.at)
			}
			r := p.report(last)
			sound(t, r)
			bounded(t, &p.c, p.st)
			if got := told(&r.Sides[0]); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// What is examined, and how it is counted.
func TestRuleCounts(t *testing.T) {
	playRules(t, []ruleTest{
		{"nothing happens", scene{}, []pk{data(10_000, 0), acks(10_500, 1)}, ""},
		{"the scene itself is clean with timestamps", scene{stamps: true, ids: true}, []pk{data(10_000, 0), acks(10_500, 1)}, ""},
		{"a packet that reaches beyond the end repeats only what lies below it", scene{}, []pk{
			data(10_000, 0), {at: 300_000, seq: pos(0), n: 1400}, acks(300_500, 1).with(func(p *pk) { p.ack = pos(0) + 1400 }),
		}, "repeats 1 octets 1000 after 1 timer 1"},
		{"packets are re-cut: intervals decide, not equal numbers", scene{}, []pk{
			{at: 10_000, seq: pos(0), n: 400}, {at: 10_010, seq: pos(0) + 400, n: 600}, {at: 10_020, seq: pos(1), n: 200}, data(10_030, 2).with(func(p *pk) { p.seq = pos(1) + 200 }),
			{at: 310_000, seq: pos(0), n: 700}, acks(310_500, 2),
		}, "repeats 1 octets 700 after 1 rto 1"},
		{"a super-packet is one packet of several segments", scene{}, []pk{
			{at: 10_000, seq: pos(0), n: 3 * fullLen}, data(10_010, 5).with(func(p *pk) { p.seq = pos(0) + 3*fullLen }), {at: 310_000, seq: pos(0), n: 3 * fullLen}, acks(310_500, 5),
		}, "repeats 1 octets 4344 segments 3 after 1 rto 1 ambiguous offload"},
		{"FIN", scene{}, []pk{
			{at: 10_000, flags: packet.FIN | ack, seq: pos(0)}, {at: 300_000, flags: packet.FIN | ack, seq: pos(0)}, {at: 300_500, dir: 1, ack: pos(0) + 1},
		}, "repeats 1 after 1 fin 1"},
		{"FIN with data is a repeat of that data", scene{}, []pk{
			{at: 10_000, seq: pos(0), n: 1000, flags: packet.FIN | ack}, {at: 300_000, seq: pos(0), n: 1000, flags: packet.FIN | ack}, {at: 300_500, dir: 1, ack: pos(1) + 1},
		}, "repeats 1 octets 1000 after 1 timer 1"},
		{"SYN", scene{bare: true}, []pk{
			{at: 0, flags: syn}, {at: 1_000_000, flags: syn}, {at: 1_000_500, dir: 1, flags: synack, ack: 1}, {at: 1_000_800, seq: 1, ack: 1},
		}, "repeats 1 after 1 syn 1"},
		{"a bare ACK below the end is no repeat", scene{}, []pk{
			data(10_000, 0), {at: 10_100, seq: pos(0)}, acks(10_500, 1), {at: 10_600, seq: pos(0)},
		}, ""},
	})
}

// What looks like a repeat and is none.
func TestRuleNoRepeat(t *testing.T) {
	shut := acks(10_500, 1).with(func(p *pk) { p.win = -1 })
	playRules(t, []ruleTest{
		{"keep-alive without payload", scene{}, []pk{data(10_000, 0), acks(10_500, 1), {at: 5_000_000, seq: pos(1) - 1}, acks(5_000_500, 1)}, "keep_alives 1"},
		{"keep-alive with one octet", scene{}, []pk{data(10_000, 0), acks(10_500, 1), {at: 5_000_000, seq: pos(1) - 1, n: 1}, acks(5_000_500, 1)}, "keep_alives 1"},
		{"one octet while data is outstanding is a repeat", scene{}, []pk{
			{at: 10_000, seq: pos(0), n: 1}, {at: 400_000, seq: pos(0), n: 1}, {at: 400_500, dir: 1, ack: pos(0) + 1},
		}, "repeats 1 octets 1 after 1 timer 1"},
		{"FIN at the last octet is no keep-alive", scene{}, []pk{
			{at: 10_000, flags: packet.FIN | ack, seq: pos(0)}, {at: 10_500, dir: 1, ack: pos(0) + 1}, {at: 300_000, flags: packet.FIN | ack, seq: pos(0)},
		}, "repeats 1 spurious 1 fin 1"},
		{"zero-window probe at the last octet", scene{}, []pk{data(10_000, 0), shut, {at: 300_000, seq: pos(1) - 1}, shut.with(func(p *pk) { p.at = 300_500 })}, ""},
		{"zero-window probe with the next octet", scene{}, []pk{
			data(10_000, 0), shut, {at: 300_000, seq: pos(1), n: 1}, shut.with(func(p *pk) { p.at = 300_500 }), {at: 700_000, seq: pos(1), n: 1},
			acks(700_500, 1).with(func(p *pk) { p.ack = pos(1) + 1 }), {at: 700_600, seq: pos(1) + 1, n: 999},
		}, ""},
		{"zero-window probe with what is outstanding", scene{}, []pk{
			data(10_000, 0), data(10_010, 1), shut, {at: 300_000, seq: pos(1), n: 1000}, shut.with(func(p *pk) { p.at = 300_500 }),
		}, ""},
		{"the update was lost behind us: still a probe", scene{}, []pk{
			data(10_000, 0), shut, acks(200_000, 1), {at: 300_000, seq: pos(1) - 1}, acks(300_500, 1), data(300_900, 1), acks(301_500, 2),
		}, ""},
		{"after new data it is a keep-alive again", scene{}, []pk{
			data(10_000, 0), shut, acks(200_000, 1), data(200_400, 1), acks(201_000, 2), {at: 5_000_000, seq: pos(2) - 1}, acks(5_000_500, 2),
		}, "keep_alives 1"},
		{"the answers to probes are no duplicate ACKs", scene{noSACK: true}, []pk{
			data(10_000, 0), data(10_010, 1), shut, {at: 300_000, seq: pos(1) - 1}, shut.with(func(p *pk) { p.at = 300_500 }), {at: 600_000, seq: pos(1) - 1},
			shut.with(func(p *pk) { p.at = 600_500 }), {at: 900_000, seq: pos(1) - 1}, shut.with(func(p *pk) { p.at = 900_500 }),
			acks(950_000, 1), {at: 1_300_000, seq: pos(1), n: 1000}, acks(1_300_500, 2),
		}, "repeats 1 octets 1000 after 1 timer 1"},
		{"network duplicate", scene{ids: true}, []pk{data(10_000, 0), data(10_400, 0).with(func(p *pk) { p.alike = true; p.id = 1 }), acks(10_500, 1)}, "duplicates 1"},
		{"network duplicate of the FIN", scene{ids: true}, []pk{
			{at: 10_000, flags: packet.FIN | ack, seq: pos(0)}, {at: 10_400, flags: packet.FIN | ack, seq: pos(0), alike: true, id: 1}, {at: 10_500, dir: 1, ack: pos(0) + 1},
		}, "duplicates 1"},
		{"stray of long ago (RFC 7323 section 5)", scene{stamps: true}, []pk{
			data(10_000, 0), acks(10_500, 1), {at: 20_000, seq: pos(1), n: 60_000}, acks(20_500, 61), {at: 30_000, seq: pos(61), n: 60_000}, acks(30_500, 121),
			data(40_000, 0).with(func(p *pk) { p.ts = 5 }),
		}, "strays 1"},
	})
}
