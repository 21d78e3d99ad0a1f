package httpmeta

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tap is a proxy between real clients and a real server. It feeds what passes
// to a Conn for each connection, before it passes it on.
type tap struct {
	mu        sync.Mutex
	exchanges []Exchange
	losses    Losses
	upgraded  []string
	wg        sync.WaitGroup
	addr      string
}

func newTap(t *testing.T, server string) *tap {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &tap{addr: l.Addr().String()}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				near.Close()
				continue
			}
			p.connection(near.(*net.TCPConn), far.(*net.TCPConn))
		}
	}()
	return p
}

func (p *tap) connection(near, far *net.TCPConn) {
	var conn Conn
	conn.Reset(&Shared{Budget: newBudget(1 << 20)}, true)
	drain := func() {
		var e Exchange
		for conn.Next(&e) {
			p.exchanges = append(p.exchanges, e)
		}
	}
	p.mu.Lock()
	p.wg.Add(1)
	p.mu.Unlock()
	var both sync.WaitGroup
	pass := func(from, to *net.TCPConn, client bool) {
		buf := make([]byte, 1400)
		pos := int64(0)
		for {
			n, err := from.Read(buf)
			p.mu.Lock()
			conn.Feed(client, pos, buf[:n], time.Now().UnixNano())
			pos += int64(n)
			if err != nil {
				conn.Closed(client, time.Now().UnixNano())
			}
			drain()
			p.mu.Unlock()
			to.Write(buf[:n])
			if err != nil {
				to.CloseWrite()
				return
			}
		}
	}
	both.Go(func() { pass(near, far, true) })
	both.Go(func() { pass(far, near, false) })
	go func() {
		defer p.wg.Done()
		both.Wait()
		near.Close()
		far.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		if protocol, cp, sp, ok := conn.Upgraded(); ok {
			p.upgraded = append(p.upgraded, fmt.Sprint(protocol, " ", cp, " ", sp))
		}
		conn.Close(time.Now().UnixNano())
		drain()
		l := conn.Losses()
		p.losses.add(&l)
		if used := conn.shared.Budget.Used(); used != 0 {
			p.losses.NoMemory += used
		}
	}()
}

// done waits for the ends of all connections and gives their exchanges.
func (p *tap) done(t *testing.T) []Exchange {
	t.Helper()
	p.mu.Lock()
	all := &p.wg // to which every connection that was made has been added
	p.mu.Unlock()
	all.Wait()
	if p.losses != (Losses{}) {
		t.Errorf("losses %+v, want none", p.losses)
	}
	return p.exchanges
}

// diary is what handlers did.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(r *http.Request, status int, read, written int64, grpc int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%s %s %s %d %d %d %d", r.Method, r.Host, r.URL.Path, status, read, written, grpc))
}

func lineOf(e *Exchange) string {
	return fmt.Sprintf("%s %s %s %d %d %d %d", e.Method, e.Host, e.Path, e.Status, e.RequestBytes, e.ResponseBytes, e.GRPC)
}

const think = 20 * time.Millisecond

// handler answers by path and keeps a diary.
func (d *diary) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, status, size int, chunked bool) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			written := int64(size)
			if r.Method == http.MethodHead || status == 204 || status == 304 {
				written = 0
			}
			time.Sleep(think)
			d.write(r, status, n, written, -1)
			if !chunked && status != 204 && status != 304 {
				w.Header().Set("Content-Length", fmt.Sprint(size))
			}
			w.WriteHeader(status)
			for left := size; left > 0 && written > 0; left -= 1000 {
				w.Write(make([]byte, min(left, 1000)))
				if chunked {
					w.(http.Flusher).Flush()
				}
			}
		})
	}
	handle("/plain", 200, 5, false)
	handle("/big", 200, 300_000, false)
	handle("/chunked", 200, 30_001, true)
	handle("/none", 204, 0, false)
	handle("/same", 304, 0, false)
	handle("/missing", 404, 9, false)
	handle("/wrong", 500, 0, false)
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
		d.write(r, 200, 0, 0, -1)
	})
	mux.HandleFunc("/pkg.Service/Method", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write([]byte("12345"))
		code := int(n % 17)
		d.write(r, 200, n, 5, code)
		w.Header().Set("Grpc-Status", fmt.Sprint(code))
	})
	return mux
}

func fetch(t *testing.T, client *http.Client, method, url string, body io.Reader, header ...string) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Errorf("%s %s: %v", method, url, err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// compare compares exchanges with the diary, in order or sorted, and the times
// of those that were thought about.
func (d *diary) compare(t *testing.T, got []Exchange, sorted bool) {
	t.Helper()
	var lines []string
	for i := range got {
		e := &got[i]
		lines = append(lines, lineOf(e))
		if e.Broken || e.RequestAt > e.RequestEnd || e.ResponseAt > e.ResponseEnd || e.RequestPos >= e.RequestLast {
			t.Errorf("times or places of %+v", *e)
		}
		if took := time.Duration(e.ResponseAt - e.RequestEnd); e.Path != "/early" && !strings.HasPrefix(e.Path, "/pkg") && took < think {
			t.Errorf("%s answered after %v, want %v or more", lines[i], took, think)
		}
	}
	want := slices.Clone(d.lines)
	if sorted {
		slices.Sort(lines)
		slices.Sort(want)
	}
	if g, w := strings.Join(lines, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nthe handlers say\n%s", g, w)
	}
}

// TestLiveHTTP1 compares what a Conn tells of net/http's client and server
// with what the handlers saw.
func TestLiveHTTP1(t *testing.T) {
	var d diary
	server := httptest.NewServer(d.handler())
	p := newTap(t, server.Listener.Addr().String())
	transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second}
	client := &http.Client{Transport: transport}
	url := "http://" + p.addr
	for range 3 {
		fetch(t, client, "GET", url+"/plain?secret=1", nil)
		fetch(t, client, "HEAD", url+"/big", nil)
		fetch(t, client, "GET", url+"/big", nil)
		fetch(t, client, "GET", url+"/chunked", nil)
		fetch(t, client, "POST", url+"/none", strings.NewReader(strings.Repeat("x", 70_000)))
		fetch(t, client, "PUT", url+"/chunked", io.MultiReader(strings.NewReader("chunked"), strings.NewReader(strings.Repeat("y", 5000))))
		fetch(t, client, "GET", url+"/same", nil)
		fetch(t, client, "DELETE", url+"/missing", nil)
		fetch(t, client, "PATCH", url+"/wrong", bytes.NewReader([]byte("abc")))
		fetch(t, client, "GET", url+"/early", nil)
		fetch(t, client, "POST", url+"/plain", strings.NewReader(strings.Repeat("z", 4000)), "Expect", "100-continue")
		fetch(t, client, "POST", url+"/plain", io.MultiReader(strings.NewReader("c")), "Expect", "100-continue")
		fetch(t, client, "GET", url+"/plain", nil, "Cookie", strings.Repeat("c", 20_000)) // a head in many pieces
	}
	transport.CloseIdleConnections()
	d.compare(t, p.done(t), false)
	server.Close()
}

// TestLivePipelined: requests sent at once over one connection.
func TestLivePipelined(t *testing.T) {
	var d diary
	server := httptest.NewServer(d.handler())
	defer server.Close()
	p := newTap(t, server.Listener.Addr().String())
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	var requests string
	for i, path := range []string{"/plain", "/chunked", "/none", "/big", "/missing", "/wrong"} {
		method := []string{"GET", "POST"}[i%2]
		requests += method + " " + path + " HTTP/1.1\r\nHost: Pipe.example:80\r\nContent-Length: 3\r\n\r\nabc"
	}
	requests += "GET /plain HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"
	io.WriteString(conn, requests)
	io.Copy(io.Discard, conn)
	conn.Close()
	for i := range d.lines {
		d.lines[i] = strings.Replace(d.lines[i], "Pipe.example:80", "pipe.example", 1)
	}
	got := p.done(t)
	d.compare(t, got, false)
	for i := 1; i < len(got); i++ {
		if got[i].RequestPos != got[i-1].RequestLast {
			t.Errorf("request %d begins at %d, the one before ends at %d", i, got[i].RequestPos, got[i-1].RequestLast)
		}
	}
}

// TestLiveUpgrade: a websocket handshake, of which the octets behind the heads
// are where Upgraded says.
func TestLiveUpgrade(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
		io.Copy(io.Discard, buf)
	}))
	defer server.Close()
	p := newTap(t, server.Listener.Addr().String())
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	request := "GET /chat/7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	io.WriteString(conn, request)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	io.WriteString(conn, "GET /not HTTP/1.1\r\n\r\n")
	conn.Close()
	got := p.done(t)
	const head = len("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if len(got) != 1 || lineOf(&got[0]) != "GET x /chat/{id} 101 0 0 -1" || got[0].Upgraded != "websocket" {
		t.Errorf("got\n%s", showAll(got))
	}
	if want := []string{fmt.Sprint("websocket ", len(request), " ", head)}; !slices.Equal(p.upgraded, want) {
		t.Errorf("upgraded %q, want %q", p.upgraded, want)
	}
}

// TestLiveHTTP2: net/http's HTTP/2 with prior knowledge, many streams at a
// time, trailers with a grpc-status, and requests that are given up.
func TestLiveHTTP2(t *testing.T) {
	var d diary
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", d.handler())
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		d.write(r, 0, 0, 0, -1)
		<-release
	})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = &protocols
	server.Start()
	p := newTap(t, server.Listener.Addr().String())
	transport := &http.Transport{Protocols: &protocols}
	client := &http.Client{Transport: transport}
	url := "http://" + p.addr
	fetch(t, client, "GET", url+"/plain?secret=1", nil)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			switch i % 8 {
			case 0:
				fetch(t, client, "GET", url+"/big", nil)
			case 1:
				fetch(t, client, "POST", url+"/chunked", strings.NewReader(strings.Repeat("x", 100_000)))
			case 2:
				fetch(t, client, "HEAD", url+"/plain", nil, "Cookie", strings.Repeat("c", i*200))
			case 3:
				fetch(t, client, "GET", url+"/missing", nil)
			case 4:
				fetch(t, client, "GET", url+"/none", nil)
			case 5:
				fetch(t, client, "GET", url+"/early", nil, "Cookie", strings.Repeat("d", 20_000)) // with CONTINUATION
			default:
				fetch(t, client, "POST", url+"/pkg.Service/Method", strings.NewReader(strings.Repeat("x", i)), "Content-Type", "application/grpc")
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), think)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, url+"/slow", nil)
	if _, err := client.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request that is given up: %v", err)
	}
	fetch(t, client, "GET", url+"/plain", nil)
	close(release)
	transport.CloseIdleConnections()
	server.Close()
	got := p.done(t)
	aborted := slices.IndexFunc(got, func(e Exchange) bool { return e.Path == "/slow" })
	if aborted < 0 || got[aborted].Status != 0 || got[aborted].Broken || got[aborted].ResponseAt != 0 || got[aborted].RequestEnd == 0 {
		t.Errorf("the request that was given up:\n%s", showAll(got))
	}
	if aborted >= 0 {
		got = slices.Delete(got, aborted, aborted+1)
	}
	d.lines = slices.DeleteFunc(d.lines, func(l string) bool { return strings.Contains(l, "/slow") })
	d.compare(t, got, true)
	for _, e := range got {
		if e.Version != HTTP2 {
			t.Errorf("version %s of %s", e.Version, show(&e))
		}
	}
}
