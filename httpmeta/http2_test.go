package httpmeta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// peer writes the frames of one side.
type peer struct {
	enc *hpack.Encoder
	buf bytes.Buffer
}

func newPeer() *peer {
	p := &peer{}
	p.enc = hpack.NewEncoder(&p.buf)
	return p
}

// block encodes fields, given as name, value, name, value, ….
func (p *peer) block(fields ...string) string {
	p.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.buf.String()
}

func frame(typ, flags byte, stream uint32, payload string) string {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), typ, flags}
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

func (p *peer) headers(flags byte, stream uint32, fields ...string) string {
	return frame(frameHeaders, flagEndHeaders|flags, stream, p.block(fields...))
}

// get is a request without a body.
func (p *peer) get(stream uint32, path string) string {
	return p.headers(flagEndStream, stream, ":method", "GET", ":scheme", "http", ":authority", "H:80", ":path", path, "user-agent", "x")
}

// pad puts padding around a payload.
func pad(payload string, n int) string {
	return string([]byte{byte(n)}) + payload + strings.Repeat("\x00", n)
}

const (
	noSettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	settings   = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00" // HEADER_TABLE_SIZE 65536
)

// TestHTTP2 tells for each rule what a Conn makes of it, however the octets
// are split.
func TestHTTP2(t *testing.T) {
	grpc := []string{":method", "POST", ":scheme", "http", ":authority", "svc", ":path", "/p.S/M", "content-type", "application/grpc+proto"}
	for _, tc := range []struct {
		name   string
		chunks func(cl, sv *peer) []chunk
		want   string
		losses Losses
	}{
		{name: "one request", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + settings), s(noSettings), c(cl.get(1, "/u/7?q=1")), s(sv.headers(0, 1, ":status", "200") + frame(frameData, 0, 1, "hello")), s(frame(frameData, flagEndStream, 1, " you"))}
		}, want: "GET h /u/{id} [3-3 c1-c3] → 2 200 [4-5 s2 9B]"},
		{name: "the server's SETTINGS come first", chunks: func(cl, sv *peer) []chunk {
			return []chunk{s(settings), c(preface + noSettings + cl.get(1, "/")), s(sv.headers(flagEndStream, 1, ":status", "204"))}
		}, want: "GET h / [2-2 33-c2] → 2 204 [3-3 s1]"},
		{name: "interleaved", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings), s(noSettings),
				c(cl.headers(0, 1, ":method", "PUT", ":scheme", "http", ":authority", "h", ":path", "/big")), c(cl.get(3, "/small")), c(frame(frameData, 0, 1, "abc")),
				s(sv.headers(flagEndStream, 3, ":status", "404")), c(frame(frameData, flagEndStream, 1, "de")), s(sv.headers(flagEndStream, 1, ":status", "500"))}
		}, want: `GET h /small [4-4 c3-c4] → 2 404 [6-6 s2]
			PUT h /big [3-7 c1-c7 5B] → 2 500 [8-8 s6]`},
		{name: "gRPC, trailers", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.headers(0, 1, grpc...) + frame(frameData, flagEndStream, 1, "12345")), s(noSettings),
				s(sv.headers(0, 1, ":status", "200", "content-type", "application/grpc") + frame(frameData, 0, 1, "1234567")), s(sv.headers(flagEndStream, 1, "grpc-status", "5", "grpc-message", "no"))}
		}, want: "POST svc /p.S/M [1-1 33-c1 5B] → 2 200 [3-4 s2 7B] grpc 5"},
		{name: "gRPC, trailers only", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.headers(flagEndStream, 1, grpc...)), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200", "content-type", "application/grpc", "grpc-status", "0"))}
		}, want: "POST svc /p.S/M [1-1 33-c1] → 2 200 [2-2 9] grpc 0"},
		{name: "a grpc-status that is none", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.headers(flagEndStream, 1, grpc...)), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200", "grpc-status", "x1"))}
		}, want: "POST svc /p.S/M [1-1 33-c1] → 2 200 [2-2 9]"},
		{name: "grpc-status of what is not gRPC", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200", "grpc-status", "1"))}
		}, want: "GET h / [1-1 33-c1] → 2 200 [2-2 9]"},
		{name: "interim responses", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + sv.headers(0, 1, ":status", "103") + sv.headers(0, 1, ":status", "100")), s(sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: "GET h / [1-1 33-c1] → 2 200 [3-3 s2]"},
		{name: "CONTINUATION, padding, priority", chunks: func(cl, sv *peer) []chunk {
			block := cl.block(":method", "GET", ":scheme", "https", ":authority", "a.b:443", ":path", "/x", "cookie", strings.Repeat("y", 50))
			answer := sv.block(":status", "200")
			return []chunk{c(preface + noSettings), c(frame(frameHeaders, flagEndStream|flagPadded|flagPriority, 1, "\x07\x80\x00\x00\x00\x10"+block[:9]+"1234567") + frame(frameContinuation, 0, 1, "") +
				frame(frameContinuation, 0, 1, block[9:20]) + frame(frameContinuation, flagEndHeaders, 1, block[20:])),
				s(noSettings + frame(frameHeaders, flagPadded|flagEndHeaders, 1, pad(answer, 3)) + frame(frameData, flagPadded, 1, pad("abc", 200)) + frame(frameData, flagPadded|flagEndStream, 1, pad("", 0)))}
		}, want: "GET a.b /x [2-2 c1-c2] → 2 200 [3-3 9 3B]"},
		{name: "other frames are passed over", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + frame(8, 0, 0, "\x00\x00\xff\xff") + frame(6, 0, 0, "12345678") + frame(2, 0, 1, "12345") + frame(77, 0xff, 9, "unknown") + frame(frameSettings, 1, 0, "") + cl.get(1, "/")),
				s(noSettings + sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: "GET h / [1-1 102-c1] → 2 200 [2-2 9]"},
		{name: "reset by the client", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/") + cl.get(3, "/b")), s(noSettings), c(frame(frameRSTStream, 0, 1, "\x00\x00\x00\x08")),
				s(sv.headers(0, 1, ":status", "200") + frame(frameData, flagEndStream, 1, "x") + sv.headers(flagEndStream, 3, ":status", "200"))}
		}, want: `GET h / [1-1 33-54] → ?
			GET h /b [1-1 54-c1] → 2 200 [4-4 29]`},
		{name: "reset by the server in the body", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + sv.headers(0, 1, ":status", "200") + frame(frameData, 0, 1, "xyz") + frame(frameRSTStream, 0, 1, "\x00\x00\x00\x02"))}
		}, want: "GET h / [1-1 33-c1] → 2 200 [2-? 9 3B]"},
		{name: "reset without an error, behind an early answer", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.headers(0, 1, grpc...)), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200", "grpc-status", "8") + frame(frameRSTStream, 0, 1, "\x00\x00\x00\x00"))}
		}, want: "POST svc /p.S/M [1-? 33-?] → 2 200 [2-2 9] grpc 8"},
		{name: "GOAWAY", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/") + cl.get(3, "/b") + cl.get(5, "/c")), s(noSettings + frame(frameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00because")), s(sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: `GET h /b [1-1 54-71] → ?
			GET h /c [1-1 71-c1] → ?
			GET h / [1-1 33-54] → 2 200 [3-3 s2]`},
		{name: "pushed streams are passed over", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + frame(framePushPromise, flagEndHeaders|flagPadded, 1, "\x02\x00\x00\x00\x02"+sv.block(":method", "GET", ":path", "/pushed", "x-y", "z")+"\x00\x00") +
				sv.headers(0, 2, ":status", "200") + frame(frameData, flagEndStream, 2, "pushed") + sv.headers(flagEndStream, 1, ":status", "404", "x-y", "z"))}
		}, want: "GET h / [1-1 33-c1] → 2 404 [2-2 65]"},
		{name: "request trailers", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.headers(0, 1, ":method", "POST", ":path", "/t", "host", "From.Host") + frame(frameData, 0, 1, "abc")), c(cl.headers(flagEndStream, 1, "x-sum", "1")), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: "POST from.host /t [1-2 33-c2 3B] → 2 200 [3-3 9]"},
		{name: "extended CONNECT", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.headers(0, 1, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "h", ":path", "/chat?secret") + frame(frameData, 0, 1, "abc")), s(noSettings + sv.headers(0, 1, ":status", "200"))}
		}, want: "CONNECT h /chat [1-? 33-? 3B] → 2 200 [2-? 9]"},
		{name: "the end in a DATA frame", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + sv.headers(0, 1, ":status", "200") + frame(frameData, 0, 1, "12345678")[:frameHeader+5])}
		}, want: "GET h / [1-1 33-c1] → 2 200 [2-? 9 5B]"},
		{name: "the end in the padding", chunks: func(cl, sv *peer) []chunk {
			f := frame(frameData, flagPadded, 1, pad("12345", 20))
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + sv.headers(0, 1, ":status", "200") + f[:len(f)-5])}
		}, want: "GET h / [1-1 33-c1] → 2 200 [2-? 9 5B]"},
		{name: "no answer", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings)}
		}, want: "GET h / [1-1 33-c1] → ?"},
		{name: "an answer before its request", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings), s(noSettings + sv.headers(flagEndStream, 3, ":status", "200")), c(cl.get(1, "/a") + cl.get(3, "/b"))}
		}, want: `GET h /b [3-3 57-c3] → 2 200 [2-2 9]
			GET h /a [3-3 33-57] → ?`},
		{name: "an answer without a request", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: "? → 2 200 [2-2 9]"},
		{name: "a table of the size that the peer allows", chunks: func(cl, sv *peer) []chunk {
			sv.enc.SetMaxDynamicTableSizeLimit(1 << 16)
			sv.enc.SetMaxDynamicTableSize(1 << 16)
			out := []chunk{c(preface + settings), s(noSettings)}
			for id := uint32(1); id < 60; id += 2 { // more than 4096 octets of fields, said again
				out = append(out, c(cl.get(id, "/")), s(sv.headers(flagEndStream, id, ":status", "418", "x", strings.Repeat("v", 200+int(id%30)))))
			}
			return out
		}, want: strings.Repeat("GET h / → 2 418\n", 30)},
		{name: "a table that shrinks", chunks: func(cl, sv *peer) []chunk {
			out := []chunk{c(preface + settings), s(noSettings)}
			for id := uint32(1); id < 9; id += 2 {
				out = append(out, c(cl.get(id, "/")), s(sv.headers(flagEndStream, id, ":status", "418", "x", "y")))
				sv.enc.SetMaxDynamicTableSize(100 - 10*id)
			}
			return out
		}, want: strings.Repeat("GET h / → 2 418\n", 4)},
		{name: "a table beyond what is followed", chunks: func(cl, sv *peer) []chunk {
			sv.enc.SetMaxDynamicTableSizeLimit(1 << 20)
			sv.enc.SetMaxDynamicTableSize(1 << 20)
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: "GET h / [1-1 33-c1] → ? broken", losses: Losses{Poisoned: 1, Malformed: 1}},
		{name: "a header block that is none", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + frame(frameHeaders, flagEndHeaders|flagEndStream, 1, "\xff\xff\xff\xff\xff\xff")), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200")), c(cl.get(3, "/"))}
		}, want: `unknown [1-1 33-c1] → 2 200 [2-2 9]
			unknown [3-3 c1-c3] → ?`, losses: Losses{Poisoned: 1, Malformed: 1}},
		{name: "a header block beyond the bound", chunks: func(cl, sv *peer) []chunk {
			block := strings.Repeat("\x82", maxHead/2+1)
			return []chunk{c(preface + noSettings + frame(frameHeaders, flagEndStream, 1, block) + frame(frameContinuation, flagEndHeaders, 1, block)), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: "unknown [1-1 33-c1] → 2 200 [2-2 9]", losses: Losses{Poisoned: 1, TooLong: 1}},
		{name: "a preface cut short", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), s(noSettings)}
		}, losses: Losses{Malformed: 1}},
		{name: "a frame in a header block", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + frame(frameHeaders, 0, 1, "\x82") + frame(frameData, 0, 1, "")), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: "? → 2 200 [2-2 9]", losses: Losses{Malformed: 1}},
		{name: "CONTINUATION of nothing", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + frame(frameContinuation, flagEndHeaders, 1, ""))}
		}, want: "GET h / [1-1 33-c1] → ? broken", losses: Losses{Malformed: 1}},
		{name: "padding longer than the frame", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + frame(frameData, flagPadded, 1, "\x05abcd"))}
		}, want: "GET h / [1-1 33-c1] → ? broken", losses: Losses{Malformed: 1}},
		{name: "frame too short for what it is", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + frame(frameRSTStream, 0, 1, "abc"))}
		}, want: "GET h / [1-1 33-c1] → ? broken", losses: Losses{Malformed: 1}},
		{name: "HEADERS on stream 0", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(0, "/"))}
		}, losses: Losses{Malformed: 1}},
		{name: "h2c", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c("GET /up?x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: foo, h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"), s("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
				s(noSettings), c(preface + noSettings), s(sv.headers(0, 1, ":status", "200") + frame(frameData, flagEndStream, 1, "ok")), c(cl.get(3, "/next")), s(sv.headers(flagEndStream, 3, ":status", "404"))}
		}, want: `GET h /up [1-1 0-c1] → 2 200 [5-5 s3 2B] upgraded h2c
			GET h /next [6-6 c4-c6] → 2 404 [7-7 s5]`},
		{name: "h2c, the preface before the 101", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c("POST /up HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab"), c(preface + noSettings + cl.get(3, "/next")), s("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n" +
				noSettings + sv.headers(flagEndStream, 3, ":status", "404") + sv.headers(flagEndStream, 1, ":status", "200"))}
		}, want: `GET h /next [2-2 98-c2] → 2 404 [3-3 49]
			POST h /up [1-1 0-c1 2B] → 2 200 [3-3 59] upgraded h2c`},
		{name: "h2c that the server does not take", chunks: func(cl, sv *peer) []chunk {
			return []chunk{c("GET /up HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n"), s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}
		}, want: `GET h /up [1-1 0-c1] → 1.1 200 [2-2 0]
			GET h /a [3-3 c1-c3] → 1.1 200 [4-4 38]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			chunks := tc.chunks(newPeer(), newPeer())
			got := run(chunks, true, asIs)
			g, w := showAll(got.exchanges), clean(tc.want, chunks)
			if !strings.Contains(w, "[") { // places and times do not matter
				var lines []string
				for _, e := range got.exchanges {
					lines = append(lines, show(&Exchange{Requested: true, Method: e.Method, Host: e.Host, Path: e.Path, Version: e.Version, Status: e.Status, GRPC: -1}))
				}
				g = strings.NewReplacer(" [?-? ?-?]", "", " [?-? ?]", "").Replace(strings.Join(lines, "\n"))
			}
			if g != w || got.losses != tc.losses {
				t.Errorf("got\n%s\n%+v\nwant\n%s\n%+v", g, got.losses, w, tc.losses)
			}
			if got.held != 0 {
				t.Errorf("%d octets are still out of the budget", got.held)
			}
			everySplit(t, chunks, true, got)
		})
	}
}

// TestHTTP2Gaps: a frame's length says what was missed. In a header block that
// is the state of HPACK too, and between frames all that is to come.
func TestHTTP2Gaps(t *testing.T) {
	for _, tc := range []struct {
		name   string
		chunks func(cl, sv *peer) []chunk
		want   string
		losses Losses
	}{
		{"in DATA", func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + sv.headers(0, 1, ":status", "200") + frame(frameData, flagEndStream, 1, "1234567890")[:frameHeader+2]), sGap(7), s("0"), c(cl.get(3, "/b")), s(sv.headers(flagEndStream, 3, ":status", "404"))}
		}, `GET h / [1-1 33-c1] → 2 200 [2-4 9 10B]
			GET h /b [5-5 c1-c5] → 2 404 [6-6 s4]`, Losses{}},
		{"the end of DATA", func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + sv.headers(0, 1, ":status", "200") + frame(frameData, flagEndStream, 1, "1234567890")[:frameHeader]), sGap(10), c(cl.get(3, "/b")), s(sv.headers(flagEndStream, 3, ":status", "404"))}
		}, `GET h / [1-1 33-c1] → 2 200 [2-? 9 10B]
			GET h /b [4-4 c1-c4] → 2 404 [5-5 s3]`, Losses{}},
		{"in a request's header block: names are not known from then on", func(cl, sv *peer) []chunk {
			a, b := cl.get(1, "/a"), cl.get(3, "/b")
			return []chunk{c(preface + noSettings + a), s(noSettings), c(b[:frameHeader+1]), cGap(int64(len(b) - frameHeader - 1)), c(cl.get(5, "/c")),
				s(sv.headers(flagEndStream, 1, ":status", "200") + sv.headers(flagEndStream, 3, ":status", "404") + sv.headers(flagEndStream, 5, ":status", "500"))}
		}, `GET h /a [1-1 33-c1] → 2 200 [6-6 9]
			unknown [3-? c1-c4] → 2 404 [6-6 19]
			unknown [5-5 c4-c5] → 2 500 [6-6 29]`, Losses{Poisoned: 1}},
		{"in a response's header block: statuses are not known from then on", func(cl, sv *peer) []chunk {
			a := sv.headers(0, 1, ":status", "418", "x", "y")
			return []chunk{c(preface + noSettings + cl.get(1, "/a")), s(noSettings + a[:frameHeader+2]), sGap(int64(len(a) - frameHeader - 3)), s(a[len(a)-1:] + frame(frameData, flagEndStream, 1, "abc")),
				c(cl.get(3, "/b")), s(sv.headers(flagEndStream, 3, ":status", "418"))}
		}, `GET h /a [1-1 33-c1] → ? broken
			GET h /b [5-5 c1-c5] → ? broken`, Losses{Poisoned: 1}},
		{"in trailers: the status holds, grpc-status is not known", func(cl, sv *peer) []chunk {
			a := sv.headers(0, 1, ":status", "200", "content-type", "application/grpc")
			b := sv.headers(flagEndStream, 1, "grpc-status", "0")
			return []chunk{c(preface + noSettings + cl.get(1, "/a")), s(noSettings + a + b[:frameHeader+1]), sGap(int64(len(b) - frameHeader - 2)), s(b[len(b)-1:])}
		}, `GET h /a [1-1 33-c1] → 2 200 [2-4 9]`, Losses{Poisoned: 1}},
		{"between the server's frames", func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/a") + cl.get(3, "/b")), s(noSettings + sv.headers(0, 1, ":status", "200")), sGap(30), s(frame(frameData, flagEndStream, 1, "abc")), c(cl.get(5, "/c"))}
		}, `GET h /a [1-1 33-57] → 2 200 [2-? 9]
			GET h /b [1-1 57-c1] → ? broken
			GET h /c [5-5 c1-c5] → ? broken`, Losses{Lost: 1}},
		{"over the end of a frame of the server's", func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/a")), s(noSettings + sv.headers(0, 1, ":status", "200") + frame(frameData, 0, 1, "12345678")[:frameHeader+5]), sGap(30), s("xyz")}
		}, `GET h /a [1-1 33-c1] → 2 200 [2-? 9 5B]`, Losses{Lost: 1}},
		{"between the client's frames: answers have no request then", func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/a")), cGap(30), s(noSettings + sv.headers(flagEndStream, 1, ":status", "200") + sv.headers(flagEndStream, 3, ":status", "404"))}
		}, `GET h /a [1-1 33-c1] → 2 200 [3-3 9]
			? → 2 404 [3-3 19]`, Losses{Lost: 1}},
		{"in GOAWAY", func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/a")), s(noSettings + frame(frameGoAway, 0, 0, "12345678")[:frameHeader+1]), sGap(6), s("8" + sv.headers(flagEndStream, 1, ":status", "200"))}
		}, `GET h /a [1-1 33-c1] → 2 200 [4-4 26]`, Losses{}},
		{"in RST_STREAM", func(cl, sv *peer) []chunk {
			return []chunk{c(preface + noSettings + cl.get(1, "/a")), s(noSettings + frame(frameRSTStream, 0, 1, "1234")[:frameHeader]), sGap(4), c(cl.get(3, "/b")), s(sv.headers(flagEndStream, 3, ":status", "200"))}
		}, `GET h /a [1-1 33-c1] → ?
			GET h /b [4-4 c1-c4] → 2 200 [5-5 s3]`, Losses{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			chunks := tc.chunks(newPeer(), newPeer())
			got := run(chunks, true, asIs)
			if g, w := showAll(got.exchanges), clean(tc.want, chunks); g != w || got.losses != tc.losses {
				t.Errorf("got\n%s\n%+v\nwant\n%s\n%+v", g, got.losses, w, tc.losses)
			}
			if got.held != 0 {
				t.Errorf("%d octets are still out of the budget", got.held)
			}
			everySplit(t, chunks, true, got)
		})
	}
}

// TestStreamBound: streams beyond the bound are counted and their blocks still
// keep HPACK in step; one that is only waiting for the request's end leaves.
func TestStreamBound(t *testing.T) {
	cl, sv := newPeer(), newPeer()
	var out []chunk
	out = append(out, c(preface+noSettings), s(noSettings))
	post := func(id uint32, path string) string {
		return cl.headers(0, id, ":method", "POST", ":scheme", "http", ":authority", "h", ":path", path)
	}
	for i := range uint32(maxStreams + 3) {
		out = append(out, c(post(2*i+1, "/first")))
	}
	const again = 2*(maxStreams+3) + 1
	out = append(out, s(sv.headers(flagEndStream, 7, ":status", "200")), c(post(again, "/again")), s(sv.headers(flagEndStream, again, ":status", "503")))
	got := run(out, true, asIs)
	byStatus := map[string]int{}
	for _, e := range got.exchanges {
		byStatus[fmt.Sprint(e.Path, " ", e.Status)]++
	}
	if len(byStatus) != 3 || byStatus["/first 0"] != maxStreams-1 || byStatus["/first 200"] != 1 || byStatus["/again 503"] != 1 {
		t.Errorf("exchanges %v, want %d /first without, one with 200, one /again with 503", byStatus, maxStreams-1)
	}
	if got.losses != (Losses{Untracked: 3}) {
		t.Errorf("losses %+v, want 3 untracked", got.losses)
	}
}

// TestHTTP2Memory: header blocks, what is kept of them, and dynamic tables come out of
// the budget.
func TestHTTP2Memory(t *testing.T) {
	cl, sv := newPeer(), newPeer()
	sv.enc.SetMaxDynamicTableSizeLimit(1 << 16)
	sv.enc.SetMaxDynamicTableSize(1 << 16)
	head := sv.headers(flagEndStream, 1, ":status", "200", "grpc-status", strings.Repeat("\x00", 5000))
	chunks := []chunk{c(preface + noSettings + cl.get(1, "/")), s(noSettings + head[:3000]), s(head[3000:])}
	const (
		entry    = int64(entrySize)
		names    = minBuffer      // of the request, while it is read
		table    = 256 + 16*12    // of the client
		block    = 4 << 10        // of the server, its first piece
		whole    = 8 << 10        // and the block
		larger   = 16<<10 + 16*12 // table of the server
		peak     = entry + table + block
		atTheEnd = entry + table + larger
	)
	for _, tc := range []struct {
		name   string
		budget int64
		peak   int64
		status int
		losses Losses
	}{
		{"enough", entry + table + whole + larger, atTheEnd, 200, Losses{}},
		{"not for the block", entry + table + names, entry + table, 0, Losses{NoMemory: 1, Poisoned: 1}},
		{"not for the whole block", peak + 1000, peak, 0, Losses{NoMemory: 1, Poisoned: 1}},
		{"not for the larger table", entry + table + larger, peak, 0, Losses{NoMemory: 1, Poisoned: 1}},
		{"not for any table", table - 1, entry, 0, Losses{NoMemory: 2, Poisoned: 2}},
		{"not for the stream", entry - 1, 0, -1, Losses{NoMemory: 3, Poisoned: 2}},
		{"not for the names", names - 1, entry, 0, Losses{NoMemory: 2, Poisoned: 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := runOn(&Shared{Budget: newBudget(tc.budget)}, chunks, true, asIs)
			status := -1 // no exchange
			if len(got.exchanges) == 1 {
				status = got.exchanges[0].Status
			}
			if got.losses != tc.losses || got.held != 0 || got.peak != tc.peak || status != tc.status {
				t.Errorf("status %d, losses %+v, %d octets held at most, %d at the end; want status %d, %+v, %d, 0\n%s",
					status, got.losses, got.peak, got.held, tc.status, tc.losses, tc.peak, showAll(got.exchanges))
			}
		})
	}
}

// TestManyFields: fields beyond the bound are not read, and HPACK stays in
// step.
func TestManyFields(t *testing.T) {
	cl, sv := newPeer(), newPeer()
	fields := []string{":status", "200"}
	for range maxFieldsRead {
		fields = append(fields, "x", "y")
	}
	fields = append(fields, "content-type", "application/grpc", "grpc-status", "3")
	got := run([]chunk{c(preface + noSettings + cl.get(1, "/") + cl.get(3, "/")), s(noSettings + sv.headers(flagEndStream, 1, fields...)),
		s(sv.headers(flagEndStream, 3, ":status", "200", "content-type", "application/grpc", "grpc-status", "3"))}, true, asIs)
	if statuses := []int{got.exchanges[0].GRPC, got.exchanges[1].GRPC}; !slices.Equal(statuses, []int{-1, 3}) || got.losses != (Losses{}) {
		t.Errorf("grpc-status %v, losses %+v; want [-1 3] and none", statuses, got.losses)
	}
}
