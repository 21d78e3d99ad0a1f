package httpmeta

import (
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	for _, tc := range []struct {
		octets string
		want   Verdict
	}{
		{"", NeedMore},
		{"G", NeedMore},
		{"GET", NeedMore},
		{"GET ", NeedMore},
		{"GET /", ClientHTTP1},
		{"GET /a\x00", ClientHTTP1},
		{"GET http://a/", ClientHTTP1},
		{"GET http:", NeedMore},
		{"GET a HTTP/1.0\r\n", ClientHTTP1},
		{"GET a HTTP/1.0\n", ClientHTTP1},
		{"GET a b\r\n", NotHTTP},
		{"PROPFIND /", ClientHTTP1},
		{"M-SEARCH * HTTP/1.1\r\n", ClientHTTP1},
		{"M-SEARCH * HTTP/1.1\r", NeedMore},
		{"X-ODD /path HTTP/1.1\r\nA: b", ClientHTTP1},
		{"X-ODD /path", NeedMore},
		{"X-ODD /path HTTP/3.1\r\n", NotHTTP},
		{"CONNECT h:443 HTTP/1.1\r\n", ClientHTTP1},
		{"CONNECT {\"verbose\":false}\r\n", NotHTTP},
		{"OPTIONS sip:a@b SIP/2.0\r\n", NotHTTP},
		{"OPTIONS rtsp://h/ RTSP/1.0\r\n", NotHTTP},
		{"OPTIONS * HTTP/1.1\r\n", ClientHTTP1},
		{"EHLO example.org\r\n", NotHTTP},
		{"USER x\r\n", NotHTTP},
		{"get /", NotHTTP},
		{" GET /", NotHTTP},
		{"SSH-2.0-OpenSSH_9\r\n", NotHTTP},
		{strings.Repeat("A", maxMethod), NeedMore},
		{strings.Repeat("A", maxMethod+1), NotHTTP},
		{"A " + strings.Repeat("x", maxProbe-3), NeedMore},
		{"A " + strings.Repeat("x", maxProbe), NotHTTP},
		{"\x16\x03\x01", NotHTTP},
		{"H", NeedMore},
		{"HTTP/1.", NeedMore},
		{"HTTP/1.1 20", NeedMore},
		{"HTTP/1.1 200", ServerHTTP1},
		{"HTTP/1.0 404 Not found\r\n", ServerHTTP1},
		{"HTTP/1.1 OK", NotHTTP},
		{"HTTP/1.1\t200", NotHTTP},
		{"HTTP/2 200", NotHTTP},
		{"HEAD /", ClientHTTP1},
		{"P", NeedMore},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", NeedMore},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00", ClientHTTP2},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\n", NotHTTP},
		{"\x00\x00\x12\x04\x00\x00\x00\x00", NeedMore},
		{"\x00\x00\x12\x04\x00\x00\x00\x00\x00", ServerHTTP2},
		{"\x00\x00\x00\x04\x00\x00\x00\x00\x00", ServerHTTP2},
		{"\x00\x00\x00\x04\x01\x00\x00\x00\x00", NotHTTP},
		{"\x00\x00\x13\x04\x00\x00\x00\x00\x00", NotHTTP},
		{"\x00\x01", NotHTTP},
	} {
		got := Probe([]byte(tc.octets))
		if want := tc.want; got != want {
			t.Errorf("Probe(%.40q) = %d, want %d", tc.octets, got, want)
		}
		// What is decided stays so, and more octets were asked for before.
		for n := range len(tc.octets) {
			switch v := Probe([]byte(tc.octets[:n])); {
			case v.Yes() && v != got, v == NotHTTP && got != NotHTTP:
				t.Errorf("Probe(%.40q) = %d, and %d with more octets", tc.octets[:n], v, got)
			}
		}
	}
}

// TestProbeJoined: in the middle of a connection a first line does not do.
func TestProbeJoined(t *testing.T) {
	for _, tc := range []struct {
		octets string
		want   Verdict
	}{
		{"", NeedMore},
		{"GET /", NeedMore},
		{"GET /a HTTP/1.1\r\n", NeedMore},
		{"GET /a HTTP/1.1\r\nHost: h", NeedMore},
		{"GET /a HTTP/1.1\r\nHost: h\r\n", ClientHTTP1},
		{"GET /a HTTP/1.1\nA: b\n c\nhost:h:80\n", ClientHTTP1},
		{"GET /a HTTP/1.1\r\nA: b\r\n\r\n", NotHTTP},
		{"GET /a HTTP/1.1\r\nHost: a b\r\n", NotHTTP},
		{"GET /a HTTP/1.1\r\nHost h\r\n", NotHTTP},
		{"GET /a HTTP/1.1\r\nHost : h\r\n", NotHTTP},
		{"GET /a HTTP/1.1\r\n<p>: h\r\nHost: h\r\n", NotHTTP},
		{"GET /a HTTP/1.0\r\n\r\n", ClientHTTP1},
		{"GET /a HTTP/1.0\r\nAccept: */*\r\n", NeedMore},
		{"GET /a HTTP/1.0\r\nHost: h\r\n", ClientHTTP1},
		{"GET /a\r\nHost: h\r\n", NotHTTP},
		{"GET /a is what you do\r\nHost: h\r\n", NotHTTP},
		{"GET /a b HTTP/1.1\r\nHost: h\r\n", NotHTTP},
		{"GET /\x00 HTTP/1.1\r\nHost: h\r\n", NotHTTP},
		{"GET a HTTP/1.1\r\nHost: h\r\n", NotHTTP},
		{"GET http://h/a HTTP/1.1\r\nHost: h\r\n", ClientHTTP1},
		{"OPTIONS * HTTP/1.1\r\nHost: h\r\n", ClientHTTP1},
		{"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n", ClientHTTP1},
		{"CONNECT /h HTTP/1.1\r\nHost: h\r\n", NotHTTP},
		{"GET /" + strings.Repeat("x", maxProbe), NotHTTP},
		{"HTTP/1.1 200 OK\r\n", NeedMore},
		{"HTTP/1.1 200 OK\r\n\r\n", ServerHTTP1},
		{"HTTP/1.1 200 OK\r\nServer: x\r\n", ServerHTTP1},
		{"HTTP/1.1 200 OK\r\nThis is a log\r\n", NotHTTP},
		{"HTTP/1.1 2001 OK\r\nServer: x\r\n", NotHTTP},
		{preface, ClientHTTP2},
		{"EHLO x\r\n", NotHTTP},
	} {
		got := ProbeJoined([]byte(tc.octets))
		if got != tc.want {
			t.Errorf("ProbeJoined(%.40q) = %d, want %d", tc.octets, got, tc.want)
		}
		for n := range len(tc.octets) {
			if v := ProbeJoined([]byte(tc.octets[:n])); v != NeedMore && v != got {
				t.Errorf("ProbeJoined(%.40q) = %d, and %d with more octets", tc.octets[:n], v, got)
			}
		}
	}
}

func TestVerdict(t *testing.T) {
	for v, want := range map[Verdict][2]bool{NotHTTP: {}, NeedMore: {}, ClientHTTP1: {true, true}, ClientHTTP2: {true, true}, ServerHTTP1: {true, false}, ServerHTTP2: {true, false}} {
		if got := [2]bool{v.Yes(), v.Client()}; got != want {
			t.Errorf("verdict %d: yes, client = %v, want %v", v, got, want)
		}
	}
}
