package flow

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"mirrorscope/packet"
)

// Seeds against a list, while they come, go one by one, are put together, and end in
// order; over the place where the numbers of rows begin anew, and with more time between
// them than a row can tell.
func TestSeedsModel(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 7))
		slow := seed%2 == 1
		s := newScene(t, func(c *Config) {
			if slow {
				c.SYNTimeout = 1 << 23 * time.Second
			}
		})
		x := &s.table.flows.seeds
		x.tail, x.head = 2*mostRows-5, 2*mostRows-5
		type one struct {
			key  Key
			time int64
		}
		var model []one
		find := func(i int) uint32 {
			n, ok := s.table.index.find(s.table.secret.hash(&model[i].key), &model[i].key, &s.table.flows)
			if !ok || !seedling(n) || s.table.flows.seen(n) != model[i].time {
				t.Fatalf("seed %d: %d is %x, %v", seed, i, n, ok)
			}
			return n
		}
		closed, ended := 0, 0
		for i := range uint32(20_000) {
			if s.now += 1 + rng.Int64N(2e6); slow && rng.IntN(100) == 0 {
				s.now += rng.Int64N(2 << rowBits)
			}
			p := s.tcp(cli, srv, "S", i, 0, "")
			binary.BigEndian.PutUint32(p.Src[12:], i)
			p.Path = packet.PathID(rng.IntN(3))
			before := x.head
			live := len(model)
			s.add(p) // may end some
			for len(model) > 0 && len(model)+1 > x.live {
				model = model[1:]
				ended++
			}
			if rows := x.head - before; rows > 1 && live > 0 {
				closed++
			}
			key, _ := keyOf(&p)
			model = append(model, one{key, s.now})
			for left := rng.IntN(4); left > 0 && len(model) > 20+int(i)/20; left-- {
				k := rng.IntN(len(model)) // most of them leave, the others keep their rows
				s.table.finish(find(k), s.now, EndForced)
				model = append(model[:k:k], model[k+1:]...)
			}
			if i%97 != 0 || len(model) == 0 {
				continue
			}
			if x.live != len(model) || !slow && int(x.head-x.tail) > 2*len(model)/rowLen+4 {
				t.Fatalf("seed %d: %d live in %d rows, want %d", seed, x.live, x.head-x.tail, len(model))
			}
			held := 0
			for r := x.tail; r != x.head; r++ {
				if x.row(r).seeds != nil {
					held++
				}
			}
			if held != x.held {
				t.Fatalf("seed %d: %d rows held, want %d", seed, x.held, held)
			}
			if first := x.first(); first != find(0) {
				t.Fatalf("seed %d: the first is %x, want %x", seed, first, find(0))
			}
			k := rng.IntN(len(model))
			find(k)
			if got := x.seen(x.nth(k)); got != model[k].time {
				t.Fatalf("seed %d: number %d came at %d, want %d", seed, k, got, model[k].time)
			}
			if got := x.until(model[k].time); got != k+1 {
				t.Fatalf("seed %d: %d came by then, want %d", seed, got, k+1)
			}
			if got := x.until(model[k].time - 1); got != k {
				t.Fatalf("seed %d: %d came before, want %d", seed, got, k)
			}
		}
		if !slow && closed == 0 || x.tail < 2*mostRows {
			t.Errorf("seed %d: put together %d times, first row %d", seed, closed, x.tail)
		}
		s.end()
		if x.live != 0 || x.held != 0 || x.tail != x.head || s.table.index.used != 0 {
			t.Errorf("seed %d: %d are left, %d rows", seed, x.live, x.held)
		}
	}
}

// What fits is the embryo that it would be, and nothing fits that does not fit there.
func TestSeedPacket(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	fits := 0
	for range 3000 {
		s := newScene(t, nil)
		p := s.tcp(cli, srv, "S", rng.Uint32(), 0, "")
		c := &p.TCP
		p.Payload, p.Time = nil, int64(rng.Uint64()>>1)
		p.Now = p.Time
		p.IPLen, p.Flags, c.Flags = uint32(rng.IntN(300)), packet.Flags(rng.IntN(1<<8)), c.Flags|uint16(rng.IntN(1<<9))&^(packet.ACK|packet.RST|packet.FIN)
		p.TOS, p.TTL, c.WScale, c.HeaderLen = uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.IntN(64))
		c.MSS, c.Window, p.IPID, c.TSval, c.Has = uint16(rng.Uint32()), uint16(rng.Uint32()), uint16(rng.Uint32()), rng.Uint32(), packet.TCPOptions(rng.IntN(16))
		p.Src[13], p.Dst[14], p.SrcPort = uint8(rng.Uint32()), uint8(rng.IntN(2)), uint16(rng.IntN(500))
		p.Point, p.Network, p.Path, p.Position = packet.PointID(rng.Uint32()), packet.NetworkID(rng.Uint32()), packet.PathID(rng.Uint32()), rng.Uint32()
		switch rng.IntN(30) {
		case 0:
			p.Now++
		case 1:
			p.Kind = 1
		case 2:
			p.Weight = 1
		case 3:
			c.TSecr = 1
		case 4:
			c.Ack = 1
		case 5:
			c.Has |= packet.HasFastOpen
		case 6:
			p.PayloadLen = 1
		}
		x := &s.table.flows.seeds
		s.table.now = p.Now
		key, _ := keyOf(&p)
		h := s.table.secret.hash(&key)
		var want embryo
		fit := conceives(&p)
		if fit {
			want.set(&p)
		}
		if !s.table.sow(&p, h, 0) {
			if fit && p.Time == p.Now && p.Time < 1<<62 {
				t.Fatalf("%+v does not fit", p)
			}
			continue
		}
		if !fit {
			t.Fatalf("%+v fits", p)
		}
		fits++
		n := x.first()
		var got embryo
		if x.embryo(n, &got); got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
		var l, m Lone
		x.lone(x.at(n), x.seen(n), &l)
		if want.lone(&m); l != m || l.key() != key {
			t.Fatalf("%+v, want %+v", l, m)
		}
		if x.hash(x.at(n), s.table.secret) != h || x.key(x.at(n)) != key {
			t.Fatalf("key %+v, hash %x, want %+v, %x", x.key(x.at(n)), x.hash(x.at(n), s.table.secret), key, h)
		}
		var b Batch
		p.SetWords()
		b.packets = []*packet.Packet{&p}
		var tables [Partitions]*Table
		tables[Partition(p.Hash)] = s.table
		b.look(&tables)
		if !x.is(x.at(n), &b.ahead[0].four) {
			t.Fatalf("%+v is not that of %+v", *x.at(n), p)
		}
		if found, ok := s.table.index.find(h, &key, &s.table.flows); !ok || found != n {
			t.Fatalf("found %x, %v, want %x", found, ok, n)
		}
	}
	if fits < 50 {
		t.Errorf("%d of 3000 fit", fits)
	}
}

// More places than are told apart are kept as embryos.
func TestSeedPlaces(t *testing.T) {
	s := newScene(t, nil)
	for i := range 2 * mostForms {
		p := s.tcp(cli, host{srv.addr, uint16(i)}, "S", 1, 0, "")
		p.Path = packet.PathID(i)
		s.now += 1000
		s.add(p)
	}
	x := &s.table.flows
	if x.seeds.live != mostForms || x.embryos.live != mostForms {
		t.Errorf("%d seeds and %d embryos", x.seeds.live, x.embryos.live)
	}
	paths := map[packet.PathID]bool{}
	for _, r := range s.end() {
		paths[r.Path] = true
	}
	if len(paths) != 2*mostForms {
		t.Errorf("%d paths, want %d", len(paths), 2*mostForms)
	}
	s.now += 1e9
	p := s.tcp(cli, srv, "S", 1, 0, "")
	p.Path = 1 << 20
	if s.add(p); x.seeds.live != 1 || len(x.seeds.forms) != 1 {
		t.Errorf("%d seeds, %d places, once all have gone", x.seeds.live, len(x.seeds.forms))
	}
	if reflect.TypeFor[seed]().Size() != 32 {
		t.Error("a seed has another size")
	}
}

// A row all of whose seeds have gone, and that is the last one, is for the next seed,
// however late that comes.
func TestSeedsEmptyRow(t *testing.T) {
	s := newScene(t, func(c *Config) { c.SYNTimeout = 1 << 23 * time.Second })
	x := &s.table.flows.seeds
	sow := func(i int) uint32 {
		p := s.tcp(cli, host{srv.addr, uint16(i)}, "S", 1, 0, "")
		s.add(p)
		key, _ := keyOf(&p)
		n, ok := s.table.index.find(s.table.secret.hash(&key), &key, &s.table.flows)
		if !ok || !seedling(n) || x.seen(n) != s.now {
			t.Fatalf("seed %d is %x, %v", i, n, ok)
		}
		s.now += 1000
		return n
	}
	last := uint32(0)
	for i := range rowLen + 1 {
		last = sow(i + 1)
	}
	s.table.finish(last, s.now, EndForced)
	s.now += 3 << rowBits
	sow(rowLen + 2)
	if x.held != 2 || x.live != rowLen+1 {
		t.Errorf("%d seeds in %d rows", x.live, x.held)
	}
}

// A form is that of a packet, by all that it has.
func TestFormHas(t *testing.T) {
	s := newScene(t, nil)
	p := s.tcp(cli, srv, "S", 1, 0, "")
	w := formOf(&p)
	for name, change := range map[string]func(p *packet.Packet){
		"nothing": func(*packet.Packet) {},
		"what each has of its own": func(p *packet.Packet) {
			p.TCP.Seq, p.TCP.TSval, p.TCP.Window, p.IPID, p.TTL, p.SrcPort = p.TCP.Seq+1, p.TCP.TSval+1, p.TCP.Window+1, p.IPID+1, p.TTL+1, p.SrcPort+1
		},
		"point":    func(p *packet.Packet) { p.Point++ },
		"network":  func(p *packet.Packet) { p.Network++ },
		"path":     func(p *packet.Packet) { p.Path++ },
		"position": func(p *packet.Packet) { p.Position++ },
		"flags":    func(p *packet.Packet) { p.Flags ^= packet.OuterSwapped },
		"MSS":      func(p *packet.Packet) { p.TCP.MSS++ },
		"TCP flag": func(p *packet.Packet) { p.TCP.Flags ^= packet.ECE },
		"options":  func(p *packet.Packet) { p.TCP.Has ^= packet.HasTimestamps },
		"length":   func(p *packet.Packet) { p.IPLen++ },
		"scale":    func(p *packet.Packet) { p.TCP.WScale++ },
		"TOS":      func(p *packet.Packet) { p.TOS++ },
		"header":   func(p *packet.Packet) { p.TCP.HeaderLen += 4 },
	} {
		q := p
		change(&q)
		if got, want := w.has(&q), formOf(&q) == w; got != want {
			t.Errorf("%s: has %v, want %v", name, got, want)
		}
		if same := name == "nothing" || name == "what each has of its own"; same != (formOf(&q) == w) {
			t.Errorf("%s: like the form: %v", name, !same)
		}
	}
}
