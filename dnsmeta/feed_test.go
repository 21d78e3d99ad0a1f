package dnsmeta

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"mirrorscope/pool"
)

// framed puts the length in front of messages.
func framed(messages ...[]byte) (b []byte) {
	for _, m := range messages {
		b = append(be.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// TestChunks feeds conversations in chunks of any size: they tell what the
// same messages in datagrams tell.
func TestChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var asks, tells [][]byte
	for k := range uint16(20) {
		name := fmt.Sprintf("n%d.example.", k%7)
		asks = append(asks, ask(k, name, a4))
		tells = append(tells, tell(k, name, a4, answers(rr(name, 60, fmt.Sprint("192.0.2.", k)))))
	}
	r.Shuffle(len(tells), func(i, j int) { tells[i], tells[j] = tells[j], tells[i] })
	plain := newConn(DNS)
	var want []string
	for _, m := range asks {
		plain.Datagram(true, m, false, epoch)
	}
	for _, m := range tells {
		plain.Datagram(false, m, false, epoch+ms)
		want = append(want, told(plain)...)
	}
	plain.End(epoch + s)
	for round := range 500 {
		c := newConn(DNS)
		var got []string
		for dir, b := range [][]byte{framed(asks...), framed(tells...)} {
			pos := int64(r.IntN(1000))
			for len(b) > 0 {
				n := min(len(b), 1+r.IntN(1+round))
				c.Feed(dir == 0, pos, b[:n], epoch+int64(dir)*ms)
				got = append(got, told(c)...)
				if r.IntN(4) == 0 { // again, in part
					back := r.IntN(n + 1)
					c.Feed(dir == 0, pos+int64(back), b[back:n], epoch+int64(dir)*ms)
				}
				pos += int64(n)
				b = b[n:]
			}
		}
		c.End(epoch + s)
		if a, b := sums(c.Info()), sums(plain.Info()); !maps.Equal(a, b) || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("round %d: %v %q\nwant %v %q", round, a, got, b, want)
		}
		sound(t, c.Info())
		if used := c.st.budget.Used(); used != int64(c.large.names*nameSize+c.large.room*waitingSize) {
			t.Fatalf("round %d: %d octets of buffers in use", round, used)
		}
	}
}

func TestStreams(t *testing.T) {
	type counts = map[string]int64
	q := func(k uint16) []byte { return ask(k, site, a4) }
	a := func(k uint16) []byte { return tell(k, site, a4) }
	size := int64(len(framed(q(0)))) // of all of them
	type chunk struct {
		fromClient bool
		b          []byte
		gap        int64
	}
	for _, tc := range []struct {
		name   string
		chunks []chunk
		want   counts
	}{
		{"pipelined, out of order", []chunk{{true, framed(q(1), q(2), q(3)), 0}, {false, framed(a(3), a(1), a(2)), 0}},
			counts{"queries": 3, "responses": 3, "samples": 3, "ns": 3 * ms}},
		{"an octet at a time of the length", []chunk{{true, []byte{0}, 0}, {true, framed(q(1))[1:], 0}, {false, framed(a(1))[:1], 0}, {false, framed(a(1))[1:], 0}},
			counts{"queries": 1, "responses": 1, "samples": 1, "ns": 2 * ms}},
		{"a gap inside a response", []chunk{{true, framed(q(1), q(2)), 0}, {false, framed(a(1))[:20], 0}, {false, nil, 5}, {false, append(framed(a(1))[25:], framed(a(2))...), 0}},
			counts{"queries": 2, "cut": 1, "responses": 1, "lost": 1, "samples": 1, "ns": 3 * ms}},
		{"a gap to the end of a response", []chunk{{true, framed(q(1), q(2)), 0}, {false, framed(a(1))[:20], 0}, {false, nil, size - 20}, {false, framed(a(2)), 0}},
			counts{"queries": 2, "cut": 1, "responses": 1, "lost": 1, "samples": 1, "ns": 3 * ms}},
		{"a gap over several responses", []chunk{{true, framed(q(1), q(2), q(3)), 0}, {false, nil, 2 * size}, {false, framed(a(3)), 0}},
			counts{"queries": 3, "responses": 1, "lost": 2, "samples": 1, "ns": 2 * ms}},
		{"behind a gap in the middle of a message", []chunk{{true, framed(q(1), q(2)), 0}, {false, framed(a(1)), 0}, {false, nil, 7}, {false, framed(a(3))[7:], 0}, {false, framed(a(2)), 0}},
			counts{"queries": 2, "responses": 2, "samples": 2, "ns": 5 * ms}},
		{"a gap in the queries", []chunk{{true, framed(q(1)), 0}, {true, nil, size}, {false, framed(a(1), a(2)), 0}},
			counts{"queries": 1, "responses": 1, "unsolicited": 1, "samples": 1, "ns": 2 * ms}},
		{"not DNS", []chunk{{true, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0}, {true, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0}}, counts{"malformed": 1}},
		{"a length of 0", []chunk{{true, []byte{0, 0}, 0}, {true, framed(q(1)), 0}}, counts{"malformed": 1, "queries": 1, "unanswerable": 1}},
		{"ends in a message", []chunk{{true, framed(q(1)), 0}, {false, framed(a(1))[:30], 0}}, counts{"queries": 1, "unanswerable": 1, "cut": 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newConn(DNS)
			var pos [2]int64
			for k, ch := range tc.chunks {
				d, at := 0, epoch+int64(k)*ms
				if ch.fromClient {
					d = 1
				}
				if ch.gap > 0 {
					c.Gap(ch.fromClient, ch.gap, at)
				}
				c.Feed(ch.fromClient, pos[d]+ch.gap, ch.b, at)
				pos[d] += ch.gap + int64(len(ch.b))
			}
			c.End(epoch + s)
			sound(t, c.Info())
			if got := sums(c.Info()); !maps.Equal(got, tc.want) {
				t.Errorf("got %v\nwant %v", got, tc.want)
			}
		})
	}
}

// TestBufferBudget: a length promises much, and memory follows what came.
func TestBufferBudget(t *testing.T) {
	st := NewStore(&pool.Budget{Max: 1500})
	var c Conn
	c.Init(st, DNS, client, server)
	big := make([]byte, 0xffff)
	copy(big, ask(1, site, a4))
	b := append(framed(big), framed(ask(2, site, a4))...)
	pos := int64(0)
	for len(b) > 0 {
		n := min(len(b), 100)
		c.Feed(true, pos, b[:n], epoch)
		if used := st.budget.Used(); used > 1500 {
			t.Fatalf("%d octets in use", used)
		}
		pos += int64(n)
		b = b[n:]
	}
	c.End(epoch)
	if i := c.Info(); i.Cut != 1 || i.Queries != 1 || st.budget.Refused == 0 {
		t.Errorf("%v, %d refused: want the message that fits", sums(i), st.budget.Refused)
	}
	c.Release()
	if used := st.budget.Used(); used != 0 {
		t.Errorf("%d octets in use after Release", used)
	}
}

func FuzzFeed(f *testing.F) {
	all := framed(samples()...)
	f.Add(all, []byte{1, 2, 3, 50})
	f.Add(framed(recorded(f, 16)...), []byte{200, 7})
	f.Add(append(all, all...), []byte{0x80, 3, 0xff, 9})
	f.Fuzz(func(t *testing.T, b, plan []byte) {
		st := NewStore(&pool.Budget{Max: 20_000})
		var c Conn
		c.Init(st, DNS, client, server)
		var pos [2]int64
		now := epoch
		for k := 0; len(b) > 0; k++ {
			how := byte(k)
			if len(plan) > 0 {
				how = plan[k%len(plan)]
			}
			n := min(len(b), 1+int(how&63))
			d := int(how >> 7)
			if how>>4&7 == 7 {
				c.Gap(d == 0, int64(n), now)
				pos[d] += int64(n)
			}
			c.Feed(d == 0, pos[d], b[:n], now)
			pos[d] += int64(n)
			b = b[n:]
			now += int64(how) * 10 * ms
			if q := c.waiting(); len(q) > maxWaiting || st.budget.Used() > st.budget.Max {
				t.Fatalf("%d queries, %d octets", len(q), st.budget.Used())
			}
		}
		c.End(now)
		sound(t, c.Info())
		c.Release()
		if used := st.budget.Used(); used != 0 {
			t.Errorf("%d octets in use after Release", used)
		}
	})
}
