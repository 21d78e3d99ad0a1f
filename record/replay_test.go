package record

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/pipeline"
	"mirrorscope/tcp"
)

// told is what a flow's record says that does not rest on payload, by direction
// from the lower address.
type told struct {
	point      string
	ends       string
	start, end int64
	sent       [2]flow.Volume
	outcome    flow.Outcome
	reason     flow.EndReason
	handshake  tcp.Handshake
	sides      [2]string
	resets     [2]int64
	fins       [2]int64
	unreach    string
	copies     int64
}

// replayed gives what the records of a source say.
func replayed(t *testing.T, src capture.Source) (all []told, c flow.Capture) {
	t.Helper()
	names := new(packet.Names)
	cfg := pipeline.Config{Shards: 2, Decode: packet.DefaultConfig(), Flow: flow.DefaultConfig(), Names: names}
	cfg.Flow.Memory = 256 << 20
	c, err := pipeline.Run(context.Background(), src, cfg, func(records []*flow.Record) error {
		for i := range records {
			r := records[i]
			x := told{
				point: names.PointName(r.Point), start: r.Start, end: r.End, outcome: r.Outcome, reason: r.EndReason, handshake: r.Handshake,
				unreach: fmt.Sprint(r.Unreachable), copies: r.MirrorDuplicates,
			}
			turn := 0
			a, b := fmt.Sprint(r.Ends[0].Addr.IP(), r.Ends[0].Port), fmt.Sprint(r.Ends[1].Addr.IP(), r.Ends[1].Port)
			if a > b {
				turn, a, b = 1, b, a
			}
			x.ends = fmt.Sprint(r.Proto, a, b)
			for dir := range 2 {
				side := dir ^ turn
				s := r.TCP.Sides[side]
				x.sent[dir], x.resets[dir], x.fins[dir] = r.Sent[side], r.Resets[side], r.FINs[side]
				x.sides[dir] = fmt.Sprintf("%+v", s)
			}
			all = append(all, x)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b told) int { return compare(a, b) })
	return all, c
}

func compare(a, b told) int {
	for _, c := range []int{int(a.start - b.start), cmpStrings(a.ends, b.ends), cmpStrings(a.point, b.point)} {
		if c != 0 {
			return c
		}
	}
	return 0
}

func cmpStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// split are captures in which a TCP header is cut into two fragments: of the later
// one nothing is kept.
var split = map[string]bool{"suricata-frag-eth-vlan-ip-tcp-syn.pcap": true}

// The replay of a ring gives the volumes and the TCP figures of the packets that
// it was made of.
func TestReplayEquals(t *testing.T) {
	flows, differ := 0, 0
	for _, file := range captures(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			in := pcapfile.Config{Paths: []string{file}}
			open := func(c pcapfile.Config) *pcapfile.Reader {
				src, err := pcapfile.Open(c)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { src.Close() })
				return src
			}
			want, _ := replayed(t, open(in))
			src := open(in)
			r := ringOf(t, src, nil)
			r.files.last, r.files.length = math.MaxInt64, math.MaxInt64 // some are of several years
			finish := start(r)
			if err := Capture(context.Background(), src, r); err != nil {
				t.Fatal(err)
			}
			finish()
			if s := r.Stats(); s.Dropped+s.Unwritten != 0 || s.Failing != nil {
				t.Fatalf("%+v", s)
			}
			files := segmentsOf(t, r.cfg.Directory)
			if len(files) == 0 && len(want) == 0 {
				return
			}
			got, c := replayed(t, open(pcapfile.Config{Paths: files}))
			if len(c.Errors) > 0 {
				t.Error(c.Errors)
			}
			if len(got) != len(want) {
				t.Fatalf("%d flows, want %d", len(got), len(want))
			}
			for i := range want {
				flows++
				if got[i] != want[i] {
					if differ++; split[filepath.Base(file)] {
						continue
					}
					t.Errorf("flow %d\ngot  %+v\nwant %+v", i, got[i], want[i])
				}
			}
		})
	}
	t.Logf("%d flows, %d differ", flows, differ)
	if flows < 1500 || differ > len(split) {
		t.Errorf("%d of %d flows differ", differ, flows)
	}
}
