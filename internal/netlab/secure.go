package netlab

import (
	"bufio"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// secure is a load of TLS with crypto/tls at both ends: connections one after the
// other, each with some requests of HTTP/1.1 after the handshake.
type secure struct {
	version     uint16                 // of both; 0: 1.3
	connections int                    // 0: one; the later ones offer what the earlier were given
	client      func(*tls.Config)      // changes what is described here
	server      func(*tls.Config)      //
	chain       int                    // octets that the server's certificates are filled up with
	key         time.Duration          // that the server's key takes
	lookup      time.Duration          // that the server takes before it knows its certificate
	verify      time.Duration          // that the client takes for the server's certificate
	choose      time.Duration          // that the client takes to choose its own certificate
	mutual      bool                   // the client has a certificate
	thoughts    []time.Duration        // the server's, by request
	together    bool                   // the first request goes out with the client's Finished, in one write
	ahead       bool                   // the server sends octets before the client's Finished is there (0.5-RTT data)
	fails       bool                   // the handshake, at one end at least
	instead     func(*secureEnd) error // what the client does instead of all this
	resets      bool                   // the client's socket is gone afterwards
}

// secureEnd is one end of a connection.
type secureEnd struct {
	*clocked
	conn *tls.Conn
}

func (l secure) load(s *Session) error {
	configs, err := l.configs(s)
	if err != nil {
		return err
	}
	for range max(1, l.connections) {
		if err := l.connection(s, configs); err != nil {
			return err
		}
	}
	return nil
}

// configs makes what both ends keep over their connections.
func (l secure) configs(s *Session) (c [2]*tls.Config, err error) {
	roots, err := trusted()
	if err != nil {
		return c, err
	}
	version := l.version
	if version == 0 {
		version = tls.VersionTLS13
	}
	for side := range c {
		c[side] = &tls.Config{
			MinVersion: version, MaxVersion: version, RootCAs: roots, ClientCAs: roots, ServerName: serverName,
			KeyLogWriter: &s.keys,
			// One key share, so that the ClientHello is one segment unless asked otherwise.
			CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
		}
	}
	client, server := c[FromClient], c[FromServer]
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	cert, err := certificate(serverName, x509.ExtKeyUsageServerAuth, l.chain)
	if err != nil {
		return c, err
	}
	if l.key > 0 {
		cert.PrivateKey = slowKey{cert.PrivateKey.(crypto.Signer), l.key}
	}
	server.Certificates = []tls.Certificate{cert}
	if l.lookup > 0 {
		server.Certificates = nil
		server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			time.Sleep(l.lookup)
			return &cert, nil
		}
	}
	if l.verify > 0 {
		client.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error {
			time.Sleep(l.verify)
			return nil
		}
	}
	if l.mutual {
		own, err := certificate("client.example", x509.ExtKeyUsageClientAuth, 0)
		if err != nil {
			return c, err
		}
		server.ClientAuth = tls.RequireAndVerifyClientCert
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			time.Sleep(l.choose)
			return &own, nil
		}
	}
	for side, change := range []func(*tls.Config){l.client, l.server} {
		if change != nil {
			change(c[side])
		}
	}
	return c, nil
}

// connection runs one connection to its end.
func (l secure) connection(s *Session, configs [2]*tls.Config) error {
	c, err := s.Connect()
	if err != nil {
		return err
	}
	clocks := s.watch(c)
	client := &secureEnd{clocked: clocks[FromClient]}
	var wire net.Conn = clocks[FromServer]
	if l.ahead {
		wire = &eagerServer{Conn: wire, keys: &s.keys}
	}
	server := &secureEnd{clocked: clocks[FromServer], conn: tls.Server(wire, configs[FromServer])}
	client.conn = tls.Client(client.clocked, configs[FromClient])
	var g errgroup.Group
	g.Go(func() error {
		if err := server.handshake(); err != nil {
			if l.fails {
				err = nil
			}
			return errors.Join(err, server.clocked.Close())
		}
		return l.serve(server)
	})
	g.Go(func() error {
		if l.instead != nil {
			return l.instead(client)
		}
		err := l.ask(client)
		if l.fails {
			err = nil
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if l.resets {
		c.After[FromServer], err = readInfo(c.Ends[FromServer])
		return err
	}
	return s.part(c, FromClient)
}

func (e *secureEnd) handshake() error {
	e.note(0)
	err := e.conn.Handshake()
	e.note(1)
	if err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.end.Failed = err.Error()
	}
	return err
}

func (e *secureEnd) note(i int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end.Handshake[i] = e.now()
}

// ask is the client's side of a connection.
func (l secure) ask(e *secureEnd) error {
	if l.together {
		e.gatherNext = true // what follows the ClientHello is the client's second flight
	}
	if err := e.handshake(); err != nil {
		return errors.Join(err, e.clocked.Close())
	}
	r := bufio.NewReader(e.conn)
	for i := range l.thoughts {
		if _, err := io.WriteString(e.conn, request(fmt.Sprintf("/turn/%d", i))); err != nil {
			return err
		}
		if i == 0 && l.together {
			if err := e.release(); err != nil {
				return err
			}
		}
		if err := getResponse(r); err != nil {
			return fmt.Errorf("response %d: %w", i+1, err)
		}
	}
	if len(l.thoughts) == 0 && l.together {
		if err := e.release(); err != nil {
			return err
		}
	}
	if l.fails { // the refusal comes when there is something to read
		_, err := r.ReadByte()
		return errors.Join(err, e.clocked.Close())
	}
	if err := e.conn.CloseWrite(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

// serve is the server's side, until the client says that it is done.
func (l secure) serve(e *secureEnd) error {
	r := bufio.NewReader(e.conn)
	for _, think := range l.thoughts {
		if err := e.answer(r, e.conn, think); err != nil {
			return err
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("the client did not close"), err)
	}
	return e.conn.CloseWrite()
}

// answer takes one request, thinks and responds.
func (c *clocked) answer(r *bufio.Reader, w io.Writer, think time.Duration) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return err
	}
	t := ThinkTruth{Path: req.URL.Path, Planned: think, Began: c.now()}
	time.Sleep(think)
	t.Done = c.now()
	c.think(t)
	_, err = w.Write(response)
	return err
}

func request(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + serverName + "\r\n\r\n"
}

// response is what the server answers where nothing else is said.
var response = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n%s", strings.Repeat("lab ", 250))

func getResponse(r *bufio.Reader) error {
	res, err := http.ReadResponse(r, nil)
	for err == nil && res.StatusCode < 200 {
		res, err = http.ReadResponse(r, nil)
	}
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", res.Status)
	}
	return errors.Join(err, drain(res))
}

// drain reads a response to its end.
func drain(res *http.Response) error {
	_, err := io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

// leave sends the ClientHello and closes, in order or with a reset.
func leave(reset bool) func(*secureEnd) error {
	return func(e *secureEnd) error {
		e.Conn = &oneWrite{Conn: e.Conn, done: func(c net.Conn) error {
			t := c.(*net.TCPConn)
			if reset {
				return errors.Join(t.SetLinger(0), t.Close())
			}
			return t.CloseWrite()
		}}
		if err := e.conn.Handshake(); err == nil {
			return errors.New("the handshake went on")
		}
		return nil
	}
}

// plainRequest sends a request in the clear to a server of TLS.
func plainRequest(e *secureEnd) error {
	if _, err := io.WriteString(e.clocked, request("/")); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, e.clocked)
	return errors.Join(err, e.clocked.Close())
}

// oneWrite is a connection that ends with its first write.
type oneWrite struct {
	net.Conn
	done func(net.Conn) error
}

func (o *oneWrite) Write(b []byte) (int, error) {
	n, err := o.Conn.Write(b)
	return n, errors.Join(err, o.done(o.Conn))
}

func (o *oneWrite) Read([]byte) (int, error) { return 0, io.EOF }

// toPlain is a client of TLS at a server that speaks HTTP in the clear.
func toPlain(s *Session) error {
	c, err := s.Connect()
	if err != nil {
		return err
	}
	clocks := s.watch(c)
	var g errgroup.Group
	g.Go(func() error {
		// What net/http answers to a request that it cannot read.
		if _, err := http.ReadRequest(bufio.NewReader(clocks[FromServer])); err == nil {
			return errors.New("a ClientHello was read as a request")
		}
		_, err := io.Copy(clocks[FromServer], strings.NewReader("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"))
		return errors.Join(err, clocks[FromServer].Close())
	})
	g.Go(func() error {
		configs, err := secure{}.configs(s)
		if err != nil {
			return err
		}
		e := &secureEnd{clocked: clocks[FromClient], conn: tls.Client(clocks[FromClient], configs[FromClient])}
		if err := e.handshake(); err == nil {
			return errors.New("the handshake succeeded without TLS at the server")
		}
		return e.clocked.Close()
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return s.part(c, FromServer)
}
