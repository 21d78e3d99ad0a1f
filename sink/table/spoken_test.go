package table

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// spoken is what hosts said: TLS that works, resumes, is slow and fails, over
// TCP and QUIC, HTTP, and DNS. Names try to break the terminal.
func spoken() []flow.Record {
	const day = 86400
	start := sinktest.Start / 1e9
	secure := func(port uint16, tls *session.TLS) flow.Record {
		r := sinktest.TCP()
		r.Network = 0
		r.Ends[flow.Client].Port = port
		r.Ends[flow.Server].Name = "dns.example"
		r.TLS = tls
		r.Phases = &session.Phases{TCP: 812_000, TLS: max(tls.Handshake.Total, 0), Server: 400e6, Network: 4e6}
		r.Distributions = sinktest.Distributions()
		return r
	}
	measured := func(total int64) session.Handshake {
		return session.Handshake{State: tcp.Measured, Total: total, Perceived: total + total/8, Network: total / 2, Server: total / 4, Client: total - total/2 - total/4}
	}
	unknown := session.Handshake{Total: tcp.Absent, Perceived: tcp.Absent, Network: tcp.Absent, Server: tcp.Absent, Client: tcp.Absent}
	old := tlsmeta.Info{
		Version: 0x0303, SNI: "shop.example", Cipher: 0xc02f, Group: 29, JA4: "t12d1011h2_a8cf61a50a39_a92c7c6a82fe", Outcome: tlsmeta.Completed,
		Certificates: []tlsmeta.Certificate{
			{Subject: "CN=shop.example", SAN: []string{"shop.example", "www.shop.example", "m.shop.example"}, NotBefore: start - 300*day, NotAfter: start + 12*day + 7, SHA256: [32]byte{0xab, 1}},
			{Subject: "CN=Issuing" + sinktest.Hostile, NotBefore: start - 300*day, NotAfter: start - 3*day, SHA256: [32]byte{0xab, 2}},
			{Subject: "CN=Future", NotBefore: start + 5*day, NotAfter: start + 900*day, SHA256: [32]byte{0xab, 3}},
			{Subject: "CN=Fresh", NotBefore: start - day, NotAfter: start + 900*day, SHA256: [32]byte{0xab, 4}},
		},
	}
	fresh := tlsmeta.Info{Version: 0x0304, SNI: "shop.example", Cipher: 0x1301, Group: 4588, JA4: "t13d1312h2_f57a46bbacb6_ab7e3b40a677", Resumed: true, Outcome: tlsmeta.Completed}
	refused := tlsmeta.Info{SNI: sinktest.Hostile, JA4: "x", Outcome: tlsmeta.Failed, Alert: &tlsmeta.Alert{Client: true, Level: tlsmeta.AlertFatal, Description: 48}}
	records := []flow.Record{
		secure(1, &session.TLS{Info: old, Handshake: measured(40e6)}), secure(2, &session.TLS{Info: fresh, Handshake: measured(4e6)}),
		secure(3, &session.TLS{Info: refused, Handshake: unknown}),
	}

	q := secure(4, &session.TLS{})
	q.Proto, q.HasTCP, q.HasHandshake, q.Outcome, q.TLS, q.Phases, q.Distributions = packet.ProtoUDP, false, false, flow.OutcomeNone, nil, nil, nil
	q.QUIC = &session.QUIC{}
	q.QUIC.Info.Info = fresh
	q.QUIC.Handshake.Total = 21e6
	records = append(records, q)

	web := sinktest.TCP()
	web.Network, web.Ends[flow.Server].Port, web.Ends[flow.Server].Name = 0, 8080, "web.example"
	web.Phases = &session.Phases{TCP: 812_000, Server: 2e9, Network: 5e6}
	web.Distributions = sinktest.Distributions()
	web.HTTP = &httpmeta.Info{}
	for i := range 30 {
		e := httpmeta.Exchange{Version: httpmeta.HTTP11, Method: "GET", Host: "web.example", Path: "/items/{id}", Status: 200, GRPC: -1, Requested: true}
		switch {
		case i%10 == 0:
			e.Status = 503
		case i%7 == 0:
			e.Status = 404
		case i%6 == 0:
			e.Method, e.Path, e.GRPC = "POST", "/shop.Cart/Add", i%4
		case i == 29:
			e.Status = 0
		case i == 26:
			e.Method, e.Host, e.Path = "PUT\x1b[2J", sinktest.Hostile, sinktest.Hostile
		case i == 27:
			e.Method, e.Host, e.Path = "", "", ""
		}
		web.HTTP.Add(&e, int64(i)*1e6)
	}
	records = append(records, web)

	lookup := q
	lookup.QUIC, lookup.Ends[flow.Server].Port, lookup.Ends[flow.Server].Name = nil, 53, ""
	counts := dnsmeta.Counts{Queries: 6, Repeats: 1, Responses: 4, NXDOMAIN: 1, SERVFAIL: 1, Timeouts: 1}
	lookup.DNS = &dnsmeta.Info{Counts: counts, Other: dnsmeta.Counts{Queries: 2}}
	lookup.DNS.Queries += 4
	lookup.DNS.RCodes[2], lookup.DNS.RCodes[0] = 1, 3
	lookup.DNS.Names = []dnsmeta.Name{{Name: "shop.example", Type: 1, Counts: counts}, {Name: sinktest.Hostile, Type: 65, Counts: dnsmeta.Counts{Queries: 2}}}
	for _, ns := range []int64{1e6, 2e6, 250e6} {
		lookup.DNS.Time.Add(ns)
		lookup.DNS.Names[0].Time.Add(ns)
	}
	local := lookup
	local.Ends[flow.Server] = flow.Endpoint{Addr: sinktest.Addr("ff02::fb"), Port: 5353, HasPort: true}
	local.DNS = &dnsmeta.Info{Protocol: dnsmeta.MDNS, Counts: dnsmeta.Counts{Queries: 3}, Names: []dnsmeta.Name{{Name: "_http._tcp.local", Type: 12, Counts: dnsmeta.Counts{Queries: 3}}}}
	return append(records, lookup, local)
}

// hung is a server that lets requests wait: six clients gave up, two wait still,
// two were answered, and of two the capture lacks the responses.
func hung() []flow.Record {
	var records []flow.Record
	for i := range 12 {
		r := sinktest.TCP()
		r.Network, r.Start, r.End = 0, sinktest.Start+int64(i)*1e9, sinktest.Start+int64(i)*1e9+5e9
		r.Ends[flow.Client].Port, r.Ends[flow.Server].Port = uint16(i+1), 8080
		r.TCP.Sides = [2]tcp.Side{{Retransmits: tcp.Retransmits{State: tcp.Measured}}, {Retransmits: tcp.Retransmits{State: tcp.Measured}}}
		r.Outcome, r.EndReason, r.FINs = flow.Established, flow.EndForced, [2]int64{1, 0}
		r.Phases = &session.Phases{TCP: 1e6, Close: 4999e6}
		r.HTTP = &httpmeta.Info{}
		e := httpmeta.Exchange{Version: httpmeta.HTTP11, Method: "GET", Host: "web.example", Path: "/report", GRPC: -1, Requested: true}
		switch {
		case i >= 10:
			e.Broken = true
		case i >= 8:
			e.Status, r.EndReason = 200, flow.EndOfFlow
		case i >= 6:
			r.FINs[0] = 0
		}
		r.HTTP.Add(&e, 1e6)
		records = append(records, r)
	}
	return records
}

// cutTLS is TLS 1.2 whose certificates were cut.
func cutTLS() []flow.Record {
	r := spoken()[0]
	i := *r.TLS
	i.Certificates = nil
	r.TLS = &i
	return []flow.Record{r}
}
