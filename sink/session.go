package sink

import (
	"strconv"

	"mirrorscope/flow"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

// HelloKnown tells whether a ClientHello was read, without which nothing can be
// said of what the client offers.
func HelloKnown(i *tlsmeta.Info) bool { return i.JA4 != "" }

// CipherKnown tells whether the cipher suite that was agreed on is known; 0 is
// one, too. In SSL 2.0 the client chooses it where it is not read.
func CipherKnown(i *tlsmeta.Info) bool { return i.Version != 0 && i.Version != ssl2 }

const ssl2 = 0x0002

// ResumedKnown tells whether it is known that a session was resumed, or that
// none was: in TLS 1.3 by the ServerHello, up to 1.2 by what came behind it.
func ResumedKnown(i *tlsmeta.Info) bool {
	return toldByHello(i) || i.JA3S != "" && (i.Resumed || i.Refused || len(i.Certificates) > 0 || i.Outcome == tlsmeta.Completed)
}

// RefusedKnown tells whether it is known what became of an offer to resume.
func RefusedKnown(i *tlsmeta.Info) bool {
	return i.Resumed || i.Refused || HelloKnown(i) && (toldByHello(i) || i.JA3S != "" && i.Outcome == tlsmeta.Completed)
}

// toldByHello tells whether the ServerHello alone says that a session is resumed.
func toldByHello(i *tlsmeta.Info) bool {
	v := i.Version
	return i.JA3S != "" && (v == 0x0304 || v == 0xfefc || v>>8 == 0x7f || v == ssl2) // TLS 1.3, DTLS 1.3, drafts; not a HelloRetryRequest alone
}

// QUICState tells how sure the round trip of a QUIC handshake is, and why not
// more.
func QUICState(q *session.QUIC) (s tcp.State, why tcp.Reasons) {
	h := &q.Handshake
	switch {
	case h.RTT < 0:
		s = tcp.Unknown
		if q.ClientInitial == 0 {
			why |= tcp.Midstream
		}
	case h.Ambiguous:
		s = tcp.Ambiguous
	case h.Bounded:
		s = tcp.Bounded
	default:
		return tcp.Measured, 0
	}
	if q.Cut > 0 {
		why |= tcp.Truncated
	}
	if q.Undecryptable > 0 {
		why |= tcp.Encrypted
	}
	return s, why
}

// AppendQUICVersion adds a version of QUIC: "1", "2", "draft-29", else its
// number as "0xfaceb002".
func AppendQUICVersion(dst []byte, v uint32) []byte {
	switch {
	case v == 1:
		return append(dst, '1')
	case v == 0x6b3343cf: // RFC 9369
		return append(dst, '2')
	case v>>8 == 0xff0000:
		return strconv.AppendUint(append(dst, "draft-"...), uint64(v&0xff), 10)
	}
	const digits = "0123456789abcdef"
	dst = append(dst, "0x"...)
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}

// ClosedBy names the side that sent a CONNECTION_CLOSE.
func ClosedBy(c *quic.Close) string { return by(c.Client) }

// AlertBy names the side that sent an alert.
func AlertBy(a *tlsmeta.Alert) string { return by(a.Client) }

func by(client bool) string {
	if client {
		return "client"
	}
	return "server"
}

// DateKnown tells whether s since the Unix epoch is a time that a certificate
// told, and RFC 3339 can.
func DateKnown(s int64) bool {
	return s != 0 && s >= -62167219200 && s <= 253402300799 // the years 0000 to 9999
}

// AppendDate adds a time of a certificate, s since the Unix epoch, as RFC 3339,
// UTC, in whole seconds.
func AppendDate(dst []byte, s int64) []byte {
	return append(appendSeconds(dst, s), 'Z')
}

// StatusClasses name the classes of HTTP's status codes by their first digit.
var StatusClasses = [6]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// PhasesKnown tells whether a record has phases, and a duration that they divide.
func PhasesKnown(r *flow.Record) bool {
	return r.Phases != nil && r.Kind == flow.Connection && r.End >= r.Start
}

// Phase is one phase of a connection.
type Phase struct {
	Field string
	Of    func(*session.Phases) int64 // ns
}

// Phases are all there are, in the order of record.md.
var Phases = [...]Phase{
	{"tcp_us", func(p *session.Phases) int64 { return p.TCP }},
	{"prelude_us", func(p *session.Phases) int64 { return p.Prelude }},
	{"client_idle_us", func(p *session.Phases) int64 { return p.ClientIdle }},
	{"tls_us", func(p *session.Phases) int64 { return p.TLS }},
	{"request_us", func(p *session.Phases) int64 { return p.Request }},
	{"server_us", func(p *session.Phases) int64 { return p.Server }},
	{"network_us", func(p *session.Phases) int64 { return p.Network }},
	{"transfer_us", func(p *session.Phases) int64 { return p.Transfer }},
	{"idle_us", func(p *session.Phases) int64 { return p.Idle }},
	{"close_us", func(p *session.Phases) int64 { return p.Close }},
	{"unknown_us", func(p *session.Phases) int64 { return p.Unknown }},
}
