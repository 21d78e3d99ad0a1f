package record

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/needs"

	"mirrorscope/unit"
)

// Wireshark reads what we write: every frame with its time, lengths and interface,
// and who wrote it.
func TestTshark(t *testing.T) {
	tool := needs.Tool(t, "tshark")
	file := filepath.Join(needs.Repository(t), "testdata", "pcaps", "shop.pcap")
	src, err := pcapfile.Open(pcapfile.Config{Points: map[string]string{file: "eth1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	r := recorded(t, src, func(c *Config, _ *Options) { c.Filter, c.Last = "tcp or udp", unit.Duration(time.Hour) })
	files := segmentsOf(t, r.cfg.Directory)
	if len(files) != 1 {
		t.Fatalf("%d segments", len(files))
	}
	got, _ := read(t, files...)
	fields := func(file string, fields ...string) []string {
		args := []string{"-n", "-r", file, "-T", "fields"}
		for _, f := range fields {
			args = append(args, "-e", f)
		}
		out, err := exec.Command(tool, args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	}
	lines := fields(files[0], "frame.time_epoch", "frame.cap_len", "frame.len", "frame.interface_name")
	if len(lines) != len(got) || len(got) < 1000 {
		t.Fatalf("%d frames, we wrote %d", len(lines), len(got))
	}
	for i, line := range lines {
		f := &got[i]
		if want := fmt.Sprintf("%d.%09d\t%d\t%d\teth1", f.Time/1e9, f.Time%1e9, len(f.Data), f.WireLen); line != want {
			t.Fatalf("frame %d: %q, want %q", i, line, want)
		}
	}
	// The innermost headers are all there: the same frames of the whole capture
	// tell the same.
	const innermost = "tcp.seq_raw"
	want := map[string]int{}
	for _, line := range fields(file, innermost, "tcp.len") {
		want[line]++
	}
	for _, line := range fields(files[0], innermost, "tcp.len") {
		if want[line]--; want[line] < 0 {
			t.Fatalf("%q is not in the whole capture", line)
		}
	}
	info, err := exec.Command(needs.Tool(t, "capinfos"), files[0]).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Payload was never written", "mirrorscope sensor 1.2.3", "nanoseconds", "Name = eth1", "Number of stat entries = 1", "proto 6 or proto 17"} {
		if !strings.Contains(string(info), want) {
			t.Errorf("capinfos does not say %q:\n%s", want, info)
		}
	}
}
