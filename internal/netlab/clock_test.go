package netlab

import "testing"

// TestBusy: what a program does between sending and the read that waits for the
// answer is waiting, as long as it may take.
func TestBusy(t *testing.T) {
	read := func(begin, end, from int64, octets int) Call {
		return Call{Begin: begin, End: end, From: from, Octets: octets}
	}
	write := func(begin, end, from int64, octets int) Call {
		return Call{Write: true, Begin: begin, End: end, From: from, Octets: octets}
	}
	server := EndTruth{Calls: []Call{
		read(10, 100, 0, 50),   // the ClientHello
		write(130, 140, 0, 20), // 30 later: HelloRetryRequest
		read(900, 1000, 50, 50),
		write(1050, 1060, 20, 30), // 50 later: the rest of the flight, in two calls
		write(1080, 1090, 50, 10),
		read(1100, 2000, 100, 10),
		write(2070, 2080, 60, 10),
	}}
	client := EndTruth{Calls: []Call{
		write(10, 20, 0, 50),
		read(500, 600, 0, 20), // the flight, in two calls with 40 between them
		read(640, 700, 20, 20),
		write(760, 770, 50, 10), // 60 later
	}}
	for _, c := range []struct {
		name          string
		end           *EndTruth
		read, written int64
		want          int64
		ok            bool
	}{
		{"one wait", &server, 50, 19, 30, true},
		{"two waits", &server, 50, 49, 30 + 50, true},
		{"a flight of two writes", &server, 50, 59, 30 + 50 + 30, true},
		{"three waits", &server, 50, 69, 30 + 50 + 30 + 70, true},
		{"not written", &server, 50, 70, 0, false},
		{"not read", &server, 500, 19, 0, false},
		{"client", &client, 0, 50, 40 + 60, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if ns, ok := c.end.busy(c.read, c.written); ns != c.want || ok != c.ok {
				t.Errorf("busy(%d, %d) = %d, %v, want %d, %v", c.read, c.written, ns, ok, c.want, c.ok)
			}
		})
	}
}
