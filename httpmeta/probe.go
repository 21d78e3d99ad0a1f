package httpmeta

import "bytes"

// Verdict is what the first octets of a direction say.
type Verdict uint8

const (
	NotHTTP     Verdict = iota
	NeedMore            // what is there fits, and does not decide
	ClientHTTP1         // a request line
	ServerHTTP1         // a status line
	ClientHTTP2         // the connection preface (RFC 9113 section 3.4)
	ServerHTTP2         // the SETTINGS frame that an HTTP/2 server begins with. Nine octets that other protocols could send: believe it when the other side agrees
)

// Yes tells whether the octets are HTTP's.
func (v Verdict) Yes() bool { return v >= ClientHTTP1 }

// Client tells whether only a client sends them.
func (v Verdict) Client() bool { return v == ClientHTTP1 || v == ClientHTTP2 }

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// maxProbe is how many octets a request line may have until Probe gives up.
const maxProbe = 8 << 10

// Probe judges the first octets of a direction, from its start or, where the
// start was not recorded, of a packet. Either side may be asked first.
//
// A request with a common method and a path is believed at once. For another
// method, and for targets that SIP, RTSP, NATS or others have in common with
// HTTP, the request line must end in HTTP/1.
func Probe(b []byte) Verdict {
	if len(b) == 0 {
		return NeedMore
	}
	switch {
	case fits(b, "HTTP/1."):
		return probeStatusLine(b)
	case fits(b, preface):
		if len(b) >= len(preface) {
			return ClientHTTP2
		}
		return NeedMore
	case b[0] == 0:
		return probeSettings(b)
	}
	return probeRequestLine(b)
}

// fits tells whether b and s agree as far as both go, but only on octets that
// decide: a lone "H" or "P" may become a method.
func fits(b []byte, s string) bool {
	n := min(len(b), len(s))
	return n >= 2 && string(b[:n]) == s[:n]
}

func probeStatusLine(b []byte) Verdict {
	const form = "HTTP/1.d ddd"
	for i := len("HTTP/1."); i < len(form); i++ {
		switch {
		case i >= len(b):
			return NeedMore
		case form[i] == 'd' && !isDigit(b[i]), form[i] == ' ' && b[i] != ' ':
			return NotHTTP
		}
	}
	return ServerHTTP1
}

// probeSettings looks for a SETTINGS frame on stream 0 without ACK (RFC 9113
// section 6.5), of at most 16 settings.
func probeSettings(b []byte) Verdict {
	for i := range min(len(b), frameHeader) {
		want := byte(0)
		switch {
		case i == 2 && b[2]%6 == 0 && b[2] <= 16*6:
			continue
		case i == 3:
			want = frameSettings
		}
		if i == 2 || b[i] != want {
			return NotHTTP
		}
	}
	if len(b) < frameHeader {
		return NeedMore
	}
	return ServerHTTP2
}

func probeRequestLine(b []byte) Verdict {
	sp := bytes.IndexByte(b[:min(len(b), maxMethod+1)], ' ')
	method := b
	if sp >= 0 {
		method = b[:sp]
	}
	for _, c := range method {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return NotHTTP
		}
	}
	if sp <= 0 {
		if sp == 0 || len(b) > maxMethod {
			return NotHTTP
		}
		return NeedMore
	}
	target := b[sp+1:]
	if len(target) == 0 {
		return NeedMore
	}
	if target[0] == '/' && commonMethod(method) || bytes.HasPrefix(target, []byte("http://")) {
		return ClientHTTP1
	}
	if c := target[0]; c <= ' ' || c >= 0x7f {
		return NotHTTP
	}
	nl := bytes.IndexByte(target, '\n')
	switch {
	case nl < 0 && len(b) < maxProbe:
		return NeedMore
	case nl < 0:
		return NotHTTP
	}
	line := bytes.TrimSuffix(target[:nl], []byte("\r"))
	if n := len(line) - len(" HTTP/1.1"); n > 0 && string(line[n:n+8]) == " HTTP/1." && isDigit(line[n+8]) {
		return ClientHTTP1
	}
	return NotHTTP
}

func commonMethod(b []byte) bool {
	switch string(b) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "REPORT":
		return true
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// ProbeJoined judges the first octets that were recorded of a direction whose
// start was not. They may be the middle of a body, so that more is asked for
// than by Probe: a request line that ends in HTTP/1 or a status line, complete,
// and fields behind it, of a request up to its Host or the head's end, of a
// response one. Even so a Conn has to find that the other side agrees.
func ProbeJoined(b []byte) Verdict {
	v := Probe(b)
	if v != ClientHTTP1 && v != ServerHTTP1 {
		return v
	}
	open := NeedMore
	if len(b) >= maxProbe {
		open = NotHTTP
	}
	n := bytes.IndexByte(b, '\n')
	if n < 0 {
		return open
	}
	var hd head
	line := trim(b[:n])
	client := v == ClientHTTP1
	if client && (!hd.requestLine(line) || !isTarget(hd.method, hd.target)) || !client && !hd.statusLine(line) {
		return NotHTTP
	}
	for rest := b[n+1:]; ; rest = rest[n+1:] {
		n = bytes.IndexByte(rest, '\n')
		switch {
		case n < 0:
			return open
		case n == 0, n == 1 && rest[0] == '\r':
			if client && hd.version != HTTP10 {
				return NotHTTP // RFC 9112 section 3.2
			}
			return v
		case !isField(rest[:n]):
			return NotHTTP
		case !client:
			return v
		}
		name, value, _ := bytes.Cut(rest[:n], []byte(":"))
		if fold(name, "host") {
			if !isHost(trim(value)) {
				return NotHTTP
			}
			return v
		}
	}
}
