package truth

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

var ofStream = flag.String("stream", "tls/zeek-hrr.pcap,0", "capture and tshark stream number for TestVerdicts")

// TestVerdicts tells what each packet of a stream changed in the sensor's
// figures, beside tshark's verdict on it: what is needed to judge a difference.
//
//	go test ./internal/truth -run TestVerdicts -v -stream tcp/zeek-reassembly.pcap,0
//
// It cuts the capture behind each packet and lets the sensor read what is
// left, so the figures are those of a user, copies and other connections taken
// into account. On its own it looks at one stream, in which packet 11 comes too
// late and all else is in order.
func TestVerdicts(t *testing.T) {
	name, number, _ := strings.Cut(*ofStream, ",")
	path := filepath.Join(needs.Captures(t), "dev", name)
	needs.Tool(t, "tshark")
	needs.Tool(t, "editcap")
	var before [2]report
	var changes []string
	for _, p := range packetsOf(t, path, number) {
		cut := filepath.Join(t.TempDir(), "cut.pcapng")
		if out, err := exec.Command("editcap", "-r", path, cut, "1-"+p.number).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		k := pairOf(p.src, p.dst)
		now := reports(replay(t, cut).connections)[k]
		if now == nil {
			t.Fatalf("packet %s: no record of %s", p.number, k)
		}
		change := ""
		for i := range now {
			if d := now[i].since(before[i]); d != "" {
				change += fmt.Sprintf(" %s:%s", k.end(i), d)
			}
		}
		before = *now
		t.Logf("%s %s seq %s len %s ack %s | %s |%s", p.number, p.src, p.seq, p.len, p.ack, p.verdict, change)
		if change != "" {
			changes = append(changes, p.number+change)
		}
	}
	if want := []string{"11 64.233.185.139 443: out of order +1"}; !slices.Equal(changes, want) && *ofStream == flag.Lookup("stream").DefValue {
		t.Errorf("got %q, want %q", changes, want)
	}
}

// since names the figures that have changed.
func (r report) since(before report) string {
	var b strings.Builder
	for _, f := range []figure{
		{"retransmissions", r.retransmits, before.retransmits},
		{"spurious", r.spurious, before.spurious},
		{"fast", r.fast, before.fast},
		{"out of order", r.outOfOrder, before.outOfOrder},
		{"keep-alives", r.keepAlives, before.keepAlives},
		{"zero-window probes", r.probes, before.probes},
		{"zero windows", r.zeroWindows, before.zeroWindows},
		{"missed octets", r.missedBytes, before.missedBytes},
	} {
		if f.theirs != f.ours {
			fmt.Fprintf(&b, " %s %+d", f.name, f.theirs-f.ours)
		}
	}
	return b.String()
}

// streamPacket is one packet as tshark shows it.
type streamPacket struct {
	number        string
	src, dst      endpoint
	seq, len, ack string // as on the wire
	verdict       string // its tcp.analysis flags
}

// verdictFields are the flags of tcp.analysis that a packet can have.
var verdictFields = []string{"retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "lost_segment", "ack_lost_segment", "keep_alive",
	"duplicate_ack", "zero_window", "zero_window_probe", "window_full", "reused_ports"}

// packetsOf lists the packets of a stream.
func packetsOf(t *testing.T, path, number string) []streamPacket {
	t.Helper()
	fields := []string{"frame.number", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "tcp.seq_raw", "tcp.len", "tcp.ack_raw"}
	args := []string{"-n", "-r", path, "-Y", "tcp.stream==" + number, "-T", "fields", "-E", "occurrence=l"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	for _, f := range verdictFields {
		args = append(args, "-e", "tcp.analysis."+f)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var packets []streamPacket
	for line := range strings.Lines(string(out)) {
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		src, errSrc := parseEndpoint(c[1] + c[2] + " " + c[3])
		dst, errDst := parseEndpoint(c[4] + c[5] + " " + c[6])
		if errSrc != nil || errDst != nil {
			t.Fatal(errSrc, errDst)
		}
		p := streamPacket{number: c[0], src: src, dst: dst, seq: c[7], len: c[8], ack: c[9]}
		for i, f := range verdictFields {
			if c[len(fields)+i] != "" {
				p.verdict += " " + f
			}
		}
		packets = append(packets, p)
	}
	return packets
}
