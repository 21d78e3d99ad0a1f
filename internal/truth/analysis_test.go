package truth

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestAnalysis compares, for both senders of every TCP stream, what the sensor
// says of the connection's packets with tshark's tcp.analysis of the same
// packets: retransmissions and reordering together, each alone, and the rest
// of what both can tell. Mirror copies are taken out where the ground truth
// has them. Whatever differs must be in analysisCases, with the figures, and
// whatever is there must differ just so.
func TestAnalysis(t *testing.T) {
	var tally counts
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		ours := reports(replay(t, path).connections)
		theirs := map[pair]*[2]analysis{}
		number := map[pair]int{}
		for _, s := range tr.streams() {
			p := pairOf(s.client(), s.server())
			if theirs[p] == nil {
				theirs[p] = &[2]analysis{{}, {}}
			}
			number[p]++
			theirs[p][p.index(s.client())].add(s.FromClient.Analysis)
			theirs[p][p.index(s.server())].add(s.FromServer.Analysis)
		}
		for p, a := range theirs {
			r := ours[p]
			if r == nil {
				t.Errorf("%s: no record", p)
				continue
			}
			equal := true
			for i := range a {
				if !agree(t, "tshark", name, p.String(), p.end(i).String(), tsharkFigures(a[i], a[1-i], r[i])) {
					equal = false
				}
			}
			tally.add(number[p], equal, false)
		}
	})
	unmet(t, "tshark")
	compared(t, "tshark", &tally)
}

// TestTcptrace does the same with tcptrace, which knows plain captures only
// and has no view without mirror copies: streams that have some are left out.
func TestTcptrace(t *testing.T) {
	var tally counts
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		if tr.TCPTrace == nil {
			return
		}
		copied := map[pair]bool{}
		for _, s := range tr.TCPStreams {
			if s.MirrorCopies > 0 {
				copied[pairOf(s.client(), s.server())] = true
			}
		}
		theirs := map[pair]*[2]traced{}
		for _, x := range tr.TCPTrace {
			a, b := endpoint{x.HostA.Unmap(), x.PortA}, endpoint{x.HostB.Unmap(), x.PortB}
			p := pairOf(a, b)
			if theirs[p] == nil {
				theirs[p] = &[2]traced{}
			}
			theirs[p][p.index(a)].add(traced{x.PacketsA, x.BytesA, x.OutOfOrderA})
			theirs[p][p.index(b)].add(traced{x.PacketsB, x.BytesB, x.OutOfOrderB})
		}
		ours := reports(replay(t, path).connections)
		for p, a := range theirs {
			if copied[p] {
				continue
			}
			r := ours[p]
			if r == nil {
				r = &[2]report{}
			}
			equal := true
			for i := range a {
				if !agree(t, "tcptrace", name, p.String(), p.end(i).String(), tcptraceFigures(a[i], r[i])) {
					equal = false
				}
			}
			tally.add(1, equal, false)
		}
	})
	unmet(t, "tcptrace")
	compared(t, "tcptrace", &tally)
}

// analysis counts tshark's verdicts over the packets of one sender, by name.
type analysis map[string]int64

func (a analysis) add(b map[string]int64) {
	for k, n := range b {
		a[k] += n
	}
}

// traced is what tcptrace says of one sender.
type traced struct{ packets, bytes, outOfOrder int64 }

func (x *traced) add(y traced) {
	x.packets += y.packets
	x.bytes += y.bytes
	x.outOfOrder += y.outOfOrder
}

// tcptraceConn is a connection as tcptrace tells it.
type tcptraceConn struct {
	HostA       netip.Addr `json:"host_a"`
	HostB       netip.Addr `json:"host_b"`
	PortA       int        `json:"port_a,string"`
	PortB       int        `json:"port_b,string"`
	PacketsA    int64      `json:"rexmt_data_pkts_a2b,string"`
	PacketsB    int64      `json:"rexmt_data_pkts_b2a,string"`
	BytesA      int64      `json:"rexmt_data_bytes_a2b,string"`
	BytesB      int64      `json:"rexmt_data_bytes_b2a,string"`
	OutOfOrderA int64      `json:"outoforder_pkts_a2b,string"`
	OutOfOrderB int64      `json:"outoforder_pkts_b2a,string"`
}

// report is what the sensor says of one sender.
type report struct {
	retransmits, bytes, spurious, fast int64
	outOfOrder                         int64
	keepAlives                         int64
	probes                             int64 // of the other side's zero window
	zeroWindows                        int64
	windowFullUs                       float64
	missedBytes                        int64
}

// reports sums the TCP records of each 5-tuple, over generations and
// observation points as the other tools do; the sender is the pair's a in [0].
func reports(cs []connection) map[pair]*[2]report {
	m := map[pair]*[2]report{}
	for _, c := range cs {
		if c.Protocol != "tcp" {
			continue
		}
		p := pairOf(c.Client, c.Server)
		if m[p] == nil {
			m[p] = &[2]report{}
		}
		var x struct {
			Retransmits sides[struct {
				Packets, Bytes int64
				Spurious       int64            `json:"spurious_packets"`
				ByClass        map[string]int64 `json:"by_class"`
			}]
			OutOfOrder sides[struct{ Packets int64 }]          `json:"out_of_order"`
			KeepAlives sides[int64]                            `json:"keep_alives"`
			ZeroWindow sides[struct{ Episodes, Probes int64 }] `json:"zero_window"`
			WindowFull sides[float64]                          `json:"window_full_us"`
			Capture    struct {
				MissedBytes sides[int64] `json:"missed_bytes"`
			}
		}
		if err := json.Unmarshal(c.line, &x); err != nil {
			panic(err) // replay has read the line before
		}
		for side, sender := range [2]endpoint{c.Client, c.Server} {
			r := &m[p][p.index(sender)]
			re := x.Retransmits.at(side)
			r.retransmits += re.Packets
			r.bytes += re.Bytes
			r.spurious += re.Spurious
			r.fast += re.ByClass["fast"]
			r.outOfOrder += x.OutOfOrder.at(side).Packets
			r.keepAlives += x.KeepAlives.at(side)
			r.probes += x.ZeroWindow.at(1 - side).Probes // the record has them beside the window that they probe
			r.zeroWindows += x.ZeroWindow.at(side).Episodes
			r.windowFullUs += x.WindowFull.at(side)
			r.missedBytes += x.Capture.MissedBytes.at(side)
		}
	}
	return m
}

// sides is a figure of each side of a connection.
type sides[T any] struct{ Client, Server T }

func (s sides[T]) at(i int) T {
	if i == 0 {
		return s.Client
	}
	return s.Server
}

// index is 0 for a and 1 for b.
func (p pair) index(e endpoint) int {
	if e == p.a {
		return 0
	}
	return 1
}

func (p pair) end(i int) endpoint { return [2]endpoint{p.a, p.b}[i] }

// figure is one number as the other tool and the sensor tell it.
type figure struct {
	name         string
	theirs, ours int64
}

func (f figure) String() string { return fmt.Sprintf("%s %d/%d", f.name, f.theirs, f.ours) }

// tsharkFigures pairs what tshark says of a sender's packets with what the
// sensor says. Where one counts packets and the other time, octets or
// episodes, both become 0 or 1: was there any? A fast or spurious
// retransmission is a retransmission to both; repeats of SYN and FIN are in.
// tshark tells of a hole at the packet behind it and of missed data at the
// receiver's ACK.
func tsharkFigures(a, peer analysis, r report) []figure {
	return []figure{
		{"sum", a["retransmission"] + a["out_of_order"], r.retransmits + r.outOfOrder},
		{"retransmissions", a["retransmission"], r.retransmits},
		{"out of order", a["out_of_order"], r.outOfOrder},
		{"spurious", a["spurious_retransmission"], r.spurious},
		{"fast", a["fast_retransmission"], r.fast},
		{"keep-alives", a["keep_alive"], r.keepAlives},
		{"zero-window probes", a["zero_window_probe"], r.probes},
		{"zero window", min(a["zero_window"], 1), min(r.zeroWindows, 1)},
		{"window full", min(a["window_full"], 1), any01(r.windowFullUs > 0)},
		{"missed", min(a["lost_segment"]+peer["ack_lost_segment"], 1), min(r.missedBytes, 1)},
	}
}

// tcptraceFigures likewise. tcptrace counts octets of sequence space, the
// sensor payload: a repeat may differ by the one of its SYN or FIN.
func tcptraceFigures(x traced, r report) []figure {
	fs := []figure{
		{"sum", x.packets + x.outOfOrder, r.retransmits + r.outOfOrder},
		{"retransmissions", x.packets, r.retransmits},
		{"out of order", x.outOfOrder, r.outOfOrder},
	}
	if x.bytes < r.bytes || x.bytes > r.bytes+r.retransmits {
		fs = append(fs, figure{"octets", x.bytes, r.bytes})
	}
	return fs
}

func any01(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// agree compares the figures of one sender and fails the test unless they
// differ exactly as analysisCases says. It tells whether all are equal.
func agree(t *testing.T, tool, file, stream, sender string, figures []figure) bool {
	t.Helper()
	var got, want []string
	for _, f := range figures {
		if f.theirs != f.ours {
			got = append(got, f.String())
		}
	}
	for i := range analysisCases {
		c := &analysisCases[i]
		if c.tool == tool && c.file == file && c.stream == stream && c.sender == sender {
			want = append(want, strings.Split(c.figures, ", ")...)
			metLock.Lock()
			met[c] = true
			metLock.Unlock()
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s, %s, sent by %s (%s/sensor):\ngot    %s\nlisted %s", file, stream, sender, tool, strings.Join(got, ", "), strings.Join(want, ", "))
	}
	return len(got) == 0
}

var (
	metLock sync.Mutex
	met     = map[*analysisCase]bool{}
)

// unmet fails the test on cases of a tool that no comparison met: a misspelt
// one accepts nothing and would go unnoticed. It looks only when all captures
// were compared.
func unmet(t *testing.T, tool string) {
	t.Helper()
	if partial() {
		return
	}
	for i := range analysisCases {
		if c := &analysisCases[i]; c.tool == tool && !met[c] {
			t.Errorf("analysisCases has %s %s %s, sent by %s, which no comparison met", c.tool, c.file, c.stream, c.sender)
		}
	}
}

// results is what each comparison comes to.
var results = []result{
	{"tshark", 1097, 1022},
	{"tcptrace", 432, 404},
	{"Arkime", 32, 24},
	{"nDPI", 12, 12},
	{"DeepFlow", 4, 3},
}

type result struct {
	tool           string
	streams, equal int
}

// compared fails the test unless a comparison of all captures comes to what
// results says.
func compared(t *testing.T, tool string, c *counts) {
	t.Helper()
	if got := (result{tool, c.total, c.equal}); !t.Failed() && !partial() && !slices.Contains(results, got) {
		t.Errorf("got %v, which is not in results", got)
	}
}

// partial tells whether only some captures are compared.
func partial() bool { return strings.Contains(flag.Lookup("test.run").Value.String(), "/") }
