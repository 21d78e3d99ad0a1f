package flow

import (
	"math/rand/v2"
	"testing"
	"time"

	"mirrorscope/packet"
)

// The index against a map.
func TestIndexModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x index
	slab := newSlab()
	flows := &slab
	model := map[Key]uint32{}
	for range 200_000 {
		k := Key{PortA: uint16(rng.IntN(3000)), Proto: 6, Point: packet.PointID(rng.IntN(2))}
		h := uint64(k.PortA%97) * 0x9e3779b97f4a7c15 // collides on purpose
		n, ok := x.find(h, &k, flows)
		want, wantOK := model[k]
		if ok != wantOK || ok && n != want {
			t.Fatalf("find %v: %d %v, want %d %v", k, n, ok, want, wantOK)
		}
		switch {
		case ok && rng.IntN(2) == 0:
			x.remove(h, n)
			flows.put(n)
			delete(model, k)
		case !ok:
			n := flows.get()
			*flows.at(n) = Flow{key: k}
			x.insert(h, n)
			model[k] = n
		}
		if x.used != len(model) {
			t.Fatalf("%d used, want %d", x.used, len(model))
		}
	}
}

// The wheel against a search through all: what is due leaves, and nothing
// else, over steps of a second, of minutes and of days.
func TestWheelModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, timeout := range []int64{2e9, 30e9, 900e9, 7200e9} {
		w := &wheel{timeout: timeout}
		slab := newSlab()
		flows := &slab
		live := map[uint32]bool{}
		now := int64(sceneStart)
		for range 4000 {
			switch rng.IntN(10) {
			case 0:
				now += rng.Int64N(3 * timeout)
			default:
				now += rng.Int64N(2e9)
			}
			for {
				n := w.earliest(now/1e9, flows)
				if n == noFlow {
					break
				}
				if due := w.due(flows.seen(n)); due > now/1e9*1e9 {
					t.Fatalf("a flow due at %d left at %d", due, now)
				}
				w.remove(n, flows)
				flows.put(n)
				delete(live, n)
			}
			for n := range live {
				if w.due(flows.seen(n)) <= now/1e9*1e9 {
					t.Fatalf("a flow due at %d is still there at %d", w.due(flows.seen(n)), now)
				}
			}
			for n := range live { // any one flow is active
				flows.at(n).seen = now
				break
			}
			n := flows.get()
			*flows.at(n) = Flow{seen: now}
			w.add(n, flows)
			live[n] = true
			if w.n != len(live) {
				t.Fatalf("%d in the wheel, want %d", w.n, len(live))
			}
		}
	}
}

// Volumes of random traffic against a map of sums.
func TestVolumeModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	s := newScene(t, func(c *Config) { c.Interval = 10 * time.Second })
	type side struct {
		addr string
		port uint16
	}
	want := map[side]Volume{}
	for i := range 20_000 {
		s.at(time.Duration(i) * 7 * time.Millisecond)
		from, to := host{"10.0.0.7", uint16(40000 + rng.IntN(50))}, host{"10.0.0.9", 8125}
		if rng.IntN(3) == 0 {
			from, to = to, from
		}
		p := s.udp(from, to, "xxxxxxxxxxxxxxxx"[:rng.IntN(16)])
		s.add(p)
		k := side{from.addr, max(from.port, to.port)}
		v := want[k]
		want[k] = Volume{v.Packets + 1, v.Bytes + int64(p.IPLen), v.PayloadBytes + int64(p.PayloadLen)}
	}
	s.end()
	for _, kind := range []Kind{Connection, Interval} {
		got := map[side]Volume{}
		for _, r := range s.recs {
			if r.Kind != kind {
				continue
			}
			for _, x := range []Side{Client, Server} {
				k := side{r.Ends[x].Addr.IP().String(), r.Ends[Client].Port}
				v := got[k]
				got[k] = Volume{v.Packets + r.Sent[x].Packets, v.Bytes + r.Sent[x].Bytes, v.PayloadBytes + r.Sent[x].PayloadBytes}
			}
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("kind %d, %v: %+v, want %+v", kind, k, got[k], v)
			}
		}
	}
}

// Counters of a flow against wide ones, at their ends and with any lengths; and
// once large, they do not look small.
func TestCountModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	table := newScene(t, nil).table
	for range 2000 {
		var f Flow
		f.sent[1] = volume{rng.Uint32(), rng.Uint32(), rng.Uint32()}
		large := f.sent[1].packets >= 1<<30
		f.rsts[1] = uint8(rng.Uint32())
		v := &f.sent[1]
		want := Volume{int64(v.packets), int64(v.bytes), int64(v.payload)}
		rsts := int64(f.rsts[1])
		for range 300 {
			p := packet.Packet{IPLen: rng.Uint32() >> rng.IntN(32), PayloadLen: rng.Uint32() >> rng.IntN(32)}
			if rng.IntN(20) == 0 {
				v.packets, want.Packets = 1<<32-1, want.Packets+int64(1<<32-1-v.packets)
				large = true
			}
			table.count(&f, 1, &p)
			table.count8(&f, &f.rsts[1], func(r *rare) *uint32 { return &r.rsts[1] })
			want.Packets++
			want.Bytes += int64(p.IPLen)
			want.PayloadBytes += int64(p.PayloadLen)
			rsts++
			if got := f.volume(Server, table.rareIf(&f)); got != want {
				t.Fatalf("%+v, want %+v", got, want)
			}
			if got := int64(f.rsts[1]) + int64(table.rareIf(&f).rsts[1]); got != rsts {
				t.Fatalf("%d resets, want %d", got, rsts)
			}
			if large && v.packets < 1<<30 {
				t.Fatalf("%d packets look like %d", want.Packets, v.packets)
			}
		}
		if f.rare != 0 {
			table.rare.Put(f.rare)
		}
	}
	if none != (rare{}) {
		t.Error("the rare state of flows that have none was written")
	}
}
