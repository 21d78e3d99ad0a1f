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
