package flow

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// beginnings plays connections that begin as the books say, each up to where
// something else happens, now and then: of many packets at once, and of the clock.
// rng also says when flows are evicted.
type beginnings struct {
	*scene
	rng   *rand.Rand
	conns [12]beginning
	check bool
	calm  bool // little goes wrong, and connections are of all kinds
	slow  bool // much time goes by
}

type beginning struct {
	ends  [2]host
	next  [2]uint32
	acked [2]uint32 // by the other side
	ipid  [2]uint16
	fin   [2]bool
	wins  [2]uint16
	stamp [2]uint32
	has   packet.TCPOptions
	step  int
	dear  bool // all goes well
}

func playBeginnings(t testing.TB, seed uint64, n int, change func(*Config), set func(*Table), check bool) *scene {
	b := &beginnings{scene: newScene(t, change), rng: rand.New(rand.NewPCG(seed, 7)), check: check}
	set(b.table)
	for range n {
		b.play()
	}
	return b.scene
}

// chance is true one time in n.
func (b *beginnings) chance(n int) bool { return b.rng.IntN(n) == 0 }

func (b *beginnings) play() {
	rng := b.rng
	often := 80
	if b.calm {
		often = 1000
	}
	switch rng.IntN(often) {
	case 0:
		b.now += rng.Int64N(1000e9)
	case 1, 2:
		b.now += rng.Int64N(6e9)
	default:
		b.now += rng.Int64N(30e6)
	}
	conns := b.conns[:]
	if b.slow {
		if conns = conns[:2]; b.chance(2) {
			b.now += rng.Int64N(1500e6)
		}
	}
	c := &conns[rng.IntN(len(conns))]
	if c.step == 0 || !b.calm && b.chance(60) || c.fin[0] && c.fin[1] && b.chance(3) {
		*c = beginning{ends: [2]host{{"10.0.0.7", uint16(40000 + rng.IntN(30))}, {"10.0.0.9", []uint16{443, 53, 9999}[rng.IntN(3)]}}, dear: rng.IntN(3) > 0}
		if b.chance(2) {
			c.ends[0].addr, c.ends[1].addr = c.ends[1].addr, c.ends[0].addr // the other order of the key
		}
		if b.chance(50) {
			c.ends[1] = c.ends[0]
		}
		c.next = [2]uint32{rng.Uint32(), rng.Uint32()}
		if b.chance(4) {
			c.next[rng.IntN(2)] = -uint32(rng.IntN(3000))
		}
		c.wins = [2]uint16{uint16(rng.Uint32()) | 1, uint16(rng.Uint32()) | 1}
		c.stamp = [2]uint32{rng.Uint32(), rng.Uint32()}
		c.ipid = [2]uint16{uint16(rng.Uint32()), uint16(rng.Uint32())}
		c.has = packet.HasMSS | packet.HasWScale | packet.HasSACKPermitted&packet.TCPOptions(rng.IntN(256))
		if b.chance(2) {
			c.has |= packet.HasTimestamps
		}
		if b.calm {
			c.vary(rng)
			c.ends[0].port, c.ends[1].port = uint16(30000+rng.IntN(30000)), []uint16{443, 9999}[rng.IntN(2)]
		}
	}
	side := rng.IntN(2)
	if c.step < 3 {
		side = c.step & 1
	}
	p := b.next(c, side)
	if !c.dear && b.chance(12) {
		b.spoil(c, &p)
	}
	p.Time = b.now
	if !c.dear && b.chance(60) {
		p.Time -= rng.Int64N(3e9)
	}
	b.put(p)
	if b.chance(60) && !c.dear {
		p.Position, p.TTL = p.Position+uint32(rng.IntN(2)), p.TTL-uint8(rng.IntN(2))
		b.put(p) // a copy
	}
	what := rng.IntN(150)
	if b.calm && what > 2 && !b.chance(10) {
		return
	}
	switch what {
	case 0, 1, 2:
		b.collect()
	case 3:
		if b.table.flows.all() > 0 {
			b.expel()
			b.take()
		}
	case 4:
		b.table.Lost(&p)
	case 5:
		e := packet.Packet{Time: b.now, Now: b.table.now, Src: packet.Addr{1}, Point: p.Point, Network: p.Network, Proto: packet.ProtoICMP, ICMPType: 3, ICMPCode: 1}
		b.table.Quote(&e, &packet.Quote{Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort, Proto: p.Proto, Seq: p.TCP.Seq, HasSeq: true})
	}
	if b.check {
		b.verify(&p)
	}
}

// vary gives a connection other options on each side, where that may be.
func (c *beginning) vary(rng *rand.Rand) {
	if rng.IntN(4) == 0 {
		c.has = c.has&^packet.HasWScale ^ packet.HasSACKPermitted
	}
	if rng.IntN(4) == 0 {
		c.has &^= packet.HasMSS
	}
	for i := range c.wins {
		c.wins[i] |= 1 << 15
	}
	c.dear = rng.IntN(20) > 0
}

var says = []string{"hello", "x", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", string(make([]byte, 1400)), string(make([]byte, 30000))}

// next is the next packet of a side, as it should be.
func (b *beginnings) next(c *beginning, side int) packet.Packet {
	rng, o := b.rng, 1-side
	flags, say := "A", ""
	switch {
	case c.step < 2:
		flags = [...]string{"S", "SA"}[c.step]
	case c.step == 2:
	default:
		if !c.fin[side] && rng.IntN(3) > 0 {
			say = says[max(rng.IntN(9)-3, 0)]
			if b.calm && c.step < 6 {
				say = says[rng.IntN(2)*4]
			}
		}
		if !c.fin[side] && c.step > 4 && b.chance(5) {
			flags, c.fin[side] = "FA", true
		}
	}
	c.step++
	if rng.IntN(4) > 0 {
		c.acked[o] = c.next[o]
	} else if left := int32(c.next[o] - c.acked[o]); left > 0 && c.step > 3 {
		c.acked[o] += uint32(rng.Int32N(left + 1))
		if b.calm && left > 1400 && b.chance(2) {
			c.acked[o] = c.next[o] - uint32(left)%1400 // whole segments
		}
	}
	if c.step <= 3 {
		c.acked[o] = c.next[o]
	}
	p := b.tcp(c.ends[side], c.ends[o], flags, c.next[side], c.acked[o], say)
	if flags == "S" {
		p.TCP.Ack = 0
		c.acked[0] = c.next[0]
	}
	c.next[side] += p.PayloadLen
	if flags != "A" {
		c.next[side]++
	}
	p.Position += uint32(side)
	p.TTL -= uint8(7 * side)
	if c.ipid[side]++; !b.calm || b.chance(60) {
		c.ipid[side] += uint16(rng.IntN(8) / 7)
	}
	p.IPID = c.ipid[side]
	if b.chance(3) {
		if c.wins[side] = uint16(rng.Uint32()) | 1; b.calm && !b.chance(10) {
			c.wins[side] |= 1 << 15
		}
	}
	t := &p.TCP
	t.Window = c.wins[side]
	if t.Has = c.has; c.step > 2 {
		t.Has &= packet.HasTimestamps
	}
	if t.Has&packet.HasMSS != 0 {
		if t.MSS, t.WScale = 1460, 7; b.calm {
			t.MSS, t.WScale = 1500-p.IPID%900, uint8(p.IPID%20)
		}
		t.HeaderLen += 8
	}
	if t.Has&packet.HasTimestamps != 0 {
		t.HeaderLen += 12
		c.stamp[side] += uint32(rng.IntN(2000))
		if b.chance(10) {
			c.stamp[side] += rng.Uint32() >> 14
		}
		if t.TSval, t.TSecr = c.stamp[side], c.stamp[o]; flags == "S" {
			t.TSecr = 0
		}
		if c.step > 2 && b.chance(6) {
			t.TSecr -= uint32(rng.IntN(100))
		}
	}
	p.IPLen = 20 + uint32(t.HeaderLen) + p.PayloadLen
	return p
}

// spoil makes a packet one that is not as it should be.
func (b *beginnings) spoil(c *beginning, p *packet.Packet) {
	rng := b.rng
	switch rng.IntN(20) {
	case 0:
		p.TCP.Seq -= uint32(rng.IntN(2000))
	case 1:
		p.TCP.Seq += uint32(rng.IntN(2000))
	case 2:
		p.TCP.Ack -= uint32(rng.IntN(2000))
	case 3:
		p.TCP.Ack += uint32(rng.IntN(2000))
	case 4:
		p.TCP.Flags |= packet.RST
	case 5:
		p.TCP.Flags ^= packet.SYN
	case 6:
		p.TCP.Flags &^= packet.ACK
	case 7:
		p.TCP.Flags |= packet.URG | packet.ECE
	case 8:
		p.TCP.Window = 0
	case 9:
		p.TOS = uint8(rng.IntN(4))
	case 10:
		p.Flags |= packet.Truncated
		p.Payload = p.Payload[:len(p.Payload)/2]
	case 11:
		p.Flags |= packet.Flags(1 << rng.IntN(10))
	case 12:
		p.TCP.Has ^= packet.HasTimestamps
	case 13:
		p.TCP.Has |= packet.HasSACK
		p.TCP.NumSACK, p.TCP.SACK[0] = 1, packet.SACK{Left: c.next[0], Right: c.next[0] + 100}
	case 14:
		p.IPID = uint16(rng.Uint32())
	case 15:
		p.TTL--
	case 16:
		p.Position++
	case 17:
		p.Version = 6
	case 18:
		p.IPLen += 4
	case 19:
		p.TCP.TSval -= uint32(rng.IntN(200))
	}
}

// expel has a flow leave for lack of room: a half-open one if there is any, the one
// that was silent for longest. It does not depend on what flows are kept as.
func (b *beginnings) expel() {
	t, victim := b.table, noFlow
	var least Key
	open := func(n uint32) int {
		if t.flows.class(n) == halfOpen {
			return 0
		}
		return 1
	}
	for _, slot := range t.index.slots {
		if slot == 0 {
			continue
		}
		var scratch Key
		n := uint32(slot&numberMask) - 1
		key := *t.flows.key(n, &scratch)
		if victim == noFlow || cmp.Or(cmp.Compare(open(n), open(victim)), cmp.Compare(t.flows.seen(n), t.flows.seen(victim)), key.compare(&least)) < 0 {
			victim, least = n, key
		}
	}
	t.end(victim, t.now, EndLackOfResources)
}

// verify compares what is asked of a young flow with the flow itself.
func (b *beginnings) verify(p *packet.Packet) {
	t := b.table
	key, _ := keyOf(p)
	n, ok := t.index.find(t.secret.hash(&key), &key, &t.flows)
	if !ok || n&isEmbryo == 0 {
		return
	}
	var f Flow
	var scratch embryo
	e := t.embryo(n, &scratch)
	before := *e
	t.relive(e, &f)
	if f.key != key || f.seen != t.flows.seen(n) || f.start != t.flows.start(n) || f.classOf() != t.flows.class(n) || f.class != f.classOf() || *e != before {
		b.t.Fatalf("%+v is %v %v, seen %d, want %v, %d", f, f.key, t.flows.class(n), t.flows.seen(n), f.classOf(), f.seen)
	}
	t.decide(&f)
	t.tcp.Release(&f.tcp)
	t.sessions.Release(f.session)
	if f.rare != 0 {
		t.rare.Put(f.rare)
	}
}

func compareScenes(t *testing.T, what string, seed uint64, got, want *scene) {
	t.Helper()
	for _, s := range []*scene{got, want} {
		for i := range s.recs {
			var same tcp.Samples // but for what lies behind them
			for k := range s.recs[i].Samples.Len() {
				same.Add(s.recs[i].Samples.At(k))
			}
			s.recs[i].Samples = same
			s.recs[i].serial = 0 // that of an interval depends on when it is told
		}
	}
	if len(got.recs) != len(want.recs) {
		for i := range min(len(got.recs), len(want.recs)) {
			if a, b := &got.recs[i], &want.recs[i]; !reflect.DeepEqual(a, b) {
				t.Errorf("record %d is\n%+v, want\n%+v", i, *a, *b)
				break
			}
		}
		t.Fatalf("%s, seed %d: %d records, want %d", what, seed, len(got.recs), len(want.recs))
	}
	for i := range want.recs {
		if !reflect.DeepEqual(got.recs[i], want.recs[i]) {
			t.Fatalf("%s, seed %d: record %d is\n%+v, want\n%+v", what, seed, i, got.recs[i], want.recs[i])
		}
	}
	if a, b := got.learned, want.learned; !reflect.DeepEqual(points(a), points(b)) || !slices.Equal(a.listeners.four.entries.Items(), b.listeners.four.entries.Items()) || !slices.Equal(a.listeners.any.entries.Items(), b.listeners.any.entries.Items()) || !slices.Equal(a.pairs.four.entries.Items(), b.pairs.four.entries.Items()) || !slices.Equal(a.pairs.any.entries.Items(), b.pairs.any.entries.Items()) ||
		a.Forgotten != b.Forgotten {
		t.Fatalf("%s, seed %d: learned %+v, want %+v", what, seed, points(a), points(b))
	}
	a, b := got.table.Counts(), want.table.Counts()
	a.Octets, a.Fill, b.Octets, b.Fill = 0, 0, 0, 0
	if a != b {
		t.Fatalf("%s, seed %d: counts %+v, want %+v", what, seed, a, b)
	}
	x := &got.table.flows
	if x.all() != 0 || x.youths.Octets() != 0 || x.quiet != 0 || got.table.index.used != 0 || got.table.held() != 0 {
		t.Fatalf("%s, seed %d: %d flows are left, %d octets of youths, %d are quiet, %d in the index, %d octets", what, seed, x.all(), x.youths.Octets(), x.quiet, got.table.index.used, got.table.held())
	}
}

func points(l *Learned) []PointCapture {
	p := l.Points()
	slices.SortFunc(p, func(a, b PointCapture) int { return cmp.Compare(a.ID, b.ID) })
	return p
}

// Records, and what is learned, are the same whether flows are young or not,
// whatever befalls them.
func TestYoungAlike(t *testing.T) {
	for seed := range uint64(20) {
		for name, play := range map[string]func(set func(*Table), check bool) *scene{
			"beginnings": func(set func(*Table), check bool) *scene { return playBeginnings(t, seed, 3000, nil, set, check) },
			"intervals": func(set func(*Table), _ bool) *scene {
				return playBeginnings(t, seed, 500, func(c *Config) { c.Interval = 10 * time.Second }, set, false)
			},
			"conversations": func(set func(*Table), _ bool) *scene { return conversations(t, seed, 1500, nil, set) },
			"lives":         func(set func(*Table), _ bool) *scene { return lives(t, seed, 1500, nil, set) },
			"openings":      func(set func(*Table), _ bool) *scene { return openings(t, seed, 500, nil, set) },
		} {
			if seed >= 6 && name != "beginnings" {
				continue
			}
			old := play(func(t *Table) { t.fullGrown = true }, false)
			old.end()
			for how, set := range map[string]func(*Table){
				"young":   func(*Table) {},
				"ageless": func(t *Table) { t.ageless = true },
				"slow":    func(t *Table) { t.unhurried = true },
				"rest":    func(t *Table) { t.bed.always = true },
			} {
				s := play(set, how == "young")
				s.end()
				compareScenes(t, name+", "+how, seed, s, old)
			}
		}
	}
}

// One that is watched from some moment on is told of by number, and what it was
// before counts.
func TestYoungWatched(t *testing.T) {
	for _, silent := range []bool{false, true} {
		s := newScene(t, nil)
		s.open(0, cli, srv, 1000, 5000)
		if s.table.flows.youths.Octets() != 104 {
			t.Fatal("it is not young")
		}
		w := &watched{ends: map[uint32]int{}}
		s.table.Watch(w)
		if !silent {
			s.at(time.Second).add(s.tcp(cli, srv, "A", 1001, 5001, "hello"))
		}
		r := s.one()
		want := 0
		if !silent {
			want = 1
		}
		if w.packets != want || len(w.ends) != 1 || r.Sent[Client].Packets != int64(2+want) || r.Sent[Server].Packets != 1 {
			t.Errorf("silent %v: %d packets told, ends %v, record of %+v", silent, w.packets, w.ends, r.Sent)
		}
		for n := range w.ends {
			if asleep(n) {
				t.Errorf("end of flow %d", n)
			}
		}
	}
}

type watched struct {
	packets int
	ends    map[uint32]int
}

func (w *watched) Packet(uint32, *packet.Packet, int) { w.packets++ }
func (w *watched) End(n uint32, _ *Record)            { w.ends[n]++ }
func (w *watched) Watches(uint64) bool                { return false }
func (w *watched) Drain(int64)                        {}

func (w *watched) Late(uint32, *packet.Packet, int, int64) { w.packets++ }
func (w *watched) Told()                                   {}

// bookish plays the packets of one whole connection, so many of its first ones.
func bookish(s *scene, i uint32, n int, take func(packet.Packet)) {
	seq, stamp := [2]uint32{i * 7919, i * 104729}, [2]uint32{}
	for step := range n {
		x := &script[step]
		p := s.tcp(cli, srv, "", seq[0], seq[1], "")
		binary.BigEndian.PutUint32(p.Src[12:], 11<<24+i)
		if x.dir == 1 {
			p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			p.TCP.Seq, p.TCP.Ack = seq[1], seq[0]
		}
		p.TCP.Flags, p.TCP.HeaderLen, p.TCP.Has = x.flags, 32, packet.HasTimestamps
		p.TCP.TSval, p.TCP.TSecr = uint32(step)+1, stamp[1-x.dir]
		stamp[x.dir] = p.TCP.TSval
		p.PayloadLen, p.Payload = x.n, make([]byte, x.n)
		if x.flags == packet.SYN {
			p.TCP.Ack = 0
		}
		p.IPLen, p.IPID = 52+x.n, uint16(step)
		if seq[x.dir] += x.n; x.flags&(packet.SYN|packet.FIN) != 0 {
			seq[x.dir]++
		}
		take(p)
	}
}

// What is open, and has said little, takes 192 octets beside its places in wheel
// and index; what has closed in twelve packets takes four lines.
func TestYoungSize(t *testing.T) {
	for _, c := range []struct {
		packets int
		most    int64
	}{{1, 32}, {2, 192}, {6, 192}, {12, 224}} {
		s := newScene(t, nil)
		const n = 1000
		for i := range uint32(n) {
			bookish(s, i, c.packets, func(p packet.Packet) { s.now += 1000; s.add(p) })
		}
		x := &s.table.flows
		each := (int64(x.seeds.live)*32 + int64(x.embryos.live)*64 + x.youths.Octets()) / n
		t.Logf("%2d packets: %d octets", c.packets, each)
		if x.seeds.live+x.embryos.live != n || x.live != 0 || each > c.most {
			t.Errorf("%d packets: %d embryos and %d flows, %d octets each, want at most %d", c.packets, x.embryos.live, x.live, each, c.most)
		}
		if got := len(s.end()); got != n {
			t.Errorf("%d records, want %d", got, n)
		}
	}
}

// Packets of young flows allocate nothing once the pools have grown.
func TestYoungAllocations(t *testing.T) {
	s := newScene(t, nil)
	i := uint32(0)
	packets := []packet.Packet{}
	for range 40 {
		for range 50 {
			bookish(s, i, len(script), func(p packet.Packet) { packets = append(packets, p) })
			i++
		}
	}
	var p packet.Packet
	play := func() {
		for k := range 50 * len(script) {
			p = packets[k]
			s.now += 1000
			p.Time, p.Now = s.now, s.now
			s.table.Add(&p)
		}
		packets = packets[50*len(script):]
	}
	for range 19 {
		play()
	}
	if got := testing.AllocsPerRun(18, play); got > 1 { // the pools double
		t.Errorf("%v allocations in %d packets", got, 50*len(script))
	}
}

// Where memory is short, youths are evicted like others, and what they take stays
// within bounds.
func TestYoungTight(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Memory = minMemory })
	packets := int64(0)
	for i := range uint32(3000) {
		bookish(s, i, 3+int(i%10), func(p packet.Packet) {
			s.now += 1e6
			s.add(p)
			packets++
		})
		if s.table.full(-s.table.perFlow) {
			t.Fatal("more than there is room for")
		}
	}
	evicted := 0
	for _, r := range s.end() {
		packets -= r.Sent[0].Packets + r.Sent[1].Packets
		if r.EndReason == EndLackOfResources {
			evicted++
		}
	}
	if packets != 0 || evicted == 0 {
		t.Errorf("%d packets are in no record; %d evicted", packets, evicted)
	}
}

// Whatever comes, a flow that was young is the flow that it would have been.
func FuzzYoung(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09abcdefghijklmnopqrstuvwxyz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		play := func(set func(*Table)) *scene {
			b := &beginnings{scene: newScene(t, nil), rng: rand.New(&octets{left: data})}
			set(b.table)
			for range min(len(data)/4, 400) {
				b.play()
			}
			b.end()
			return b.scene
		}
		compareScenes(t, "fuzz", 0, play(func(*Table) {}), play(func(t *Table) { t.fullGrown = true }))
	})
}

// octets is a source of numbers that depend on what is left, two octets at a time.
type octets struct {
	left []byte
	n    uint64
}

func (o *octets) Uint64() uint64 {
	var b [8]byte
	n := copy(b[:], o.left[:min(len(o.left), 2)])
	o.left = o.left[n:]
	o.n++ // the same again and again would be no number for some
	return (uint64(binary.LittleEndian.Uint16(b[:]))<<20 + o.n) * 0x9e3779b97f4a7c15
}
