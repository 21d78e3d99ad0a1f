package netlab

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// web is a load of HTTP with net/http at the server.
type web struct {
	conns [][]fetch // by connection, one after the other
	tls   uint16    // version; 0: in the clear
	h2    bool      // HTTP/2 with net/http at the client too; else HTTP/1.1, written by hand
}

// fetch is one request and what the server makes of it.
type fetch struct {
	think    time.Duration // the server's, between the last octet of the request and the first of the response
	body     []int         // pieces of the request's body, octets
	pause    time.Duration // the client's, before each piece
	chunked  bool          // the body's transfer coding
	expect   bool          // the client waits for 100 Continue before the body
	response []int         // pieces of the response's body, octets; nil: 1000
	rest     time.Duration // the server's, before each further piece
	next     bool          // the following request does not wait for this response
	status   int           // 0: 200
}

func (f fetch) path() string {
	q := url.Values{"think": {f.think.String()}}
	for _, n := range f.response {
		q.Add("piece", strconv.Itoa(n))
	}
	if f.rest > 0 {
		q.Set("rest", f.rest.String())
	}
	if f.status > 0 {
		q.Set("status", strconv.Itoa(f.status))
	}
	return "/think?" + q.Encode()
}

// watchedConn is the key under which a server's handler finds its connection.
type watchedConn struct{}

// handle is the server's program.
func handle(w http.ResponseWriter, r *http.Request) {
	clock := r.Context().Value(watchedConn{}).(*clocked)
	q := r.URL.Query()
	think, _ := time.ParseDuration(q.Get("think"))
	rest, _ := time.ParseDuration(q.Get("rest"))
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	t := ThinkTruth{Path: r.URL.RequestURI(), Planned: think, Began: clock.now()}
	time.Sleep(think)
	t.Done = clock.now()
	clock.think(t)
	pieces := q["piece"]
	if len(pieces) == 0 {
		pieces = []string{"1000"}
	}
	if n, err := strconv.Atoi(q.Get("status")); err == nil {
		w.WriteHeader(n)
	}
	for i, text := range pieces {
		n, _ := strconv.Atoi(text)
		if i > 0 {
			time.Sleep(rest)
		}
		if err := send(w, n); err != nil {
			return
		}
		w.(http.Flusher).Flush()
	}
}

// given is a listener of connections that were accepted elsewhere.
type given struct {
	conns chan net.Conn
	addr  net.Addr
}

func (g given) Accept() (net.Conn, error) {
	c, ok := <-g.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (g given) Close() error   { return nil }
func (g given) Addr() net.Addr { return g.addr }

func (l web) load(s *Session) error {
	configs, err := secure{version: l.tls}.configs(s)
	if err != nil {
		return err
	}
	for side := range configs {
		configs[side].NextProtos = []string{"http/1.1"}
		if l.h2 {
			configs[side].NextProtos = []string{"h2"}
		}
	}
	accepted := given{make(chan net.Conn), s.listen.Addr()}
	server := &http.Server{
		Handler: http.HandlerFunc(handle), TLSConfig: configs[FromServer], Protocols: &http.Protocols{},
		ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if t, ok := c.(*tls.Conn); ok {
				c = t.NetConn()
			}
			return context.WithValue(ctx, watchedConn{}, c)
		},
	}
	server.Protocols.SetHTTP1(!l.h2)
	server.Protocols.SetHTTP2(l.h2 && l.tls != 0)
	server.Protocols.SetUnencryptedHTTP2(l.h2 && l.tls == 0)
	served := make(chan error, 1)
	go func() {
		if l.tls != 0 {
			served <- server.ServeTLS(accepted, "", "")
		} else {
			served <- server.Serve(accepted)
		}
	}()
	for _, fetches := range l.conns {
		c, err := s.Connect()
		if err != nil {
			return err
		}
		clocks := s.watch(c)
		accepted.conns <- clocks[FromServer]
		var wire net.Conn = clocks[FromClient]
		if l.tls != 0 {
			e := &secureEnd{clocks[FromClient], tls.Client(wire, configs[FromClient])}
			if err := e.handshake(); err != nil {
				return err
			}
			wire = e.conn
		}
		if l.h2 {
			err = l.concurrent(wire, fetches)
		} else {
			err = byHand(wire, fetches)
		}
		if err != nil {
			return err
		}
		if err := s.part(c, FromClient); err != nil {
			return err
		}
	}
	close(accepted.conns)
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// byHand is a client of HTTP/1.1 whose every octet goes out when it is to.
func byHand(c net.Conn, fetches []fetch) error {
	r := bufio.NewReader(c)
	waiting := 0 // responses
	for _, f := range fetches {
		if err := f.ask(c, r); err != nil {
			return err
		}
		for waiting++; waiting > 0 && !f.next; waiting-- {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			if err := drain(res); err != nil {
				return err
			}
		}
	}
	return c.Close()
}

// ask sends a request.
func (f fetch) ask(w io.Writer, r *bufio.Reader) error {
	var head strings.Builder
	method, total := "GET", 0
	for _, n := range f.body {
		method = "POST"
		total += n
	}
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, f.path(), serverName)
	switch {
	case f.chunked:
		head.WriteString("Transfer-Encoding: chunked\r\n")
	case total > 0:
		fmt.Fprintf(&head, "Content-Length: %d\r\n", total)
	}
	if f.expect {
		head.WriteString("Expect: 100-continue\r\n")
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(w, head.String()); err != nil {
		return err
	}
	if f.expect {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusContinue {
			return fmt.Errorf("status %s where the server should want the body", res.Status)
		}
	}
	for _, n := range f.body {
		time.Sleep(f.pause)
		piece := payload[:n]
		if f.chunked {
			piece = append(fmt.Appendf(nil, "%x\r\n", n), append(piece[:n:n], "\r\n"...)...)
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	if f.chunked {
		time.Sleep(f.pause)
		_, err := io.WriteString(w, "0\r\n\r\n")
		return err
	}
	return nil
}

// concurrent is a client of HTTP/2 that asks for everything at once.
func (l web) concurrent(c net.Conn, fetches []fetch) error {
	transport := &http.Transport{Protocols: &http.Protocols{}, DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(l.tls == 0)
	transport.Protocols.SetHTTP2(l.tls != 0)
	dial := func(context.Context, string, string) (net.Conn, error) { return c, nil }
	transport.DialContext, transport.DialTLSContext = dial, dial
	scheme := "http"
	if l.tls != 0 {
		scheme = "https"
	}
	get := func(f fetch) error {
		var body io.Reader
		method := http.MethodGet
		if len(f.body) > 0 {
			read, write := io.Pipe()
			method, body = http.MethodPost, read
			go func() {
				for _, n := range f.body {
					time.Sleep(f.pause)
					_, _ = write.Write(payload[:n])
				}
				_ = write.Close()
			}()
		}
		req, err := http.NewRequest(method, scheme+"://"+serverName+f.path(), body)
		if err != nil {
			return err
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		return drain(res)
	}
	var g errgroup.Group
	for i, f := range fetches {
		if i == 0 { // the others use the connection that the first has made
			if err := get(f); err != nil {
				return err
			}
			continue
		}
		g.Go(func() error { return get(f) })
		if !f.next {
			if err := g.Wait(); err != nil {
				return err
			}
		}
	}
	err := g.Wait()
	transport.CloseIdleConnections()
	return err
}
