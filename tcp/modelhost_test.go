package tcp

import "mirrorscope/packet"

// host is one end of the model's connection: it opens, sends, receives and
// closes as a host of today does (RFC 9293, 2018, 2883, 5681, 6298, 6582,
// 6675, 7323, 8985), with the parts switched on that its config names.
type host struct {
	s    *sim
	me   int
	cfg  hostConfig
	out  func(*wire)
	peer *host // for what the SYNs agree on

	open        bool
	synAt       int64
	synTries    int
	synTimer    timer
	gotSYN      bool
	sack        bool // agreed
	stamps      bool
	tsBase      uint32
	id          uint16
	tsRecent    uint32
	lastAckSent int64
	quiet       int64 // time of the latest packet sent or received
	alive       timer

	sender
	receiver

	connected func()
	readable  func() // in-order data, or the end of it, has arrived
	log       *[]*sent
}

type idMode uint8

const (
	idsCount  idMode = iota // up by one for every packet of the host
	idsShared               // as idsCount, but other connections of the host use some
	idsZero
	idsRandom
	idsIPv6
)

// hostConfig is what a host does, and how.
type hostConfig struct {
	mss       int64
	wscale    uint8
	sack      bool
	dsack     bool
	stamps    bool
	rack      bool
	tlp       bool
	merge     bool // repeats small segments together (Linux collapses them)
	ids       idMode
	buffer    int64 // receive buffer, octets
	readChunk int64 // slow reader: octets it reads …
	readEvery int64 // … each so many ns; 0: reads at once
	delack    int64 // ns
	rtoMin    int64 // ns
	keepAlive int64 // ns of silence; 0 never
	cubic     bool  // multiplicative decrease of 0.7, else 0.5
	window    int64 // initial congestion window, segments
}

func newHost(s *sim, me int, cfg hostConfig, log *[]*sent) *host {
	h := &host{s: s, me: me, cfg: cfg, log: log, tsBase: s.rng.Uint32(), id: uint16(s.rng.Uint32())}
	h.synTimer = timer{s: s, fire: h.synAgain}
	h.alive = timer{s: s, fire: h.keepAlive}
	h.initSender()
	h.initReceiver()
	h.connected, h.readable = func() {}, func() {}
	return h
}

// full is the payload of a full segment.
func (h *host) full() int64 {
	if h.stamps {
		return h.cfg.mss - 12
	}
	return h.cfg.mss
}

func (h *host) clock() uint32 { return h.tsBase + uint32(h.s.now/1e6) }

func (h *host) nextID() uint16 {
	switch h.cfg.ids {
	case idsZero, idsIPv6:
		return 0
	case idsRandom:
		return uint16(h.s.rng.Uint32())
	case idsShared:
		h.id += uint16(h.s.upTo(2))
	}
	h.id++
	return h.id
}

// packet makes one that says what the host has received.
func (h *host) packet(flags uint16) *wire {
	w := &wire{from: h.me, flags: flags, lo: h.nxt, hi: h.nxt, id: h.nextID(), tsval: h.clock(), tsecr: h.tsRecent}
	if flags&packet.ACK != 0 {
		w.ack = h.rcvNxt
		w.window = h.offer()
		h.blocks(w)
		h.lastAckSent = h.rcvNxt
		h.waiting = 0
		h.delayed.stop()
	}
	h.quiet = h.s.now
	return w
}

// emit sends a packet that occupies sequence space.
func (h *host) emit(w *wire, lo, hi, payload int64, cause Class) {
	w.lo, w.hi, w.payload = lo, hi, payload
	w.tx = &sent{span: span{lo, hi}, dir: h.me, at: h.s.now, old: h.max, payload: payload, cause: cause}
	*h.log = append(*h.log, w.tx)
	h.max = max(h.max, hi)
	h.out(w)
}

// connect sends the first SYN.
func (h *host) connect() { h.sendSYN(NumClasses) }

func (h *host) sendSYN(cause Class) {
	flags := packet.SYN
	if h.gotSYN {
		flags |= packet.ACK
	}
	h.stamps = h.cfg.stamps && (!h.gotSYN || h.peer.cfg.stamps)
	w := h.packet(flags)
	w.nsack = 0
	w.window = uint16(min(h.cfg.buffer, 65535))
	if h.synTries == 0 {
		h.synAt = h.s.now
	}
	h.emit(w, 0, 1, 0, cause)
	h.nxt = 1
	h.synTimer.set(h.s.now + int64(1e9)<<min(h.synTries, 6))
	h.synTries++
}

func (h *host) synAgain() {
	if h.open || h.synTries > 7 {
		return
	}
	if h.gotSYN {
		h.sendSYN(ClassSYNACK)
	} else {
		h.sendSYN(ClassSYN)
	}
}

// receive takes a packet from the network.
func (h *host) receive(w *wire) {
	h.quiet = h.s.now
	if w.tx != nil && w.tx.arrived == 0 {
		w.tx.arrived = h.s.now
	}
	if w.flags&packet.SYN != 0 {
		h.receiveSYN(w)
		return
	}
	if !h.open {
		if !h.gotSYN || w.ack < 1 {
			return // the server's SYN-ACK is still to come
		}
		h.opened(w)
	}
	if h.stamps && w.lo <= h.lastAckSent && int32(w.tsval-h.tsRecent) >= 0 {
		h.tsRecent = w.tsval
	}
	h.onAck(w)
	h.onData(w)
	h.push()
}

func (h *host) receiveSYN(w *wire) {
	switch {
	case h.gotSYN && w.flags&packet.ACK == 0:
		if w.copied {
			return
		}
		h.sendSYN(ClassSYNACK) // still with the first SYN's time, as Linux does
	case h.gotSYN:
		h.acknowledge(nil) // the handshake's ACK was lost
	default:
		h.gotSYN = true
		h.rcvNxt, h.read = 1, 1
		h.tsRecent = w.tsval
		h.sack = h.cfg.sack && h.peer.cfg.sack
		if w.flags&packet.ACK == 0 {
			h.sendSYN(NumClasses)
			return
		}
		h.stamps = h.cfg.stamps && h.peer.cfg.stamps
		h.opened(w)
		h.acknowledge(nil) // timed as the handshake, not as a round trip of data
		h.push()
	}
}

func (h *host) opened(w *wire) {
	h.open = true
	h.synTimer.stop()
	h.una, h.nxt = 1, max(h.nxt, 1)
	h.offered = max(int64(w.window), 1) // of a SYN not scaled; the next packet tells more
	if h.synTries == 1 {
		h.rttSample(h.s.now - h.synAt)
	}
	if h.cfg.keepAlive > 0 {
		h.alive.set(h.s.now + h.cfg.keepAlive)
	}
	h.connected()
}

func (h *host) keepAlive() {
	if h.finSent || h.finGot {
		return
	}
	if idle := h.s.now - h.quiet; idle < h.cfg.keepAlive || len(h.segs) > 0 || h.end > h.nxt {
		h.alive.set(h.s.now + max(h.cfg.keepAlive-idle, 1e6))
		return
	}
	w := h.packet(packet.ACK)
	w.lo, w.hi = h.nxt-1, h.nxt-1
	w.kept = true
	h.out(w)
	h.alive.set(h.s.now + h.cfg.keepAlive)
}
