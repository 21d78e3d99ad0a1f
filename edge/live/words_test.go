package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/sink/viewjson"
)

// Names that only live rows have.
var ownWords = []string{
	"connections_opened", "throughput", "throughput.client_bytes_per_s", "throughput.server_bytes_per_s", "rtt.client", "rtt.server", "zero_window",
	"zero_window.client", "zero_window.server", "zero_window.client.time_us", "zero_window.server.time_us",
}

// A row uses the words of the conversations view, and says the same with them.
func TestWords(t *testing.T) {
	in := pcapfile.Config{Paths: []string{filepath.Join(needs.Repository(t), "testdata", "pcaps", "shop.pcap")}}
	names := new(packet.Names)
	var view bytes.Buffer
	writer := viewjson.New(&view, names, viewjson.Config{Edge: edge.DefaultConfig()}, func(dst []byte, _ *flow.Capture) []byte { return dst })
	cfg := DefaultConfig()
	cfg.Interval, cfg.Window = time.Second, maxSteps*time.Second
	table := New(cfg, names, protocol)
	tee(t, in, names, time.Second, func(r *flow.Record) {
		table.Add(r)
		if err := writer.Write([]*flow.Record{r}); err != nil {
			t.Fatal(err)
		}
	}, func(p *path.Connection) {
		table.AddPath(p)
		if err := writer.WritePath(p); err != nil {
			t.Fatal(err)
		}
	})
	table.now++
	if err := writer.Close(&flow.Capture{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]any{}
	words := map[string]bool{}
	for line := range strings.Lines(view.String()) {
		r := flat(t, []byte(line))
		want[name(r)] = r
		for w := range r {
			words[w] = true
		}
	}
	same := []string{
		"type", "network", "protocol", "connections", "client_sent.packets", "client_sent.bytes", "client_sent.payload_bytes", "server_sent.packets", "server_sent.bytes",
		"retransmits.client.packets", "retransmits.server.packets", "retransmits.server.bytes", "handshake.samples", "handshake.p50_us", "handshake.max_us", "tls.connections", "tls.failed", "tls.resumed",
		"requests.requests", "requests.errors", "requests.error_ratio", "capture.missed_bytes.client", "capture.loss_ratio", "outcomes.closed", "outcomes.refused", "outcomes.reset", "outcomes.timeout", "server.name", "end",
	}
	met := map[string]bool{}
	rows := table.Top(0).Rows
	if len(rows) != len(want) {
		t.Errorf("%d rows, the view has %d", len(rows), len(want))
	}
	for i := range rows {
		text, err := json.Marshal(&rows[i])
		if err != nil {
			t.Fatal(err)
		}
		got := flat(t, text)
		w := want[name(got)]
		if w == nil {
			t.Errorf("%s is not in the view", name(got))
			continue
		}
		for _, word := range slices.Sorted(maps.Keys(got)) {
			if !words[word] && !slices.ContainsFunc(ownWords, func(own string) bool { return word == own || strings.HasPrefix(word, own+".") }) {
				t.Errorf("%s: the view has no %s", name(got), word)
			}
		}
		for _, word := range same {
			if g, w := fmt.Sprint(got[word]), fmt.Sprint(w[word]); g != w {
				t.Errorf("%s: %s is %s, in the view %s", name(got), word, g, w)
			}
			met[word] = met[word] || got[word] != nil
		}
	}
	for _, word := range same {
		if !met[word] {
			t.Errorf("no row has %s: the test looks at too little", word)
		}
	}
}

func name(r map[string]any) string {
	return fmt.Sprintf("%v-%v:%v/%v", r["client.ip"], r["server.ip"], r["server.port"], r["protocol"])
}

// flat gives the values of an object by the path of their names.
func flat(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	var walk func(string, map[string]any)
	walk = func(prefix string, m map[string]any) {
		for k, v := range m {
			if inner, ok := v.(map[string]any); ok {
				walk(prefix+k+".", inner)
				continue
			}
			all[prefix+k] = v
		}
	}
	walk("", object)
	return all
}
