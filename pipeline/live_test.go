package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// ticking is a live source made of a recorded one: its clock goes on each 100
// ms while there is no frame.
type ticking struct {
	capture.Source
	frame capture.Frame
	has   bool
	clock int64
	fill  func(frames int) float64
	n     int
}

func (s *ticking) Next(f *capture.Frame) error {
	if !s.has {
		if err := s.Source.Next(&s.frame); err != nil {
			return err
		}
		s.has = true
		s.n++
	}
	// The files step back now and then, and hostile ones jump by years.
	if step := s.frame.Time - s.clock; s.clock != 0 && step > 100e6 && step < 600e9 {
		s.clock += 100e6
		*f = capture.Frame{Time: s.clock}
		return capture.ErrIdle
	}
	s.clock = max(s.clock, s.frame.Time)
	*f, s.has = s.frame, false
	return nil
}

func (s *ticking) Fill() float64 {
	if s.fill == nil {
		return 0
	}
	return s.fill(s.n)
}

// The clock of a live source decides when a record leaves, and nothing else:
// live capture gives the records that replay of the same packets gives.
func TestLiveEqualsReplay(t *testing.T) {
	files := []string{filepath.Join(needs.Repository(t), "testdata", "pcaps", "shop.pcap")}
	files = append(files, captures(t)...)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var want string
			for _, live := range []bool{false, true} {
				var src capture.Source
				src, err := pcapfile.Open(pcapfile.Config{Paths: []string{file}})
				if err != nil {
					t.Fatal(err)
				}
				if live {
					src = &ticking{Source: src}
				}
				cfg := config(2)
				cfg.Flow.Interval = 10 * time.Second
				recs, c := run(t, src, cfg)
				src.Close()
				checkOrder(t, recs)
				text := fmt.Sprintf("%+v\n", c)
				for _, r := range recs {
					r.Distributions = nil
					text += said(t, &r.Report)
					r.Report.TLS, r.Report.QUIC, r.Report.HTTP, r.Report.DNS, r.Report.Phases = nil, nil, nil, nil, nil
					text += fmt.Sprintf("%+v\n", r)
				}
				switch {
				case !live:
					want = text
				case text != want:
					a, b := strings.Split(want, "\n"), strings.Split(text, "\n")
					for i := range min(len(a), len(b)) {
						if a[i] != b[i] {
							t.Fatalf("line %d is\n%s\nlive, and in replay\n%s", i, b[i], a[i])
						}
					}
					t.Fatalf("%d lines live, %d in replay", len(b), len(a))
				}
			}
		})
	}
}

// What is due ends while no packet comes, and the health that is told behind it counts it.
func TestIdleExpires(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) { idleExpires(t, shards) })
	}
}

func idleExpires(t *testing.T, shards int) {
	one := traffic(1).list[0]
	var ended atomic.Bool // the reader asks, the collector tells
	src := &idleAfter{frames: frames{list: []capture.Frame{one}}, until: ended.Load}
	cfg, counted := config(shards), false
	cfg.HealthEvery = time.Second
	cfg.Health = func(c *flow.Capture) error {
		if counted = c.Connections == 1; counted != ended.Load() {
			t.Errorf("%d connections, ended: %t", c.Connections, ended.Load())
		}
		return nil
	}
	_, err := Run(context.Background(), src, cfg, func(recs []*flow.Record) error {
		if len(recs) == 1 && recs[0].EndReason == flow.EndIdleTimeout {
			ended.Store(true)
		}
		return nil
	})
	if err != nil || !ended.Load() || !counted {
		t.Errorf("error %v; the flow ended while the source was idle: %t, and was counted: %t", err, ended.Load(), counted)
	}
	if waited := time.Duration(src.clock - one.Time); waited < 60*time.Second || waited > 120*time.Second {
		t.Errorf("it took %v of the clock, and the timeout is 60 s", waited)
	}
}

// idleAfter gives some frames, and then a clock, a second at a time.
type idleAfter struct {
	frames
	clock int64
	until func() bool
}

func (s *idleAfter) Next(f *capture.Frame) error {
	if s.next < len(s.list) {
		s.clock = s.list[s.next].Time
		return s.frames.Next(f)
	}
	if s.until() {
		return io.EOF
	}
	time.Sleep(time.Millisecond) // the collector answers meanwhile
	s.clock += 1e9
	*f = capture.Frame{Time: s.clock}
	return capture.ErrIdle
}

// Health is told while no packet has come yet.
func TestIdleHealth(t *testing.T) {
	told := 0
	cfg := config(2)
	cfg.HealthEvery = 10 * time.Second
	cfg.Health = func(c *flow.Capture) error {
		told++
		if c.Packets != 0 || c.At%10e9 != 0 {
			t.Errorf("%d packets at %d", c.Packets, c.At)
		}
		return nil
	}
	src := &idleAfter{clock: 1_700_000_005e9}
	seconds := 0
	src.until = func() bool { seconds++; return seconds > 60 }
	if _, err := Run(context.Background(), src, cfg, func([]*flow.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if told != 5 && told != 6 {
		t.Errorf("told %d times in a minute", told)
	}
}

// A source that fails ends the run with its error, and all that was read is
// told.
func TestSourceFails(t *testing.T) {
	src := &failing{frames: *traffic(500)}
	var packets int64
	c, err := Run(context.Background(), src, config(2), func(recs []*flow.Record) error {
		for _, r := range recs {
			packets += r.Sent[0].Packets + r.Sent[1].Packets
		}
		return nil
	})
	if !errors.Is(err, capture.ErrRestart) || packets != 500 || c.Packets != 500 {
		t.Errorf("error %v, %d packets told of %d", err, packets, c.Packets)
	}
}

type failing struct{ frames }

func (s *failing) Next(f *capture.Frame) error {
	if err := s.frames.Next(f); err != nil {
		return fmt.Errorf("eth1: %w", capture.ErrRestart)
	}
	return nil
}

// Sampling keeps whole connections, the same in both directions, and each says
// how many it stands for.
func TestSample(t *testing.T) {
	cfg := config(2)
	cfg.Sample = func() uint32 { return 4 }
	src := traffic(20_000)
	for i := range src.list { // answers, too
		if i%2 == 1 {
			port := uint16(40000 + i%100 - 1)
			src.list[i].Data = pcapgen.Build(pcapgen.Ethernet{}, pcapgen.IPv4{Src: netip.MustParseAddr("10.0.0.9"), Dst: netip.MustParseAddr("10.0.0.7"), ID: uint16(i)},
				pcapgen.UDP{SrcPort: 8125, DstPort: port}, pcapgen.Payload("ok"))
			src.list[i].WireLen = len(src.list[i].Data)
		}
	}
	recs, c := run(t, src, cfg)
	if err := Identity(&c); err != nil {
		t.Error(err)
	}
	if len(recs) < 3 || len(recs) > 30 || c.Skipped[packet.Unsampled]+c.Decoded != 20_000 {
		t.Errorf("%d of 50 connections, %d packets left out, %d decoded", len(recs), c.Skipped[packet.Unsampled], c.Decoded)
	}
	for _, r := range recs {
		if r.Weight != 4 || r.Sent[0].Packets != 200 || r.Sent[1].Packets != 200 {
			t.Errorf("weight %d, packets %d and %d: a connection is measured wholly or not at all", r.Weight, r.Sent[0].Packets, r.Sent[1].Packets)
		}
	}
}

// Overload leaves out payload, then connections, counts both, and goes back to
// everything by itself.
func TestOverload(t *testing.T) {
	const n = 400_000 // 400 s of packet time
	cfg := config(2)
	cfg.Overload = DefaultOverload()
	var steps []int
	src := &ticking{Source: traffic(n), fill: func(frames int) float64 {
		if frames > n/4 && frames < n/2 {
			return 0.9
		}
		return 0.05
	}}
	var unsampled, shed, last uint64
	cfg.HealthEvery = 10 * time.Second
	cfg.Health = func(c *flow.Capture) error {
		steps = append(steps, int(c.Skipped[packet.Unsampled]-unsampled))
		unsampled, shed, last = c.Skipped[packet.Unsampled], c.PayloadShed, c.Packets
		return nil
	}
	recs, c := run(t, src, cfg)
	if err := Identity(&c); err != nil {
		t.Error(err)
	}
	if len(steps) != 39 || last == 0 {
		t.Fatalf("%d reports of health in 400 s", len(steps))
	}
	if steps[5] != 0 || steps[15] < 9000 || steps[38] != 0 {
		t.Errorf("connections left out, in packets each 10 s: %v", steps)
	}
	if c.PayloadShed != shed || shed == 0 || shed+unsampled < n/4-2*lookEvery || shed+unsampled > n/4+100_000 {
		t.Errorf("payload of %d packets left out, %d not sampled, of %d under load", c.PayloadShed, unsampled, n/4)
	}
	var sum int64
	for _, r := range recs {
		sum += r.Sent[0].Packets + r.Sent[1].Packets
	}
	if uint64(sum) != c.Decoded || c.Decoded+c.Skipped[packet.Unsampled] != n {
		t.Errorf("%d in records, %d decoded, %d unsampled of %d", sum, c.Decoded, c.Skipped[packet.Unsampled], n)
	}

	cfg.Overload.Steps = 0
	src = &ticking{Source: traffic(5000), fill: func(int) float64 { return 1 }}
	cfg.Health = nil
	if _, c := run(t, src, cfg); c.Decoded != 5000 || c.PayloadShed != 0 {
		t.Errorf("without steps %d are decoded, %d without payload", c.Decoded, c.PayloadShed)
	}
}

// Frames that do not count move the clock all the same: health is told, and what is
// over leaves, however long nothing else comes.
func TestClockOfWhatIsLeftOut(t *testing.T) {
	const n = 400_000 // 400 s of packet time
	foreign := func(f *capture.Frame) { f.Data = []byte{0, 0}; f.WireLen = 2 }
	for name, test := range map[string]struct {
		match func(*packet.Packet) bool
		spoil func(*capture.Frame)
	}{
		"filtered":      {match: func(p *packet.Packet) bool { return p.Time < 1_700_000_010e9 }},
		"not decodable": {spoil: foreign},
	} {
		t.Run(name, func(t *testing.T) {
			src := traffic(n)
			if test.spoil != nil {
				for i := 10_000; i < n; i++ {
					test.spoil(&src.list[i])
				}
			}
			cfg := config(2)
			cfg.Match = test.match
			cfg.HealthEvery = 10 * time.Second
			told, before := 0, 0 // reports, those before the last record
			cfg.Health = func(*flow.Capture) error { told++; return nil }
			c, err := Run(context.Background(), src, cfg, func(recs []*flow.Record) error { before = told; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if told != 39 || before == 0 || before > 20 || c.Decoded != 10_000 {
				t.Errorf("%d reports of health, the last record behind %d, %d packets decoded", told, before, c.Decoded)
			}
			if err := Identity(&c); err != nil {
				t.Error(err)
			}
		})
	}
}

// The reader shows each packet that counts, with its frame.
func TestTap(t *testing.T) {
	cfg := config(2)
	cfg.Match = func(p *packet.Packet) bool { return p.SrcPort == 40001 }
	tap := &seen{t: t}
	cfg.Tap = tap
	src := traffic(1000)
	first, rest := fragments(src.list[999].Time + 1e6)
	src.list = append(src.list, first, rest)
	run(t, &ticking{Source: src}, cfg)
	if tap.packets != 11 || tap.held != 1 {
		t.Errorf("shown %d packets and %d fragments, want 11 and 1", tap.packets, tap.held)
	}
}

// fragments is a packet in two.
func fragments(at int64) (first, rest capture.Frame) {
	ip := pcapgen.IPv4{Src: netip.MustParseAddr("10.0.0.7"), Dst: netip.MustParseAddr("10.0.0.9"), ID: 77}
	whole := pcapgen.Build(ip, pcapgen.UDP{SrcPort: 40001, DstPort: 8125}, pcapgen.Payload("counter:1|c"))[20:]
	frame := func(offset uint16, more bool, part []byte) capture.Frame {
		ip := ip
		ip.Protocol, ip.Offset, ip.MF = 17, offset, more
		b := pcapgen.Build(pcapgen.Ethernet{}, ip, pcapgen.Payload(part))
		return capture.Frame{Data: b, WireLen: len(b), Time: at, Link: capture.LinkEthernet}
	}
	return frame(0, true, whole[:8]), frame(8, false, whole[8:])
}

type seen struct {
	t             *testing.T
	packets, held int
}

func (s *seen) Take(f *capture.Frame, p *packet.Packet) {
	if s.packets++; p.SrcPort != 40001 || len(f.Data) == 0 || string(p.Payload) != "counter:1|c" {
		s.t.Errorf("shown port %d, payload %q", p.SrcPort, p.Payload)
	}
}

func (s *seen) Held(*capture.Frame) { s.held++ }
func (s *seen) Clock(int64)         {}

func TestOverloadValidate(t *testing.T) {
	if err := DefaultOverload().Validate(); err != nil {
		t.Error(err)
	}
	bad := Overload{High: 1.5, Low: 2, Steps: 17}
	for _, word := range []string{"high", "low", "calm", "steps"} {
		if err := bad.Validate(); !strings.Contains(err.Error(), word+":") {
			t.Errorf("%v: does not name %s", err, word)
		}
	}
}
