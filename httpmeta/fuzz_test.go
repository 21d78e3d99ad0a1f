package httpmeta

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"
)

// script cuts the octets of both directions into chunks: each octet of order
// says whose turn it is, how many octets it has, and whether they are missed.
func script(fromClient, fromServer, order []byte) []chunk {
	left := map[bool][]byte{true: fromClient, false: fromServer}
	var out []chunk
	for _, o := range order {
		client := o&1 == 0
		n := min(int(o>>3)*int(o>>3)+1, len(left[client]))
		switch {
		case n == 0:
			continue
		case o&6 == 6:
			out = append(out, chunk{client: client, gap: int64(n)})
		default:
			out = append(out, chunk{client: client, b: left[client][:n]})
		}
		left[client] = left[client][n:]
	}
	for _, client := range []bool{true, false} {
		if len(left[client]) > 0 {
			out = append(out, chunk{client: client, b: left[client]})
		}
	}
	return append(out, chunk{fin: true})
}

// lawful checks what holds whatever was fed.
func lawful(t *testing.T, chunks []chunk, whole bool, seed uint64) {
	t.Helper()
	lawfulOf(t, chunks, func(chunks []chunk, how split) told { return run(chunks, whole, how) }, seed)
}

func lawfulOf(t *testing.T, chunks []chunk, run func([]chunk, split) told, seed uint64) {
	t.Helper()
	got := run(chunks, asIs)
	if got.held != 0 || got.refused != 0 {
		t.Fatalf("%d octets are still out of the budget, %d times there were none", got.held, got.refused)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for name, how := range map[string]split{"octet by octet": octets, "at random": func(_ int, b []byte) (parts [][]byte) {
		for len(b) > 0 {
			n := 1 + rng.IntN(min(len(b), 1+rng.IntN(60)))
			parts = append(parts, b[:n])
			b = b[n:]
		}
		return parts
	}} {
		again := run(chunks, how)
		if showAll(again.exchanges) != showAll(got.exchanges) || again.losses != got.losses || again.upgraded != got.upgraded || again.held != 0 {
			t.Fatalf("%s:\n%s\n%+v %q\nin one piece:\n%s\n%+v %q", name, showAll(again.exchanges), again.losses, again.upgraded, showAll(got.exchanges), got.losses, got.upgraded)
		}
	}

	sent := map[bool]int64{}
	for _, ch := range chunks {
		sent[ch.client] += int64(len(ch.b)) + max(ch.gap, 0)
	}
	var info Info
	var requestBytes, responseBytes, lastRequest, lastResponse int64
	for i := range got.exchanges {
		e := &got.exchanges[i]
		info.Add(e, -1)
		requestBytes += e.RequestBytes
		responseBytes += e.ResponseBytes
		switch {
		case e.RequestBytes < 0, e.ResponseBytes < 0,
			e.Status != 0 && (e.Status < 100 || e.Status > 999), e.GRPC < -1,
			(e.Status == 0) != (e.ResponseAt == 0),
			e.Requested != (e.RequestAt != 0), !e.Requested && (e.Method != "" || e.RequestEnd != 0),
			e.RequestEnd != 0 && e.RequestEnd < e.RequestAt, e.Status != 0 && e.ResponseEnd != 0 && e.ResponseEnd < e.ResponseAt,
			e.RequestLast != 0 && e.RequestLast <= e.RequestPos, e.RequestPos != 0 && (e.RequestPos < 100 || e.RequestPos >= 100+sent[true]),
			e.RequestLast > 100+sent[true], e.ResponsePos != 0 && (e.ResponsePos < 900 || e.ResponsePos >= 900+sent[false]),
			!e.Requested && e.Status == 0 && e.Upgraded == "",
			len(e.Path) > maxPath, len(e.Host) > maxHost, len(e.Method) > maxMethod, !utf8.ValidString(e.Path), !utf8.ValidString(e.Host):
			t.Fatalf("unlawful: %s\n%+v", show(e), *e)
		}
		if e.Version != HTTP2 && e.Upgraded == "" {
			if e.Requested && e.RequestPos <= lastRequest || e.Status != 0 && e.ResponsePos <= lastResponse {
				t.Fatalf("not in order:\n%s", showAll(got.exchanges))
			}
			lastRequest, lastResponse = max(lastRequest, e.RequestPos), max(lastResponse, e.ResponsePos)
		}
	}
	if requestBytes > sent[true] || responseBytes > sent[false] {
		t.Fatalf("bodies of %d and %d octets in %d and %d\n%s", requestBytes, responseBytes, sent[true], sent[false], showAll(got.exchanges))
	}
	var sum int64
	for _, n := range info.Status {
		sum += n
	}
	// What nobody saw the end of is not known to be unanswered.
	blind := run(append(slices.Clone(chunks[:len(chunks)-1]), sGap(-1)), asIs)
	for i := range blind.exchanges {
		if e := &blind.exchanges[i]; e.Version != HTTP2 && e.Requested && e.Status == 0 && !e.Broken && e.Upgraded == "" && blind.upgraded == "" {
			t.Fatalf("unanswered, though the server was not recorded: %s", show(e))
		}
	}
	answered := info.Requests - info.Aborted - info.Missed
	if sum != info.Responses || info.Responses != answered+info.Orphans || int64(len(got.exchanges)) < info.Requests+info.Orphans {
		t.Fatalf("sums do not fit: %+v", info)
	}
}

func FuzzHTTP1(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, seed := range []struct{ client, server, order string }{
		{get + get, ok + ok, "\x40\x41\x40\x41"},
		{get + "POST /x HTTP/1.1\nTransfer-Encoding: chunked\n\n3;x\nabc\n0\na: b\n\n" + get, "HTTP/1.0 200 OK\n\n" + ok, "\x30\x31\x56\x47\x30"},
		{"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n" + get + "123456789", "HTTP/1.1 417 no\r\nContent-Length: 0\r\n\r\n" + ok, "\x50\x31\x40"},
		{"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n123" + get, "HTTP/1.1 100 go\r\n\r\n" + ok + ok, "\x50\x31\x40\x51"},
		{"CONNECT h:1 HTTP/1.1\r\n\r\ntunnel", "HTTP/1.1 200 OK\r\n\r\nback", "\x30\x31"},
		{"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n" + preface + noSettings, "HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n" + noSettings, "\x30\x31\x30"},
		{get, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 OK\r\n\r\n", "\x41\x40"},
		{get + get + get, "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 304 x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + ok + "junk" + ok, "\x2f\x2e\x30\x31\x2e\x2f"},
	} {
		f.Add([]byte(seed.client), []byte(seed.server), []byte(seed.order), true)
		f.Add([]byte(seed.client), []byte(seed.server), []byte(seed.order), false)
	}
	f.Fuzz(func(t *testing.T, fromClient, fromServer, order []byte, whole bool) {
		if len(fromClient)+len(fromServer) > 4000 || len(order) > 100 {
			return
		}
		lawful(t, script(fromClient, fromServer, order), whole, uint64(len(order)))
	})
}

// FuzzJoined: a connection joined on its way gives nothing but a request with
// its response first, and the same whichever side is taken for the client.
func FuzzJoined(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, seed := range []struct{ a, b, order string }{
		{get + get, ok + ok, "\x20\x31\x20\x31"},
		{"a body" + get + get, ok + ok, "\x10\x31\x28\x31\x28"},
		{get + "body" + ok + ok, get + get, "\x2a\x29\x40\x29\x40"},
		{"POST /x HTTP/1.0\nContent-Length: 3\n\nabc" + get, "HTTP/1.1 100 x\n\n" + ok + ok, "\x31\x30\x31\x30\x31"},
		{ok + ok, ok + get, "\x30\x31\x30\x31"},
	} {
		f.Add([]byte(seed.a), []byte(seed.b), []byte(seed.order))
	}
	f.Fuzz(func(t *testing.T, a, b, order []byte) {
		if len(a)+len(b) > 4000 || len(order) > 100 {
			return
		}
		chunks, cast := script(a, b, order), true
		got := runJoined(chunks, true, asIs)
		if got.swaps%2 != 0 {
			cast = false
			for i := range chunks {
				chunks[i].client = !chunks[i].client
			}
			got = runJoined(chunks, false, asIs)
		}
		lawfulOf(t, chunks, func(chunks []chunk, how split) told { return runJoined(chunks, cast, how) }, uint64(len(order)))
		if len(got.exchanges) > 0 && got.exchanges[0].Version != HTTP2 && (!got.agreed || !got.exchanges[0].Requested || got.exchanges[0].Status == 0) {
			t.Fatalf("agreed %v, and the first exchange is %s", got.agreed, show(&got.exchanges[0]))
		}
		if bytes.IndexByte(a, 0) >= 0 || bytes.IndexByte(b, 0) >= 0 || bytes.Contains(a, []byte("PRI")) || bytes.Contains(b, []byte("PRI")) {
			return // HTTP/2 is not looked for on the other side
		}
		other := runJoined(chunks, !cast, asIs)
		if showAll(other.exchanges) != showAll(got.exchanges) || other.agreed != got.agreed || got.agreed && other.swaps%2 == got.swaps%2 {
			t.Fatalf("one way:\n%s\n%v, swapped %d\nthe other:\n%s\n%v, swapped %d", showAll(got.exchanges), got.agreed, got.swaps, showAll(other.exchanges), other.agreed, other.swaps)
		}
	})
}

// FuzzHTTP2 begins behind the preface.
func FuzzHTTP2(f *testing.F) {
	for _, order := range []string{"\x40\x41\x40\x41", "\x30\x31\x56\x47\x30\x31\x31", "\x41\x2f\x31\x37\x30\x3f\x36", ""} {
		cl, sv := newPeer(), newPeer()
		f.Add([]byte(cl.get(1, "/a")+cl.headers(0, 3, ":method", "POST", ":path", "/b", "content-type", "application/grpc")+frame(frameData, flagEndStream|flagPadded, 3, pad("xyz", 2))+cl.get(5, "/c")+frame(frameRSTStream, 0, 5, "1234")),
			[]byte(sv.headers(0, 1, ":status", "200")+sv.headers(0, 3, ":status", "200")+frame(frameData, flagEndStream, 1, "abc")+sv.headers(flagEndStream, 3, "grpc-status", "0")+frame(frameGoAway, 0, 0, "12345678")), []byte(order), true)
		cl, sv = newPeer(), newPeer()
		block := cl.block(":method", "GET", ":path", "/x")
		f.Add([]byte(frame(frameHeaders, flagPriority|flagPadded|flagEndStream, 1, "\x0112345"+block[:1]+"1")+frame(frameContinuation, flagEndHeaders, 1, block[1:])+cl.headers(flagEndStream, 1, "a", "b")),
			[]byte(frame(framePushPromise, flagEndHeaders, 1, "1234"+sv.block("a", "b"))+"\x00\x00\x04\x03\x00\x00\x00\x00\x01"), []byte(order), false)
	}
	f.Fuzz(func(t *testing.T, fromClient, fromServer, order []byte, whole bool) {
		if len(fromClient)+len(fromServer) > 4000 || len(order) > 100 {
			return
		}
		chunks := append([]chunk{c(preface)}, script(fromClient, fromServer, order)...)
		lawful(t, chunks, whole, uint64(len(order)))
	})
}

// FuzzProbe: what is decided stays so with more octets.
func FuzzProbe(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.1\r\n", get, "HTTP/1.1 200 OK\r\nA: b\r\n", "OPTIONS * HTTP/1.0\n", "HTTP/1.1 200 OK", preface, noSettings} {
		f.Add([]byte(s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		for _, probe := range []func([]byte) Verdict{Probe, ProbeJoined} {
			all := probe(b)
			switch part := probe(b[:int(n)%(len(b)+1)]); {
			case part == NeedMore:
			case part != all:
				t.Errorf("%q: %d, and with more octets %d", b, part, all)
			}
		}
		if known, joined := Probe(b), ProbeJoined(b); joined.Yes() && joined != known {
			t.Errorf("%q: %d, and %d in the middle", b, known, joined)
		}
	})
}
