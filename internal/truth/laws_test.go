package truth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestShards: the number of goroutines is not seen in the output.
func TestShards(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		one := replay(t, "--shards", "1", "--interval", "1s", path)
		eight := replay(t, "--shards", "8", "--interval", "1s", path)
		if !bytes.Equal(one.raw, eight.raw) {
			t.Errorf("8 shards differ from 1: %s", firstDifference(one.raw, eight.raw))
		}
	})
}

// TestIntervals: the deltas of all intervals sum to the whole-life record, and
// intervals change nothing in it.
func TestIntervals(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		whole := replay(t, path)
		for _, length := range []time.Duration{time.Second, 10 * time.Second} {
			out := replay(t, "--interval", length.String(), path)
			if len(out.connections) != len(whole.connections) {
				t.Fatalf("interval %s: %d connections, %d without intervals", length, len(out.connections), len(whole.connections))
			}
			sums := map[string]map[string]int64{}
			seen := map[string]bool{}
			for _, line := range out.intervals {
				id, start := intervalOf(t, line, length)
				if seen[id+start] {
					t.Errorf("interval %s: two records for %s from %s", length, id, start)
				}
				seen[id+start] = true
				if sums[id] == nil {
					sums[id] = map[string]int64{}
				}
				for k, n := range tallies(t, line) {
					sums[id][k] += n
				}
			}
			for i, c := range out.connections {
				if !bytes.Equal(c.line, whole.connections[i].line) {
					t.Errorf("interval %s: connection %d differs: %s", length, i, firstDifference(whole.connections[i].line, c.line))
				}
				want := tallies(t, c.line)
				if got := sums[c.ID]; !maps.Equal(got, want) {
					t.Errorf("interval %s: %s — %s: intervals sum to\n%v\nwant\n%v", length, c.Client, c.Server, got, want)
				}
				delete(sums, c.ID)
			}
			for id := range sums {
				t.Errorf("interval %s: intervals of %s, which is no connection", length, id)
			}
		}
	})
}

// intervalOf checks the bounds of an interval record.
func intervalOf(t *testing.T, line []byte, length time.Duration) (id, start string) {
	t.Helper()
	var r struct {
		ID            string
		IntervalStart time.Time `json:"interval_start"`
		IntervalEnd   time.Time `json:"interval_end"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	if r.IntervalEnd.Sub(r.IntervalStart) != length || r.IntervalStart.UnixNano()%int64(length) != 0 {
		t.Errorf("interval [%s, %s) is not aligned to %s", r.IntervalStart, r.IntervalEnd, length)
	}
	return r.ID, r.IntervalStart.String()
}

// tallies gives every count of a record by its path. Zeros are left out: an
// interval need not tell what did not happen in it.
func tallies(t *testing.T, line []byte) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, sub := range v {
				walk(path+"."+k, sub)
			}
		case json.Number:
			n, err := strconv.ParseInt(string(v), 10, 64)
			if err == nil && n != 0 && !strings.HasSuffix(path, "_us") {
				out[path] = n
			}
		}
	}
	record := decode(t, line)
	for _, group := range []string{"client_sent", "server_sent", "resets", "fins", "ecn", "capture"} {
		walk(group, record[group])
	}
	if h, ok := record["handshake"].(map[string]any); ok {
		walk("syn_packets", h["syn_packets"])
		walk("synack_packets", h["synack_packets"])
	}
	return out
}

// TestDoubled: a mirror that delivers every packet again, from behind the next
// router, changes nothing but the count of copies.
func TestDoubled(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		fs, ok := frames(t, path)
		if !ok {
			t.Skip("not Ethernet from one interface")
		}
		strip := func(r map[string]any) {
			if c, ok := r["capture"].(map[string]any); ok {
				delete(c, "mirror_duplicates")
			}
		}
		once := normal(t, replay(t, path), strip)
		twice := normal(t, replay(t, write(t, doubled(fs))), strip)
		compare(t, "doubled", name, once, twice)
	})
}

// TestWrapped: inside a mirror's tunnel the records are the same, but for
// where they were observed. Captures with a tunnel that names the observation
// point are left out: the outermost one does, so that theirs differ by design.
func TestWrapped(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		fs, ok := frames(t, path)
		if !ok {
			t.Skip("not Ethernet from one interface")
		}
		out := replay(t, path)
		for _, c := range out.connections {
			if c.ObservationPoint.Tunnel != "" {
				t.Skip("the capture has observation points of its own")
			}
		}
		strip := func(r map[string]any) {
			for _, key := range []string{"id", "observation_point", "tunnels", "network"} {
				delete(r, key)
			}
		}
		bare := normal(t, out, strip)
		for _, tunnel := range []string{"vxlan", "geneve", "erspan2"} {
			inside := wrapped(fs, tunnel)
			if len(inside) != len(fs) {
				t.Skip("a frame is too long for an outer packet")
			}
			got := replay(t, write(t, inside))
			for _, c := range got.connections {
				if c.ObservationPoint.Tunnel != tunnel || c.ObservationPoint.TunnelID == nil || *c.ObservationPoint.TunnelID != 77 {
					t.Errorf("%s: observed at %+v", tunnel, c.ObservationPoint)
				}
			}
			compare(t, tunnel, name, bare, normal(t, got, strip))
		}
	})
}

// TestSwapped: what one end sent, the other sends now. Whatever told the
// client from the server by behaviour (a SYN, an answer, what only one role
// says) tells it the other way round; ports keep their meaning.
func TestSwapped(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		fs, ok := frames(t, path)
		if !ok {
			t.Skip("not Ethernet from one interface")
		}
		out := replay(t, path)
		for _, c := range out.connections {
			if len(c.Tunnels) > 0 {
				t.Skip("the capture has tunnels, whose inside is not rewritten")
			}
		}
		strip := func(r map[string]any) { delete(r, "id") }
		image := func(r map[string]any) {
			delete(r, "id")
			d, _ := r["direction"].(map[string]any)
			switch d["source"] {
			case "syn", "synack", "app":
				r["client"], r["server"] = r["server"], r["client"]
			default:
				mirror(r)
			}
		}
		want := normal(t, out, image)
		got := normal(t, replay(t, write(t, swapped(fs))), strip)
		compare(t, "swapped", name, want, got)
	})
}

// mirror exchanges in a record all that tells of the client's packets with
// what tells of the server's, and leaves the two ends as they are.
func mirror(r map[string]any) {
	r["client_sent"], r["server_sent"] = r["server_sent"], r["client_sent"]
	for _, group := range []string{"resets", "fins", "tcp_options"} {
		if g, ok := r[group].(map[string]any); ok {
			exchange(g, "client", "server")
		}
	}
	if g, ok := r["ecn"].(map[string]any); ok {
		exchange(g, "ce_client", "ce_server")
	}
	if g, ok := r["reset"].(map[string]any); ok {
		g["by"] = map[any]string{"client": "server", "server": "client"}[g["by"]]
	}
}

func exchange(m map[string]any, a, b string) {
	va, okA := m[a]
	vb, okB := m[b]
	delete(m, a)
	delete(m, b)
	if okA {
		m[b] = va
	}
	if okB {
		m[a] = vb
	}
}

// normal gives the connection records as text after change was applied to
// each, sorted: where something of the key was changed, so is the order.
func normal(t *testing.T, out output, change func(map[string]any)) []string {
	t.Helper()
	var lines []string
	for _, c := range out.connections {
		r := decode(t, c.line)
		change(r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	slices.Sort(lines)
	return lines
}

func decode(t *testing.T, line []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var r map[string]any
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// compare fails the test unless both lists are the same, or the difference is
// listed for the file.
func compare(t *testing.T, law, file string, want, got []string) {
	t.Helper()
	accepted(t, law, file, "", slices.Equal(want, got), func() string {
		var text []string
		for _, line := range want {
			if !slices.Contains(got, line) {
				text = append(text, "missing "+line)
			}
		}
		for _, line := range got {
			if !slices.Contains(want, line) {
				text = append(text, "extra   "+line)
			}
		}
		if n := len(text); n > 8 {
			text = append(text[:8], fmt.Sprintf("… and %d more", n-8))
		}
		return strings.Join(text, "\n")
	})
}

// firstDifference shows where two outputs part.
func firstDifference(a, b []byte) string {
	la, lb := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(la), len(lb)) {
		if !bytes.Equal(la[i], lb[i]) {
			return fmt.Sprintf("line %d\n%s\n%s", i+1, la[i], lb[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(la), len(lb))
}
