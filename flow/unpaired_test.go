package flow

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"mirrorscope/packet"
)

// notebook is a Watcher that keeps all that it is told, by record.
type notebook struct {
	live  map[uint32][]note
	known map[uint64]int // flows by tuple
	told  map[Place][]note
	late  int
}

type note struct {
	time, now           int64
	tuple               uint64
	seq, ack            uint32
	tsval, tsecr        uint32
	payload             uint32
	flags, window, ipid uint16
	ttl                 uint8
	dir                 int
}

func newNotebook() *notebook {
	return &notebook{live: map[uint32][]note{}, known: map[uint64]int{}, told: map[Place][]note{}}
}

func (w *notebook) Packet(n uint32, p *packet.Packet, dir int) {
	if asleep(n) {
		panic("a packet of what is no flow")
	}
	if len(w.live[n]) == 0 {
		w.known[p.Hash]++
	}
	c := &p.TCP
	w.live[n] = append(w.live[n], note{p.Time, p.Now, p.Hash, c.Seq, c.Ack, c.TSval, c.TSecr, p.PayloadLen, c.Flags, c.Window, p.IPID, p.TTL, dir})
}

func (w *notebook) Late(n uint32, p *packet.Packet, dir int, now int64) {
	if p.Now > now {
		panic("late, and yet to come")
	}
	w.late++
	w.Packet(n, p, dir)
}

func (w *notebook) Told() {}

func (w *notebook) Watches(tuple uint64) bool { return w.known[tuple] > 0 }

func (w *notebook) End(n uint32, r *Record) {
	notes := w.live[n]
	delete(w.live, n)
	place := r.Place()
	place.serial = 0
	w.told[place] = append(w.told[place], notes...)
	if len(notes) > 0 {
		w.known[notes[0].tuple]--
	}
}

func (w *notebook) Drain(int64) {}

// severalPoints has a second point record some of the connections of a script, a
// while later, perhaps not from the beginning, and not all packets.
func severalPoints(t *testing.T, seed uint64) []packet.Packet {
	var all []packet.Packet
	s := newScene(t, nil)
	b := &beginnings{scene: s, rng: rand.New(rand.NewPCG(seed, 7))}
	seen, from := map[uint64]int{}, map[uint64]int{}
	rng := rand.New(rand.NewPCG(seed, 8))
	b.heard = func(p packet.Packet) {
		all = append(all, p)
		if _, ok := from[p.Hash]; !ok {
			from[p.Hash] = []int{0, 0, 3, 1 << 30, 1 << 30}[rng.IntN(5)]
		}
		if seen[p.Hash]++; seen[p.Hash] > from[p.Hash] && rng.IntN(20) > 0 {
			p.Point, p.Position, p.TTL = 2, p.Position+1000, p.TTL-3
			p.Time += rng.Int64N(40e6)
			all = append(all, p)
		}
	}
	for range 3000 {
		b.play()
	}
	slices.SortStableFunc(all, func(a, b packet.Packet) int { return cmp.Compare(a.Time, b.Time) })
	return all
}

// A Watcher is told of all packets of every flow that has met another of its
// 5-tuple, and of no packet of the others that stayed young; records do not depend
// on it.
func TestUnpaired(t *testing.T) {
	late, silent := 0, 0
	for seed := range uint64(12) {
		packets := severalPoints(t, seed)
		play := func(w *notebook, set func(*Table)) *scene {
			s := newScene(t, nil)
			s.table.Watch(w)
			set(s.table)
			for _, p := range packets {
				s.put(p)
			}
			s.end()
			return s
		}
		some, all := newNotebook(), newNotebook()
		got, want := play(some, func(*Table) {}), play(all, func(t *Table) { t.fullGrown = true })
		compareScenes(t, "watched", seed, got, want)
		if u := got.table.unpaired.used; u != 0 {
			t.Fatalf("seed %d: %d unpaired flows are left", seed, u)
		}
		for place, notes := range some.told {
			if len(notes) > 0 && len(all.told[place]) == 0 {
				t.Fatalf("seed %d: told of %+v", seed, place)
			}
		}
		for place, notes := range all.told {
			if !slices.Equal(some.told[place], notes) {
				if len(some.told[place]) > 0 {
					t.Fatalf("seed %d: told %d packets of %+v, want %d", seed, len(some.told[place]), place, len(notes))
				}
				silent++
				first, last := notes[0], notes[len(notes)-1]
				for other, their := range all.told {
					// What begins later than the last packet may find the flow gone.
					if other != place && their[0].tuple == first.tuple && their[0].now <= last.now && their[len(their)-1].now >= first.now {
						t.Fatalf("seed %d: not told of %+v, while there was %+v", seed, place, other)
					}
				}
			}
		}
		late += some.late
	}
	if late < 100 || silent < 100 {
		t.Errorf("%d packets told late, %d flows not at all: it proves little", late, silent)
	}
}

// When the watch ends, what was unpaired is so no more, even if it begins again.
func TestUnpairedEnds(t *testing.T) {
	s, w := newScene(t, nil), newNotebook()
	s.table.Watch(w)
	s.open(0, cli, srv, 1000, 5000)
	if s.table.unpaired.used != 1 {
		t.Fatalf("%d unpaired flows", s.table.unpaired.used)
	}
	s.table.Watch(nil)
	s.table.Watch(w)
	if s.table.unpaired.used != 0 {
		t.Fatalf("%d unpaired flows", s.table.unpaired.used)
	}
	s.add(s.tcp(cli, srv, "A", 1001, 5001, "hello"))
	if r := s.one(); r.Sent[Client].Packets != 3 || w.late != 0 || len(w.told) != 1 {
		t.Errorf("%d packets, %d told late, %d records", r.Sent[Client].Packets, w.late, len(w.told))
	}
}
