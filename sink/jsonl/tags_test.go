package jsonl

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/sink/sinktest"
)

// namer calls every address the same, with tags that need care.
func namer(sets ...*enrich.Tags) *enrich.Namer {
	r := enrich.New(enrich.DefaultConfig())
	var entries []enrich.Entry
	for i, t := range sets {
		entries = append(entries, enrich.Entry{Prefix: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}[i], Tags: t})
	}
	r.Layer("x", enrich.RankCloud).Update(0, entries)
	return r.NewNamer(sinktest.Sample())
}

// Tags are text of whoever can tag: what is no plain text is escaped, and what comes
// more than once is an array.
func TestTags(t *testing.T) {
	odd := "a\"b\\c\n\u0085\x1b[31m<é>"
	tags := enrich.Of("service", odd, "security_group", "b", "security_group", "a", "own/key", "x;y=z")
	enc := NewEncoder(sinktest.Sample())
	enc.Name(namer(tags, tags))
	records := append(sinktest.Records(), sinktest.Interval())
	for i := range records {
		line := enc.AppendRecord(nil, &records[i])
		if strings.ContainsAny(string(line[:len(line)-1]), "\n\x1b\u0085") {
			t.Errorf("control characters in %q", line)
		}
		var o struct {
			Client map[string]any `json:"client_tags"`
			Server map[string]any `json:"server_tags"`
		}
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, got := range []map[string]any{o.Client, o.Server} {
			delete(got, "domain")
			if fmt.Sprint(got) != fmt.Sprint(map[string]any{"service": odd, "security_group": []any{"a", "b"}, "own/key": "x;y=z"}) {
				t.Errorf("got %q", got)
			}
		}
	}
	// Nothing known: nothing said.
	enc.Name(namer())
	plain := NewEncoder(sinktest.Sample())
	r := sinktest.TCP()
	r.Ends[flow.Client].Name, r.Ends[flow.Server].Name, r.Ends[flow.Server].Port = "", "", 49_000
	r.TLS, r.QUIC = nil, nil
	if got, want := enc.AppendRecord(nil, &r), plain.AppendRecord(nil, &r); string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTagsAllocs(t *testing.T) {
	records := append(packets(), sinktest.Sessions()...)
	enc := NewEncoder(sinktest.Sample())
	enc.Name(namer(enrich.Of("service", "a", "env", "prod"), enrich.Of("service", "b")))
	var buf []byte
	encode := func() {
		buf = buf[:0]
		for i := range records {
			buf = enc.AppendRecord(buf, &records[i])
		}
	}
	encode()
	if n := testing.AllocsPerRun(100, encode); n != 0 {
		t.Errorf("%v allocations in %d records, want 0", n, len(records))
	}
}

// What tags add to the time of a record.
func BenchmarkTags(b *testing.B) {
	r := sinktest.TCP()
	enc := NewEncoder(sinktest.Sample())
	tags := enrich.Of("service", "orders", "env", "prod", "team", "a", "instance", "web-1", "host", "i-0123456789abcdef0", "az", "eu-central-1a", "region", "eu-central-1",
		"vpc", "prod", "subnet", "private", "security_group", "a", "security_group", "b")
	enc.Name(namer(tags, tags))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = enc.recordTags(buf[:0], &r)
	}
}
