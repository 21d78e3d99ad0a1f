package truth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/pcapgen"
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

// TestDoubled: a mirror that delivers every packet again, from behind the next
// router, changes nothing but the count of copies.
func TestDoubled(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		fs, out, ok := bare(t, path)
		if !ok {
			return
		}
		once := normal(t, out, noCopies)
		twice := normal(t, replay(t, write(t, doubled(fs))), noCopies)
		compare(t, "doubled", name, once, twice)
	})
}

func noCopies(r map[string]any) {
	if c, ok := r["capture"].(map[string]any); ok {
		delete(c, "mirror_duplicates")
	}
}

// bare reads a capture, and what the sensor says of it. ok is false where the
// rewrites cannot handle it, and no law is looked at: they know Ethernet from
// one interface, and change nothing inside tunnels. What names the interface
// is lost in rewriting, so the sensor reads a rewritten file here, too.
func bare(t *testing.T, path string) (fs []pcapgen.Frame, out output, ok bool) {
	t.Helper()
	if fs, ok = frames(t, path); !ok {
		return nil, output{}, false
	}
	out = replay(t, write(t, fs))
	for _, c := range out.connections {
		if slices.ContainsFunc(c.Tunnels, func(tunnel string) bool { return tunnel != "cisco_metadata" }) {
			return nil, output{}, false
		}
	}
	return fs, out, true
}

// TestWrapped: inside a mirror's tunnel the records are the same, but for
// where they were observed; also when that mirror delivers everything twice.
// Captures with a tunnel that names the observation point are left out: the
// outermost one does, so that theirs differ by design.
func TestWrapped(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		fs, ok := frames(t, path)
		if !ok {
			return
		}
		out := replay(t, write(t, fs))
		tunnels := false
		for _, c := range out.connections {
			if c.ObservationPoint.Tunnel != "" {
				return
			}
			tunnels = tunnels || len(c.Tunnels) > 0
		}
		strip := func(r map[string]any) {
			for _, key := range []string{"id", "observation_point", "tunnels", "network"} {
				delete(r, key)
			}
			noCopies(r)
		}
		want := normal(t, out, strip)
		for _, tunnel := range []string{"vxlan", "geneve", "erspan2"} {
			inside := wrapped(fs, tunnel)
			if len(inside) != len(fs) {
				return // a frame is too long for an outer packet
			}
			got := replay(t, write(t, inside))
			for _, c := range got.connections {
				if c.ObservationPoint.Tunnel != tunnel || c.ObservationPoint.TunnelID == nil || *c.ObservationPoint.TunnelID != 77 {
					t.Errorf("%s: observed at %+v", tunnel, c.ObservationPoint)
				}
			}
			compare(t, tunnel, name, want, normal(t, got, strip))
			if !tunnels {
				twice := replay(t, write(t, wrapped(doubled(fs), tunnel)))
				compare(t, "doubled", name, want, normal(t, twice, strip))
			}
		}
	})
}

// TestSwapped: what one end sent, the other sends now. Where the client is told
// from the server by behaviour (a SYN, an answer, what only one role says, who
// was first of two equal ports), the record is the mirror image. Ports keep
// their meaning, so that where they decide only what each end sent is compared.
func TestSwapped(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		fs, out, ok := bare(t, path)
		if !ok {
			return
		}
		want := normal(t, out, func(r map[string]any) {
			r["client"], r["server"] = r["server"], r["client"]
			image(r)
		})
		got := normal(t, replay(t, write(t, swapped(fs))), image)
		compare(t, "swapped", name, want, got)
	})
}

// TestCut: a file that ends inside its last packet is reported up to there,
// with the damage told and exit status 1.
func TestCut(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		fs, ok := frames(t, path)
		if !ok || len(fs) == 0 {
			return
		}
		whole := write(t, fs)
		info, err := os.Stat(whole)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(whole, info.Size()-1); err != nil {
			t.Fatal(err)
		}
		got := replay(t, whole)
		if got.exit != 1 || len(got.capture.Errors) != 1 || !strings.Contains(got.stderr, whole) || !strings.Contains(got.capture.Errors[0], whole) {
			t.Errorf("exit status %d, errors %q, standard error %q: want 1 and the file named in both", got.exit, got.capture.Errors, got.stderr)
		}
		keep := func(map[string]any) {}
		if want := normal(t, replay(t, write(t, fs[:len(fs)-1])), keep); !slices.Equal(normal(t, got, keep), want) {
			t.Errorf("%d connections, want the %d of all packets but the last", len(got.connections), len(want))
		}
	})
}

// image takes out of a record what the rewrite does not keep.
func image(r map[string]any) {
	delete(r, "id")
	if u, ok := r["unreachable"].(map[string]any); ok {
		delete(u, "by") // a router between both ends is its own mirror image
	}
	if !byBehaviour(r) {
		neutral(r)
	}
}

// byBehaviour tells whether the packets, and not the ports, decided who is the
// client.
func byBehaviour(r map[string]any) bool {
	d, _ := r["direction"].(map[string]any)
	switch d["source"] {
	case "syn", "synack", "tls", "app":
		return true
	case "order":
		c, _ := r["client"].(map[string]any)
		s, _ := r["server"].(map[string]any)
		return c["port"] == s["port"]
	}
	return false
}

// neutral makes a record forget who is the client: the end with the lower
// address and port takes that place.
func neutral(r map[string]any) {
	delete(r, "direction")
	delete(r, "response") // by whom, depends on the role, as do the phases
	delete(r, "phases")
	if fmt.Sprint(r["client"]) < fmt.Sprint(r["server"]) {
		return
	}
	r["client"], r["server"] = r["server"], r["client"]
	r["client_sent"], r["server_sent"] = r["server_sent"], r["client_sent"]
	for _, group := range []string{
		"resets", "fins", "tcp_options", "rtt", "retransmits", "out_of_order", "network_duplicates", "keep_alives", "zero_window", "window_full_us",
	} {
		if g, ok := r[group].(map[string]any); ok {
			exchange(g, "client", "server")
		}
	}
	if c, ok := r["capture"].(map[string]any); ok {
		if g, ok := c["missed_bytes"].(map[string]any); ok {
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
		missing, extra := without(want, got), without(got, want)
		var text []string
		for i := range max(len(missing), len(extra)) {
			switch {
			case len(missing) == len(extra):
				text = append(text, changed(missing[i], extra[i]))
			case i < len(missing):
				text = append(text, "missing "+missing[i])
			}
			if len(missing) != len(extra) && i < len(extra) {
				text = append(text, "extra   "+extra[i])
			}
		}
		if n := len(text); n > 8 {
			text = append(text[:8], fmt.Sprintf("… and %d more", n-8))
		}
		return strings.Join(text, "\n")
	})
}

// without gives the lines of a that are not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(line string) bool { return slices.Contains(b, line) })
}

// changed names what differs between two records, and whose they are.
func changed(want, got string) string {
	w, g := map[string]string{}, map[string]string{}
	for text, leaves := range map[string]map[string]string{want: w, got: g} {
		var walk func(path string, v any)
		walk = func(path string, v any) {
			if m, ok := v.(map[string]any); ok {
				for k, sub := range m {
					walk(path+"."+k, sub)
				}
				return
			}
			leaves[strings.TrimPrefix(path, ".")] = fmt.Sprint(v)
		}
		var v any
		if json.Unmarshal([]byte(text), &v) == nil {
			walk("", v)
		}
	}
	var parts []string
	for path := range w {
		if g[path] != w[path] {
			parts = append(parts, fmt.Sprintf("%s %s → %s", path, w[path], g[path]))
		}
	}
	for path := range g {
		if _, ok := w[path]; !ok {
			parts = append(parts, fmt.Sprintf("%s absent → %s", path, g[path]))
		}
	}
	slices.Sort(parts)
	return fmt.Sprintf("%s %s:%s — %s:%s from %s: %s", w["protocol"], w["client.ip"], w["client.port"], w["server.ip"], w["server.port"],
		w["start"], strings.Join(parts, ", "))
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
