package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mirrorscope/flow"
	"mirrorscope/internal/golden"
	"mirrorscope/packet"
	"mirrorscope/sink"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tcp"
)

// write gives the lines of records, and the capture object behind them.
func write(t *testing.T, records []flow.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, sinktest.Sample())
	if err := w.Write(sinktest.Lend(records...)); err != nil {
		t.Fatal(err)
	}
	c := sinktest.Capture()
	if err := w.Close(&c); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// packets are records of what packets show, sessions of what they say.
func packets() []flow.Record { return append(sinktest.Records(), sinktest.Interval()) }

func sessions() []flow.Record {
	return append(append(sinktest.Sessions(), sinktest.Odd()), sinktest.SessionIntervals()...)
}

func TestGolden(t *testing.T) {
	golden.Equal(t, filepath.Join("testdata", "records.jsonl"), write(t, packets()))
	golden.Equal(t, filepath.Join("testdata", "sessions.jsonl"), write(t, sessions()))
}

// object is a decoded line.
type object map[string]any

// at follows keys down; nil where one is missing.
func (o object) at(path string) any {
	var v any = map[string]any(o)
	for _, key := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func decode(t *testing.T, line []byte) object {
	t.Helper()
	if !utf8.Valid(line) {
		t.Errorf("not UTF-8: %q", line)
	}
	if n := bytes.IndexFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }); n != len(line)-1 || line[n] != '\n' {
		t.Errorf("control character at octet %d of %q", n, line)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var o object
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return o
}

// Every value of every record, as another JSON library reads it.
func TestDecodedValues(t *testing.T) {
	names := sinktest.Sample()
	enc := NewEncoder(names)
	for i, r := range append(packets(), sessions()...) {
		o := decode(t, enc.AppendRecord(nil, &r))
		for path, want := range expected(names, &r) {
			got := o.at(path)
			if n, ok := got.(json.Number); ok {
				got = n.String()
			}
			if list, ok := got.([]any); ok {
				got = fmt.Sprint(list...)
			}
			if want == nil && got != nil || want != nil && got != fmt.Sprint(want) && got != want {
				t.Errorf("record %d: %s = %v, want %v", i, path, got, want)
			}
		}
	}
}

// expected gives what must be at each path; nil is: must be absent.
func expected(n *sinktest.Names, r *flow.Record) map[string]any {
	absentIf := func(absent bool, v any) any {
		if absent {
			return nil
		}
		return v
	}
	us := func(ns int64) any {
		if ns < 0 {
			return nil
		}
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", ns/1000, ns%1000), "0"), ".")
	}
	when := func(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z07:00") }
	isTCP := r.Proto == packet.ProtoTCP
	want := map[string]any{
		"id":                           fmt.Sprintf("%016x", r.ID),
		"network":                      n.NetworkName(r.Network),
		"ip_version":                   r.Version,
		"protocol":                     string(sink.AppendProtocol(nil, r.Proto)),
		"direction.source":             r.Direction.String(),
		"direction.state":              r.DirectionState.String(),
		"outcome":                      absentIf(r.Outcome == flow.OutcomeNone, r.Outcome.String()),
		"end_reason":                   absentIf(r.EndReason == flow.EndNone, r.EndReason.String()),
		"reset.by":                     absentIf(r.Outcome != flow.Reset, r.ResetBy.String()),
		"reset.unacknowledged_data":    absentIf(r.Outcome != flow.Reset, r.ResetUnacked),
		"reset.after_fin":              absentIf(r.Outcome != flow.Reset, r.ResetAfterFIN),
		"rst_foreign":                  absentIf(!isTCP, r.RSTForeign),
		"ecn.negotiated":               absentIf(!r.ECN.Known, r.ECN.Negotiated),
		"unreachable.type":             absentIf(!r.Unreachable.OK, r.Unreachable.Type),
		"unreachable.code":             absentIf(!r.Unreachable.OK, r.Unreachable.Code),
		"unreachable.by":               absentIf(!r.Unreachable.OK, r.Unreachable.By.IP().String()),
		"capture.mirror_duplicates":    r.MirrorDuplicates,
		"capture.truncated_packets":    r.TruncatedPackets,
		"capture.fragments_incomplete": r.FragmentsIncomplete,
		"capture.malformed_packets":    r.Malformed,
		"capture.stray_packets":        r.StrayPackets,
		"capture.sample_weight":        absentIf(r.Weight < 2, r.Weight),
		"handshake.rtt_us":             us(r.Handshake.RTT),
		"handshake.client_us":          us(r.Handshake.Client),
		"handshake.server_us":          us(r.Handshake.Server),
		"handshake.setup_us":           us(r.Handshake.Setup),
		"handshake.connect_us":         us(r.Handshake.Connect),
		"handshake.state":              r.Handshake.State.String(),
		"handshake.syn_packets":        r.Handshake.SYNs,
		"handshake.synack_packets":     r.Handshake.SYNACKs,
		"icmp.type":                    absentIf(r.Proto != packet.ProtoICMP, r.ICMP.Type),
	}
	maps.Copy(want, expectedTCP(r, us))
	if !r.HasHandshake {
		for path := range maps.Clone(want) {
			if strings.HasPrefix(path, "handshake.") {
				want[path] = nil
			}
		}
		want["handshake"] = nil
	}
	if r.Kind == flow.Interval {
		want["type"], want["interval_start"], want["interval_end"] = "interval", when(r.IntervalStart), when(r.IntervalEnd)
		for _, life := range []string{"start", "end", "duration_us", "tcp_options", "outcome", "end_reason", "rst_foreign", "ecn.negotiated"} {
			want[life] = nil
		}
	} else {
		want["type"], want["start"], want["end"], want["duration_us"] = "connection", when(r.Start), when(r.End), us(r.End-r.Start)
	}
	for side := flow.Client; side <= flow.Server; side++ {
		s, o := side.String(), r.Options[side]
		want[s+".ip"] = r.Ends[side].Addr.IP().String()
		want[s+".port"] = absentIf(!r.Ends[side].HasPort, r.Ends[side].Port)
		want[s+"_sent.packets"] = r.Sent[side].Packets
		want[s+"_sent.bytes"] = r.Sent[side].Bytes
		want[s+"_sent.payload_bytes"] = r.Sent[side].PayloadBytes
		want["resets."+s] = absentIf(!isTCP, r.Resets[side])
		want["fins."+s] = absentIf(!isTCP, r.FINs[side])
		want["ecn.ce_"+s] = r.CE[side]
		if r.Kind == flow.Connection {
			want["tcp_options."+s+".mss"] = absentIf(!o.HasMSS, o.MSS)
			want["tcp_options."+s+".wscale"] = absentIf(!o.HasWScale, o.WScale)
			want["tcp_options."+s+".sack"] = absentIf(!o.Known, o.SACK)
			want["tcp_options."+s+".timestamps"] = absentIf(!o.Known, o.Timestamps)
		}
	}
	return want
}

func TestReasons(t *testing.T) {
	r := sinktest.TCP()
	r.Handshake.State, r.Handshake.Reasons = tcp.Bounded, tcp.Midstream|tcp.LostBeforeOP
	o := decode(t, NewEncoder(sinktest.Sample()).AppendRecord(nil, &r))
	if got := fmt.Sprint(o.at("handshake.reasons")); got != "[midstream lost_before_op]" {
		t.Errorf("reasons = %v", got)
	}
	r.Handshake.State = tcp.Measured
	o = decode(t, NewEncoder(sinktest.Sample()).AppendRecord(nil, &r))
	if o.at("handshake.reasons") != nil {
		t.Errorf("a measured handshake has reasons")
	}
}

func TestPoints(t *testing.T) {
	enc := NewEncoder(sinktest.Sample())
	for _, test := range []struct {
		point   packet.PointID
		swapped bool
		want    string
	}{
		{sinktest.OtherPoint, false, `{"name":"other"}`},
		{sinktest.BarePoint, true, `{"name":"0","interface":"0"}`},
		{sinktest.VXLANPoint, false, `{"name":"vxlan 4660 10.0.0.5","interface":"eth1","tunnel":"vxlan","tunnel_id":4660,"outer_src":"10.0.0.5","outer_dst":"10.0.9.9"}`},
		{sinktest.VXLANPoint, true, `{"name":"vxlan 4660 10.0.0.5","interface":"eth1","tunnel":"vxlan","tunnel_id":4660,"outer_src":"10.0.9.9","outer_dst":"10.0.0.5"}`},
		{sinktest.AWSPoint, false, `{"name":"aws","interface":"eth1","tunnel":"geneve","tunnel_id":0,"outer_src":"10.0.0.5","outer_dst":"10.0.9.9","tunnel_cookies":{"aws_endpoint":"0000000000000001","aws_attachment":"0000000000000002"}}`},
		{sinktest.GooglePoint, false, `{"name":"google","interface":"eth1","tunnel":"geneve","tunnel_id":0,"outer_src":"10.0.0.5","outer_dst":"10.0.9.9","tunnel_cookies":{"google_network":77,"google_endpoint":"000000000000000000000000000000ab"}}`},
	} {
		for range 2 { // the second one comes from memory
			if got := string(enc.point(test.point, test.swapped)); got != test.want {
				t.Errorf("point %d:\ngot  %s\nwant %s", test.point, got, test.want)
			}
		}
	}
}

func TestString(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "",
		"eth0":                                "eth0",
		"żółć 日本 \U0001F600":                  "żółć 日本 \U0001F600",
		"a\xffb\xc3":                          "a\uFFFDb\uFFFD",
		"\xed\xa0\x80":                        "\uFFFD\uFFFD\uFFFD", // a surrogate, as if it were UTF-8
		"\uFFFD":                              "\uFFFD",
		"\x00\x1f\x7f\u0080\u009f\u00a0\"\\/": "\x00\x1f\x7f\u0080\u009f\u00a0\"\\/",
	} {
		b := appendString(nil, in)
		var got string
		if err := json.Unmarshal(b, &got); err != nil || got != want {
			t.Errorf("%q became %s, read as %q, %v", in, b, got, err)
		}
	}
}

func FuzzString(f *testing.F) {
	f.Add("plain")
	f.Add(sinktest.Hostile)
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q became %s: %v", s, b, err)
		}
		if want := strings.ToValidUTF8(s, "\uFFFD"); utf8.ValidString(s) && got != want {
			t.Fatalf("%q became %s, read as %q", s, b, got)
		}
		if bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }) {
			t.Fatalf("%q keeps a control character: %q", s, b)
		}
	})
}

func TestCaptureAddsUp(t *testing.T) {
	c := sinktest.Capture()
	o := decode(t, NewEncoder(sinktest.Sample()).AppendCapture(nil, &c))
	number := func(v any) int64 {
		n, err := v.(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	sum := number(o["decoded_packets"])
	skipped := o["skipped"].(map[string]any)
	for s := packet.Held + 1; s < packet.NumSkips; s++ {
		sum += number(skipped[s.String()])
	}
	if got := number(o["packets"]); got != sum || len(skipped) != int(packet.NumSkips-packet.Held-1) {
		t.Errorf("%d packets, %d decoded and skipped for %d reasons", got, sum, len(skipped))
	}
	if got := slices.Sorted(maps.Keys(o.at("unknown_link_types").(map[string]any))); !slices.Equal(got, []string{"linktype_12\n", "linktype_147"}) {
		t.Errorf("unknown link types: %q", got)
	}
	if got := fmt.Sprint(o.at("errors")); got != `[a "b".pcap: cut at octet 1234 c.pcap: no such file]` {
		t.Errorf("errors: %s", got)
	}
}

func TestEmptyCapture(t *testing.T) {
	o := decode(t, NewEncoder(sinktest.Sample()).AppendCapture(nil, &flow.Capture{}))
	if o["first"] != nil || o["last"] != nil {
		t.Errorf("a capture without packets has times: %v", o)
	}
	for _, list := range []string{"observation_points", "errors"} {
		if l, ok := o[list].([]any); !ok || len(l) != 0 {
			t.Errorf("%s = %v, want an empty list", list, o[list])
		}
	}
}

// brokenPipe fails at the second write.
type brokenPipe struct{ writes int }

var errBroken = errors.New("broken")

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.writes++; b.writes > 1 {
		return 0, errBroken
	}
	return len(p), nil
}

func TestWriteError(t *testing.T) {
	w := New(&brokenPipe{}, sinktest.Sample())
	records := []flow.Record{sinktest.TCP()}
	if err := w.Write(sinktest.Lend(records...)); err != nil {
		t.Fatalf("first write: %v", err)
	}
	if err := w.Write(sinktest.Lend(records...)); !errors.Is(err, errBroken) {
		t.Errorf("second write: %v, want the writer's own error", err)
	}
}

func TestAppendAllocs(t *testing.T) {
	records := append(append(packets(), sinktest.Sessions()...), sinktest.SessionIntervals()...)
	enc := NewEncoder(sinktest.Sample())
	var buf []byte
	encode := func() {
		buf = buf[:0]
		for i := range records {
			buf = enc.AppendRecord(buf, &records[i])
		}
	}
	encode()
	if n := testing.AllocsPerRun(100, encode); n != 0 {
		t.Errorf("AppendRecord: %v allocations in %d records, want 0", n, len(records))
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	plain := sinktest.TCP() // without repeats, as most are
	for i := range plain.TCP.Sides {
		x := &plain.TCP.Sides[i]
		*x = tcp.Side{RTT: x.RTT, Retransmits: tcp.Retransmits{State: tcp.Measured}}
	}
	for name, r := range map[string]flow.Record{"plain": plain, "repeats": sinktest.TCP(), "interval": sinktest.Interval(), "tls": sinktest.TLS(), "dns": sinktest.DNS()} {
		b.Run(name, func(b *testing.B) {
			enc := NewEncoder(sinktest.Sample())
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = enc.AppendRecord(buf[:0], &r)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
