package httpmeta

import (
	"bytes"
	"math"
	"strings"
)

// maxHead bounds a head, and a header block of HTTP/2, in octets.
const maxHead = 64 << 10

// Methods that say how long a message is.
const (
	methodHead    = "HEAD"
	methodConnect = "CONNECT"
)

// head is what is read of a request's or a response's head. Its slices alias
// the octets parsed.
type head struct {
	version        Version
	method, target []byte // of a request
	status         int    // of a response

	host       []byte
	length     int64 // Content-Length; -1: none
	badLength  bool  // it cannot be read, or there are several that differ
	chunked    bool  // the last transfer coding
	coded      bool  // there is another transfer coding, and the last is not chunked
	expect     bool  // 100-continue
	upgrade    []byte
	isGRPC     bool
	grpcStatus int // -1: none
}

// headEnd gives the index behind the empty line that ends a head, -1 where b
// does not hold it. Lines end in LF or CRLF (RFC 9112 section 2.2). It looks
// from octet from on.
func headEnd(b []byte, from int) int {
	for i := from; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		switch {
		case i < len(b) && b[i] == '\n':
			return i + 1
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i + 2
		}
	}
}

// plausible tells whether the first octets of a head, as far as they are there,
// can be one, so that nothing else is kept in wait for its end.
func plausible(client bool, b []byte) bool {
	if !client {
		const want = "HTTP/1."
		n := min(len(b), len(want))
		return string(b[:n]) == want[:n]
	}
	for i, c := range b {
		switch {
		case c == ' ' || c == '\t':
			return i > 0
		case i >= maxMethod || !isToken(c):
			return false
		}
	}
	return true
}

// isToken tells whether c may stand in a token (RFC 9110 section 5.6.2).
func isToken(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// parse reads a head, which ends in its empty line. It is false where the
// first line is not HTTP's. Lines that are no fields are passed over.
func (h *head) parse(client bool, b []byte) bool {
	*h = head{length: -1, grpcStatus: -1}
	n := bytes.IndexByte(b, '\n') + 1
	line, rest := trim(b[:n]), b[n:]
	if client && !h.requestLine(line) || !client && !h.statusLine(line) {
		return false
	}
	for len(rest) > 0 {
		n := bytes.IndexByte(rest, '\n') + 1
		for n > 0 && n < len(rest) && (rest[n] == ' ' || rest[n] == '\t') { // obs-fold: RFC 9112 section 5.2
			n += bytes.IndexByte(rest[n:], '\n') + 1
		}
		if n == 0 {
			break
		}
		if i := bytes.IndexByte(rest[:n], ':'); i > 0 {
			h.field(trim(rest[:i]), trim(rest[i+1:n]))
		}
		rest = rest[n:]
	}
	return true
}

// requestLine reads "method target HTTP/1.x" (RFC 9112 section 3). A target
// may hold spaces, as careless clients write it.
func (h *head) requestLine(b []byte) bool {
	sp := bytes.IndexAny(b, " \t")
	end := bytes.LastIndexAny(b, " \t")
	if sp <= 0 || end <= sp || !h.readVersion(b[end+1:]) {
		return false
	}
	h.method, h.target = b[:sp], trim(b[sp:end])
	return sp <= maxMethod && plausible(true, b[:sp+1]) && len(h.target) > 0
}

// statusLine reads "HTTP/1.x 200 reason" (RFC 9112 section 4).
func (h *head) statusLine(b []byte) bool {
	sp := bytes.IndexByte(b, ' ')
	if sp < 0 || !h.readVersion(b[:sp]) {
		return false
	}
	b = trim(b[sp:])
	if len(b) < 3 || len(b) > 3 && isDigit(b[3]) || !isDigit(b[0]) || !isDigit(b[1]) || !isDigit(b[2]) {
		return false
	}
	h.status = int(b[0]-'0')*100 + int(b[1]-'0')*10 + int(b[2]-'0')
	return h.status >= 100
}

func (h *head) readVersion(b []byte) bool {
	if len(b) != len("HTTP/1.1") || string(b[:7]) != "HTTP/1." || !isDigit(b[7]) {
		return false
	}
	h.version = HTTP11
	if b[7] == '0' {
		h.version = HTTP10
	}
	return true
}

// field takes what is of use from a field. Of a repeated Host the first holds.
func (h *head) field(name, value []byte) {
	switch len(name) {
	case len("host"):
		if h.host == nil && fold(name, "host") {
			h.host = value
		}
	case len("expect"):
		if fold(name, "expect") && fold(value, "100-continue") {
			h.expect = true
		}
	case len("upgrade"):
		if h.upgrade == nil && fold(name, "upgrade") {
			h.upgrade = value
		}
	case len("grpc-status"):
		if fold(name, "grpc-status") {
			h.grpcStatus = grpcStatus(value)
		}
	case len("content-type"):
		if fold(name, "content-type") {
			h.isGRPC = isGRPC(value)
		}
	case len("content-length"):
		if fold(name, "content-length") {
			h.lengths(value)
		}
	case len("transfer-encoding"):
		if fold(name, "transfer-encoding") {
			h.codings(value)
		}
	}
}

// lengths reads a Content-Length, which may be a list of equal ones (RFC 9110
// section 8.6).
func (h *head) lengths(value []byte) {
	for v := range bytes.SplitSeq(value, []byte(",")) {
		n, ok := decimal(trim(v))
		if !ok || h.length >= 0 && h.length != n {
			h.badLength = true
			return
		}
		h.length = n
	}
}

// codings reads a Transfer-Encoding; several add up (RFC 9112 section 6.1).
func (h *head) codings(value []byte) {
	for v := range bytes.SplitSeq(value, []byte(",")) {
		v = trim(v)
		if i := bytes.IndexByte(v, ';'); i >= 0 {
			v = trim(v[:i])
		}
		switch {
		case len(v) == 0, fold(v, "identity"):
		case fold(v, "chunked"):
			h.chunked, h.coded = true, false
		default:
			h.chunked, h.coded = false, true
		}
	}
}

// decimal reads digits, and nothing else, into 63 bits.
func decimal(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if !isDigit(c) || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0
}

// grpcStatus reads a grpc-status, -1 where it is none.
func grpcStatus[T string | []byte](b T) int {
	n := 0
	for i := range len(b) {
		if !isDigit(b[i]) || i >= 3 {
			return -1
		}
		n = n*10 + int(b[i]-'0')
	}
	if len(b) == 0 {
		return -1
	}
	return n
}

// isGRPC tells whether a Content-Type is gRPC's, whatever its message format.
func isGRPC[T string | []byte](b T) bool {
	const want = "application/grpc"
	return len(b) >= len(want) && string(b[:len(want)]) == want
}

// fold tells whether b is s, which is in lower case, in any case.
func fold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// trim takes white space off both ends, line ends included.
func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
