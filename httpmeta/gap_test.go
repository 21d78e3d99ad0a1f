package httpmeta

import "testing"

// TestGaps: octets of a known length are stepped over. Elsewhere a direction
// is lost until a message begins in answer to the other side, and nothing is
// paired that may not belong together.
func TestGaps(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"     // 38 octets
	const ten = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"   // 39
	const post = "POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\n" // 40
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tc := range []struct {
		name   string
		chunks []chunk
		want   string
		losses Losses
	}{
		{"in a response's body", []chunk{c(get), s(ten + "ab"), sGap(6), s("ij"), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [2-4 0 10B]
			GET h /a [5-5 28-56] → 1.1 200 [6-6 49]`, Losses{}},
		{"the end of a response's body", []chunk{c(get), s(ten + "ab"), sGap(8), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [2-? 0 10B]
			GET h /a [4-4 28-56] → 1.1 200 [5-5 49]`, Losses{}},
		{"in a request's body", []chunk{c(post), cGap(9), c("j"), s(ok)},
			`POST  /p [1-3 0-50 10B] → 1.1 200 [4-4 0]`, Losses{}},
		{"the end of a request's body", []chunk{c(post), cGap(10), s(ok), c(get), s(ok)},
			`POST  /p [1-? 0-50 10B] → 1.1 200 [3-3 0]
			GET h /a [4-4 50-78] → 1.1 200 [5-5 38]`, Losses{}},
		{"in a chunk", []chunk{c(get), s(chunked + "a\r\nab"), sGap(6), s("ij\r\n0\r\n\r\n"), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [2-4 0 10B]
			GET h /a [5-5 28-56] → 1.1 200 [6-6 s4]`, Losses{}},
		{"until the end of the connection", []chunk{c(get), s("HTTP/1.1 200 OK\r\n\r\nab"), sGap(6), s("ij"), {fin: true}},
			`GET h /a [1-1 0-28] → 1.1 200 [2-4 0 10B]`, Losses{}},
		{"over the end of a chunk", []chunk{c(get), s(chunked + "a\r\nab"), sGap(20), s("ij\r\n0\r\n\r\n"), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [2-? 0 2B]
			GET h /a [5-5 28-56] → 1.1 200 [6-6 s4]`, Losses{Lost: 1}},
		{"over the end of a response and the next one's head", []chunk{c(get), s(ten + "ab"), c(get), sGap(46), s("xyz"), c(get), s(ok), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [2-? 0 2B]
			GET h /a [3-3 28-56] → ? broken
			GET h /a [6-6 56-84] → ? broken
			? → 1.1 200 [7-7 s5]
			GET h /a [8-8 84-112] → 1.1 200 [9-9 s7]`, Losses{Lost: 1}},
		{"before a response", []chunk{c(get), sGap(40), s(ok), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [3-3 40] broken
			GET h /a [4-4 28-56] → 1.1 200 [5-5 78]`, Losses{Lost: 1}},
		{"before a response, and more than one request waits", []chunk{c(get), s(ten), c(get), sGap(40), s(ok), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [2-? 0]
			GET h /a [3-3 28-56] → ? broken
			? → 1.1 200 [5-5 79]
			GET h /a [6-6 56-84] → 1.1 200 [7-7 117]`, Losses{Lost: 1}},
		{"a response's head: its body is not tried in a turn", []chunk{c(get), sGap(40), s("a body\r\nHTTP/1.1 404 in a body\r\n\r\n"), c(get), s(ok)},
			`GET h /a [1-1 0-28] → ? broken
			GET h /a [4-4 28-56] → 1.1 200 [5-5 s3]`, Losses{Lost: 1}},
		{"in a response's head", []chunk{c(get), s("HTTP/1.1 200 OK\r\nCont"), sGap(4), s("ength: 0\r\n\r\n"), c(get), s(ok)},
			`GET h /a [1-1 0-28] → ? broken
			GET h /a [5-5 28-56] → 1.1 200 [6-6 s4]`, Losses{Lost: 1}},
		{"all of a response", []chunk{c(get), sGap(38), c(get), s(ok)},
			`GET h /a [1-1 0-28] → ? broken
			GET h /a [3-3 28-56] → 1.1 200 [4-4 38]`, Losses{Lost: 1}},
		{"the last response", []chunk{c(get), sGap(38)},
			`GET h /a [1-1 0-28] → ? broken`, Losses{Lost: 1}},
		{"all that the server sent, and nobody knows how much", []chunk{c(get), sGap(-1)},
			`GET h /a [1-1 0-28] → ? broken`, Losses{Lost: 1}},
		{"the interim response to a request whose body comes", []chunk{c("POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), sGap(25), c("ab"), s(ok)},
			`POST  /p [1-3 0-c3 2B] → 1.1 200 [4-4 25] broken`, Losses{Lost: 1}},
		{"a response among several that wait", []chunk{c(get + get), s(ok), sGap(38), s(ok), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [2-2 0]
			GET h /a [1-1 28-56] → ? broken
			? → 1.1 200 [4-4 76]
			GET h /a [5-5 56-84] → ? broken
			? → 1.1 200 [6-6 114]`, Losses{Lost: 1}},
		{"in a request's head", []chunk{c("GET /a HT"), cGap(10), c("Host: h\r\n\r\n"), s(ok), c(get), s(ok)},
			`? → 1.1 200 [4-4 0]
			GET h /a [5-5 c3-c5] → 1.1 200 [6-6 38]`, Losses{Lost: 1}},
		{"all of a request, with its answer under way when the next is sent", []chunk{c(get), s(ok), cGap(28), s(ten + "abc"), c(get), s("defghij"), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [2-2 0]
			? → 1.1 200 [4-6 38 10B]
			GET h /a [7-7 c5-c7] → 1.1 200 [8-8 s7]`, Losses{Lost: 1}},
		{"requests among several", []chunk{c(get + get), cGap(28), s(ok), c(get), s(ok + ok), c(get), s(ok)},
			`GET h /a [1-1 0-28] → 1.1 200 [3-3 0]
			GET h /a [1-1 28-56] → 1.1 200 [5-5 38]
			? → 1.1 200 [5-5 76]
			GET h /a [6-6 112-140] → 1.1 200 [7-7 114] broken`, Losses{Lost: 1}},
		{"of a chunked request", []chunk{c("POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"), cGap(9), s(ok), c(get), s(ok)},
			`POST  /p [1-? 0-? 2B] → 1.1 200 [3-3 0]
			GET h /a [4-4 c3-c4] → 1.1 200 [5-5 38]`, Losses{Lost: 1}},
		{"on both sides", []chunk{c(get), sGap(38), cGap(28), sGap(38), c(get), s(ok)},
			`GET h /a [1-1 0-28] → ? broken
			GET h /a [5-5 56-84] → 1.1 200 [6-6 76]`, Losses{Lost: 2}},
		{"in a tunnel", []chunk{c("CONNECT h:1 HTTP/1.1\r\n\r\n"), s("HTTP/1.1 200 OK\r\n\r\n"), sGap(50), cGap(9), c(get)},
			`CONNECT h:1  [1-1 0-24] → 1.1 200 [2-2 0] upgraded connect`, Losses{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(tc.chunks, true, asIs)
			if g, w := showAll(got.exchanges), clean(tc.want, tc.chunks); g != w || got.losses != tc.losses {
				t.Errorf("got\n%s\n%+v\nwant\n%s\n%+v", g, got.losses, w, tc.losses)
			}
			if got.held != 0 {
				t.Errorf("%d octets are still out of the budget", got.held)
			}
			everySplit(t, tc.chunks, true, got)
		})
	}
}

// TestFeedPositions: octets fed before are passed over, a position ahead is a
// gap.
func TestFeedPositions(t *testing.T) {
	var conn Conn
	conn.Reset(&Shared{}, true)
	request := []byte("POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
	conn.Feed(true, 50, request, 1)
	conn.Feed(true, 50, request, 2)
	conn.Feed(true, 50+int64(len(request))-3, []byte("\n\r\nab"), 3)
	conn.Feed(true, 50+int64(len(request))+8, []byte("ij"), 4)
	conn.Feed(false, 0, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 5)
	var e Exchange
	if !conn.Next(&e) || e.RequestAt != 1 || e.RequestEnd != 4 || e.RequestBytes != 10 || e.RequestLast != 50+int64(len(request))+10 || e.Status != 200 {
		t.Errorf("got %+v", e)
	}
	conn.Close(6)
	if conn.Next(&e) || conn.Losses() != (Losses{}) {
		t.Errorf("another exchange %+v, or a loss", e)
	}
	conn.Feed(true, 200, request, 7)
	conn.Gap(false, 3, 8)
	conn.Close(9)
	if conn.Next(&e) || conn.Losses() != (Losses{}) {
		t.Errorf("after the end: %+v", e)
	}
}

// TestMissed: where octets of the server were not recorded, or only the
// beginnings of its packets, nobody knows that a request had no answer.
func TestMissed(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	for _, tc := range []struct {
		name                               string
		chunks                             func(cl, sv *peer) []chunk
		requests, missed, aborted, orphans int64
	}{
		{"the client alone", func(_, _ *peer) []chunk { return []chunk{c(get), c(get), c(get), sGap(-1)} }, 3, 3, 0, 0},
		{"the client alone, pipelined", func(_, _ *peer) []chunk { return []chunk{c(get + get + get), sGap(-1)} }, 3, 3, 0, 0},
		{"the client alone, from a point on", func(_, _ *peer) []chunk { return []chunk{c(get), s(ok), c(get), c(get), sGap(-1)} }, 3, 2, 0, 0},
		{"the server alone", func(_, _ *peer) []chunk { return []chunk{s(ok), s(ok), cGap(-1)} }, 0, 0, 0, 2},
		{"a response's head is cut", func(_, _ *peer) []chunk { return []chunk{c(get), s(ok[:20]), sGap(40)} }, 1, 1, 0, 0},
		{"the responses' heads are cut", func(_, _ *peer) []chunk {
			return []chunk{c(get), s(ok[:20]), sGap(40), c(get), s(ok[:20]), sGap(40), c(get), s(ok[:20]), sGap(40)}
		}, 3, 3, 0, 0},
		{"the packets of responses are cut as a whole", func(_, _ *peer) []chunk { return []chunk{c(get), sGap(40), c(get), sGap(40)} }, 2, 2, 0, 0},
		{"a request's head is cut", func(_, _ *peer) []chunk { return []chunk{c(get[:9]), cGap(19), s(ok)} }, 0, 0, 0, 1},
		{"heads are cut on both sides", func(_, _ *peer) []chunk { return []chunk{c(get[:9]), cGap(19), s(ok[:9]), sGap(29)} }, 0, 0, 0, 0},
		{"a response is cut, and the next request has none", func(_, _ *peer) []chunk { return []chunk{c(get), s(ok[:20]), sGap(18), c(get), {fin: true}} }, 2, 2, 0, 0},
		{"the server says nothing, and all was recorded", func(_, _ *peer) []chunk { return []chunk{c(get), {fin: true}} }, 1, 0, 1, 0},
		{"HTTP/2, the client alone", func(cl, _ *peer) []chunk { return []chunk{c(preface + cl.get(1, "/a") + cl.get(3, "/b")), sGap(-1)} }, 2, 2, 0, 0},
		{"HTTP/2, the server's beginning", func(cl, _ *peer) []chunk { return []chunk{sGap(50), c(preface + cl.get(1, "/a"))} }, 1, 1, 0, 0},
		{"HTTP/2, the server's beginning, and the client gives up", func(cl, _ *peer) []chunk {
			return []chunk{sGap(50), c(preface + cl.get(1, "/a") + frame(frameRSTStream, 0, 1, "1234"))}
		}, 1, 1, 0, 0},
		{"HTTP/2, the server begins with what is not read", func(cl, _ *peer) []chunk { return []chunk{s("220 hello\r\n\r\n"), c(preface + cl.get(1, "/a"))} }, 1, 1, 0, 0},
		{"HTTP/2, a response's header block is cut", func(cl, sv *peer) []chunk {
			answer := sv.headers(flagEndStream, 1, ":status", "200")
			return []chunk{c(preface + cl.get(1, "/a")), s(noSettings + answer[:frameHeader]), sGap(int64(len(answer) - frameHeader))}
		}, 1, 1, 0, 0},
		{"HTTP/2, a response's frame header is cut", func(cl, sv *peer) []chunk {
			answer := sv.headers(flagEndStream, 1, ":status", "200")
			return []chunk{c(preface + cl.get(1, "/a")), s(noSettings + answer[:4]), sGap(int64(len(answer) - 4)), c(cl.get(3, "/b") + frame(frameRSTStream, 0, 3, "1234"))}
		}, 2, 2, 0, 0},
		{"HTTP/2, reset, and all was recorded", func(cl, _ *peer) []chunk {
			return []chunk{c(preface + cl.get(1, "/a") + frame(frameRSTStream, 0, 1, "1234")), s(noSettings)}
		}, 1, 0, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			chunks := tc.chunks(newPeer(), newPeer())
			got := run(chunks, true, asIs)
			var info Info
			for i := range got.exchanges {
				info.Add(&got.exchanges[i], -1)
			}
			if info.Requests != tc.requests || info.Missed != tc.missed || info.Aborted != tc.aborted || info.Orphans != tc.orphans {
				t.Errorf("%d requests, %d missed, %d aborted, %d orphans, want %d, %d, %d, %d\n%s", info.Requests, info.Missed, info.Aborted, info.Orphans,
					tc.requests, tc.missed, tc.aborted, tc.orphans, showAll(got.exchanges))
			}
			everySplit(t, chunks, true, got)
		})
	}
}
