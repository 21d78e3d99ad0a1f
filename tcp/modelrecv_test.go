package tcp

import (
	"slices"

	"mirrorscope/packet"
)

// receiver is the receiving half of a host.
type receiver struct {
	rcvNxt  int64  // next octet expected
	read    int64  // up to here the application has read
	edge    int64  // right edge of what was offered
	waiting int    // segments that wait for a delayed ACK
	ooo     []span // beyond rcvNxt, rising
	latest  []span // blocks in the order of their latest growth, newest first
	dsack   span   // to report once
	dsackOf *sent  // what brought it
	finAt   int64  // position of the FIN; 0 not known
	finGot  bool
	delayed timer
	reading timer
	told    bool // the last window that was offered was too small to use
}

func (h *host) initReceiver() {
	h.delayed = timer{s: h.s, fire: func() { h.acknowledge(nil) }}
	h.reading = timer{s: h.s, fire: h.readMore}
}

// got is how many payload octets have arrived in order.
func (h *host) got() int64 {
	n := h.rcvNxt - 1
	if h.finGot {
		n--
	}
	return n
}

// offer gives the window field: what the buffer has room for, never less than
// was offered before, and nothing where it is too small to be of use.
func (h *host) offer() uint16 {
	room := h.cfg.buffer - (h.rcvNxt - h.read)
	if room < min(h.cfg.mss, h.cfg.buffer/2) {
		room = 0
	}
	w := min((max(h.edge, h.rcvNxt+room)-h.rcvNxt)>>h.cfg.wscale, 65535)
	h.edge = max(h.edge, h.rcvNxt+w<<h.cfg.wscale)
	h.told = w == 0
	return uint16(w)
}

// blocks writes the SACK option: a DSACK first, then the blocks that grew last.
func (h *host) blocks(w *wire) {
	if !h.sack {
		return
	}
	most := 4
	if h.stamps {
		most = 3
	}
	add := func(b span) {
		if int(w.nsack) < most {
			w.sack[w.nsack] = b
			w.nsack++
		}
	}
	if h.dsack.hi > 0 {
		add(h.dsack)
		w.reports = h.dsackOf
		if h.dsack.lo >= h.rcvNxt { // above the ACK: the block that holds it follows
			for _, b := range h.ooo {
				if b.lo <= h.dsack.lo && h.dsack.hi <= b.hi {
					add(b)
				}
			}
		}
		h.dsack = span{}
	}
	for _, b := range h.latest {
		if b.lo >= h.rcvNxt && !slices.Contains(w.sack[:w.nsack], b) {
			add(b)
		}
	}
}

// acknowledge sends a pure ACK. trigger is what it answers without delay.
func (h *host) acknowledge(trigger *sent) {
	w := h.packet(packet.ACK)
	w.trigger = trigger
	h.out(w)
}

func (h *host) onData(w *wire) {
	if w.hi == w.lo {
		if w.lo < h.rcvNxt {
			h.acknowledge(nil) // a probe, or a keep-alive
		}
		return
	}
	if w.hi > h.edge+1 { // beyond what was offered; the FIN may exceed it
		h.acknowledge(nil)
		return
	}
	if w.flags&packet.FIN != 0 {
		h.finAt = w.hi - 1
	}
	if w.hi <= h.rcvNxt {
		h.duplicate(span{w.lo, w.hi}, w.tx)
		h.acknowledge(nil)
		return
	}
	if w.lo < h.rcvNxt {
		h.duplicate(span{w.lo, h.rcvNxt}, w.tx)
	}
	if w.lo > h.rcvNxt {
		h.outOfOrder(span{w.lo, w.hi}, w.tx)
		h.acknowledge(nil)
		return
	}
	hadHoles := len(h.ooo) > 0
	h.rcvNxt = w.hi
	for len(h.ooo) > 0 && h.ooo[0].lo <= h.rcvNxt {
		h.rcvNxt = max(h.rcvNxt, h.ooo[0].hi)
		h.ooo = h.ooo[1:]
	}
	h.latest = slices.DeleteFunc(h.latest, func(b span) bool { return b.hi <= h.rcvNxt })
	if h.finAt > 0 && h.rcvNxt > h.finAt {
		h.finGot = true
	}
	h.take()
	h.waiting++
	switch {
	case h.waiting == 0:
		// the application answered, and the answer carried the ACK
	case hadHoles || h.dsack.hi > 0 || h.finGot || h.waiting >= 2:
		h.acknowledge(w.tx)
	case !h.delayed.armed:
		h.delayed.set(h.s.now + h.cfg.delack)
	}
	h.readable()
}

func (h *host) duplicate(b span, of *sent) {
	if h.cfg.dsack {
		h.dsack, h.dsackOf = b, of
	}
}

func (h *host) outOfOrder(b span, of *sent) {
	for _, o := range h.ooo {
		if o.lo <= b.lo && b.hi <= o.hi {
			h.duplicate(b, of)
		}
	}
	i := 0
	for i < len(h.ooo) && h.ooo[i].hi < b.lo {
		i++
	}
	j := i
	for j < len(h.ooo) && h.ooo[j].lo <= b.hi {
		b.lo, b.hi = min(b.lo, h.ooo[j].lo), max(b.hi, h.ooo[j].hi)
		j++
	}
	h.ooo = slices.Replace(slices.Clone(h.ooo), i, j, b)
	h.latest = slices.DeleteFunc(h.latest, func(o span) bool { return o.lo >= b.lo && o.hi <= b.hi })
	h.latest = slices.Insert(h.latest, 0, b)
}

// take lets the application read what is there.
func (h *host) take() {
	if h.cfg.readEvery == 0 {
		h.read = h.rcvNxt
	} else if !h.reading.armed {
		h.reading.set(h.s.now + h.cfg.readEvery)
	}
}

func (h *host) readMore() {
	h.read = min(h.read+h.cfg.readChunk, h.rcvNxt)
	if h.told && h.cfg.buffer-(h.rcvNxt-h.read) >= min(2*h.cfg.mss, h.cfg.buffer/2) {
		h.acknowledge(nil) // a window update
	}
	if h.read < h.rcvNxt {
		h.reading.set(h.s.now + h.cfg.readEvery)
	}
}
