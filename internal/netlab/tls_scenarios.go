package netlab

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// uneven is the path of the TLS scenarios: the client is near, the server far.
var uneven = delays(2*ms, 8*ms)

// A handshake of crypto/tls with a chain of this many octets has a server flight
// of five segments, and the last of them is not full.
const fiveSegments = 5500

// oneAnswer is what most connections do after the handshake: a request that takes
// the server 5 ms.
var oneAnswer = []time.Duration{5 * ms}

// badCA lets the client trust nobody.
func badCA(c *tls.Config) { c.RootCAs = x509.NewCertPool() }

// refuseClient lets the server trust no client.
func refuseClient(c *tls.Config) {
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
}

func retry(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} }

func anyCurve(c *tls.Config) {
	c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}
}

const v12 = tls.VersionTLS12

// secureScenario completes a scenario of TLS with crypto/tls.
func secureScenario(name, shows string, l secure, want ...TLSWant) Scenario {
	if len(want) == 0 {
		want = []TLSWant{{}}
	}
	for i := range want {
		if l.version == v12 && want[i].Version == "" {
			want[i].Version = "1.2"
		}
	}
	s := Scenario{
		Name: name, Shows: shows, Plan: uneven, Load: l.load, Port: 443, Speaks: Speaks{TLS: true, HTTP: 1},
		Want: Want{Outcomes: []string{"closed"}, Turns: len(l.thoughts), TLS: want},
	}
	if l.fails {
		s.Want.Turns = 0
	}
	return s
}

// opensslScenario completes a scenario of TLS with OpenSSL.
func opensslScenario(name, shows string, l openssl, want ...TLSWant) Scenario {
	if len(want) == 0 {
		want = []TLSWant{{}}
	}
	return Scenario{
		Name: name, Shows: shows, Plan: uneven, Load: l.load, Port: 443, Speaks: Speaks{TLS: true, HTTP: 1},
		// Its sockets take the congestion control of the namespace. It must not pace.
		Sysctl: map[string]string{"tcp_congestion_control": "reno"},
		Want:   Want{Turns: len(l.thoughts), TLS: want}, Programs: []string{"openssl"},
	}
}

// with changes a scenario.
func (s Scenario) with(changes ...func(*Scenario)) Scenario {
	for _, change := range changes {
		change(&s)
	}
	return s
}

// rare leaves a scenario to make lab.
func rare(s *Scenario) { s.Rare = true }

// underWorseTaps gives a scenario the captures of worse taps.
func underWorseTaps(s *Scenario) { s.Variants = worse() }

// repeating allows so many repeats by client and server.
func repeating(client, server Range) func(*Scenario) {
	return func(s *Scenario) { s.Want.Repeats = [2]Range{client, server} }
}

// losing adds a rule of the network.
func losing(hop int, d Direction, rule Rule) func(*Scenario) {
	return func(s *Scenario) { s.Plan = s.Plan.with(hop, d, rule) }
}

// endsAs gives the outcome of the connections.
func endsAs(outcomes ...string) func(*Scenario) {
	return func(s *Scenario) { s.Want.Outcomes = outcomes }
}

// tlsScenarios are the handshakes.
var tlsScenarios = append(handshakes(), lostHandshakes()...)

func handshakes() []Scenario {
	return []Scenario{
		secureScenario("tls13", "A full handshake of TLS 1.3, then a request", secure{thoughts: oneAnswer}).with(underWorseTaps),
		secureScenario("tls12", "A full handshake of TLS 1.2, then a request", secure{version: v12, thoughts: oneAnswer}).with(underWorseTaps),
		secureScenario("tls13-resumed", "TLS 1.3 resumed with a ticket, after a full handshake", secure{connections: 2, thoughts: oneAnswer},
			TLSWant{}, TLSWant{Resumed: true}),
		secureScenario("tls12-resumed", "TLS 1.2 resumed with a ticket, after a full handshake", secure{version: v12, connections: 2, thoughts: oneAnswer},
			TLSWant{}, TLSWant{Resumed: true}),
		secureScenario("tls13-retry", "The server wants a key share of another group: HelloRetryRequest",
			secure{client: anyCurve, server: retry, thoughts: oneAnswer}, TLSWant{HelloRetry: true}),
		secureScenario("tls13-retry-resumed", "HelloRetryRequest in a resumed handshake",
			secure{client: anyCurve, server: retry, connections: 2, thoughts: oneAnswer}, TLSWant{HelloRetry: true}, TLSWant{HelloRetry: true, Resumed: true}).with(rare),
		secureScenario("tls13-client-certificate", "TLS 1.3 with a certificate of the client", secure{mutual: true, thoughts: oneAnswer},
			TLSWant{ClientCertificate: true}),
		secureScenario("tls12-client-certificate", "TLS 1.2 with a certificate of the client", secure{version: v12, mutual: true, thoughts: oneAnswer},
			TLSWant{ClientCertificate: true}).with(rare),
		secureScenario("tls13-hybrid", "A post-quantum key share: a ClientHello of two segments",
			secure{thoughts: oneAnswer, client: func(c *tls.Config) { c.CurvePreferences = nil }, server: func(c *tls.Config) { c.CurvePreferences = nil }}).with(rare),

		// Shares that are known.
		secureScenario("tls13-key-20ms", "The server's key takes 20 ms", secure{key: 20 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 20 * ms}}).with(rare),
		secureScenario("tls13-key-100ms", "The server's key takes 100 ms", secure{key: 100 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 100 * ms}}),
		secureScenario("tls13-key-300ms", "The server's key takes 300 ms", secure{key: 300 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 300 * ms}}).with(rare),
		secureScenario("tls12-key-20ms", "TLS 1.2: the server's key takes 20 ms", secure{version: v12, key: 20 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 20 * ms}}).with(rare),
		secureScenario("tls12-key-100ms", "TLS 1.2: the server's key takes 100 ms", secure{version: v12, key: 100 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 100 * ms}}),
		secureScenario("tls12-key-300ms", "TLS 1.2: the server's key takes 300 ms", secure{version: v12, key: 300 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 300 * ms}}).with(rare),
		secureScenario("tls13-lookup-100ms", "The server looks for its certificate for 100 ms", secure{lookup: 100 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 100 * ms}}).with(rare),
		secureScenario("tls12-lookup-100ms", "TLS 1.2: the server looks for its certificate for 100 ms", secure{version: v12, lookup: 100 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 100 * ms}}).with(rare),
		secureScenario("tls13-verify-50ms", "The client takes 50 ms for the server's certificate", secure{verify: 50 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{50 * ms, 0}}),
		secureScenario("tls12-verify-50ms", "TLS 1.2: the client takes 50 ms for the server's certificate", secure{version: v12, verify: 50 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{50 * ms, 0}}).with(rare),
		secureScenario("tls13-choose-80ms", "The client takes 80 ms to choose its certificate", secure{mutual: true, choose: 80 * ms, thoughts: oneAnswer},
			TLSWant{ClientCertificate: true, Takes: [2]time.Duration{80 * ms, 0}}).with(rare),
		secureScenario("tls13-both-slow", "HelloRetryRequest, a key that takes 30 ms and a client that takes 40 ms",
			secure{client: anyCurve, server: retry, key: 30 * ms, verify: 40 * ms, thoughts: oneAnswer}, TLSWant{HelloRetry: true, Takes: [2]time.Duration{40 * ms, 30 * ms}}),

		// Large flights.
		secureScenario("tls13-chain-12k", "A chain of certificates that fills the first window", secure{chain: 12_000, thoughts: oneAnswer}).with(rare),
		secureScenario("tls13-chain-24k", "A chain of certificates above the first window, of two records", secure{chain: 24_000, thoughts: oneAnswer}),
		secureScenario("tls12-chain-24k", "TLS 1.2: a chain of certificates above the first window", secure{version: v12, chain: 24_000, thoughts: oneAnswer}).with(rare),
		secureScenario("tls13-chain-24k-key-20ms", "The same with a key that takes 20 ms", secure{chain: 24_000, key: 20 * ms, thoughts: oneAnswer}, TLSWant{Takes: [2]time.Duration{0, 20 * ms}}).with(rare),

		// Around the end of the handshake.
		secureScenario("tls13-together", "The first request in one segment with the client's Finished", secure{together: true, thoughts: []time.Duration{20 * ms, 0}}),
		secureScenario("tls13-ahead", "The server sends data before the client's Finished (0.5-RTT data)", secure{ahead: true, thoughts: []time.Duration{20 * ms, 0}}),
		secureScenario("tls13-at-once", "A server that answers at once", secure{thoughts: []time.Duration{0, 0}}).with(rare),
		secureScenario("tls12-at-once", "TLS 1.2: a server that answers at once", secure{version: v12, thoughts: []time.Duration{0, 0}}).with(rare),

		// Failures.
		secureScenario("tls12-no-cipher", "No cipher suite in common: handshake_failure", secure{version: v12, fails: true,
			client: func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} }},
			TLSWant{Outcome: "failed", Version: "none", Alert: "server handshake_failure"}),
		secureScenario("tls-no-version", "No version in common: protocol_version", secure{fails: true,
			client: func(c *tls.Config) { c.MinVersion, c.MaxVersion = v12, v12 }},
			TLSWant{Outcome: "failed", Version: "none", Alert: "server protocol_version"}).with(rare),
		secureScenario("tls12-bad-certificate", "TLS 1.2: the client refuses the server's certificate", secure{version: v12, client: badCA, fails: true},
			TLSWant{Outcome: "failed", Alert: "client bad_certificate"}),
		secureScenario("tls13-bad-certificate", "TLS 1.3: the client refuses the server's certificate; the alert is encrypted", secure{client: badCA, fails: true},
			TLSWant{Outcome: "failed_encrypted", Sealed: "client bad_certificate"}),
		secureScenario("tls12-client-refused", "TLS 1.2: the server refuses the client's certificate", secure{version: v12, mutual: true, server: refuseClient, fails: true},
			TLSWant{Outcome: "failed", ClientCertificate: true, Alert: "server unknown_ca"}).with(rare),
		secureScenario("tls13-client-refused", "TLS 1.3: the server refuses the client's certificate, which is after the client's Finished",
			secure{mutual: true, server: refuseClient, fails: true},
			TLSWant{Outcome: "failed_after_finished", ClientCertificate: true, Sealed: "server unknown_ca"}),
		secureScenario("tls13-no-client-certificate", "TLS 1.3: the server wants a certificate that the client has not", secure{server: refuseClient, fails: true},
			TLSWant{Outcome: "failed_after_finished", Sealed: "server certificate_required"}).with(rare),
		secureScenario("tls13-no-lookup", "The server finds no certificate for the name", secure{fails: true, server: func(c *tls.Config) {
			c.Certificates, c.GetCertificate = nil, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("unknown name") }
		}}, TLSWant{Outcome: "failed", Version: "none", Alert: "server internal_error"}).with(rare),
		secureScenario("tls-left", "The client closes after its ClientHello", secure{instead: leave(false), fails: true},
			TLSWant{Outcome: "abandoned", Version: "1.3"}).with(endsAs()),
		secureScenario("tls-reset", "The client resets after its ClientHello", secure{instead: leave(true), fails: true, resets: true},
			TLSWant{Outcome: "abandoned", Version: "any"}).with(endsAs("reset"), rare),
		secureScenario("plain-to-tls", "HTTP in the clear to a server of TLS", secure{instead: plainRequest, fails: true},
			TLSWant{Outcome: "not_tls"}).with(func(s *Scenario) { s.Speaks.HTTP = 0 }),
		secureScenario("tls-to-plain", "A ClientHello to a server of HTTP in the clear", secure{},
			TLSWant{Outcome: "not_tls"}).with(func(s *Scenario) { s.Load, s.Speaks.HTTP = toPlain, 0 }),
	}
}

// lostHandshakes lose one segment of each flight, before and behind the middle tap.
func lostHandshakes() []Scenario {
	var out []Scenario
	for _, tc := range []struct {
		name, what string
		l          secure
		from       Direction
		rule       Rule
	}{
		{"tls13-lost-hello", "The ClientHello lost", secure{}, FromClient, drop(octet(0, 1))},
		{"tls13-lost-first", "The first segment of the server's flight lost", secure{chain: fiveSegments}, FromServer, drop(octet(0, 1))},
		{"tls13-lost-middle", "A segment in the middle of the server's flight lost", secure{chain: fiveSegments}, FromServer, drop(octet(3000, 1))},
		{"tls13-lost-last", "The last segment of the server's flight lost", secure{chain: fiveSegments}, FromServer, drop(octet(6000, 1))},
		{"tls13-lost-finished", "The client's Finished lost", secure{}, FromClient, drop(nth(Data, 2))},
		{"tls12-lost-hello", "TLS 1.2: the ClientHello lost", secure{version: v12}, FromClient, drop(octet(0, 1))},
		{"tls12-lost-middle", "TLS 1.2: a segment in the middle of the server's flight lost", secure{version: v12, chain: fiveSegments}, FromServer, drop(octet(3000, 1))},
		{"tls12-lost-key-exchange", "TLS 1.2: the client's second flight lost", secure{version: v12}, FromClient, drop(nth(Data, 2))},
		{"tls12-lost-finished", "TLS 1.2: the server's Finished lost", secure{version: v12}, FromServer, drop(nth(Data, 2))},
	} {
		for hop, place := range []string{"before", "behind"} {
			// The server's packets pass the hops the other way round.
			at := hop
			if tc.from == FromServer {
				at = 1 - hop
			}
			l := tc.l
			l.thoughts = oneAnswer
			s := secureScenario(tc.name+"-"+place, tc.what+" "+place+" the middle tap", l).with(losing(at, tc.from, tc.rule))
			s.Want.Repeats[tc.from] = between(1, 3)
			s.Want.Repeats[1-tc.from] = between(0, 1)
			s.Rare = tc.name != "tls13-lost-hello" && tc.name != "tls13-lost-middle"
			out = append(out, s)
		}
	}
	return out
}
