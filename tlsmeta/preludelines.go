package tlsmeta

import "bytes"

// line takes a line of length octets, of which line is the beginning.
func (p *Prelude) line(dir int, line []byte, length int) Verdict {
	fromClient := dir == int(p.client)
	switch p.kind {
	case preludeIMAP:
		if fromClient {
			return p.imapCommand(line)
		}
		return p.imapReply(line)
	case preludePOP3:
		if fromClient {
			return p.pop3Command(line)
		}
		return p.pop3Reply(line)
	case preludeConnect:
		if fromClient {
			return p.connectRequest(line)
		}
		return p.connectReply(line)
	case preludeProxy1:
		// 107 octets at most, says the PROXY protocol in section 2.1.
		if !fromClient || length > 107 || begins(line, "PROXY TCP4 ") != MatchYes && begins(line, "PROXY TCP6 ") != MatchYes &&
			begins(line, "PROXY UNKNOWN") != MatchYes {
			return PreludeOther
		}
		return PreludeDone
	}
	if fromClient {
		return p.mailCommand(line)
	}
	return p.mailReply(line)
}

// word cuts the first word off a line.
func word(line []byte) (first, rest []byte) {
	first, rest, _ = bytes.Cut(line, []byte(" "))
	return first, bytes.TrimLeft(rest, " ")
}

// oneOf tells whether a word is in a list of words in capitals.
func oneOf(w []byte, list ...string) bool {
	for _, l := range list {
		if len(w) == len(l) && begins(w, l) == MatchYes {
			return true
		}
	}
	return false
}

// command takes note of a command that the server owes a reply to.
func (p *Prelude) command() Verdict {
	if p.owed < 255 {
		p.owed++
	}
	return PreludeMore
}

// ask takes note of a command that asks for TLS.
func (p *Prelude) ask() Verdict {
	p.asked = true
	return p.command()
}

// reply takes note of a reply, and tells whether it is the one to the command
// that asked for TLS, behind which the client says nothing until it has it.
func (p *Prelude) reply() bool {
	p.greeted = true
	if p.owed > 0 {
		p.owed--
	}
	return p.asked && p.owed == 0
}

// mailCommand takes a command of SMTP, LMTP or FTP.
func (p *Prelude) mailCommand(line []byte) Verdict {
	verb, rest := word(line)
	arg, _ := word(rest)
	switch {
	case oneOf(verb, "EHLO", "HELO", "LHLO", "XCLIENT", "XFORWARD"):
		p.kind = preludeSMTP
	case oneOf(verb, "FEAT", "SYST", "OPTS", "HOST", "CLNT", "PBSZ", "PROT"):
		p.kind = preludeFTP
	case oneOf(verb, "STARTTLS"):
		p.kind = preludeSMTP
		return p.ask()
	case oneOf(verb, "AUTH") && oneOf(arg, "TLS", "SSL", "TLS-C", "TLS-P"): // RFC 4217 section 4
		p.kind = preludeFTP
		return p.ask()
	case oneOf(verb, "NOOP", "RSET", "HELP"):
	default:
		return PreludeOther // mail, a login, or the end
	}
	return p.command()
}

// mailReply takes a line of a reply of SMTP, LMTP or FTP (RFC 5321 section 4.2,
// RFC 959 section 4.2).
func (p *Prelude) mailReply(line []byte) Verdict {
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' {
		return PreludeMore // another line follows
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return PreludeMore
		}
	}
	if line[0] == '1' {
		return PreludeMore // preliminary
	}
	greeted := p.greeted
	answer := p.reply()
	code := string(line[:3])
	if p.kind == preludeGreeting { // the client's side may not have been recorded
		switch code {
		case "250": // to EHLO
			p.kind = preludeSMTP
		case "211", "215", "234": // to FEAT, SYST, AUTH
			p.kind = preludeFTP
		}
	}
	switch {
	case !p.asked:
	case answer && code == "220" || greeted && code == "220" || code == "234" || code == "334":
		return PreludeDone
	case answer:
		p.asked = false
	}
	return PreludeMore
}

// imapCommand takes a command of IMAP (RFC 9051 section 6).
func (p *Prelude) imapCommand(line []byte) Verdict {
	tag, rest := word(line)
	verb, _ := word(rest)
	switch {
	case oneOf(verb, "STARTTLS") && len(tag) <= len(p.tag):
		p.asked = true
		p.tagLen = uint8(copy(p.tag[:], tag))
	case oneOf(verb, "CAPABILITY", "NOOP", "ID"), len(line) == 0:
	default:
		return PreludeOther
	}
	return PreludeMore
}

// imapReply takes a response of IMAP (RFC 9051 section 7).
func (p *Prelude) imapReply(line []byte) Verdict {
	tag, rest := word(line)
	state, _ := word(rest)
	switch {
	case oneOf(tag, "*"):
		if oneOf(state, "PREAUTH", "BYE") {
			return PreludeOther
		}
	case p.asked && bytes.Equal(tag, p.tag[:p.tagLen]):
		if oneOf(state, "OK") {
			return PreludeDone
		}
		p.asked = false
	}
	return PreludeMore
}

// matchIMAPCommand recognises the first command of an IMAP client whose
// server was not recorded.
func matchIMAPCommand(b []byte) Match {
	i := 0
	for ; i < len(b) && b[i] != ' '; i++ {
		if i == 12 || !inTag[b[i]] {
			return MatchNo
		}
	}
	if i == len(b) {
		return MatchMore
	}
	return max(begins(b[i+1:], "CAPABILITY\r"), begins(b[i+1:], "STARTTLS\r"))
}

// inTag tells which octets a tag of IMAP is taken to have: letters, digits, and dots.
var inTag = func() (is [256]bool) {
	for octet := range is {
		c := upper(byte(octet))
		is[octet] = 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.'
	}
	return is
}()

// pop3Command takes a command of POP3 (RFC 1939, RFC 2449, RFC 2595).
func (p *Prelude) pop3Command(line []byte) Verdict {
	switch verb, _ := word(line); {
	case oneOf(verb, "STLS"):
		return p.ask()
	case oneOf(verb, "CAPA", "NOOP", "UTF8", "LANG"):
		return p.command()
	}
	return PreludeOther
}

// pop3Reply takes a line of a reply of POP3; only the first one has a status.
func (p *Prelude) pop3Reply(line []byte) Verdict {
	status, _ := word(line)
	ok := oneOf(status, "+OK")
	if !ok && !oneOf(status, "-ERR") || !p.reply() {
		return PreludeMore
	}
	if ok {
		return PreludeDone
	}
	p.asked = false
	return PreludeMore
}

// connectRequest takes a line of a request head of HTTP/1.
func (p *Prelude) connectRequest(line []byte) Verdict {
	switch {
	case p.inside && len(line) == 0:
		p.inside, p.asked = false, true
	case p.inside:
	case begins(line, "CONNECT ") == MatchYes:
		p.inside, p.asked = true, false
	default:
		return PreludeOther
	}
	return PreludeMore
}

// connectReply takes a line of a response. The body of a refusal is stepped over
// line by line.
func (p *Prelude) connectReply(line []byte) Verdict {
	switch {
	case begins(line, "HTTP/1.") == MatchYes && len(line) >= 12:
		p.ready = line[9] == '2'
		if line[9] >= '3' {
			p.asked = false
		}
	case len(line) == 0 && p.ready && p.asked:
		return PreludeDone
	}
	return PreludeMore
}
