package dnsmeta

import (
	"fmt"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestTable(t *testing.T) {
	flow := func(p Protocol, pairs ...string) *Info {
		c := newConn(p)
		for k, name := range pairs {
			at := epoch + int64(k)*s
			c.Datagram(true, ask(uint16(k), name, a4), false, at)
			if name[0] != '-' {
				c.Datagram(false, tell(uint16(k), name, a4, rcode(dnsmessage.RCode(name[0]-'0'))), false, at+int64(k+1)*ms)
			}
		}
		c.End(epoch + 60*s)
		return c.Info().Clone()
	}
	other := addr("10.0.0.54")
	table := NewTable(4, 2)
	table.Add(server, 1, flow(DNS, "0a.", "3b.", "0a.", "-c."))
	table.Add(server, 1, flow(DNS, "0a.", "2b."))
	table.Add(other, 1, flow(DNS, "0a.", "0d.", "0d."))
	table.Add(server, 2, flow(DNS, "0a.", "0a."))
	var rows []string
	for _, r := range table.Rows() {
		p50, p95, ok := Times(&r.Time)
		rows = append(rows, fmt.Sprint(r.Server.IP(), " ", r.Network, " ", r.Name.Name, " ", TypeName(r.Type), " ", r.Queries, r.NXDOMAIN, r.SERVFAIL, r.Timeouts, " ",
			int(p50/1e5+0.5), " ", int(p95/1e5+0.5), " ", ok))
	}
	want := []string{
		"10.0.0.53 1 0a A 3 0 0 0 10 30 true",
		"10.0.0.53 1 3b A 1 1 0 0 20 20 true",
		"10.0.0.53 1 2b A 1 0 1 0 20 20 true",
		"10.0.0.53 1 -c A 1 0 0 1 0 0 false",
	}
	// Of equal numbers the names are in order.
	want = []string{want[0], want[3], want[2], want[1]}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Errorf("rows\n%q\nwant\n%q", rows, want)
	}
	var servers []string
	for _, s := range table.Servers() {
		servers = append(servers, fmt.Sprint(s.Server.IP(), " ", s.Network, " ", s.Queries, s.NXDOMAIN, s.Timeouts, s.Other.Queries, s.RCodes[3], " ", s.Time.Count(), " ", len(s.Names)))
	}
	if want := []string{"10.0.0.53 1 6 1 1 0 1 5 0", "10.0.0.54 1 3 0 0 3 0 3 0"}; fmt.Sprint(servers) != fmt.Sprint(want) {
		t.Errorf("servers %q, want %q", servers, want)
	}
	if table.NoRow != 2 || table.NoServer != 1 || table.Other.Queries != 2 {
		t.Errorf("%d without a row, %d without a server, %+v", table.NoRow, table.NoServer, table.Other)
	}
	table.Reset()
	if len(table.Rows()) != 0 || len(table.Servers()) != 0 || table.NoRow != 0 {
		t.Error("not empty after Reset")
	}
}

// TestTableShares: what a table was given may change afterwards.
func TestTableShares(t *testing.T) {
	c := newConn(DNS)
	table := NewTable(0, 0)
	for k := range 50 {
		c.Datagram(true, ask(1, site, a4), false, epoch)
		c.Datagram(false, tell(1, site, a4), false, epoch+int64(k+1)*ms)
		table.Add(server, 0, c.Info())
		c.Info().Reset()
	}
	r := table.Rows()[0]
	if r.Time.Count() != 50 || r.Time.Max() != 50*ms || r.Time.Min() != ms || table.Servers()[0].Time.Sum() != 50*51/2*ms {
		t.Errorf("%d samples from %d to %d", r.Time.Count(), r.Time.Min(), r.Time.Max())
	}
}

func TestRegistry(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{TypeName(1), "A"}, {TypeName(65), "HTTPS"}, {TypeName(65280), "TYPE65280"}, {TypeName(0), "TYPE0"},
		{RCodeName(0), "NOERROR"}, {RCodeName(3), "NXDOMAIN"}, {RCodeName(12), "RCODE12"}, {RCodeName(16), "BADVERS"}, {RCodeName(23), "OTHER"}, {RCodeName(-1), "RCODE-1"},
		{DNS.String(), "dns"}, {MDNS.String(), "mdns"}, {LLMNR.String(), "llmnr"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s, want %s", tc.got, tc.want)
		}
	}
}
