package httpmeta

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// data counts octets of a DATA frame.
func (h *http2) data(f *half2, n int64) {
	e := h.find(f.stream())
	switch {
	case e == nil:
	case f == &h.half[client]:
		if e.Requested { // else its octets are of no request that is known
			e.RequestBytes = max(e.RequestBytes+n, 0)
		}
	default:
		e.ResponseBytes = max(e.ResponseBytes+n, 0) // the frame may have begun before its stream was known
	}
}

// uncounted takes back what did not come of a DATA frame.
func (h *http2) uncounted(f *half2) {
	if f.stage == stageSkip && f.typ() == frameData {
		h.data(f, -max(0, f.left-f.pad))
		f.left = min(f.left, f.pad)
	}
}

// frameEnds acts on a frame that is complete.
func (c *Conn) frameEnds(h *half, f *half2) {
	f.stage, f.n = stageHeader, 0
	switch f.typ() {
	case frameData:
		if f.flag(flagEndStream) {
			c.streamEnds(h, f.stream())
		}
	case frameHeaders, frameContinuation, framePushPromise:
		if f.inBlock && f.flag(flagEndHeaders) {
			f.inBlock = false
			c.headers(h, f)
			f.forgetFields(c.shared)
		}
	case frameRSTStream:
		if e := c.h2.find(f.stream()); e != nil {
			c.finish(e)
		}
	case frameGoAway:
		if f.need == 8 {
			c.goAway(h, binary.BigEndian.Uint32(f.pre[:])&(1<<31-1))
		}
	}
}

// headers acts on a header block that is complete. Pushed streams, whose
// numbers are even, are not followed: nobody asked for them.
func (c *Conn) headers(h *half, f *half2) {
	if f.push || f.id%2 == 0 {
		return
	}
	if h.side == client {
		c.requestHeaders(f)
	} else {
		c.responseHeaders(f)
	}
	if f.end {
		c.streamEnds(h, f.id)
	}
}

func (c *Conn) requestHeaders(f *half2) {
	e := c.h2.find(f.id)
	switch {
	case e == nil && f.id <= c.h2.last, e != nil && e.Requested:
		return // trailers, or a stream that is over
	case e == nil:
		e = c.openStream(f.id)
	}
	c.h2.last = max(c.h2.last, f.id)
	if e == nil {
		return
	}
	e.Requested, e.Version = true, HTTP2
	e.RequestAt, e.RequestPos = f.blockAt, f.blockPos
	d := &f.fields
	if c.half[server].state == stateDead {
		e.Broken = true
		c.h2.responseEnds(e)
	}
	if !d.isMethod {
		return
	}
	e.isGRPC = d.isGRPC
	host := d.of(d.authority)
	if len(host) == 0 {
		host = d.of(d.host)
	}
	_, path, _ := splitTarget("", d.of(d.path)) // CONNECT has one too where it is extended (RFC 8441)
	c.intern(&e.Exchange, d.method, host, path, d.port)
}

func (c *Conn) responseHeaders(f *half2) {
	d := &f.fields
	status := d.status
	e := c.h2.find(f.id)
	switch {
	case e != nil:
	case f.id <= c.h2.last, status == 0, interim(status, f.end):
		return // a stream that is over, or one of which nothing is known
	default:
		// Recorded before its request, or that was not recorded.
		if e = c.openStream(f.id); e == nil {
			return
		}
		e.requestDone = c.half[client].state == stateDead
	}
	switch {
	case f.poisoned:
		e.Broken = e.Broken || !e.answered
		return
	case !e.answered && interim(status, f.end):
		return
	case !e.answered && status != 0:
		e.answered = true
		e.Status, e.Version = status, HTTP2
		e.ResponseAt, e.ResponsePos = f.blockAt, f.blockPos
		e.isGRPC = e.isGRPC || d.isGRPC
	}
	if e.isGRPC && d.saysGRPC {
		e.GRPC = d.grpc
	}
}

// interim tells whether a status, which ends the stream or not, is that of an
// interim response (RFC 9113 section 8.1).
func interim(status int, end bool) bool { return status/100 == 1 && !end }

// streamEnds follows END_STREAM.
func (c *Conn) streamEnds(h *half, id uint32) {
	e := c.h2.find(id)
	switch {
	case e == nil:
		return
	case h.side == client && !e.requestDone:
		e.requestDone = true
		if e.Requested {
			e.RequestEnd, e.RequestLast = h.at, h.pos
		}
	case h.side == server && !e.responseDone:
		c.h2.responseEnds(e)
		e.ResponseEnd = h.at
	}
	if e.done() {
		c.finish(e)
	}
}

// goAway ends the streams that the server will not look at.
func (c *Conn) goAway(h *half, last uint32) {
	if h.side != server {
		return
	}
	h2 := c.h2
	leaves := func(e *entry) bool { return e.stream > last && !e.answered }
	// A server may say so in every frame. Each stream is looked at only where one leaves, and
	// those beyond what it said before only if one was opened since.
	from, _ := h2.place(last + 1)
	to, before := len(h2.byID), h2.away
	h2.away.last, h2.away.opened = last, h2.opened
	if before.opened == h2.opened {
		to, _ = h2.place(before.last + 1)
		h2.away.last = min(last, before.last)
	}
	if from >= to || !slices.ContainsFunc(h2.byID[from:to], leaves) {
		return
	}
	for i := 0; i < len(h2.streams); {
		if e := h2.streams[i]; leaves(e) {
			c.finish(e) // which takes it out
		} else {
			i++
		}
	}
}

// openStream adds a stream of the client, nil where there is no room. A
// stream that is answered, of which only the request's end is missing, has to
// leave first.
func (c *Conn) openStream(id uint32) *entry {
	h := c.h2
	if len(h.streams) >= maxStreams && h.over > 0 {
		c.finish(h.streams[slices.IndexFunc(h.streams, func(e *entry) bool { return e.responseDone })])
	}
	if len(h.streams) >= maxStreams {
		c.losses.Untracked++
		return nil
	}
	var e *entry
	if n := len(h.free); n > 0 {
		e, h.free = h.free[n-1], h.free[:n-1]
	} else if c.shared.take(entrySize) {
		h.charged += entrySize
		e = &entry{}
	} else {
		c.losses.NoMemory++
		return nil
	}
	*e = entry{Exchange: Exchange{GRPC: -1}, stream: id}
	h.opened++
	h.streams = append(h.streams, e)
	i, _ := h.place(id)
	h.byID = slices.Insert(h.byID, i, e)
	return e
}

// place is where a stream is in byID, or would be.
func (h *http2) place(id uint32) (i int, found bool) {
	return slices.BinarySearchFunc(h.byID, id, func(e *entry, id uint32) int { return cmp.Compare(e.stream, id) })
}

func (h *http2) find(id uint32) *entry {
	if i, ok := h.place(id); ok {
		return h.byID[i]
	}
	return nil
}

// responseEnds notes that nothing more of the response of a stream that is open will come.
func (h *http2) responseEnds(e *entry) {
	if !e.responseDone {
		e.responseDone = true
		h.over++
	}
}

// finish hands out a stream as it is.
func (c *Conn) finish(e *entry) {
	h := c.h2
	for j := range h.half {
		if h.half[j].stream() == e.stream {
			h.uncounted(&h.half[j])
		}
	}
	i := slices.Index(h.streams, e)
	h.streams = slices.Delete(h.streams, i, i+1)
	i, _ = h.place(e.stream)
	h.byID = slices.Delete(h.byID, i, i+1)
	if e.responseDone {
		h.over--
	}
	h.free = append(h.free, e)

	e.Broken = e.Broken || !e.answered && c.mayHaveAnswered()
	if c.joined || c.swapped {
		c.drop(e)
		return
	}
	c.finished = append(c.finished, e.Exchange)
}

// closeStreams hands out all that are open.
func (c *Conn) closeStreams() {
	for len(c.h2.streams) > 0 {
		c.finish(c.h2.streams[0])
	}
}

// loseFrames gives a direction up for good: where the next frame begins is not
// known.
func (c *Conn) loseFrames(h *half) {
	f := &c.h2.half[h.side]
	c.h2.uncounted(f)
	f.forget(c.shared)
	h.state = stateDead
	for _, e := range slices.Clone(c.h2.streams) {
		if h.side == client {
			e.requestDone = true
		} else {
			c.h2.responseEnds(e)
			e.Broken = e.Broken || !e.answered
		}
		if e.done() {
			c.finish(e)
		}
	}
}

// stepOverFrame passes over n octets that were not recorded. It is false where
// they are more than the rest of a frame.
func (c *Conn) stepOverFrame(h *half, n int64) bool {
	f := &c.h2.half[h.side]
	if f.stage == stageHeader || n > f.left {
		return false
	}
	if f.inBlock && f.stage != stageSkip {
		c.poison(f)
		f.need = 0
	}
	if f.stage == stagePrefix {
		f.need = 0 // what the frame says is not known
		if f.typ() == frameData {
			f.pad = 0
			c.h2.data(f, f.left)
		}
	}
	f.stage = stageSkip
	f.left -= n
	h.pos += n
	if f.left == 0 {
		c.frameEnds(h, f)
	}
	return true
}

// release gives back what both directions hold out of the budget.
func (h *http2) release(s *Shared) {
	for i := range h.half {
		h.half[i].forget(s)
	}
	s.give(h.charged)
	h.charged = 0
}
