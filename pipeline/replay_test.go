package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/session"
)

// frames is a Source of frames in memory.
type frames struct {
	list []capture.Frame
	next int
	stop func(n int) // called before frame n is given out
}

func (f *frames) Next(to *capture.Frame) error {
	if f.stop != nil {
		f.stop(f.next)
	}
	if f.next == len(f.list) {
		return io.EOF
	}
	*to = f.list[f.next]
	f.next++
	return nil
}

func (f *frames) Interfaces() []string { return []string{"test0"} }
func (f *frames) Errors() []error      { return nil }
func (f *frames) Close() error         { return nil }

// traffic makes n UDP packets of 100 flows, one a millisecond.
func traffic(n int) *frames {
	f := new(frames)
	for i := range n {
		b := pcapgen.Build(
			pcapgen.Ethernet{},
			pcapgen.IPv4{Src: netip.MustParseAddr("10.0.0.7"), Dst: netip.MustParseAddr("10.0.0.9"), ID: uint16(i)},
			pcapgen.UDP{SrcPort: uint16(40000 + i%100), DstPort: 8125},
			pcapgen.Payload("counter:1|c"),
		)
		f.list = append(f.list, capture.Frame{Data: b, Time: 1_700_000_000e9 + int64(i)*1e6, WireLen: len(b), Link: capture.LinkEthernet})
	}
	return f
}

func config(shards int) Config {
	return Config{Shards: shards, Decode: packet.DefaultConfig(), Flow: flow.DefaultConfig(), Names: new(packet.Names)}
}

// run replays src, and gives its records as they came, as text.
func run(t *testing.T, src capture.Source, cfg Config) ([]flow.Record, flow.Capture) {
	t.Helper()
	var all []flow.Record
	c, err := Run(context.Background(), src, cfg, func(recs []*flow.Record) error {
		for _, r := range recs {
			all = append(all, *r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, c
}

func captures(t *testing.T) []string {
	var files []string
	err := filepath.WalkDir(filepath.Join(needs.Captures(t), "dev"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, ".pcap") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

var serials = regexp.MustCompile(` serial:\d+`)

// On every real capture: all frames are accounted for, the records are in
// order and hold all packets, and neither the number of shards changes anything
// nor that of the records that are made at a time, nor whether frames go
// straight.
func TestCaptures(t *testing.T) {
	for _, file := range captures(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var first string
			for _, by := range []struct {
				shards, piece int
				asked         bool
			}{{1, 0, false}, {3, 1, false}, {8, 0, true}, {64, 200, false}, {1, 0, true}} {
				src, err := pcapfile.Open(pcapfile.Config{Paths: []string{file}})
				if err != nil {
					t.Fatal(err)
				}
				cfg := config(by.shards)
				cfg.piece = by.piece
				if by.asked { // for each packet, which none goes straight by
					cfg.Match = func(*packet.Packet) bool { return true }
				}
				cfg.Flow.Interval = time.Second
				recs, c := run(t, src, cfg)
				src.Close()
				if err := Identity(&c); err != nil {
					t.Error(err)
				}
				checkOrder(t, recs)
				checkVolume(t, recs, &c)
				var all strings.Builder
				fmt.Fprintf(&all, "%+v\n", c)
				for _, r := range recs {
					d := r.Distributions
					r.Distributions = nil
					all.WriteString(said(t, &r.Report))
					r.Report = session.Report{}
					fmt.Fprintf(&all, "%+v\n", r)
					if d != nil {
						for _, h := range []*histogram.Histogram{d.RTT[0], d.RTT[1], d.Delayed[0], d.Delayed[1], d.Think} {
							fmt.Fprintf(&all, "%+v\n", h)
						}
					}
				}
				// In which order a table makes records depends on the pieces; it tells apart what is
				// equal in all else.
				text := serials.ReplaceAllString(all.String(), "")
				if first == "" {
					first = text
				} else if text != first {
					t.Errorf("%+v gives other records than one shard", by)
				}
			}
		})
	}
}

// said writes down what pointers lead to.
func said(t *testing.T, r *session.Report) string {
	t.Helper()
	b, err := json.Marshal([]any{r.TLS, r.QUIC, r.Phases})
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if r.HTTP != nil {
		text += fmt.Sprintf("%+v", *r.HTTP)
	}
	if r.DNS != nil {
		text += fmt.Sprintf("%+v", *r.DNS)
	}
	return text + "\n"
}

func checkOrder(t *testing.T, recs []flow.Record) {
	t.Helper()
	for i := 1; i < len(recs); i++ {
		if a, b := &recs[i-1], &recs[i]; flow.Compare(a, b) > 0 {
			t.Fatalf("records %d and %d are not in order: released %d and %d, kinds %d and %d, start %d and %d", i-1, i, a.Release, b.Release, a.Kind, b.Kind, a.Start, b.Start)
		}
	}
}

// checkVolume: every decoded packet is in one connection, or a mirror copy, or
// a straggler; and intervals sum to the whole.
func checkVolume(t *testing.T, recs []flow.Record, c *flow.Capture) {
	t.Helper()
	whole, parts := map[uint64][2]flow.Volume{}, map[uint64][2]flow.Volume{}
	points := map[packet.PointID][2]int64{} // missed and recorded
	var packets int64
	for _, r := range recs {
		m := whole
		if r.Kind == flow.Interval {
			m = parts
		} else {
			packets += r.Sent[0].Packets + r.Sent[1].Packets
			for _, s := range r.TCP.Sides {
				p := points[r.Point]
				points[r.Point] = [2]int64{p[0] + s.Missed, p[1] + s.Recorded}
			}
		}
		sum := m[r.ID]
		for i, v := range r.Sent {
			sum[i].Packets += v.Packets
			sum[i].Bytes += v.Bytes
			sum[i].PayloadBytes += v.PayloadBytes
		}
		m[r.ID] = sum
	}
	if got := uint64(packets) + c.MirrorDuplicates + c.Stray; got > c.Decoded || got < c.Decoded && got == 0 {
		t.Errorf("%d packets in connections, %d copies, %d stragglers, but %d frames decoded", packets, c.MirrorDuplicates, c.Stray, c.Decoded)
	}
	for _, p := range c.Points {
		if got := [2]int64{p.Missed, p.Recorded}; got != points[p.ID] {
			t.Errorf("point %d missed and recorded %v octets, its connections %v", p.ID, got, points[p.ID])
		}
	}
	for id, v := range whole {
		if parts[id] != v {
			t.Errorf("%016x: intervals sum to %+v, the connection has %+v", id, parts[id], v)
		}
	}
}

// An interrupted run still gives the records of all that was read.
func TestInterrupted(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) { interrupted(t, shards) })
	}
}

func interrupted(t *testing.T, shards int) {
	src := traffic(20_000)
	ctx, cancel := context.WithCancel(context.Background())
	src.stop = func(n int) {
		if n == 10_000 {
			cancel()
		}
	}
	var packets int64
	c, err := Run(ctx, src, config(shards), func(recs []*flow.Record) error {
		for _, r := range recs {
			packets += r.Sent[0].Packets + r.Sent[1].Packets
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if c.Packets < 10_000 || c.Packets == 20_000 || uint64(packets) != c.Decoded {
		t.Errorf("%d read, %d in records", c.Packets, packets)
	}
}

// A failed output ends the run, with that error, also where the input was interrupted then.
// It is not asked again. Where there is one goroutine, that reads no more than lookEvery
// frames after it.
func TestOutputFails(t *testing.T) {
	full := errors.New("disk full")
	for _, c := range []struct {
		shards    int
		interrupt bool
	}{{1, false}, {2, false}, {1, true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			src, read, failed, calls := traffic(20_000), 0, 0, 0
			src.stop = func(n int) { read = n }
			cfg := config(c.shards)
			cfg.Flow.Interval = time.Second
			seen, err := Run(ctx, src, cfg, func([]*flow.Record) error {
				if calls++; c.shards == 1 {
					failed = read
				}
				if c.interrupt {
					cancel()
				}
				return full
			})
			if !errors.Is(err, full) || calls != 1 {
				t.Errorf("error %v, want %v; asked %d times", err, full, calls)
			}
			if c.shards == 1 && (failed == 0 || failed > 2000 || seen.Packets > uint64(failed+1+lookEvery)) {
				t.Errorf("failed after %d frames, %d read", failed, seen.Packets)
			}
		})
	}
}

// After a failed output nobody else is asked, neither for the path of a connection nor for the
// health of that second: its error is that of the run.
func TestNobodyAfterFailure(t *testing.T) {
	full := errors.New("disk full")
	for _, c := range []struct {
		src   func() capture.Source
		fails int // the call of the output that does
	}{{reusedPorts, 1}, {func() capture.Source { return traffic(5_000) }, 3}} {
		for _, shards := range []int{1, 2} {
			cfg, calls, before, behind := config(shards), 0, 0, 0
			ask := func() error {
				if calls < c.fails {
					before++
				} else {
					behind++
				}
				return nil
			}
			cfg.Flow.Interval, cfg.HealthEvery = time.Second, time.Second
			cfg.Health = func(*flow.Capture) error { return ask() }
			cfg.Paths = func(*path.Connection) error { return ask() }
			_, err := Run(context.Background(), c.src(), cfg, func([]*flow.Record) error {
				if calls++; calls < c.fails {
					return nil
				}
				return full
			})
			if !errors.Is(err, full) || behind != 0 || (before > 0) != (c.fails > 1) {
				t.Errorf("%d shards: error %v, want %v; others asked %d times before it and %d behind", shards, err, full, before, behind)
			}
		}
	}
}

// With one shard, the goroutine that reads gives out what is due before it reads on, unless
// the source fills up meanwhile: then another one does.
func TestCollectsItself(t *testing.T) {
	for _, waits := range []bool{true, false} {
		src, reader, others, records := traffic(5_000), "", 0, 0
		src.stop = func(n int) {
			if n == 0 {
				reader = goroutine()
			}
		}
		var from capture.Source = src
		if !waits {
			from = &ticking{Source: src}
		}
		cfg := config(1)
		cfg.Flow.Interval = time.Second
		if _, err := Run(context.Background(), from, cfg, func(r []*flow.Record) error {
			if records += len(r); goroutine() != reader {
				others++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if records < 500 || waits != (others == 0) {
			t.Errorf("a source that waits %t: %d records, given out by others %d times", waits, records, others)
		}
	}
}

// goroutine is a name of the one that asks.
func goroutine() string {
	var b [64]byte
	name, _, _ := strings.Cut(string(b[:runtime.Stack(b[:], false)]), " [")
	return name
}

// A filter counts what it leaves out.
func TestMatch(t *testing.T) {
	cfg := config(2)
	cfg.Match = func(p *packet.Packet) bool { return p.SrcPort == 40001 }
	recs, c := run(t, traffic(1000), cfg)
	if len(recs) != 1 || c.Decoded != 10 || c.Skipped[packet.Filtered] != 990 {
		t.Errorf("%d records, %d decoded, %d filtered", len(recs), c.Decoded, c.Skipped[packet.Filtered])
	}
}

// An ICMP error reaches the flow that it quotes, wherever that is.
func TestQuotedFlow(t *testing.T) {
	a, b, r := netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.1")
	for port := range uint16(200) {
		syn := []pcapgen.Layer{pcapgen.IPv4{Src: a, Dst: b, ID: 7}, pcapgen.TCP{SrcPort: 40000 + port, DstPort: 443, Seq: 99, Flags: packet.SYN}}
		f1 := pcapgen.Build(append([]pcapgen.Layer{pcapgen.Ethernet{}}, syn...)...)
		f2 := pcapgen.Build(pcapgen.Ethernet{}, pcapgen.IPv4{Src: r, Dst: a}, pcapgen.ICMP{Type: 3, Code: 1}, pcapgen.Payload(pcapgen.Build(syn...)))
		src := &frames{list: []capture.Frame{
			{Data: f1, Time: 1e18, WireLen: len(f1), Link: capture.LinkEthernet}, {Data: f2, Time: 1e18 + 1e6, WireLen: len(f2), Link: capture.LinkEthernet},
		}}
		recs, _ := run(t, src, config(3))
		for _, rec := range recs {
			if rec.Proto == packet.ProtoTCP && (rec.Outcome != flow.Unreachable || rec.Unreachable.By.IP() != r) {
				t.Fatalf("port %d: %v by %v", rec.Ends[0].Port, rec.Outcome, rec.Unreachable.By.IP())
			}
		}
		if len(recs) != 2 {
			t.Fatalf("%d records, want the connection and the ICMP flow", len(recs))
		}
	}
}
