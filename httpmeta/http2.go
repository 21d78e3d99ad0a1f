package httpmeta

import "encoding/binary"

const frameHeader = 9 // octets: RFC 9113 section 4.1

// Types of frames (RFC 9113 section 6).
const (
	frameData         = 0
	frameHeaders      = 1
	frameRSTStream    = 3
	frameSettings     = 4
	framePushPromise  = 5
	frameGoAway       = 7
	frameContinuation = 9
)

// Flags of frames.
const (
	flagEndStream  = 0x01
	flagEndHeaders = 0x04
	flagPadded     = 0x08
	flagPriority   = 0x20
)

const (
	maxStreams    = 256      // open at a time that are followed
	maxTable      = 64 << 10 // octets of a dynamic table: RFC 7541 section 4.2
	initialTable  = 4096     // RFC 9113 section 6.5.2
	maxFieldsRead = 1024     // of a header block; those behind only keep HPACK's state
)

// http2 is the part of a Conn that HTTP/2 needs.
type http2 struct {
	half    [2]half2
	streams []*entry // that are open, in order of appearance
	byID    []*entry // the same, in order of their identifiers: each frame asks for one
	over    int      // of those, how many have entry.responseDone
	free    []*entry
	charged int                           // octets taken for streams and free
	last    uint32                        // highest stream of the client
	opened  uint32                        // streams so far
	away    struct{ last, opened uint32 } // the latest GOAWAY that was looked at, and opened then
}

// half2 is one direction of HTTP/2.
type half2 struct {
	stage stage
	hdr   [frameHeader]byte
	n     int   // octets of hdr, or of pre
	left  int64 // octets of the frame to come
	need  int   // octets of pre
	pre   [8]byte
	frag  int64 // octets of the header block fragment to come
	pad   int64 // octets of padding at the frame's end
	at    int64 // of the frame's first octet
	pos   int64

	inBlock  bool // between HEADERS or PUSH_PROMISE and the end of its header block
	id       uint32
	end      bool // the HEADERS frame ends the stream
	push     bool
	blockAt  int64 // of the HEADERS frame's first octet
	blockPos int64
	size     int    // octets of the header block so far
	buf      []byte // of a header block that is incomplete, out of the budget

	reader   fieldReader
	table    int // octets taken for its dynamic table
	poisoned bool
	fields   fields
}

// stage of a frame.
type stage uint8

const (
	stageHeader   stage = iota
	stagePrefix         // fields before the payload proper
	stageFragment       // of a header block
	stageSkip
)

// fields are those of a header block that are of use.
type fields struct {
	n                     int    // that were read
	isMethod              bool   // there is a method
	method                string // its name
	port                  string // that the authority may leave out
	text                  []byte // of the spans, out of the budget
	authority, host, path span   // no octets: none
	cut                   bool   // there was no room for text
	status                int    // 0 none
	isGRPC, saysGRPC      bool
	grpc                  int // grpc-status; negative: none that can be read
}

// span is a part of fields.text.
type span struct{ from, to int }

func (d *fields) of(s span) []byte { return d.text[s.from:s.to] }

func (f *half2) typ() byte        { return f.hdr[3] }
func (f *half2) flag(b byte) bool { return f.hdr[4]&b != 0 }
func (f *half2) stream() uint32   { return binary.BigEndian.Uint32(f.hdr[5:]) & (1<<31 - 1) }

// mayBeHTTP2 tells whether the client's preface is in place: at its start, or
// behind a request to upgrade.
func (c *Conn) mayBeHTTP2() bool {
	if c.h2 != nil {
		return true
	}
	if c.nextReq == 0 {
		return !c.half[client].resumed && c.nextResp == 0
	}
	return c.nextReq > c.base && c.slot(c.nextReq-1).upgrade
}

// startHTTP2 readies the connection for frames. The server's are expected at
// its start, or behind a 101.
func (c *Conn) startHTTP2() {
	if c.h2 == nil {
		c.h2 = &http2{}
		for i := range c.h2.half {
			c.h2.half[i].reader.table.max = initialTable
		}
	}
	if s := &c.half[server]; s.state == stateStart && c.nextReq == 0 {
		s.state = stateFrames
	}
}

// upgradeHTTP2 goes on as HTTP/2 behind the 101 that answers e. The response
// to e comes on stream 1 (RFC 7540 section 3.2).
func (c *Conn) upgradeHTTP2(h *half, e *entry) {
	c.startHTTP2()
	s := c.h2.find(1)
	if s == nil {
		s = c.openStream(1)
	}
	if s != nil {
		if s.responseDone {
			c.h2.over--
		}
		*s = *e
		s.stream, s.responseDone = 1, false
		s.answered, s.Status, s.ResponseAt, s.ResponsePos, s.Upgraded = false, 0, 0, 0, "h2c"
	}
	c.h2.last = max(c.h2.last, 1)
	e.gone = true
	c.messageEnd(h)
	c.dropRequests()
	h.state = stateFrames
	if o := &c.half[client]; o.state == stateStart {
		o.state, o.line = statePreface, 0
	}
}

// preface reads the rest of the client's preface.
func (c *Conn) preface(h *half, b []byte) int {
	for i, ch := range b {
		if ch != preface[h.line] {
			c.malformed(h)
			return i + 1
		}
		if h.line++; h.line == len(preface) {
			h.state = stateFrames
			return i + 1
		}
	}
	return len(b)
}

// frames walks frames in place.
func (c *Conn) frames(h *half, b []byte) int {
	f := &c.h2.half[h.side]
	var n int
	switch f.stage {
	case stageHeader:
		if f.n == 0 {
			f.at, f.pos = h.at, h.pos
		}
		n = copy(f.hdr[f.n:], b)
		f.n += n
		h.pos += int64(n)
		if f.n < frameHeader {
			return n
		}
		if c.joined && !c.agreeHTTP2(h, f) || !c.frameBegins(f) {
			c.malformed(h)
			return n
		}
	case stagePrefix:
		n = copy(f.pre[f.n:f.need], b)
		f.n += n
		f.left -= int64(n)
		h.pos += int64(n)
		if f.n == f.need && !c.prefixDone(f) {
			c.malformed(h)
			return n
		}
	case stageFragment:
		n = int(min(f.frag, int64(len(b))))
		f.frag -= int64(n)
		f.left -= int64(n)
		h.pos += int64(n)
		c.fragment(f, b[:n])
	case stageSkip:
		n = int(min(f.left, int64(len(b))))
		f.left -= int64(n)
		h.pos += int64(n)
	}
	if f.left == 0 && f.stage != stageHeader {
		c.frameEnds(h, f)
	}
	return n
}

// frameBegins looks at a frame header. It is false where the frame cannot
// stand here.
func (c *Conn) frameBegins(f *half2) bool {
	f.left = int64(f.hdr[0])<<16 | int64(f.hdr[1])<<8 | int64(f.hdr[2])
	f.need, f.n = 0, 0
	f.stage = stageSkip
	if f.inBlock != (f.typ() == frameContinuation) || f.inBlock && f.stream() != f.id {
		return false // RFC 9113 section 6.10
	}
	switch f.typ() {
	case frameData, frameHeaders, framePushPromise, frameRSTStream:
		if f.stream() == 0 {
			return false
		}
	}
	if f.flag(flagPadded) && (f.typ() == frameData || f.typ() == frameHeaders || f.typ() == framePushPromise) {
		f.need = 1
	}
	switch f.typ() {
	case frameHeaders:
		if f.flag(flagPriority) {
			f.need += 5
		}
		f.blockBegins(f.flag(flagEndStream), false)
	case framePushPromise:
		f.need += 4
		f.blockBegins(false, true)
	case frameRSTStream:
		f.need = 4
	case frameGoAway:
		f.need = 8
	}
	switch {
	case int64(f.need) > f.left:
		return false
	case f.need > 0:
		f.stage = stagePrefix
		return true
	}
	return c.prefixDone(f)
}

func (f *half2) blockBegins(end, push bool) {
	f.inBlock, f.id, f.end, f.push = true, f.stream(), end, push
	f.blockAt, f.blockPos, f.size = f.at, f.pos, 0
}

// prefixDone goes on behind the fields before the payload proper. It is false
// where the padding is longer than the frame.
func (c *Conn) prefixDone(f *half2) bool {
	f.stage = stageSkip
	f.pad = 0
	if f.need > 0 && f.flag(flagPadded) && f.typ() != frameRSTStream && f.typ() != frameGoAway {
		f.pad = int64(f.pre[0])
	}
	if f.pad > f.left {
		return false
	}
	if f.inBlock {
		f.frag = f.left - f.pad
		f.stage = stageFragment
		if f.frag == 0 {
			c.fragment(f, nil)
		}
	} else if f.typ() == frameData {
		c.h2.data(f, f.left-f.pad)
	}
	return true
}
