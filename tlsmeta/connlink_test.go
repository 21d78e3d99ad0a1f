package tlsmeta

import (
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// A link joins two ends by a path of constant delay with an observation point
// on it. It runs in a synctest bubble: time passes only where it is told to, so
// that what the point records is known to the nanosecond.
type link struct {
	delay  [2]time.Duration // one way: client to point, point to server
	mss    int
	window int // segments that may be on their way before the first ACK; 0 any number
	ends   [2]*linkEnd

	lock   sync.Mutex
	start  time.Time
	events []event
}

// event is a packet as the point records it. Time begins at epoch, positions
// begin at base.
type event struct {
	at    int64
	dir   int
	pos   int64
	data  []byte
	acked int64
	fin   bool
	rst   bool
}

const (
	epoch      = 1_700_000_000e9
	baseClient = 1 << 32
	baseServer = 5 << 32
)

func base(dir int) int64 { return [2]int64{baseClient, baseServer}[dir] }

// linkEnd is the TCP of one end, and the pace of what runs above it.
type linkEnd struct {
	l       *link
	dir     int
	think   []time.Duration // before each flight
	between time.Duration   // between two writes of a flight

	arrived *sync.Cond
	coming  [][]byte // packets on the way; nil is a FIN
	in      []byte
	eof     bool
	out     []byte
	written int64 // by the application
	sent    int64 // on the wire
	acked   int64 // by the other end, as far as it is known here
	cwnd    int64
	rcv     int64
	closing bool
	closed  bool

	flights int
	fresh   bool // something was read since the latest write
}

func newLink(client, server, mss, window int) *link {
	l := &link{delay: [2]time.Duration{time.Duration(client), time.Duration(server)}, mss: mss, window: window, start: time.Now()}
	for dir := range l.ends {
		e := &linkEnd{l: l, dir: dir, fresh: true, cwnd: int64(window * mss)}
		e.arrived = sync.NewCond(&l.lock)
		l.ends[dir] = e
	}
	return l
}

// record notes a packet that leaves an end now.
func (l *link) record(v event) {
	v.at = epoch + time.Since(l.start).Nanoseconds() + l.delay[v.dir].Nanoseconds()
	v.pos += base(v.dir)
	v.acked += base(1 - v.dir)
	l.events = append(l.events, v)
}

func (e *linkEnd) peer() *linkEnd { return e.l.ends[1-e.dir] }

// pump sends what the window allows.
func (e *linkEnd) pump() {
	l := e.l
	way := l.delay[0] + l.delay[1]
	for len(e.out) > 0 {
		n := min(len(e.out), l.mss)
		if l.window > 0 && e.sent-e.acked+int64(n) > e.cwnd {
			return
		}
		data := slices.Clone(e.out[:n])
		e.out = e.out[n:]
		l.record(event{dir: e.dir, pos: e.sent, data: data, acked: e.rcv})
		e.sent += int64(n)
		e.peer().coming = append(e.peer().coming, data)
		time.AfterFunc(way, e.peer().deliver)
	}
	if e.closing && !e.closed {
		e.closed = true
		l.record(event{dir: e.dir, pos: e.sent, acked: e.rcv, fin: true})
		e.peer().coming = append(e.peer().coming, nil)
		time.AfterFunc(way, e.peer().deliver)
	}
}

// deliver takes the packet that has arrived, and acknowledges it.
func (e *linkEnd) deliver() {
	l := e.l
	l.lock.Lock()
	defer l.lock.Unlock()
	data := e.coming[0] // timers of one moment run in any order, packets do not
	e.coming = e.coming[1:]
	if data == nil {
		e.eof = true
		e.arrived.Broadcast()
		return
	}
	e.in = append(e.in, data...)
	e.rcv += int64(len(data))
	e.arrived.Broadcast()
	l.record(event{dir: e.dir, pos: e.sent, acked: e.rcv})
	upTo := e.rcv
	time.AfterFunc(l.delay[0]+l.delay[1], func() {
		l.lock.Lock()
		defer l.lock.Unlock()
		p := e.peer()
		if upTo <= p.acked {
			return
		}
		p.cwnd += upTo - p.acked // slow start
		p.acked = upTo
		p.pump()
	})
}

func (e *linkEnd) Read(b []byte) (int, error) {
	e.l.lock.Lock()
	defer e.l.lock.Unlock()
	for len(e.in) == 0 && !e.eof {
		e.arrived.Wait()
	}
	if len(e.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, e.in)
	e.in = e.in[n:]
	e.fresh = true
	return n, nil
}

func (e *linkEnd) Write(b []byte) (int, error) {
	if e.fresh {
		if e.flights < len(e.think) {
			time.Sleep(e.think[e.flights])
		}
		e.flights++
		e.fresh = false
	} else if e.between > 0 {
		time.Sleep(e.between)
	}
	e.l.lock.Lock()
	defer e.l.lock.Unlock()
	if e.closing {
		return 0, net.ErrClosed
	}
	e.out = append(e.out, b...)
	e.written += int64(len(b))
	e.pump()
	return len(b), nil
}

func (e *linkEnd) Close() error {
	e.l.lock.Lock()
	defer e.l.lock.Unlock()
	e.closing, e.eof = true, true
	e.arrived.Broadcast()
	e.pump()
	return nil
}

// at is the position behind what the application has written.
func (e *linkEnd) at() int64 {
	e.l.lock.Lock()
	defer e.l.lock.Unlock()
	return base(e.dir) + e.written
}

func (e *linkEnd) LocalAddr() net.Addr              { return &net.TCPAddr{Port: e.dir} }
func (e *linkEnd) RemoteAddr() net.Addr             { return &net.TCPAddr{Port: 1 - e.dir} }
func (e *linkEnd) SetDeadline(time.Time) error      { return nil }
func (e *linkEnd) SetReadDeadline(time.Time) error  { return nil }
func (e *linkEnd) SetWriteDeadline(time.Time) error { return nil }

// recorded gives the packets in the order of the point.
func (l *link) recorded() []event {
	l.lock.Lock()
	defer l.lock.Unlock()
	list := slices.Clone(l.events)
	slices.SortStableFunc(list, func(a, b event) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	return list
}
