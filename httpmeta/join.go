package httpmeta

import "bytes"

// A connection may be joined on its way: neither direction is known from its
// first octet, and what comes first may be the middle of a body, which may hold
// the text of a request. So nothing is believed until both sides agree: a
// request, complete and well-formed, that begins where a side begins to send,
// and a status line with which the other side begins to send then. What one
// side alone said until then is dropped, and counted as Untracked. Which side is
// the client is open as long.

// maxLone bounds how many responses of each class are remembered that nothing
// has borne out yet.
const maxLone = 100

// SidesKnown says that a handshake told which side is the client, though not
// both directions are fed from their first octet; it is called after Reset then.
// Before Close it says that one side alone was recorded: what that said is
// handed out, for nobody else can bear it out.
func (c *Conn) SidesKnown() {
	c.joined = false
	for class, n := range c.lone {
		for range n {
			c.losses.Untracked--
			c.finished = append(c.finished, Exchange{Version: HTTP11, Status: class * 100, GRPC: -1})
		}
	}
	c.lone = [6]uint8{}
}

// Agreed tells whether it is certain that the connection is HTTP, and which side
// is the client.
func (c *Conn) Agreed() bool { return !c.joined }

// Swapped tells, once, that the side that was fed as the client is the server,
// as what they said shows. From then on it is to be fed so. It should be called
// after every Feed and before Next: what would be handed out before is dropped.
func (c *Conn) Swapped() bool {
	swapped := c.swapped
	c.swapped = false
	return swapped
}

// miscast tells whether a head is one that only the other side sends, and may
// be believed.
func (c *Conn) miscast(h *half, b []byte) bool {
	const status = "HTTP/1."
	request := len(b) < len(status) || string(b[:len(status)]) != status
	if request == (h.side == client) || c.h2 != nil {
		return false
	}
	if request && h.served || !request && c.half[server].served {
		return false // who has answered is the server for ever
	}
	var hd head
	return hd.parse(request, b) && hd.strict(request, b)
}

// mayBegin tells whether a head begins with a request or status line, as far
// as it is there: nothing else is kept in wait for its end.
func mayBegin(b []byte) bool {
	n := bytes.IndexByte(b, '\n')
	if n < 0 {
		return true
	}
	var hd head
	line := trim(b[:n])
	return hd.statusLine(line) || hd.requestLine(line) || string(line) == "PRI * HTTP/2.0"
}

// swap makes the client the server, with all that was read of it, and begins
// anew with the other side.
func (c *Conn) swap() {
	c.forget()
	c.half[client], c.half[server] = c.half[server], c.half[client]
	for i := range c.half {
		c.half[i].side = side(i)
	}
	if c.speaker != nobody {
		c.speaker = 1 - c.speaker
	}
	c.swapped = !c.swapped
}

// forget drops the messages that nothing bore out, and what is under way. The
// side that sends goes on with its head.
func (c *Conn) forget() {
	for i := c.first; i < len(c.queue); i++ {
		c.drop(&c.queue[i])
	}
	c.queue, c.first, c.base = c.queue[:0], 0, 0
	c.nextReq, c.nextResp, c.doubt = 0, 0, 0
	c.pipelined, c.suspected, c.replied = false, false, false
	for i := range c.half {
		h := &c.half[i]
		h.body, h.open = 0, false
		if h.side == c.speaker || h.state >= stateTunnel {
			continue
		}
		c.dropBuffer(h)
		h.state, h.trying, h.turned = stateLost, false, false
	}
}

// drop gives up an exchange of which only one side told.
func (c *Conn) drop(e *entry) {
	if !e.gone && (e.Requested || e.Status != 0) {
		c.losses.Untracked++
	}
	e.gone, e.requestDone, e.responseDone = true, true, true
}

// waiting tells whether a request waits for its answer.
func (c *Conn) waiting() bool {
	if c.nextReq == c.nextResp {
		return false
	}
	e := c.slot(c.nextReq - 1)
	return e.Requested && !e.gone
}

// agree tells whether a response that begins a turn of the server bears out
// the request e.
func (c *Conn) agree(h *half, e *entry, final bool) bool {
	if h.turned && e.Requested && !e.Broken && (e.requestDone || !final) {
		c.joined = false
		c.half[client].resumed, c.half[server].resumed = false, false
	}
	return !c.joined
}

// agreeHTTP2 looks at a frame header. Both sides agree on HTTP/2 when the
// client's preface and the SETTINGS with which the server begins (RFC 9113
// section 3.4) were there. It is false where the server begins with another
// frame.
func (c *Conn) agreeHTTP2(h *half, f *half2) bool {
	s := &c.half[server]
	if h == s && !s.served {
		s.served = f.typ() == frameSettings && f.stream() == 0
		if !s.served {
			return false
		}
	}
	if s.served && s.state == stateFrames && c.half[client].state == stateFrames {
		c.joined = false
	}
	return true
}

// strict tells whether the head b, which was parsed into h, is well-formed
// besides: every line is a field, the target has a form of one, and an HTTP/1.1
// request says which host it is for (RFC 9112 section 3.2).
func (h *head) strict(client bool, b []byte) bool {
	for rest := b[bytes.IndexByte(b, '\n')+1:]; len(trim(rest)) > 0; rest = rest[bytes.IndexByte(rest, '\n')+1:] {
		if !isField(rest[:bytes.IndexByte(rest, '\n')]) {
			return false
		}
	}
	return !client || isTarget(h.method, h.target) && (h.version == HTTP10 || h.host != nil && isHost(h.host))
}

// isField tells whether a line is a field or, folded, goes on with one (RFC
// 9112 section 5).
func isField(line []byte) bool {
	for i, c := range line {
		if !isToken(c) {
			return i > 0 && c == ':' || i == 0 && (c == ' ' || c == '\t')
		}
	}
	return false
}

// isTarget tells whether b has one of the forms of a request target (RFC 9112
// section 3.2), in printable characters.
func isTarget(method, b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	switch {
	case len(b) == 0:
		return false
	case string(method) == methodConnect:
		return isHost(b)
	case b[0] == '/', string(b) == "*":
		return true
	}
	authority, _, port := splitTarget("", b)
	return port != "" && isHost(authority)
}

// isHost tells whether b is a host, with or without a port.
func isHost(b []byte) bool {
	var buf [maxHost + len(invalidHost) + 8]byte
	return len(b) <= maxHost && string(appendHost(buf[:0], b, "")) != invalidHost
}
