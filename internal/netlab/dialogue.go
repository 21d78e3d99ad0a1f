package netlab

import (
	"fmt"
	"slices"
)

// dialogue is what the ends of a connection said above TCP, by position in the
// streams of both.
type dialogue struct {
	tls       *TLSTruth // nil: no ClientHello was sent. Without times
	waits     []wait    // of the TLS handshake
	end       int64     // behind the last octet of the handshake
	endBy     Direction // who sent that
	done      bool      // there is such an octet
	exchanges []exchange
	messages  [2][]message // of TLS, by sender
}

// wait is an end that has all it waits for, and what it then sends.
type wait struct {
	who         Direction
	after       int64 // behind the last octet of what it waited for, in the other's stream
	first, last int64 // [first, last) of what it sent, in its own
}

// stream puts together what one end sent.
func (f *flowTruth) stream(d Direction, frames map[*Sent][]byte) []byte {
	var out []byte
	for _, s := range f.sent[d] {
		if s.Len == 0 || s.Pos < 1 {
			continue // nothing, or in a SYN
		}
		frame := frames[s]
		h, _ := parse(frame)
		need := int(s.Pos) - 1 + s.Len
		if need > len(out) {
			out = append(out, make([]byte, need-len(out))...)
		}
		copy(out[s.Pos-1:], frame[h.dataAt:h.dataAt+h.payload])
	}
	return out
}

// framesOf gives the frames as the hosts sent them.
func framesOf(taps [numTaps][]PacketAt) map[*Sent][]byte {
	out := map[*Sent][]byte{}
	for d, tap := range []Tap{ClientTap, ServerTap} {
		for _, p := range taps[tap] {
			if p.Sent.From == Direction(d) {
				out[p.Sent] = p.Data
			}
		}
	}
	return out
}

// listen reads what the ends of a connection said.
func (f *flowTruth) listen(speaks Speaks, frames map[*Sent][]byte, keys keyLog) error {
	f.said = &dialogue{}
	var text [2]plain
	for d := range text {
		text[d].text = f.stream(Direction(d), frames)
	}
	if speaks.TLS {
		msgs, t, err := readTLS([2][]byte{text[0].text, text[1].text}, keys)
		if err != nil {
			return err
		}
		f.said.messages = msgs
		f.said.read(msgs, t)
		for d := range text {
			text[d] = f.said.content(msgs[d])
		}
	}
	if len(text[FromClient].text) == 0 || len(text[FromServer].text) == 0 {
		return nil
	}
	var err error
	switch speaks.HTTP {
	case 1:
		f.said.exchanges, err = readHTTP1(text[FromClient], text[FromServer])
	case 2:
		f.said.exchanges, err = readHTTP2(text[FromClient], text[FromServer])
	}
	return err
}

// content is the application's data. What was sent early and not accepted was never
// read.
func (s *dialogue) content(msgs []message) plain {
	p := plain{pieces: []piece{}}
	for _, m := range msgs {
		if m.kind == "application_data" || m.kind == "early_data" && s.tls.EarlyData == "accepted" {
			p.pieces = append(p.pieces, piece{int64(len(p.text)), m.start, m.end})
			p.text = append(p.text, m.body...)
		}
	}
	return p
}

// firstOf gives the first message of one of the kinds behind a position, or nil.
func firstOf(msgs []message, from int64, kinds ...string) *message {
	for i := range msgs {
		if msgs[i].start >= from && slices.Contains(kinds, msgs[i].kind) {
			return &msgs[i]
		}
	}
	return nil
}

// read finds the events of the handshake (RFC 8446 section 2, RFC 5246 section 7.3).
func (s *dialogue) read(msgs [2][]message, t *tlsReader) {
	client, server := msgs[FromClient], msgs[FromServer]
	hello := firstOf(client, 0, "client_hello")
	if hello == nil {
		return
	}
	s.tls = &TLSTruth{EarlyData: "none"}
	_, early := t.client.extensions[extEarlyData]
	if early {
		s.tls.EarlyData = "offered"
	}
	s.alerts(msgs)
	retry := firstOf(server, 0, "hello_retry_request")
	s.tls.HelloRetry = retry != nil
	if retry != nil {
		s.waits = append(s.waits, wait{FromServer, hello.end, retry.start, retry.end})
		second := firstOf(client, hello.end, "client_hello")
		if second == nil {
			return
		}
		s.waits = append(s.waits, wait{FromClient, retry.end, second.start, second.end})
		hello = second
	}
	answer := firstOf(server, 0, "server_hello")
	if answer == nil {
		return
	}
	s.tls.Version = map[uint16]string{0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}[t.server.version]
	finished := [2]*message{firstOf(client, 0, "finished"), firstOf(server, 0, "finished")}
	full := firstOf(server, 0, "server_hello_done")
	if s.tls.Version == "1.3" {
		_, s.tls.Resumed = t.server.extensions[extPreSharedKey]
		if m := firstOf(server, 0, "encrypted_extensions"); early && m != nil && len(m.body) >= 2 {
			all, _ := readExtensions(m.body[2:])
			s.tls.EarlyData = "rejected"
			if _, ok := all[extEarlyData]; ok {
				s.tls.EarlyData = "accepted"
			}
		}
	} else {
		s.tls.Resumed = full == nil && finished[FromServer] != nil
	}
	if m := firstOf(client, 0, "certificate"); m != nil {
		s.tls.ClientCertificate = len(m.body) > 4 // more than the lengths of nothing
	}
	flight := full
	if flight == nil {
		flight = finished[FromServer]
	}
	if flight == nil {
		return
	}
	s.waits = append(s.waits, wait{FromServer, hello.end, answer.start, flight.end})
	second := firstOf(client, hello.end, "certificate", "client_key_exchange", "end_of_early_data", "finished")
	if s.tls.Version != "1.3" && full == nil {
		second = firstOf(client, hello.end, "change_cipher_spec")
	}
	if second == nil || finished[FromClient] == nil {
		return
	}
	s.waits = append(s.waits, wait{FromClient, flight.end, second.start, finished[FromClient].end})
	s.end, s.endBy = finished[FromClient].end, FromClient
	if full != nil {
		if finished[FromServer] == nil {
			return
		}
		last := firstOf(server, full.end, "new_session_ticket", "change_cipher_spec")
		s.waits = append(s.waits, wait{FromServer, finished[FromClient].end, last.start, finished[FromServer].end})
		s.end, s.endBy = finished[FromServer].end, FromServer
	}
	s.done = true
}

// alerts notes the first alert in the clear that is not the end of the connection,
// and the first that was encrypted.
func (s *dialogue) alerts(msgs [2][]message) {
	for d := range msgs {
		for _, m := range msgs[d] {
			if m.kind != "alert" || len(m.body) != 2 || m.body[1] == 0 {
				continue
			}
			a := &AlertTruth{By: Direction(d), Level: m.body[0], Description: alertName(m.body[1])}
			if m.sealed {
				s.tls.Sealed = a
			} else if s.tls.Alert == nil {
				s.tls.Alert = a
			}
		}
	}
}

// alertName is the name of an alert (RFC 8446 section 6, RFC 5246 section 7.2).
func alertName(description uint8) string {
	names := map[uint8]string{
		0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 40: "handshake_failure", 42: "bad_certificate",
		43: "unsupported_certificate", 45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter",
		48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version",
		71: "insufficient_security", 80: "internal_error", 109: "missing_extension", 110: "unsupported_extension",
		112: "unrecognized_name", 116: "certificate_required", 120: "no_application_protocol",
	}
	if name, ok := names[description]; ok {
		return name
	}
	return fmt.Sprint(description)
}

// hear reads what was said in all connections.
func hear(flows []*flowTruth, ses *Session, sc Scenario) error {
	if sc.Speaks == (Speaks{}) {
		return nil
	}
	keys, err := parseKeyLog(ses.keys.String())
	if err != nil {
		return err
	}
	frames := framesOf(ses.net.taps)
	for _, f := range flows {
		if err := f.listen(sc.Speaks, frames, keys); err != nil {
			return fmt.Errorf("connection from %s: %w", f.key.client, err)
		}
		for _, w := range ses.clocks {
			if w.client == f.key.client {
				f.ends = &[2]EndTruth{w.ends[FromClient].truth(), w.ends[FromServer].truth()}
			}
		}
	}
	return nil
}
