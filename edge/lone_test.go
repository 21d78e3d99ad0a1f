package edge

import (
	"math/rand/v2"
	"slices"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/packet"
)

// syns gives the records of a flood, in order, whole or small. Some of its SYNs are
// answered, or repeated.
func syns(t *testing.T, seed uint64, small bool, whole func(*flow.Record), lone func(*flow.Lone)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	cfg := flow.DefaultConfig()
	learned := flow.NewLearned(cfg)
	names := new(packet.Names)
	expander := flow.NewExpander(&cfg, names)
	table := flow.NewTable(cfg, learned, names)
	take := func() {
		table.Step(flow.Last())
		var list flow.Records
		table.Take(&list)
		type one struct {
			flow.Place
			give func()
		}
		var all []one
		for i := range list.Len() {
			all = append(all, one{list.At(i).Place(), func() { whole(list.At(i)) }})
		}
		for i := range list.Lones() {
			l := list.Lone(i)
			all = append(all, one{l.Place(), func() {
				if small {
					lone(l)
				} else {
					expander.Reset()
					whole(expander.Expand(l))
				}
			}})
		}
		slices.SortFunc(all, func(a, b one) int { return a.Compare(&b.Place) })
		for _, x := range all {
			x.give()
		}
	}
	now := int64(1e18)
	for i := range 3000 {
		now += rng.Int64N(40e6)
		p := packet.Packet{
			Time: now, Now: now, Proto: packet.ProtoTCP, Version: 4, IPLen: 40 + 4*uint32(rng.IntN(3)), Point: packet.PointID(1 + rng.IntN(20)/19), Network: packet.NetworkID(1 + rng.IntN(2)),
			SrcPort: uint16(rng.IntN(60000)), DstPort: uint16(80 + rng.IntN(2)), Src: packet.Addr{10: 255, 11: 255, 12: 10, 15: byte(rng.IntN(1 << rng.IntN(9)))}, Dst: packet.Addr{10: 255, 11: 255, 12: 9, 15: byte(rng.IntN(4))},
		}
		p.TCP.Flags, p.TCP.HeaderLen, p.TCP.Seq = packet.SYN, 20, rng.Uint32()
		add := func() {
			p.Hash = packet.SymmetricHash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto, 0)
			table.Add(&p)
		}
		add()
		switch rng.IntN(8) {
		case 0: // again
			p.IPID++
			p.Time, p.Now = now+1e6, now+1e6
			add()
		case 1: // answered
			p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			p.TCP.Flags, p.TCP.Ack = packet.SYN|packet.ACK, p.TCP.Seq+1
			add()
		}
		if i%50 == 0 {
			second := now - now%1e9
			learned.Merge([]*flow.Table{table}, second-1e9, second)
			table.PlanExpire(second)
			take()
		}
	}
	table.PlanFlush(now)
	take()
}

// Connections that are one SYN count as they would as whole records, in
// conversations of their own, among others, and with those that found no place.
func TestLone(t *testing.T) {
	for seed := range uint64(6) {
		for _, room := range []int{40, 150, 10_000} {
			want, got := New(Config{Conversations: room, Rows: 1}), New(Config{Conversations: room, Rows: 1})
			syns(t, seed, false, func(r *flow.Record) { want.Add(r) }, nil)
			lones := 0
			var some []*flow.Lone // in a row
			flush := func() {
				got.AddLones(some)
				some = some[:0]
			}
			syns(t, seed, true, func(r *flow.Record) { flush(); got.Add(r) }, func(l *flow.Lone) { lones++; some = append(some, l) })
			flush()
			a, b := got.Summary(), want.Summary()
			if lones == 0 || a.Len() != b.Len() || a.Missing != b.Missing || a.Common() != b.Common() || a.until != b.until {
				t.Fatalf("seed %d: %d small ones; %d conversations, lack %d, %+v; want %d, %d, %+v", seed, lones, a.Len(), a.Missing, a.Common(), b.Len(), b.Missing, b.Common())
			}
			equal(t, "Other", &a.Other, &b.Other)
			for i := range a.Len() {
				if a.Bytes(i) != b.Bytes(i) {
					t.Fatalf("conversation %d has %d octets, want %d", i, a.Bytes(i), b.Bytes(i))
				}
				equal(t, "conversation", a.Conversation(i), b.Conversation(i))
			}
		}
	}
}

// Keys of small records hash as all others do.
func TestHashLones(t *testing.T) {
	tab := New(Config{Conversations: 10})
	syns(t, 1, true, func(*flow.Record) {}, func(l *flow.Lone) {
		var key Key
		key.ofLone(l)
		tab.hashLones([]*flow.Lone{l})
		client, _ := l.Client()
		server, port := l.Server()
		want := Key{Network: l.Network(), Client: client, Server: server, Port: port, HasPort: true, Proto: packet.ProtoTCP}
		if h := want.Hash(&tab.summary.conversations.index); key != want || tab.ahead[0] != h {
			t.Fatalf("%+v has the hash %x; want %+v, %x", key, tab.ahead[0], want, h)
		}
	})
}
