// Package pipeline wires the stages together: source, decoder, flow tables,
// records. The goroutines of these stages start here.
//
//	reader ──batches──► shard ×N ──records of a second──► collector ──► out
//
// The reader decodes into batches, of which each shard takes its packets, by the
// innermost 5-tuple. A shard owns several of the flow.Partitions; one alone works
// where the reader does. At each whole second of packet
// time that has packets, or in which something is due, the reader waits until
// the shards have drained, lets the tables learn from each other, and asks them
// for the records that are due; so the result depends on the packets alone, and
// not on the number of shards, nor on whether they come from a file or live. A
// stage ends when its input closes. Where there is one shard and the source waits, as
// files do, the collector works where the reader does, too: a record is read while it is
// in the caches, and nobody needs to be woken.
package pipeline

import (
	"cmp"
	"context"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
)

// Config of a run.
type Config struct {
	Shards int // goroutines for the flow tables; 1: that of the reader; 0: one a core
	Decode packet.Config
	Flow   flow.Config
	Match  func(*packet.Packet) bool // nil: every packet
	Names  *packet.Names             // filled by the run, and needed to read its records

	// Sample keeps one of so many connections, by the hash of the 5-tuple: both
	// directions at all points together (packet.Sampled). 0, 1: all. It is asked
	// again now and then, by the reader. nil: all.
	Sample func() uint32
	// Overload says what to leave out when a live source fills up.
	Overload Overload

	Tap Tap // nil: nobody looks

	// Health, if set, is given the state of the input each HealthEvery of packet
	// time, in order with the records: those before it are of the time before.
	// It is called where out is, and may change the Capture.
	Health      func(*flow.Capture) error
	HealthEvery time.Duration

	// Paths takes what several observation points recorded of one connection,
	// right after path.Connection.Last was given out, the last of its records or a later
	// one. nil: nobody asks. The path.Connection is valid during the call only.
	Paths func(*path.Connection) error

	// Lone takes what is small of the records, in their place among the others,
	// some at a time; they are valid during the call only. nil: all are whole.
	Lone func([]*flow.Lone) error

	piece int // records made at a time, in tests; 0: by Flow.Memory
}

// A Tap is shown frames by the reader; they are lent for the call.
type Tap interface {
	// Take gets every packet that counts, with the frame that completed it.
	Take(*capture.Frame, *packet.Packet)
	// Held gets the frames of fragments whose packet is not complete.
	Held(*capture.Frame)
	// Clock tells the time of a live source that has no frames, ns.
	Clock(now int64)
}

// Run reads src to its end and gives out the records in the order of the
// output contract, some at a time; a slice and what is in it are valid during
// the call only. The
// Capture tells the health of the input even when the error is not nil: the
// context's, or out's. What could not be read of the input is in
// Capture.Errors.
//
// A live source has no end but the one that it is told: whoever ends it gets
// all that it holds by then. While it has no packets its clock goes on, and
// what is due ends.
func Run(ctx context.Context, src capture.Source, cfg Config, out func([]*flow.Record) error) (flow.Capture, error) {
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	cfg.Shards = min(cfg.Shards, flow.Partitions)
	g, ctx := errgroup.WithContext(ctx)

	learned := flow.NewLearned(cfg.Flow)
	tables := flow.NewTables(cfg.Flow, learned, cfg.Names)
	r := newReader(src, cfg, tables, learned)
	if cfg.Paths != nil {
		r.watch.start(cfg.Flow.Memory, tables)
	}
	for _, s := range r.shards {
		s.matchers = r.watch.matchers
		if s.in != nil {
			g.Go(func() error { s.run(r.batches); return nil })
		}
	}
	collector := newCollector(&cfg, out)
	if cfg.Shards == 1 && waits(src) {
		r.collector = collector
	} else {
		collector.far, collector.yield = true, r.spill != nil
		g.Go(func() error { return collector.run(r.seconds, r.free) })
	}
	g.Go(func() error {
		defer r.close()
		err := r.run(ctx)
		if r.collector != nil {
			err = cmp.Or(r.collector.err, err)
		}
		return err
	})
	err := g.Wait()

	c := r.capture()
	for i := range c.Points {
		s := &c.Points[i].Sequence
		s.Lost, s.Late = s.Lost+s.Late, 0 // nothing comes any more
	}
	collector.told.complete(&c)
	return c, err
}
