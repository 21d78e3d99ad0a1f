package netlab

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// PacketAt is a packet as it passed a tap. Data is not changed later.
type PacketAt struct {
	Time int64 // ns since the Unix epoch
	Sent *Sent
	Copy bool // made by the network, not by the host
	Data []byte
}

// Event is something the plan did to one packet.
type Event struct {
	Time    int64         // when the packet entered the hop
	Release int64         `json:",omitempty"` // when it (or its copy) left the hop
	Hop     int           // 0 is the client's
	Action  Action        //
	N       int           // the n-th of its kind at this hop
	Extra   time.Duration `json:",omitempty"` // planned, beyond the delay of all
	Sent    *Sent         `json:"-"`
	Packet  int           // Sent.N
}

// Action of an Event.
type Action string

const (
	Dropped  Action = "dropped"  // by a rule
	Overflow Action = "overflow" // by the queue of the bottleneck
	Delayed  Action = "delayed"
	Copied   Action = "copied"
)

// network carries frames between two hosts. One goroutine on a thread of its
// own owns everything but stopping, from start to stop.
type network struct {
	hosts    [2]*Host
	plan     Plan
	start    time.Time
	queue    travellers
	arrivals uint64 // order of equal release times
	taps     [numTaps][]PacketAt
	sent     []*Sent
	log      []Event
	senders  map[flowKey]*sender
	seen     [2][2][numKinds]int // packets by hop, direction and kind
	random   [2][2]*rand.Rand    // by hop and direction
	idle     [2][2]int64         // when a bottleneck has sent all it holds
	frame    [1 << 16]byte
	stopping atomic.Bool
	wake     int // eventfd
	done     chan struct{}
	err      error // valid after done
}

// traveller is a packet inside a hop.
type traveller struct {
	release int64
	order   uint64
	sent    *Sent
	data    []byte
	hop     int
	copy    bool
	event   int // index in log, or -1
}

// travellers is a heap by release time.
type travellers []traveller

func (t travellers) Len() int { return len(t) }
func (t travellers) Less(i, j int) bool {
	if t[i].release != t[j].release {
		return t[i].release < t[j].release
	}
	return t[i].order < t[j].order
}
func (t travellers) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *travellers) Push(x any)   { *t = append(*t, x.(traveller)) }
func (t *travellers) Pop() any {
	old := *t
	x := old[len(old)-1]
	*t = old[:len(old)-1]
	return x
}

func newNetwork(s Scenario) (*network, error) {
	n := &network{plan: s.Plan, start: time.Now(), senders: map[flowKey]*sender{}, done: make(chan struct{}), wake: -1}
	for hop := range 2 {
		for d := range 2 {
			n.random[hop][d] = rand.New(rand.NewPCG(seed(s.Name, "plan"), uint64(hop*2+d)))
		}
	}
	for side := range n.hosts {
		h, err := newHost(Direction(side), defaults, s.Sysctl, s.Only[side])
		if err != nil {
			n.close()
			return nil, err
		}
		n.hosts[side] = h
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		n.close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	n.wake = fd
	go n.loop()
	return n, nil
}

// stop ends the loop when nothing travels and nothing was sent for a while.
// Everything the loop owns may be read afterwards.
func (n *network) stop() {
	if n.stopping.Swap(true) {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(n.wake, one[:]) // a counter below its limit takes 1
	<-n.done
}

// close frees everything. The namespaces end with it.
func (n *network) close() {
	if n.wake >= 0 {
		n.stop()
		_ = unix.Close(n.wake)
	}
	for _, h := range n.hosts {
		if h != nil {
			h.close()
		}
	}
}

// now is the time since the Unix epoch in ns; it never goes back.
func (n *network) now() int64 { return n.start.UnixNano() + int64(time.Since(n.start)) }

const quiet = 30 * time.Millisecond // nothing sent for so long is the end

// loop has a thread of its own because ppoll waits exactly, where a timer of
// the runtime may wake a millisecond late.
func (n *network) loop() {
	defer close(n.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it, 50 µs later
	poll := []unix.PollFd{
		{Fd: int32(n.hosts[FromClient].tap), Events: unix.POLLIN},
		{Fd: int32(n.hosts[FromServer].tap), Events: unix.POLLIN},
		{Fd: int32(n.wake), Events: unix.POLLIN},
	}
	last := n.now() // something happened
	for {
		wait := int64(time.Second)
		if n.stopping.Load() {
			poll = poll[:2]
			wait = int64(quiet)
			if len(n.queue) == 0 && n.now()-last >= int64(quiet) {
				return
			}
		}
		if len(n.queue) > 0 {
			wait = min(wait, max(0, n.queue[0].release-n.now()))
		}
		timeout := unix.NsecToTimespec(wait)
		if _, err := unix.Ppoll(poll, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			n.err = fmt.Errorf("poll: %w", err)
			return
		}
		for side := range n.hosts {
			if poll[side].Revents == 0 {
				continue
			}
			last = n.now()
			if err := n.read(Direction(side)); err != nil {
				n.err = err
				return
			}
		}
		for len(n.queue) > 0 && n.queue[0].release <= n.now() {
			last = n.now()
			t := heap.Pop(&n.queue).(traveller)
			if err := n.leave(t); err != nil {
				n.err = err
				return
			}
		}
	}
}

const batch = 16 // frames read before due ones are let go

// read takes what a host has sent.
func (n *network) read(d Direction) error {
	for range batch {
		size, err := unix.Read(n.hosts[d].tap, n.frame[:])
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from the %s's device: %w", d, err)
		}
		h, ok := parse(n.frame[:size])
		if !ok {
			continue // neighbour discovery and the like: the hosts need none
		}
		data := bytes.Clone(n.frame[:size])
		s := n.note(d, &h)
		tap, hop := ClientTap, 0
		if d == FromServer {
			tap, hop = ServerTap, 1
		}
		s.Time = n.pass(tap, s, data, false)
		n.enter(hop, s, data, false)
	}
	return nil
}

// pass records a packet at a tap and gives the time.
func (n *network) pass(tap Tap, s *Sent, data []byte, copied bool) int64 {
	at := n.now()
	s.Passed[tap] = append(s.Passed[tap], at)
	n.taps[tap] = append(n.taps[tap], PacketAt{Time: at, Sent: s, Copy: copied, Data: data})
	return at
}

// enter applies the plan of one hop to a packet.
func (n *network) enter(hop int, s *Sent, data []byte, copied bool) {
	d := s.From
	link := n.plan.Hops[hop].link(d)
	now := n.now()
	n.seen[hop][d][s.Kind]++
	p := Packet{
		Kind: s.Kind, N: n.seen[hop][d][s.Kind], Offset: s.Pos - 1, Len: s.Len, Attempt: s.Attempt,
		Random: n.random[hop][d].Float64(),
	}
	event := func(a Action, extra time.Duration) int {
		n.log = append(n.log, Event{Time: now, Hop: hop, Action: a, N: p.N, Extra: extra, Sent: s, Packet: s.N})
		return len(n.log) - 1
	}
	var extra, again time.Duration
	for _, r := range link.Rules {
		if !r.If(p) {
			continue
		}
		if r.Drop {
			event(Dropped, 0)
			return
		}
		extra += r.Late
		again = max(again, r.Copy)
	}
	release := now
	if link.Rate > 0 {
		idle := max(n.idle[hop][d], now)
		took := int64(len(data)) * 8 * int64(time.Second) / link.Rate
		if link.Queue > 0 && idle-now > int64(link.Queue)*took {
			event(Overflow, 0)
			return
		}
		n.idle[hop][d] = idle + took
		release = idle + took
	}
	release += int64(link.Delay + extra)
	changed := -1
	if extra > 0 {
		changed = event(Delayed, extra)
	}
	n.travel(traveller{release: release, sent: s, data: data, hop: hop, copy: copied, event: changed})
	if again > 0 {
		n.travel(traveller{release: release + int64(again), sent: s, data: data, hop: hop, copy: true, event: event(Copied, again)})
	}
}

func (n *network) travel(t traveller) {
	t.order = n.arrivals
	n.arrivals++
	heap.Push(&n.queue, t)
}

// leave takes a packet out of a hop: to the next one, or to its host. As a
// router does, a hop takes one from the TTL.
func (n *network) leave(t traveller) error {
	data := bytes.Clone(t.data)
	h, _ := parse(data)
	decrementTTL(data, &h)
	d := t.sent.From
	next, tap := t.hop+1, MiddleTap
	if d == FromServer {
		next = t.hop - 1
	}
	if next == 2 {
		tap = ServerTap
	} else if next < 0 {
		tap = ClientTap
	}
	// The time is taken before the packet goes on, so that no reaction to it
	// can carry an earlier one.
	at := n.pass(tap, t.sent, data, t.copy)
	if t.event >= 0 {
		n.log[t.event].Release = at
	}
	if tap == MiddleTap {
		n.enter(next, t.sent, data, t.copy)
		return nil
	}
	if _, err := unix.Write(n.hosts[1-d].tap, data); err != nil {
		return fmt.Errorf("write to the %s's device: %w", 1-d, err)
	}
	return nil
}
