package netlab

import (
	"crypto/tls"
	"time"
)

// thoughts are the times to think that a server is measured with; long is one more.
var (
	thoughts = []time.Duration{0, 1 * ms, 5 * ms, 20 * ms, 100 * ms}
	long     = []time.Duration{800 * ms}
)

// each is a connection for each of them, with two requests.
func each(thoughts []time.Duration) (conns [][]fetch) {
	for _, think := range thoughts {
		conns = append(conns, []fetch{{think: think}, {think: think}})
	}
	return conns
}

// webScenario completes a scenario of HTTP.
func webScenario(name, shows string, l web) Scenario {
	s := Scenario{
		Name: name, Shows: shows, Plan: uneven, Load: l.load, Port: 80, Speaks: Speaks{TLS: l.tls != 0, HTTP: 1},
		Want: Want{Outcomes: []string{"closed"}, Turns: len(l.conns[0])},
	}
	if l.h2 {
		s.Speaks.HTTP = 2
	}
	switch l.tls {
	case v12:
		s.Port, s.Want.TLS = 443, []TLSWant{{Version: "1.2"}, {Version: "1.2", Resumed: true}}
	case tls.VersionTLS13:
		s.Port, s.Want.TLS = 443, []TLSWant{{}, {Resumed: true}}
	}
	return s
}

// webScenarios are requests and responses.
var webScenarios = []Scenario{
	webScenario("http-think", "HTTP/1.1: five connections, the server thinks for 0, 1, 5, 20 and 100 ms", web{conns: each(thoughts)}),
	webScenario("http-keep-alive", "HTTP/1.1: ten requests on a connection, responses of all sizes", web{conns: [][]fetch{{
		{think: 5 * ms}, {think: 1 * ms, response: []int{0}}, {think: 20 * ms, response: []int{60_000}}, {think: 5 * ms, status: 404}, {response: []int{100}},
		{think: 20 * ms, response: []int{3000, 3000, 3000}, rest: 15 * ms}, {think: 5 * ms, status: 503}, {think: 1 * ms}, {think: 5 * ms}, {think: 20 * ms},
	}}}).with(underWorseTaps),
	webScenario("http-upload", "HTTP/1.1: bodies that come slowly, in pieces and in chunks", web{conns: [][]fetch{{
		{think: 20 * ms, body: []int{2000, 2000, 2000}, pause: 40 * ms}, {think: 5 * ms, body: []int{500, 500, 500, 500}, pause: 15 * ms, chunked: true},
		{think: 20 * ms, body: []int{40_000}}, {body: []int{300}, pause: 30 * ms},
	}}}),
	webScenario("http-continue", "HTTP/1.1: a client that waits for 100 Continue", web{conns: [][]fetch{{
		{think: 20 * ms, body: []int{3000}, expect: true}, {think: 5 * ms, body: []int{100, 100}, pause: 20 * ms, expect: true}, {think: 5 * ms},
	}}}),
	webScenario("http-pipelined", "HTTP/1.1: three requests before the first response", web{conns: [][]fetch{{
		{think: 20 * ms, next: true}, {think: 5 * ms, next: true}, {think: 20 * ms}, {think: 5 * ms},
	}}}),
	webScenario("http-loss", "HTTP/1.1: a request lost behind the middle tap, a response before it", web{conns: [][]fetch{{
		{think: 20 * ms}, {think: 20 * ms}, {think: 20 * ms}, {think: 20 * ms}, {think: 20 * ms},
	}}}).with(losing(1, FromClient, drop(nth(Data, 2))), losing(1, FromServer, drop(nth(Data, 4))), repeating(between(1, 2), between(1, 2))),
	webScenario("h2c", "HTTP/2 in the clear: requests one after the other", web{h2: true, conns: each(thoughts)}),
	webScenario("h2c-concurrent", "HTTP/2 in the clear: requests at the same time", web{h2: true, conns: [][]fetch{{
		{think: 5 * ms}, {think: 100 * ms, next: true}, {think: 20 * ms, next: true}, {think: 5 * ms, response: []int{50_000}, next: true},
		{think: 20 * ms, body: []int{2000, 2000}, pause: 30 * ms, next: true}, {think: 1 * ms},
	}}}),
	webScenario("https13-think", "HTTPS over TLS 1.3: the server thinks for 0, 1, 5, 20 and 100 ms", web{tls: tls.VersionTLS13, conns: each(thoughts)}),
	webScenario("https12-think", "HTTPS over TLS 1.2: the same", web{tls: v12, conns: each(thoughts)}),
	webScenario("http-think-long", "HTTP/1.1: the server thinks for 800 ms", web{conns: each(long)}).with(rare),
	webScenario("h2c-long", "HTTP/2 in the clear: the server thinks for 800 ms", web{h2: true, conns: each(long)}).with(rare),
	webScenario("https13-think-long", "HTTPS over TLS 1.3: the server thinks for 800 ms", web{tls: tls.VersionTLS13, conns: each(long)}).with(rare),
	webScenario("https12-think-long", "HTTPS over TLS 1.2: the server thinks for 800 ms", web{tls: v12, conns: each(long)}).with(rare),
	webScenario("https13-upload", "HTTPS: bodies that come slowly", web{tls: tls.VersionTLS13, conns: [][]fetch{{
		{think: 20 * ms, body: []int{2000, 2000, 2000}, pause: 40 * ms}, {think: 5 * ms, body: []int{20_000}}, {body: []int{300}, pause: 30 * ms}, {think: 20 * ms},
	}}}).with(rare),
	webScenario("https-h2", "HTTP/2 over TLS 1.3: requests at the same time", web{tls: tls.VersionTLS13, h2: true, conns: [][]fetch{{
		{think: 5 * ms}, {think: 100 * ms, next: true}, {think: 20 * ms, next: true}, {think: 5 * ms},
	}}}),
}
