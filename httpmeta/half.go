package httpmeta

// state is what a direction sends next.
type state uint8

const (
	stateStart      state = iota // a message
	stateHead                    // the rest of a head
	stateBody                    // half.remain octets of a body
	stateUntilClose              // a body that ends with the connection
	stateChunkSize               // the line before a chunk
	stateChunkData               // half.remain octets of a chunk
	stateChunkEnd                // the line end behind a chunk
	stateTrailer                 // trailer fields, up to an empty line
	statePeek                    // a body, or a head in its place: see Conn.peek
	stateLost                    // passed over until a turn
	stateTunnel                  // no longer HTTP
	statePreface                 // the rest of the HTTP/2 preface
	stateFrames                  // HTTP/2
	stateDead                    // HTTP/2 whose frames were lost
)

// half is one direction of a connection.
type half struct {
	side    side
	state   state
	started bool // pos is known
	open    bool // in a message of HTTP/1, behind its head
	trying  bool // was lost, and a head may begin
	resumed bool // was lost once
	ext     bool // in a chunk-size line, behind the size

	pos int64 // of the next octet
	at  int64 // record time of the octets being read

	headAt, headPos int64  // of the first octet of the head
	endAt           int64  // of the last octet of the head
	buf             []byte // of a head that is incomplete, out of the budget

	body   int64 // octets of the body that were not added to the exchange yet
	remain int64 // octets of the body or chunk
	line   int   // octets of the chunk-size line, the trailer line or the preface so far
	digits int   // of the chunk size
	total  int   // octets of the trailer section

	peeked          [16]byte
	npeek           int
	peekAt, peekPos int64
	after           state // the body's, if the octets peeked at are no head

	turned bool // what is read began where the side began to send, in answer to the other
	served bool // a status line did so, before both sides agreed
}

// bodyBegins tells whether the next octet is the first behind the head of a
// message with a body.
func (h *half) bodyBegins() bool {
	return h.state == stateBody && h.body == 0 || h.state == stateChunkSize && h.body == 0 && h.line == 0
}

// step uses octets of b, of which there is one at least, and tells how many.
// Where it uses none, the state is another.
func (c *Conn) step(h *half, b []byte) int {
	switch h.state {
	case stateBody, stateChunkData:
		n := int(min(h.remain, int64(len(b))))
		h.remain -= int64(n)
		h.body += int64(n)
		h.pos += int64(n)
		if h.remain == 0 {
			c.bodyDone(h)
		}
		return n
	case stateUntilClose:
		h.body += int64(len(b))
		return len(b)
	case stateFrames:
		return c.frames(h, b)
	case stateStart:
		return c.start(h, b)
	case stateHead:
		return c.head(h, b)
	case stateChunkSize:
		return c.chunkSize(h, b)
	case stateChunkEnd:
		switch b[0] {
		case '\n':
			c.chunk(h)
		case '\r':
		default:
			c.malformed(h)
		}
		return 1
	case stateTrailer:
		return c.trailer(h, b)
	case statePeek:
		return c.look(h, b)
	case statePreface:
		return c.preface(h, b)
	}
	return len(b) // lost, dead, or a tunnel
}

// bodyDone ends a body of known length or a chunk.
func (c *Conn) bodyDone(h *half) {
	if h.state == stateChunkData {
		h.state = stateChunkEnd
	} else {
		c.messageEnd(h)
	}
}

// start waits for the first octet of a message. Empty lines before it are
// passed over (RFC 9112 section 2.2).
func (c *Conn) start(h *half, b []byte) int {
	if b[0] == '\r' || b[0] == '\n' {
		return 1
	}
	if b[0] == 0 && h.side == server && c.nextReq == 0 && c.nextResp == 0 && !h.resumed {
		c.startHTTP2()
		h.state = stateFrames
		return 0
	}
	h.headAt, h.headPos = h.at, h.pos
	h.state = stateHead
	return 0
}

// head reads a head: in place where all of it is there, else from a copy.
func (c *Conn) head(h *half, b []byte) int {
	had := len(h.buf)
	if had > 0 {
		whole := b
		if b = b[:min(len(b), maxHead-had)]; !c.keepHead(h, b) {
			return len(whole)
		}
		b = h.buf
	}
	if begin := b[:min(len(b), maxMethod+1)]; had <= maxMethod && !plausible(h.side == client, begin) && (!c.joined || !plausible(h.side != client, begin)) {
		c.malformed(h)
		return len(b) - had
	}
	end := headEnd(b, max(0, had-2))
	switch {
	case c.joined && !mayBegin(b):
		c.malformed(h)
		return len(b) - had
	case end < 0 && len(b) >= maxHead, end > maxHead:
		c.losses.TooLong++
		c.lose(h)
		return len(b) - had
	case end > 0 && c.joined && c.miscast(h, b[:end]):
		h.buf = h.buf[:had]
		c.swap()
		return 0
	case end > 0:
		h.pos += int64(end - had)
		c.headDone(h, b[:end])
		c.dropBuffer(h)
		return end - had
	case had == 0:
		c.keepHead(h, b)
	}
	return len(b) - had
}

// keepHead keeps octets of a head that is incomplete.
func (c *Conn) keepHead(h *half, b []byte) bool {
	var ok bool
	if h.buf, ok = c.shared.extend(h.buf, b); !ok {
		c.losses.NoMemory++
		c.lose(h)
	}
	return ok
}

func (c *Conn) dropBuffer(h *half) {
	if h.buf != nil {
		c.shared.release(h.buf)
		h.buf = nil
	}
}

// headDone reads a head that is complete.
func (c *Conn) headDone(h *half, b []byte) {
	const pri = "PRI * HTTP/2.0\r\n\r\n"
	if h.side == client && string(b) == pri && c.mayBeHTTP2() {
		c.startHTTP2()
		h.state, h.line, h.trying = statePreface, len(pri), false
		return
	}
	var hd head
	if c.h2 != nil && (h.side == client || c.nextResp == c.nextReq) || !hd.parse(h.side == client, b) ||
		(c.joined || h.trying) && !hd.strict(h.side == client, b) {
		c.malformed(h)
		return
	}
	h.trying = false
	h.endAt = h.at
	if h.side == client {
		c.request(h, &hd)
	} else {
		c.response(h, &hd)
	}
}

// maxLine bounds a chunk-size line with its extensions, in octets.
const maxLine = 4 << 10

// chunk begins a chunk (RFC 9112 section 7.1).
func (c *Conn) chunk(h *half) {
	h.state, h.remain, h.digits, h.line, h.ext = stateChunkSize, 0, 0, 0, false
}

func (c *Conn) chunkSize(h *half, b []byte) int {
	for i, ch := range b {
		h.line++
		v := unhex(ch)
		switch {
		case h.line > maxLine, ch == '\n' && h.digits == 0:
			c.malformed(h)
			return i + 1
		case ch == '\n' && h.remain == 0:
			h.state, h.line, h.total = stateTrailer, 0, 0
			return i + 1
		case ch == '\n':
			h.state = stateChunkData
			return i + 1
		case h.ext:
		case v >= 0 && h.remain < 1<<56:
			h.remain = h.remain<<4 | int64(v)
			h.digits++
		case h.digits > 0 && (ch == ';' || isSpace(ch)):
			h.ext = true
		default:
			c.malformed(h)
			return i + 1
		}
	}
	return len(b)
}

func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// trailer passes over trailer fields, up to the empty line.
func (c *Conn) trailer(h *half, b []byte) int {
	for i, ch := range b {
		switch h.total++; {
		case ch == '\n' && h.line == 0:
			h.pos += int64(i + 1)
			c.messageEnd(h)
			return i + 1
		case h.total > maxHead:
			c.malformed(h)
			return i + 1
		case ch == '\n':
			h.line = 0
		case ch != '\r':
			h.line++
		}
	}
	return len(b)
}

// peek reads the next octets of a body as what may be a head instead: the body
// of a response may be absent where it is not known that HEAD was asked, that
// of a request where the client waited for 100 (Continue) and did not get it.
func (c *Conn) peek(h *half) {
	h.state, h.after, h.npeek = statePeek, h.state, 0
}

func (c *Conn) look(h *half, b []byte) int {
	want := ServerHTTP1
	if h.side == client {
		want = ClientHTTP1
	}
	for i := range b {
		if h.npeek == 0 {
			h.peekAt, h.peekPos = h.at, h.pos+int64(i)
		}
		h.peeked[h.npeek] = b[i]
		h.npeek++
		verdict := Probe(h.peeked[:h.npeek])
		if verdict == NeedMore && h.npeek < len(h.peeked) && (h.after != stateBody || int64(h.npeek) < h.remain) {
			continue
		}
		peeked := h.peeked
		octets := peeked[:h.npeek]
		h.npeek = 0
		h.pos = h.peekPos
		if verdict != want {
			h.state = h.after
			c.consume(h, octets)
			return i + 1
		}
		at := h.at
		h.at = h.endAt
		c.messageEnd(h)
		h.at = at
		h.state, h.headAt, h.headPos = stateHead, h.peekAt, h.peekPos
		c.consume(h, octets)
		return i + 1
	}
	return len(b)
}

// stepOver passes over n octets that were not recorded. It is false where they
// may hold more than a body.
func (c *Conn) stepOver(h *half, n int64) bool {
	switch h.state {
	case stateBody, stateChunkData:
		if n > h.remain {
			return false
		}
		h.remain -= n
		h.body += n
		h.pos += n
		if h.remain == 0 {
			c.bodyDone(h)
		}
		return true
	case stateUntilClose:
		h.body += n
		h.pos += n
		return true
	case stateTunnel:
		h.pos += n
		return true
	case stateFrames:
		return c.stepOverFrame(h, n)
	}
	return false
}

func (c *Conn) malformed(h *half) {
	if !h.trying {
		c.losses.Malformed++
	}
	c.lose(h)
}
