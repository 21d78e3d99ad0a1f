package tcp

import (
	"slices"

	"mirrorscope/packet"
)

// sender is the sending half of a host.
type sender struct {
	una, nxt, max int64 // positions
	end           int64 // behind the last octet that the application has written
	fin, finSent  bool
	offered       int64 // right edge of what the receiver takes
	lastWindow    uint16
	segs          []*outSeg // in flight, rising

	cwnd, ssthresh float64 // segments
	state          caState
	recovery       int64 // the episode ends when this is acknowledged
	entered        bool  // the episode has sent its first repeat
	dupACKs        int
	minRTT         int64
	srtt, rttvar   int64
	backoff        int
	deadline       int64 // of the retransmission timer
	probeTimer     bool  // what is armed is the tail loss probe
	probed         bool  // a tail loss probe is out
	rtx            timer
	rackAt         int64 // when the latest that is known to have arrived was sent
	rackRTT        int64
	reordering     bool
	reo            timer
	persist        timer
	persistN       int
}

type caState uint8

const (
	caOpen caState = iota
	caRecovery
	caLoss
)

type outSeg struct {
	span
	fin       bool
	at        int64 // of the latest transmission
	sent      int   // transmissions
	sacked    bool
	lost      bool
	again     bool // repeated since it was found lost
	proven    bool // found lost by what was delivered, not by a timer
	proofless int  // transmissions when the timer found it lost
}

func (h *host) initSender() {
	h.end = 1
	h.cwnd, h.ssthresh = float64(h.cfg.window), 1e9
	h.rtx = timer{s: h.s, fire: h.timeout}
	h.reo = timer{s: h.s, fire: func() {
		h.rackDetect()
		h.push()
	}}
	h.persist = timer{s: h.s, fire: h.windowProbe}
}

// write hands over n octets of the application.
func (h *host) write(n int64) {
	h.end += n
	h.push()
}

// close says that nothing more will be written.
func (h *host) close() {
	h.fin = true
	h.push()
}

func (h *host) inFlight() int {
	n := 0
	for _, g := range h.segs {
		if !g.sacked && (!g.lost || g.again) {
			n++
		}
	}
	if !h.sack {
		n = max(n-h.dupACKs, 0) // each tells of a segment that has left the network
	}
	return n
}

// push sends what the windows allow: what is lost first, then what is new.
func (h *host) push() {
	if !h.open {
		return
	}
	for h.inFlight() < max(int(h.cwnd), 1) {
		if i := slices.IndexFunc(h.segs, func(g *outSeg) bool { return g.lost && !g.again && !g.sacked }); i >= 0 {
			h.repeat(i)
			continue
		}
		if !h.sendNew() {
			break
		}
	}
	if len(h.segs) == 0 && h.nxt < h.end && !h.persist.armed {
		h.persist.set(h.s.now + h.rto()<<min(h.persistN, 5))
	}
}

// sendNew sends the next segment, if there is one and the window has room.
func (h *host) sendNew() bool {
	n := min(h.end-h.nxt, h.full())
	room := h.offered - h.nxt
	if n > room {
		if room <= 0 || len(h.segs) > 0 {
			return false
		}
		n = room
	}
	last := h.fin && !h.finSent && h.nxt+n == h.end
	if n <= 0 && !last {
		return false
	}
	g := &outSeg{span: span{h.nxt, h.nxt + n}, fin: last}
	if last {
		g.hi++
		h.finSent = true
	}
	h.nxt = g.hi
	h.segs = append(h.segs, g)
	h.persist.stop()
	h.transmit(g, NumClasses)
	if len(h.segs) == 1 {
		h.deadline = h.s.now + h.rto()<<h.backoff
	}
	h.rearm()
	return true
}

// repeat sends a segment that is lost again, and with it small ones behind it.
func (h *host) repeat(i int) {
	g := h.segs[i]
	cause := ClassRecovery
	switch {
	case h.state == caLoss && g.proven && g.sent > g.proofless:
		cause = ClassLostRetransmission
	case h.state == caLoss:
		cause = ClassRTORecovery
	case !h.entered:
		cause = ClassFast
	case g.sent > 1 && g.proven:
		cause = ClassLostRetransmission
	}
	h.entered = true
	for h.cfg.merge && i+1 < len(h.segs) {
		b := h.segs[i+1]
		if !b.lost || b.again || b.sacked || b.hi-g.lo > h.full() || g.fin {
			break
		}
		g.hi, g.fin = b.hi, b.fin
		h.segs = slices.Delete(h.segs, i+1, i+2)
	}
	g.again = true
	if i == 0 {
		h.deadline = h.s.now + h.rto()<<h.backoff // as Linux does when it repeats the head
	}
	h.transmit(g, cause)
	h.rearm()
}

func (h *host) transmit(g *outSeg, cause Class) {
	flags := packet.ACK | packet.PSH
	n := g.hi - g.lo
	if g.fin {
		flags |= packet.FIN
		n--
		if n == 0 && cause != NumClasses {
			cause = ClassFIN
		}
	}
	g.at = h.s.now
	g.sent++
	h.emit(h.packet(flags), g.lo, g.hi, n, cause)
}

func (h *host) rto() int64 {
	if h.srtt == 0 {
		return 1e9
	}
	return h.srtt + max(4*h.rttvar, h.cfg.rtoMin)
}

// rearm sets the retransmission timer, or the tail loss probe before it.
func (h *host) rearm() {
	if len(h.segs) == 0 {
		h.rtx.stop()
		return
	}
	h.probeTimer = false
	at := h.deadline
	if h.cfg.tlp && h.state == caOpen && !h.probed && h.dupACKs == 0 && h.srtt > 0 && !h.anySacked() {
		wait := 2 * h.srtt
		if len(h.segs) == 1 {
			wait += h.cfg.rtoMin // the ACK may be delayed
		} else {
			wait += 2e6
		}
		h.probeTimer = true
		at = min(at, h.s.now+wait)
	}
	h.rtx.set(max(at, h.s.now+1))
}

func (h *host) anySacked() bool {
	return slices.ContainsFunc(h.segs, func(g *outSeg) bool { return g.sacked })
}

func (h *host) timeout() {
	if len(h.segs) == 0 {
		return
	}
	if h.probeTimer {
		h.probed = true
		h.deadline = h.s.now + h.rto()
		if !h.sendNew() {
			h.transmit(h.segs[len(h.segs)-1], ClassTLP)
		}
		h.rearm()
		return
	}
	if h.backoff >= 9 {
		h.segs, h.end = nil, h.nxt // given up
		return
	}
	h.ssthresh = max(float64(h.inFlight())/2, 2)
	h.state, h.recovery, h.entered = caLoss, h.nxt, true
	h.cwnd, h.dupACKs = 1, 0
	for _, g := range h.segs {
		if !g.sacked {
			g.lost, g.again, g.proven, g.proofless = true, false, false, g.sent+1
		}
	}
	i := slices.IndexFunc(h.segs, func(g *outSeg) bool { return !g.sacked })
	if i < 0 {
		i = 0
	}
	h.segs[i].again = true
	h.backoff++
	h.deadline = h.s.now + h.rto()<<h.backoff
	h.transmit(h.segs[i], ClassRTO)
	h.rearm()
}

func (h *host) windowProbe() {
	if len(h.segs) > 0 || h.nxt >= h.end {
		return
	}
	if h.sendNew() {
		return
	}
	w := h.packet(packet.ACK)
	w.lo, w.hi = h.una-1, h.una-1
	w.probe = true
	h.out(w)
	h.persistN++
	h.persist.set(h.s.now + h.rto()<<min(h.persistN, 5))
}

func (h *host) rttSample(ns int64) {
	if h.minRTT == 0 || ns < h.minRTT {
		h.minRTT = ns
	}
	if h.srtt == 0 {
		h.srtt, h.rttvar = ns, ns/2
		return
	}
	dev := h.srtt - ns
	h.rttvar += (max(dev, -dev) - h.rttvar) / 4
	h.srtt += (ns - h.srtt) / 8
}

// onAck takes what a packet says about this host's data.
func (h *host) onAck(w *wire) {
	if w.ack > h.nxt || w.ack < h.una {
		return
	}
	edge := w.ack + int64(w.window)<<h.peer.cfg.wscale
	sameWindow := w.window == h.lastWindow
	h.lastWindow = w.window
	if edge > h.offered || w.ack > h.una {
		if edge > h.offered {
			h.persistN = 0
		}
		h.offered = max(h.offered, edge)
	}
	fresh := h.scoreboard(w)
	advanced := w.ack > h.una
	switch {
	case advanced:
		h.advance(w)
	case !h.sack && w.payload == 0 && w.hi == w.lo && sameWindow && len(h.segs) > 0:
		h.dupACKs++
	}
	if advanced || fresh {
		h.rackDetect()
	}
	h.renoDetect(advanced)
	h.grow(advanced)
	if advanced {
		h.backoff = 0
		h.deadline = h.s.now + h.rto()
	}
	if len(h.segs) == 0 {
		h.rtx.stop()
	} else if advanced || fresh {
		h.rearm()
	}
}

// scoreboard takes the SACK blocks and tells whether they are news.
func (h *host) scoreboard(w *wire) bool {
	fresh := false
	for i := range w.nsack {
		b := w.sack[i]
		for _, g := range h.segs {
			if g.sacked || g.lo < b.lo || g.hi > b.hi {
				continue
			}
			g.sacked = true
			fresh = true
			h.delivered(g, w)
		}
	}
	return fresh
}

// delivered notes that a segment has arrived (RFC 8985 section 6.2).
func (h *host) delivered(g *outSeg, w *wire) {
	rtt := h.s.now - g.at
	if g.sent > 1 && rtt < h.minRTT {
		return // its original may have
	}
	if g.at < h.rackAt {
		h.reordering = h.reordering || g.sent == 1
		return
	}
	h.rackAt, h.rackRTT = g.at, rtt
}

func (h *host) advance(w *wire) {
	h.una = w.ack
	sample := int64(-1)
	k := 0
	for k < len(h.segs) && h.segs[k].hi <= w.ack {
		g := h.segs[k]
		if !g.sacked {
			h.delivered(g, w)
			if g.sent == 1 {
				sample = h.s.now - g.at
			} else {
				sample = -1
			}
		}
		k++
	}
	h.segs = slices.Delete(h.segs, 0, k)
	if len(h.segs) > 0 && h.segs[0].lo < w.ack {
		h.segs[0].lo = w.ack
	}
	switch {
	case sample >= 0:
		h.rttSample(sample)
	case h.stamps && k > 0:
		h.rttSample(int64(h.clock()-w.tsecr) * 1e6)
	}
	if h.sack {
		h.dupACKs = 0
	}
	if len(h.segs) == 0 {
		h.probed = false
	}
}

// rackDetect finds losses by the time of what was delivered, or by three
// segments SACKed above (RFC 8985, 6675).
func (h *host) rackDetect() {
	if !h.sack {
		return
	}
	above := 0
	for _, g := range h.segs {
		if g.sacked {
			above++
		}
	}
	window := int64(0)
	if h.reordering || h.state == caOpen && above < 3 {
		window = h.minRTT / 4
	}
	next, seen := int64(0), 0
	for _, g := range h.segs {
		if g.sacked {
			seen++
			continue
		}
		if g.lost && !g.again {
			continue
		}
		byCount := above-seen >= 3 && g.sent == 1 && !(h.cfg.rack && h.reordering)
		byTime := h.cfg.rack && g.at < h.rackAt && h.s.now >= g.at+h.rackRTT+window
		if byCount || byTime {
			g.lost, g.again, g.proven = true, false, true
			h.enterRecovery()
		} else if h.cfg.rack && g.at < h.rackAt {
			at := g.at + h.rackRTT + window
			if next == 0 || at < next {
				next = at
			}
		}
	}
	if next > 0 {
		h.reo.set(next)
	} else {
		h.reo.stop()
	}
}

// renoDetect finds losses without SACK (RFC 5681, 6582).
func (h *host) renoDetect(advanced bool) {
	if h.sack || len(h.segs) == 0 {
		if advanced {
			h.dupACKs = 0
		}
		return
	}
	g := h.segs[0]
	switch {
	case h.state == caOpen && h.dupACKs >= 3, h.state == caRecovery && advanced && h.una < h.recovery:
		if !g.lost {
			g.lost, g.proven = true, true
			h.enterRecovery()
		}
	}
	if advanced {
		h.dupACKs = 0
	}
}

func (h *host) enterRecovery() {
	if h.state != caOpen {
		return
	}
	h.state, h.recovery, h.entered = caRecovery, h.nxt, false
	share := 0.5
	if h.cfg.cubic {
		share = 0.7
	}
	h.ssthresh = max(h.cwnd*share, 2)
	h.cwnd = max(h.ssthresh, float64(h.inFlight()+1)) // the first repeat is not held back
}

// grow opens the congestion window, and ends episodes.
func (h *host) grow(advanced bool) {
	if h.state != caOpen && h.una >= h.recovery {
		h.state = caOpen
		h.cwnd = min(h.cwnd, max(h.ssthresh, 2))
	}
	if !advanced || h.state == caRecovery {
		if h.state == caRecovery {
			h.cwnd = max(h.ssthresh, min(h.cwnd, float64(h.inFlight()+1)))
		}
		return
	}
	if h.cwnd < h.ssthresh {
		h.cwnd++
	} else {
		h.cwnd += 1 / h.cwnd
	}
}
