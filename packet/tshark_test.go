package packet

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// tsharkFields are what is asked of tshark, one column each.
var tsharkFields = []string{
	"frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst",
	"tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.window_size_value", "tcp.len",
	"udp.srcport", "udp.dstport", "udp.length",
}

// tsharkRows lets tshark read captures one after the other, and gives one row
// of columns a frame.
func tsharkRows(t *testing.T, paths []string) [][]string {
	t.Helper()
	merged := filepath.Join(t.TempDir(), "merged.pcapng") // one run of tshark for all takes a second, a run for each a minute
	merge := append([]string{"-a", "-F", "pcapng", "-w", merged}, paths...)
	if out, err := exec.Command("mergecap", merge...).CombinedOutput(); err != nil {
		t.Fatalf("mergecap: %v\n%s", err, out)
	}
	args := []string{"-r", merged, "-T", "fields", "-E", "occurrence=a", "-E", "separator=|", "-d", "udp.port==8472,vxlan"}
	for _, f := range tsharkFields {
		args = append(args, "-e", f)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "|"))
	}
	return rows
}

// column picks the i-th occurrence of a field, "" where there is none.
func column(row []string, field string, i int) string {
	for c, f := range tsharkFields {
		if f == field {
			v := strings.Split(row[c], ",")
			if i >= 0 && i < len(v) {
				return v[i]
			}
		}
	}
	return ""
}

// tsharkTuple writes the innermost packet of a row as tupleOf does, and "" for
// none. Packets that an ICMP error quotes do not count.
func tsharkTuple(row []string) string {
	var nIP, nIPv6, nTCP, nUDP int
	var ip, transport string
layers:
	for l := range strings.SplitSeq(row[0], ":") {
		switch l {
		case "ip":
			nIP++
			ip, transport = l, ""
		case "ipv6":
			nIPv6++
			ip, transport = l, ""
		case "tcp":
			nTCP++
			transport = l
		case "udp":
			nUDP++
			transport = l
		case "icmp", "icmpv6":
			break layers
		}
	}
	var s string
	switch ip {
	case "ip":
		s = column(row, "ip.src", nIP-1) + " " + column(row, "ip.dst", nIP-1)
	case "ipv6":
		s = column(row, "ipv6.src", nIPv6-1) + " " + column(row, "ipv6.dst", nIPv6-1)
	default:
		return ""
	}
	switch transport {
	case "tcp":
		v := func(field string) string { return column(row, field, nTCP-1) }
		flags, _ := strconv.ParseUint(strings.TrimPrefix(v("tcp.flags"), "0x"), 16, 16)
		s += fmt.Sprintf(" tcp %s %s seq %s ack %s flags %#x win %s len %s", v("tcp.srcport"), v("tcp.dstport"),
			v("tcp.seq_raw"), v("tcp.ack_raw"), flags&0x1ff, v("tcp.window_size_value"), v("tcp.len"))
	case "udp":
		v := func(field string) string { return column(row, field, nUDP-1) }
		n, _ := strconv.Atoi(v("udp.length"))
		s += fmt.Sprintf(" udp %s %s len %d", v("udp.srcport"), v("udp.dstport"), n-udpHeader)
	}
	return s
}

// tupleOf writes a Packet for comparison.
func tupleOf(p *Packet) string {
	s := p.Src.IP().String() + " " + p.Dst.IP().String()
	switch p.Proto {
	case ProtoTCP:
		s += fmt.Sprintf(" tcp %d %d seq %d ack %d flags %#x win %d len %d", p.SrcPort, p.DstPort, p.TCP.Seq, p.TCP.Ack,
			p.TCP.Flags, p.TCP.Window, p.PayloadLen)
	case ProtoUDP:
		s += fmt.Sprintf(" udp %d %d len %d", p.SrcPort, p.DstPort, p.PayloadLen)
	}
	return s
}

// TestAgainstTshark compares the innermost packet of every frame of every
// capture with tshark's view. It covers the encapsulations that gopacket does
// not know, and reassembly. What differs must have one of the reasons of
// tsharkDiffers.
func TestAgainstTshark(t *testing.T) {
	needs.Tool(t, "tshark")
	needs.Tool(t, "mergecap")
	dir := capturesDir(t)
	var paths []string
	for _, file := range captureFiles(t, dir) {
		paths = append(paths, filepath.Join(dir, file))
	}
	rows := tsharkRows(t, paths)
	compared, reasons := 0, map[string]int{}
	for _, path := range paths {
		frames := readCapture(t, path)
		if len(rows) < len(frames) {
			t.Fatalf("%s: %d frames, tshark has %d left", path, len(frames), len(rows))
		}
		d := NewDecoder(DefaultConfig(), new(Names))
		var p Packet
		for i := range frames {
			row := rows[0]
			rows = rows[1:]
			skip := frames[i].decode(d, &p)
			got := ""
			if skip == OK {
				got = tupleOf(&p)
			}
			want := tsharkTuple(row)
			if skip == OK && got == want || skip == NotIP && want == "" {
				compared++
				continue
			}
			reason := tsharkDiffers(row, skip, &p, got, want)
			reasons[reason]++
			if reason == "" {
				t.Errorf("%s frame %d: %s, skip %q\n got  %s, flags %b\n want %s", path, i+1, row[0], skip, got, p.Flags, want)
			}
		}
	}
	if len(rows) > 0 {
		t.Errorf("tshark has %d more frames", len(rows))
	}
	t.Logf("%d frames compared equal; not comparable: %v", compared, reasons)
	if compared < 15000 {
		t.Errorf("only %d frames compared equal", compared)
	}
}

// tsharkDiffers names the reason why a frame cannot be compared with tshark,
// "" when there is none.
func tsharkDiffers(row []string, skip Skip, p *Packet, got, want string) string {
	stack := row[0]
	sameButLen := func() bool {
		g, _, ok := strings.Cut(got, " len ")
		w, _, _ := strings.Cut(want, " len ")
		return ok && g == w
	}
	inner := stack[max(strings.LastIndex(stack, ":ip:"), strings.LastIndex(stack, ":ipv6:"), 0):]
	fragment := strings.HasSuffix(stack, ":ip:data") || strings.HasSuffix(stack, ":ipv6.fraghdr:data")
	switch {
	case skip == Held && fragment:
		return "a fragment that waits"
	case skip == BadIP && (fragment || strings.HasSuffix(stack, ":ipv6.fraghdr")):
		return "impossible fragments let pass"
	case skip == NotIP && strings.Contains(inner, ":eth:"):
		return "no IP in the tunnel"
	case skip == OK && p.Flags&LengthUnknown != 0 && strings.HasSuffix(want, " len -8"):
		return "UDP length 0 of an offloaded packet or a jumbogram taken as it is"
	case skip == OK && p.Proto == ProtoUDP && p.Flags&BadHeader != 0 && sameButLen():
		return "UDP length that contradicts IP's taken as it is"
	case skip == OK && p.Flags&Truncated != 0 && sameButLen():
		return "IP length beyond the frame's cut to it"
	case skip == OK && p.Proto == ProtoTCP && p.Flags&(BadHeader|HeaderCut) != 0 && strings.HasSuffix(stack, ":tcp"):
		return "damaged TCP header not read"
	case strings.Contains(stack, ":teredo:"):
		return "Teredo entered"
	case skip == OK && p.Proto == ProtoGRE && strings.Contains(stack, ":gre:ppp:"):
		return "PPTP entered, by design a GRE flow"
	case skip == BadIP && strings.HasSuffix(stack, ":ip") && want == " ":
		return "refused by both"
	case skip == BadIP && strings.HasSuffix(stack, ":ipv6.hopopts"):
		return "extension header longer than its packet let pass"
	case skip == SkipTruncated && (want == "" || want == " " || strings.HasSuffix(stack, ":geneve:eth")):
		return "cut inside a tunnel or IP header"
	}
	return ""
}
