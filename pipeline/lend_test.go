package pipeline

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/session"
)

// lender lends frames out of memory that it fills with something else as soon
// as it may: one at a time, or as a batcher some.
type lender struct {
	frames
	lent [][]byte
}

func (l *lender) Next(f *capture.Frame) error {
	for _, b := range l.lent {
		for i := range b {
			b[i] = 0xee
		}
	}
	l.lent = l.lent[:0]
	return l.lend(f)
}

func (l *lender) lend(f *capture.Frame) error {
	err := l.frames.Next(f)
	if err == nil {
		f.Data = bytes.Clone(f.Data)
		l.lent = append(l.lent, f.Data)
	}
	return err
}

type batchLender struct {
	lender
	calls int
}

func (l *batchLender) NextBatch(fs []capture.Frame) (int, error) {
	if err := l.Next(&fs[0]); err != nil {
		return 0, err
	}
	l.calls++
	n := 1 + l.calls*7%len(fs)
	for i := 1; i < n; i++ {
		if l.lend(&fs[i]) != nil {
			return i, nil
		}
	}
	return n, nil
}

// mixed are frames of all that the reader treats in its own way: fragments that
// meet and others that do not, errors that quote a flow, seconds that begin, and
// payload that readers look at.
func mixed(t *testing.T) []capture.Frame {
	t.Helper()
	var list []capture.Frame
	add := func(at int64, b []byte) {
		list = append(list, capture.Frame{Data: b, Time: at, WireLen: len(b), Link: capture.LinkEthernet})
	}
	for i, f := range traffic(6000).list {
		list = append(list, f)
		if i%50 == 0 {
			first, rest := fragments(f.Time)
			list = append(list, first, rest)
		}
		if i%70 == 0 {
			ip := pcapgen.IPv4{Src: netip.MustParseAddr("10.0.0.7"), Dst: netip.MustParseAddr("10.0.0.9"), ID: uint16(1000 + i), MF: true, Protocol: packet.ProtoUDP}
			add(f.Time, pcapgen.Build(pcapgen.Ethernet{}, ip, pcapgen.Payload(f.Data[34:34+8]))) // alone for ever
		}
		if i%90 == 0 {
			add(f.Time, pcapgen.Build(pcapgen.Ethernet{}, pcapgen.IPv4{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.7")},
				pcapgen.ICMP{Type: 3, Code: 3}, pcapgen.Payload(f.Data[14:])))
		}
		if i%110 == 0 {
			question := pcapgen.DNSQuery(uint16(i), fmt.Sprintf("host%d.example", i), 1)
			add(f.Time, pcapgen.Build(pcapgen.Ethernet{}, pcapgen.IPv4{Src: netip.MustParseAddr("10.0.0.7"), Dst: netip.MustParseAddr("10.0.0.53"), ID: uint16(i)},
				pcapgen.UDP{SrcPort: uint16(50000 + i), DstPort: 53}, pcapgen.Payload(question)))
		}
	}
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{filepath.Join("..", "testdata", "pcaps", "shop.pcap")}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	shift := int64(0)
	for f := (capture.Frame{}); src.Next(&f) == nil; {
		if shift == 0 {
			shift = list[len(list)-1].Time - f.Time
		}
		f.Data, f.Time, f.Interface = bytes.Clone(f.Data), f.Time+shift, 0
		list = append(list, f)
	}
	return list
}

// How a source lends its frames, and who works where, changes nothing: what is
// kept longer than the frame is a copy.
func TestLending(t *testing.T) {
	list := mixed(t)
	for _, every := range []int{mostWait, 64} { // records leave after so many packets
		var want string
		for _, shards := range []int{1, 2, 5} {
			for name, src := range map[string]capture.Source{
				"frames that stay": &frames{list: list}, "frames": &lender{frames: frames{list: list}}, "batches": &batchLender{lender: lender{frames: frames{list: list}}},
			} {
				cfg := config(shards)
				cfg.Flow.Interval = time.Second
				recs, c := runEvery(t, every, src, cfg)
				if err := Identity(&c); err != nil {
					t.Error(err)
				}
				if c.Skipped[packet.FragmentIncomplete] == 0 || c.Decoded < 6000 {
					t.Fatalf("%d decoded, %d fragments without their packet", c.Decoded, c.Skipped[packet.FragmentIncomplete])
				}
				var all strings.Builder
				fmt.Fprintf(&all, "%+v\n", c)
				for _, r := range recs {
					r.Distributions = nil
					all.WriteString(said(t, &r.Report))
					r.Report = session.Report{}
					fmt.Fprintf(&all, "%+v\n", r)
				}
				text := all.String()
				if want == "" {
					want = text
				}
				if a, b := strings.Split(want, "\n"), strings.Split(text, "\n"); want != text {
					for i := range min(len(a), len(b)) {
						if a[i] != b[i] {
							t.Fatalf("%s, %d shards: line %d is\n%s\nand was\n%s", name, shards, i, b[i], a[i])
						}
					}
					t.Fatalf("%s, %d shards: %d lines, and were %d", name, shards, len(b), len(a))
				}
			}
		}
	}
}

// runEvery runs with records that leave after so many packets.
func runEvery(t *testing.T, every int, src capture.Source, cfg Config) ([]flow.Record, flow.Capture) {
	t.Helper()
	defer func(n int) { collectEvery = n }(collectEvery)
	collectEvery = every
	return run(t, src, cfg)
}

// A packet does not wait for others while the source has none.
func TestIdleHandsOver(t *testing.T) {
	for _, shards := range []int{1, 2} {
		src, cfg := traffic(10), config(shards)
		learned := flow.NewLearned(cfg.Flow)
		var tables []*flow.Table
		for range flow.Partitions {
			tables = append(tables, flow.NewTable(cfg.Flow, learned, cfg.Names))
		}
		r := newReader(src, cfg, tables, learned)
		for _, s := range r.shards {
			if s.in != nil {
				go s.run(r.batches)
			}
		}
		for range 10 {
			if _, err := r.read(); err != nil {
				t.Fatal(err)
			}
		}
		waiting := r.batch.n
		r.idle(src.list[9].Time)
		if waiting == 0 || r.batch.n != 0 {
			t.Errorf("%d shards: %d packets waited, and %d after the source was idle", shards, waiting, r.batch.n)
		}
		r.close()
	}
}

// A list that its records' reports lie in gives out the same as records that own them,
// however few are made at a time, and where some wait for others of their moment.
func TestLentReports(t *testing.T) {
	list := mixed(t)
	for i := range 6000 { // connections that close, and that end since others begin, at moments at which records are collected
		c := pcapgen.IPv4{Src: netip.AddrFrom4([4]byte{10, 9, 0, byte(i % 16)}), Dst: netip.MustParseAddr("10.0.0.1"), ID: uint16(i)}
		s := pcapgen.IPv4{Src: c.Dst, Dst: c.Src, ID: uint16(i)}
		port := uint16(4000)
		if i%7 == 0 { // that close
			port += uint16(i)
		}
		at, seq := list[len(list)-1].Time+int64(i%8/7)*3e6, uint32(i)*1e5
		add := func(ip pcapgen.IPv4, tcp pcapgen.TCP, payload string) {
			tcp.SrcPort, tcp.DstPort, tcp.Window = port, port, 9000
			b := pcapgen.Build(pcapgen.Ethernet{}, ip, tcp, pcapgen.Payload(payload))
			list = append(list, capture.Frame{Data: b, Time: at, WireLen: len(b), Link: capture.LinkEthernet})
			at += int64(i % 5 * 1e3)
		}
		if add(c, pcapgen.TCP{Seq: seq, Flags: pcapgen.SYN}, ""); i%3 == 0 {
			add(s, pcapgen.TCP{Ack: seq + 1, Flags: pcapgen.RST | pcapgen.ACK}, "")
			continue
		}
		add(s, pcapgen.TCP{Seq: seq, Ack: seq + 1, Flags: pcapgen.SYN | pcapgen.ACK}, "")
		add(c, pcapgen.TCP{Seq: seq + 1, Ack: seq + 1, Flags: pcapgen.ACK}, "")
		if i%3 == 1 {
			add(c, pcapgen.TCP{Seq: seq + 1, Ack: seq + 1, Flags: pcapgen.ACK | pcapgen.PSH}, "abc")
			add(s, pcapgen.TCP{Seq: seq + 1, Ack: seq + 4, Flags: pcapgen.ACK | pcapgen.PSH}, "def")
		}
		switch next := seq + 1 + uint32(i%3%2*3); {
		case i%7 == 0:
			add(c, pcapgen.TCP{Seq: next, Ack: next, Flags: pcapgen.FIN | pcapgen.ACK}, "")
			add(s, pcapgen.TCP{Seq: next, Ack: next + 1, Flags: pcapgen.FIN | pcapgen.ACK}, "")
			add(c, pcapgen.TCP{Seq: next + 1, Ack: next + 1, Flags: pcapgen.ACK}, "")
		case i%7 > 2:
			add(s, pcapgen.TCP{Seq: next, Ack: next, Flags: pcapgen.RST | pcapgen.ACK}, "")
		}
	}
	t.Run("of one point", func(t *testing.T) { lentReports(t, list, false) })
	var twice []capture.Frame
	for _, f := range list {
		twice = append(twice, f)
		f.Interface = 1
		twice = append(twice, f)
	}
	t.Run("of two points", func(t *testing.T) { lentReports(t, twice, true) })
}

// twoPoints is frames of two interfaces.
type twoPoints struct{ frames }

func (*twoPoints) Interfaces() []string { return []string{"test0", "test1"} }

// lentReports compares the reports that are lent with those that are not. What is Joined is read at
// the very end.
func lentReports(t *testing.T, list []capture.Frame, joins bool) {
	t.Helper()
	told := func(lends bool, shards, piece int) string {
		defer func(n int) { collectEvery = n }(collectEvery)
		collectEvery = 8
		cfg := config(shards)
		cfg.Flow.Sums, cfg.Flow.Lends, cfg.piece = true, lends, piece
		if joins {
			cfg.Paths = func(*path.Connection) error { return nil }
		}
		var text strings.Builder
		var held []flow.Record
		add := func(r *flow.Record) { fmt.Fprintf(&text, "%x %d %s", r.ID, r.Release, said(t, &r.Report)) }
		if _, err := Run(t.Context(), &twoPoints{frames{list: list}}, cfg, func(recs []*flow.Record) error {
			for _, r := range recs {
				if r.Joined {
					held = append(held, *r)
				} else {
					add(r)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if joins != (len(held) > 1000) {
			t.Fatalf("%d records are joined", len(held))
		}
		for i := range held {
			add(&held[i])
		}
		return text.String()
	}
	want := told(false, 1, 0)
	if strings.Count(want, `"SNI":"`) < 10 || strings.Count(want, "\n") < 2000 {
		t.Fatal("that proves nothing")
	}
	for _, by := range []struct{ shards, piece int }{{1, 0}, {1, 1}, {3, 50}} {
		if got := told(true, by.shards, by.piece); got != want {
			a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Fatalf("%+v: record %d of %d is\n%s\nand without lending\n%s", by, i, len(b), b[i], a[i])
				}
			}
			t.Fatalf("%+v: %d records, want %d", by, len(b), len(a))
		}
	}
}
