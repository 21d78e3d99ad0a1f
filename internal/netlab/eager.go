package netlab

import (
	"encoding/binary"
	"errors"
	"net"
)

// eagerServer is the wire of a TLS 1.3 server of crypto/tls. Behind the server's
// first flight it sends octets of its own, before the client's Finished is there
// (0.5-RTT data, RFC 8446 section 2.3), which crypto/tls does not do. Later records
// of the server are sealed again under the next number.
type eagerServer struct {
	net.Conn
	keys *keyWriter
	got  []byte // the beginning of the ClientHello
	app  *protection
	out  *protection
}

// earlyAnswer is what the server says unasked: nothing that answers a request.
const earlyAnswer = "HTTP/1.1 103 Early Hints\r\nLink: </lab.css>; rel=preload\r\n\r\n"

const randomAt = 5 + 4 + 2 // in the record of a hello

func (e *eagerServer) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if len(e.got) < randomAt+32 {
		e.got = append(e.got, b[:n]...)
	}
	return n, err
}

func (e *eagerServer) Write(b []byte) (int, error) {
	if e.app == nil {
		flight, err := e.first(b)
		if err != nil {
			return 0, err
		}
		_, err = e.Conn.Write(flight)
		return len(b), err
	}
	var out []byte
	for rest := b; len(rest) > 0; {
		record, err := cutRecord(&rest)
		if err != nil {
			return 0, err
		}
		plain, ok := e.app.open(record)
		if !ok {
			return 0, errors.New("a record of the server opens under no key")
		}
		out = append(out, e.out.seal(plain)...)
	}
	_, err := e.Conn.Write(out)
	return len(b), err
}

// first adds the early answer to the flight that ends the server's handshake.
func (e *eagerServer) first(b []byte) ([]byte, error) {
	keys, err := parseKeyLog(e.keys.String())
	if err != nil || len(e.got) < randomAt+32 {
		return b, err
	}
	secret := keys.secret("SERVER_TRAFFIC_SECRET_0", e.got[randomAt:randomAt+32])
	if secret == nil {
		return b, nil
	}
	rest := b
	record, err := cutRecord(&rest)
	if err != nil {
		return nil, err
	}
	h, ok := readHello(record[5+4:], true)
	if !ok {
		return nil, errors.New("the server's first record is no ServerHello")
	}
	if e.app, err = suites[h.cipher].tls13(secret); err != nil {
		return nil, err
	}
	if e.out, err = suites[h.cipher].tls13(secret); err != nil {
		return nil, err
	}
	for len(rest) > 0 {
		record, err := cutRecord(&rest)
		if err != nil {
			return nil, err
		}
		e.app.open(record) // counts the tickets; the rest of the flight has other keys
	}
	e.out.sequence = e.app.sequence
	return append(b[:len(b):len(b)], e.out.seal(append([]byte(earlyAnswer), applicationData))...), nil
}

// cutRecord takes the first record.
func cutRecord(b *[]byte) ([]byte, error) {
	if len(*b) < 5 {
		return nil, errors.New("a part of a record")
	}
	n := 5 + int(binary.BigEndian.Uint16((*b)[3:]))
	if n > len(*b) {
		return nil, errors.New("a part of a record")
	}
	record := (*b)[:n]
	*b = (*b)[n:]
	return record, nil
}

// seal makes a record of TLS 1.3 from content with its type behind it.
func (p *protection) seal(content []byte) []byte {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], p.sequence)
	p.sequence++
	nonce := append([]byte(nil), p.iv...)
	for i, b := range counter {
		nonce[len(nonce)-8+i] ^= b
	}
	header := binary.BigEndian.AppendUint16([]byte{applicationData, 3, 3}, uint16(len(content)+p.aead.Overhead()))
	return append(header, p.aead.Seal(nil, nonce, content, header)...)
}
