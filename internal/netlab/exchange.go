package netlab

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/net/http2/hpack"
)

// exchange is a request with its response, by position in the streams of both
// ends, from 0.
type exchange struct {
	path        string
	status      int
	request     int64 // first octet
	requestEnd  int64 // behind the last octet
	response    int64 // first octet of the final response
	responseEnd int64
}

// plain is what lies in a stream in the clear or behind TLS, with where it lies.
type plain struct {
	text   []byte
	pieces []piece // nil: as it is
}

// piece is the content of one record.
type piece struct {
	at         int64 // in the text
	start, end int64 // of the record in the stream
}

// start gives the position in the stream at which an octet begins to be sent, end
// that behind which it is complete.
func (p *plain) start(at int64) int64 { return p.find(at, func(r piece) int64 { return r.start }, at) }
func (p *plain) end(at int64) int64   { return p.find(at, func(r piece) int64 { return r.end }, at+1) }

func (p *plain) find(at int64, of func(piece) int64, own int64) int64 {
	if p.pieces == nil {
		return own
	}
	var found int64
	for _, r := range p.pieces {
		if r.at <= at {
			found = of(r)
		}
	}
	return found
}

// counted reads from memory and knows how far its reader has come.
type counted struct {
	r *bytes.Reader
	b *bufio.Reader
}

func count(text []byte) *counted {
	r := bytes.NewReader(text)
	return &counted{r, bufio.NewReader(r)}
}

func (c *counted) at() int64 { return c.r.Size() - int64(c.r.Len()) - int64(c.b.Buffered()) }

// readHTTP1 gives the exchanges of a connection, with the parsers of net/http.
func readHTTP1(client, server plain) ([]exchange, error) {
	var out []exchange
	requests, responses := count(client.text), count(server.text)
	for requests.at() < int64(len(client.text)) {
		e := exchange{request: client.start(requests.at())}
		req, err := http.ReadRequest(requests.b)
		if err != nil {
			return out, fmt.Errorf("request %d: %w", len(out)+1, err)
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return out, fmt.Errorf("body of request %d: %w", len(out)+1, err)
		}
		e.path, e.requestEnd = req.URL.RequestURI(), client.end(requests.at()-1)
		for e.status < 200 {
			e.response = server.start(responses.at())
			res, err := http.ReadResponse(responses.b, req)
			if err != nil {
				return out, fmt.Errorf("response %d: %w", len(out)+1, err)
			}
			e.status = res.StatusCode
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				return out, fmt.Errorf("body of response %d: %w", len(out)+1, err)
			}
		}
		e.responseEnd = server.end(responses.at() - 1)
		out = append(out, e)
	}
	return out, nil
}

// preface is what a client of HTTP/2 begins with (RFC 9113 section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// readHTTP2 gives the exchanges of a connection in the order of their streams.
func readHTTP2(client, server plain) ([]exchange, error) {
	var out []exchange
	byStream := map[uint32]int{}
	if !bytes.HasPrefix(client.text, []byte(preface)) {
		return nil, errors.New("no preface of HTTP/2")
	}
	err := frames(client.text, int64(len(preface)), func(f frame) error {
		i, known := byStream[f.stream]
		if f.fields != nil && !known {
			i, known = len(out), true
			byStream[f.stream] = i
			out = append(out, exchange{path: f.fields[":path"], request: client.start(f.start)})
		}
		if known && f.last {
			out[i].requestEnd = client.end(f.end - 1)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	err = frames(server.text, 0, func(f frame) error {
		i, ok := byStream[f.stream]
		if !ok {
			return nil
		}
		if f.fields != nil && out[i].status < 200 {
			out[i].response = server.start(f.start)
			if _, err := fmt.Sscan(f.fields[":status"], &out[i].status); err != nil {
				return fmt.Errorf("status: %w", err)
			}
		}
		if f.last {
			out[i].responseEnd = server.end(f.end - 1)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return out, nil
}

// frame is a frame of HTTP/2 (RFC 9113 section 4). A block of header fields is one
// frame with its continuations.
type frame struct {
	stream     uint32
	start, end int64             // [start, end) of the text
	fields     map[string]string // nil: no header fields
	last       bool              // ends the stream
}

// Frame types and flags (RFC 9113 section 6).
const (
	frameData, frameHeaders, frameContinuation                    = 0, 1, 9
	flagEndStream, flagEndHeaders, flagPadded, flagPriority uint8 = 1, 4, 8, 32
)

// frames calls do for every frame behind position at.
func frames(text []byte, at int64, do func(frame) error) error {
	fields := hpack.NewDecoder(4096, nil)
	var block []byte
	var f frame
	for at < int64(len(text)) {
		rest := text[at:]
		if len(rest) < 9 {
			return fmt.Errorf("frame at %d is cut", at)
		}
		size := int64(binary.BigEndian.Uint32(rest) >> 8)
		kind, flags := rest[3], rest[4]
		if int64(len(rest)) < 9+size {
			return fmt.Errorf("frame at %d is cut", at)
		}
		body := rest[9 : 9+size]
		if kind != frameContinuation {
			f = frame{
				stream: binary.BigEndian.Uint32(rest[5:]), start: at,
				last: (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0,
			}
			block = nil
		}
		at += 9 + size
		f.end = at
		if kind == frameHeaders {
			if flags&flagPadded != 0 {
				body = body[1 : len(body)-int(body[0])]
			}
			if flags&flagPriority != 0 {
				body = body[5:]
			}
		}
		if kind == frameHeaders || kind == frameContinuation {
			block = append(block, body...)
			if flags&flagEndHeaders == 0 {
				continue
			}
			all, err := fields.DecodeFull(block)
			if err != nil {
				return fmt.Errorf("frame at %d: %w", f.start, err)
			}
			f.fields = map[string]string{}
			for _, h := range all {
				f.fields[h.Name] = h.Value
			}
		}
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}
