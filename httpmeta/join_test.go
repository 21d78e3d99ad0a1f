package httpmeta

import (
	"strings"
	"testing"
)

// TestJoined: of a connection that is joined on its way nothing is told that
// may be the text of a body, whichever side it is fed for.
func TestJoined(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	const secret = "GET /BODY?x=1 HTTP/1.1\r\nHost: BODY\r\n\r\n" // 40 octets
	body := strings.Repeat(".", 1000)
	text := s(secret + body)
	for _, tc := range []struct {
		name   string
		chunks []chunk
		want   string
		losses Losses
	}{
		{name: "a request and its answer", chunks: []chunk{c(get), s(ok), c(get), s(ok)},
			want: `GET h /a [1-1 0-28] → 1.1 200 [2-2 0]
			GET h /a [3-3 28-56] → 1.1 200 [4-4 38]`},
		{name: "no answer", chunks: []chunk{c(get)}, losses: Losses{Untracked: 1}},
		{name: "no answer, to two", chunks: []chunk{c(get + get)}, losses: Losses{Untracked: 2}},
		{name: "another answer", chunks: []chunk{c(get), s("250 ok\r\n"), c(get), s("250 ok\r\n")}, losses: Losses{Untracked: 2}},
		{name: "an answer that nobody asked for comes first", chunks: []chunk{s(ok), c(get), s(ok)},
			want: `GET h /a [2-2 0-28] → 1.1 200 [3-3 38]`, losses: Losses{Untracked: 1}},
		{name: "only answers", chunks: []chunk{s(ok), s(ok + ok)}, losses: Losses{Untracked: 3}},
		{name: "a request's text in the body of a response", chunks: []chunk{text, text, text, c(get), s(ok), c(get), s(ok)},
			want: `GET h /a [4-4 0-28] → 1.1 200 [5-5 s3]
			GET h /a [6-6 28-56] → 1.1 200 [7-7 s5]`, losses: Losses{Untracked: 1, Malformed: 1}},
		{name: "a request's text at the start of a body's turn", chunks: []chunk{c("rest"), text, c("more"), text, c(get), s(ok)},
			want: `GET h /a [5-5 8-36] → 1.1 200 [6-6 s4]`, losses: Losses{Untracked: 2, Malformed: 2}},
		{name: "a request's text alone in a packet of a response", chunks: []chunk{s(secret), s(body), c(get), s(ok)},
			want: `GET h /a [3-3 0-28] → 1.1 200 [4-4 s2]`, losses: Losses{Untracked: 1, Malformed: 1}},
		{name: "a request's text alone, and the client goes on", chunks: []chunk{s(secret), c(get), s(ok)},
			want: `GET h /a [2-2 0-28] → 1.1 200 [3-3 s1]`, losses: Losses{Untracked: 1}},
		{name: "behind octets of a body in the same packet", chunks: []chunk{s(body + secret), c(get), s(ok)},
			want: `GET h /a [2-2 0-28] → 1.1 200 [3-3 s1]`, losses: Losses{Malformed: 1}},
		{name: "behind octets of a body in another packet", chunks: []chunk{s(body), s(secret), c(get), s(ok)},
			want: `GET h /a [3-3 0-28] → 1.1 200 [4-4 s2]`, losses: Losses{Malformed: 1}},
		{name: "a request's text in an upload that is answered", chunks: []chunk{c(secret + body), s(ok), c(get), s(ok)},
			want: `GET h /a [3-3 c1-c3] → 1.1 200 [4-4 38]`, losses: Losses{Untracked: 2, Malformed: 1}},
		{name: "a request's text with a body that does not end", chunks: []chunk{c("POST /BODY HTTP/1.1\r\nHost: BODY\r\nContent-Length: 900\r\n\r\n..."), s(ok), c(get), s(ok)},
			want: `GET h /a [3-3 c1-c3] → 1.1 200 [4-4 38]`, losses: Losses{Untracked: 1}},
		{name: "who has answered is the server for ever", chunks: []chunk{c("rest"), s(ok), c("more"), s(secret), c(ok), s(secret), c(ok)},
			losses: Losses{Untracked: 1, Malformed: 1}},
		{name: "and is believed when the client asks", chunks: []chunk{c("rest"), s(ok), c("more"), s(secret), c(get), s(ok)},
			want: `GET h /a [5-5 8-36] → 1.1 200 [6-6 s4]`, losses: Losses{Untracked: 1, Malformed: 1}},
		{name: "no Host", chunks: []chunk{c("GET /BODY HTTP/1.1\r\nA: b\r\n\r\n"), s(ok)}, losses: Losses{Untracked: 1, Malformed: 1}},
		{name: "a Host that is none", chunks: []chunk{c("GET /BODY HTTP/1.1\r\nHost: a b\r\n\r\n"), s(ok)}, losses: Losses{Untracked: 1, Malformed: 1}},
		{name: "a line that is no field", chunks: []chunk{c("GET /BODY HTTP/1.1\r\nHost: h\r\nwords\r\n\r\n"), s(ok)}, losses: Losses{Untracked: 1, Malformed: 1}},
		{name: "a target with a space", chunks: []chunk{c("GET /BODY of HTTP/1.1\r\nHost: h\r\n\r\n"), s(ok)}, losses: Losses{Untracked: 1, Malformed: 1}},
		{name: "HTTP/1.0 needs no Host", chunks: []chunk{c("GET /a HTTP/1.0\r\n\r\n"), s("HTTP/1.0 200 OK\r\n\r\nabc")},
			want: `GET  /a [1-1 0-19] → 1.0 200 [2-2 0 3B]`},
		{name: "a status line with words behind it", chunks: []chunk{c(get), s("HTTP/1.1 200 OK\r\nis what it says\r\n\r\n")}, losses: Losses{Untracked: 1}},
		{name: "an interim answer", chunks: []chunk{c("PUT /f HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"), s("HTTP/1.1 100 Continue\r\n\r\n"), c("GET "), s(ok)},
			want: "PUT h /f [1-3 0-c3 4B] → 1.1 200 [4-4 25]"},
		{name: "the answer was not recorded", chunks: []chunk{c(get), sGap(38), c(get), s(ok)},
			want: `GET h /a [3-3 28-56] → 1.1 200 [4-4 38]`, losses: Losses{Untracked: 1}},
		{name: "the start of the answer was not recorded", chunks: []chunk{c(get), sGap(38), s(ok), c(get), s(ok)},
			want: `GET h /a [4-4 28-56] → 1.1 200 [5-5 s3]`, losses: Losses{Untracked: 1}},
		{name: "a request behind what was not recorded", chunks: []chunk{cGap(10), c(get), s(ok), c(get), s(ok)},
			want: `GET h /a [4-4 38-66] → 1.1 200 [5-5 38]`, losses: Losses{Untracked: 1, Lost: 1}},
		{name: "nothing of the server was recorded", chunks: []chunk{c(get), c(get), sGap(-1)}, losses: Losses{Untracked: 2}},
		{name: "a text that upgrades", chunks: []chunk{c("rest"), s("HTTP/1.1 101 x\r\nUpgrade: BODY\r\n\r\n"), c(get), s(ok)},
			want: `GET h /a [3-3 4-32] → 1.1 200 [4-4 s2]`, losses: Losses{Untracked: 1}},
		{name: "a websocket", chunks: []chunk{c("GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"), s("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x05hello")},
			want: `GET h /ws [1-1 0-c1] → 1.1 101 [2-2 0] upgraded websocket`},
	} {
		for _, cast := range []bool{true, false} {
			name := tc.name
			if !cast {
				name += ", the other way around"
			}
			t.Run(name, func(t *testing.T) {
				got := runJoined(tc.chunks, cast, asIs)
				everySplitOf(t, tc.chunks, func(how split) told { return runJoined(tc.chunks, cast, how) }, got)
				if g, w := showAll(got.exchanges), clean(tc.want, tc.chunks); g != w || got.losses != tc.losses || got.agreed != (tc.want != "") {
					t.Errorf("got\n%s\n%+v, agreed %v\nwant\n%s\n%+v", g, got.losses, got.agreed, w, tc.losses)
				}
				if got.held != 0 || got.agreed && cast == (got.swaps%2 != 0) {
					t.Errorf("%d octets are still out of the budget, %d times swapped", got.held, got.swaps)
				}
			})
		}
	}
}

// TestJoinedHTTP2: the preface is believed when the server begins with its
// SETTINGS.
func TestJoinedHTTP2(t *testing.T) {
	cl, sv := newPeer(), newPeer()
	request := preface + noSettings + cl.get(1, "/a")
	answer := sv.headers(flagEndStream, 1, ":status", "200")
	for _, tc := range []struct {
		name   string
		chunks []chunk
		want   string
	}{
		{"both begin", []chunk{c(request), s(noSettings + answer)}, "GET h /a [1-1 33-c1] → 2 200 [2-2 9]"},
		{"the server first", []chunk{s(noSettings), c(request), s(answer)}, "GET h /a [2-2 33-c2] → 2 200 [3-3 9]"},
		{"the server does not begin", []chunk{c(request), s(answer)}, ""},
		{"no server", []chunk{c(request)}, ""},
		{"reset before there was a server", []chunk{c(request + frame(frameRSTStream, 0, 1, "1234"))}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := runJoined(tc.chunks, true, asIs)
			if g, w := showAll(got.exchanges), clean(tc.want, tc.chunks); g != w || got.agreed != (tc.want != "") || (tc.want == "") != (got.losses.Untracked > 0) {
				t.Errorf("got\n%s\n%+v, agreed %v\nwant\n%s", g, got.losses, got.agreed, w)
			}
			everySplitOf(t, tc.chunks, func(how split) told { return runJoined(tc.chunks, true, how) }, got)
		})
	}
}

// TestSwappedNotAsked: what is finished before the caller asked who is the
// client is dropped, for it is taken for the other's.
func TestSwappedNotAsked(t *testing.T) {
	var conn Conn
	conn.Reset(&Shared{}, false)
	conn.Feed(false, 0, []byte(get), 1)
	conn.Feed(true, 0, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 2)
	var e Exchange
	if conn.Next(&e) || !conn.Agreed() {
		t.Errorf("agreed %v, and told %s", conn.Agreed(), show(&e))
	}
	if l := conn.Losses(); l != (Losses{Untracked: 1}) || !conn.Swapped() || conn.Swapped() {
		t.Errorf("losses %+v, want one untracked, and to be told once", l)
	}
	conn.Feed(true, 28, []byte(get), 3)
	conn.Feed(false, 38, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 4)
	if !conn.Next(&e) || e.RequestAt != 3 || e.ResponseAt != 4 {
		t.Errorf("got %+v", e)
	}
}

// TestResumed: a direction that was lost is followed again only with a head
// that is well-formed.
func TestResumed(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	const put = "PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tc := range []struct{ text, want string }{
		{get, "GET h /a [4-4 c3-c4] → 1.1 200 [5-5 38]"},
		{"GET /BODY HTTP/1.1\r\nwords\r\n\r\n", "? → 1.1 200 [5-5 38]"},
		{"GET /BODY HTTP/1.1\r\n\r\n", "? → 1.1 200 [5-5 38]"},
	} {
		chunks := []chunk{c(put), cGap(9), s(ok), c(tc.text), s(ok)}
		got := run(chunks, true, asIs)
		if g, w := showAll(got.exchanges), clean("PUT h /p [1-? 0-?] → 1.1 200 [3-3 0]\n"+tc.want, chunks); g != w {
			t.Errorf("got\n%s\nwant\n%s", g, w)
		}
	}
}
