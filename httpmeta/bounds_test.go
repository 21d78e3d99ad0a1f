package httpmeta

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// A server that answers without end what nobody asked keeps no more than what may
// still find its request, whatever the client does meanwhile.
func TestUnaskedResponsesDoNotPileUp(t *testing.T) {
	const n = 2000
	answers := slices.Repeat([]chunk{s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}, n)
	const most = 128 * int64(entrySize) // of a queue for 64 and one, doubled
	t.Run("behind all requests", func(t *testing.T) {
		got := run(slices.Concat([]chunk{c("GET / HTTP/1.1\r\n\r\n")}, answers), true, asIs)
		if len(got.exchanges) != n || got.losses != (Losses{}) || got.peak > most {
			t.Errorf("%d exchanges of %d, losses %+v, %d octets at a time of %d", len(got.exchanges), n, got.losses, got.peak, most)
		}
	})
	t.Run("behind a request that does not end", func(t *testing.T) {
		open := []chunk{c("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc")}
		got := run(slices.Concat(open, answers), true, asIs)
		if len(got.exchanges) > 66 || got.losses.Untracked != 1 || got.peak > most {
			t.Errorf("%d exchanges, losses %+v, %d octets at a time of %d", len(got.exchanges), got.losses, got.peak, most)
		}
		for i := range answers { // the client goes on each time
			open = append(open, c("d"), answers[i])
		}
		if got = run(open, true, asIs); len(got.exchanges) > 66 || got.losses.Untracked < n/2 || got.peak > most {
			t.Errorf("by turns: %d exchanges, losses %+v, %d octets at a time of %d", len(got.exchanges), got.losses, got.peak, most)
		}
	})
}

// A server that says goodbye in every frame costs one look at each stream, whoever
// is answered stays, and the others leave in their order.
func TestGoAwayAgain(t *testing.T) {
	var conn Conn
	conn.Reset(&Shared{}, true)
	conn.SidesKnown()
	pos := [2]int64{}
	feed := func(fromClient bool, text string) {
		side := server
		if fromClient {
			side = client
		}
		conn.Feed(fromClient, pos[side], []byte(text), 1)
		pos[side] += int64(len(text))
	}
	cl, sv := newPeer(), newPeer()
	feed(true, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(frameSettings, 0, 0, ""))
	for i := range uint32(maxStreams) {
		feed(true, cl.headers(flagEndHeaders, 2*i+1, ":method", "POST", ":scheme", "http", ":authority", "h", ":path", "/"))
		if i%4 != 0 {
			feed(false, sv.headers(flagEndHeaders, 2*i+1, ":status", "200"))
		}
	}
	goAway := []byte(frame(frameGoAway, 0, 0, "\x00\x00\x00\x08\x00\x00\x00\x00"))
	again := func() {
		conn.Feed(false, pos[server], goAway, 1)
		pos[server] += int64(len(goAway))
	}
	again()
	var last int64
	gone := 0
	for e := new(Exchange); conn.Next(e); gone++ {
		if e.RequestPos <= last {
			t.Fatalf("the request at %d left behind that at %d", e.RequestPos, last)
		}
		last = e.RequestPos
	}
	if open, want := len(conn.h2.streams), maxStreams/4-1; gone != want || open != maxStreams-want {
		t.Errorf("%d streams are gone, %d open, want %d and %d", gone, open, want, maxStreams-want)
	}
	if n := testing.AllocsPerRun(100, again); n != 0 {
		t.Errorf("one more costs %v allocations", n)
	}
}

// Streams that come, are answered, end on either side, and go by what the server says, in any
// order, against a map of them: who is open, who leaves for room, and what is counted of them.
func TestStreamsModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	left, refused := 0, int64(0) // streams that left for room, and that found none
	for range 40 {
		var conn Conn
		conn.Reset(&Shared{}, true)
		conn.SidesKnown()
		pos := [2]int64{}
		feed := func(side side, text string) {
			conn.Feed(side == client, pos[side], []byte(text), 1)
			pos[side] += int64(len(text))
		}
		cl, sv := newPeer(), newPeer()
		feed(client, preface+noSettings)
		feed(server, noSettings)
		type stream struct{ answered, over bool }
		open, order, untracked := map[uint32]*stream{}, []uint32(nil), int64(0)
		gone := func(id uint32) {
			delete(open, id)
			order = slices.DeleteFunc(order, func(x uint32) bool { return x == id })
		}
		id := uint32(1)
		for range 2000 {
			some := 2*rng.Uint32N(id/2+1) + 1
			if n := len(order); n > 0 && rng.IntN(2) == 0 {
				some = order[rng.IntN(n)]
			}
			s := open[some]
			switch rng.IntN(100) {
			case 0: // what the server does not look at leaves, if it is not answered
				feed(server, frame(frameGoAway, 0, 0, string(binary.BigEndian.AppendUint32(nil, some))+"\x00\x00\x00\x00"))
				for x, s := range open {
					if x > some && !s.answered {
						gone(x)
					}
				}
			case 1, 2, 3, 4:
				feed(client, frame(frameRSTStream, 0, some, "\x00\x00\x00\x08"))
				gone(some)
			case 5, 6, 7, 8, 9, 10, 11, 12, 13, 14: // an answer, of a stream that has none
				if s == nil || s.answered {
					continue
				}
				s.answered, s.over = true, rng.IntN(2) == 0
				flags := byte(flagEndHeaders)
				if s.over {
					flags |= flagEndStream
				}
				feed(server, sv.headers(flags, some, ":status", "200"))
			case 15, 16, 17, 18:
				if s == nil {
					continue
				}
				feed(client, frame(frameData, flagEndStream, some, ""))
				if s.over {
					gone(some)
				} else { // it stays until it is answered, which is not followed further here
					feed(client, frame(frameRSTStream, 0, some, "\x00\x00\x00\x08"))
					gone(some)
				}
			default:
				if i := slices.IndexFunc(order, func(x uint32) bool { return open[x].over }); len(order) == maxStreams && i >= 0 {
					gone(order[i])
					left++
				}
				feed(client, cl.headers(flagEndHeaders, id, ":method", "POST", ":path", "/"))
				if len(order) < maxStreams {
					open[id], order = &stream{}, append(order, id)
				} else {
					untracked++
				}
				id += 2
			}
			h, over := conn.h2, 0
			var got, byID []uint32
			for i, e := range h.streams {
				got, byID = append(got, e.stream), append(byID, h.byID[i].stream)
				if e.responseDone {
					over++
				}
			}
			if !slices.Equal(got, order) || !slices.IsSorted(byID) || len(h.byID) != len(order) || h.over != over || conn.losses.Untracked != untracked {
				t.Fatalf("open %v, want %v; by identifier %v; %d over, counted %d; %d not tracked, want %d", got, order, byID, over, h.over, conn.losses.Untracked, untracked)
			}
			for e := new(Exchange); conn.Next(e); {
			}
		}
		refused += untracked
	}
	if left < 100 || refused < 100 {
		t.Errorf("%d streams left for room, %d found none: too few for a test", left, refused)
	}
}
