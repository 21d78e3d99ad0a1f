package tlsmeta

import "bytes"

// elements takes octets of two XML streams (RFC 6120 section 4), of which it
// looks at the tags alone.
func (p *Prelude) elements(dir int, b []byte) (int, Verdict) {
	s := &p.side[dir]
	for n, c := range b {
		switch {
		case !s.inTag:
			if c == typeHandshake {
				return n, PreludeDone
			}
			if c == '<' {
				s.inTag, s.n, s.last = true, 0, 0
			}
			continue
		case s.quote != 0:
			if c == s.quote {
				s.quote = 0
			}
		case c == '"' || c == '\'':
			s.quote = c
		case c == '>':
			s.inTag = false
			if v := p.element(dir == int(p.client), s.head[:s.n], s.last == '/'); v != PreludeMore {
				return n + 1, v
			}
			continue
		}
		s.last = c
		if int(s.n) < len(s.head) {
			s.head[s.n] = c
			s.n++
		}
	}
	return len(b), PreludeMore
}

// element takes a tag, without < and >. empty says that it ends with a slash.
func (p *Prelude) element(fromClient bool, tag []byte, empty bool) Verdict {
	if len(tag) > 0 && (tag[0] == '?' || tag[0] == '!') {
		return PreludeMore
	}
	if i := bytes.IndexAny(tag, " \t\r\n"); i >= 0 {
		tag = tag[:i]
	}
	tag, end := bytes.CutPrefix(tag, []byte("/"))
	tag = bytes.TrimSuffix(tag, []byte("/"))
	if i := bytes.IndexByte(tag, ':'); i >= 0 {
		tag = tag[i+1:]
	}
	name := string(tag)
	switch {
	case fromClient && name == "stream" && !end:
	case fromClient && name == "starttls":
		p.asked = true
	case fromClient:
		return PreludeOther // a login, or the end
	case name == "proceed" && p.asked && (empty || end):
		return PreludeDone
	case name == "failure":
		p.asked = false
	}
	return PreludeMore
}
