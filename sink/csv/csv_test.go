package csv

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"mirrorscope/flow"
	"mirrorscope/internal/golden"
	"mirrorscope/sink/jsonl"
	"mirrorscope/sink/sinktest"
)

func write(t *testing.T, records []flow.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, sinktest.Sample())
	if err := w.Write(sinktest.Lend(records...)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(&flow.Capture{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestGolden(t *testing.T) {
	golden.Equal(t, filepath.Join("testdata", "records.csv"), write(t, sinktest.Records()))
	golden.Equal(t, filepath.Join("testdata", "sessions.csv"), write(t, sessions()))
}

func sessions() []flow.Record { return append(sinktest.Sessions(), sinktest.Odd()) }

// The table says what the JSON says: each object flattened is the row, and no
// field of any object lacks a column.
func TestEqualsJSON(t *testing.T) {
	records := append(sinktest.Records(), sessions()...)
	for seed := range uint64(200) {
		records = append(records, sinktest.Random(seed, "a;b,\"c\r\n"))
	}
	rows, err := stdcsv.NewReader(bytes.NewReader(write(t, records))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(records)+1 {
		t.Fatalf("%d rows for %d records", len(rows), len(records))
	}
	enc := jsonl.NewEncoder(sinktest.Sample())
	for i := range records {
		d := json.NewDecoder(bytes.NewReader(enc.AppendRecord(nil, &records[i])))
		d.UseNumber()
		var o map[string]any
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		flatten(want, "", o)
		for c, name := range rows[0] {
			if got := rows[i+1][c]; got != want[name] {
				t.Errorf("record %d: %s = %q, JSON says %q", i, name, got, want[name])
			}
			delete(want, name)
		}
		for name := range want {
			t.Errorf("record %d: no column for %s", i, name)
		}
	}
}

// onlyJSON are lists of objects of which the table has some fields at most.
var onlyJSON = []string{"tls_certificates", "tls_client_certificates", "http_endpoints", "http_other_endpoints", "dns_names", "dns_other_names"}

func flatten(into map[string]string, prefix string, v any) {
	switch prefix {
	case "tls_certificates":
		leaf := v.([]any)[0].(map[string]any)
		for _, field := range []string{"subject", "issuer", "san", "not_after", "sha256"} {
			if leaf[field] != nil {
				flatten(into, "tls_certificate_"+field, leaf[field])
			}
		}
	case "http_endpoints":
		flattenEach(into, prefix, v.([]any), "method", "host", "path", "requests")
	case "dns_names":
		flattenEach(into, prefix, v.([]any), "name", "type", "queries")
	}
	if slices.Contains(onlyJSON, prefix) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for key, v := range v {
			flatten(into, strings.TrimPrefix(prefix+"_"+key, "_"), v)
		}
	case []any:
		items := make([]string, len(v))
		for i := range v {
			items[i] = strings.ReplaceAll(printable(v[i]), ";", "%3B")
		}
		into[prefix] = strings.Join(items, ";")
	default:
		into[prefix] = printable(v)
	}
}

// flattenEach makes a list of each field of objects.
func flattenEach(into map[string]string, prefix string, list []any, fields ...string) {
	for _, field := range fields {
		items := make([]any, len(list))
		for i, v := range list {
			items[i] = v.(map[string]any)[field]
		}
		flatten(into, prefix+"_"+field, items)
	}
}

func printable(v any) string {
	if v == nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, fmt.Sprint(v))
}

func TestOneLineARecord(t *testing.T) {
	records := append(sinktest.Records(), sessions()...)
	if got := bytes.Count(write(t, records), []byte("\n")); got != len(records)+1 {
		t.Errorf("%d lines for %d records", got, len(records))
	}
}

func TestIntervalsAreLeftOut(t *testing.T) {
	if with, without := write(t, []flow.Record{sinktest.Interval(), sinktest.TCP()}), write(t, []flow.Record{sinktest.TCP()}); !bytes.Equal(with, without) {
		t.Errorf("an interval shows:\n%s", with)
	}
}

func TestHeaderWithoutRecords(t *testing.T) {
	out := write(t, nil)
	if bytes.Count(out, []byte("\n")) != 1 || !bytes.HasPrefix(out, []byte("type,id,start,end,duration_us,observation_point_name,")) {
		t.Errorf("got %q", out)
	}
}

func TestColumnsAreUnique(t *testing.T) {
	var names []string
	for _, g := range groups {
		for _, c := range g.columns {
			if slices.Contains(names, c.name) {
				t.Errorf("column %s is there twice", c.name)
			}
			names = append(names, c.name)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "eth0": "eth0", "a b": "a b", "a,b": `"a,b"`, `a"b`: `"a""b"`, "a\r\nb": "a\uFFFD\uFFFDb", "a\xff": "a\uFFFD", "ż": "ż",
	} {
		if got := string(appendText([]byte("x,"), in)); got != "x,"+want {
			t.Errorf("%q became %q, want %q", in, got, "x,"+want)
		}
	}
}

func TestList(t *testing.T) {
	for _, test := range []struct {
		items []string
		want  string
	}{
		{nil, ""}, {[]string{"a"}, "a"}, {[]string{"a", "b"}, "a;b"}, {[]string{"", "b", ""}, ";b;"}, {[]string{"a;b", ";"}, "a%3Bb;%3B"},
		{[]string{"a,b", "c"}, `"a,b;c"`}, {[]string{"a", `b"`}, `"a;b"""`}, {[]string{"a\n", "\xff"}, "a\uFFFD;\uFFFD"},
	} {
		got := string(appendList([]byte("x,"), nil, len(test.items), func(_ *row, i int) string { return test.items[i] }))
		if got != "x,"+test.want {
			t.Errorf("%q became %q, want %q", test.items, got, "x,"+test.want)
		}
	}
}

func TestWriteAllocs(t *testing.T) {
	records := sinktest.Lend(append(sinktest.Records(), sinktest.Sessions()...)...)
	w := New(discard{}, sinktest.Sample())
	if n := testing.AllocsPerRun(100, func() {
		if err := w.Write(records); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("Write: %v allocations in %d records, want 0", n, len(records))
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkWrite(b *testing.B) {
	records := sinktest.Lend(sinktest.TCP())
	w := New(discard{}, sinktest.Sample())
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(records); err != nil {
			b.Fatal(err)
		}
	}
}
