package jsonl

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/edge/group"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/internal/golden"
	"mirrorscope/internal/needs"
	"mirrorscope/sink/sinktest"
)

// conversations gives the lines of records that are grouped, and the records'.
func conversations(t *testing.T, c group.Config, records []flow.Record) []byte {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	names := sinktest.Sample()
	g := NewGrouped(&out, names, false, func(emit func(*group.Window)) *group.Table {
		return group.New(c, enrich.New(enrich.DefaultConfig()).NewNamer(names), func(uint8) string { return "any" }, emit)
	})
	if err := g.Write(sinktest.Lend(records...)); err != nil {
		t.Fatal(err)
	}
	x := sinktest.Capture()
	if err := g.Close(&x); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func groupBy(keys ...string) group.Config {
	c := group.DefaultConfig()
	c.GroupBy = keys
	return c
}

// only gives the lines of a type.
func only(lines []byte, kind string) (some []byte) {
	for line := range bytes.Lines(lines) {
		if bytes.HasPrefix(line, []byte(`{"type":"`+kind+`"`)) {
			some = append(some, line...)
		}
	}
	return some
}

// everything is of all protocols, with hostile names.
func everything() []flow.Record {
	records := append(append(sinktest.Records(), sinktest.Sessions()...), sinktest.Odd())
	for seed := range uint64(50) {
		r := sinktest.Random(seed, sinktest.Hostile)
		if r.Kind == flow.Connection {
			r.Joined = false
			records = append(records, r)
		}
	}
	return records
}

func TestConversationsGolden(t *testing.T) {
	got := conversations(t, groupBy("client.ip", "server.service", "observation_point", "sni"), append(sinktest.Records(), sinktest.Sessions()...))
	golden.Equal(t, filepath.Join("testdata", "conversations.jsonl"), only(got, "conversation"))
}

// Every line is an object in which no name comes twice, whatever is in the records.
func TestConversationsAreJSON(t *testing.T) {
	for _, keys := range [][]string{{"client.service", "server.service"}, {"observation_point", "sni", "tls_version", "network", "protocol", "ip_version"}, {"server.port", "client.domain"}} {
		c := groupBy(keys...)
		c.Rows = 5
		lines, rows, others := conversations(t, c, everything()), 0, 0
		for line := range bytes.Lines(lines) {
			o := decode(t, line)
			unique(t, line)
			if o["type"] != "conversation" {
				continue
			}
			rows++
			if o["other"] == true {
				others++
				if o["group"] != nil {
					t.Errorf("other has values: %s", line)
				}
			}
		}
		if rows < 2 || others != 1 {
			t.Errorf("by %v: %d rows, %d of them other", keys, rows, others)
		}
	}
}

// unique fails where a name comes twice in an object.
func unique(t *testing.T, line []byte) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	var stack []map[string]bool // nil: an array
	name := true
	for {
		token, err := d.Token()
		if err != nil {
			return
		}
		switch x := token.(type) {
		case json.Delim:
			switch x {
			case '{':
				stack, name = append(stack, map[string]bool{}), true
				continue
			case '[':
				stack = append(stack, nil)
				continue
			}
			stack = stack[:len(stack)-1]
		case string:
			if top := len(stack) - 1; name && top >= 0 && stack[top] != nil {
				if stack[top][x] {
					t.Fatalf("%q comes twice in %s", x, line)
				}
				stack[top][x] = true
				name = false
				continue
			}
		}
		name = true
	}
}

// The reference names every field.
func TestConversationsReference(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(needs.Repository(t), "docs", "reference", "record.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "\n## conversation\n")
	text, _, ended := strings.Cut(after, "\n## capture\n")
	if !found || !ended {
		t.Fatal("record.md has no section on conversations")
	}
	for line := range bytes.Lines(only(conversations(t, groupBy("client.service"), everything()), "conversation")) {
		o := decode(t, line)
		delete(o, "group")
		v, ok := o["verdict"].(map[string]any)
		if !ok {
			t.Fatalf("no verdict: %s", line)
		}
		delete(v, "evidence") // verdict.md has the figures
		fields(o, func(name string) {
			if !strings.Contains(text, "`"+name+"`") && !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("record.md does not name `%s`", name)
			}
		})
		for name := range o {
			if !strings.Contains(text, "`"+name+"`") && name != "type" {
				t.Errorf("the section on conversations does not name `%s`", name)
			}
		}
	}
}

// Windows come in their time, ahead of the records behind them.
func TestConversationsInOrder(t *testing.T) {
	c := groupBy("protocol")
	c.Interval, c.Window = time.Second, time.Second
	a := sinktest.TCP()
	a.Release = a.End + 1
	b := a
	b.ID, b.Start, b.End, b.Release = a.ID+1, a.Start+60e9, a.End+60e9, a.Release+60e9
	var kinds []string
	for line := range bytes.Lines(conversations(t, c, []flow.Record{a, b})) {
		kinds = append(kinds, decode(t, line)["type"].(string))
	}
	if got := strings.Join(kinds, " "); got != "connection conversation connection conversation capture" {
		t.Errorf("%s", got)
	}
}
