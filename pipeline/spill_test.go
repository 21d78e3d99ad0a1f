package pipeline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/packet"
)

// shallow is a source that counts how often it is asked to make room.
type shallow struct {
	frames
	spilled atomic.Int64
	reading atomic.Bool // Next runs: nobody else may call
	t       *testing.T
}

func (s *shallow) Next(f *capture.Frame) error {
	s.reading.Store(true)
	defer s.reading.Store(false)
	return s.frames.Next(f)
}

func (s *shallow) Spills() bool { return true }

func (s *shallow) Spill(float64) {
	if s.reading.Load() {
		s.t.Error("asked to make room while it is read")
	}
	s.spilled.Add(1)
}

// While nobody takes the records, and the reader so cannot read, its source is asked to
// make room, time and again; whether there is one shard or there are several.
func TestSpillWhileRecordsWait(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			src := &shallow{frames: *traffic(200_000), t: t}
			cfg := config(shards)
			cfg.piece = 8
			cfg.Flow.Interval = 10 * time.Second
			stuck, before := false, int64(0)
			var packets int64
			_, err := Run(context.Background(), src, cfg, func(recs []*flow.Record) error {
				if !stuck {
					stuck = true
					before = src.spilled.Load()
					for deadline := time.Now().Add(10 * time.Second); src.spilled.Load() < before+20 && time.Now().Before(deadline); {
						time.Sleep(time.Millisecond)
					}
					before = src.spilled.Load() - before
				}
				for _, r := range recs {
					if r.Kind == flow.Connection {
						packets += r.Sent[0].Packets + r.Sent[1].Packets
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if before < 20 || packets != 200_000 {
				t.Errorf("asked %d times while the records waited; %d packets in records", before, packets)
			}
		})
	}
}

// So it is while the shards have more to do than their queues hold, while the reader waits
// for one, and between two tables where it does the work itself.
func TestSpillWhileShardsWork(t *testing.T) {
	for _, test := range []struct {
		name    string
		shards  int
		packets int // that follow, in batches
	}{{"full queue", 2, depth + 2}, {"waits", 2, 0}, {"alone", 1, 0}} {
		t.Run(test.name, func(t *testing.T) {
			src := &shallow{frames: *traffic(1), t: t}
			cfg := config(test.shards)
			learned := flow.NewLearned(cfg.Flow)
			r := newReader(src, cfg, flow.NewTables(cfg.Flow, learned, cfg.Names), learned)
			var shards sync.WaitGroup
			for _, s := range r.shards {
				if s.in != nil {
					shards.Go(func() { s.run(r.batches) })
				}
			}
			const least = 5
			r.shards[0].send(work{do: func(*flow.Table) {
				// Several shards go on once it was seen, one alone after the time that a table may take.
				for deadline := time.Now().Add(10 * time.Second); src.spilled.Load() < least && time.Now().Before(deadline); {
					if time.Sleep(2 * spillEvery); test.shards == 1 {
						return
					}
				}
			}})
			f := &src.list[0]
			for range test.packets * len(r.batch.packets) {
				p := r.batch.next()
				if skip := r.decoder.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, p); skip != packet.OK {
					t.Fatal(skip)
				}
				r.send(p, 0, isPacket) // of the first shard
			}
			if n := src.spilled.Load(); test.packets > 0 && n < least {
				t.Errorf("asked %d times before all was in the queue", n)
			}
			r.drain()
			r.close()
			shards.Wait()
			if n := src.spilled.Load(); n < least {
				t.Errorf("asked %d times", n)
			}
		})
	}
}
