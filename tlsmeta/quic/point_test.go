package quic

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mirrorscope/pool"
	"mirrorscope/tlsmeta"
)

// point is an observation point between a client and a server of quic-go: a
// forwarder of UDP with a delay on either side.
type point struct {
	halves [2]time.Duration // one way, to the client and to the server
	meddle func(dir, n int, b []byte) action

	front  *net.UDPConn
	server *net.UDPAddr
	done   sync.WaitGroup
	quit   chan struct{}

	stalled atomic.Int64 // ns

	mu     sync.Mutex
	back   *net.UDPConn
	from   *net.UDPAddr
	conn   Conn
	budget pool.Budget
	seen   []datagram
	counts [2]int
}

// datagram is one that was forwarded, as the forwarder noted it.
type datagram struct {
	dir  int
	at   int64
	kind kind // of its first packet, by version 1 or 2; unknownKind is a short header
}

// action is what becomes of a datagram.
type action uint8

const (
	pass     action = iota
	lose            // behind the point
	loseAt          // in front of it
	repeat          // recorded and sent twice
	overtake        // held until the next one has passed
	cutShort        // recorded in part
)

func newPoint(t *testing.T, to net.Addr, halves [2]time.Duration, meddle func(dir, n int, b []byte) action) *point {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &point{halves: halves, meddle: meddle, front: front, server: to.(*net.UDPAddr), budget: pool.Budget{Max: 1 << 20}, quit: make(chan struct{})}
	if p.back, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	p.pump(client, front, func(b []byte) { p.back.WriteToUDP(b, p.server) })
	p.pump(server, p.back, func(b []byte) {
		p.mu.Lock()
		to := p.from
		p.mu.Unlock()
		p.front.WriteToUDP(b, to)
	})
	p.done.Add(1)
	go p.watch()
	t.Cleanup(p.close)
	return p
}

// watch adds up how much too long sleeping takes: what a busy machine adds to
// the times of both ends and of the point.
func (p *point) watch() {
	defer p.done.Done()
	const nap = 2 * time.Millisecond
	for {
		at := time.Now()
		select {
		case <-p.quit:
			return
		case <-time.After(nap):
			if over := time.Since(at) - nap; over > nap {
				p.stalled.Add(int64(over))
			}
		}
	}
}

// slack is what ends may add to a half, and what the machine did.
func (p *point) slack() time.Duration {
	return 60*time.Millisecond + 2*time.Duration(p.stalled.Load())
}

func (p *point) close() {
	p.front.Close()
	p.back.Close()
	close(p.quit)
	p.done.Wait()
}

// due is a datagram under way.
type due struct {
	b  []byte
	at time.Time
}

// pump forwards one direction: from the socket to the point, and on.
func (p *point) pump(dir int, in *net.UDPConn, out func([]byte)) {
	toPoint, onward := make(chan due, 4096), make(chan due, 4096)
	p.done.Add(3)
	go func() {
		defer p.done.Done()
		defer close(toPoint)
		buf := make([]byte, 65536)
		for {
			n, from, err := in.ReadFromUDP(buf)
			if err != nil {
				return
			}
			if dir == client {
				p.mu.Lock()
				p.from = from
				p.mu.Unlock()
			}
			toPoint <- due{slices.Clone(buf[:n]), time.Now().Add(p.halves[dir])}
		}
	}()
	go func() {
		defer p.done.Done()
		defer close(onward)
		var held []byte
		for d := range toPoint {
			time.Sleep(time.Until(d.at))
			for _, b := range p.pass(dir, d.b, &held) {
				onward <- due{b, time.Now().Add(p.halves[1-dir])}
			}
		}
	}()
	go func() {
		defer p.done.Done()
		for d := range onward {
			time.Sleep(time.Until(d.at))
			out(d.b)
		}
	}()
}

// pass records a datagram and gives what goes on.
func (p *point) pass(dir int, b []byte, held *[]byte) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	act := pass
	if p.meddle != nil {
		act = p.meddle(dir, p.counts[dir], b)
	}
	p.counts[dir]++
	var out [][]byte
	switch act {
	case loseAt:
	case lose:
		p.record(dir, b, len(b))
	case repeat:
		p.record(dir, b, len(b))
		p.record(dir, b, len(b))
		out = [][]byte{b, b}
	case overtake:
		if *held == nil {
			*held = b
			return nil
		}
		fallthrough
	case cutShort:
		n := len(b)
		if act == cutShort {
			n = min(n, 100)
		}
		p.record(dir, b, n)
		out = [][]byte{b}
	default:
		p.record(dir, b, len(b))
		out = [][]byte{b}
	}
	if *held != nil {
		p.record(dir, *held, len(*held))
		out = append(out, *held)
		*held = nil
	}
	return out
}

func (p *point) record(dir int, b []byte, n int) {
	at := time.Now().UnixNano()
	d := datagram{dir: dir, at: at}
	if b[0]&0x80 != 0 {
		t := b[0] >> 4 & 3
		if b[1] == 0x6b {
			t = (t - 1) & 3
		}
		d.kind = [...]kind{initial, zeroRTT, handshake, retry}[t]
		if [4]byte(b[1:5]) == [4]byte{} {
			d.kind = negotiation
		}
	}
	p.seen = append(p.seen, d)
	// The point does not know who the client is: its directions are the other
	// way round.
	p.conn.Datagram(1-dir, b[:n:n], len(b), at, &p.budget)
}

// report ends the point and gives what it told.
func (p *point) report(t *testing.T) (Info, Handshake) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for seen := -1; seen != len(p.seen); { // what is still under way belongs to it
		seen = len(p.seen)
		p.mu.Unlock()
		time.Sleep(60*time.Millisecond + p.slack())
		p.mu.Lock()
	}
	i, h := p.conn.Report(true), p.conn.Handshake()
	if dir, ok := p.conn.Client(); ok && dir != 1 {
		t.Error("the server is taken for the client")
	}
	if p.conn.open != nil && i.Outcome == tlsmeta.Completed {
		t.Error("Initial packets are still read behind the handshake")
	}
	p.conn.Reset()
	if p.budget.Used() != 0 {
		t.Errorf("%d octets are not given back", p.budget.Used())
	}
	return i, h
}

// first gives the record time of the first datagram in a direction that begins
// with a packet of the kind, at or after the time.
func (p *point) first(dir int, k kind, from int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.seen {
		if d.dir == dir && d.kind == k && d.at >= from {
			return d.at
		}
	}
	return 0
}

// bounds tells whether a duration is the time between two datagrams that the
// forwarder noted: from one of a direction that begins with an Initial packet to
// one of the other at the given time.
func (p *point) bounds(duration int64, dir int, to int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	begins, ends := false, false
	for _, d := range p.seen {
		begins = begins || d.dir == dir && d.kind == initial && d.at == to-duration
		ends = ends || d.dir != dir && d.at == to
	}
	return begins && ends
}
