package httpmeta

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

const get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n" // 28 octets

// TestHTTP1 tells for each rule what a Conn makes of it, however the octets
// are split.
func TestHTTP1(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	for _, tc := range []struct {
		name     string
		chunks   []chunk
		want     string
		upgraded string
		losses   Losses
	}{
		{name: "one request", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-2 0 5B]"},
		{name: "head and body in pieces", chunks: []chunk{c("POST /x HTTP/1.1\r\nHo"), c("st: h\r\ncontent-length:3\r\n\r\na"), c("bc"),
			s("HTTP/1.1 201 Cre"), s("ated\r\nContent-Length: 2\r\n\r\n"), s("o"), s("k")},
			want: "POST h /x [1-3 0-c3 3B] → 1.1 201 [4-7 0 2B]"},
		{name: "keep-alive", chunks: []chunk{c(get), s(ok), c("DELETE /b HTTP/1.1\r\nHost: h\r\n\r\n"), s("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")},
			want: `GET h /a [1-1 0-28] → 1.1 200 [2-2 0]
				DELETE h /b [3-3 28-59] → 1.1 404 [4-4 38]`},
		{name: "pipelined", chunks: []chunk{c(get + "GET /b HTTP/1.1\r\nHost: h\r\n\r\nHEAD /c HTTP/1.1\r\nHost: h\r\n\r\n"),
			s("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nbb"), s("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")},
			want: `GET h /a [1-1 0-28] → 1.1 200 [2-2 0 1B]
				GET h /b [1-1 28-56] → 1.1 500 [2-2 39 2B]
				HEAD h /c [1-1 56-85] → 1.1 200 [3-3 79]`},
		{name: "no body by status", chunks: []chunk{c(get + get + get), s("HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\nHTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
			want: `GET h /a [1-1 0-28] → 1.1 204 [2-2 0]
				GET h /a [1-1 28-56] → 1.1 304 [2-2 38]
				GET h /a [1-1 56-84] → 1.1 200 [2-2 86]`},
		{name: "interim responses", chunks: []chunk{c(get), s("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), s("HTTP/1.1 102 Processing\r\n\r\n" + ok)},
			want: "GET h /a [1-1 0-28] → 1.1 200 [3-3 64]"},
		{name: "100 and the body", chunks: []chunk{c("PUT /f HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"), s("HTTP/1.1 100 Continue\r\n\r\n"), c("GET "), s(ok)},
			want: "PUT h /f [1-3 0-c3 4B] → 1.1 200 [4-4 25]"},
		{name: "final answer instead of 100, another request", chunks: []chunk{c("PUT /f HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 400\r\n\r\n"),
			s("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"), c(get), s(ok)},
			want: `PUT h /f [1-1 0-c1] → 1.1 417 [2-2 0]
				GET h /a [3-3 c1-c3] → 1.1 200 [4-4 38]`},
		{name: "final answer instead of 100, the body all the same", chunks: []chunk{c("PUT /f HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
			s("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), c("GETS" + get), s(ok)},
			want: `PUT h /f [1-3 0-73 4B] → 1.1 403 [2-2 0]
				GET h /a [3-3 73-c3] → 1.1 200 [4-4 38]`},
		{name: "final answer instead of 100, a chunked body all the same", chunks: []chunk{c("PUT /f HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"),
			s("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), c("4\r\nGETS\r\n0\r\n\r\n")},
			want: `PUT h /f [1-3 0-c3 4B] → 1.1 403 [2-2 0]`},
		{name: "final answer instead of 100, then the end", chunks: []chunk{c("PUT /f HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"), s("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")},
			want: "PUT h /f [1-1 0-c1] → 1.1 403 [2-2 0]"},
		{name: "early answer", chunks: []chunk{c("POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc"), s("HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n"), c("def")},
			want: "POST h /f [1-3 0-c3 6B] → 1.1 413 [2-2 0]"},
		{name: "chunked with extension and trailers", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n00A \r\n0123456789\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n" + ok)},
			want: `GET h /a [1-1 0-28] → 1.1 200 [2-2 0 15B]
				? → 1.1 200 [2-2 102]`},
		{name: "chunked, bare LF", chunks: []chunk{c("POST /a HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"), s("HTTP/1.1 200 OK\nContent-Length: 1\n\nx")},
			want: "POST h /a [1-1 0-62 3B] → 1.1 200 [2-2 0 1B]"},
		{name: "chunked wins over a length", chunks: []chunk{c("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"), s(ok)},
			want: "POST h /a [1-1 0-95 1B] → 1.1 200 [2-2 0]"},
		{name: "identity is no coding", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-2 0 1B]"},
		{name: "another coding goes on to the end", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nabc"), s("def")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-3 0 6B]"},
		{name: "until the end", chunks: []chunk{c("GET /a HTTP/1.0\r\n\r\n"), s("HTTP/1.0 200 OK\r\n\r\nabc"), s("def"), {fin: true}, c("x")},
			want: "GET  /a [1-1 0-19] → 1.0 200 [2-3 0 6B]"},
		{name: "equal lengths", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\nabc")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-2 0 3B]"},
		{name: "conflicting lengths, then a new turn", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), c(get), s(ok)},
			want: `GET h /a [1-1 0-28] → 1.1 200 [2-? 0]
				GET h /a [3-3 28-56] → 1.1 200 [4-4 61]`, losses: Losses{Malformed: 1}},
		{name: "length that is no number", chunks: []chunk{c("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc"), s(ok), c(get), s(ok)},
			want: `POST h /a [1-? 0-?] → 1.1 200 [2-2 0]
				GET h /a [3-3 52-80] → 1.1 200 [4-4 38]`, losses: Losses{Malformed: 1}},
		{name: "length beyond 63 bits", chunks: []chunk{c("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\nabc")},
			want: "POST h /a [1-? 0-?] → ?", losses: Losses{Malformed: 1}},
		{name: "folded fields", chunks: []chunk{c("POST /a HTTP/1.1\r\nHost:\r\n\th\r\nTransfer-Encoding:\r\n gzip,\r\n chunked\r\n\r\n0\r\n\r\n"), s(ok)},
			want: "POST h /a [1-1 0-c1] → 1.1 200 [2-2 0]"},
		{name: "empty lines before a request", chunks: []chunk{c("\r\n\n" + get), s("\r\n" + ok)},
			want: "GET h /a [1-1 3-31] → 1.1 200 [2-2 2]"},
		{name: "lines that are no fields", chunks: []chunk{c("GET /a HTTP/1.1\r\n: x\r\nnonsense\r\nHost : h\r\n\r\n"), s("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")},
			want: "GET h /a [1-1 0-c1] → 1.1 200 [2-2 0]"},
		{name: "target with spaces", chunks: []chunk{c("GET  /a b  HTTP/1.1\r\nHost: h\r\n\r\n"), s(ok)},
			want: "GET h /a%20b [1-1 0-32] → 1.1 200 [2-2 0]"},
		{name: "absolute form", chunks: []chunk{c("GET http://u:p@Example.ORG:80/x?q HTTP/1.1\r\nHost: other\r\n\r\n"), s(ok)},
			want: "GET example.org /x [1-1 0-59] → 1.1 200 [2-2 0]"},
		{name: "asterisk form", chunks: []chunk{c("OPTIONS * HTTP/1.1\r\nHost: h:8080\r\n\r\n"), s(ok)},
			want: "OPTIONS h:8080 * [1-1 0-36] → 1.1 200 [2-2 0]"},
		{name: "status of none of the classes", chunks: []chunk{c(get), s("HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n")},
			want: "GET h /a [1-1 0-28] → 1.1 999 [2-2 0]"},
		{name: "gRPC status in an HTTP/1 head", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web\r\ngrpc-status: 12\r\nContent-Length: 0\r\n\r\n")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-2 0] grpc 12"},
		{name: "no answer", chunks: []chunk{c(get)},
			want: "GET h /a [1-1 0-28] → ?"},
		{name: "answer cut in its head", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nConte")},
			want: "GET h /a [1-1 0-28] → ?"},
		{name: "answer cut in its body", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-? 0 3B]"},
		{name: "request cut in its body", chunks: []chunk{c("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")},
			want: "POST h /a [1-? 0-? 3B] → ?"},
		{name: "answer without a request", chunks: []chunk{s(ok), c(get), s("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")},
			want: `? → 1.1 200 [1-1 0]
				GET h /a [2-2 0-28] → 1.1 404 [3-3 38]`},
		{name: "answer to what may have been HEAD, without a body", chunks: []chunk{s("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"), c(get), s(ok)},
			want: `? → 1.1 200 [1-1 0]
				GET h /a [2-2 0-28] → 1.1 200 [3-3 40]`},
		{name: "answer to what may have been HEAD, with a body", chunks: []chunk{s("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nHTTP/1.1 is ok"), c(get), s(ok)},
			want: `? → 1.1 200 [1-1 0 14B]
				GET h /a [2-2 0-28] → 1.1 200 [3-3 53]`},
		{name: "a short body that begins as a head", chunks: []chunk{s("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), s("x")},
			want: "? → 1.1 200 [1-1 0 3B]", losses: Losses{Malformed: 1}},
		{name: "the rest of an earlier answer comes first", chunks: []chunk{s("rest of a body"), c(get), s(ok)},
			want: "GET h /a [2-2 0-28] → 1.1 200 [3-3 14]", losses: Losses{Malformed: 1}},
		{name: "the rest of an earlier request comes first", chunks: []chunk{c("rest\x00of a body"), s(ok), c(get), s(ok)},
			want: `? → 1.1 200 [2-2 0]
				GET h /a [3-3 14-42] → 1.1 200 [4-4 38]`, losses: Losses{Malformed: 1}},
		{name: "not HTTP", chunks: []chunk{c("EHLO mail\r\n\r\n"), s("250 ok\r\n")}, losses: Losses{Malformed: 2}},
		{name: "another protocol's request line", chunks: []chunk{c("OPTIONS sip:x SIP/2.0\r\nA: b\r\n\r\n"), s("SIP/2.0 200 OK\r\n\r\n")}, losses: Losses{Malformed: 2}},
		{name: "bad chunk size, then a new turn", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n"), c(get), s(ok)},
			want: `GET h /a [1-1 0-28] → 1.1 200 [2-? 0 3B]
				GET h /a [3-3 28-56] → 1.1 200 [4-4 63]`, losses: Losses{Malformed: 1}},
		{name: "chunk size without digits", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\n")},
			want: `GET h /a [1-1 0-28] → 1.1 200 [2-? 0]`, losses: Losses{Malformed: 1}},
		{name: "chunk size beyond 60 bits", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")},
			want: `GET h /a [1-1 0-28] → 1.1 200 [2-? 0]`, losses: Losses{Malformed: 1}},
		{name: "CONNECT", chunks: []chunk{c("CONNECT db.example:443 HTTP/1.1\r\nHost: x\r\n\r\n"), s("HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n"), c("\x16\x03\x01"), s("\x16\x03\x03")},
			want: "CONNECT db.example:443  [1-1 0-44] → 1.1 200 [2-2 0] upgraded connect", upgraded: "connect 44 58"},
		{name: "CONNECT refused", chunks: []chunk{c("CONNECT db.example:443 HTTP/1.1\r\nHost: x\r\n\r\n"), s("HTTP/1.1 407 Auth\r\nContent-Length: 1\r\n\r\nx"), c(get), s(ok)},
			want: `CONNECT db.example:443  [1-1 0-44] → 1.1 407 [2-2 0 1B]
				GET h /a [3-3 44-72] → 1.1 200 [4-4 41]`},
		{name: "websocket", chunks: []chunk{c("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), s("HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\n\r\n\x81\x05hello"), c("\x81\x85")},
			want: "GET h /ws [1-1 0-c1] → 1.1 101 [2-2 0] upgraded websocket", upgraded: "websocket 70 46"},
		{name: "upgrade of which the client did not wait for the answer", chunks: []chunk{c("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n"), c("GET /this is not HTTP\r\n\r\n"), s("HTTP/1.1 101 Switching\r\nUpgrade: x/1, y\r\n\r\n")},
			want: "GET h /ws [1-1 0-41] → 1.1 101 [3-3 0] upgraded x/1", upgraded: "x/1 41 43", losses: Losses{Malformed: 1}},
		{name: "requests behind the one that is upgraded are none", chunks: []chunk{c("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n" + get + "POST /b HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"), s("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), c(get)},
			want: "GET h /ws [1-1 0-41] → 1.1 101 [2-2 0] upgraded x", upgraded: "x 41 38"},
		{name: "upgrade before the request's end", chunks: []chunk{c("POST /ws HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 9\r\n\r\nabc"), s("HTTP/1.1 101 Switching\r\nUpgrade: \xff\r\n\r\n"), c(get)},
			want: "POST  /ws [1-? 0-? 3B] → 1.1 101 [2-2 0] upgraded unknown", upgraded: "unknown -101 s2"},
		{name: "codings with parameters, and empty ones", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip;q=1, ,Chunked ; a=b\r\n\r\n1\r\nx\r\n0\r\n\r\n")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-2 0 1B]"},
		{name: "chunk-size line beyond the bound", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", maxLine) + "\r\nx")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-? 0]", losses: Losses{Malformed: 1}},
		{name: "trailer section beyond the bound", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("a: b\r\n", maxHead/6+1) + "\r\n")},
			want: "GET h /a [1-1 0-28] → 1.1 200 [2-? 0]", losses: Losses{Malformed: 1}},
		{name: "status line without a status", chunks: []chunk{c(get), s("HTTP/1.1 OK\r\n\r\n")},
			want: "GET h /a [1-1 0-28] → ? broken", losses: Losses{Malformed: 1}},
		{name: "status of four digits", chunks: []chunk{c(get), s("HTTP/1.1 2000 OK\r\n\r\n")},
			want: "GET h /a [1-1 0-28] → ? broken", losses: Losses{Malformed: 1}},
		{name: "status below 100", chunks: []chunk{c(get), s("HTTP/1.1 099 OK\r\n\r\n")},
			want: "GET h /a [1-1 0-28] → ? broken", losses: Losses{Malformed: 1}},
		{name: "101 without a name", chunks: []chunk{c(get), s("HTTP/1.1 101 Switching\r\n\r\n")},
			want: "GET h /a [1-1 0-28] → 1.1 101 [2-2 0] upgraded unknown", upgraded: "unknown 28 26"},
		{name: "method of lower case", chunks: []chunk{c("get /a HTTP/1.1\r\nHost: h\r\n\r\n"), s(ok)},
			want: "OTHER h /a [1-1 0-28] → 1.1 200 [2-2 0]"},
		{name: "method too long", chunks: []chunk{c(strings.Repeat("G", 33) + " /a HTTP/1.1\r\nHost: h\r\n\r\n"), s(ok)},
			want: "? → 1.1 200 [2-2 0]", losses: Losses{Malformed: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(tc.chunks, false, asIs)
			if g, w := showAll(got.exchanges), clean(tc.want, tc.chunks); g != w || got.losses != tc.losses || got.upgraded != clean(tc.upgraded, tc.chunks) {
				t.Errorf("got\n%s\n%+v %q\nwant\n%s\n%+v %q", g, got.losses, got.upgraded, w, tc.losses, tc.upgraded)
			}
			if got.held != 0 {
				t.Errorf("%d octets are still out of the budget", got.held)
			}
			everySplit(t, tc.chunks, false, got)
		})
	}
}

// TestEarly: mirrors may deliver a response before its request. Where both
// directions are whole, it finds it, without a time. What answers nothing does
// not.
func TestEarly(t *testing.T) {
	const early = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	const timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 2\r\n\r\nok"
	missing := s("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
	for _, tc := range []struct {
		name   string
		chunks []chunk
		want   string
		losses Losses
	}{
		{"two at once", []chunk{s(early + string(missing.b)), c(get), c("GET /b HTTP/1.1\r\n\r\n")},
			`GET h /a [2-2 0-28] → 1.1 200 [1-1 0 2B] broken
			GET  /b [3-3 28-47] → 1.1 404 [1-1 40] broken`, Losses{}},
		{"as long before as may be", append([]chunk{s(early), pause(2999)}, c(get), missing),
			`GET h /a [3001-3001 0-28] → 1.1 200 [1-1 0 2B] broken
			? → 1.1 404 [3002-3002 40]`, Losses{}},
		{"longer before: the request may have been answered", []chunk{s(early), pause(3000), c(get), c(get), missing},
			`? → 1.1 200 [1-1 0 2B]
			GET h /a [3002-3002 0-28] → ? broken
			GET h /a [3003-3003 28-56] → 1.1 404 [3004-3004 40]`, Losses{}},
		{"408 on an idle connection", []chunk{c(get), missing, s(timeout), c(get), missing},
			`GET h /a [1-1 0-28] → 1.1 404 [2-2 0]
			? → 1.1 408 [3-3 38 2B]
			GET h /a [4-4 28-56] → 1.1 404 [5-5 s4]`, Losses{}},
		{"408, and a request that is too late", []chunk{s(timeout), c(get), {fin: true}},
			`? → 1.1 408 [1-1 0 2B]
			GET h /a [2-2 0-28] → ?`, Losses{}},
		{"408 to a request that does not end", []chunk{c("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"), s(timeout)},
			`POST h /a [1-? 0-? 3B] → 1.1 408 [2-2 0 2B]`, Losses{}},
		{"once octets were missed, nobody knows", []chunk{s(early), missing, cGap(10), c(get)},
			`? → 1.1 200 [1-1 0 2B]
			? → 1.1 404 [2-2 40]`, Losses{Lost: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(tc.chunks, true, asIs)
			if g, w := showAll(got.exchanges), clean(tc.want, tc.chunks); g != w || got.losses != tc.losses {
				t.Errorf("got\n%s\n%+v\nwant\n%s\n%+v", g, got.losses, w, tc.losses)
			}
			everySplit(t, tc.chunks, true, got)
		})
	}
}

// TestHeadBounds: a head may have 64 KiB, in one piece or many, and what it
// holds comes out of the budget and goes back.
func TestHeadBounds(t *testing.T) {
	request := func(n int) []chunk {
		head := "GET /a HTTP/1.1\r\nCookie: "
		return []chunk{c(head + strings.Repeat("x", n-len(head)-4) + "\r\n\r\n"), s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")}
	}
	pieces := func(_ int, b []byte) (parts [][]byte) {
		for len(b) > 1460 {
			parts = append(parts, b[:1460])
			b = b[1460:]
		}
		return append(parts, b)
	}
	for _, tc := range []struct {
		name   string
		octets int
		budget int64
		losses Losses
		peak   int64 // where split
	}{
		{name: "as long as may be", octets: maxHead, budget: 1 << 20, peak: maxHead},
		{name: "one more", octets: maxHead + 1, budget: 1 << 20, losses: Losses{TooLong: 1}, peak: maxHead},
		{name: "more than is in the budget", octets: 5000, budget: 4500, losses: Losses{NoMemory: 1}, peak: 4096},
	} {
		for name, how := range map[string]split{"whole": asIs, "split": pieces} {
			t.Run(tc.name+", "+name, func(t *testing.T) {
				shared := &Shared{Budget: newBudget(tc.budget)}
				got := runOn(shared, request(tc.octets), false, how)
				want, peak := tc.losses, tc.peak
				if name == "whole" {
					peak = 0
					want.NoMemory = 0 // none is needed
				}
				if got.losses != want || got.held != 0 || got.peak != peak {
					t.Errorf("losses %+v, %d octets held at most, %d at the end, want %+v, %d, 0", got.losses, got.peak, got.held, want, peak)
				}
				if requested := got.exchanges[0].Requested; requested != (want == Losses{}) {
					t.Errorf("the request is told: %v", requested)
				}
			})
		}
	}
}

// TestPending: more requests at a time than are followed.
func TestPending(t *testing.T) {
	const n = maxPending + 10
	got := run([]chunk{c(strings.Repeat(get, n)), s(strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", n))}, false, asIs)
	var paired, orphans int
	for _, e := range got.exchanges {
		switch {
		case e.Requested && e.Status == 200:
			paired++
		case !e.Requested:
			orphans++
		}
	}
	if paired != maxPending || orphans != 10 || got.losses != (Losses{Untracked: 1}) {
		t.Errorf("%d paired, %d without a request, %+v; want %d, 10, one untracked", paired, orphans, got.losses, maxPending)
	}
}

// TestPendingMemory: requests that wait come out of the budget, but for the
// first ones.
func TestPendingMemory(t *testing.T) {
	const n = 20
	chunks := []chunk{c(strings.Repeat(get, n)), s(strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", n))}
	for _, tc := range []struct {
		budget, requests int
		losses           Losses
	}{
		{28 * entrySize, n, Losses{}},
		{12 * entrySize, 16, Losses{NoMemory: 2}},
		{4*entrySize - 1, 4, Losses{NoMemory: 2}},
		{0, 4, Losses{NoMemory: 2}},
	} {
		got := runOn(&Shared{Budget: newBudget(int64(tc.budget))}, chunks, false, asIs)
		if len(got.exchanges) != tc.requests || got.exchanges[tc.requests-1].Status != 200 || !got.exchanges[tc.requests-1].Requested || got.losses != tc.losses || got.held != 0 {
			t.Errorf("budget %d: %d exchanges, losses %+v, %d octets held; want %d, %+v, 0\n%s", tc.budget, len(got.exchanges), got.losses, got.held, tc.requests, tc.losses, showAll(got.exchanges))
		}
	}
}

// TestConnSize keeps an eye on what each connection costs.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 640 {
		t.Errorf("a Conn has %d octets, want at most 640", n)
	}
	if entrySize > 200 {
		t.Errorf("an entry has %d octets, want at most 200", entrySize)
	}
}

// TestNames: names are the same strings again, and their number is bounded.
func TestNames(t *testing.T) {
	var shared Shared
	first := shared.name([]byte("first"))
	if again := shared.name([]byte("first")); unsafe.StringData(again) != unsafe.StringData(first) {
		t.Error("a name met before is another string")
	}
	for i := range 3 * maxNames {
		shared.name(fmt.Append(nil, i))
		if len(shared.names) > maxNames {
			t.Fatalf("%d names are kept, want at most %d", len(shared.names), maxNames)
		}
	}
	if shared.name([]byte("first")) != "first" || shared.name(nil) != "" {
		t.Error("a name is another one")
	}
}
