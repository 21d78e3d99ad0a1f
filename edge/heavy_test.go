package edge

import (
	"fmt"
	"reflect"
	"testing"

	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/httpmeta"
)

// Names and endpoints that begin late are found behind a flood of others, and
// nothing is lost from the sum.
func TestHeavyRowsAreFoundLate(t *testing.T) {
	lookup := func(port int, name string, c dnsmeta.Counts) flow.Record {
		r := dnsRecord(uint16(port))
		r.DNS = &dnsmeta.Info{Counts: c, Names: []dnsmeta.Name{{Name: name, Type: 1, Counts: c}}}
		return r
	}
	visit := func(port int, path string, status int) flow.Record {
		r := record(uint16(port), 0, second)
		r.HTTP = &httpmeta.Info{}
		r.HTTP.Add(&httpmeta.Exchange{Method: "GET", Host: "a", Path: path, Status: status, GRPC: -1, Requested: true}, 1e6)
		return r
	}
	var names, paths []flow.Record
	for i := range 500 {
		names = append(names, lookup(i, fmt.Sprint(i, ".example"), dnsmeta.Counts{Queries: 1, Responses: 1, NXDOMAIN: 1}))
		paths = append(paths, visit(i, fmt.Sprint("/", i), 404))
		if i >= 400 && i%10 == 0 { // each ten more of the flood between
			names = append(names, lookup(i, "payments.example", dnsmeta.Counts{Queries: 1, Responses: 1, SERVFAIL: 1}))
			paths = append(paths, visit(i, "/checkout", 500))
		}
	}
	config := DefaultConfig()
	config.Rows = 16
	config.View = ViewDNS
	run := func(records []flow.Record) *Summary { return fold(config, records...) }
	n := run(names).DNS
	rows := n.Rows(ByErrors)
	if rows[0].Name.Name != "payments.example" || rows[0].Queries != 10 || len(rows) > 16 {
		t.Errorf("%d rows, the first %+v", len(rows), rows[0])
	}
	sum := n.Other.Queries
	for _, r := range rows {
		sum += r.Queries
	}
	if sum != 510 || n.Lack() == 0 || n.Lack() > 510/8 {
		t.Errorf("%d queries in all, a row may lack %d", sum, n.Lack())
	}
	if again := run(names).DNS.Rows(ByRequests); !reflect.DeepEqual(again, n.Rows(ByRequests)) {
		t.Error("another run gives other rows")
	}

	config.View = ViewHTTP
	e := run(paths).Endpoints
	endpoints := e.Rows(ByErrorRate)
	if endpoints[0].Path != "/checkout" || endpoints[0].Requests != 10 || endpoints[0].Status[5] != 10 || len(endpoints) > 16 {
		t.Errorf("%d endpoints, the first %+v", len(endpoints), endpoints[0])
	}
	sum = e.Other.Requests
	for _, r := range endpoints {
		sum += r.Requests
	}
	if sum != 510 || e.Other.Status[4] == 0 {
		t.Errorf("%d requests in all, %+v", sum, e.Other)
	}
}
