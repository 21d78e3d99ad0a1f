package jsonl

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/internal/golden"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tcp"
)

// paths are one where all is known, and one where next to nothing is.
func paths() []path.Connection {
	known := path.Connection{
		ID: 0x0123456789abcdef, Last: 3, Network: 1, Proto: packet.ProtoTCP, Version: 4,
		Ends:  [2]flow.Endpoint{{Addr: sinktest.Addr("10.1.0.7"), Port: 51234, HasPort: true}, {Addr: sinktest.Addr("10.1.0.9"), Port: 443, HasPort: true}},
		Start: sinktest.Start, End: sinktest.Start + 1e9,
		Joined:  path.Quality{State: tcp.Measured},
		Order:   path.Quality{State: tcp.Measured},
		Points:  []path.Point{{ID: sinktest.BarePoint, Flow: 1}, {ID: sinktest.VXLANPoint, Flow: 2, Missed: [2]int64{0, 7}}, {ID: sinktest.HostilePoint, Flow: 3, Missed: [2]int64{0, path.NotKnown}}},
		Primary: [2]int{0, 2},
		Sent:    [2]flow.Volume{{Packets: 12, Bytes: 3456, PayloadBytes: 2800}, {Packets: 10, Bytes: 9876, PayloadBytes: 9000}},
		Matched: [2]int64{12, 9},
		Segments: []path.Segment{
			{
				RTT:       path.RTT{Quality: path.Quality{State: tcp.Measured}, Min: 209_030, P50: 215_500, Samples: 8},
				Loss:      [2]path.Loss{{Quality: path.Quality{State: tcp.Measured}}, {Quality: path.Quality{State: tcp.Ambiguous, Reasons: tcp.CaptureLoss}, Lost: 1, Unlocated: 2}},
				OffsetMin: -89_515, OffsetMax: 119_515, HasOffset: true,
			},
			{
				RTT:  path.RTT{Quality: path.Quality{State: tcp.Ambiguous}, Min: tcp.Absent, P50: 300, Samples: 2},
				Loss: [2]path.Loss{{Quality: path.Quality{State: tcp.Measured}, Lost: 3}, {Quality: path.Quality{State: tcp.Unknown, Reasons: tcp.Offload}}},
			},
		},
		Outcome: flow.Closed, RTT: 812_000,
	}
	little := path.Connection{
		Proto: packet.ProtoUDP, Version: 6,
		Ends:    [2]flow.Endpoint{{Addr: sinktest.Addr("2001:db8::1"), Port: 53, HasPort: true}, {Addr: sinktest.Addr("2001:db8::2")}},
		Joined:  path.Quality{State: tcp.Ambiguous, Reasons: tcp.OneSided},
		Order:   path.Quality{State: tcp.Ambiguous, Reasons: tcp.OneSided},
		Points:  []path.Point{{ID: sinktest.AWSPoint}, {ID: sinktest.OtherPoint}},
		Primary: [2]int{0, 1},
		Segments: []path.Segment{{
			RTT:  path.RTT{Quality: path.Quality{Reasons: tcp.OneSided}, Min: tcp.Absent},
			Loss: [2]path.Loss{{Quality: path.Quality{Reasons: tcp.OneSided}}, {Quality: path.Quality{Reasons: tcp.OneSided}}},
		}},
	}
	return []path.Connection{known, little}
}

func pathLines(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, sinktest.Sample())
	for _, p := range paths() {
		if err := w.WritePath(&p); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestPathGolden(t *testing.T) {
	golden.Equal(t, filepath.Join("testdata", "paths.jsonl"), pathLines(t))
}

// What is not known is absent, in JSON that another library reads.
func TestPathValues(t *testing.T) {
	var all []object
	for line := range bytes.Lines(pathLines(t)) {
		all = append(all, decode(t, line))
	}
	known, little := all[0], all[1]
	segment := func(o object, i int) object { return o["segments"].([]any)[i].(map[string]any) }
	for _, test := range []struct {
		o    object
		at   string
		want string // empty: absent
	}{
		{known, "type", "path"},
		{known, "primary.server", "0000000000000003"},
		{known, "server_sent.payload_bytes", "9000"},
		{segment(known, 0), "rtt.min_us", "209.03"},
		{segment(known, 0), "rtt.p50_us", "215.5"},
		{segment(known, 0), "clock_offset.min_us", "-89.515"},
		{segment(known, 0), "loss.server.lost_packets", "1"},
		{segment(known, 0), "to", "vxlan 4660 10.0.0.5"},
		{segment(known, 1), "rtt.min_us", ""},
		{segment(known, 1), "clock_offset", ""},
		{segment(known, 1), "loss.client.lost_packets", "3"},
		{little, "joined.state", "ambiguous"},
		{little, "server.port", ""},
		{segment(little, 0), "rtt.samples", "0"},
		{segment(little, 0), "rtt.p50_us", ""},
		{segment(little, 0), "loss.client.state", "unknown"},
		{segment(little, 0), "loss.client.lost_packets", ""},
	} {
		got := ""
		switch v := test.o.at(test.at).(type) {
		case nil:
		case string:
			got = v
		case interface{ String() string }:
			got = v.String()
		default:
			got = "present"
		}
		if got != test.want {
			t.Errorf("%s = %q, want %q", test.at, got, test.want)
		}
	}
}

// TestPathReference fails when docs/reference/path.md lacks a field.
func TestPathReference(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(needs.Repository(t), "docs", "reference", "path.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(pathLines(t)) {
		fields(decode(t, line), func(name string) {
			if !bytes.Contains(page, []byte("`"+name+"`")) {
				t.Errorf("path.md does not name the field `%s`", name)
			}
		})
	}
}

func TestPathAllocs(t *testing.T) {
	all := paths()
	enc := NewEncoder(sinktest.Sample())
	var buf []byte
	encode := func() {
		buf = buf[:0]
		for i := range all {
			buf = enc.AppendPath(buf, &all[i])
		}
	}
	encode()
	if n := testing.AllocsPerRun(100, encode); n != 0 {
		t.Errorf("AppendPath: %v allocations in %d paths, want 0", n, len(all))
	}
}
