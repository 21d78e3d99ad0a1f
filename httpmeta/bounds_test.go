package httpmeta

import (
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
