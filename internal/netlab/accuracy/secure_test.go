package accuracy

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"mirrorscope/internal/netlab"
)

// TestSecureRows: a tool that is right, one that is wrong, one that is not sure of what is
// wrong and one that is silent, over a handshake and a request made up by hand.
func TestSecureRows(t *testing.T) {
	us := func(v float64) *float64 { return &v }
	truth := netlab.ConnectionTruth{
		Client: alice, Server: bob,
		TLS: &netlab.TLSTruth{
			Version: "1.3", Resumed: true, EarlyData: "none", Done: true, EndBy: netlab.FromServer, Unseen: true, // as in 1.2, for the client's half
			Total: us(20_000), AtClient: us(24_000), Clock: us(24_100),
			Shares: [2]netlab.ShareTruth{{Host: 1000, Tap: us(1200), Clock: us(900)}, {Host: 5000, Tap: us(4900), Clock: us(4800)}},
		},
		RTT:      [2]netlab.RTTTruth{{Min: us(4000)}, {Min: us(16_000)}},
		Response: []netlab.ResponseTruth{{Server: 30_000, Raw: us(46_100), Status: 200}, {Server: 70_000, Raw: us(86_000), Status: 404}},
	}
	s := netlab.Scenario{Speaks: netlab.Speaks{TLS: true, HTTP: 1}, Want: netlab.Want{Turns: 2, TLS: []netlab.TLSWant{{}}}}
	r := &netlab.Result{
		Taps:  map[string]string{"middle": ""},
		Truth: netlab.Truth{Captures: []netlab.CaptureTruth{{Name: "middle", Connections: []netlab.ConnectionTruth{truth}}}},
	}
	right := Connection{
		Client: alice, Server: bob, Duration: sure(200_000),
		Phases: map[string]float64{"tls_us": 20_010, "server_us": 100_000, "network_us": 79_990},
		TLS: TLS{
			Outcome: "completed", Version: "1.3", Resumed: "yes", HelloRetry: "no", EarlyData: "none", ClientCertificate: "no",
			Total: sure(20_200), Perceived: sure(24_200), Network: sure(14_100), Shares: [2]Value{sure(1100), sure(5000)},
		},
	}
	right.Response.Turns, right.Response.Min, right.Response.Median, right.Response.Max = sure(2), sure(30_050), sure(30_050), sure(70_000)
	wrong := right
	wrong.Duration = sure(210_000)
	wrong.Phases = map[string]float64{"tls_us": 30_000, "server_us": 90_000, "network_us": 80_000}
	wrong.TLS = TLS{
		Outcome: "failed", Version: "1.2", Resumed: "no", HelloRetry: "yes", EarlyData: "accepted", ClientCertificate: "yes", Alert: "server internal_error",
		Total: sure(26_000), Perceived: sure(30_000), Network: sure(1000), Shares: [2]Value{sure(2000), sure(6000)},
	}
	wrong.Response.Turns, wrong.Response.Min, wrong.Response.Median, wrong.Response.Max = sure(3), sure(20_000), sure(20_000), sure(90_000)
	unsure := wrong
	for _, v := range []*Value{&unsure.TLS.Total, &unsure.TLS.Perceived, &unsure.TLS.Network, &unsure.TLS.Shares[0], &unsure.TLS.Shares[1]} {
		v.Sure = false
	}
	table := NewTable(fake{"right", []Connection{right}}, fake{"wrong", []Connection{wrong}}, fake{"unsure", []Connection{unsure}}, fake{"silent", nil})
	if err := table.Add(s, r); err != nil {
		t.Fatal(err)
	}
	exact, withheld, off := [3]int{1, 0, 0}, [3]int{0, 1, 0}, [3]int{0, 0, 1}
	counts := [4][3]int{exact, off, off, withheld} // words and sums have no state of their own
	durations := [4][3]int{exact, off, withheld, withheld}
	three := [4][3]int{{3, 0, 0}, {0, 0, 3}, {0, 0, 3}, {0, 3, 0}}
	want := map[string][4][3]int{
		"TLS: outcome of the handshake": counts, "TLS: version": counts, "TLS: resumed or not": counts, "TLS: HelloRetryRequest or not": counts,
		"TLS: early data": counts, "TLS: certificate of the client or not": counts,
		"TLS: alert in the clear":                                                             {exact, off, off, {}},
		"TLS: duration, between the packets at the tap":                                       durations,
		"The same against the client's own clock, with the jitter of the path":                durations,
		"TLS: duration whose first or last packet was lost before the tap":                    durations,
		"TLS: the server's share":                                                             durations,
		"TLS: the client's share":                                                             durations,
		"TLS: the network's share":                                                            durations,
		"TLS: shares against the ends' own clocks, with their jitter and the path's":          {{2, 0, 0}, {0, 0, 2}, {0, 2, 0}, {0, 2, 0}},
		"TLS: shares sum to the duration":                                                     counts,
		"Think time, HTTPS over TLS 1.3":                                                      three,
		"Think time of all these, against the server's own time, with the jitter of the path": three,
		"HTTPS: requests and responses counted":                                               counts,
		"Phases of a connection sum to its duration":                                          counts,
		"TLS in the phases":                                                                   durations,
		"The server's time in the phases, TLS and HTTP":                                       counts,
	}
	for i, row := range Rows {
		w, ok := want[row.Name]
		if !ok {
			continue
		}
		delete(want, row.Name)
		for tool := range w {
			got := table.Score(i, tool)
			if [3]int{got.Exact, got.Withheld, got.Wrong} != w[tool] {
				t.Errorf("%s, %s: %d exact, %d withheld, %d wrong, want %v: %v", row.Name, table.Tools[tool].Name(), got.Exact, got.Withheld, got.Wrong, w[tool], got.Misses)
			}
		}
	}
	for name := range want {
		t.Errorf("no row %q", name)
	}
	for i, row := range Rows {
		if strings.HasPrefix(row.Name, "Think time, HTTP/") && table.Score(i, 0).N != 0 {
			t.Errorf("%s counts what goes over TLS", row.Name)
		}
	}
}

// TestSensorTLS reads what record.md says of TLS, HTTP and phases.
func TestSensorTLS(t *testing.T) {
	const text = `{"type":"connection","protocol":"tcp","client":{"ip":"10.2.0.1","port":1000},"server":{"ip":"10.2.0.2","port":80},"duration_us":300.5,
		"tls":{"version":"1.3","hello_retry":false,"resumed":true,"early_data":"rejected","client_certificate":false,"alert":{"by":"server","level":"fatal","description":"unknown_ca"},
			"outcome":"completed","handshake":{"state":"bounded","reasons":["lost_before_op"],"total_us":100,"perceived_us":110,"network_us":60,"server_us":30,"client_us":10}},
		"http":{"requests":5,"status":{"2xx":4,"5xx":1}},"phases":{"tls_us":100,"server_us":200.5,"overlap":true}}`
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	c := r.connection()
	bounded := func(v float64) Value { return Value{V: v, Known: true} }
	want := TLS{
		Outcome: "completed", Version: "1.3", Resumed: "yes", HelloRetry: "no", EarlyData: "rejected", ClientCertificate: "no", Alert: "server unknown_ca",
		Total: bounded(100), Perceived: bounded(110), Network: bounded(60), Shares: [2]Value{bounded(10), bounded(30)},
	}
	if c.TLS != want {
		t.Errorf("%+v, want %+v", c.TLS, want)
	}
	if c.Requests != sure(5) || !reflect.DeepEqual(c.Status, map[string]float64{"2xx": 4, "5xx": 1}) {
		t.Errorf("HTTP: %+v %v", c.Requests, c.Status)
	}
	if c.Duration != sure(300.5) || len(c.Phases) != 2 || c.Phases["server_us"] != 200.5 {
		t.Errorf("phases: %+v %v", c.Duration, c.Phases)
	}
	var bare record
	if err := json.Unmarshal([]byte(`{"type":"connection","client":{"ip":"10.2.0.1"},"server":{"ip":"10.2.0.2"},"tls":{"outcome":"incomplete"}}`), &bare); err != nil {
		t.Fatal(err)
	}
	if got := bare.connection(); got.TLS != (TLS{Outcome: "incomplete"}) || got.Requests.Known || got.Phases != nil {
		t.Errorf("%+v of a record that does not say", got)
	}
}
