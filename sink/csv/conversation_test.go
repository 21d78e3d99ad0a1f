package csv

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	grouping "mirrorscope/edge/group"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/sink/jsonl"
	"mirrorscope/sink/sinktest"
)

// A row says what the conversation object says, but for its lists.
func TestGroupedEqualsJSON(t *testing.T) {
	records := append(sinktest.Records(), sessions()...)
	for seed := range uint64(100) {
		if r := sinktest.Random(seed, "a;b,\"c\r\n"); r.Kind == flow.Connection {
			r.Joined = false
			records = append(records, r)
		}
	}
	c := grouping.DefaultConfig()
	c.GroupBy, c.Rows = []string{"client.ip", "sni", "observation_point"}, 20
	names := sinktest.Sample()
	build := func(emit func(*grouping.Window)) *grouping.Table {
		return grouping.New(c, enrich.New(enrich.DefaultConfig()).NewNamer(names), func(uint8) string { return "any" }, emit)
	}
	var table, objects bytes.Buffer
	type output interface {
		Write([]*flow.Record) error
		Close(*flow.Capture) error
	}
	for _, w := range []output{NewGrouped(&table, build), jsonl.NewGrouped(&objects, names, false, build)} {
		if err := w.Write(sinktest.Lend(records...)); err != nil {
			t.Fatal(err)
		}
		x := sinktest.Capture()
		if err := w.Close(&x); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := stdcsv.NewReader(&table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for line := range bytes.Lines(objects.Bytes()) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var o map[string]any
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		if o["type"] != "conversation" {
			continue
		}
		i++
		v := o["verdict"].(map[string]any)
		delete(v, "evidence")
		delete(v, "also")
		want := map[string]string{}
		flatten(want, "", o)
		for c, name := range rows[0] {
			if got := rows[i][c]; got != want[name] {
				t.Errorf("row %d: %s = %q, JSON says %q", i, name, got, want[name])
			}
			delete(want, name)
		}
		for name := range want {
			if !strings.Contains(name, "distribution") {
				t.Errorf("row %d: no column for %s", i, name)
			}
		}
	}
	if i != len(rows)-1 || i < 10 {
		t.Errorf("%d objects, %d rows", i, len(rows)-1)
	}
	unique := map[string]bool{}
	for _, name := range rows[0] {
		if unique[name] {
			t.Errorf("two columns are called %s", name)
		}
		unique[name] = true
	}
}
