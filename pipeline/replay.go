// Package pipeline wires the stages together: source, decoder, flow tables,
// records. All goroutines start here.
//
//	reader ──batches──► shard ×N ──records of a second──► collector ──► out
//
// The reader decodes and hands batches to the shards by the innermost 5-tuple.
// A shard owns several of the flow.Partitions. At each whole second of packet
// time that has packets the reader waits until the shards have drained, lets
// the tables learn from each other, and asks them for the records that are
// due; so the result depends on the packets alone, and not on the number of
// shards. A stage ends when its input closes.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
)

// Config of a run.
type Config struct {
	Shards int // goroutines for the flow tables; 0: one a core
	Decode packet.Config
	Flow   flow.Config
	Match  func(*packet.Packet) bool // nil: every packet
	Names  *packet.Names             // filled by the run, and needed to read its records

	// Paths takes what several observation points recorded of one connection,
	// right after the last of its records was given out. nil: nobody asks. The
	// path.Connection is valid during the call only.
	Paths func(*path.Connection) error
}

// Replay reads src to its end and gives out the records in the order of the
// output contract, some at a time; a slice is valid during the call only. The
// Capture tells the health of the input even when the error is not nil: the
// context's, or out's. What could not be read of the input is in
// Capture.Errors.
func Replay(ctx context.Context, src capture.Source, cfg Config, out func([]flow.Record) error) (flow.Capture, error) {
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	cfg.Shards = min(cfg.Shards, flow.Partitions)
	g, ctx := errgroup.WithContext(ctx)

	learned := flow.NewLearned(cfg.Flow)
	tables := make([]*flow.Table, flow.Partitions)
	for i := range tables {
		tables[i] = flow.NewTable(cfg.Flow, learned, cfg.Names)
	}
	r := newReader(src, cfg, tables, learned)
	if cfg.Paths != nil {
		r.watch.start(cfg.Flow.Memory, tables)
	}
	for _, s := range r.shards {
		g.Go(func() error { s.run(tables, r.watch.matchers); return nil })
	}
	g.Go(func() error { defer r.close(); return r.run(ctx) })
	var told told
	g.Go(func() error {
		return collect(r.seconds, r.free, cfg.Paths, func(recs []flow.Record) error {
			for i := range recs {
				told.add(&recs[i])
			}
			return out(recs)
		})
	})
	err := g.Wait()

	c := r.capture()
	told.complete(&c)
	return c, err
}

// told is what only the records tell of the health of the input.
type told struct {
	connections, evicted uint64
	points               []struct{ missed, recorded int64 } // by packet.PointID
}

func (t *told) add(r *flow.Record) {
	if r.Kind != flow.Connection {
		return
	}
	t.connections++
	if r.EndReason == flow.EndLackOfResources {
		t.evicted++
	}
	if !r.HasTCP {
		return
	}
	for int(r.Point) >= len(t.points) {
		t.points = append(t.points, struct{ missed, recorded int64 }{})
	}
	p := &t.points[r.Point]
	for i := range r.TCP.Sides {
		p.missed += r.TCP.Sides[i].Missed
		p.recorded += r.TCP.Sides[i].Recorded
	}
}

func (t *told) complete(c *flow.Capture) {
	c.Connections, c.Evicted = t.connections, t.evicted
	for i := range c.Points {
		if p := &c.Points[i]; int(p.ID) < len(t.points) {
			p.Missed, p.Recorded = t.points[p.ID].missed, t.points[p.ID].recorded
		}
	}
}

// outLen is how many records are given out at a time.
const outLen = 512

// collect gives out the records of each second in order, and each path after
// its last record. After an error it only drains, so that nobody waits for it.
func collect(seconds <-chan *second, free chan<- *second, tell func(*path.Connection) error, out func([]flow.Record) error) error {
	var err error
	var order []*flow.Record
	// By the record that they follow. It may leave a little later than its path
	// is known, so that what waits is a copy.
	paths := map[uint64]path.Connection{}
	chunk := make([]flow.Record, 0, outLen)
	for s := range seconds {
		s.wait.Wait()
		order = order[:0]
		for _, recs := range s.records {
			for i := range recs {
				order = append(order, &recs[i])
			}
		}
		slices.SortFunc(order, flow.Compare)
		for i := range s.paths {
			for _, c := range s.paths[i] {
				paths[c.Last] = c
			}
		}
		for len(order) > 0 && err == nil {
			var last path.Connection
			found := false
			chunk = chunk[:0]
			for !found && len(chunk) < outLen && len(order) > 0 {
				r := order[0]
				chunk = append(chunk, *r)
				order = order[1:]
				if r.Joined && r.Kind == flow.Connection {
					if last, found = paths[r.ID]; found {
						delete(paths, r.ID)
					}
				}
			}
			if err = out(chunk); err == nil && found {
				err = tell(&last)
			}
			if err != nil {
				s.failed()
			}
		}
		free <- s
	}
	return err
}

// reader is the goroutine that reads, decodes and distributes.
type reader struct {
	src     capture.Source
	cfg     Config
	decoder *packet.Decoder
	tables  []*flow.Table
	learned *flow.Learned
	shards  []*shard
	seconds chan *second // to the collector, in order
	free    chan *second // and back
	cancel  context.CancelFunc

	now      int64 // highest record time so far
	second   int64 // the running second, ns; -1 before the first packet
	seen     flow.Capture
	faces    int    // interfaces named so far
	sent     int    // packets since records were last collected
	last     int64  // record time of the frame before
	filtered uint64 // frames that were held for a packet that Match left out
	watch    watch
}

func newReader(src capture.Source, cfg Config, tables []*flow.Table, learned *flow.Learned) *reader {
	r := &reader{
		src: src, cfg: cfg, decoder: packet.NewDecoder(cfg.Decode, cfg.Names), tables: tables, learned: learned,
		second: -1, seconds: make(chan *second, secondsInFlight), free: make(chan *second, secondsInFlight),
	}
	for range secondsInFlight {
		r.free <- new(second)
	}
	r.decoder.Lost = r.lost
	for i := range cfg.Shards {
		r.shards = append(r.shards, newShard(i, cfg.Shards))
	}
	return r
}

// close ends the stages behind the reader.
func (r *reader) close() {
	for _, s := range r.shards {
		close(s.in)
	}
	close(r.seconds)
}

// run reads to the end of the source, or until the context is done; then all
// flows end.
func (r *reader) run(ctx context.Context) error {
	parent := ctx
	ctx, r.cancel = context.WithCancel(ctx)
	defer r.cancel()
	var f capture.Frame
	var p packet.Packet
	var err error
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		if err = r.src.Next(&f); err != nil {
			break
		}
		r.frame(&f, &p)
	}
	if errors.Is(err, io.EOF) || ctx.Err() != nil && parent.Err() == nil {
		err = nil // in the second case the output has failed, and its error tells
	}
	r.decoder.Flush()
	r.flush()
	return err
}

// frame takes one frame from the source.
func (r *reader) frame(f *capture.Frame, p *packet.Packet) {
	if int(f.Interface) >= r.faces {
		r.nameInterfaces()
	}
	c := &r.seen
	if c.Packets == 0 {
		c.First, c.Last = f.Time, f.Time
		r.now = f.Time
	}
	c.Packets++
	c.Bytes += uint64(f.WireLen)
	c.First, c.Last = min(c.First, f.Time), max(c.Last, f.Time)
	if c.Packets > 1 && f.Time < r.last-int64(r.cfg.Flow.ClockStep) {
		c.ClockSteps++
	}
	r.last = f.Time
	r.now = max(r.now, f.Time)

	held := r.decoder.Settled[packet.OK]
	skip := r.decoder.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, p)
	switch skip {
	case packet.OK:
	case packet.Held:
		return
	default:
		c.Skipped[skip]++
		if skip == packet.UnknownLink {
			if c.UnknownLinks == nil {
				c.UnknownLinks = make(map[string]uint64)
			}
			c.UnknownLinks[f.Link.String()]++
		}
		return
	}
	if r.cfg.Match != nil && !r.cfg.Match(p) {
		c.Skipped[packet.Filtered]++
		r.filtered += r.decoder.Settled[packet.OK] - held
		return
	}
	c.Decoded++
	p.Now = r.now
	if s := r.now - r.now%1e9; s != r.second {
		if r.second < 0 {
			r.watch.begin(r.cfg.Names.Point(p.Point), r.now)
		}
		r.barrier(s)
	}
	if r.watch.due(p, r.faces) {
		r.drain()
		r.watch.turn()
	}
	r.send(p, flow.Partition(p.Hash), isPacket)
	if r.sent++; r.sent >= collectEvery {
		r.sent = 0
		r.collect()
	}
	if p.Kind == packet.ICMPOther {
		var q packet.Quote
		if packet.ParseQuote(p, &q) {
			r.send(p, flow.Partition(q.Hash), isQuote)
		}
	}
}

// lost takes a packet whose fragments did not all come.
func (r *reader) lost(p *packet.Packet) {
	p.Now = r.now
	r.send(p, flow.Partition(p.Hash), isLost)
}

func (r *reader) send(p *packet.Packet, partition int, kind itemKind) {
	r.shards[partition%len(r.shards)].add(p, partition, kind)
}

func (r *reader) nameInterfaces() {
	names := r.src.Interfaces()
	for ; r.faces < len(names); r.faces++ {
		r.cfg.Names.SetInterface(uint32(r.faces), names[r.faces])
	}
}

// barrier begins second s (ns): the tables learn from each other, and give
// the records that are due before s.
func (r *reader) barrier(s int64) {
	r.drain()
	r.learned.Merge(r.tables, s)
	r.second = s
	r.ask(func(t *flow.Table) { t.Expire(s) })
}

// collectEvery is how many packets may pass before the records that are ready
// leave, so that what a second ends need not fit into memory.
var collectEvery = 1 << 15 // a variable for tests

// collect asks for the records that are due by now, in the middle of a second.
// Nobody waits: the question follows the packets.
func (r *reader) collect() {
	now := r.now
	for _, s := range r.shards {
		s.flush()
	}
	r.ask(func(t *flow.Table) { t.Collect(now) })
}

// flush ends all flows. What the last second has taught counts for those that
// are open.
func (r *reader) flush() {
	r.drain()
	r.learned.Merge(r.tables, r.second+1e9)
	r.ask(func(t *flow.Table) { t.Flush(r.now) })
	r.drain()
}

// drain waits until every shard has done what it was sent.
func (r *reader) drain() {
	for _, s := range r.shards {
		s.flush()
	}
	for _, s := range r.shards {
		s.pending.Wait()
	}
}

// ask lets every table do something and collects the records it has then.
func (r *reader) ask(do func(*flow.Table)) {
	sec := <-r.free
	sec.wait.Add(len(r.shards))
	sec.failed = r.cancel
	for _, s := range r.shards {
		s.ask(sec, do)
	}
	r.seconds <- sec
}

// capture tells the health of the input after the run.
func (r *reader) capture() flow.Capture {
	c := r.seen
	for s, n := range r.decoder.Settled {
		if packet.Skip(s) == packet.OK {
			c.Decoded += n
		} else {
			c.Skipped[s] += n
		}
	}
	c.Decoded -= r.filtered
	c.Skipped[packet.Filtered] += r.filtered
	for _, t := range r.tables {
		n := t.Counts()
		c.Truncated += n.Truncated
		c.Malformed += n.Malformed
		c.Stray += n.Stray
		c.CopiesForgotten += n.CopiesForgotten
		c.Unread += n.Unread
	}
	for _, m := range r.watch.matchers {
		c.Uncompared += m.Counts().Unwatched
	}
	c.Points = r.learned.Points()
	slices.SortFunc(c.Points, func(a, b flow.PointCapture) int { return int(a.ID) - int(b.ID) })
	for _, p := range c.Points {
		c.MirrorDuplicates += p.MirrorDuplicates
	}
	c.Errors = r.src.Errors()
	return c
}

// Identity tells whether the counts of a capture add up: every frame is either
// decoded or skipped for a reason.
func Identity(c *flow.Capture) error {
	sum := c.Decoded
	for _, n := range c.Skipped {
		sum += n
	}
	if sum != c.Packets {
		return fmt.Errorf("%d frames read, but %d decoded or skipped", c.Packets, sum)
	}
	return nil
}
