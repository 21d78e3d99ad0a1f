package quic

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"mirrorscope/pool"
	"mirrorscope/tlsmeta"
)

// point is an observation point between a client and a server of quic-go: a
// forwarder of UDP with a delay on either side.
type point struct {
	halves [2]time.Duration // one way, to the client and to the server
	meddle func(dir, n int, b []byte) action

	front  *net.UDPConn
	server *net.UDPAddr
	done   sync.WaitGroup

	mu     sync.Mutex
	back   *net.UDPConn
	from   *net.UDPAddr
	conn   Conn
	budget pool.Budget
	seen   []datagram
	counts [2]int
}

// datagram is one that was forwarded, as the forwarder noted it.
type datagram struct {
	dir  int
	at   int64
	kind kind // of its first packet, by version 1 or 2; unknownKind is a short header
}

// action is what becomes of a datagram.
type action uint8

const (
	pass     action = iota
	lose            // behind the point
	loseAt          // in front of it
	repeat          // recorded and sent twice
	overtake        // held until the next one has passed
	cutShort        // recorded in part
)

func newPoint(t *testing.T, to net.Addr, halves [2]time.Duration, meddle func(dir, n int, b []byte) action) *point {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &point{halves: halves, meddle: meddle, front: front, server: to.(*net.UDPAddr), budget: pool.Budget{Max: 1 << 20}}
	if p.back, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	p.pump(client, front, func(b []byte) { p.back.WriteToUDP(b, p.server) })
	p.pump(server, p.back, func(b []byte) {
		p.mu.Lock()
		to := p.from
		p.mu.Unlock()
		p.front.WriteToUDP(b, to)
	})
	t.Cleanup(p.close)
	return p
}

// server is the role; server is taken by names of variables here.

func (p *point) close() {
	p.front.Close()
	p.back.Close()
	p.done.Wait()
}

// due is a datagram under way.
type due struct {
	b  []byte
	at time.Time
}

// pump forwards one direction: from the socket to the point, and on.
func (p *point) pump(dir int, in *net.UDPConn, out func([]byte)) {
	toPoint, onward := make(chan due, 4096), make(chan due, 4096)
	p.done.Add(3)
	go func() {
		defer p.done.Done()
		defer close(toPoint)
		buf := make([]byte, 65536)
		for {
			n, from, err := in.ReadFromUDP(buf)
			if err != nil {
				return
			}
			if dir == client {
				p.mu.Lock()
				p.from = from
				p.mu.Unlock()
			}
			toPoint <- due{slices.Clone(buf[:n]), time.Now().Add(p.halves[dir])}
		}
	}()
	go func() {
		defer p.done.Done()
		defer close(onward)
		var held []byte
		for d := range toPoint {
			time.Sleep(time.Until(d.at))
			for _, b := range p.pass(dir, d.b, &held) {
				onward <- due{b, time.Now().Add(p.halves[1-dir])}
			}
		}
	}()
	go func() {
		defer p.done.Done()
		for d := range onward {
			time.Sleep(time.Until(d.at))
			out(d.b)
		}
	}()
}

// pass records a datagram and gives what goes on.
func (p *point) pass(dir int, b []byte, held *[]byte) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	act := pass
	if p.meddle != nil {
		act = p.meddle(dir, p.counts[dir], b)
	}
	p.counts[dir]++
	var out [][]byte
	switch act {
	case loseAt:
	case lose:
		p.record(dir, b, len(b))
	case repeat:
		p.record(dir, b, len(b))
		p.record(dir, b, len(b))
		out = [][]byte{b, b}
	case overtake:
		if *held == nil {
			*held = b
			return nil
		}
		fallthrough
	case cutShort:
		n := len(b)
		if act == cutShort {
			n = min(n, 100)
		}
		p.record(dir, b, n)
		out = [][]byte{b}
	default:
		p.record(dir, b, len(b))
		out = [][]byte{b}
	}
	if *held != nil {
		p.record(dir, *held, len(*held))
		out = append(out, *held)
		*held = nil
	}
	return out
}

func (p *point) record(dir int, b []byte, n int) {
	at := time.Now().UnixNano()
	d := datagram{dir: dir, at: at}
	if b[0]&0x80 != 0 {
		t := b[0] >> 4 & 3
		if b[1] == 0x6b {
			t = (t - 1) & 3
		}
		d.kind = [...]kind{initial, zeroRTT, handshake, retry}[t]
		if [4]byte(b[1:5]) == [4]byte{} {
			d.kind = negotiation
		}
	}
	p.seen = append(p.seen, d)
	// The point does not know who the client is: its directions are the other
	// way round.
	p.conn.Datagram(1-dir, b[:n:n], len(b), at, &p.budget)
}

// report ends the point and gives what it told.
func (p *point) report(t *testing.T) (Info, Handshake) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	i, h := p.conn.Report(true), p.conn.Handshake()
	if dir, ok := p.conn.Client(); ok && dir != 1 {
		t.Error("the server is taken for the client")
	}
	if p.conn.open != nil && i.Outcome == tlsmeta.Completed {
		t.Error("Initial packets are still read behind the handshake")
	}
	p.conn.Reset()
	if p.budget.Used() != 0 {
		t.Errorf("%d octets are not given back", p.budget.Used())
	}
	return i, h
}

// first gives the record time of the first datagram in a direction that begins
// with a packet of the kind, at or after the time.
func (p *point) first(dir int, k kind, from int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.seen {
		if d.dir == dir && d.kind == k && d.at >= from {
			return d.at
		}
	}
	return 0
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "quic.test"}, DNSNames: []string{"quic.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// peers are the two ends.
type peers struct {
	clientTLS, serverTLS *tls.Config
	client, server       *quicgo.Config
	retry                bool
}

func newPeers(t testing.TB) *peers {
	return &peers{
		clientTLS: &tls.Config{ServerName: "quic.test", InsecureSkipVerify: true, NextProtos: []string{"echo", "h3"}},
		serverTLS: &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"echo"}},
		client:    &quicgo.Config{HandshakeIdleTimeout: 10 * time.Second},
		server:    &quicgo.Config{Allow0RTT: true, HandshakeIdleTimeout: 10 * time.Second},
	}
}

// listen starts the server: it sends back what comes on each stream.
func (e *peers) listen(t *testing.T) net.Addr {
	t.Helper()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quicgo.Transport{Conn: sock, VerifySourceAddress: func(net.Addr) bool { return e.retry }}
	ln, err := tr.ListenEarly(e.serverTLS, e.server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close(); tr.Close(); sock.Close() })
	go func() {
		for {
			c, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				for {
					s, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					go func() { io.Copy(s, s); s.Close() }()
				}
			}()
		}
	}()
	return sock.LocalAddr()
}

// talk connects through the point, and has n octets sent back. It gives how
// long the client says that the handshake took.
func (e *peers) talk(t *testing.T, p *point, early bool, n int) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addr := p.front.LocalAddr().String()
	began := time.Now()
	var c *quicgo.Conn
	var err error
	if early {
		c, err = quicgo.DialAddrEarly(ctx, addr, e.clientTLS, e.client)
	} else {
		c, err = quicgo.DialAddr(ctx, addr, e.clientTLS, e.client)
	}
	took := time.Since(began)
	if err != nil {
		return took, err
	}
	defer func() {
		c.CloseWithError(0, "")
		time.Sleep(30 * time.Millisecond)
	}()
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return took, err
	}
	if _, err := s.Write(make([]byte, n)); err != nil {
		return took, err
	}
	s.Close()
	got, err := io.Copy(io.Discard, s)
	if err == nil && got != int64(n) {
		t.Errorf("%d octets came back of %d", got, n)
	}
	if early {
		<-c.HandshakeComplete()
	}
	return took, err
}

// near fails unless the duration is within [want, want+slack], in ms.
func near(t *testing.T, name string, ns int64, want, slack time.Duration) {
	t.Helper()
	if ns < int64(want) || ns > int64(want+slack) {
		t.Errorf("%s is %v, want %v to %v", name, time.Duration(ns), want, want+slack)
	}
}

// slack is what endpoints and sleeping may add to a half on a busy machine.
const slack = 60 * time.Millisecond

func TestLive(t *testing.T) {
	const toClient, toServer = 10 * time.Millisecond, 25 * time.Millisecond
	versions := func(v ...quicgo.Version) []quicgo.Version { return v }
	for _, tc := range []struct {
		name   string
		set    func(*peers)
		extra  time.Duration // round trips of the whole path beyond the first
		wants  func(*testing.T, Info)
		noHRR  bool
		closed bool // the handshake fails
	}{
		{name: "version 1", wants: func(t *testing.T, i Info) {
			if i.Version != 1 || i.Group != uint16(tls.X25519MLKEM768) {
				t.Errorf("version %#x, group %#x", i.Version, i.Group)
			}
		}},
		{name: "version 2", set: func(e *peers) { e.client.Versions = versions(quicgo.Version2) }, wants: func(t *testing.T, i Info) {
			if i.Version != 0x6b3343cf {
				t.Errorf("version %#x", i.Version)
			}
		}},
		{name: "small hello", set: func(e *peers) { e.clientTLS.CurvePreferences = []tls.CurveID{tls.X25519} }, wants: func(t *testing.T, i Info) {
			if i.Group != uint16(tls.X25519) {
				t.Errorf("group %#x", i.Group)
			}
		}},
		{name: "Retry", set: func(e *peers) { e.retry = true }, extra: 1, wants: func(t *testing.T, i Info) {
			if !i.Retry {
				t.Error("no Retry")
			}
		}},
		{name: "Retry in version 2", set: func(e *peers) { e.retry, e.client.Versions = true, versions(quicgo.Version2) }, extra: 1, wants: func(t *testing.T, i Info) {
			if !i.Retry {
				t.Error("no Retry")
			}
		}},
		{name: "version negotiation", set: func(e *peers) {
			e.client.Versions, e.server.Versions = versions(quicgo.Version2, quicgo.Version1), versions(quicgo.Version1)
		}, extra: 1, wants: func(t *testing.T, i Info) {
			if !i.VersionNegotiation || i.Version != 1 || !slices.Contains(i.ServerVersions, 1) {
				t.Errorf("negotiation %v of %#x, version %#x", i.VersionNegotiation, i.ServerVersions, i.Version)
			}
		}},
		{name: "HelloRetryRequest", set: func(e *peers) { e.serverTLS.CurvePreferences = []tls.CurveID{tls.CurveP384} }, extra: 1, wants: func(t *testing.T, i Info) {
			if !i.HelloRetry || i.Group != uint16(tls.CurveP384) {
				t.Errorf("hello retry %v, group %#x", i.HelloRetry, i.Group)
			}
		}},
		{name: "client certificate", set: func(e *peers) {
			e.serverTLS.ClientAuth = tls.RequireAnyClientCert
			e.clientTLS.Certificates = e.serverTLS.Certificates
		}, wants: func(*testing.T, Info) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := newPeers(t)
			if tc.set != nil {
				tc.set(e)
			}
			p := newPoint(t, e.listen(t), [2]time.Duration{toClient, toServer}, nil)
			took, err := e.talk(t, p, false, 20000)
			if err != nil {
				t.Fatal(err)
			}
			i, h := p.report(t)
			tc.wants(t, i)
			if i.SNI != "quic.test" || !slices.Equal(i.ALPNOffered, []string{"echo", "h3"}) || i.Info.Version != 0x0304 || i.Cipher == 0 || len(i.JA3) != 32 || len(i.JA3S) != 32 || i.JA4 == "" || i.JA4[:4] != "q13d" {
				t.Errorf("hellos: %+v", i.Info)
			}
			if i.Outcome != tlsmeta.Completed || i.Close.Known || i.Alert != nil {
				t.Errorf("outcome %v, %+v", i.Outcome, i.Close)
			}
			if i.Undecryptable+i.Malformed+i.Dropped+i.Cut+i.Duplicates != 0 {
				t.Errorf("%d undecryptable, %d malformed, %d dropped, %d cut, %d duplicates", i.Undecryptable, i.Malformed, i.Dropped, i.Cut, i.Duplicates)
			}
			if i.Spin.Known {
				t.Errorf("quic-go has no spin bit, and yet %+v", i.Spin)
			}
			// By delay, and by what the forwarder itself saw.
			near(t, "client half", h.Client, 2*toClient, slack)
			near(t, "server half", h.Server, 2*toServer, slack)
			near(t, "total", h.Total, (2*toClient+2*toServer)*(1+tc.extra), 2*slack)
			if off := h.Total - int64(took); off < -int64(slack) || off > int64(slack) {
				t.Errorf("total %v, the client says %v", time.Duration(h.Total), took)
			}
			if h.Ambiguous || h.RTT != h.Client+h.Server {
				t.Errorf("%+v", h)
			}
			if want := p.first(client, initial, 0); i.ClientInitial != want {
				t.Errorf("ClientInitial is %d ns off", i.ClientInitial-want)
			}
			if want := p.first(server, initial, 0); i.ServerInitial != want {
				t.Errorf("ServerInitial is %d ns off", i.ServerInitial-want)
			}
			if i.ClientShort < i.ClientFinished || i.ClientFinished < i.ClientAnswer || i.ClientAnswer <= i.ServerInitial {
				t.Errorf("times are not in order: %+v", i)
			}
			if i.Initials < 3 || i.Long < 2 || i.Short < 10 {
				t.Errorf("%d Initials, %d long, %d short", i.Initials, i.Long, i.Short)
			}
		})
	}
}

func TestLiveEarlyData(t *testing.T) {
	t.Parallel()
	const oneWay = 10 * time.Millisecond
	e := newPeers(t)
	e.clientTLS.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	addr := e.listen(t)
	for n, want := range []struct {
		zeroRTT, resumed bool
		early            tlsmeta.EarlyData
	}{{false, false, tlsmeta.EarlyNone}, {true, true, tlsmeta.EarlyOffered}} {
		p := newPoint(t, addr, [2]time.Duration{oneWay, oneWay}, nil)
		if _, err := e.talk(t, p, n > 0, 3000); err != nil {
			t.Fatal(err)
		}
		i, h := p.report(t)
		if i.ZeroRTT != want.zeroRTT || i.Resumed != want.resumed || i.EarlyData != want.early {
			t.Errorf("connection %d: 0-RTT %v, resumed %v, early data %v", n, i.ZeroRTT, i.Resumed, i.EarlyData)
		}
		if i.Outcome != tlsmeta.Completed || i.SNI != "quic.test" {
			t.Errorf("connection %d: %v, %+v", n, i.Outcome, i.Info)
		}
		near(t, "total", h.Total, 4*oneWay, 2*slack)
		near(t, "client half", h.Client, 2*oneWay, slack)
	}
}

// TestLiveFailure: the server has none of the protocols offered, and says so in
// an Initial packet.
func TestLiveFailure(t *testing.T) {
	t.Parallel()
	e := newPeers(t)
	e.clientTLS.NextProtos = []string{"other"}
	p := newPoint(t, e.listen(t), [2]time.Duration{}, nil)
	if _, err := e.talk(t, p, false, 1); err == nil {
		t.Fatal("the handshake did not fail")
	}
	i, h := p.report(t)
	if i.Outcome != tlsmeta.Failed || i.Close != (Close{Known: true, Code: 0x178}) {
		t.Errorf("outcome %v, %+v", i.Outcome, i.Close)
	}
	if i.Alert == nil || *i.Alert != (tlsmeta.Alert{Level: 2, Description: 120}) {
		t.Errorf("alert %+v", i.Alert)
	}
	if h.Server < 0 || h.Total != Absent {
		t.Errorf("%+v", h)
	}
}

// TestLiveSilence: nothing comes back.
func TestLiveSilence(t *testing.T) {
	t.Parallel()
	e := newPeers(t)
	e.client.HandshakeIdleTimeout = 500 * time.Millisecond
	p := newPoint(t, e.listen(t), [2]time.Duration{}, func(dir, _ int, _ []byte) action {
		if dir == server {
			return loseAt
		}
		return pass
	})
	if _, err := e.talk(t, p, false, 1); err == nil {
		t.Fatal("the handshake did not fail")
	}
	p.mu.Lock()
	open := p.conn.Report(false)
	p.mu.Unlock()
	i, h := p.report(t)
	if i.SNI != "quic.test" || h.Server != Absent || h.RTT != Absent || h.Total != Absent || i.Initials < 2 {
		t.Errorf("%+v, %+v", i, h)
	}
	// The client may say good-bye in an Initial packet.
	if want := tlsmeta.Abandoned; i.Outcome != want && !i.Close.Known {
		t.Errorf("outcome %v, want %v", i.Outcome, want)
	}
	if open.Outcome != tlsmeta.Incomplete && !i.Close.Known {
		t.Errorf("outcome %v while the flow may go on", open.Outcome)
	}
}

// TestLiveRepeats loses one datagram of the handshake in front of the point, or
// behind it. Halves must stay those of the path: packet numbers tell which
// packet was answered.
func TestLiveRepeats(t *testing.T) {
	const toClient, toServer = 10 * time.Millisecond, 20 * time.Millisecond
	for _, tc := range []struct {
		name string
		dir  int
		act  action
		nth  []int
	}{
		{"ClientHello lost behind the point", client, lose, []int{0, 1}},
		{"half the ClientHello lost behind the point", client, lose, []int{1}},
		{"ClientHello lost in front of the point", client, loseAt, []int{0, 1}},
		{"first flight of the server lost behind the point", server, lose, []int{0, 1, 2}},
		{"first flight of the server lost in front of the point", server, loseAt, []int{0, 1, 2}},
		{"ClientHello repeated", client, repeat, []int{0, 1}},
		{"ClientHello out of order", client, overtake, []int{0}},
		{"server's flight repeated", server, repeat, []int{0, 1}},
		{"server's flight out of order", server, overtake, []int{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := newPeers(t)
			p := newPoint(t, e.listen(t), [2]time.Duration{toClient, toServer}, func(dir, n int, _ []byte) action {
				if dir == tc.dir && slices.Contains(tc.nth, n) {
					return tc.act
				}
				return pass
			})
			if _, err := e.talk(t, p, false, 1000); err != nil {
				t.Fatal(err)
			}
			i, h := p.report(t)
			if i.SNI != "quic.test" || i.Cipher == 0 || i.Outcome != tlsmeta.Completed {
				t.Errorf("outcome %v, %+v", i.Outcome, i.Info)
			}
			if i.Undecryptable+i.Malformed+i.Dropped != 0 {
				t.Errorf("%d undecryptable, %d malformed, %d dropped", i.Undecryptable, i.Malformed, i.Dropped)
			}
			near(t, "client half", h.Client, 2*toClient, slack)
			near(t, "server half", h.Server, 2*toServer, slack)
			// A server that repeats its flight leaves the ACK frame out.
			if h.Ambiguous && (tc.dir != server || tc.act != loseAt) {
				t.Errorf("%+v", h)
			}
			if (tc.act == repeat) != (i.Duplicates > 0) {
				t.Errorf("%d duplicates", i.Duplicates)
			}
		})
	}
}

// TestLiveCut records 100 octets of each datagram: the hellos are not known,
// the times are.
func TestLiveCut(t *testing.T) {
	t.Parallel()
	const toClient, toServer = 10 * time.Millisecond, 20 * time.Millisecond
	e := newPeers(t)
	p := newPoint(t, e.listen(t), [2]time.Duration{toClient, toServer}, func(int, int, []byte) action { return cutShort })
	if _, err := e.talk(t, p, false, 20000); err != nil {
		t.Fatal(err)
	}
	i, h := p.report(t)
	// An acknowledgement alone may be short enough to be recorded whole.
	if i.SNI != "" || i.JA4 != "" || i.Cut < 3 || i.Undecryptable > i.Initials-i.Cut+i.Long || i.Malformed != 0 {
		t.Errorf("%+v", i)
	}
	near(t, "server half", h.Server, 2*toServer, slack)
	near(t, "client half", h.Client, 2*toClient, slack)
	if !h.Bounded || !h.Ambiguous || i.Outcome != tlsmeta.Completed {
		t.Errorf("%+v, outcome %v", h, i.Outcome)
	}
}

// TestLiveChaos has a fifth of the datagrams lost, repeated or overtaken.
func TestLiveChaos(t *testing.T) {
	for seed := range uint64(16) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			r := mrand.New(mrand.NewPCG(seed, 1))
			e := newPeers(t)
			e.retry = seed%4 == 3
			p := newPoint(t, e.listen(t), [2]time.Duration{2 * time.Millisecond, 3 * time.Millisecond}, func(int, int, []byte) action {
				if x := r.IntN(25); x < 5 {
					return [...]action{lose, loseAt, repeat, overtake, repeat}[x]
				}
				return pass
			})
			if _, err := e.talk(t, p, false, 5000); err != nil {
				t.Skipf("the ends did not come together: %v", err)
			}
			i, h := p.report(t)
			if i.Malformed+i.Dropped+i.Cut != 0 {
				t.Errorf("%d malformed, %d dropped, %d cut", i.Malformed, i.Dropped, i.Cut)
			}
			if i.Outcome != tlsmeta.Completed || i.SNI != "quic.test" || i.Cipher == 0 {
				t.Errorf("outcome %v, %+v", i.Outcome, i.Info)
			}
			if h.Server >= 0 && h.Server < int64(6*time.Millisecond) || h.Client >= 0 && h.Client < int64(4*time.Millisecond) {
				if !h.Ambiguous {
					t.Errorf("halves are shorter than the path: %+v", h)
				}
			}
		})
	}
}
