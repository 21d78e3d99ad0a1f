package httpmeta

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"mirrorscope/packet"
)

func exchange(method, path string, status, grpc int) *Exchange {
	return &Exchange{Version: HTTP11, Method: method, Host: "h", Path: path, Status: status, GRPC: grpc, Requested: method != "", RequestBytes: 1, ResponseBytes: 10}
}

// view is an Info or Table in a form that can be compared.
func view(t *testing.T, i *Info) string {
	t.Helper()
	type endpoint struct {
		Name            string
		Requests        int64
		Status          [6]int64
		GRPC, GRPCError int64
		Think           string
	}
	of := func(p *Endpoint) endpoint {
		h := &p.Response
		return endpoint{p.Method + " " + p.Host + p.Path, p.Requests, p.Status, p.GRPC, p.GRPCError, fmt.Sprint(h.Count(), h.Sum(), h.Min(), h.Max(), h.Buckets())}
	}
	c := *i
	c.Endpoints, c.Other = nil, Endpoint{}
	var all []endpoint
	for j := range i.Endpoints {
		all = append(all, of(&i.Endpoints[j]))
	}
	b, err := json.MarshalIndent(struct {
		Info      Info
		Endpoints []endpoint
		Other     endpoint
	}{c, all, of(&i.Other)}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestInfoAdd(t *testing.T) {
	var i Info
	i.Add(exchange("GET", "/a", 200, -1), 5000)
	i.Add(exchange("GET", "/a", 503, -1), 7000)
	i.Add(exchange("GET", "/a", 404, -1), -1) // think unknown
	i.Add(exchange("POST", "/b", 200, 0), 1000)
	i.Add(exchange("POST", "/b", 200, 13), 0)
	i.Add(exchange("POST", "/b", 0, -1), -1) // aborted
	broken := exchange("POST", "/b", 0, -1)
	broken.Broken = true
	i.Add(broken, -1) // missed
	broken = exchange("POST", "/b", 201, -1)
	broken.Broken = true
	i.Add(broken, 99999)                 // its time does not count
	i.Add(exchange("", "", 302, -1), -1) // orphan
	i.Add(exchange("", "", 0, -1), -1)   // says nothing
	i.Add(exchange("GET", "/c", 999, 2), 3000)
	nameless := exchange("", "", 200, -1)
	nameless.Requested, nameless.Version, nameless.Upgraded = true, HTTP2, "h2c"
	i.Add(nameless, 4000)
	i.AddLosses(Losses{Lost: 1, Untracked: 2})

	want := Info{Version: HTTP2, Requests: 10, Responses: 9, Status: [6]int64{0: 1, 2: 5, 3: 1, 4: 1, 5: 1}, GRPC: 3, GRPCError: 2, Aborted: 1, Missed: 1, Orphans: 1,
		RequestBytes: 12, ResponseBytes: 120, Upgraded: "h2c", Losses: Losses{Lost: 1, Untracked: 2}}
	want.Endpoints = []Endpoint{
		{Method: "GET", Host: "h", Path: "/a", Requests: 3, Status: [6]int64{2: 1, 4: 1, 5: 1}},
		{Method: "POST", Host: "h", Path: "/b", Requests: 5, Status: [6]int64{2: 3}, GRPC: 2, GRPCError: 1},
		{Method: "GET", Host: "h", Path: "/c", Requests: 1, Status: [6]int64{0: 1}, GRPC: 1, GRPCError: 1},
	}
	want.Other = Endpoint{Requests: 1, Status: [6]int64{2: 1}}
	for p, ns := range map[*Endpoint][]int64{&want.Endpoints[0]: {5000, 7000}, &want.Endpoints[1]: {1000, 0}, &want.Endpoints[2]: {3000}, &want.Other: {4000}} {
		for _, n := range ns {
			p.Response.Add(n)
		}
	}
	if g, w := view(t, &i), view(t, &want); g != w {
		t.Errorf("got %s\nwant %s", g, w)
	}

	client, server, grpc, ok := i.Endpoints[0].Rates()
	if fmt.Sprintf("%.3f %.3f %.3f %v", client, server, grpc, ok) != "0.333 0.333 0.000 true" {
		t.Errorf("rates of /a: %v %v %v %v", client, server, grpc, ok)
	}
	if _, _, grpc, _ = i.Endpoints[1].Rates(); grpc != 0.5 {
		t.Errorf("gRPC errors of /b: %v, want 0.5", grpc)
	}
	if _, _, _, ok = new(Endpoint).Rates(); ok {
		t.Error("there are rates of no requests")
	}
}

// TestInfoLaws: parts add up to the whole, in any parts; a clone and the
// original do not touch each other; Reset leaves nothing.
func TestInfoLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var whole, sum, part Info
		for n := range 300 {
			e := exchange("GET", fmt.Sprint("/", rng.IntN(80)), rng.IntN(7)*100, rng.IntN(4)-1)
			e.Broken, e.Requested = rng.IntN(5) == 0, rng.IntN(9) > 0
			think := rng.Int64N(1e6) - 1
			whole.Add(e, think)
			part.Add(e, think)
			if rng.IntN(20) == 0 || n == 299 {
				before := view(t, &part)
				sum.Merge(&part)
				if view(t, &part) != before {
					t.Fatal("Merge changed what was merged")
				}
				part.Reset()
				if !part.Empty() || view(t, &part) != view(t, &Info{}) {
					t.Fatalf("after Reset: %s", view(t, &part))
				}
			}
		}
		// Which endpoints find a place does not depend on the parts as long
		// as they are met in the same order.
		if g, w := view(t, &sum), view(t, &whole); g != w {
			t.Fatalf("sum of the parts\n%s\nwhole\n%s", g, w)
		}
		if len(whole.Endpoints) != MaxEndpoints || whole.Other.Requests == 0 {
			t.Fatalf("%d endpoints, %d requests of others: the bound is not met", len(whole.Endpoints), whole.Other.Requests)
		}
		clone, before := whole.Clone(), view(t, &whole)
		if view(t, clone) != before {
			t.Fatal("the clone differs")
		}
		clone.Merge(&sum)
		if view(t, &whole) != before {
			t.Fatal("the clone changed the original")
		}
	}
}

func TestTable(t *testing.T) {
	server := func(ip string, port uint16, network packet.NetworkID) Server {
		return Server{packet.AddrFrom(netip.MustParseAddr(ip)), port, network}
	}
	a, b, c := server("10.0.0.1", 80, 0), server("10.0.0.2", 80, 0), server("10.0.0.1", 80, 1)
	var one, two Info
	one.Add(exchange("GET", "/a", 200, -1), 1000)
	one.Add(exchange("GET", "/b", 500, -1), 2000)
	two.Add(exchange("GET", "/a", 404, -1), 3000)
	two.Add(exchange("GET", "/a", 200, -1), 4000)
	nameless := exchange("", "", 200, -1)
	nameless.Requested = true
	two.Add(nameless, -1)

	table := Table{Max: 6}
	for range 2 { // the second time after Reset
		table.Reset()
		table.Add(a, &one)
		table.Add(b, &two)
		table.Add(a, &two)
		table.Add(c, &one) // finds one row of two
		var got string
		for _, r := range table.Rows() {
			got += fmt.Sprintf("%d %s:%d %s %s %d %v %d\n", r.Server.Network, r.Server.Addr.IP(), r.Server.Port, r.Method, r.Path, r.Requests, r.Status, r.Response.Sum())
		}
		want := `0 10.0.0.1:80 GET /a 3 [0 0 2 0 1 0] 8000
0 10.0.0.2:80 GET /a 2 [0 0 1 0 1 0] 7000
0 10.0.0.1:80   1 [0 0 1 0 0 0] 0
0 10.0.0.1:80 GET /b 1 [0 0 0 0 0 1] 2000
0 10.0.0.2:80   1 [0 0 1 0 0 0] 0
1 10.0.0.1:80 GET /a 1 [0 0 1 0 0 0] 1000
`
		if got != want {
			t.Errorf("rows\n%swant\n%s", got, want)
		}
		if table.Other.Requests != 1 || table.Other.Status[5] != 1 || table.Len() != 6 {
			t.Errorf("others %+v, %d rows", table.Other, table.Len())
		}
	}
	if one.Endpoints[0].Requests != 1 || one.Endpoints[0].Response.Count() != 1 {
		t.Error("Add changed what was added")
	}
}
