package netlab

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Content types of records (RFC 8446 section 5.1).
const (
	changeCipherSpec = 20
	alertRecord      = 21
	handshakeRecord  = 22
	applicationData  = 23
)

// message is a TLS message as it lies in its sender's stream.
type message struct {
	from       Direction
	kind       string // by the names of RFC 8446 and 5246; records that hold no handshake: change_cipher_spec alert application_data early_data
	start, end int64  // [start, end) in the stream, from 0; of whole records where it is encrypted
	body       []byte // without the header of the message
	sealed     bool   // encrypted
}

var handshakeKinds = map[byte]string{
	1: "client_hello", 2: "server_hello", 4: "new_session_ticket", 5: "end_of_early_data", 8: "encrypted_extensions",
	11: "certificate", 12: "server_key_exchange", 13: "certificate_request", 14: "server_hello_done", 15: "certificate_verify",
	16: "client_key_exchange", 20: "finished", 22: "certificate_status", 24: "key_update",
}

// retryRandom is the random of a HelloRetryRequest (RFC 8446 section 4.1.3).
var retryRandom, _ = hex.DecodeString("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

// hello is what is read of a ClientHello or ServerHello.
type hello struct {
	random     []byte
	version    uint16 // 0x0304 by supported_versions, else of the message
	cipher     uint16 // of a ServerHello
	extensions map[uint16][]byte
}

func readHello(b []byte, server bool) (h hello, ok bool) {
	s := cryptobyte.String(b)
	var session, skipped, all cryptobyte.String
	var one uint8
	ok = s.ReadUint16(&h.version) && s.ReadBytes(&h.random, 32) && s.ReadUint8LengthPrefixed(&session)
	if server {
		ok = ok && s.ReadUint16(&h.cipher) && s.ReadUint8(&one)
	} else {
		ok = ok && s.ReadUint16LengthPrefixed(&skipped) && s.ReadUint8LengthPrefixed(&skipped)
	}
	if !ok {
		return h, false
	}
	h.extensions = map[uint16][]byte{}
	if s.Empty() {
		return h, true
	}
	if !s.ReadUint16LengthPrefixed(&all) {
		return h, false
	}
	if h.extensions, ok = readExtensions(all); !ok {
		return h, false
	}
	if v := h.extensions[extSupportedVersions]; server && len(v) == 2 {
		h.version = binary.BigEndian.Uint16(v)
	}
	return h, true
}

// Extensions that the lab looks at (RFC 8446 section 4.2).
const (
	extPreSharedKey      = 41
	extEarlyData         = 42
	extSupportedVersions = 43
)

func readExtensions(all cryptobyte.String) (map[uint16][]byte, bool) {
	out := map[uint16][]byte{}
	for !all.Empty() {
		var id uint16
		var value cryptobyte.String
		if !all.ReadUint16(&id) || !all.ReadUint16LengthPrefixed(&value) {
			return nil, false
		}
		out[id] = value
	}
	return out, true
}

// tlsReader finds the messages in the streams of both ends.
type tlsReader struct {
	keys   keyLog
	client *hello           // the first ClientHello
	server *hello           // the ServerHello, no retry
	under  [2][]*protection // keys that records of each sender may be encrypted with
	ccs    [2]bool          // TLS 1.2: the sender has changed its cipher
}

// readTLS gives the messages of both ends in the order of their streams, as far as
// those go. Streams that hold no TLS have none.
func readTLS(streams [2][]byte, keys keyLog) ([2][]message, *tlsReader, error) {
	t := &tlsReader{keys: keys}
	var found [2][]message
	// Both hellos are in the clear. They say how to read the rest.
	for d, stream := range streams {
		msgs, err := t.read(Direction(d), stream, true)
		if err != nil {
			return found, t, err
		}
		for _, m := range msgs {
			switch h, ok := readHello(m.body, m.kind == "server_hello"); {
			case !ok:
			case m.kind == "client_hello" && t.client == nil:
				t.client = &h
			case m.kind == "server_hello" && t.server == nil:
				t.server = &h
			}
		}
	}
	if err := t.unlock(); err != nil {
		return found, t, err
	}
	for d, stream := range streams {
		var err error
		if found[d], err = t.read(Direction(d), stream, false); err != nil {
			return found, t, fmt.Errorf("what the %s sent: %w", Direction(d), err)
		}
	}
	return found, t, nil
}

// unlock derives the keys of the connection.
func (t *tlsReader) unlock() error {
	if t.client == nil || t.server == nil {
		return nil
	}
	s, ok := suites[t.server.cipher]
	if !ok {
		return fmt.Errorf("cipher suite %#04x", t.server.cipher)
	}
	if t.server.version < 0x0304 {
		for _, master := range t.keys.masters(t.client.random) {
			p, err := s.tls12(master, t.client.random, t.server.random)
			if err != nil {
				return err
			}
			t.under[0], t.under[1] = append(t.under[0], p[0]), append(t.under[1], p[1])
		}
		return nil
	}
	for d, labels := range [2][]string{
		{"CLIENT_EARLY_TRAFFIC_SECRET", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"},
		{"SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"},
	} {
		for _, label := range labels {
			secret := t.keys.secret(label, t.client.random)
			if secret == nil {
				t.under[d] = append(t.under[d], nil)
				continue
			}
			p, err := s.tls13(secret)
			if err != nil {
				return err
			}
			t.under[d] = append(t.under[d], p)
		}
	}
	return nil
}

// read walks over the records of one stream, to its end or, in the clear, to the
// hello.
func (t *tlsReader) read(d Direction, stream []byte, clear bool) ([]message, error) {
	var out []message
	var partial []byte // of a handshake message that goes on in the next record
	var begin int64    // of partial
	for pos := 0; len(stream)-pos >= 5; {
		size := int(binary.BigEndian.Uint16(stream[pos+3:]))
		if stream[pos] < changeCipherSpec || stream[pos] > applicationData || stream[pos+1] != 3 {
			return out, nil // no TLS
		}
		if pos+5+size > len(stream) {
			return out, nil
		}
		record := stream[pos : pos+5+size]
		start, end := int64(pos), int64(pos+5+size)
		pos += 5 + size
		kind, body, early, sealed, err := t.content(d, record, clear)
		if err != nil || kind == 0 {
			return out, err
		}
		m := message{from: d, start: start, end: end, body: body, sealed: sealed}
		switch kind {
		case handshakeRecord:
			if len(partial) == 0 {
				begin = start
			}
			partial = append(partial, body...)
			for len(partial) >= 4 {
				n := 4 + int(binary.BigEndian.Uint32(partial)&0xffffff)
				if n > len(partial) {
					break
				}
				m := message{from: d, kind: handshakeKinds[partial[0]], start: begin, end: end, body: bytes.Clone(partial[4:n]), sealed: sealed}
				partial = partial[n:]
				if !sealed {
					m.end -= int64(len(partial))
				}
				begin = start
				if !sealed {
					begin = m.end
				}
				if m.kind == "server_hello" && len(m.body) >= 34 && bytes.Equal(m.body[2:34], retryRandom) {
					m.kind = "hello_retry_request"
				}
				out = append(out, m)
				if clear && (m.kind == "client_hello" || m.kind == "server_hello") {
					return out, nil
				}
			}
			continue
		case changeCipherSpec:
			m.kind = "change_cipher_spec"
			t.ccs[d] = t.server != nil && t.server.version < 0x0304
		case alertRecord:
			m.kind = "alert"
		case applicationData:
			m.kind = "application_data"
			if early {
				m.kind = "early_data"
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// content opens a record. Before the hellos are read none can be opened: kind is 0
// where one comes.
func (t *tlsReader) content(d Direction, record []byte, clear bool) (kind byte, body []byte, early, sealed bool, err error) {
	kind, body = record[0], record[5:]
	switch {
	case clear && kind == applicationData:
		return 0, nil, false, false, nil
	case clear:
		return kind, body, false, false, nil
	case kind == changeCipherSpec, kind != applicationData && !t.ccs[d]:
		return kind, body, false, false, nil
	}
	for i, p := range t.under[d] {
		if p == nil {
			continue
		}
		plain, ok := p.open(record)
		if !ok {
			continue
		}
		if p.tls12 {
			return kind, plain, false, true, nil
		}
		plain = bytes.TrimRight(plain, "\x00") // padding
		if len(plain) == 0 {
			return 0, nil, false, true, fmt.Errorf("record without a type")
		}
		return plain[len(plain)-1], plain[:len(plain)-1], d == FromClient && i == 0, true, nil
	}
	return 0, nil, false, true, fmt.Errorf("record of %d octets opens under no key", len(record))
}
