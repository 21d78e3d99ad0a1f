package path_test

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/pipeline"
)

const sceneStart = 1_700_000_000e9

// tap is how one observation point records what comes past.
type tap struct {
	name   string
	clock  time.Duration                  // its clock is ahead by so much
	misses func(p *pcapgen.Recorded) bool // nil: nothing
	jitter func() time.Duration
}

// frames is a source of frames in memory.
type frames struct {
	list  []capture.Frame
	next  int
	names []string
}

func (f *frames) Next(to *capture.Frame) error {
	if f.next == len(f.list) {
		return io.EOF
	}
	*to = f.list[f.next]
	f.next++
	return nil
}

func (f *frames) Interfaces() []string { return f.names }
func (f *frames) Errors() []error      { return nil }
func (f *frames) Close() error         { return nil }

// record puts recordings into one capture, by the taps' own clocks.
func record(taps []tap, recordings ...pcapgen.Recording) *frames {
	f := new(frames)
	for _, t := range taps {
		f.names = append(f.names, t.name)
	}
	for _, r := range recordings {
		for i := range r.Packets {
			p := &r.Packets[i]
			if p.Tap >= len(taps) {
				continue
			}
			t := &taps[p.Tap]
			if t.misses != nil && t.misses(p) {
				continue
			}
			at := p.Time + int64(t.clock)
			if t.jitter != nil {
				at += int64(t.jitter())
			}
			b := pcapgen.Build(pcapgen.Ethernet{Src: pcapgen.MAC{2, 0, 0, 0, byte(p.Tap), byte(p.From)}}, pcapgen.Packet(p.Data))
			f.list = append(f.list, capture.Frame{Data: b, Time: at, WireLen: len(b), Link: capture.LinkEthernet, Interface: uint32(p.Tap)})
		}
	}
	slices.SortStableFunc(f.list, func(a, b capture.Frame) int { return int(a.Time - b.Time) })
	return f
}

// result is what the sensor says.
type result struct {
	records []flow.Record
	paths   []path.Connection
	names   *packet.Names
	order   []uint64 // ids of records and paths as they came
}

func replay(t testing.TB, src capture.Source, shards int) *result {
	t.Helper()
	r := &result{names: new(packet.Names)}
	cfg := pipeline.Config{Shards: shards, Decode: packet.DefaultConfig(), Flow: flow.DefaultConfig(), Names: r.names}
	cfg.Paths = func(c *path.Connection) error {
		r.paths = append(r.paths, *c)
		r.order = append(r.order, c.ID)
		return nil
	}
	_, err := pipeline.Run(context.Background(), src, cfg, func(recs []*flow.Record) error {
		for i := range recs {
			r.records = append(r.records, *recs[i])
			r.order = append(r.order, recs[i].ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// one demands a single path.
func (r *result) one(t testing.TB) *path.Connection {
	t.Helper()
	if len(r.paths) != 1 {
		t.Fatalf("%d paths of %d records, want 1", len(r.paths), len(r.records))
	}
	return &r.paths[0]
}

func (r *result) points(c *path.Connection) (names []string) {
	for _, p := range c.Points {
		names = append(names, r.names.PointName(p.ID))
	}
	return names
}

// conn is a connection of some turns over three taps.
func conn(taps ...time.Duration) pcapgen.Conn {
	return pcapgen.Conn{
		Client: netip.MustParseAddrPort("10.1.0.7:51234"), Server: netip.MustParseAddrPort("10.2.0.9:443"),
		Start: sceneStart, Path: pcapgen.Path{Delay: 10 * time.Millisecond, Taps: taps},
		Stacks: [2]pcapgen.Stack{{ISN: 1000, IPID: 1}, {ISN: 1<<32 - 5000, IPID: 1000}},
		Turns: []pcapgen.Turn{
			{Request: make([]byte, 400), Think: 3 * time.Millisecond, Response: make([]byte, 60_000)},
			{Request: make([]byte, 9000), Think: time.Millisecond, Response: make([]byte, 3000)},
		},
		Linger: 5 * time.Millisecond,
	}
}

// sent is one packet as it left its sender.
type sent struct {
	from  pcapgen.Side
	id    uint16
	space bool // takes sequence space
	taps  [8]bool
}

// journal lists the packets that some tap could have recorded.
func journal(r *pcapgen.Recording) []*sent {
	type key struct {
		from pcapgen.Side
		id   uint16
	}
	all := map[key]*sent{}
	var out []*sent
	for _, p := range r.Packets {
		if p.Data[9] != packet.ProtoTCP {
			continue
		}
		k := key{p.From, binary.BigEndian.Uint16(p.Data[4:])}
		x := all[k]
		if x == nil {
			h := p.Data[20:]
			x = &sent{from: k.from, id: k.id, space: len(h) > int(h[12]>>4)*4 || h[13]&3 != 0}
			all[k] = x
			out = append(out, x)
		}
		x.taps[p.Tap] = true
	}
	return out
}

// lossBetween counts packets with sequence space that a side sent, that came
// past tap i and not past i+1, by its way.
func lossBetween(all []*sent, i int, side pcapgen.Side) (n int64) {
	up, down := i, i+1
	if side == pcapgen.Server {
		up, down = i+1, i
	}
	for _, x := range all {
		if x.from == side && x.space && x.taps[up] && !x.taps[down] {
			n++
		}
	}
	return n
}

func randomFates(r *rand.Rand, n, parts int) (fates []pcapgen.Fate) {
	for range n {
		f := pcapgen.Fate{From: pcapgen.Side(r.IntN(2)), Kind: pcapgen.AnyPacket, N: r.IntN(60), Where: r.IntN(parts)}
		if r.IntN(4) == 0 {
			f.Late = time.Duration(r.IntN(3_000_000))
		}
		fates = append(fates, f)
	}
	return fates
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
