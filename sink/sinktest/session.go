package sinktest

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

// phases divide the duration of TCP.
func phases() *session.Phases {
	return &session.Phases{TCP: 812_000, TLS: 190_005, Request: 10_000, Server: 100_000, Network: 90_000, Transfer: 20_000, Close: 12_562}
}

// Sessions gives records with all that the two ends of a flow can say, every
// group once in full, and once with nearly nothing known.
func Sessions() []flow.Record {
	return []flow.Record{
		TLS(), oldTLS(), refusedTLS(), helloOnly(), noHello(), retried(), ssl2(), dtls(),
		QUIC(), oldQUIC(), HTTP(), grpc(), DNS(), mdns(), stepped(),
	}
}

// SessionIntervals gives the change of such records over ten seconds.
func SessionIntervals() []flow.Record {
	var records []flow.Record
	for _, r := range []flow.Record{TLS(), HTTP(), grpc(), DNS()} {
		i := Interval()
		i.Proto, i.Ends, i.Report = r.Proto, r.Ends, r.Report
		i.Phases = nil
		if r.Proto != packet.ProtoTCP {
			i.HasTCP, i.HasHandshake, i.Distributions = false, false, nil
		}
		records = append(records, i)
	}
	return records
}

// TLS is a connection under TLS 1.3.
func TLS() flow.Record {
	r := TCP()
	r.Ends[flow.Client].Name, r.Ends[flow.Server].Name = "laptop.example.org", "api.example.org"
	r.TLS = &session.TLS{
		Info: tlsmeta.Info{
			Version: 0x0304, Offered: 0x0304, SNI: "api.example.org", ALPNOffered: []string{"h2", "http/1.1"}, Cipher: 0x1301, Group: 4588,
			JA3: "cd08e31494f9531f560d64c695473da9", JA3S: "eb1d94daa7e0344597e756a1fb6e7054", JA4: "t13d1516h2_8daaf6152771_b186095e22b6",
			Resumed: true, EarlyData: tlsmeta.EarlyAccepted, ECH: true, ClientCertificateKnown: true, Outcome: tlsmeta.Completed,
		},
		Handshake: session.Handshake{State: tcp.Measured, Total: 190_005, Perceived: 190_105, Network: 100_002, Server: 70_003, Client: 20_000},
	}
	return r
}

// oldTLS is a connection under TLS 1.2, of which all that is in the clear there
// was recorded, and none of it is trustworthy.
func oldTLS() flow.Record {
	r := TCP()
	r.Ends[flow.Client].Name = Hostile
	r.TLS = &session.TLS{
		Info: tlsmeta.Info{
			Version: 0x0303, Offered: 0x0303, SNI: Hostile, ALPNOffered: []string{Hostile, "h2"}, ALPN: Hostile, Cipher: 0xc02f, Group: 29,
			JA3: "771,4865", JA3S: "771,49199", JA4: "t12d120500_000000000000_000000000000", Refused: true, ESNI: true,
			ClientCertificate: true, ClientCertificateKnown: true, STARTTLS: "proxy+smtp",
			Certificates: []tlsmeta.Certificate{
				{
					Subject: "CN=" + Hostile, Issuer: "CN=\"A\", O=B;C", SAN: []string{"api.example.org", "10.1.0.9", "a;b", Hostile},
					NotBefore: 1_700_000_000, NotAfter: 253402300799, SHA256: [32]byte{0: 0xab, 31: 1},
				},
				{Subject: "CN=CA", SANCut: true, SAN: []string{"ca"}, NotBefore: -1, NotAfter: 1<<63 - 1},
			},
			ClientCertificates: []tlsmeta.Certificate{{SHA256: [32]byte{1}}},
			CertificatesCut:    true,
			Alert:              &tlsmeta.Alert{Client: true, Level: tlsmeta.AlertWarning, Description: 90},
			Outcome:            tlsmeta.Completed,
		},
		Handshake: session.Handshake{
			State: tcp.Bounded, Reasons: tcp.LostBeforeOP | tcp.CaptureLoss, Total: 1_900_000, Perceived: tcp.Absent, Network: tcp.Absent, Server: tcp.Absent, Client: tcp.Absent,
		},
	}
	r.Phases = &session.Phases{TCP: 300_000, Prelude: 34_567, ClientIdle: 500_000, TLS: 400_000}
	return r
}

// refusedTLS ended by an alert in the clear.
func refusedTLS() flow.Record {
	r := TCP()
	r.TLS = &session.TLS{
		Info: tlsmeta.Info{
			Version: 0x0303, Offered: 0x0304, JA3: "x", JA3S: "y", JA4: "z", EarlyData: tlsmeta.EarlyRejected,
			Certificates: []tlsmeta.Certificate{{Subject: "CN=self"}}, Outcome: tlsmeta.Failed,
			Alert: &tlsmeta.Alert{Level: tlsmeta.AlertFatal, Description: 48},
		},
		Handshake: session.Handshake{Reasons: tcp.Midstream, Total: tcp.Absent, Perceived: tcp.Absent, Network: tcp.Absent, Server: tcp.Absent, Client: tcp.Absent},
	}
	return r
}

// helloOnly is a ClientHello without an answer.
func helloOnly() flow.Record {
	r := refusedTLS()
	r.TLS.Info = tlsmeta.Info{Offered: 0x0304, SNI: "a", JA3: "x", JA4: "z", EarlyData: tlsmeta.EarlyOffered, Outcome: tlsmeta.Abandoned}
	return r
}

// noHello is TLS of which no hello was recorded whole.
func noHello() flow.Record {
	r := refusedTLS()
	r.TLS.Info = tlsmeta.Info{}
	return r
}

// retried is a HelloRetryRequest, and what came behind it was not recorded.
func retried() flow.Record {
	r := refusedTLS()
	r.TLS.Info = tlsmeta.Info{Version: 0x0304, Offered: 0x0304, Cipher: 0x1302, Group: 23, JA4: "z", HelloRetry: true, Outcome: tlsmeta.Incomplete}
	return r
}

// ssl2 is SSL 2.0, in which the cipher is chosen where it is not read.
func ssl2() flow.Record {
	r := refusedTLS()
	r.TLS.Info = tlsmeta.Info{Version: 2, Offered: 2, JA3: "x", JA3S: "y", JA4: "z", SSLv2Hello: true, Outcome: tlsmeta.NotTLS}
	return r
}

func dtls() flow.Record {
	r := udp(4433)
	r.TLS = &session.TLS{
		Info:      tlsmeta.Info{Version: 0xfefd, Offered: 0xfefc, Cipher: 0xc02b, JA3: "x", JA3S: "y", JA4: "d", Outcome: tlsmeta.Completed},
		Handshake: session.Handshake{State: tcp.Measured, Total: 800_000, Perceived: tcp.Absent, Network: tcp.Absent, Server: tcp.Absent, Client: tcp.Absent},
	}
	return r
}

func udp(port uint16) flow.Record {
	return flow.Record{
		ID: 2, Start: Start, End: Start + 5e6, Point: BarePoint, Proto: packet.ProtoUDP, Version: 4,
		Ends:      [2]flow.Endpoint{{Addr: Addr("10.1.0.7"), Port: 51234, HasPort: true}, {Addr: Addr("10.1.0.9"), Port: port, HasPort: true}},
		Direction: flow.DirApp, DirectionState: tcp.Measured, EndReason: flow.EndIdleTimeout,
		Sent: [2]flow.Volume{{Packets: 2, Bytes: 200, PayloadBytes: 144}, {Packets: 2, Bytes: 400, PayloadBytes: 344}},
	}
}

// QUIC is a QUIC connection with everything measured.
func QUIC() flow.Record {
	r := udp(443)
	r.QUIC = &session.QUIC{
		Info: quic.Info{
			Info: tlsmeta.Info{
				Version: 0x0304, Offered: 0x0304, SNI: "www.example.org", ALPNOffered: []string{"h3"}, Cipher: 0x1303, Group: 29,
				JA3: "x", JA3S: "y", JA4: "q13d0310h3_55b375c5d22e_cd85d2d88918", Outcome: tlsmeta.Completed,
			},
			Version: 1, ZeroRTT: true, Initials: 4, Long: 3, Short: 40, Duplicates: 1,
			Spin: quic.Spin{Edges: 20, Known: true, Samples: 18, Min: 5_000_001, P50: 6_000_000, ClientMin: 2_000_000, ServerMin: 3_000_000},
		},
		Handshake: quic.Handshake{RTT: 812_000, Client: 300_500, Server: 511_500, Total: 1_900_001},
	}
	return r
}

// oldQUIC is a connection of a draft, after a negotiation, that was refused.
func oldQUIC() flow.Record {
	r := udp(443)
	r.QUIC = &session.QUIC{
		Info: quic.Info{
			Info: tlsmeta.Info{
				JA3: "x", JA4: "q", SNI: Hostile, EarlyData: tlsmeta.EarlyOffered, Outcome: tlsmeta.Failed,
				Alert: &tlsmeta.Alert{Level: tlsmeta.AlertFatal, Description: 120},
			},
			Version: 0xff00001d, ServerVersions: []uint32{1, 0x6b3343cf, 0xff00001d, 0xfaceb002}, VersionNegotiation: true, Retry: true,
			Close: quic.Close{Known: true, Code: 0x178}, Initials: 2, Undecryptable: 5, Cut: 6, Malformed: 7, Dropped: 8,
			Spin: quic.Spin{Edges: 20, Known: true, Samples: 1, Min: 1},
		},
		Handshake: quic.Handshake{RTT: quic.Absent, Client: quic.Absent, Server: 511_500, Total: quic.Absent, Bounded: true},
	}
	return r
}

// HTTP is a connection with five requests under HTTP/1.1.
func HTTP() flow.Record {
	r := TCP()
	r.HTTP = &httpmeta.Info{
		Version: httpmeta.HTTP11, Requests: 5, Responses: 5, Status: [6]int64{2: 4, 5: 1}, RequestBytes: 10, ResponseBytes: 5000,
		Endpoints: []httpmeta.Endpoint{
			{Method: "GET", Host: "shop.example.org", Path: "/items/{id}", Requests: 4, Status: [6]int64{2: 4}, Response: *dist(900_000, 1_000_000, 1_200_000)},
			{Method: "POST", Path: "/a;b" + Hostile, Requests: 1, Status: [6]int64{5: 1}},
		},
	}
	return r
}

// grpc is a connection under HTTP/2 in which everything went wrong.
func grpc() flow.Record {
	r := TCP()
	r.HTTP = &httpmeta.Info{
		Version: httpmeta.HTTP2, Requests: 9, Responses: 6, Status: [6]int64{1, 2, 3, 4, 5, 6}, GRPC: 5, GRPCError: 2, Aborted: 3, Missed: 4, Orphans: 1,
		Upgraded: "h2c", Losses: httpmeta.Losses{Lost: 1, Malformed: 2, TooLong: 3, NoMemory: 4, Poisoned: 5, Untracked: 6},
		Endpoints: []httpmeta.Endpoint{{Method: "POST", Host: "pay", Path: "/pay.Pay/Charge", Requests: 5, GRPC: 5, GRPCError: 2, Response: *dist(0, 1)}},
		Other:     httpmeta.Endpoint{Requests: 4, Status: [6]int64{1, 2, 3, 4, 5, 6}, GRPC: 1, Response: *dist(4_000_000_000)},
	}
	r.Phases = &session.Phases{Unknown: 1_234_567, Overlap: true}
	return r
}

// DNS is a flow with two queries for one name.
func DNS() flow.Record {
	r := udp(53)
	r.Ends[flow.Server].Name = "ns.example.org"
	r.DNS = &dnsmeta.Info{
		Counts: dnsmeta.Counts{Queries: 2, Responses: 2, NXDOMAIN: 1}, RCodes: [24]int64{0: 1, 3: 1}, Time: *dist(400_000, 1_500_000),
		Names: []dnsmeta.Name{
			{Name: "api.example.org", Type: 1, Counts: dnsmeta.Counts{Queries: 1, Responses: 1}, Time: *dist(400_000)},
			{Name: "api.example.org", Type: 28, Counts: dnsmeta.Counts{Queries: 1, Responses: 1, NXDOMAIN: 1}, Time: *dist(1_500_000)},
		},
	}
	return r
}

// mdns is a flow in which everything went wrong.
func mdns() flow.Record {
	r := udp(5353)
	r.DNS = &dnsmeta.Info{
		Protocol: dnsmeta.MDNS,
		Counts:   dnsmeta.Counts{Queries: 10, Repeats: 1, Responses: 2, NXDOMAIN: 3, SERVFAIL: 4, OtherErr: 5, Truncated: 6, Timeouts: 7},
		Late:     8, Unanswerable: 9, Unpaired: 10, Lost: 11, Dropped: 12, Unsolicited: 13, Announced: 14, Duplicates: 15, Malformed: 16, Cut: 17,
		Names: []dnsmeta.Name{{Name: Hostile, Type: 12, Counts: dnsmeta.Counts{Queries: 10, Timeouts: 7}}, {Name: "a;b", Type: 33}},
		Other: dnsmeta.Counts{Queries: 1, Repeats: 2, Responses: 3, NXDOMAIN: 4, SERVFAIL: 5, OtherErr: 6, Truncated: 7, Timeouts: 8},
	}
	for i := range r.DNS.RCodes {
		if i < 12 || i > 15 {
			r.DNS.RCodes[i] = int64(i)
		}
	}
	return r
}

// stepped is a connection whose clock stepped back, so that it has no duration
// that phases could divide.
func stepped() flow.Record {
	r := TCP()
	r.End = r.Start - 1
	r.Phases = &session.Phases{}
	r.HTTP = &httpmeta.Info{}
	r.DNS = &dnsmeta.Info{Protocol: dnsmeta.LLMNR}
	r.QUIC = &session.QUIC{Handshake: quic.Handshake{RTT: quic.Absent, Client: quic.Absent, Server: quic.Absent, Total: quic.Absent}}
	return r
}

// Odd gives a record with numbers that no registry has a name for.
func Odd() flow.Record {
	r := TLS()
	r.TLS.Version, r.TLS.Offered, r.TLS.Cipher, r.TLS.Group = 0x7f17, 0x1234, 0xfafa, 0x4321
	r.TLS.Alert = &tlsmeta.Alert{Level: 77, Description: 199}
	r.DNS = DNS().DNS
	r.DNS.Names[0].Type = 65280
	r.DNS.RCodes[12] = 1
	return r
}
