package edge

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

// secured is a connection with a TLS 1.3 handshake of 10 ms and two requests.
func secured(clientPort uint16) flow.Record {
	r := record(clientPort, second, 2*second)
	r.HasTCP = true
	r.TCP.Response = tcp.Response{State: tcp.Measured, Turns: 2, Measured: 1}
	r.TCP.Sides[flow.Server].Recorded, r.TCP.Sides[flow.Server].Missed = 5700, 30
	r.TLS = &session.TLS{
		Info: tlsmeta.Info{
			Version: 0x0304, SNI: "shop.example", Cipher: 0x1301, Group: 29, JA4: "t13d1312h2_f57a46bbacb6_ab7e3b40a677", Outcome: tlsmeta.Completed,
			Certificates: []tlsmeta.Certificate{{Subject: "CN=shop.example", NotBefore: 0, NotAfter: 10 * 86400, SHA256: [32]byte{1}}, {Subject: "CN=CA", NotAfter: 1000 * 86400, SHA256: [32]byte{2}}},
		},
		Handshake: session.Handshake{State: tcp.Measured, Total: 10e6, Perceived: 11e6, Network: 6e6, Server: 3e6, Client: 1e6},
	}
	r.Phases = &session.Phases{TCP: 2e6, TLS: 10e6, Server: 500e6, Network: 4e6, Transfer: 20e6, Idle: 400e6, Close: 64e6}
	return r
}

func failedTLSRecord(clientPort uint16) flow.Record {
	r := secured(clientPort)
	r.TCP.Response = tcp.Response{}
	r.TLS = &session.TLS{
		Info:      tlsmeta.Info{SNI: "other.example", JA4: "x", Outcome: tlsmeta.Failed, Alert: &tlsmeta.Alert{Level: 2, Description: 40}},
		Handshake: session.Handshake{Total: tcp.Absent, Network: tcp.Absent, Server: tcp.Absent, Client: tcp.Absent},
	}
	r.Phases = &session.Phases{TCP: 2e6, TLS: 5e6}
	return r
}

func TestTLSSums(t *testing.T) {
	unmeasured := secured(3)
	x := *unmeasured.TLS
	x.Handshake.State, x.Resumed = tcp.Ambiguous, true
	unmeasured.TLS = &x
	c := one(t, fold(DefaultConfig(), secured(1), failedTLSRecord(2), unmeasured))
	s := c.TLS
	if s.Connections != 3 || s.Failed() != 1 || s.Resumed != 1 || s.Unmeasured != 1 || s.Total.Count() != 1 || s.Perceived.Sum() != 11e6 || s.AsClient() != &s.Perceived || s.ServerShare.Sum() != 3e6 || s.NetworkShare.Sum() != 6e6 || s.ClientShare.Sum() != 1e6 {
		t.Errorf("%+v", s)
	}
	if got := fmt.Sprint(s.Versions.Top(), s.Names.Top(), s.Alerts.Top()); got != "[{772 2}] [{shop.example 2} {other.example 1}] [{40 1}]" {
		t.Errorf("versions, names, alerts: %s", got)
	}
	if c.Turns != 4 || c.Requests() != 4 || c.Unmeasured != 2 || c.Unasked != 1 || c.RequestErrors() != 1 {
		t.Errorf("%d turns, %d unmeasured, %d unasked, %d errors", c.Turns, c.Unmeasured, c.Unasked, c.RequestErrors())
	}
	if rate, ok := c.ErrorRate(); !ok || rate != 0.2 {
		t.Errorf("error rate %v, %v", rate, ok)
	}
	if c.Missed[flow.Server] != 90 || c.Recorded[flow.Server] != 3*5700 || c.Name() != "shop.example" {
		t.Errorf("missed %v, recorded %v, name %q", c.Missed, c.Recorded, c.Name())
	}
	want := Waiting{Connections: 3, Slow: 2, Server: 1000e6, Network: 6e6 + 8e6 + 6e6, TLS: 3e6, Client: 1e6, Moving: 40e6, Unknown: 15e6}
	if c.Waiting != want {
		t.Errorf("waiting %+v, want %+v", c.Waiting, want)
	}
	if c.Phases.Sum() != 2*1000e6+7e6 {
		t.Errorf("phases %+v", c.Phases)
	}
}

func TestWaiting(t *testing.T) {
	measured := session.Handshake{State: tcp.Measured, Total: 10e6, Network: 6e6, Server: 3e6, Client: 1e6}
	for _, test := range []struct {
		name    string
		phases  session.Phases
		tls     session.Handshake
		stalled [2]int64
		asked   int64
		want    Waiting
	}{
		{"idle is nobody's", session.Phases{ClientIdle: 1e9, Idle: 1e9, Close: 1e9}, session.Handshake{}, [2]int64{}, 1, Waiting{Connections: 1}},
		{"the client's window", session.Phases{Transfer: 9e8}, session.Handshake{}, [2]int64{5e8, 7e8}, 1, Waiting{Connections: 1, Slow: 1, Client: 5e8, Moving: 4e8, Stalled: [2]int64{5e8, 0}}},
		{"the server's window", session.Phases{Request: 9e8}, session.Handshake{}, [2]int64{5e8, 1e9}, 1, Waiting{Connections: 1, Slow: 1, Server: 9e8, Stalled: [2]int64{0, 9e8}}},
		{"early data", session.Phases{TLS: 5e6}, measured, [2]int64{}, 1, Waiting{Connections: 1, Network: 3e6, TLS: 15e5, Client: 5e5}},
		{"a handshake that was not measured", session.Phases{TLS: 5e6}, session.Handshake{State: tcp.Bounded, Total: 5e6, Network: 5e6}, [2]int64{}, 1, Waiting{Connections: 1, Unknown: 5e6}},
		{"slow", session.Phases{TCP: 499e6}, session.Handshake{}, [2]int64{}, 2, Waiting{Connections: 1, Network: 499e6}},
		{"nothing asked", session.Phases{TCP: 250e6}, session.Handshake{}, [2]int64{}, 0, Waiting{Connections: 1, Slow: 1, Network: 250e6}},
	} {
		if got := waitingOf(&test.phases, &test.tls, &pace{closed: test.stalled, volume: 1e9}, test.asked); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// Slow transfers are put down to who can be told.
func TestSlowTransfers(t *testing.T) {
	slow := session.Phases{Transfer: 10e9}
	for _, test := range []struct {
		name   string
		phases session.Phases
		pace   pace
		want   Waiting
	}{
		{"the client's window is full", slow, pace{full: [2]int64{8e9, 0}, volume: 1e6}, Waiting{Connections: 1, Slow: 1, Client: 8e9, Transfer: 2e9, Stalled: [2]int64{8e9, 0}, Volume: 1e6}},
		{"a full window at a good rate is none", slow, pace{full: [2]int64{8e9, 0}, volume: 1e9}, Waiting{Connections: 1, Moving: 10e9}},
		{"a response that trickles", slow, pace{http: true, volume: 1000}, Waiting{Connections: 1, Slow: 1, Server: 10e9, Trickled: 10e9, Volume: 1000}},
		{"loss may hold it back", slow, pace{http: true, volume: 1000, repeats: true}, Waiting{Connections: 1, Slow: 1, Transfer: 10e9, Volume: 1000}},
		{"more than is sent at once", slow, pace{http: true, volume: 1e6}, Waiting{Connections: 1, Slow: 1, Transfer: 10e9, Volume: 1e6}},
		{"messages of an unknown protocol", slow, pace{volume: 1000}, Waiting{Connections: 1, Moving: 10e9}},
		{"quick", session.Phases{Transfer: 2e8}, pace{http: true, volume: 1000}, Waiting{Connections: 1, Moving: 2e8}},
	} {
		if got := waitingOf(&test.phases, &session.Handshake{}, &test.pace, 1); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// An attempt that failed is no waiting.
func TestFailedAttempts(t *testing.T) {
	r := record(1, 0, 3*second)
	r.Outcome, r.Phases = flow.Timeout, &session.Phases{TCP: 3 * second}
	c := one(t, fold(DefaultConfig(), r))
	if c.Waiting != (Waiting{}) || c.Unasked != 1 || c.Phases.TCP != 3*second {
		t.Errorf("waiting %+v, unasked %d, phases %+v", c.Waiting, c.Unasked, c.Phases)
	}
}

func httpRecord(clientPort uint16, reason flow.EndReason) flow.Record {
	r := record(clientPort, 0, second)
	r.EndReason = reason
	r.Ends[flow.Server].Name = "web.example"
	r.HasTCP = true
	r.TCP.Response = tcp.Response{State: tcp.Bounded, Turns: 9, Measured: 9}
	i := &httpmeta.Info{}
	for n, e := range []httpmeta.Exchange{
		{Method: "GET", Host: "a", Path: "/x", Status: 200, GRPC: -1, Requested: true}, {Method: "GET", Host: "a", Path: "/x", Status: 503, GRPC: -1, Requested: true},
		{Method: "GET", Host: "a", Path: "/x", Status: 404, GRPC: -1, Requested: true}, {Method: "POST", Host: "a", Path: "/g", Status: 200, GRPC: 13, Requested: true},
		{Method: "POST", Host: "a", Path: "/g", GRPC: -1, Requested: true}, {GRPC: -1, Requested: true, Broken: true},
	} {
		i.Add(&e, int64(n+1)*1e6)
	}
	r.HTTP = i
	return r
}

func TestHTTPSums(t *testing.T) {
	config := DefaultConfig()
	config.View = ViewHTTP
	s := fold(config, httpRecord(1, flow.EndOfFlow), httpRecord(2, flow.EndForced))
	c := one(t, s)
	want := HTTP{Requests: 12, ClientErrors: 2, ServerErrors: 2, GRPCErrors: 2, Aborted: 1, Unknown: 3} // the second was cut by the end of the capture
	if *c.HTTP != want || c.Turns != 0 || c.RequestErrors() != 5 {
		t.Errorf("%+v, %d turns, %d errors; want %+v", *c.HTTP, c.Turns, c.RequestErrors(), want)
	}
	rows := s.Endpoints.Rows(ByRequests)
	if len(rows) != 2 || s.Endpoints.Other.Requests != 2 {
		t.Fatalf("%d rows, %d requests in other", len(rows), s.Endpoints.Other.Requests)
	}
	x := rows[0]
	if x.Path != "/x" || x.Requests != 6 || x.Status[5] != 2 || x.Status[4] != 2 || x.Errors() != 2 || x.Aborted+x.Unknown != 0 || x.Name != "web.example" || !x.AtMost || x.Response.Count() != 6 {
		t.Errorf("%+v", x)
	}
	if g := s.Endpoints.Rows(ByErrorRate)[0]; g.Path != "/g" || g.GRPC != 2 || g.GRPCErrors != 2 || g.Aborted != 0 || g.Unknown != 2 {
		t.Errorf("the highest error rate: %+v", g)
	}
	config.Rows = 1
	if s := fold(config, httpRecord(1, flow.EndOfFlow)); len(s.Endpoints.Rows(ByRequests)) != 1 || s.Endpoints.Other.Requests != 4 || s.Endpoints.Lack() != 3 {
		t.Errorf("beyond the bound: %d rows, other %+v", len(s.Endpoints.Rows(ByRequests)), s.Endpoints.Other)
	}
}

func dnsRecord(clientPort uint16) flow.Record {
	r := record(clientPort, 0, second)
	r.Proto, r.Ends[1].Port, r.Outcome, r.HasHandshake = packet.ProtoUDP, 53, flow.OutcomeNone, false
	counts := dnsmeta.Counts{Queries: 6, Repeats: 1, Responses: 4, NXDOMAIN: 1, SERVFAIL: 1, Timeouts: 1}
	i := &dnsmeta.Info{Counts: counts}
	i.Time.Add(20e6)
	i.Names = []dnsmeta.Name{{Name: "a.example", Type: 1, Counts: counts}}
	r.DNS = i
	return r
}

func TestDNSSums(t *testing.T) {
	config := DefaultConfig()
	config.View = ViewDNS
	s := fold(config, dnsRecord(1), dnsRecord(2))
	c := one(t, s)
	if d := c.DNS; d.Queries != 10 || d.NXDOMAIN != 2 || d.SERVFAIL != 2 || d.Timeouts != 2 || c.Requests() != 10 || c.RequestErrors() != 4 {
		t.Errorf("%+v", d)
	}
	if h, atMost := c.Response(); h.Count() != 2 || atMost != tcp.Bounded {
		t.Errorf("%d response times, at most %v: the round trip is in them", h.Count(), atMost)
	}
	rows := s.DNS.Rows(ByErrors)
	if len(rows) != 1 || rows[0].Queries != 12 || DNSErrors(&rows[0].Counts) != 4 {
		t.Errorf("%d rows: %+v", len(rows), rows[0])
	}
}

func TestQUICSums(t *testing.T) {
	r := record(1, 0, second)
	r.Proto, r.Outcome, r.HasHandshake = packet.ProtoUDP, flow.OutcomeNone, false
	r.QUIC = &session.QUIC{Handshake: quic.Handshake{Total: 30e6, RTT: tcp.Absent}}
	r.QUIC.Info.SNI, r.QUIC.Outcome = "q.example", tlsmeta.Completed
	bounded := r
	bounded.Ends[0].Port = 2
	bounded.QUIC = &session.QUIC{Info: r.QUIC.Info, Handshake: quic.Handshake{Total: 30e6, Bounded: true}}
	c := one(t, fold(DefaultConfig(), r, bounded))
	if x := c.TLS; x.Connections != 2 || x.QUIC != 2 || x.Total.Count() != 1 || x.Unmeasured != 1 || x.NetworkShare.Count() != 0 || c.Name() != "q.example" {
		t.Errorf("%+v", x)
	}
}

func TestTLSServers(t *testing.T) {
	config := DefaultConfig()
	config.View = ViewTLS
	s := fold(config, secured(1), secured(2), failedTLSRecord(3)).TLS
	rows := s.Servers(ByConnections)
	if len(rows) != 2 || rows[0].SNI != "shop.example" || rows[0].Connections != 2 || rows[0].Ciphers.Top()[0].N != 2 || rows[1].Failed() != 1 {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	if r := s.Servers(ByErrors)[0]; r.SNI != "other.example" {
		t.Errorf("most errors: %s", r.SNI)
	}
	if r := s.Servers(ByTLS)[0]; r.SNI != "shop.example" {
		t.Errorf("slowest: %s", r.SNI)
	}
	if got := s.Certificates(); got != 2 {
		t.Errorf("%d certificates, want 2", got)
	}
	for _, test := range []struct {
		name       string
		at, within int64
		want       int
	}{
		{"fresh", 0, 9 * 86400, 0}, {"expiring", 0, 10 * 86400, 1}, {"expired", 11 * 86400, 0, 1}, {"not yet valid", -1, 0, 2}, {"both", 0, 1000 * 86400, 2},
	} {
		if got := s.Expiring(test.at, test.within); len(got) != test.want {
			t.Errorf("%s: %d certificates, want %d", test.name, len(got), test.want)
		}
	}
	if got := s.Expiring(0, 1000*86400); got[0].Subject != "CN=shop.example" || got[0].Issuing || got[0].Connections != 2 || !got[1].Issuing {
		t.Errorf("%+v", got)
	}
	config.Rows = 1
	if s := fold(config, secured(1), failedTLSRecord(2)).TLS; len(s.Servers(ByErrors)) != 1 || s.Other.Connections != 1 || s.NoRow != 1 {
		t.Errorf("beyond the bound: %d rows, other %+v, %d certificates without a row", len(s.Servers(ByErrors)), s.Other, s.NoRow)
	}
}

// Of several sights the one that heard most tells, whatever their order.
func TestTalkOfSeveralSights(t *testing.T) {
	full, bare, wrong := secured(1), at(2, secured(1)), at(3, secured(1))
	bare.Report = session.Report{}
	bare.TCP.Response = tcp.Response{}
	full.Ends[1].Name = "dns.example"
	wrong.Ends[0], wrong.Ends[1] = wrong.Ends[1], wrong.Ends[0]
	wrong.Sent[0], wrong.Sent[1] = wrong.Sent[1], wrong.Sent[0]
	wrong.Direction = flow.DirOrder
	wrong.TCP.Sides[0], wrong.TCP.Sides[1] = wrong.TCP.Sides[1], wrong.TCP.Sides[0]
	want := one(t, fold(DefaultConfig(), full))
	for _, order := range [][]flow.Record{{full, bare}, {bare, full}, {wrong, full}, {full, wrong}} {
		got := one(t, fold(DefaultConfig(), order...))
		got.Points = want.Points
		if !reflect.DeepEqual(got, want) {
			t.Errorf("several sights:\n%+v\none:\n%+v", got, want)
		}
	}
}

// Of equal sights that nearest the client stands, where the order is known.
func TestNearestTheClient(t *testing.T) {
	near, far := at(2, secured(1)), at(1, secured(1))
	far.ID, near.ID, far.Joined, near.Joined = 1, 2, true, true
	for state, want := range map[tcp.State]packet.PointID{tcp.Measured: 2, tcp.Unknown: 1} {
		p := pathOf([]flow.Record{near, far})
		p.Order.State = state
		tab := New(DefaultConfig())
		tab.Add(&far)
		tab.Add(&near)
		tab.AddPath(&p)
		if got := one(t, tab.Summary()).TLS.Points.Top(); len(got) != 1 || got[0] != (Count[packet.PointID]{want, 1}) {
			t.Errorf("order %v: at %v, want %d", state, got, want)
		}
	}
}

// What is cut, not encrypted, is told.
func TestCertificatesThatWereNotRead(t *testing.T) {
	config := DefaultConfig()
	config.View = ViewTLS
	with := func(port uint16, change func(*tlsmeta.Info)) flow.Record {
		r := secured(port)
		x := *r.TLS
		x.Version, x.Certificates = 0x0303, nil
		change(&x.Info)
		r.TLS = &x
		return r
	}
	for _, test := range []struct {
		name   string
		change func(*tlsmeta.Info)
		want   int64
	}{
		{"cut", func(*tlsmeta.Info) {}, 1},
		{"resumed", func(i *tlsmeta.Info) { i.Resumed = true }, 0},
		{"encrypted", func(i *tlsmeta.Info) { i.Version = 0x0304 }, 0},
		{"the second is cut", func(i *tlsmeta.Info) { i.Certificates, i.CertificatesCut = []tlsmeta.Certificate{{}}, true }, 1},
		{"whole", func(i *tlsmeta.Info) { i.Certificates = []tlsmeta.Certificate{{}} }, 0},
	} {
		if s := fold(config, with(1, test.change)).TLS; s.Cut != test.want {
			t.Errorf("%s: %d, want %d", test.name, s.Cut, test.want)
		}
	}
}

// Conversations that are merged tell what one would.
func TestMergeEqualsOne(t *testing.T) {
	records := []flow.Record{secured(1), failedTLSRecord(2), httpRecord(3, flow.EndOfFlow), dnsRecord(4), dnsRecord(5), secured(6)}
	for i := range records {
		records[i].Proto, records[i].Ends[1].Port = packet.ProtoTCP, 443
	}
	whole := one(t, fold(DefaultConfig(), records...))
	first, second := one(t, fold(DefaultConfig(), records[:3]...)), one(t, fold(DefaultConfig(), records[3:]...))
	first.merge(second)
	if !reflect.DeepEqual(first, whole) {
		t.Errorf("merged:\n%+v\none:\n%+v", first, whole)
	}
}

func TestTallyIsBounded(t *testing.T) {
	var tally Tally[int]
	for i := range 100 {
		tally.add(i%20, 1)
	}
	n := tally.Other
	for _, c := range tally.Counts {
		n += c.N
	}
	if len(tally.Counts) != maxTally || n != 100 || tally.Top()[0] != (Count[int]{0, 5}) {
		t.Errorf("%+v", tally)
	}
}

// What waits for its path is bounded: a record that finds no room tells nothing
// of what it heard, and the connection counts all the same.
func TestWaitingIsBounded(t *testing.T) {
	tab := New(DefaultConfig())
	tab.buckets = maxBucketsWaiting
	a, b := secured(1), at(2, secured(1))
	a.ID, b.ID, a.Joined, b.Joined = 1, 2, true, true
	p := pathOf([]flow.Record{a, b})
	tab.Add(&a)
	tab.Add(&b)
	tab.AddPath(&p)
	c := one(t, tab.Summary())
	if c.TLS != nil || c.Connections != 1 || tab.buckets != maxBucketsWaiting {
		t.Errorf("%+v, %d buckets", c, tab.buckets)
	}
}

func TestOrders(t *testing.T) {
	conversations := make([]Conversation, 3)
	for i := range conversations {
		c := &conversations[i]
		c.Port = uint16(i)
		c.Connections = int64(10 - i)
		c.Sent[flow.Client] = flow.Volume{Packets: int64(i), Bytes: int64(100 * i)}
		c.First = int64(i * i)
		c.Outcomes[flow.Refused] = int64(i % 2)
		c.Turns, c.Unasked = int64(5-i), int64(i%2)
		if i > 0 { // a conversation without a measured handshake comes last
			c.Handshake.Add(int64(5-i) * 1e6)
			c.Times = &Times{}
			c.Times.Response.Add(int64(i) * 1e6)
			c.Times.RTT[0].Add(int64(5-i) * 1e6)
			c.Times.Delayed[1].Add(1e6)
			c.TLS = &TLS{}
			c.TLS.Total.Add(int64(i) * 1e6)
		}
		c.Repeats[i%2].Packets = int64(i % 2)
	}
	for order, want := range map[Order]string{
		ByBytes: "[2 1 0]", ByPackets: "[2 1 0]", ByConnections: "[0 1 2]", ByRequests: "[0 1 2]", ByHandshake: "[1 2 0]", ByTLS: "[2 1 0]", ByErrors: "[1 2 0]",
		ByErrorRate: "[1 2 0]", ByStart: "[0 1 2]", ByRetransmits: "[1 2 0]", ByRTT: "[1 2 0]", ByResponse: "[2 1 0]",
	} {
		var got []uint16
		s := summaryOf(conversations)
		for _, i := range s.Sorted(order, 0) {
			got = append(got, s.Conversation(i).Port)
		}
		if fmt.Sprint(got) != want {
			t.Errorf("by %v: %v, want %s", order, got, want)
		}
		if two := s.Sorted(order, 2); len(two) != 2 || !slices.Equal(two, s.Sorted(order, 0)[:2]) {
			t.Errorf("by %v: the first two are %v", order, two)
		}
	}
	for _, v := range Views() {
		view, err := ParseView(v)
		if err != nil || view.String() != v || len(view.Orders()) == 0 {
			t.Errorf("view %q: %v, %v, orders %v", v, view, err, view.Orders())
		}
	}
}
