package quic

import (
	"crypto/tls"
	mrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"mirrorscope/tlsmeta"
)

// near fails if a duration is below want, and is false if it is above
// want+slack.
func near(t *testing.T, name string, ns int64, want, slack time.Duration) bool {
	t.Helper()
	if ns < int64(want) {
		t.Errorf("%s is %v, the path %v", name, time.Duration(ns), want)
	}
	if ns > int64(want+slack) {
		t.Logf("%s is %v, want %v to %v", name, time.Duration(ns), want, want+slack)
		return false
	}
	return true
}

// calm runs a scene until its durations are near, three times at most: on a busy
// machine an end may well answer late.
func calm(t *testing.T, scene func() bool) {
	t.Helper()
	for range 3 {
		if scene() || t.Failed() {
			return
		}
	}
	t.Error("durations are too long in three runs")
}

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
			calm(t, func() bool {
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
				ok := near(t, "client half", h.Client, 2*toClient, p.slack())
				ok = near(t, "server half", h.Server, 2*toServer, p.slack()) && ok
				ok = near(t, "total", h.Total, (2*toClient+2*toServer)*(1+tc.extra), 2*p.slack()) && ok
				ok = near(t, "total beside what the client says", h.Total+int64(p.slack()), took, 2*p.slack()) && ok
				if !p.bounds(h.Server, client, i.ServerInitial) || !p.bounds(h.Client, server, i.ClientAnswer) {
					t.Errorf("halves are not between Initial packets that were recorded: %+v", h)
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
				return ok
			})
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
		calm(t, func() bool {
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
			return near(t, "total", h.Total, 4*oneWay, 2*p.slack()) && near(t, "client half", h.Client, 2*oneWay, p.slack())
		})
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
			calm(t, func() bool {
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
				ok := near(t, "client half", h.Client, 2*toClient, p.slack())
				// A server that repeats its flight leaves the ACK frame out.
				if !h.Ambiguous {
					ok = ok && near(t, "server half", h.Server, 2*toServer, p.slack())
				} else if tc.dir != server || tc.act != loseAt {
					t.Errorf("%+v", h)
				}
				if (tc.act == repeat) != (i.Duplicates > 0) {
					t.Errorf("%d duplicates", i.Duplicates)
				}
				return ok
			})
		})
	}
}

// TestLiveCut records 100 octets of each datagram: the hellos are not known,
// the times are.
func TestLiveCut(t *testing.T) {
	t.Parallel()
	const toClient, toServer = 10 * time.Millisecond, 20 * time.Millisecond
	calm(t, func() bool {
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
		if !h.Bounded || !h.Ambiguous || i.Outcome != tlsmeta.Completed {
			t.Errorf("%+v, outcome %v", h, i.Outcome)
		}
		return near(t, "server half", h.Server, 2*toServer, p.slack()) && near(t, "client half", h.Client, 2*toClient, p.slack())
	})
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
