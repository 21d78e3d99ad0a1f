package workload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
)

// names of all workloads, by a small configuration of each.
var small = []Config{
	{Workload: "w1", Flows: 300, Open: 64},
	{Workload: "w2", Flows: 7, Packets: 20_000},
	{Workload: "w3", Flows: 100, Open: 16},
	{Workload: "w4", Flows: 60, Open: 16},
	{Workload: "w5", Flows: 500, Open: 500},
	{Workload: "w6", Flows: 500},
	{Workload: "w6w4", Flows: 20, Open: 8},
	{Workload: "w6w4-part", Flows: 20, Open: 8},
}

func generate(t *testing.T, c Config) ([]byte, Truth) {
	t.Helper()
	var buf bytes.Buffer
	truth, err := Generate(c, pcapgen.NewPcapWriter(&buf, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet, Nano: true, SnapLen: SnapLen(c.Workload)}))
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), truth
}

type tuple struct {
	src, dst     gopacket.Endpoint
	sport, dport layers.TCPPort
}

// TestTruth counts the packets of each workload by gopacket.
func TestTruth(t *testing.T) {
	for _, c := range small {
		t.Run(c.Workload, func(t *testing.T) {
			file, truth := generate(t, c)
			got := Truth{}
			clients := map[tuple]bool{} // sender's view of each flow, by its SYN
			var last int64
			gap := int64(1) // packets between two
			if c.Workload == "w6w4-part" {
				gap += floodPackets
			}
			le := binary.LittleEndian
			for b := file[24:]; len(b) > 0; {
				now := int64(le.Uint32(b))*1e9 + int64(le.Uint32(b[4:]))
				n := int(le.Uint32(b[8:]))
				got.Packets++
				got.Bytes += int64(le.Uint32(b[12:]))
				p := gopacket.NewPacket(b[16:16+n], layers.LinkTypeEthernet, gopacket.Default)
				b = b[16+n:]
				if now <= last || now > last+2000*gap && last > 0 {
					t.Fatalf("time stamp %d after %d", now, last)
				}
				last = now
				var ip *layers.IPv4
				var tcp *layers.TCP
				for _, l := range p.Layers() { // the innermost
					switch l := l.(type) {
					case *layers.IPv4:
						ip = l
					case *layers.TCP:
						tcp = l
					}
				}
				k := tuple{ip.NetworkFlow().Src(), ip.NetworkFlow().Dst(), tcp.SrcPort, tcp.DstPort}
				if tcp.SYN && !tcp.ACK {
					if clients[k] {
						t.Fatalf("two flows of the same tuple %v", k)
					}
					clients[k] = true
				}
				v := got.sent(pcapgen.Server)
				if clients[k] {
					v = got.sent(pcapgen.Client)
				}
				v.Packets++
				v.Bytes += int64(ip.Length)
				v.PayloadBytes += int64(ip.Length) - 4*int64(ip.IHL) - 4*int64(tcp.DataOffset)
			}
			if got.Packets != truth.Packets || got.Bytes != truth.Bytes || got.ClientSent != truth.ClientSent || got.ServerSent != truth.ServerSent {
				t.Errorf("truth    %+v\ngopacket %+v", truth, got)
			}
			if int64(len(clients)) != truth.Flows || last != truth.Last {
				t.Errorf("%d flows, last at %d; truth %d, %d", len(clients), last, truth.Flows, truth.Last)
			}
			var outcomes int64
			for _, n := range truth.Outcomes {
				outcomes += n
			}
			if outcomes != truth.Flows {
				t.Errorf("%d outcomes of %d flows", outcomes, truth.Flows)
			}
			if c.Packets > 0 && truth.Packets != int64(c.Packets) {
				t.Errorf("%d packets, asked for %d", truth.Packets, c.Packets)
			}
		})
	}
}

func TestSeed(t *testing.T) {
	for _, c := range small {
		a, _ := generate(t, c)
		b, _ := generate(t, c)
		c.Seed++
		other, _ := generate(t, c)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: the same seed gave other octets", c.Workload)
		}
		if bytes.Equal(a, other) {
			t.Errorf("%s: another seed gave the same octets", c.Workload)
		}
	}
}

// TestInterleaved looks that flows are mixed as asked for.
func TestInterleaved(t *testing.T) {
	file, _ := generate(t, Config{Workload: "w1", Flows: 1000, Open: 100})
	open, most := map[uint32]bool{}, 0
	for b := file[24:]; len(b) > 0; {
		n := int(binary.LittleEndian.Uint32(b[8:]))
		f := b[16 : 16+n]
		client := be.Uint32(f[14+12:])
		if f[14+20+13]&0x12 == 0x02 {
			open[client] = true
		}
		if f[14+20+13]&1 == 1 {
			delete(open, client)
		}
		most = max(most, len(open))
		b = b[16+n:]
	}
	// The first FIN comes with the 9th packet of 12.
	if most < 60 || most > 100 {
		t.Errorf("at most %d flows between SYN and FIN, want nearly 100", most)
	}
}

// TestFlood: the w4 packets of a flood are, octet for octet and in time, those
// that there are without it, and one in ten.
func TestFlood(t *testing.T) {
	mixed, truth := generate(t, Config{Workload: "w6w4", Packets: 8000, Open: 8})
	alone, part := generate(t, Config{Workload: "w6w4-part", Flows: 40, Open: 8})
	if truth.Packets != 8000 || part.Packets != 800 || truth.Outcomes["closed"] != 40 || truth.Outcomes["timeout"] != 7200 {
		t.Errorf("truth %+v; of w4 %+v", truth, part)
	}
	if !reflect.DeepEqual(*truth.Part, part) {
		t.Errorf("truth of the part %+v, alone %+v", *truth.Part, part)
	}
	kept := slices.Clone(mixed[:24])
	for b, i := mixed[24:], 0; len(b) > 0; i++ {
		n := 16 + int(binary.LittleEndian.Uint32(b[8:]))
		if i%10 == 9 {
			kept = append(kept, b[:n]...)
		}
		b = b[n:]
	}
	if !bytes.Equal(kept, alone) {
		t.Error("the w4 packets of the flood are not those of the part alone")
	}
}

func tshark(t *testing.T, file []byte, args ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-n", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-T", "fields"}, args...)
	out, err := exec.Command(needs.Tool(t, "tshark"), args...).Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func TestChecksums(t *testing.T) {
	for _, c := range small {
		t.Run(c.Workload, func(t *testing.T) {
			var buf bytes.Buffer // w2 whole: a cut segment has no checksum to check
			if _, err := Generate(c, pcapgen.NewPcapWriter(&buf, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet, Nano: true})); err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			for _, l := range tshark(t, buf.Bytes(), "-e", "ip.checksum.status", "-e", "tcp.checksum.status") {
				seen[l]++
			}
			for status := range seen {
				// 1 is good; 2 unverified, of segments that w2 holds only in part.
				if status != "1\t1" && status != "1,1\t1" && (c.Workload != "w2" || status != "1\t2") {
					t.Errorf("checksum status %q of %d packets", status, seen[status])
				}
			}
		})
	}
}

// TestTransfersChecksum builds whole segments, which Generate never does.
func TestTransfersChecksum(t *testing.T) {
	f := newFlow(1, 1)
	p := newTransferTemplates(0).data
	p.fill(&f, 7, 8)
	var buf bytes.Buffer
	w := pcapgen.NewPcapWriter(&buf, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet})
	w.Write(pcapgen.Frame{Data: p.frame})
	w.Flush()
	if got := tshark(t, buf.Bytes(), "-e", "frame.len", "-e", "tcp.len", "-e", "tcp.checksum.status")[0]; got != "1514\t1448\t1" {
		t.Errorf("segment: %s", got)
	}
}

// TestTransfersAnalysis compares the repeats with tshark's.
func TestTransfersAnalysis(t *testing.T) {
	file, truth := generate(t, Config{Workload: "w2", Flows: 5, Packets: 50_000})
	r := truth.Retransmits["server"]
	if r.Packets < 10 || r.Packets != r.LostBefore+r.LostAfter || r.LostBefore == 0 || r.LostAfter == 0 {
		t.Fatalf("repeats %+v", r)
	}
	repeats, holes, blocks := int64(0), int64(0), 0
	for _, l := range tshark(t, file, "-o", "tcp.relative_sequence_numbers:FALSE", "-e", "tcp.analysis.retransmission", "-e", "tcp.analysis.out_of_order", "-e", "tcp.analysis.lost_segment", "-e", "tcp.analysis.ack_lost_segment",
		"-e", "tcp.ack", "-e", "tcp.options.sack_le") {
		f := strings.Split(l, "\t")
		if f[5] != "" {
			blocks++
			ack, _ := strconv.ParseUint(f[4], 10, 32)
			left, _ := strconv.ParseUint(f[5], 10, 32)
			if hole := uint32(left) - uint32(ack); hole != segmentBytes {
				t.Errorf("SACK from %d with ACK %d: a hole of %d octets, want %d", left, ack, hole, segmentBytes)
			}
		}
		if f[0] != "" || f[1] != "" {
			repeats++
		}
		if f[2] != "" {
			holes++
		}
		if f[3] != "" {
			t.Error("an ACK of what was never recorded")
		}
	}
	if blocks < 3*int(r.Packets) {
		t.Errorf("%d SACK blocks for %d losses", blocks, r.Packets)
	}
	if repeats != r.Packets || holes != r.LostBefore {
		t.Errorf("tshark finds %d repeats and %d holes; truth %+v", repeats, holes, r)
	}
}

func TestTLSFlows(t *testing.T) {
	file, truth := generate(t, Config{Workload: "w4", Flows: 30})
	if truth.Packets != 30*tlsPackets || truth.TLS["1.3"] != 20 || truth.TLS["1.2"] != 10 {
		t.Errorf("truth %+v", truth)
	}
	randoms := map[string]bool{}
	for _, l := range tshark(t, file, "-Y", "tls.handshake.type == 1", "-e", "tls.handshake.random", "-e", "tls.handshake.extensions_server_name") {
		randoms[l] = true
	}
	if len(randoms) != 30 {
		t.Errorf("%d different ClientHellos in 30 flows", len(randoms))
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []Config{{Workload: "w99"}, {Workload: "w1", Flows: -1}, {Workload: "w1", Open: -1}} {
		if _, err := Generate(c, nil); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	full := errors.New("disk full")
	_, err := Generate(Config{Workload: "w1"}, pcapgen.NewPcapWriter(writerFunc(func([]byte) (int, error) { return 0, full }), pcapgen.PcapConfig{}))
	if !errors.Is(err, full) {
		t.Errorf("error %v, want %v", err, full)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func BenchmarkGenerate(b *testing.B) {
	for _, name := range []string{"w1", "w2"} {
		b.Run(name, func(b *testing.B) {
			discard := writerFunc(func(b []byte) (int, error) { return len(b), nil })
			w := pcapgen.NewPcapWriter(discard, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet, Nano: true})
			b.ReportAllocs()
			if _, err := Generate(Config{Workload: name, Packets: max(b.N, 100_000)}, w); err != nil {
				b.Fatal(err)
			}
		})
	}
}
