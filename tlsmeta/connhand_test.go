package tlsmeta

import (
	"encoding/binary"
	"testing"

	"mirrorscope/pool"
)

// Handshakes written by hand, for what crypto/tls does not do.

const ms = int64(1e6)

// The point of these scenes lies 3 ms from the client and 10 ms from the server.
const (
	handClient = 6 * ms
	handServer = 20 * ms
)

// script writes down packets; each acknowledges all that the other side has
// sent before, unless told otherwise.
type script struct {
	events []event
	sent   [2]int64
	acked  [2]int64 // what a direction acknowledges; 0: all
}

func (s *script) say(dir int, at int64, records ...[]byte) *script {
	var data []byte
	for _, r := range records {
		data = append(data, r...)
	}
	acked := base(1-dir) + s.sent[1-dir]
	if s.acked[dir] != 0 {
		acked = s.acked[dir]
	}
	s.events = append(s.events, event{at: epoch + at, dir: dir, pos: base(dir) + s.sent[dir], data: data, acked: acked})
	s.sent[dir] += int64(len(data))
	return s
}

func (s *script) client(at int64, records ...[]byte) *script { return s.say(0, at, records...) }
func (s *script) server(at int64, records ...[]byte) *script { return s.say(1, at, records...) }

// hold lets a direction acknowledge no more than so many octets from now on.
func (s *script) hold(dir int, octets int64) *script {
	s.acked[dir] = base(1-dir) + octets
	return s
}

func (s *script) release(dir int) *script {
	s.acked[dir] = 0
	return s
}

func (s *script) fin(dir int, at int64) *script {
	s.events = append(s.events, event{at: epoch + at, dir: dir, pos: base(dir) + s.sent[dir], acked: base(1-dir) + s.sent[1-dir], fin: true})
	return s
}

// rec makes a record of n octets that look encrypted.
func rec(typ byte, n int) []byte {
	b := binary.BigEndian.AppendUint16([]byte{typ, 3, 3}, uint16(n))
	for i := range n {
		b = append(b, byte(i*7+n))
	}
	return b
}

func hand(messages ...[]byte) []byte {
	var body []byte
	for _, m := range messages {
		body = append(body, m...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{typeHandshake, 3, 3}, uint16(len(body))), body...)
}

func msg(typ byte, body ...byte) []byte {
	return append([]byte{typ, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func ext(typ uint16, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, typ), uint16(len(body))), body...)
}

// hello makes a ClientHello or ServerHello; ciphers are those of the client.
func hello(typ byte, random byte, session []byte, ciphers []byte, exts ...[]byte) []byte {
	b := []byte{3, 3}
	for i := range 32 {
		b = append(b, random+byte(i))
	}
	if random == retry {
		b = append(b[:2], unhexed("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")...)
	}
	b = append(append(b, byte(len(session))), session...)
	if typ == msgClientHello {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(ciphers))), ciphers...)
		b = append(b, 1, 0)
	} else {
		b = append(append(b, ciphers...), 0)
	}
	var all []byte
	for _, e := range exts {
		all = append(all, e...)
	}
	if len(exts) > 0 {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(all))), all...)
	}
	return msg(typ, b...)
}

const retry = 0xcf

func unhexed(s string) []byte {
	b := make([]byte, len(s)/2)
	for i := range b {
		for k := range 2 {
			c := s[2*i+k]
			if c >= 'a' {
				c -= 'a' - 10 - '0'
			}
			b[i] = b[i]<<4 | (c - '0')
		}
	}
	return b
}

var (
	versions13 = ext(43, 2, 3, 4)
	share      = ext(51, append([]byte{0, 36, 0, 29, 0, 32}, make([]byte, 32)...)...)
	earlyData  = ext(42)
	psk        = ext(41, append([]byte{0, 10, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, 0, 33, 32}, make([]byte, 32)...)...)

	chosen13   = ext(43, 3, 4)
	keyShare13 = ext(51, append([]byte{0, 29, 0, 32}, make([]byte, 32)...)...)
	pskChosen  = ext(41, 0, 0)

	suites     = []byte{0x13, 1, 0x13, 2, 0x13, 5, 0xc0, 0x2f}
	ch13       = hand(hello(msgClientHello, 1, nil, suites, versions13, share))
	chPSK      = hand(hello(msgClientHello, 1, nil, suites, versions13, share, psk))
	chEarly    = hand(hello(msgClientHello, 1, nil, suites, versions13, share, earlyData, psk))
	ch12       = hand(hello(msgClientHello, 1, nil, []byte{0xc0, 0x2f}))
	ch12again  = hand(hello(msgClientHello, 1, make([]byte, 32), []byte{0xc0, 0x2f}))
	sh13       = hand(hello(msgServerHello, 9, nil, []byte{0x13, 1}, chosen13, keyShare13))
	sh13long   = hand(hello(msgServerHello, 9, nil, []byte{0x13, 2}, chosen13, keyShare13))
	sh13short  = hand(hello(msgServerHello, 9, nil, []byte{0x13, 5}, chosen13, keyShare13))
	shPSK      = hand(hello(msgServerHello, 9, nil, []byte{0x13, 1}, chosen13, keyShare13, pskChosen))
	hrr        = hand(hello(msgServerHello, retry, nil, []byte{0x13, 1}, chosen13, ext(51, 0, 24)))
	sh12       = hello(msgServerHello, 9, nil, []byte{0xc0, 0x2f})
	sh12echoed = hello(msgServerHello, 9, make([]byte, 32), []byte{0xc0, 0x2f})
	shd        = msg(msgServerHelloDone)
	cke        = msg(msgClientKeyExchange, 1, 2, 3)
	ticket12   = msg(4, make([]byte, 180)...)
	ccs        = []byte{typeCCS, 3, 3, 0, 1, 1}
	fin12      = rec(typeHandshake, 40)
)

func alertRec(level, description byte) []byte {
	return []byte{typeAlert, 3, 3, 0, 2, level, description}
}

// enc is an encrypted record of TLS 1.3 with an inner message of n octets.
func enc(n int) []byte { return rec(typeData, n+1+16) }

var (
	ee     = enc(10)
	cert13 = enc(800)
	cv13   = enc(80)
	fin13  = enc(36)
	eoed   = enc(4)
	nst13  = enc(200)
	data   = enc(500)
)

// flight13 is the server's, all in records of their own.
func flight13(hello []byte) [][]byte { return [][]byte{hello, ccs, ee, cert13, cv13, fin13} }

func size(records ...[]byte) (n int64) {
	for _, r := range records {
		n += int64(len(r))
	}
	return n
}

// handWant is what is expected. Times are ns from the script's beginning,
// positions octets of the stream; -1 is not known.
type handWant struct {
	outcome    Outcome
	start, end int64
	ambiguous  bool
	data       [2]int64
	client     int64 // shares
	server     int64
	early      EarlyData
	earlyLo    int64
	earlyHi    int64
	resumed    bool
	missing    bool
	falseStart bool
	alert      *Alert
}

const no = -1

func (s *script) run(t *testing.T, x *Conn) {
	t.Helper()
	b := Room{Budget: &pool.Budget{Max: 1 << 20}}
	x.Init(0)
	una := [2]int64{baseClient, baseServer}
	for i := range s.events {
		v := &s.events[i]
		una[1-v.dir] = max(una[1-v.dir], v.acked)
		if len(v.data) > 0 {
			x.Feed(&b, v.dir, &Segment{Pos: v.pos, Data: v.data, Time: v.at, Acked: v.acked, Una: una[v.dir], MSS: 1448}, handClient)
		}
		if v.fin || v.rst {
			x.Close(v.dir, v.at)
		}
	}
	x.End(true, epoch+1e12)
	x.Release(&b)
	if b.Used() != 0 {
		t.Errorf("%d octets stay taken", b.Used())
	}
}

func (w *handWant) compare(t *testing.T, x *Conn) {
	t.Helper()
	if x.Info.Outcome != w.outcome || x.Info.EarlyData != w.early || x.Info.Resumed != w.resumed || x.Missing != w.missing {
		t.Errorf("%v, early data %v, resumed %v, missing %v; want %v, %v, %v, %v", x.Info.Outcome, x.Info.EarlyData, x.Info.Resumed, x.Missing, w.outcome, w.early, w.resumed, w.missing)
	}
	if (x.Info.Alert == nil) != (w.alert == nil) || w.alert != nil && *x.Info.Alert != *w.alert {
		t.Errorf("alert %+v, want %+v", x.Info.Alert, w.alert)
	}
	off := func(v, from int64) int64 {
		if v == 0 {
			return no
		}
		return v - from
	}
	y := &x.Timing
	if got, want := [2]int64{off(y.Start, epoch), off(y.End, epoch)}, [2]int64{w.start, w.end}; got != want {
		t.Errorf("from %d to %d, want %d to %d", got[0], got[1], want[0], want[1])
	}
	if y.Ambiguous != w.ambiguous || y.FalseStart != w.falseStart {
		t.Errorf("ambiguous %v, false start %v; want %v, %v", y.Ambiguous, y.FalseStart, w.ambiguous, w.falseStart)
	}
	if got := [2]int64{off(x.Data[0], baseClient), off(x.Data[1], baseServer)}; got != w.data {
		t.Errorf("data from %v, want %v", got, w.data)
	}
	if w.earlyHi != 0 {
		if lo, hi := off(x.Early().From, baseClient), off(x.Early().End, baseClient); lo != w.earlyLo || hi != w.earlyHi {
			t.Errorf("early data in [%d, %d), want [%d, %d)", lo, hi, w.earlyLo, w.earlyHi)
		}
	}
	if w.end > 0 {
		network, atClient, atServer := y.Shares(handClient, handServer)
		if atClient != w.client || atServer != w.server || network+atClient+atServer != y.End-y.Start {
			t.Errorf("client %d, server %d; want %d, %d: %+v", atClient, atServer, w.client, w.server, y.legs[:y.numLegs])
		}
	}
}

func TestConnByHand(t *testing.T) {
	n13 := size(flight13(sh13)...)
	nPSK := size(shPSK, ee, fin13)
	tests := []struct {
		name string
		s    *script
		want handWant
	}{
		{
			"1.3 without ChangeCipherSpec",
			new(script).client(0, ch13).server(25*ms, sh13, ee, cert13, cv13, fin13).client(34*ms, fin13, data),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, fin13), size(sh13, ee, cert13, cv13, fin13)}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, the ChangeCipherSpec in a packet of its own",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs).client(36*ms, fin13),
			handWant{outcome: Completed, end: 36 * ms, data: [2]int64{size(ch13, ccs, fin13), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, the server's flight in parts",
			new(script).client(0, ch13).server(25*ms, sh13).server(27*ms, ee, cert13).server(40*ms, cv13, fin13).client(49*ms, fin13),
			handWant{outcome: Completed, end: 49 * ms, data: [2]int64{size(ch13, fin13), size(sh13, ee, cert13, cv13, fin13)}, client: 3 * ms, server: 20 * ms},
		},
		{
			"1.3, SHA-384",
			new(script).client(0, ch13).server(25*ms, sh13long, ee, cert13, cv13, enc(52)).client(34*ms, enc(52), fin13),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, enc(52)), size(sh13, ee, cert13, cv13, enc(52))}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, CCM_8",
			new(script).client(0, ch13).server(25*ms, sh13short, rec(23, 19), rec(23, 809), rec(23, 89), rec(23, 45)).client(34*ms, rec(23, 45), fin13),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, rec(23, 45)), size(sh13short, rec(23, 19), rec(23, 809), rec(23, 89), rec(23, 45))}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, the server's flight in one record",
			new(script).client(0, ch13).server(25*ms, sh13, ccs, enc(930)).client(34*ms, ccs, fin13, data).server(60*ms, data),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, ccs, fin13), size(sh13, ccs, enc(930))}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, all of the server padded, and a ticket behind",
			new(script).client(0, ch13).server(25*ms, sh13, enc(128), enc(1024), enc(256), enc(128)).client(34*ms, fin13).server(54*ms, nst13),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, fin13), size(sh13, enc(128), enc(1024), enc(256), enc(128))}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, the client's Finished padded",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, enc(64)).client(40*ms, data).server(70*ms, data),
			handWant{outcome: Completed, ambiguous: true, end: 34 * ms, data: [2]int64{size(ch13, ccs, enc(64)), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, the client's Finished padded, then silence",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, enc(64)),
			handWant{outcome: Completed, ambiguous: true, end: 34 * ms, data: [2]int64{size(ch13, ccs, enc(64)), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, certificate and Finished of the client in one record",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, enc(800+80+36)).server(60*ms, nst13),
			handWant{outcome: Completed, ambiguous: true, end: 34 * ms, data: [2]int64{size(ch13, ccs, enc(916)), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, tickets and data behind the server's Finished",
			new(script).client(0, ch13).server(25*ms, append(flight13(sh13), nst13, nst13, data)...).client(34*ms, ccs, fin13, data),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, ccs, fin13), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, data behind the server's Finished, while the client is silent",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).server(29*ms, data).server(33*ms, data).hold(0, n13+size(data)).client(34*ms, ccs, fin13),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, ccs, fin13), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, a ticket is not acknowledged yet",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).server(33*ms, nst13).hold(0, n13).client(34*ms, ccs, fin13),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, ccs, fin13), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"0-RTT accepted",
			new(script).client(0, chEarly, ccs, data).client(1*ms, data).server(25*ms, shPSK, ee, fin13).client(34*ms, eoed, fin13, data),
			handWant{outcome: Completed, resumed: true, end: 34 * ms, early: EarlyAccepted, earlyLo: size(chEarly, ccs), earlyHi: size(chEarly, ccs, data, data), data: [2]int64{size(chEarly, ccs, data, data, eoed, fin13), nPSK}, client: 3 * ms, server: 5 * ms},
		},
		{
			"0-RTT accepted, and goes on while the server answers",
			new(script).client(0, chEarly, data).server(25*ms, shPSK, ee, fin13).hold(0, 0).client(27*ms, data).release(0).client(31*ms+ms/2, data).client(34*ms, eoed, fin13),
			handWant{outcome: Completed, resumed: true, end: 34 * ms, early: EarlyAccepted, earlyLo: size(chEarly), earlyHi: size(chEarly, data, data, data), data: [2]int64{size(chEarly, data, data, data, eoed, fin13), nPSK}, client: 3 * ms, server: 5 * ms},
		},
		{
			"0-RTT accepted, the server answers it at once",
			new(script).client(0, chEarly, data).server(25*ms, shPSK, ee, fin13, data).client(34*ms, eoed, fin13),
			handWant{outcome: Completed, resumed: true, end: 34 * ms, early: EarlyAccepted, earlyLo: size(chEarly), earlyHi: size(chEarly, data), data: [2]int64{size(chEarly, data, eoed, fin13), nPSK}, client: 3 * ms, server: 5 * ms},
		},
		{
			"0-RTT not taken, the session is",
			new(script).client(0, chEarly, data).server(25*ms, shPSK, ee, fin13).client(34*ms, ccs, fin13, data),
			handWant{outcome: Completed, resumed: true, end: 34 * ms, early: EarlyRejected, data: [2]int64{size(chEarly, data, ccs, fin13), nPSK}, client: 3 * ms, server: 5 * ms},
		},
		{
			"0-RTT refused with the session",
			new(script).client(0, chEarly, data).server(25*ms, sh13, ee, cert13, cv13, fin13).hold(0, 0).client(26*ms, data).release(0).client(34*ms, ccs, fin13),
			handWant{outcome: Completed, end: 34 * ms, early: EarlyRejected, data: [2]int64{size(chEarly, data, data, ccs, fin13), size(sh13, ee, cert13, cv13, fin13)}, client: 3 * ms, server: 5 * ms},
		},
		{
			"0-RTT and HelloRetryRequest",
			new(script).client(0, chEarly, ccs, data).server(25*ms, hrr, ccs).client(34*ms, chPSK).server(55*ms, shPSK, ee, fin13).client(64*ms, fin13),
			handWant{outcome: Completed, resumed: true, end: 64 * ms, early: EarlyRejected, data: [2]int64{size(chEarly, ccs, data, chPSK, fin13), size(hrr, ccs, shPSK, ee, fin13)}, client: 6 * ms, server: 6 * ms},
		},
		{
			"1.3, the client refuses the certificate before it has the Finished",
			new(script).client(0, ch13).server(25*ms, sh13, ee, cert13, cv13).server(26*ms, fin13).hold(0, size(sh13, ee, cert13, cv13)).client(34*ms, ccs, enc(2)).fin(0, 34*ms),
			handWant{outcome: FailedEncrypted, end: no, data: [2]int64{no, size(sh13, ee, cert13, cv13, fin13)}},
		},
		{
			"1.3, the client refuses the certificate in the clear",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, alertRec(2, 48)).fin(0, 34*ms),
			handWant{outcome: Failed, end: no, data: [2]int64{no, n13}, alert: &Alert{Client: true, Level: 2, Description: 48}},
		},
		{
			"1.3, the server gives up behind its hello",
			new(script).client(0, ch13).server(25*ms, sh13, enc(2)).fin(1, 25*ms),
			handWant{outcome: FailedEncrypted, end: no, data: [2]int64{no, no}},
		},
		{
			"1.3, the server refuses the client's Finished",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, fin13).server(55*ms, enc(2)).fin(1, 55*ms),
			handWant{outcome: FailedAfterFinished, end: 34 * ms, data: [2]int64{size(ch13, ccs, fin13), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.3, good-byes of both",
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, fin13, enc(2)).fin(0, 34*ms).server(55*ms, enc(2)).fin(1, 55*ms),
			handWant{outcome: Completed, end: 34 * ms, data: [2]int64{size(ch13, ccs, fin13), n13}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.2 full",
			new(script).client(0, ch12).server(25*ms, hand(sh12), hand(shd)).client(34*ms, hand(cke), ccs, fin12).server(58*ms, ccs, fin12).client(70*ms, data),
			handWant{outcome: Completed, end: 58 * ms, data: [2]int64{size(ch12, hand(cke), ccs, fin12), size(hand(sh12), hand(shd), ccs, fin12)}, client: 3 * ms, server: 9 * ms},
		},
		{
			"1.2 full, one record for all of the server's",
			new(script).client(0, ch12).server(25*ms, hand(sh12, shd)).client(34*ms, hand(cke), ccs, fin12).server(58*ms, hand(ticket12), ccs, fin12).client(70*ms, data),
			handWant{outcome: Completed, end: 58 * ms, data: [2]int64{size(ch12, hand(cke), ccs, fin12), size(hand(sh12, shd), hand(ticket12), ccs, fin12)}, client: 3 * ms, server: 9 * ms},
		},
		{
			"1.2 false start",
			new(script).client(0, ch12).server(25*ms, hand(sh12, shd)).client(34*ms, hand(cke), ccs, fin12, data).client(36*ms, data).server(58*ms, ccs, fin12),
			handWant{outcome: Completed, end: 58 * ms, falseStart: true, data: [2]int64{size(ch12, hand(cke), ccs, fin12), size(hand(sh12, shd), ccs, fin12)}, client: 3 * ms, server: 9 * ms},
		},
		{
			"1.2 abbreviated, by session",
			new(script).client(0, ch12again).server(25*ms, hand(sh12echoed), ccs, fin12).client(34*ms, ccs, fin12, data),
			handWant{outcome: Completed, resumed: true, end: 34 * ms, data: [2]int64{size(ch12again, ccs, fin12), size(hand(sh12echoed), ccs, fin12)}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.2 abbreviated, with a ticket before",
			new(script).client(0, ch12again).server(25*ms, hand(sh12echoed), hand(ticket12), ccs, fin12).client(34*ms, ccs, fin12, data),
			handWant{outcome: Completed, resumed: true, end: 34 * ms, data: [2]int64{size(ch12again, ccs, fin12), size(hand(sh12echoed), hand(ticket12), ccs, fin12)}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.2 abbreviated, the ChangeCipherSpec in a packet of its own",
			new(script).client(0, ch12again).server(25*ms, hand(sh12echoed), ccs, fin12).client(34*ms, ccs).client(36*ms, fin12, data),
			handWant{outcome: Completed, resumed: true, end: 36 * ms, data: [2]int64{size(ch12again, ccs, fin12), size(hand(sh12echoed), ccs, fin12)}, client: 3 * ms, server: 5 * ms},
		},
		{
			"1.2, the client refuses in a warning, then reset",
			new(script).client(0, ch12).server(25*ms, hand(sh12, shd)).client(34*ms, alertRec(1, 42)).fin(0, 34*ms),
			handWant{outcome: Abandoned, end: no, data: [2]int64{no, no}, alert: &Alert{Client: true, Level: 1, Description: 42}},
		},
		{
			"1.2, refused encrypted",
			new(script).client(0, ch12).server(25*ms, hand(sh12, shd)).client(34*ms, hand(cke), ccs, fin12).client(35*ms, rec(typeAlert, 26)).fin(0, 36*ms),
			handWant{outcome: FailedEncrypted, end: no, data: [2]int64{size(ch12, hand(cke), ccs, fin12), no}},
		},
		{
			"the server answers with something else",
			new(script).client(0, ch13).server(25*ms, []byte("HTTP/1.1 400 Bad Request\r\n\r\n")).fin(1, 25*ms),
			handWant{outcome: NotTLS, end: no, data: [2]int64{no, no}},
		},
		{
			"the server answers with a little of something else",
			new(script).client(0, ch13).server(25*ms, []byte("-ERR\n")).fin(1, 25*ms),
			handWant{outcome: NotTLS, end: no, data: [2]int64{no, no}},
		},
		{"the server closes", new(script).client(0, ch13).fin(1, 25*ms), handWant{outcome: Abandoned, end: no, data: [2]int64{no, no}}},
		{"the client closes", new(script).client(0, ch13).fin(0, 25*ms), handWant{outcome: Abandoned, end: no, data: [2]int64{no, no}}},
		{
			"the server refuses with an alert",
			new(script).client(0, ch13).server(25*ms, alertRec(2, 40)).fin(1, 25*ms),
			handWant{outcome: Failed, end: no, data: [2]int64{no, no}, alert: &Alert{Level: 2, Description: 40}},
		},
		{"silence", new(script).client(0, ch13), handWant{outcome: Abandoned, end: no, data: [2]int64{no, no}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, way := range []struct {
				name string
				cut  func(int) int
			}{{"whole", func(n int) int { return n }}, {"in octets", func(int) int { return 1 }}} {
				x := new(Conn)
				s := script{events: cut(tt.s.events, way.cut)}
				s.run(t, x)
				tt.want.compare(t, x)
				if t.Failed() {
					t.Fatal(way.name)
				}
			}
		})
	}
}

// FIN or RST after each packet of a handshake: there is an outcome, and it is
// that of what had been recorded.
func TestConnClosedAnywhere(t *testing.T) {
	whole := new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, fin13, data).server(60*ms, data)
	for n := 1; n <= len(whole.events); n++ {
		for dir := range 2 {
			s := script{events: append([]event(nil), whole.events[:n]...)}
			last := s.events[n-1].at
			s.events = append(s.events, event{at: last + 1, dir: dir, fin: true})
			x := new(Conn)
			s.run(t, x)
			want := Abandoned
			if n >= 3 {
				want = Completed
			}
			if x.Info.Outcome != want {
				t.Errorf("closed by %d after %d: %v, want %v", dir, n, x.Info.Outcome, want)
			}
		}
	}
}
