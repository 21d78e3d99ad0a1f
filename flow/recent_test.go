package flow

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"mirrorscope/packet"
)

// recentModel is copies as a list in order of arrival.
type recentModel struct {
	list              []seenCopy
	max               int
	window, windowHop int64
	evicted           uint64
}

func (m *recentModel) find(print uint64, checksum uint16, flags copyFlags, void [2]uint32) *seenCopy {
	says := func(sum uint16) bool { return uint32(sum) != void[0] && uint32(sum) != void[1] }
	for i := range m.list {
		e := &m.list[i]
		if e.print == print && (e.checksum == checksum || (e.flags|flags)&noChecksum != 0 || !says(e.checksum) || !says(checksum)) {
			return e
		}
	}
	return nil
}

func (m *recentModel) add(e seenCopy, now int64) {
	for len(m.list) > 0 {
		old := m.list[0]
		if age := now - old.at; age < m.window || age < m.windowHop && len(m.list) < enough {
			if old.flags&refreshed == 0 {
				break
			}
			old.flags &^= refreshed
			m.list = append(m.list, old)
		}
		m.list = m.list[1:]
	}
	if len(m.list) == m.max {
		m.evicted++
		m.list = m.list[1:]
	}
	m.list = append(m.list, e)
}

// nothing is void.
var nothing = [2]uint32{noSum, noSum}

// bothCopies holds the table and its model, and lets them take the same packets.
type bothCopies struct {
	testing.TB
	c   copies
	m   recentModel
	now int64
	n   int
}

func newBothCopies(t testing.TB, octets int64) *bothCopies {
	cfg := DefaultConfig()
	b := &bothCopies{TB: t, now: sceneStart}
	b.c.init(octets, &cfg)
	b.m = recentModel{max: b.c.max, window: int64(cfg.DupWindow), windowHop: int64(cfg.DupWindowHop)}
	return b
}

// take lets both take a packet that came ago ns before the input's clock.
func (b *bothCopies) take(print uint64, checksum uint16, flags copyFlags, void [2]uint32, ago int64) {
	b.Helper()
	b.n++
	e, want := b.c.find(print, checksum, flags, void), b.m.find(print, checksum, flags, void)
	if e != nil && !b.c.may(print) {
		b.Fatalf("packet %d: is found, and may not", b.n)
	}
	at, ttl, position := b.now-ago, uint8(b.n), uint32(b.n)
	switch {
	case (e == nil) != (want == nil):
		b.Fatalf("packet %d: found %v, want %v", b.n, e, want)
	case e == nil:
		x := seenCopy{print: print, at: at, position: position, checksum: checksum, ttl: ttl, flags: flags}
		*b.c.add(print, at, b.now) = x
		b.m.add(x, b.now)
	case *e != *want:
		b.Fatalf("packet %d: found %+v, want %+v", b.n, *e, *want)
	default:
		b.c.refresh(e, at, ttl, position)
		want.at, want.ttl, want.position = max(want.at, at), ttl, position
		want.flags |= refreshed
	}
	if b.c.evicted != b.m.evicted {
		b.Fatalf("packet %d: %d evicted, want %d", b.n, b.c.evicted, b.m.evicted)
	}
}

// check compares all that is there.
func (b *bothCopies) check() {
	b.Helper()
	if b.c.exact != b.c.head {
		b.c.forget(b.c.clock, 1)
	}
	if got := int(b.c.head - b.c.tail); got != len(b.m.list) {
		b.Fatalf("%d entries, want %d", got, len(b.m.list))
	}
	r := 0
	for i := range b.m.list {
		if got := *b.c.at(b.c.tail + uint32(i)); got != b.m.list[i] {
			b.Fatalf("entry %d: %+v, want %+v", i, got, b.m.list[i])
		}
		if b.m.list[i].flags&refreshed != 0 {
			r++
		}
	}
	if b.c.refreshed != r || len(b.c.ring) > b.c.max || len(b.c.index) != len(b.c.ring)/2 {
		b.Fatalf("%d refreshed, want %d; ring of %d, index of %d", b.c.refreshed, r, len(b.c.ring), len(b.c.index))
	}
}

// The memory of recent packets against a list: at all rates, with and without
// copies, with room and without.
func TestRecentModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, octets := range []int64{1, 40_000, 1 << 20} {
		for _, step := range []int64{100, 20_000, 300_000, 5_000_000} { // ns between packets
			for _, copied := range []float64{0, 0.001, 0.3, 1} {
				b := newBothCopies(t, octets)
				var latest [1 << 12]uint64
				for i := range 30_000 {
					b.now += rng.Int64N(2 * step)
					if rng.IntN(5000) == 0 {
						b.now += rng.Int64N(3e9)
					}
					print := rng.Uint64()
					switch {
					case rng.IntN(b.c.max/6) == 0:
						print = print&^(1<<40-1) | 5 // one place in the index, for six at a time
					case rng.IntN(8) == 0:
						print = print&(1<<32-1) | 7<<32 // alike in the index
					}
					if rng.Float64() < copied {
						print = latest[rng.IntN(1<<rng.IntN(13))]
					}
					latest[i%len(latest)] = print
					var flags copyFlags
					if rng.IntN(20) == 0 {
						flags = noChecksum
					}
					var ago int64
					if rng.IntN(10) == 0 {
						ago = rng.Int64N(2e8)
					}
					void := nothing
					if rng.IntN(10) == 0 {
						void[rng.IntN(2)] = uint32(rng.IntN(3))
					}
					b.take(print, uint16(rng.IntN(1+rng.IntN(2))), flags, void, ago)
				}
				b.check()
			}
		}
	}
}

// Whoever sends packets that differ in their checksum alone does not make the next ones
// dear: of those, a few dozen are looked at, and the others are counted as forgotten.
func TestRecentAlike(t *testing.T) {
	const sent, kept = 10_000, mostSpill * slotsLen
	cfg := DefaultConfig()
	var c copies
	c.init(1<<20, &cfg)
	at, print := int64(sceneStart), uint64(77)
	for i := range uint16(sent) {
		at += 100
		if e := c.find(print, i, 0, nothing); e != nil {
			t.Fatalf("packet %d: found %+v", i, e)
		}
		c.add(print, at, at).checksum = i
	}
	found := 0
	for i := range uint16(sent) {
		if c.find(print, i, 0, nothing) != nil {
			found++
		}
	}
	if found != kept || c.evicted != sent-kept {
		t.Errorf("%d are found and %d forgotten, want %d and %d", found, c.evicted, kept, sent-kept)
	}
	if c.find(print, sent-1, 0, nothing) == nil {
		t.Error("the latest is not found")
	}
	for i := range uint64(1000) { // others find their place, there as well
		c.add(i<<40|i%3, at, at)
		if c.find(i<<40|i%3, 0, 0, nothing) == nil {
			t.Fatalf("another one, %d, is not found", i)
		}
	}
}

// Numbers of entries come to an end, and begin again.
func TestRecentNumbers(t *testing.T) {
	b := newBothCopies(t, 1<<20)
	b.c.head = math.MaxUint32 - 1000
	b.c.tail = b.c.head
	for i := range uint64(20_000) {
		b.now += 50_000
		b.take(i%9000*0x9e3779b97f4a7c15, 0, 0, nothing, 0)
	}
	b.check()
	if b.c.head > 1<<20 {
		t.Errorf("the next is number %d: they did not begin again", b.c.head)
	}
}

// Whatever comes, at whatever time: as the list has it.
func FuzzRecent(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 200, 6, 7, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newBothCopies(t, 1)
		for ; len(data) >= 4; data = data[4:] {
			b.now += int64(data[0]) << (data[1] & 31)
			x := binary.LittleEndian.Uint16(data[2:])
			// Places in the index that lie apart, for 16 at a time each.
			print := uint64(x&3)<<3 | uint64(x>>3&3)<<32 | uint64(x>>5&1)<<16
			void := nothing
			if x>>12&1 != 0 {
				void[x>>11&1] = uint32(x >> 9 & 3)
			}
			b.take(print, x>>15, copyFlags(x>>13&1), void, int64(data[1]>>5)*30e6)
		}
		b.check()
	})
}

// A packet, and what may be told apart by what the fingerprint covers.
func TestFingerprint(t *testing.T) {
	s := newScene(t, nil)
	whole := s.tcp(cli, srv, "PA", 101, 901, "hello")
	whole.TCP.TSval, whole.TCP.TSecr = 1, 2
	print := func(p packet.Packet) uint64 {
		a := lookAt(s.table, &p)
		return a.print
	}
	payload := func(n, at int) func(*packet.Packet) {
		return func(p *packet.Packet) {
			p.IPID = 0
			b := make([]byte, n)
			if at >= 0 {
				b[at]++
			}
			p.Payload = b
		}
	}
	differ := map[string]func(*packet.Packet){
		"direction": func(p *packet.Packet) {
			p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
		},
		"source":         func(p *packet.Packet) { p.Src[15]++ },
		"destination":    func(p *packet.Packet) { p.Dst[15]++ },
		"port":           func(p *packet.Packet) { p.SrcPort++ },
		"other port":     func(p *packet.Packet) { p.DstPort++ },
		"point":          func(p *packet.Packet) { p.Point++ },
		"network":        func(p *packet.Packet) { p.Network++ },
		"seq":            func(p *packet.Packet) { p.TCP.Seq++ },
		"ack":            func(p *packet.Packet) { p.TCP.Ack++ },
		"flags":          func(p *packet.Packet) { p.TCP.Flags ^= packet.PSH },
		"window":         func(p *packet.Packet) { p.TCP.Window++ },
		"TSval":          func(p *packet.Packet) { p.TCP.TSval++ },
		"TSecr":          func(p *packet.Packet) { p.TCP.TSecr++ },
		"payload length": func(p *packet.Packet) { p.PayloadLen++ },
		"IP length":      func(p *packet.Packet) { p.IPLen++ },
		"IPID":           func(p *packet.Packet) { p.IPID++ },
		"no payload":     func(p *packet.Packet) { p.IPID = 0; p.Payload = nil },
		"UDP":            func(p *packet.Packet) { p.Proto = packet.ProtoUDP },
		"UDP checksum":   func(p *packet.Packet) { p.Proto = packet.ProtoUDP; p.Checksum = 8 },
		"ICMP type":      func(p *packet.Packet) { p.Proto = packet.ProtoICMP; p.ICMPType = 8 },
		"ICMP code":      func(p *packet.Packet) { p.Proto = packet.ProtoICMP; p.ICMPCode = 8 },
	}
	seen := map[uint64]string{print(whole): "nothing"}
	add := func(name string, f func(*packet.Packet)) {
		p := whole
		f(&p)
		h := print(p)
		if other, ok := seen[h]; ok {
			t.Errorf("the same with another %s as with another %s", name, other)
		}
		seen[h] = name
	}
	for name, f := range differ {
		add(name, f)
	}
	for n := 1; n <= 129; n++ {
		add(fmt.Sprint("payload of ", n), payload(n, -1))
		for at := range min(n, 64) {
			add(fmt.Sprint("payload of ", n, " at ", at), payload(n, at))
			if at < n-64 {
				add(fmt.Sprint("payload of ", n, " at ", n-1-at), payload(n, n-1-at))
			}
		}
	}
	same := map[string]func(*packet.Packet){
		"TTL": func(p *packet.Packet) { p.TTL++ }, "TOS": func(p *packet.Packet) { p.TOS ^= 3 }, "checksum": func(p *packet.Packet) { p.TCP.Checksum++ },
		"position": func(p *packet.Packet) { p.Position++ }, "payload behind an ID": func(p *packet.Packet) { p.Payload = []byte("HELLO") },
		"time": func(p *packet.Packet) { p.Time++ },
	}
	for name, f := range same {
		p := whole
		f(&p)
		if seen[print(p)] != "nothing" {
			t.Errorf("not the same with another %s", name)
		}
	}
	p, q := whole, whole
	payload(300, -1)(&p)
	payload(200, -1)(&q)
	if print(p) != print(q) {
		t.Error("what is between the ends of a payload counts")
	}
}

// Of packets that count up, all fingerprints fall evenly: into the index, and
// into what the index keeps of them.
func TestFingerprintSpread(t *testing.T) {
	s := newScene(t, nil)
	p := s.tcp(cli, srv, "A", 0, 0, "")
	const n = 1 << 16
	for round := range 1000 {
		secret := newSecret()
		key := rand.Uint64()
		fingerprint := func() uint64 { return secret.fingerprint(key, &p, 0) }
		if round%2 == 0 {
			fingerprint = func() uint64 { p.SetWords(); return secret.numbers4(secret.head4(key, &p), &p) }
		}
		var low, high [1 << 8]int
		for i := range uint32(n) {
			p.TCP.Seq, p.IPID, p.TCP.TSval = 1448*i, uint16(i), i/16
			print := fingerprint()
			low[print&0xff]++
			high[print>>32&0xff]++
		}
		for _, counts := range [][1 << 8]int{low, high} {
			var chi float64
			for _, c := range counts {
				d := float64(c) - n/256
				chi += d * d / (n / 256)
			}
			if chi > 255+8*23 { // eight standard deviations
				t.Errorf("χ² %.0f for 255 degrees of freedom, with the secret %x", chi, secret)
			}
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	s := newScene(b, nil)
	for name, ip := range map[string]uint16{"ID": 1, "payload": 0} {
		b.Run(name, func(b *testing.B) {
			p := s.tcp(cli, srv, "PA", 1, 1, string(make([]byte, 128)))
			p.IPID = ip
			var sum uint64
			for i := range b.N {
				p.TCP.Seq = uint32(i)
				sum += prints.fingerprint(uint64(i), &p, 0)
			}
			sink = sum
		})
	}
}

var sink uint64

// Packets that are new, one after the other into each of the tables: entries
// are those of one table.
func BenchmarkCopies(b *testing.B) {
	for _, x := range []struct {
		name           string
		tables, within int
	}{{"entries=1k", 1, 1000}, {"entries=100k", 1, 100_000}, {"tables=64/entries=4k", 64, 1000}} {
		b.Run(x.name, func(b *testing.B) {
			cfg := DefaultConfig()
			tables := make([]copies, x.tables)
			for i := range tables {
				tables[i].init(16<<20, &cfg)
			}
			step := int64(cfg.DupWindow) / int64(x.within*x.tables)
			if x.within < enough && x.tables == 1 {
				step = int64(time.Second) / int64(x.within)
			}
			now, print := int64(sceneStart), uint64(1)
			one := func(n int) {
				for i := range n {
					c := &tables[i%len(tables)]
					now += step
					print = print*6364136223846793005 + 1442695040888963407
					h := print ^ print>>29
					if c.find(h, 0, 0, nothing) == nil {
						*c.add(h, now, now) = seenCopy{print: h, at: now}
					}
				}
			}
			one(16 * x.tables * max(x.within, enough))
			b.ReportAllocs()
			b.ResetTimer()
			one(b.N)
		})
	}
}
