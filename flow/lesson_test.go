package flow

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"mirrorscope/packet"
)

// someHost is one of a few hosts, of IPv4 or not, or nearly so.
func someHost(rng *rand.Rand) (a packet.Addr) {
	a = address(uint32(rng.IntN(20)) << 24)
	switch rng.IntN(12) {
	case 0:
		a[rng.IntN(12)] ^= 1
	case 1:
		binary.BigEndian.PutUint64(a[:], 0x2001_0db8_0000_0000)
	}
	return a
}

func somePair(rng *rand.Rand) pair {
	return pair{someHost(rng), someHost(rng), packet.PointID(rng.IntN(2)), packet.NetworkID(rng.IntN(2))}
}

// Pairs against a map.
func TestPairsModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var m pairs
	model := map[pair]pairSeen{}
	for i := range 60_000 {
		p, at := somePair(rng), pairSeen{int64(i), int64(rng.IntN(i + 1))}
		want, ok := model[p]
		switch s := m.of(p); {
		case (s != nil) != ok || ok && *s != want:
			t.Fatalf("step %d: %v has %v, want %v, %v", i, p, s, want, ok)
		case ok:
			*s = at
		default:
			if q, ok := p.four(); ok {
				m.four.add(q, at)
			} else {
				m.any.add(p, at)
			}
		}
		model[p] = at
		if q, ok := p.four(); ok && (pair{address(q.a), address(q.b), q.point, q.network} != p || m.four.likely(q.hash(&m.four.secret)) == nil) {
			t.Fatalf("step %d: %v is in short %v, or nothing is likely for it", i, p, q)
		}
		if rng.IntN(4000) == 0 {
			old := int64(i - rng.IntN(8000))
			keep := func(s pairSeen) bool { return s.both >= old }
			m.sweep(keep)
			for p, s := range model {
				if !keep(s) {
					delete(model, p)
				}
			}
		}
		if m.len() != len(model) {
			t.Fatalf("step %d: %d known, want %d", i, m.len(), len(model))
		}
	}
	if m.four.entries.Len() == 0 || m.any.entries.Len() == 0 {
		t.Errorf("%d of IPv4, and %d others", m.four.entries.Len(), m.any.entries.Len())
	}
}

// What is learned of lessons, against maps that take them one after the other, where
// there is room for some.
func TestLessonsModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for most := 1; most < 2000; most = most*3/2 + 1 {
		l := NewLearned(Config{})
		l.most = most
		listeners, known, forgotten := map[endpoint]int64{}, map[pair]pairSeen{}, uint64(0)
		var told lessons
		for now := range int64(20) {
			for range rng.IntN(200) {
				x := lesson{pair: somePair(rng), says: saying(1 + rng.IntN(7)), proto: uint8(rng.IntN(2)), port: uint16(rng.IntN(3))}
				if x.says&listensA == 0 && rng.IntN(2) == 0 {
					x.says |= listensB
				}
				told.add(&x)
				e := endpoint{addr: x.a, port: x.port, network: x.network, proto: x.proto}
				if x.says&listensB != 0 {
					e.addr = x.b
				}
				if _, ok := listeners[e]; x.says&(listensA|listensB) != 0 {
					if ok || len(listeners) < most {
						listeners[e] = now
					} else {
						forgotten++
					}
				}
				if s, ok := known[x.pair]; x.says&(seenBoth|seenOneSided) != 0 {
					if x.says&seenOneSided != 0 {
						s.oneSided = now
					} else {
						s.both = now
					}
					if ok || len(known) < most {
						known[x.pair] = s
					} else {
						forgotten++
					}
				}
			}
			l.learn(&told, now)
			told.empty()
			if told.len() != 0 || told.any.Len() != 0 {
				t.Fatalf("%d lessons are left, %d long ones", told.len(), told.any.Len())
			}
		}
		if l.Forgotten != forgotten || l.pairs.len() != len(known) || l.listeners.len() != len(listeners) || int(l.version) != len(listeners) {
			t.Fatalf("most %d: %d pairs, %d listeners, %d forgotten; want %d, %d, %d", most, l.pairs.len(), l.listeners.len(), l.Forgotten, len(known), len(listeners), forgotten)
		}
		for e, at := range listeners {
			if got := l.listeners.of(e); got == nil || *got != at {
				t.Fatalf("most %d: %v has %v, want %d", most, e, got, at)
			}
		}
		for p, s := range known {
			if got := l.pairs.of(p); got == nil || *got != s {
				t.Fatalf("most %d: %v has %v, want %v", most, p, got, s)
			}
		}
	}
}
