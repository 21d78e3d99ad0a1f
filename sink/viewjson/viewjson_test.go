package viewjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"mirrorscope/dnsmeta"
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

const day = 86400

// records are a TLS connection, HTTP in the clear and a DNS lookup, and the
// hostile ones of sinktest.
func records() []flow.Record {
	secure := sinktest.TCP()
	secure.Ends[flow.Server].Name = sinktest.Hostile
	secure.Distributions = sinktest.Distributions()
	secure.Phases = &session.Phases{TCP: 812_000, TLS: 40e6, Server: 4e9}
	secure.TLS = &session.TLS{
		Info: tlsmeta.Info{
			Version: 0x0303, SNI: "shop.example", Cipher: 0xc02f, Group: 29, ALPN: "h2", JA4: "t12d1011h2_a8cf61a50a39_a92c7c6a82fe", Outcome: tlsmeta.Completed,
			Certificates: []tlsmeta.Certificate{
				{Subject: "CN=shop.example", Issuer: "CN=" + sinktest.Hostile, SAN: []string{"shop.example", sinktest.Hostile}, NotAfter: sinktest.Start/1e9 + 12*day + 100, SHA256: [32]byte{0xab}},
				{Subject: "CN=old", NotAfter: sinktest.Start/1e9 - 3*day, SHA256: [32]byte{1}}, {Subject: "CN=new", NotBefore: sinktest.Start/1e9 + 3*day, NotAfter: sinktest.Start/1e9 + 99*day, SHA256: [32]byte{2}},
			},
		},
		Handshake: session.Handshake{State: tcp.Measured, Total: 40_000_500, Perceived: 41e6, Network: 20e6, Server: 20e6, Client: 500},
	}
	failed := secure
	failed.Ends[flow.Client].Port++
	failed.TLS = &session.TLS{Info: tlsmeta.Info{SNI: "shop.example", JA4: "x", Outcome: tlsmeta.Failed, Alert: &tlsmeta.Alert{Client: true, Description: 48}}}

	web := sinktest.TCP()
	web.Ends[flow.Server].Port = 8080
	web.HTTP = &httpmeta.Info{}
	for i := range 4 {
		web.HTTP.Add(&httpmeta.Exchange{Method: "GET", Host: sinktest.Hostile, Path: "/x", Status: []int{200, 503, 404, 0}[i], GRPC: -1, Requested: true}, int64(i+1)*1e6)
	}
	web.Phases = &session.Phases{Close: 700e6}

	waiting := web
	waiting.Ends[flow.Server].Port, waiting.EndReason, waiting.End = 8081, flow.EndForced, web.End-200e6
	waiting.HTTP, waiting.Outcome, waiting.Phases = &httpmeta.Info{}, flow.Established, &session.Phases{}
	for range 2 {
		waiting.HTTP.Add(&httpmeta.Exchange{Method: "GET", Host: "a", Path: "/wait", GRPC: -1, Requested: true}, tcp.Absent)
	}

	var refused [3]flow.Record
	for i := range refused {
		refused[i] = sinktest.TCP()
		refused[i].Ends[flow.Server].Port, refused[i].Outcome, refused[i].TCP.Response = 8082, flow.Refused, tcp.Response{}
	}
	refused[2].Outcome = flow.Timeout

	lookup := sinktest.TCP()
	lookup.Proto, lookup.HasTCP, lookup.HasHandshake, lookup.Outcome, lookup.Ends[flow.Server].Port = packet.ProtoUDP, false, false, flow.OutcomeNone, 53
	counts := dnsmeta.Counts{Queries: 3, Responses: 2, NXDOMAIN: 1, Timeouts: 1}
	lookup.DNS = &dnsmeta.Info{Counts: counts, Names: []dnsmeta.Name{{Name: sinktest.Hostile, Type: 28, Counts: counts}}}
	lookup.DNS.Time.Add(2_000_250)
	lookup.DNS.Names[0].Time.Add(2_000_250)
	return append(sinktest.Records(), secure, failed, web, lookup, waiting, refused[0], refused[1], refused[2])
}

// write gives the lines of a view, the capture's without.
func write(t *testing.T, c Config) []map[string]any {
	t.Helper()
	view := c.Edge.View
	c.Edge = edge.DefaultConfig()
	c.Edge.View = view
	var out bytes.Buffer
	w := New(&out, sinktest.Sample(), c, func(dst []byte, _ *flow.Capture) []byte { return append(dst, "{\"type\":\"capture\"}\n"...) })
	if err := w.Write(sinktest.Lend(records()...)); err != nil {
		t.Fatal(err)
	}
	capture := sinktest.Capture()
	capture.Last = sinktest.Start
	if err := w.Close(&capture); err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(out.Bytes()) || strings.ContainsAny(out.String(), "\x1b\u009b\u202e") {
		t.Errorf("%v: not safe: %q", view, out.String())
	}
	var rows []map[string]any
	for line := range strings.Lines(out.String()) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v: %v in %s", view, err, line)
		}
		rows = append(rows, row)
	}
	if last := rows[len(rows)-1]; last["type"] != "capture" {
		t.Errorf("%v: the last line is %v", view, last)
	}
	return rows[:len(rows)-1]
}

// at follows keys and indices into a row: "server.port", "alerts.0.by".
func at(row any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		switch x := row.(type) {
		case map[string]any:
			row = x[key]
		case []any:
			i := int(key[0] - '0')
			if i >= len(x) {
				return nil
			}
			row = x[i]
		default:
			return nil
		}
	}
	return row
}

// find gives the row with a value at a path.
func find(t *testing.T, rows []map[string]any, path string, value any) map[string]any {
	t.Helper()
	for _, r := range rows {
		if at(r, path) == value {
			return r
		}
	}
	t.Fatalf("no row with %s = %v in %v", path, value, rows)
	return nil
}

func demand(t *testing.T, row map[string]any, want map[string]any) {
	t.Helper()
	for path, value := range want {
		if got := at(row, path); got != value {
			t.Errorf("%s: %v, want %v", path, got, value)
		}
	}
}

func TestConversations(t *testing.T) {
	rows := write(t, Config{})
	secure := find(t, rows, "tls.connections", 2.0)
	demand(t, secure, map[string]any{
		"type": "conversation", "network": "shop", "protocol": "tcp", "server.port": 443.0, "server.name": "shop.example",
		"tls.failed": 1.0, "tls.outcomes.failed": 1.0, "tls.alerts.0.by": "client", "tls.alerts.0.description": "unknown_ca",
		"tls.handshake.p50_us": 40000.5, "tls.handshake_perceived.max_us": 41000.0, "tls.observation_points.0.count": 2.0, "tls.observation_points.0.value": "vxlan 4660 10.0.0.5", "tls.handshake_server.max_us": 20000.0, "tls.versions.0.value": "1.2", "tls.versions.0.count": 1.0,
		"response.state": "measured", "retransmits.client.state": "bounded", "rtt.state": "measured", "observation_points.0": "vxlan 4660 10.0.0.5",
	})
	for _, key := range []string{"verdict.text", "verdict.evidence.connections", "verdict.evidence.capture_loss_ratio", "phases.tcp_us", "handshake.p95_us"} {
		if at(secure, key) == nil {
			t.Errorf("no %s", key)
		}
	}
	lookup := find(t, rows, "requests.dns.queries", 3.0)
	demand(t, lookup, map[string]any{
		"requests.errors": 1.0, "requests.error_ratio": 0.3333, "response.state": "bounded", "response.max_us": 2000.25,
		"outcomes": nil, "phases": nil, "retransmits": nil, "rtt": nil, "capture": nil, "tls": nil, "handshake": nil, "server.name": nil,
		"verdict.who": "network", "requests.unknown": 0.0,
	})
	web := find(t, rows, "requests.http.requests", 4.0)
	demand(t, web, map[string]any{"requests.http.aborted": 1.0, "requests.no_response.wait_p50_us": 700000.0, "requests.no_response.samples": 1.0, "requests.open": nil, "requests.errors": 2.0, "requests.error_ratio": 0.5})
	open := find(t, rows, "requests.open.requests", 2.0)
	demand(t, open, map[string]any{"requests.requests": 2.0, "requests.unknown": 2.0, "requests.errors": 0.0, "requests.error_ratio": nil, "requests.http.unknown": 2.0, "requests.no_response": nil})
	if v, ok := at(open, "requests.open.wait_max_us").(float64); !ok || v < 100_000 {
		t.Errorf("open for %v µs", v)
	}
	refused := find(t, rows, "requests.failed_before_request", 3.0)
	demand(t, refused, map[string]any{"verdict.also.0.who": "network", "verdict.also.0.text": "1 of 3 connections got no answer to the SYN: dropped on the way, or the host is down"})
	icmp := find(t, rows, "protocol", "icmp")
	demand(t, icmp, map[string]any{"server.port": nil, "requests": nil, "response": nil, "verdict.who": "none"})

	if first := write(t, Config{Sort: edge.ByRequests, Limit: 1}); len(first) != 1 || at(first[0], "protocol") != "tcp" {
		t.Errorf("first by requests: %v", first)
	}
}

func TestTLSServers(t *testing.T) {
	rows := write(t, Config{Sort: edge.ByConnections, CertificateDays: 30, Edge: edge.Config{View: edge.ViewTLS}})
	demand(t, find(t, rows, "type", "tls_server"), map[string]any{
		"server_name": "shop.example", "server.ip": "10.1.0.9", "server.port": 443.0, "tls.connections": 2.0, "ciphers.0.value": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"groups.0.value": "x25519", "alpn.0.value": "h2", "ja4.1.count": 1.0,
	})
	demand(t, find(t, rows, "subject", "CN=shop.example"), map[string]any{
		"type": "certificate", "state": "expiring", "days_left": 12.0, "issuing": false, "connections": 1.0, "san.0": "shop.example", "sha256": "ab" + strings.Repeat("0", 62),
		"not_before": "1970-01-01T00:00:00.000000000Z",
	})
	demand(t, find(t, rows, "subject", "CN=old"), map[string]any{"state": "expired", "days_left": -3.0, "issuing": true})
	demand(t, find(t, rows, "subject", "CN=new"), map[string]any{"state": "not_yet_valid"})
	if rows := write(t, Config{CertificateDays: 0, Edge: edge.Config{View: edge.ViewTLS}}); len(rows) != 3 {
		t.Errorf("%d rows, want the server, and two certificates that are not valid", len(rows))
	}
}

func TestDNSNames(t *testing.T) {
	rows := write(t, Config{Sort: edge.ByRequests, Edge: edge.Config{View: edge.ViewDNS}})
	demand(t, rows[0], map[string]any{
		"type": "dns_name", "protocol": "dns", "server.ip": "10.1.0.9", "server.port": nil, "query_type": "AAAA", "queries": 3.0, "repeats": 0.0, "nxdomain": 1.0, "timeouts": 1.0,
		"response.p50_us": 2000.25, "response.state": "bounded",
	})
}

func TestEndpoints(t *testing.T) {
	rows := write(t, Config{Sort: edge.ByRequests, Edge: edge.Config{View: edge.ViewHTTP}})
	demand(t, rows[0], map[string]any{
		"type": "http_endpoint", "server.port": 8080.0, "method": "GET", "path": "/x", "requests": 4.0, "status.2xx": 1.0, "status.5xx": 1.0, "status.3xx": nil, "unanswered": 1.0, "unknown": 0.0,
		"4xx_ratio": 0.25, "5xx_ratio": 0.25, "grpc_error_ratio": nil, "response.samples": 3.0, "response.state": "measured",
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteErrors(t *testing.T) {
	for view := range edge.Views() {
		w := New(broken{}, sinktest.Sample(), Config{Edge: edge.Config{Conversations: 10, Rows: 10, View: edge.View(view)}}, func(dst []byte, _ *flow.Capture) []byte { return append(dst, '\n') })
		if err := w.Write(sinktest.Lend(records()...)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(&flow.Capture{}); err == nil || fmt.Sprint(err) != "disk full" {
			t.Errorf("%v: %v", edge.View(view), err)
		}
	}
}
