package httpmeta

import "bytes"

// request takes the head of a request (RFC 9112 section 3).
func (c *Conn) request(h *half, hd *head) {
	if c.doubt > c.nextResp {
		c.giveUp(c.doubt) // the client has their responses, or it would not go on
	}
	if c.nextReq-c.nextResp >= maxPending {
		c.losses.Untracked++
		c.lose(h)
		return
	}
	if c.joined && !c.waiting() {
		c.forget() // what the server says before it begins to answer is no answer
	}
	skewed := c.unasked(h.headAt)
	if !c.room(h, c.nextReq) {
		return
	}
	e := c.slot(c.nextReq)
	c.nextReq++
	if c.nextReq-c.nextResp > 1 {
		// Where the server has begun to reply, the rest may just be missing.
		c.pipelined = c.pipelined || !c.replied
		c.suspected = true
	}
	c.replied = false
	e.Requested, e.Version = true, hd.version
	e.RequestAt, e.RequestPos = h.headAt, h.headPos
	e.headAt, e.headLast = h.at, h.pos
	e.Broken = e.Broken || h.resumed && c.pipelined || e.answered && e.ResponseAt < e.RequestAt
	e.expect, e.isGRPC = hd.expect, hd.isGRPC
	e.upgrade = hasToken(hd.upgrade, "h2c")
	method := methodName(hd.method)
	host, path, port := splitTarget(method, hd.target)
	if host == nil {
		host, port = hd.host, "80"
	}
	c.intern(&e.Exchange, method, host, path, port)
	h.open = true
	if skewed {
		c.giveUp(c.nextReq)
	}
	switch {
	case hd.chunked:
		c.chunk(h)
	case hd.coded, hd.badLength: // its end cannot be told: RFC 9112 section 6.3
		c.malformed(h)
	case hd.length > 0:
		h.state, h.remain = stateBody, hd.length
	default:
		c.messageEnd(h)
	}
}

// response takes the head of a response and pairs it.
func (c *Conn) response(h *half, hd *head) {
	h.served = h.served || c.joined && h.turned
	if hd.status < 200 && hd.status != 101 { // interim: RFC 9110 section 15.2
		if c.nextResp < c.nextReq {
			e := c.slot(c.nextResp)
			e.continued = e.continued || hd.status == 100
			c.agree(h, e, false)
		}
		h.state = stateStart
		return
	}
	e := c.answered(h)
	if e == nil {
		return
	}
	if !c.agree(h, e, true) {
		e.Status = hd.status
		if e.Requested || hd.status == 101 {
			c.lose(h)
			return
		}
		if !e.gone && c.lone[class(hd.status)] < maxLone {
			c.lone[class(hd.status)]++
		}
		c.drop(e)
		e.responseDone = false
	}
	h.turned = false
	e.answered = true
	e.Version = max(e.Version, hd.version)
	e.Status = hd.status
	e.ResponseAt, e.ResponsePos = h.headAt, h.headPos
	if hd.isGRPC || e.isGRPC {
		e.GRPC = hd.grpcStatus
	}
	h.open = true
	switch {
	case hd.status == 101:
		c.switchProtocols(h, e, hd.upgrade)
		return
	case e.Method == methodConnect && hd.status/100 == 2:
		c.tunnel(h, e, "connect")
		return
	case e.Method == methodHead, hd.status == 204, hd.status == 304, !hd.chunked && !hd.coded && !hd.badLength && hd.length == 0:
		c.messageEnd(h)
		return
	case hd.chunked:
		c.chunk(h)
	case hd.coded:
		h.state = stateUntilClose
	case hd.badLength:
		c.malformed(h)
		return
	case hd.length > 0:
		h.state, h.remain = stateBody, hd.length
	default:
		h.state = stateUntilClose
	}
	if !e.Requested {
		c.peek(h)
	}
}

// answered gives the exchange that a final response belongs to. Where that is
// not certain, it is one without a request. It is nil where there is no room.
func (c *Conn) answered(h *half) *entry {
	if c.doubt > c.nextResp && (c.nextReq-c.nextResp != 1 || c.half[client].state == stateLost) {
		// No request came since the server's octets were missed. If one alone
		// waits, this answers it; it is marked Broken already.
		c.giveUp(c.nextReq)
	}
	if h.resumed && !c.joined && (c.pipelined || c.suspected) {
		c.giveUp(c.nextReq) // this may be an answer to an earlier one
		c.suspected = false
	}
	const maxEarly = 64
	if c.nextResp-c.base > maxEarly && !c.queue[c.first].done() {
		// They wait behind a request that does not end, although it was answered.
		c.losses.Untracked++
		c.lose(h)
		return nil
	}
	if !c.room(h, c.nextResp) {
		return nil
	}
	switch {
	case c.nextResp < c.nextReq:
	case c.whole && c.nextResp-c.nextReq < maxEarly:
	default:
		c.notAsked()
		c.slot(c.nextResp).requestDone = true
		c.nextReq = c.nextResp + 1
	}
	return c.slot(c.nextResp)
}

// maxAhead is how long before its request a response may be recorded, in ns,
// where mirrors deliver the directions by different ways.
const maxAhead = 3e6

// unasked ends the responses that were recorded before a request that begins at
// the given time, and are not its: a server tells a client that is idle 408
// (Request Timeout, RFC 9110 section 15.5.9), and nothing is skewed by more than
// maxAhead. If something is, this request may have its response among them:
// skewed says so.
func (c *Conn) unasked(at int64) (skewed bool) {
	if c.nextReq >= c.nextResp || c.half[server].open {
		return false
	}
	const timeout = 408
	first := c.slot(c.nextReq)
	skewed = first.Status != timeout
	if skewed && at-first.ResponseAt <= maxAhead {
		return false
	}
	c.notAsked()
	return skewed
}

// giveUp ends the exchanges below an ordinal whose response was not recorded.
func (c *Conn) giveUp(ordinal int64) {
	for ; c.nextResp < ordinal; c.nextResp++ {
		e := c.slot(c.nextResp)
		e.Broken, e.responseDone = true, true
		if c.joined {
			c.drop(e)
		}
	}
}

// messageEnd ends a message with the octet before h.pos.
func (c *Conn) messageEnd(h *half) {
	c.flush(h)
	h.open, h.turned = false, false
	h.state = stateStart
	if h.side == client {
		e := c.slot(c.nextReq - 1)
		e.RequestEnd, e.RequestLast = h.at, h.pos
		e.requestDone = true
		return
	}
	e := c.slot(c.nextResp)
	e.ResponseEnd = h.at
	e.responseDone = true
	c.nextResp++
	if c.nextResp < c.nextReq && h.at != 0 {
		c.pipelined = true // the next request came before this end
	}
}

// responseEnd ends a response whose body the end of the connection delimits.
func (c *Conn) responseEnd(h *half) { c.messageEnd(h) }

// flush adds what came of a body to its exchange.
func (c *Conn) flush(h *half) {
	switch {
	case !h.open:
	case h.side == client:
		c.slot(c.nextReq - 1).RequestBytes += h.body
	default:
		c.slot(c.nextResp).ResponseBytes += h.body
	}
	h.body = 0
}

// lose gives a direction up until it may begin anew.
func (c *Conn) lose(h *half) {
	c.flush(h)
	c.dropBuffer(h)
	switch h.state {
	case stateTunnel, stateDead:
		return
	case stateFrames, statePreface:
		c.loseFrames(h)
		return
	}
	open := h.open
	h.state, h.open, h.trying, h.turned = stateLost, false, false, false
	if c.joined {
		c.forget()
		return
	}
	if h.side == client {
		if open {
			c.slot(c.nextReq - 1).requestDone = true
		}
		c.notWhole()
		return
	}
	if open {
		c.slot(c.nextResp).responseDone = true
		c.nextResp++
	}
	c.notWhole()
	for i := c.nextResp; i < c.nextReq; i++ {
		c.slot(i).Broken = true
	}
	c.doubt = c.nextReq
}

// notWhole says that messages may be missing: numbers no longer tell which
// request a response without one belongs to.
func (c *Conn) notWhole() {
	c.whole = false
	c.notAsked()
}

// notAsked ends the responses that are ahead of their requests, as ones without.
func (c *Conn) notAsked() {
	end := c.nextResp
	if c.half[server].open {
		end++
	}
	for ; c.nextReq < end; c.nextReq++ {
		c.slot(c.nextReq).requestDone = true
	}
}

// neverSent sets the end of a request whose client waited for 100 (Continue)
// and sent no body: it is that of the head.
func (c *Conn) neverSent(e *entry) {
	if e.expect && !e.continued && e.RequestBytes == 0 {
		e.RequestEnd, e.RequestLast = e.headAt, e.headLast
	}
}

const maxProtocol = 32 // octets of the name of a protocol that is upgraded to

// switchProtocols follows a 101 (RFC 9110 section 15.2.2).
func (c *Conn) switchProtocols(h *half, e *entry, upgrade []byte) {
	name, _, _ := bytes.Cut(upgrade, []byte(","))
	name = bytes.ToLower(trim(name))
	for _, ch := range name {
		if !isToken(ch) && ch != '/' {
			name = nil
			break
		}
	}
	switch {
	case string(name) == "h2c" && e.upgrade && e.requestDone:
		c.upgradeHTTP2(h, e)
	case len(name) == 0 || len(name) > maxProtocol:
		c.tunnel(h, e, "unknown")
	default:
		c.tunnel(h, e, c.shared.name(name))
	}
}

// tunnel ends HTTP on the connection, with the response of e.
func (c *Conn) tunnel(h *half, e *entry, protocol string) {
	e.Upgraded = protocol
	c.upgraded = protocol
	c.upgradedPos = [2]int64{-1, h.pos}
	if e.requestDone && e.Requested {
		c.upgradedPos[client] = e.RequestLast
	}
	o := &c.half[client]
	c.flush(o)
	c.dropBuffer(o)
	o.state = stateTunnel
	e.requestDone = true
	c.messageEnd(h)
	h.state = stateTunnel
	c.dropRequests()
}

// dropRequests forgets what was taken for requests behind the one that ended
// HTTP/1.
func (c *Conn) dropRequests() {
	c.half[client].open = false
	for ; c.nextResp < c.nextReq; c.nextResp++ {
		e := c.slot(c.nextResp)
		e.gone, e.requestDone, e.responseDone = true, true, true
	}
}

// hasToken tells whether a list has a token, in lower case, in it.
func hasToken(list []byte, token string) bool {
	for v := range bytes.SplitSeq(list, []byte(",")) {
		if fold(trim(v), token) {
			return true
		}
	}
	return false
}
