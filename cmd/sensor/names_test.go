package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"mirrorscope/cloud"
	"mirrorscope/enrich"
	"mirrorscope/internal/pcapgen"
)

// machines is what a region holds at so many seconds after epoch: address, network and
// name of each.
func machines(source string, seconds int, list ...[3]string) *cloud.Snapshot {
	s := &cloud.Snapshot{Source: source, Taken: time.Unix(0, epoch).Add(time.Duration(seconds) * time.Second)}
	for i, m := range list {
		id := fmt.Sprint("i-", source, i)
		s.Instances = append(s.Instances, cloud.Instance{ID: id, Name: m[2], Tags: cloud.Tags{"service": strings.TrimRight(m[2], "-0123456789")}})
		s.Interfaces = append(s.Interfaces, cloud.Interface{
			ID: fmt.Sprint("eni-", source, i), Provider: "aws", Network: cloud.Named{ID: m[1]}, Kind: cloud.KindInstance, Instance: id,
			Addresses: []netip.Addr{pcapgen.IP(m[0])},
		})
	}
	return s
}

// mirroredBy wraps what a host sent and received as its cloud mirrors it: in VXLAN, from
// its own address to a target.
func mirroredBy(host, target string, vni uint32, c pcapgen.Conn) (frames []pcapgen.Frame) {
	for i, f := range framesOf(0, c.Record()) {
		frames = append(frames, pcapgen.Frame{Time: f.Time, Data: pcapgen.Build(
			pcapgen.Ethernet{}, pcapgen.IPv4{Src: pcapgen.IP(host), Dst: pcapgen.IP(target), ID: uint16(i)}, pcapgen.UDP{SrcPort: 50_000, DstPort: 4789, NoChecksum: true},
			pcapgen.VXLAN{VNI: vni}, pcapgen.Ethernet{}, pcapgen.Packet(f.Data))})
	}
	return frames
}

// said is what a record tells of names.
type said struct {
	Type, Network string
	Start         time.Time
	Client        struct{ Port int }
	ClientTags    struct{ Instance, Service, VPC string } `json:"client_tags"`
	ServerTags    struct{ Instance, Service, VPC string } `json:"server_tags"`
}

// replayed runs a replay, and gives its output.
func replayed(t *testing.T, set func(*replayFlags), files ...string) (out, complaints string) {
	t.Helper()
	var f replayFlags
	f.register(&cobra.Command{})
	f.format, f.memory = formatJSON, 64<<20
	set(&f)
	o, err := f.options(files)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if err := replay(context.Background(), &streams{in: strings.NewReader(""), out: &stdout, err: &stderr}, o, false); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return stdout.String(), stderr.String()
}

// A capture is replayed with the inventory that a sensor kept: two VPCs with the same
// addresses stay apart, by who mirrors; an instance that was tagged anew is called
// otherwise from that moment on; an address that was given to another has its owner of
// the time, and nobody between; and the capture says the same when it is old.
func TestReplayInventory(t *testing.T) {
	dir := t.TempDir()
	c := enrich.DefaultConfig()
	r, m, store := enrich.New(c), c.Mapping(), enrich.Store{Directory: dir}
	one := []*cloud.Snapshot{
		machines("aws/1/a", 0, [3]string{"10.0.0.5", "vpc-1", "web-1"}, [3]string{"10.0.0.6", "vpc-1", "orders-1"}, [3]string{"10.0.0.9", "vpc-1", "endpoint"}),
		machines("aws/1/a", 20, [3]string{"10.0.0.5", "vpc-1", "web-1"}, [3]string{"10.0.0.6", "vpc-1", "billing-1"}, [3]string{"10.0.0.9", "vpc-1", "endpoint"}),
		machines("aws/1/a", 40, [3]string{"10.0.0.6", "vpc-1", "billing-1"}, [3]string{"10.0.0.9", "vpc-1", "endpoint"}),
		machines("aws/1/a", 60, [3]string{"10.0.0.5", "vpc-1", "batch-7"}, [3]string{"10.0.0.6", "vpc-1", "billing-1"}, [3]string{"10.0.0.9", "vpc-1", "endpoint"}),
	}
	two := machines("aws/2/a", 0, [3]string{"10.0.0.5", "vpc-2", "shop-1"}, [3]string{"10.0.0.6", "vpc-2", "stock-1"}, [3]string{"10.0.0.8", "vpc-2", "endpoint"})
	for _, s := range append(one, two) {
		r.Layer(s.Source, enrich.RankOf(s)).Feed(m, s)
	}
	for _, l := range r.Layers() {
		if err := store.Save(l); err != nil {
			t.Fatal(err)
		}
	}
	// Of another source there is the latest snapshot alone, and of a third one nothing whole.
	if err := (cloud.Store{Directory: dir}).Save(machines("aws/3/a", 0, [3]string{"10.3.0.7", "vpc-3", "lone-1"})); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store.Path("aws/4/a"), []byte("half of a file"), 0o600); err != nil {
		t.Fatal(err)
	}

	var frames []pcapgen.Frame
	for k := range 9 { // every 10 s, in both networks
		conn := web(uint16(40_000+k), pcapgen.Listening)
		conn.Client, conn.Server = netip.AddrPortFrom(pcapgen.IP("10.0.0.5"), conn.Client.Port()), netip.MustParseAddrPort("10.0.0.6:8080")
		conn.Start += int64(k)*10e9 + 5e9
		frames = append(frames, mirroredBy("10.0.0.6", "10.0.0.9", 7, conn)...)
		conn.Start += 1e9
		frames = append(frames, mirroredBy("10.0.0.6", "10.0.0.8", 7, conn)...)
	}
	capture := filepath.Join(dir, "old.pcap")
	if err := os.WriteFile(capture, pcap(pcapgen.LinkEthernet, frames), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for k := range 9 {
		client, server := "web-1", "orders-1"
		switch {
		case k >= 6:
			client, server = "batch-7", "billing-1"
		case k >= 4:
			client, server = "", "billing-1"
		case k >= 2:
			server = "billing-1"
		}
		want[fmt.Sprint("vpc-1 ", 40_000+k)] = client + " " + server
	}
	for k := range 9 {
		want[fmt.Sprint("vpc-2 ", 40_000+k)] = "shop-1 stock-1"
	}

	first := ""
	for _, shards := range []int{1, 3} {
		out, complaints := replayed(t, func(f *replayFlags) { f.inventory, f.shards, f.interval = dir, shards, 10*time.Second }, capture)
		if first == "" {
			first = out
		}
		if out != first {
			t.Errorf("%d shards give something else", shards)
		}
		if !strings.Contains(complaints, "note: --inventory: ") || !strings.Contains(complaints, "aws%2F4%2Fa.bin: no history that can be read") {
			t.Errorf("it complains %q", complaints)
		}
	}
	got := map[string]string{}
	for line := range strings.Lines(first) {
		var s said
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		if s.Type != "connection" {
			continue
		}
		got[fmt.Sprint(s.Network, " ", s.Client.Port)] = s.ClientTags.Instance + " " + s.ServerTags.Instance
		if s.ServerTags.VPC != s.Network {
			t.Errorf("%s: the server is in %q", line, s.ServerTags.VPC)
		}
	}
	for k, names := range want {
		if got[k] != names {
			t.Errorf("%s: %q, want %q", k, got[k], names)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d connections, want %d: %v", len(got), len(want), got)
	}

	// The table names what changed by both.
	table, _ := replayed(t, func(f *replayFlags) { f.inventory, f.format = dir, formatTable }, capture)
	for _, want := range []string{"shop (shop-1) → stock (stock-1):8080 tcp", "web (web-1), then batch (batch-7) → orders (orders-1), then billing (billing-1):8080 tcp"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
}

// Without names every output is what it was: no field, no column, no N/A.
func TestReplayWithoutNames(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "web.pcap")
	if err := os.WriteFile(capture, pcap(pcapgen.LinkRaw, framesOf(0, web(40_000, pcapgen.Listening).Record())), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range formats {
		out, _ := replayed(t, func(f *replayFlags) { f.format = format }, capture)
		if strings.Contains(out, "_tags") || strings.Contains(out, "_service") || strings.Contains(out, enrich.Unresolved) {
			t.Errorf("%s", out)
		}
	}
}
