package group

import (
	"bytes"
	"context"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/pipeline"
)

func protocolName(p uint8) string {
	switch p {
	case packet.ProtoTCP:
		return "tcp"
	case packet.ProtoUDP:
		return "udp"
	}
	return strconv.Itoa(int(p))
}

// plainTags names addresses by their last number: services of ten hosts each. The
// rest is left to a Namer without any inventory.
type plainTags struct{ *enrich.Namer }

func tagsOf(names enrich.Names) plainTags {
	return plainTags{enrich.New(enrich.DefaultConfig()).NewNamer(names)}
}

func (p plainTags) Value(r *enrich.Record, side flow.Side, key string) string {
	if key == enrich.KeyTeam {
		return team(r.Ends[side].Addr.IP())
	}
	return p.Namer.Value(r, side, key)
}

// team groups hosts by an octet of their address.
func team(a netip.Addr) string {
	b := a.As16()
	return "team-" + string(rune('a'+b[15]%5))
}

// event is a record or a path, in the order of the output.
type event struct {
	r *flow.Record
	p *path.Connection
}

// input is what a pipeline gives.
type input struct {
	names  *packet.Names
	events []event
	health flow.Capture
	namer  *plainTags
}

// tags gives those of its records: what it remembers of names is large.
func (x *input) tags() plainTags {
	if x.namer == nil {
		x.namer = new(tagsOf(x.names))
	}
	return *x.namer
}

// run gives the records of captures, with interval records if interval is not 0.
func run(t testing.TB, in pcapfile.Config, interval time.Duration, shards int) *input {
	t.Helper()
	src, err := pcapfile.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	x := &input{names: new(packet.Names)}
	cfg := pipeline.Config{Shards: shards, Decode: packet.DefaultConfig(), Flow: flow.DefaultConfig(), Names: x.names}
	cfg.Flow.Memory = 256 << 20
	cfg.Flow.Interval, cfg.Flow.Sums = interval, interval == 0
	cfg.Paths = func(p *path.Connection) error {
		c := *p
		x.events = append(x.events, event{p: &c})
		return nil
	}
	x.health, err = pipeline.Run(context.Background(), src, cfg, func(records []*flow.Record) error {
		for i := range records {
			c := *records[i]
			x.events = append(x.events, event{r: &c})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// config is that of a test.
func config(interval time.Duration, keys ...string) Config {
	c := DefaultConfig()
	c.GroupBy, c.Interval, c.Rows = keys, interval, 100_000
	return c
}

// group gives the windows of an input.
func group(t testing.TB, x *input, c Config) (windows []*Window) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	table := New(c, x.tags(), protocolName, func(w *Window) { windows = append(windows, w) })
	feed(table, x)
	table.Close()
	if n := table.Counts(); n.Untracked+n.Unsampled+n.Late > 0 {
		t.Errorf("%+v", n)
	}
	if len(table.flows) != 0 && c.Interval > 0 {
		t.Errorf("%d flows are followed at the end", len(table.flows))
	}
	if len(table.held) != 0 {
		t.Errorf("%d records wait at the end", len(table.held))
	}
	return windows
}

func feed(table *Table, x *input) {
	for _, e := range x.events {
		if e.p != nil {
			table.AddPath(e.p)
		} else {
			table.Add(e.r)
		}
	}
}

// everywhere runs a test for every capture at hand.
func everywhere(t *testing.T, test func(t *testing.T, file string)) {
	t.Helper()
	roots := []string{filepath.Join(needs.Repository(t), "testdata", "pcaps")}
	if dir := os.Getenv("MIRRORSCOPE_LAB_CAPTURES"); dir != "" {
		roots = append(roots, dir)
	}
	shared := needs.Captures // skips where there are none
	n := 0
	visit := func(t *testing.T, root string) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.Contains(filepath.Ext(path), "pcap") {
				n++
				t.Run(filepath.Base(path), func(t *testing.T) { test(t, path) })
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, root := range roots {
		visit(t, root)
	}
	t.Run("shared", func(t *testing.T) {
		dir := shared(t)
		for _, sub := range []string{"dev", "truth"} {
			visit(t, filepath.Join(dir, sub))
		}
	})
	if n == 0 {
		t.Error("there is no capture")
	}
	t.Logf("%d captures", n)
}

// recordedAt is a capture of 20 connections, four seconds each, at one of two
// taps, which misses some packets.
func recordedAt(t testing.TB, tap int) []byte {
	var b bytes.Buffer
	w := pcapgen.NewPcapWriter(&b, pcapgen.PcapConfig{Link: pcapgen.LinkRaw, Nano: true})
	var frames []pcapgen.Frame
	for i := range 20 {
		c := pcapgen.Conn{
			Client: netip.AddrPortFrom(pcapgen.IP("10.1.0.7"), uint16(40_000+i)), Server: netip.MustParseAddrPort("10.1.0.9:9000"),
			Start: 1_800_000_000e9 + int64(i)*700e6, Path: pcapgen.Path{Delay: 2 * time.Millisecond, Taps: []time.Duration{100 * time.Microsecond, 1900 * time.Microsecond}},
			Stacks: [2]pcapgen.Stack{{ISN: 1000, IPID: 1}, {ISN: 900_000, IPID: 500}},
			Fates:  []pcapgen.Fate{{From: pcapgen.Server, Kind: pcapgen.DataPacket, N: 3 + i, Where: i % 3}},
		}
		if i%4 == 0 {
			c.Fates = append(c.Fates, pcapgen.Fate{From: pcapgen.Client, Kind: pcapgen.SYNPacket, N: 0, Where: 1})
		}
		for k := range 8 {
			c.Turns = append(c.Turns, pcapgen.Turn{
				Pause: 500 * time.Millisecond, Request: bytes.Repeat([]byte{0xfe}, 100+k), Think: 5 * time.Millisecond, Response: bytes.Repeat([]byte{0xfd}, 9000),
			})
		}
		n := 0
		for _, p := range c.Record().Packets {
			if p.Tap != tap {
				continue
			}
			if n++; n%37 != 5+11*tap {
				frames = append(frames, pcapgen.Frame{Time: p.Time, Data: p.Data})
			}
		}
	}
	slices.SortStableFunc(frames, func(a, b pcapgen.Frame) int { return int(a.Time - b.Time) })
	for _, f := range frames {
		if err := w.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
