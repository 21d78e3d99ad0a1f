package live

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/pipeline"
	"mirrorscope/sink"
)

func protocol(p uint8) string { return string(sink.AppendProtocol(nil, p)) }

// tee runs captures through the pipeline, and gives records and paths to all.
func tee(t testing.TB, in pcapfile.Config, names *packet.Names, interval time.Duration, add func(*flow.Record), addPath func(*path.Connection)) flow.Capture {
	t.Helper()
	src, err := pcapfile.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	cfg := pipeline.Config{Shards: 2, Decode: packet.DefaultConfig(), Flow: flow.DefaultConfig(), Names: names}
	cfg.Flow.Memory = 256 << 20
	cfg.Flow.Interval, cfg.Flow.Sums = interval, true
	cfg.Paths = func(p *path.Connection) error { addPath(p); return nil }
	c, err := pipeline.Run(context.Background(), src, cfg, func(records []*flow.Record) error {
		for i := range records {
			add(records[i])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// both is a Table whose window holds a whole capture, and what an edge.Table
// says of it.
type both struct {
	live   *Table
	edge   *edge.Summary
	turned map[edge.Key]bool // conversations that a connection left, or came to, by a change of roles
	kept   int               // conversations that are compared
}

func runBoth(t testing.TB, in pcapfile.Config) *both {
	t.Helper()
	names := new(packet.Names)
	c := tee(t, in, new(packet.Names), 0, func(*flow.Record) {}, func(*path.Connection) {})
	// About a hundred steps.
	interval := max(time.Duration(c.Last-c.First)/100/time.Second*time.Second, time.Second)
	if interval > time.Hour {
		t.Skipf("a capture of %v", time.Duration(c.Last-c.First))
	}
	cfg := DefaultConfig()
	cfg.Interval, cfg.Window = interval, maxSteps*interval
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	b := &both{live: New(cfg, names, protocol), turned: map[edge.Key]bool{}}
	e := edge.New(edge.DefaultConfig())
	where := map[uint64]edge.Key{}
	tee(t, in, names, interval, func(r *flow.Record) {
		k := keyOf(r.Network, r.Proto, &r.Ends)
		if was, ok := where[r.ID]; ok && was != k {
			b.turned[was], b.turned[k] = true, true
		}
		where[r.ID] = k
		b.live.Add(r)
		e.Add(r)
	}, func(p *path.Connection) {
		k := keyOf(p.Network, p.Proto, &p.Ends)
		for i := range p.Points {
			if was := where[p.Points[i].Flow]; was != k {
				b.turned[was], b.turned[k] = true, true
			}
		}
		b.live.AddPath(p)
		e.AddPath(p)
	})
	b.live.settle()
	b.live.now += 1 // the step of what ended last
	b.edge = e.Summary()
	return b
}

// compare tells how the two differ, for every conversation whose roles stayed.
func (b *both) compare(t *testing.T) {
	t.Helper()
	rows := 0
	known := map[edge.Key]bool{}
	for i := range b.edge.Len() {
		want := b.edge.Conversation(i)
		known[want.Key] = true
		if b.turned[want.Key] {
			continue
		}
		v := b.live.known(want.Key)
		if v == nil {
			t.Errorf("%v: not there", want.Key)
			continue
		}
		got, more := b.live.total(v)
		if d := differ(got, want); d != "" {
			t.Errorf("%v-%v:%d %d: %s", want.Client.IP(), want.Server.IP(), want.Port, want.Proto, d)
		}
		if more.opened > got.Connections {
			t.Errorf("%v: %d of %d connections opened", want.Key, more.opened, got.Connections)
		}
		rows++
	}
	for _, v := range b.live.conversations.all[1:] {
		if v.known && !b.turned[v.key] && !known[v.key] {
			t.Errorf("%v: too many", v.key)
		}
	}
	b.kept = rows
}

// known gives a conversation, nil if there is none.
func (t *Table) known(k edge.Key) *conversation { return t.lookUp(&k, k.Hash(&t.conversations.index)) }

func differ(got, want *edge.Conversation) string {
	var d []string
	cmp := func(name string, got, want any) {
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			d = append(d, fmt.Sprintf("%s %s, want %s", name, g, w))
		}
	}
	hist := func(name string, got, want *histogram.Histogram) {
		cmp(name+" count", got.Count(), want.Count())
		cmp(name+" sum", got.Sum(), want.Sum())
		cmp(name+" max", got.Max(), want.Max())
	}
	cmp("sent", got.Sent, want.Sent)
	cmp("connections", got.Connections, want.Connections)
	cmp("outcomes", got.Outcomes, want.Outcomes)
	hist("handshake", &got.Handshake, &want.Handshake)
	for side := range got.Repeats {
		if want.Repeats[side].Connections > 0 {
			cmp("repeats", got.Repeats[side].Packets, want.Repeats[side].Packets)
			cmp("repeated octets", got.Repeats[side].Bytes, want.Repeats[side].Bytes)
		}
	}
	cmp("missed", got.Missed, want.Missed)
	cmp("recorded", got.Recorded, want.Recorded)
	if cmp("times", got.Times == nil, want.Times == nil); got.Times != nil && want.Times != nil {
		for side := range got.Times.RTT {
			hist("rtt", &got.Times.RTT[side], &want.Times.RTT[side])
			hist("delayed", &got.Times.Delayed[side], &want.Times.Delayed[side])
		}
		hist("response", &got.Times.Response, &want.Times.Response)
	}
	if cmp("tls", got.TLS == nil, want.TLS == nil); got.TLS != nil && want.TLS != nil {
		cmp("tls connections", got.TLS.Connections, want.TLS.Connections)
		cmp("quic", got.TLS.QUIC, want.TLS.QUIC)
		cmp("tls outcomes", got.TLS.Outcomes, want.TLS.Outcomes)
		cmp("tls perceived count", got.TLS.Perceived.Count(), want.TLS.Perceived.Count()) // what it adds to the total is revised later
		cmp("tls total count", got.TLS.Total.Count(), want.TLS.Total.Count())
		if len(want.Points) == 1 { // of several the nearest to the client counts in the end
			hist("tls total", &got.TLS.Total, &want.TLS.Total)
		}
	}
	if cmp("http", got.HTTP == nil, want.HTTP == nil); got.HTTP != nil && want.HTTP != nil {
		cmp("http requests", got.HTTP.Requests, want.HTTP.Requests)
		cmp("5xx", got.HTTP.ServerErrors, want.HTTP.ServerErrors)
	}
	if cmp("dns", got.DNS == nil, want.DNS == nil); got.DNS != nil && want.DNS != nil {
		cmp("queries", got.DNS.Queries, want.DNS.Queries)
		cmp("timeouts", got.DNS.Timeouts, want.DNS.Timeouts)
		hist("dns time", &got.DNS.Time, &want.DNS.Time)
	}
	cmp("turns", got.Turns, want.Turns)
	return strings.Join(d, "; ")
}

// A window that holds a whole capture says what the conversations view says.
func TestEqualsEdge(t *testing.T) {
	dir := needs.Captures(t)
	var files []string
	for _, root := range []string{filepath.Join(dir, "dev"), filepath.Join(needs.Repository(t), "testdata", "pcaps")} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.Contains(filepath.Ext(path), "pcap") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 50 {
		t.Fatalf("%d captures", len(files))
	}
	kept, all := 0, 0
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b := runBoth(t, pcapfile.Config{Paths: []string{f}})
			b.compare(t)
			kept += b.kept
			all += b.edge.Len()
		})
	}
	if kept < 500 || kept < all*9/10 {
		t.Errorf("%d of %d conversations kept their roles", kept, all)
	}
	t.Logf("%d of %d conversations compared", kept, all)
}

// Two points record connections, each with gaps of its own: they count once. Which
// of two points stands for a connection is decided by what is known at the time,
// so a packet that one alone recorded may count or not.
func TestSeveralPoints(t *testing.T) {
	dir := t.TempDir()
	taps := map[string]string{}
	for tap, name := range []string{"near", "far"} {
		file := filepath.Join(dir, name+".pcap")
		taps[file] = name
		if err := os.WriteFile(file, recordedAt(t, tap), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := runBoth(t, pcapfile.Config{Points: taps})
	if b.edge.Len() != 1 || b.live.conversations.n != 1 || b.edge.Joined != 20 {
		t.Fatalf("%d conversations, %d here, %d records joined", b.edge.Len(), b.live.conversations.n, b.edge.Joined)
	}
	want := b.edge.Conversation(0)
	got, more := b.live.total(b.live.known(want.Key))
	if got.Connections != 20 || more.opened != 20 || got.Outcomes != want.Outcomes || got.Handshake.Count() != want.Handshake.Count() {
		t.Errorf("%d connections, %d opened, outcomes %v, %d handshakes; want 20, 20, %v, %d",
			got.Connections, more.opened, got.Outcomes, got.Handshake.Count(), want.Outcomes, want.Handshake.Count())
	}
	near := func(name string, got, want, by int64) {
		t.Helper()
		if got < want-by || got > want+by {
			t.Errorf("%s: %d, want %d ± %d", name, got, want, by)
		}
	}
	for side := range got.Sent {
		near("packets", got.Sent[side].Packets, want.Sent[side].Packets, 3)
		near("recorded", got.Recorded[side], want.Recorded[side], 0)
		near("missed", got.Missed[side], want.Missed[side], 0)
		near("repeats", got.Repeats[side].Packets, want.Repeats[side].Packets, 3)
		near("round trips", int64(got.Times.RTT[side].Count()+got.Times.Delayed[side].Count()), int64(want.Times.RTT[side].Count()+want.Times.Delayed[side].Count()), 12)
	}
	near("responses", int64(got.Times.Response.Count()), int64(want.Times.Response.Count()), 5)
	near("turns", got.Turns, want.Turns, 1)
	if want.Repeats[flow.Server].Packets == 0 || want.Missed[0]+want.Missed[1] == 0 {
		t.Errorf("nothing was lost: %+v", want)
	}
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
