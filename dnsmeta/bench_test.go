package dnsmeta

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/net/dns/dnsmessage"
)

// pair gives a query and a response as resolvers send them: a CNAME, addresses
// and EDNS.
func pair(id uint16, name string) (q, r []byte) {
	return ask(id, name, a4, rd, additionals(opt(0))),
		tell(id, name, a4, rd, answers(rr(name, 300, "cdn.example."), rr("cdn.example.", 60, "192.0.2.1"), rr("cdn.example.", 60, "192.0.2.2")), additionals(opt(0)))
}

// TestAllocs: nothing is allocated for a name that is known, in a flow of any
// size, in a new flow, or over TCP.
func TestAllocs(t *testing.T) {
	q, r := pair(1, site)
	q6, r6 := pair(2, site)
	fq, fr := framed(q, q6), framed(r, r6)
	st := newStore()
	var long, c Conn
	long.Init(st, DNS, client, server)
	now, pos := epoch, [2]int64{}
	var sum Info
	for _, tc := range []struct {
		name string
		run  func()
	}{
		{"a flow of many", func() {
			now += s
			long.Datagram(true, q, false, now)
			long.Datagram(false, r, false, now+ms)
			if len(long.Answers()) != 2 {
				t.Fatal("nothing learned")
			}
			long.Advance(now + 2*ms)
		}},
		{"a flow of two", func() {
			c.Init(st, DNS, client, server)
			c.Datagram(true, q, false, now)
			c.Datagram(true, q6, false, now)
			c.Datagram(false, r, false, now+ms)
			c.Datagram(false, r6, false, now+ms)
			c.End(now + s)
			c.TakeInfo(&sum)
			c.Release()
		}},
		{"a flow without a response", func() {
			c.Init(st, DNS, client, server)
			c.Datagram(true, q, false, now)
			c.Advance(now + 10*s)
			c.End(now + 10*s)
			c.TakeInfo(&sum)
			c.Release()
		}},
		{"a stream", func() {
			now += s
			long.Feed(true, pos[0], fq, now)
			long.Feed(false, pos[1], fr, now+ms)
			pos[0] += int64(len(fq))
			pos[1] += int64(len(fr))
			if len(long.Answers()) != 4 {
				t.Fatal("nothing learned")
			}
		}},
	} {
		if n := testing.AllocsPerRun(200, tc.run); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tc.name, n)
		}
	}
}

// TestSize: hundreds of thousands of flows live at a time.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 256 {
		t.Errorf("a Conn takes %d octets", n)
	}
	const flows = 20_000
	st := newStore()
	conns := make([]Conn, flows)
	q, r := pair(1, site)
	q6, r6 := pair(2, site)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for k := range conns {
		c := &conns[k]
		c.Init(st, DNS, client, server)
		c.Datagram(true, q, false, epoch)
		c.Datagram(true, q6, false, epoch)
		c.Datagram(false, r, false, epoch+ms)
		c.Datagram(false, r6, false, epoch+ms)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	more := (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / flows
	t.Logf("%d octets in a Conn, %.1f beside it for A and AAAA of one name; large: %d", unsafe.Sizeof(Conn{}), more, unsafe.Sizeof(large{}))
	if more > 16 {
		t.Errorf("%.1f octets beside the Conn", more)
	}
	runtime.KeepAlive(conns)
}

func TestInterned(t *testing.T) {
	var n interned
	first := n.of([]byte("a.example"))
	for k := range 3*maxInterned + 7 {
		n.of(fmt.Appendf(nil, "n%d.example", k))
		if k%100 == 0 && unsafe.StringData(n.of([]byte("a.example"))) != unsafe.StringData(first) {
			t.Fatalf("a name in use was forgotten after %d others", k)
		}
	}
	if len(n.young) > maxInterned || len(n.old) > maxInterned {
		t.Errorf("%d and %d names", len(n.young), len(n.old))
	}
	for range 100 {
		n.of(make([]byte, 1000))
	}
	for k := range 1000 {
		n.of(fmt.Appendf(make([]byte, 1000), "%d", k))
	}
	if n.octets > maxInternedOctets+1004 {
		t.Errorf("%d octets", n.octets)
	}
}

func BenchmarkExchange(b *testing.B) {
	q, r := pair(1, site)
	for _, names := range []int{1, MaxNames} {
		b.Run(fmt.Sprint("names=", names), func(b *testing.B) {
			c := newConn(DNS)
			for k := range names {
				c.Datagram(true, ask(9, fmt.Sprintf("m%d.example.", k), a4), false, epoch)
				c.Datagram(false, tell(9, fmt.Sprintf("m%d.example.", k), a4), false, epoch)
			}
			b.ReportAllocs()
			for b.Loop() {
				c.Datagram(true, q, false, epoch)
				c.Datagram(false, r, false, epoch+ms)
				c.Answers()
			}
		})
	}
	b.Run("new flow", func(b *testing.B) {
		st := newStore()
		var c Conn
		var sum Info
		b.ReportAllocs()
		for b.Loop() {
			c.Init(st, DNS, client, server)
			c.Datagram(true, q, false, epoch)
			c.Datagram(false, r, false, epoch+ms)
			c.Answers()
			c.End(epoch + 10*s)
			c.TakeInfo(&sum)
			c.Release()
		}
	})
	b.Run("waiting=200", func(b *testing.B) {
		c := newConn(DNS)
		for k := range 200 {
			c.Datagram(true, ask(uint16(k+10), site, a4), false, epoch)
		}
		b.ReportAllocs()
		for b.Loop() {
			c.Datagram(true, q, false, epoch)
			c.Datagram(false, r, false, epoch+ms)
		}
	})
	// The parser of golang.org/x/net on the same two messages, to the same depth.
	b.Run("dnsmessage", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, m := range [][]byte{q, r} {
				var p dnsmessage.Parser
				h, err := p.Start(m)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := p.Question(); err != nil {
					b.Fatal(err)
				}
				if !h.Response {
					continue
				}
				p.SkipAllQuestions()
				for {
					h, err := p.AnswerHeader()
					if err != nil {
						break
					}
					switch h.Type {
					case a4:
						p.AResource()
					case dnsmessage.TypeCNAME:
						p.CNAMEResource()
					default:
						p.SkipAnswer()
					}
				}
				p.SkipAllAuthorities()
				p.AdditionalHeader()
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		m := message{records: make([]record, 0, maxRecords)}
		b.ReportAllocs()
		for b.Loop() {
			m.start(q)
			m.start(r)
			m.rest(false)
		}
	})
}
