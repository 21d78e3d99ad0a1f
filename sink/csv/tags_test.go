package csv

import (
	"bytes"
	stdcsv "encoding/csv"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/sink/sinktest"
)

// Tags are in columns behind all others, and what is in front of them is as it was.
func TestTags(t *testing.T) {
	r := enrich.New(enrich.DefaultConfig())
	r.Layer("x", enrich.RankCloud).Update(0, []enrich.Entry{
		{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Tags: enrich.Of("service", "a,b\"c", "security_group", "b;\n", "security_group", "a", "own/key", "x=y")},
	})
	records := sinktest.Records()
	records[0].Ends[flow.Client].Addr = sinktest.Addr("fd00::7")
	records[0].Ends[flow.Client].Name = ""
	var out bytes.Buffer
	w := New(&out, sinktest.Sample())
	w.Name(r.NewNamer(sinktest.Sample()))
	if err := w.Write(sinktest.Lend(records...)); err != nil {
		t.Fatal(err)
	}
	plain, err := stdcsv.NewReader(bytes.NewReader(write(t, records))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != len(records)+1 {
		t.Errorf("%d lines for %d records", n, len(records))
	}
	rows, err := stdcsv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		n := len(plain[i])
		if !slices.Equal(row[:n], plain[i]) {
			t.Errorf("row %d is another in front of the tags", i)
		}
		more := row[n:]
		switch {
		case len(more) != 4:
			t.Fatalf("%d columns more", len(more))
		case i == 0:
			if !slices.Equal(more, []string{"client_service", "server_service", "client_tags", "server_tags"}) {
				t.Errorf("columns %q", more)
			}
		case i == 1:
			if more[0] != enrich.Unresolved || more[2] != "" {
				t.Errorf("of an address that nobody knows: %q", more)
			}
		case rows[i][slices.Index(rows[0], "ip_version")] == "4":
			if more[0] != `a,b"c` || !strings.Contains(more[2], "own/key=x=y;security_group=a;security_group=b%3B\uFFFD;service=a,b\"c") {
				t.Errorf("row %d: %q", i, more)
			}
		}
	}
}
