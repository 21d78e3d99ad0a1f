package floor

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"mirrorscope/internal/pcapgen"
	"mirrorscope/internal/pcapgen/workload"
)

// TestTruth: it counts what the workloads hold, however the octets come, and
// whether or not the table has to grow.
func TestTruth(t *testing.T) {
	for _, c := range []workload.Config{
		{Workload: "w1", Flows: 3000}, {Workload: "w2", Flows: 7, Packets: 3000}, {Workload: "w3", Flows: 2000},
		{Workload: "w4", Flows: 300}, {Workload: "w5", Flows: 5000}, {Workload: "w6", Flows: 20_000},
	} {
		var buf bytes.Buffer
		truth, err := workload.Generate(c, pcapgen.NewPcapWriter(&buf, pcapgen.PcapConfig{
			Link: pcapgen.LinkEthernet, Nano: true, SnapLen: workload.SnapLen(c.Workload)}))
		if err != nil {
			t.Fatal(err)
		}
		want := Counts{truth.Packets, truth.Flows, Volume(truth.ClientSent), Volume(truth.ServerSent)}
		for _, flows := range []int{0, int(truth.Flows)} {
			got, err := Read(iotest.HalfReader(bytes.NewReader(buf.Bytes())), flows)
			if err != nil || got != want {
				t.Errorf("%s: %+v, %v; the truth is %+v", c.Workload, got, err, want)
			}
		}
		if _, err := Read(bytes.NewReader(buf.Bytes()[:buf.Len()-1]), 0); err != io.ErrUnexpectedEOF {
			t.Errorf("%s: half a packet gives %v", c.Workload, err)
		}
	}
	if _, err := Read(bytes.NewReader(make([]byte, 30)), 0); err == nil {
		t.Error("no pcap file, and no error")
	}
}

func TestEntry(t *testing.T) {
	table, err := newTable(0)
	if err != nil {
		t.Fatal(err)
	}
	defer table.free()
	if n := len(table.memory) / len(table.entries); n != entrySize || cap(table.entries)*entrySize != len(table.memory) {
		t.Errorf("%d octets an entry", n)
	}
}
