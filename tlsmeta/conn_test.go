package tlsmeta

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mirrorscope/pool"
)

// party makes certificates that only the tests of a process share: making an
// RSA key takes long.
var party = sync.OnceValue(func() (p struct {
	ecdsa, rsa, big, client tls.Certificate
	roots                   *x509.CertPool
},
) {
	make1 := func(key any, public any, names []string) tls.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "shop.example"},
			NotBefore: time.Unix(1_600_000_000, 0), NotAfter: time.Unix(1_900_000_000, 0), DNSNames: names,
			BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
		if err != nil {
			panic(err)
		}
		leaf, _ := x509.ParseCertificate(der)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	}
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	names := []string{"shop.example"}
	p.ecdsa = make1(ec, &ec.PublicKey, names)
	p.rsa = make1(rs, &rs.PublicKey, names)
	p.client = make1(ec, &ec.PublicKey, []string{"client.example"})
	for i := range 900 {
		names = append(names, fmt.Sprintf("host-%04d.a-long-name.shop.example", i))
	}
	p.big = make1(ec, &ec.PublicKey, names)
	p.roots = x509.NewCertPool()
	for _, c := range []tls.Certificate{p.ecdsa, p.rsa, p.client, p.big} {
		p.roots.AddCert(c.Leaf)
	}
	return p
})

// live is a handshake of crypto/tls with itself.
type live struct {
	name        string
	server      func(*tls.Config)
	client      func(*tls.Config)
	before      int // handshakes before, for tickets
	mss, window int
	fails       bool
	afterwards  bool // the client only learns of it when it reads
	outcome     Outcome
	alert       *Alert
	check       func(t *testing.T, x *Conn, s tls.ConnectionState)
}

// played is what such a handshake has left.
type played struct {
	events             []event
	state              tls.ConnectionState
	clientEnd          int64 // position behind the client's handshake
	serverEnd          int64 // … behind the server's Finished
	client, server     []byte
	clientErr, servErr error
}

const toClient, toServer = 3_000_017, 11_000_029 // ns one way

var thinks = [2][]time.Duration{
	{700_003, 1_900_007, 2_300_001, 900_001}, // client: its hello, then each flight
	{5_000_011, 1_100_003, 777_001},
}

func (l *live) play(t *testing.T) (p played) {
	party() // outside of the bubble
	tickets := tls.NewLRUClientSessionCache(4)
	for range l.before {
		l.once(t, tickets)
	}
	return l.once(t, tickets)
}

func (l *live) once(t *testing.T, tickets tls.ClientSessionCache) (p played) {
	synctest.Test(t, func(t *testing.T) {
		clock := func() time.Time { return time.Unix(1_700_000_000, 0) }
		var keys bytes.Buffer
		sc := &tls.Config{Certificates: []tls.Certificate{party().ecdsa}, Time: clock, MinVersion: tls.VersionTLS10, ClientCAs: party().roots}
		sc.SetSessionTicketKeys([][32]byte{{1}})
		cc := &tls.Config{
			ServerName: "shop.example", RootCAs: party().roots, Time: clock, MinVersion: tls.VersionTLS10, ClientSessionCache: tickets, KeyLogWriter: &keys,
		}
		if l.server != nil {
			l.server(sc)
		}
		if l.client != nil {
			l.client(cc)
		}
		mss := l.mss
		if mss == 0 {
			mss = 1448
		}
		net := newLink(toClient, toServer, mss, l.window)
		net.ends[0].think, net.ends[1].think = thinks[0], thinks[1]
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer net.ends[1].Close()
			s := tls.Server(net.ends[1], sc)
			defer s.Close()
			if p.servErr = s.Handshake(); p.servErr != nil {
				return
			}
			p.serverEnd = net.ends[1].at()
			if _, err := io.ReadFull(s, make([]byte, 300)); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
			s.Write(make([]byte, 5000))
			io.Copy(io.Discard, s)
		}()
		c := tls.Client(net.ends[0], cc)
		if p.clientErr = c.Handshake(); p.clientErr == nil {
			p.clientEnd = net.ends[0].at()
			c.Write(make([]byte, 300))
			_, p.clientErr = io.ReadFull(c, make([]byte, 5000))
		}
		p.state = c.ConnectionState()
		c.Close()
		net.ends[0].Close()
		<-ended
		time.Sleep(time.Second)
		synctest.Wait()
		p.events = net.recorded()
		for _, v := range p.events {
			if v.dir == 0 {
				p.client = append(p.client, v.data...)
			} else {
				p.server = append(p.server, v.data...)
			}
		}
		if p.state.Version == tls.VersionTLS13 && p.clientEnd != 0 {
			s := secrets(keys.String())
			if p.state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
				t.Skipf("suite %04x is not opened", p.state.CipherSuite)
			}
			end, err := finishedEnd(open(t, p.server, s["SERVER_HANDSHAKE_TRAFFIC_SECRET"], s["SERVER_TRAFFIC_SECRET_0"]))
			if err != nil {
				t.Fatal(err)
			}
			p.serverEnd = baseServer + end
			end, err = finishedEnd(open(t, p.client, s["CLIENT_HANDSHAKE_TRAFFIC_SECRET"], s["CLIENT_TRAFFIC_SECRET_0"]))
			if err != nil {
				t.Fatal(err)
			}
			if p.clientEnd != baseClient+end {
				t.Fatalf("the client's Finished ends at %d, and its handshake at %d", end, p.clientEnd-baseClient)
			}
		}
	})
	return p
}

// observed is what Conn makes of packets.
func observed(b *Room, events []event, mss int64) *Conn {
	x := new(Conn)
	x.Init(0)
	feedEvents(x, b, events, mss)
	x.Release(b)
	return x
}

// feedEvents gives packets to x as a session does.
func feedEvents(x *Conn, b *Room, events []event, mss int64) {
	una := [2]int64{baseClient, baseServer}
	for i := range events {
		v := &events[i]
		una[1-v.dir] = max(una[1-v.dir], v.acked)
		if len(v.data) > 0 {
			x.Feed(b, v.dir, &Segment{Pos: v.pos, Data: v.data, Time: v.at, Acked: v.acked, Una: una[v.dir], MSS: mss}, 2*toClient)
		}
		if v.fin || v.rst {
			x.Close(v.dir, v.at)
		}
	}
}

// timeOf is when the octet at a position was recorded first.
func timeOf(events []event, dir int, pos int64) int64 {
	for _, v := range events {
		if v.dir == dir && v.pos <= pos && pos < v.pos+int64(len(v.data)) {
			return v.at
		}
	}
	return 0
}

func only(version uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }
}

func both(fs ...func(*tls.Config)) func(*tls.Config) {
	return func(c *tls.Config) {
		for _, f := range fs {
			f(c)
		}
	}
}

func suite(id uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.CipherSuites = []uint16{id} }
}

func withRSA(c *tls.Config) { c.Certificates = []tls.Certificate{party().rsa} }
func withBig(c *tls.Config) { c.Certificates = []tls.Certificate{party().big} }
func asksClient(c *tls.Config) {
	c.ClientAuth = tls.RequireAndVerifyClientCert
}
func showsClient(c *tls.Config) { c.Certificates = []tls.Certificate{party().client} }
func mayShow(c *tls.Config)     { c.ClientAuth = tls.RequestClientCert }
func noTickets(c *tls.Config)   { c.SessionTicketsDisabled = true }
func curves(ids ...tls.CurveID) func(*tls.Config) {
	return func(c *tls.Config) { c.CurvePreferences = ids }
}
func protocols(names ...string) func(*tls.Config) {
	return func(c *tls.Config) { c.NextProtos = names }
}
func trustsNobody(c *tls.Config) { c.RootCAs = x509.NewCertPool() }
func rejects(c *tls.Config)      { c.ClientCAs = x509.NewCertPool() }

var lives = []live{
	{name: "1.0", server: only(tls.VersionTLS10)},
	{name: "1.1", server: only(tls.VersionTLS11)},
	{name: "1.2", server: only(tls.VersionTLS12)},
	{name: "1.0 RSA", server: both(only(tls.VersionTLS10), withRSA, suite(tls.TLS_RSA_WITH_AES_128_CBC_SHA)), client: suite(tls.TLS_RSA_WITH_AES_128_CBC_SHA)},
	{name: "1.2 RSA", server: both(only(tls.VersionTLS12), withRSA, suite(tls.TLS_RSA_WITH_AES_256_CBC_SHA)), client: suite(tls.TLS_RSA_WITH_AES_256_CBC_SHA)},
	{name: "1.2 ECDHE CBC", server: both(only(tls.VersionTLS12), suite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA)), client: suite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA)},
	{name: "1.2 ChaCha", server: both(only(tls.VersionTLS12), suite(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)), client: suite(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)},
	{name: "1.2 without tickets", server: both(only(tls.VersionTLS12), noTickets)},
	{name: "1.2 client of 1.2", client: only(tls.VersionTLS12)},
	{name: "1.2 resumed", server: only(tls.VersionTLS12), before: 1, check: func(t *testing.T, x *Conn, s tls.ConnectionState) {
		if !s.DidResume {
			t.Error("not resumed at all")
		}
	}},
	{name: "1.2 ticket refused", server: both(only(tls.VersionTLS12), func() func(*tls.Config) {
		n := byte(0)
		return func(c *tls.Config) { n++; c.SetSessionTicketKeys([][32]byte{{n}}) }
	}()), before: 1, check: func(t *testing.T, x *Conn, s tls.ConnectionState) {
		if s.DidResume || !x.Info.Refused {
			t.Errorf("resumed %v, refused %v", s.DidResume, x.Info.Refused)
		}
	}},
	{name: "1.2 client certificate", server: both(only(tls.VersionTLS12), asksClient), client: showsClient, check: clientCertificate(true)},
	{name: "1.2 client certificate asked for, not shown", server: both(only(tls.VersionTLS12), mayShow), check: clientCertificate(false)},
	{name: "1.2 ALPN", server: both(only(tls.VersionTLS12), protocols("h2", "http/1.1")), client: protocols("http/1.1")},
	{name: "1.2 big chain", server: both(only(tls.VersionTLS12), withBig)},
	{name: "1.2 big chain, window", server: both(only(tls.VersionTLS12), withBig), window: 10},
	{name: "1.2 client certificate refused", server: both(only(tls.VersionTLS12), asksClient, rejects), client: showsClient, fails: true, outcome: Failed, alert: &Alert{Level: 2, Description: 48}},
	{name: "1.2 client certificate missing", server: both(only(tls.VersionTLS12), asksClient), fails: true, outcome: Failed, alert: &Alert{Level: 2, Description: 40}},
	{name: "1.2 certificate refused", server: only(tls.VersionTLS12), client: trustsNobody, fails: true, outcome: Failed, alert: &Alert{Client: true, Level: 2, Description: 42}},
	{name: "no version in common", server: only(tls.VersionTLS13), client: only(tls.VersionTLS12), fails: true, outcome: Failed, alert: &Alert{Level: 2, Description: 70}},
	{name: "no cipher in common", server: both(only(tls.VersionTLS12), suite(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA)), client: suite(tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA), fails: true, outcome: Failed, alert: &Alert{Level: 2, Description: 40}},
	{name: "no protocol in common", server: protocols("h2"), client: protocols("irc"), fails: true, outcome: Failed, alert: &Alert{Level: 2, Description: 120}},

	{name: "1.3"},
	{name: "1.3 without tickets", server: noTickets},
	{name: "1.3 X25519", client: curves(tls.X25519)},
	{name: "1.3 X25519MLKEM768", client: curves(tls.X25519MLKEM768), check: func(t *testing.T, x *Conn, s tls.ConnectionState) {
		if x.Info.Group != 4588 {
			t.Errorf("group %d", x.Info.Group)
		}
	}},
	{name: "1.3 HelloRetryRequest", server: curves(tls.CurveP384), check: helloRetried},
	{name: "1.3 HelloRetryRequest resumed", server: curves(tls.CurveP384), before: 1, check: helloRetried},
	{name: "1.3 HelloRetryRequest, client certificate", server: both(curves(tls.CurveP384), asksClient), client: showsClient, check: func(t *testing.T, x *Conn, s tls.ConnectionState) {
		helloRetried(t, x, s)
		clientCertificate(true)(t, x, s)
	}},
	{name: "1.3 resumed", before: 1},
	{name: "1.3 resumed twice", before: 2},
	{name: "1.3 client certificate", server: asksClient, client: showsClient, check: clientCertificate(true)},
	{name: "1.3 client certificate asked for, not shown", server: mayShow, check: clientCertificate(false)},
	{name: "1.3 client certificate, resumed", server: asksClient, client: showsClient, before: 1},
	{name: "1.3 ALPN", server: protocols("h2", "http/1.1"), client: protocols("h2")},
	{name: "1.3 RSA", server: withRSA},
	{name: "1.3 big chain", server: withBig},
	{name: "1.3 big chain, window", server: withBig, window: 10},
	{name: "1.3 big client chain", server: asksClient, client: withBig, check: clientCertificate(true)},
	{name: "1.3 big client chain, window", server: asksClient, client: withBig, window: 10, check: clientCertificate(true)},
	{name: "1.3 certificate refused", client: trustsNobody, fails: true, outcome: FailedEncrypted},
	{name: "1.3 client certificate refused", server: both(asksClient, rejects), client: showsClient, fails: true, afterwards: true, outcome: FailedAfterFinished},
	{name: "1.3 client certificate missing", server: asksClient, fails: true, afterwards: true, outcome: FailedAfterFinished},
	{name: "1.3 one octet at a time", mss: 1},
	{name: "1.2 one octet at a time", server: only(tls.VersionTLS12), mss: 1},
	{name: "1.3 small segments", mss: 97},
	{name: "1.3 small segments, window", mss: 97, window: 10, server: asksClient, client: showsClient},
	{name: "1.2 small segments, window", mss: 97, window: 10, server: both(only(tls.VersionTLS12), asksClient), client: showsClient},
}

func clientCertificate(shown bool) func(*testing.T, *Conn, tls.ConnectionState) {
	return func(t *testing.T, x *Conn, _ tls.ConnectionState) {
		if !x.Info.ClientCertificateKnown || x.Info.ClientCertificate != shown {
			t.Errorf("client certificate %v, known %v", x.Info.ClientCertificate, x.Info.ClientCertificateKnown)
		}
		if x.Info.Version < 0x0304 && shown && (len(x.Info.ClientCertificates) != 1 || x.Info.ClientCertificates[0].SAN[0] != "client.example") {
			t.Errorf("client certificates %+v", x.Info.ClientCertificates)
		}
	}
}

func helloRetried(t *testing.T, x *Conn, s tls.ConnectionState) {
	if !x.Info.HelloRetry || x.Info.Group != uint16(tls.CurveP384) {
		t.Errorf("retry %v, group %d", x.Info.HelloRetry, x.Info.Group)
	}
}

// TestConnLive compares what is observed of handshakes of crypto/tls with what
// both ends know of them, and with the time that they were told to take.
func TestConnLive(t *testing.T) {
	for i := range lives {
		l := &lives[i]
		t.Run(l.name, func(t *testing.T) {
			p := l.play(t)
			if (p.clientErr != nil || p.servErr != nil) != l.fails {
				t.Fatalf("client %v, server %v", p.clientErr, p.servErr)
			}
			b := Room{Budget: &pool.Budget{Max: 1 << 20}}
			mss := int64(l.mss)
			if mss == 0 {
				mss = 1448
			}
			x := observed(&b, p.events, mss)
			if b.Used() != 0 {
				t.Errorf("%d octets stay taken", b.Used())
			}
			p.compare(t, l, x)
			if l.check != nil && !t.Failed() {
				l.check(t, x, p.state)
			}
		})
	}
}

// compare holds what was observed against what is known.
func (p *played) compare(t *testing.T, l *live, x *Conn) {
	i := x.Info
	outcome := l.outcome
	if outcome == OutcomeNone {
		outcome = Completed
	}
	if i.Outcome != outcome {
		t.Errorf("outcome %v, want %v", i.Outcome, outcome)
	}
	if (i.Alert == nil) != (l.alert == nil) || i.Alert != nil && *i.Alert != *l.alert {
		t.Errorf("alert %+v, want %+v", i.Alert, l.alert)
	}
	if i.SNI != "shop.example" || i.JA4 == "" || x.Missing {
		t.Errorf("SNI %q, JA4 %q, missing %v", i.SNI, i.JA4, x.Missing)
	}
	if l.fails && !l.afterwards {
		if x.Timing.End != 0 {
			t.Errorf("ended at %d", x.Timing.End)
		}
		return
	}
	if !l.fails {
		s := &p.state
		if i.Version != s.Version || i.Cipher != s.CipherSuite || i.Resumed != s.DidResume {
			t.Errorf("%04x %04x resumed %v, want %04x %04x %v", i.Version, i.Cipher, i.Resumed, s.Version, s.CipherSuite, s.DidResume)
		}
		if s.Version < tls.VersionTLS13 && i.ALPN != s.NegotiatedProtocol {
			t.Errorf("ALPN %q, want %q", i.ALPN, s.NegotiatedProtocol)
		}
		if group := uint16(s.CurveID); i.Group != group && !(s.DidResume && s.Version < tls.VersionTLS13) {
			t.Errorf("group %d, want %d", i.Group, group)
		}
		if s.Version < tls.VersionTLS13 && !s.DidResume && len(i.Certificates) != len(s.PeerCertificates) {
			t.Errorf("%d certificates, want %d", len(i.Certificates), len(s.PeerCertificates))
		}
	}
	wantData := [2]int64{p.clientEnd, p.serverEnd}
	if x.Data != wantData {
		t.Errorf("data from %d and %d, want %d and %d", x.Data[0]-baseClient, x.Data[1]-baseServer, wantData[0]-baseClient, wantData[1]-baseServer)
	}
	byServer := i.Version < tls.VersionTLS13 && !i.Resumed
	last := 0
	if byServer {
		last = 1
	}
	y := &x.Timing
	if want := timeOf(p.events, last, wantData[last]-1); y.End != want || y.EndByServer != byServer {
		t.Errorf("ends at %d by server %v, want %d %v", y.End-epoch, y.EndByServer, want-epoch, byServer)
	}
	if want := timeOf(p.events, 0, baseClient); y.Start != want {
		t.Errorf("starts at %d, want %d", y.Start-epoch, want-epoch)
	}
	if y.Ambiguous || y.FalseStart || y.StartInferred || y.EndInferred {
		t.Errorf("%+v", y)
	}
	// Think times of the flights that belong to the handshake.
	flights := [2]int{1, 1}
	if i.HelloRetry {
		flights = [2]int{2, 2}
	}
	if byServer {
		flights[1]++
	}
	var want [2]int64
	for k := range flights[0] {
		want[0] += thinks[0][k+1].Nanoseconds()
	}
	for k := range flights[1] {
		want[1] += thinks[1][k].Nanoseconds()
	}
	network, atClient, atServer := y.Shares(2*toClient, 2*toServer)
	if atClient != want[0] || atServer != want[1] || network+atClient+atServer != y.End-y.Start {
		t.Errorf("client %d, server %d of %d, want %d and %d: %+v", atClient, atServer, y.End-y.Start, want[0], want[1], y.legs[:y.numLegs])
	}
}
