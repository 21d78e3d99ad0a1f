package netlab

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/needs"
)

// programsAgree compares what the programs at the ends know with what the taps at
// their devices saw: the same octets, and no less time than the programs took.
func programsAgree(t *testing.T, r *Result) {
	taps := [2]string{ClientTap.String(), ServerTap.String()}
	for _, p := range r.Truth.Ends {
		for side, end := range p.Ends {
			conn := connection(t, r, taps[side], p.Client)
			var read, written int64
			for _, c := range end.Calls {
				if c.Write {
					written += int64(c.Octets)
				} else {
					read += int64(c.Octets)
				}
			}
			if written != conn.Sides[side].Octets {
				t.Errorf("%s of %s wrote %d octets, the tap saw %d", Direction(side), p.Client, written, conn.Sides[side].Octets)
			}
			if got := conn.Sides[1-side].Octets; read > got {
				t.Errorf("%s of %s read %d octets, the tap saw %d", Direction(side), p.Client, read, got)
			}
		}
		conn := connection(t, r, ServerTap.String(), p.Client)
		if tls := conn.TLS; tls != nil && tls.Done {
			if share := tls.Shares[FromServer]; share.Clock == nil || *share.Clock > share.Host {
				t.Errorf("%s: the server's program took %v µs for the handshake, more than %v by its packets", p.Client, *share.Clock, share.Host)
			}
		}
		thoughts := p.Ends[FromServer].Thoughts
		if len(thoughts) != len(conn.Response) {
			t.Errorf("%s: the program had %d requests, %d lie in the stream", p.Client, len(thoughts), len(conn.Response))
			continue
		}
		for _, think := range thoughts {
			// Streams of HTTP/2 are not complete in the order in which they begin.
			if !slices.ContainsFunc(conn.Response, func(turn ResponseTruth) bool {
				return turn.Path == think.Path && turn.Server >= float64(think.Done-think.Began)/1000 && think.Done-think.Began >= int64(think.Planned)
			}) {
				t.Errorf("%s: the program thought about %s for %d ns, and no response took so long: %+v", p.Client, think.Path, think.Done-think.Began, conn.Response)
			}
		}
	}
}

func connection(t *testing.T, r *Result, capture string, client netip.AddrPort) ConnectionTruth {
	t.Helper()
	c := r.capture(t, capture)
	i := slices.IndexFunc(c.Connections, func(c ConnectionTruth) bool { return c.Client == client })
	if i < 0 {
		t.Fatalf("%s: no connection from %s", capture, client)
	}
	return c.Connections[i]
}

// TestMessagesAgree: tshark, given the same keys, finds the same handshake messages
// in the same order, and the client's Finished in the packet at the same time.
func TestMessagesAgree(t *testing.T) {
	Needs(t)
	tshark := needs.Tool(t, "tshark")
	for _, name := range []string{
		"tls13-ahead", "tls13-chain-24k", "tls13-retry-resumed", "tls12-client-certificate", "openssl12-session-id", "early-data", "early-data-retry",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Run(t, scenario(t, name))
			type found struct {
				types    []string // by sender and stream
				finished map[string]string
			}
			// The client's tap has every message once and in order.
			out, err := exec.Command(tshark, "-r", r.Taps["client"], "-o", "tls.keylog_file:"+filepath.Join(filepath.Dir(r.Taps["client"]), "keys.log"),
				"-Y", "tls", "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "frame.time_epoch", "-e", "tls.handshake.type").Output()
			if err != nil {
				t.Fatal(err)
			}
			got := found{finished: map[string]string{}}
			for line := range strings.Lines(string(out)) {
				f := strings.Split(strings.TrimRight(line, "\n"), "\t")
				if f[3] == "" {
					continue
				}
				for kind := range strings.SplitSeq(f[3], ",") {
					got.types = append(got.types, f[0]+" "+handshakeKinds[atoi(t, kind)])
					if kind == "20" && f[1] == "443" {
						got.finished[f[0]] = f[2]
					}
				}
			}
			var want found
			want.finished = map[string]string{}
			for _, conn := range r.said {
				port := fmt.Sprint(conn.key.client.Port())
				for d, msgs := range conn.said.messages {
					from := port
					if Direction(d) == FromServer {
						from = "443"
					}
					for _, m := range msgs {
						kind := m.kind
						if kind == "hello_retry_request" {
							kind = "server_hello" // of the same type
						}
						if slices.Contains([]string{"alert", "application_data", "early_data", "change_cipher_spec"}, kind) {
							continue
						}
						want.types = append(want.types, from+" "+kind)
						if m.kind == "finished" && Direction(d) == FromClient {
							at := conn.completed(FromClient, m.end, ClientTap)
							want.finished[port] = fmt.Sprintf("%d.%09d", at/1e9, at%1e9)
						}
					}
				}
			}
			// Both lists are in order for each sender; connections follow each other.
			if g, w := bySender(got.types), bySender(want.types); g != w {
				t.Errorf("tshark found\n%sthe lab\n%s", g, w)
			}
			if fmt.Sprint(got.finished) != fmt.Sprint(want.finished) {
				t.Errorf("tshark has the client's Finished at %v, the lab at %v", got.finished, want.finished)
			}
		})
	}
}

// bySender writes the messages of each sender in one line.
func bySender(types []string) string {
	all := map[string][]string{}
	for _, s := range types {
		from, kind, _ := strings.Cut(s, " ")
		all[from] = append(all[from], kind)
	}
	var out []string
	for from, kinds := range all {
		out = append(out, from+": "+strings.Join(kinds, " ")+"\n")
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

func atoi(t *testing.T, text string) byte {
	t.Helper()
	var n byte
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReadHTTP1: positions of requests and responses, in the clear and in records.
func TestReadHTTP1(t *testing.T) {
	const requests = "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	const responses = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	second, notFound := int64(strings.Index(requests, "POST")), int64(strings.Index(responses, "HTTP/1.1 404"))
	want := []exchange{
		{"/a", 200, 0, second, 0, int64(strings.Index(responses, "HTTP/1.1 100"))},
		{"/b", 404, second, int64(len(requests)), notFound, int64(len(responses))},
	}
	got, err := readHTTP1(plain{text: []byte(requests)}, plain{text: []byte(responses)})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	// The same in records of ten octets that take thirty.
	sealed := func(text string) plain {
		p := plain{text: []byte(text), pieces: []piece{}}
		for i := int64(0); i < int64(len(text)); i += 10 {
			p.pieces = append(p.pieces, piece{i, 3 * i, 3*i + 30})
		}
		return p
	}
	for i := range want {
		e := &want[i]
		for _, first := range []*int64{&e.request, &e.response} {
			*first = *first / 10 * 30
		}
		for _, end := range []*int64{&e.requestEnd, &e.responseEnd} {
			*end = (*end + 9) / 10 * 30
		}
	}
	got, err = readHTTP1(sealed(requests), sealed(responses))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("in records: %+v, %v, want %+v", got, err, want)
	}
	if _, err := readHTTP1(plain{text: []byte("nonsense\r\n\r\n")}, plain{text: []byte(responses)}); err == nil {
		t.Error("nonsense was read as a request")
	}
}

// TestFrames: a frame of header fields in two pieces, and one that is cut.
func TestFrames(t *testing.T) {
	path := []byte{0x04, 0x02, '/', 'a'} // literal :path, RFC 7541 section 6.2.2
	text := slices.Concat(
		[]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}, // SETTINGS
		[]byte{0, 0, 2, 1, flagEndStream, 0, 0, 0, 1}, path[:2],
		[]byte{0, 0, 2, 9, flagEndHeaders, 0, 0, 0, 1}, path[2:],
	)
	var got []frame
	if err := frames(text, 0, func(f frame) error { got = append(got, f); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].start != 9 || got[1].end != int64(len(text)) || got[1].fields[":path"] != "/a" || !got[1].last || got[1].stream != 1 {
		t.Errorf("%+v", got)
	}
	for n := range len(text) {
		if n == 0 || n == 9 {
			continue
		}
		if err := frames(text[:n], 0, func(frame) error { return nil }); err == nil && n != 20 {
			t.Errorf("%d of %d octets were read as frames", n, len(text))
		}
	}
}

// TestKeyLog: secrets are found by label and random.
func TestKeyLog(t *testing.T) {
	k, err := parseKeyLog("# comment\nCLIENT_RANDOM 00FF 0102\n\nOTHER 00ff 03\n")
	if err != nil || !bytes.Equal(k.secret("CLIENT_RANDOM", []byte{0, 0xff}), []byte{1, 2}) || len(k.masters([]byte{1})) != 1 {
		t.Errorf("%v, %v", k, err)
	}
	for _, bad := range []string{"CLIENT_RANDOM 00\n", "CLIENT_RANDOM 00 xx\n"} {
		if _, err := parseKeyLog(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestGathered: what is written after the next write waits for its release.
func TestGathered(t *testing.T) {
	var b bytes.Buffer
	c := &clocked{Conn: pipe{&b}, now: func() int64 { return 1 }, gatherNext: true}
	w := bufio.NewWriterSize(c, 1)
	for _, s := range []string{"a", "b", "c"} {
		_, _ = w.WriteString(s)
		_ = w.Flush()
	}
	if b.String() != "a" {
		t.Fatalf("%q went out before its release", b.String())
	}
	if err := c.release(); err != nil || b.String() != "abc" || len(c.truth().Calls) != 2 {
		t.Errorf("%q, %v, %d calls", b.String(), err, len(c.truth().Calls))
	}
}

// pipe writes into memory.
type pipe struct{ *bytes.Buffer }

func (pipe) Close() error                     { return nil }
func (pipe) LocalAddr() net.Addr              { return nil }
func (pipe) RemoteAddr() net.Addr             { return nil }
func (pipe) SetDeadline(time.Time) error      { return nil }
func (pipe) SetReadDeadline(time.Time) error  { return nil }
func (pipe) SetWriteDeadline(time.Time) error { return nil }
