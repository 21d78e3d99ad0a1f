package tlsmeta

import (
	"testing"

	"mirrorscope/pool"
)

// step is one thing that the point tells of a connection.
type step struct {
	dir      int
	at       int64
	data     []byte
	filled   bool
	inferred bool
	again    [2]int64 // offsets of octets that came again; data is empty
	una      int64    // octets that the other side has acknowledged, where not all; -1 none
}

// walk plays steps, and gives what was told.
func walk(t *testing.T, x *Conn, steps []step) {
	t.Helper()
	b := Room{Budget: &pool.Budget{Max: 1 << 20}}
	x.Init(0)
	var sent [2]int64
	for _, s := range steps {
		if s.data == nil {
			x.Again(s.dir, base(s.dir)+s.again[0], base(s.dir)+s.again[1], epoch+s.at)
			continue
		}
		una := sent[s.dir]
		if s.una != 0 {
			una = max(s.una, 0)
		}
		x.Feed(&b, s.dir, &Segment{
			Pos: base(s.dir) + sent[s.dir], Data: s.data, Time: epoch + s.at, Acked: base(1-s.dir) + sent[1-s.dir], Una: base(s.dir) + una,
			MSS: 100, Filled: s.filled, Inferred: s.inferred,
		}, handClient)
		sent[s.dir] += int64(len(s.data))
	}
	x.End(true, epoch+1e12)
	x.Release(&b)
	if b.Used() != 0 {
		t.Errorf("%d octets stay taken", b.Used())
	}
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Time that passes because something was lost, or had to wait for the other
// side's ACK, is the network's: each side keeps what it took to think.
func TestTimingShares(t *testing.T) {
	server := join(flight13(sh13)...)
	n := int64(len(server))
	hello12, done12 := hand(sh12), hand(shd)
	tests := []struct {
		name                  string
		steps                 []step
		start, end            int64
		client, server        int64
		startInferred, endInf bool
	}{
		{"nothing lost", []step{{0, 0, ch13, false, false, [2]int64{}, 0}, {dir: 1, at: 25 * ms, data: server}, {at: 34 * ms, data: fin13}}, 0, 34 * ms, 3 * ms, 5 * ms, false, false},
		{"a hole in the server's flight", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: server[:500]}, {dir: 1, at: 240 * ms, data: server[500:], filled: true}, {at: 249 * ms, data: fin13},
		}, 0, 249 * ms, 3 * ms, 5 * ms, false, false},
		{"two holes in the server's flight", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: server[:300]}, {dir: 1, at: 60 * ms, data: server[300:500], filled: true},
			{dir: 1, at: 240 * ms, data: server[500:], filled: true}, {at: 249 * ms, data: fin13},
		}, 0, 249 * ms, 3 * ms, 5 * ms, false, false},
		{"what was lost before the point", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: server[:500]}, {dir: 1, at: 240 * ms, data: server[500:], inferred: true}, {at: 249 * ms, data: fin13},
		}, 0, 249 * ms, 3 * ms, 5 * ms, false, false},
		{"the server thinks within its flight", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: server[:500]}, {dir: 1, at: 40 * ms, data: server[500:]}, {at: 49 * ms, data: fin13},
		}, 0, 49 * ms, 3 * ms, 20 * ms, false, false},
		{"the window is full until an ACK comes", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: server[:1000], una: -1}, {dir: 1, at: 51 * ms, data: server[1000:], una: 300}, {at: 60 * ms, data: fin13},
		}, 0, 60 * ms, 3 * ms, 5 * ms, false, false},
		{"the window was not full: the server thinks", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: server[:800], una: -1}, {dir: 1, at: 51 * ms, data: server[800:], una: 300}, {at: 60 * ms, data: fin13},
		}, 0, 60 * ms, 3 * ms, 31 * ms, false, false},
		{"the hello again", []step{
			{data: ch13}, {at: 200 * ms, again: [2]int64{0, size(ch13)}}, {dir: 1, at: 225 * ms, data: server}, {at: 234 * ms, data: fin13},
		}, 0, 234 * ms, 3 * ms, 5 * ms, false, false},
		{"a ChangeCipherSpec before the second hello is no answer yet", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: join(hrr, ccs)}, {at: 34 * ms, data: ccs}, {at: 36 * ms, data: ch13}, {dir: 1, at: 61 * ms, data: server}, {at: 70 * ms, data: fin13},
		}, 0, 70 * ms, 8 * ms, 10 * ms, false, false},
		{"the server's flight again", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: server}, {dir: 1, at: 230 * ms, again: [2]int64{n - 200, n}}, {at: 239 * ms, data: fin13},
		}, 0, 239 * ms, 3 * ms, 5 * ms, false, false},
		{"the hello had been lost before the point", []step{
			{data: ch13, inferred: true}, {dir: 1, at: 25 * ms, data: server}, {at: 34 * ms, data: fin13},
		}, 0, 34 * ms, 3 * ms, 5 * ms, true, false},
		{"the Finished had been lost before the point", []step{
			{data: ch13}, {dir: 1, at: 25 * ms, data: server}, {at: 34 * ms, data: fin13, inferred: true},
		}, 0, 34 * ms, 3 * ms, 5 * ms, false, true},
		{"1.2: the client's flight again", []step{
			{data: ch12}, {dir: 1, at: 25 * ms, data: join(hello12, done12)}, {at: 34 * ms, data: join(hand(cke), ccs, fin12)},
			{at: 234 * ms, again: [2]int64{size(ch12), size(ch12, hand(cke), ccs, fin12)}}, {dir: 1, at: 258 * ms, data: join(ccs, fin12)},
		}, 0, 258 * ms, 3 * ms, 9 * ms, false, false},
		{"1.2: the client's flight in parts", []step{
			{data: ch12}, {dir: 1, at: 25 * ms, data: join(hello12, done12)}, {at: 34 * ms, data: hand(cke)}, {at: 36 * ms, data: join(ccs, fin12)},
			{dir: 1, at: 60 * ms, data: join(ccs, fin12)},
		}, 0, 60 * ms, 3 * ms, 9 * ms, false, false},
		{"1.2: a hole in the server's last flight", []step{
			{data: ch12}, {dir: 1, at: 25 * ms, data: join(hello12, done12)}, {at: 34 * ms, data: join(hand(cke), ccs, fin12)},
			{dir: 1, at: 58 * ms, data: hand(ticket12)}, {dir: 1, at: 300 * ms, data: join(ccs, fin12), filled: true},
		}, 0, 300 * ms, 3 * ms, 9 * ms, false, true},
		{"faster than the network can be: no time at all", []step{
			{data: ch13}, {dir: 1, at: 15 * ms, data: server}, {at: 20 * ms, data: fin13},
		}, 0, 20 * ms, 0, 0, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var x Conn
			walk(t, &x, tt.steps)
			y := &x.Timing
			if x.Info.Outcome != Completed || y.Start != epoch+tt.start || y.End != epoch+tt.end {
				t.Fatalf("%v from %d to %d, want %d to %d", x.Info.Outcome, y.Start-epoch, y.End-epoch, tt.start, tt.end)
			}
			network, client, server := y.Shares(handClient, handServer)
			if client != tt.client || server != tt.server || network != y.End-y.Start-client-server {
				t.Errorf("client %d, server %d, network %d, want %d and %d: %+v", client, server, network, tt.client, tt.server, y.legs[:y.numLegs])
			}
			if y.StartInferred != tt.startInferred || y.EndInferred != tt.endInf {
				t.Errorf("inferred %v, %v", y.StartInferred, y.EndInferred)
			}
		})
	}
}

// Where the beginning of an answer is a repeat of what was lost before the point,
// when it left is hidden; where the hello or the rest of an answer is one, it is not.
func TestHidden(t *testing.T) {
	server := join(flight13(sh13)...)
	for _, tt := range []struct {
		name    string
		repeats int // which step
		hidden  bool
	}{
		{"none", -1, false},
		{"the hello", 0, false},
		{"the server's answer", 1, true},
		{"the rest of it", 2, false},
		{"the client's answer", 3, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			steps := []step{{data: ch13}, {dir: 1, at: 25 * ms, data: server[:500]}, {dir: 1, at: 26 * ms, data: server[500:]}, {at: 35 * ms, data: fin13}}
			if tt.repeats >= 0 {
				steps[tt.repeats].inferred = true
			}
			var x Conn
			walk(t, &x, steps)
			if x.Info.Outcome != Completed || x.Timing.Hidden != tt.hidden {
				t.Errorf("%v, hidden %v, want %v", x.Info.Outcome, x.Timing.Hidden, tt.hidden)
			}
		})
	}
}

// A hello in the form of SSLv2 that a server of today answers, and one that a
// server of then does; also where it comes in parts.
func TestConnSSLv2(t *testing.T) {
	old := append([]byte{0x80, 9 + 6 + 16, 1, 3, 3, 0, 6, 0, 0, 0, 16, 0, 0xc0, 0x2f, 0, 0, 0x2f}, make([]byte, 16)...)
	answer := append([]byte{0x80, 11 + 3 + 16, 4, 0, 1, 0, 2, 0, 0, 0, 3, 0, 16, 7, 0, 0xc0}, make([]byte, 16)...)
	for _, way := range []struct {
		name string
		cut  func(int) int
	}{{"whole", func(n int) int { return n }}, {"in octets", func(int) int { return 1 }}, {"in tens", func(int) int { return 10 }}} {
		t.Run(way.name, func(t *testing.T) {
			s := new(script).client(0, old).server(25*ms, hand(sh12, shd)).client(34*ms, hand(cke), ccs, fin12).server(58*ms, ccs, fin12)
			want := handWant{outcome: Completed, end: 58 * ms, data: [2]int64{size(old, hand(cke), ccs, fin12), size(hand(sh12, shd), ccs, fin12)}, client: 3 * ms, server: 9 * ms}
			s.events = cut(s.events, way.cut)
			var x Conn
			s.run(t, &x)
			want.compare(t, &x)
			if !x.Info.SSLv2Hello || x.Info.Version != 0x0303 || x.Info.Offered != 0x0303 {
				t.Errorf("%+v", x.Info)
			}

			s = new(script).client(0, old).server(25*ms, answer).client(34*ms, rec(0x80, 10))
			s.events = cut(s.events, way.cut)
			s.run(t, &x)
			if x.Info.Version != versionSSLv2 || x.Info.Outcome != Incomplete || x.Missing {
				t.Errorf("SSL 2.0: %v, version %04x, missing %v", x.Info.Outcome, x.Info.Version, x.Missing)
			}

			s = new(script).client(0, old).server(25*ms, alertRec(2, 70)).fin(1, 25*ms)
			s.events = cut(s.events, way.cut)
			s.run(t, &x)
			if x.Info.Outcome != Failed || x.Info.Alert == nil {
				t.Errorf("refused: %v %+v", x.Info.Outcome, x.Info.Alert)
			}
		})
	}
}
