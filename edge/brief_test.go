package edge

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// anyBrief is a record that is brief, unless one thing or another is not.
func anyBrief(r *rand.Rand) flow.Record {
	small := func(bits int) int64 { return r.Int64N(1 << r.IntN(bits+1)) }
	most := []int{32, 32, 34, 41}[r.IntN(4)] // bits of a duration
	duration := func() int64 { return small(most) }
	odd := func(n *int64) {
		if r.IntN(60) == 0 {
			*n = 1 - 2*r.Int64N(2) + small(40)
		}
	}
	x := record(uint16(r.IntN(9)), small(62)*(1-2*r.Int64N(2)), small(17))
	x.End = x.Start + duration()
	odd(&x.End)
	x.Point = packet.PointID(1 + r.IntN(2))
	x.Outcome = [...]flow.Outcome{flow.OutcomeNone, flow.Closed, flow.Established, flow.Refused, flow.Timeout, flow.Reset, flow.AbortedTimeout}[r.IntN(7)]
	x.EndReason, x.Direction = flow.EndReason(r.IntN(6)), flow.DirectionSource(r.IntN(8))
	for side := range x.Sent {
		x.Sent[side] = flow.Volume{Packets: small(16), Bytes: small(16), PayloadBytes: small(16)}
		odd(&x.Sent[side].Bytes)
		odd(&x.Sent[side].PayloadBytes)
		s := &x.TCP.Sides[side]
		if s.Recorded = small(16); r.IntN(4) == 0 {
			s.Retransmits.State = tcp.State(r.IntN(4))
		} else {
			s.Retransmits.State = tcp.Measured
		}
		for _, n := range []*int64{&s.Recorded, &s.Missed, &s.WindowFull, &s.ZeroWindow.Time, &s.Retransmits.Packets, &s.Retransmits.Bytes} {
			odd(n)
		}
	}
	x.FINs = [2]int64{r.Int64N(2), r.Int64N(2)}
	x.HasTCP, x.HasHandshake = r.IntN(60) > 0, r.IntN(4) > 0
	x.Handshake.State, x.Handshake.RTT = tcp.State(r.IntN(3)), duration()-1
	x.TCP.Response = tcp.Response{State: tcp.State(r.IntN(4)), Turns: small(8)}
	x.TCP.Response.Measured = r.Int64N(x.TCP.Response.Turns + 1)
	p := &session.Phases{
		TCP: duration(), ClientIdle: duration(), Request: duration(), Server: duration(), Network: duration(), Transfer: duration(), Idle: duration(), Close: duration(), Unknown: duration(), Overlap: r.IntN(9) == 0,
	}
	for _, n := range []*int64{&p.TCP, &p.Prelude, &p.TLS, &p.Idle, &p.Unknown, &p.Close} {
		odd(n)
	}
	if r.IntN(60) > 0 {
		x.Phases = p
	}
	for range r.IntN(tcp.MaxSamples + 1) {
		what := [...]tcp.Timed{tcp.TimedRTT, tcp.TimedDelayed, tcp.TimedRTT + 2, tcp.TimedDelayed + 2, tcp.TimedThink}[r.IntN(5)]
		x.Samples.Add(what, r.Int64N(1<<r.IntN(33)))
	}
	return x
}

// A brief connection adds what it would add as any other, and has its traits.
func TestBrief(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 16))
	all, long := 0, 0
	var got brief
	var folded, model Conversation
	for range 30_000 {
		x := anyBrief(r)
		var b brief
		if !b.of(&x) {
			continue
		}
		all++
		if b.kind&isLong != 0 {
			long++
		}
		var c connection
		c.single(&x)
		if !c.plain() {
			t.Fatalf("not plain: %+v", x)
		}
		likes := traits(0)
		if c.suspect() {
			likes |= suspect
		}
		if c.talk.turns > 0 || c.talk.bare && failed(c.outcome) {
			likes |= tried
		}
		first, more := b.packed()
		packed := append(append(append([]byte(nil), first...), more...), "rest"...)
		rest := got.read(append(packed, make([]byte, mostPacked)...))
		folded.addBrief(&got)
		model.add(&c)
		if !reflect.DeepEqual(&folded, &model) || b.traits(&x.Samples) != likes || string(rest[:4]) != "rest" || len(rest) != 4+mostPacked {
			t.Fatalf("%+v\ngot  %+v, %b\nwant %+v, %b\n%q is left", x, folded, b.traits(&x.Samples), model, likes, rest)
		}
		if all%10 == 0 {
			folded, model = Conversation{}, Conversation{}
		}
	}
	if all < 10_000 || long < 2000 {
		t.Errorf("only %d are brief, %d of them long", all, long)
	}
}

// A table of brief connections among others says the same as one that packs nothing.
func TestBriefModel(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 17))
		limit := 1 + r.IntN(40)
		tab, model := New(Config{Conversations: limit}), modelTable{limit: limit}
		keys := 1 + r.IntN(3*limit)
		var some []flow.Record
		for range 300 {
			x := anyBrief(r)
			if r.IntN(8) == 0 {
				x = anyTCP(r)
			}
			x.Ends[flow.Server].Port = uint16(r.IntN(keys))
			some = append(some, x)
		}
		var list []*flow.Record
		for i := range some {
			list = append(list, &some[i])
			model.add(&some[i])
		}
		tab.Add(list...)
		s := tab.Summary()
		if s.Len() != len(model.all) || s.Missing != model.missing {
			t.Fatalf("seed %d: %d conversations that lack %d octets, want %d and %d", seed, s.Len(), s.Missing, len(model.all), model.missing)
		}
		for i, want := range model.all {
			if want.Unanswered != nil {
				want.Unanswered.Until = model.until
			}
			equal(t, "a conversation", s.Conversation(i), want)
		}
		equal(t, "other", &s.Other, &model.other)
		if t.Failed() {
			return
		}
	}
}
