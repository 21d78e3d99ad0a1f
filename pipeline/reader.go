package pipeline

import (
	"context"
	"errors"
	"io"
	"math"
	"runtime"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/packet"
)

// reader reads, decodes and distributes. It is a goroutine, and where there is one
// shard, that works in it.
type reader struct {
	src       capture.Source
	many      capture.Batcher // src, if it gives several frames at a time
	spill     *spill          // nil: the source needs no help
	frames    []capture.Frame
	cfg       Config
	decoder   *packet.Decoder
	tables    []*flow.Table
	learned   *flow.Learned
	shards    []*shard
	batch     *batch        // being filled
	batches   chan *batch   // empty ones
	keep      bool          // payloads are copied: their frames are gone before the batch is
	spare     packet.Packet // one that does not stand in the batch yet
	done      chan struct{} // from shards that are goroutines, when they have come so far
	collector *collector    // that works here; nil: it is a goroutine
	seconds   chan *second  // to the collector, in order
	free      chan *second  // and back
	made      int           // seconds there are
	room      room
	oneCore   bool       // the Go runtime has no more
	dueSoon   int        // connections that may end in the running second …
	soon      *flow.Soon // … and when in it, where that is known
	collected int64      // until when that was asked for, ns
	cancel    context.CancelFunc

	now      int64 // highest record time so far
	begun    bool  // a packet came
	clocked  bool  // second is valid
	second   int64 // the running second, ns
	next     int64 // ns; no packet before it begins a second
	seen     flow.Capture
	faces    int                     // interfaces named so far
	sent     int                     // packets since records were last collected
	last     int64                   // record time of the frame before
	held     [packet.NumSkips]uint64 // frames that were held for a packet that was then left out, by the reason
	watch    watch
	load     load
	healthAt int64 // ns; the next time that Config.Health is told
}

func newReader(src capture.Source, cfg Config, tables []*flow.Table, learned *flow.Learned) *reader {
	r := &reader{
		src: src, cfg: cfg, decoder: packet.NewDecoder(cfg.Decode, cfg.Names), tables: tables, learned: learned,
		load: newLoad(src, &cfg), oneCore: runtime.GOMAXPROCS(0) == 1, room: newRoom(cfg.Flow.Memory, cfg.Shards, cfg.piece), next: math.MinInt64,
	}
	r.seconds, r.free = make(chan *second, r.room.pieces), make(chan *second, r.room.pieces)
	r.decoder.Lost = r.lost
	r.spill = newSpill(src)
	for i := range cfg.Shards {
		r.shards = append(r.shards, newShard(i, cfg.Shards, tables, r.spill))
	}
	r.many, _ = src.(capture.Batcher)
	r.keep = r.many == nil || cfg.Shards > 1
	r.frames = make([]capture.Frame, aheadLen)
	r.batch = newBatch(cfg.Shards)
	if cfg.Shards > 1 {
		r.done = make(chan struct{}, cfg.Shards)
		r.batches = make(chan *batch, depth+1)
		for range depth + 1 {
			r.batches <- newBatch(cfg.Shards)
		}
	}
	return r
}

// close ends the stages behind the reader.
func (r *reader) close() {
	for _, s := range r.shards {
		if s.in != nil {
			close(s.in)
		}
	}
	close(r.seconds)
}

// run reads to the end of the source, or until the context is done; then all
// flows end.
func (r *reader) run(ctx context.Context) error {
	parent := ctx
	ctx, r.cancel = context.WithCancel(ctx)
	defer r.cancel()
	var err error
	for left := 0; ; {
		if left <= 0 {
			left = lookEvery
			if r.oneCore {
				// Who runs for 10 ms is interrupted, and if he is in a system call by then, goes on on another
				// thread; and the runtime's watch, each wake of which costs some 20 µs on a virtual machine, wakes 500 times a second.
				runtime.Gosched()
			}
			if ctx.Err() != nil {
				err = context.Cause(ctx)
				break
			}
			r.load.look(r.now)
		}
		var n int
		if n, err = r.read(); err == nil {
			left -= n
			continue
		}
		if !errors.Is(err, capture.ErrIdle) {
			break
		}
		r.idle(r.frames[0].Time)
		left = 0 // look at once
	}
	if errors.Is(err, io.EOF) || ctx.Err() != nil && parent.Err() == nil {
		err = nil // in the second case the output has failed, and its error tells
	}
	r.decoder.Flush()
	r.flush()
	return err
}

// read takes frames from the source, and tells how many.
func (r *reader) read() (n int, err error) {
	if r.many == nil {
		if err = r.src.Next(&r.frames[0]); err == nil {
			r.frame(&r.frames[0])
		}
		return 1, err
	}
	if n, err = r.many.NextBatch(r.frames); err != nil {
		return 0, err
	}
	r.take(r.frames[:n])
	if !r.keep {
		r.hand() // the frames go
	}
	return n, nil
}

// frame takes one frame from the source.
func (r *reader) frame(f *capture.Frame) {
	if int(f.Interface) >= r.faces {
		r.nameInterfaces()
	}
	c := &r.seen
	if c.Packets == 0 {
		c.First, c.Last = f.Time, f.Time
		if !r.clocked {
			r.now = f.Time
		}
	} else if f.Time < r.last-int64(r.cfg.Flow.ClockStep) {
		c.ClockSteps++
	}
	c.Packets++
	c.Bytes += uint64(f.WireLen)
	c.First, c.Last = min(c.First, f.Time), max(c.Last, f.Time)
	r.last = f.Time
	r.now = max(r.now, f.Time)

	p := r.batch.next()
	if r.decoder.Holds() {
		p = &r.spare // others may be lost meanwhile, and come before it
	}
	settled := r.decoder.Settled[packet.OK]
	if skip := r.decoder.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, p); skip != packet.OK {
		r.skipped(f, skip)
		r.pass()
		return
	}
	if r.cfg.Match != nil || r.load.keep > 1 {
		if why := r.leaveOut(p); why != packet.OK {
			c.Skipped[why]++
			r.held[why] += r.decoder.Settled[packet.OK] - settled
			r.pass()
			return
		}
	}
	c.Decoded++
	if r.cfg.Tap != nil {
		r.cfg.Tap.Take(f, p)
	}
	if r.load.headers && len(p.Payload) > 0 {
		p.Payload = nil
		p.Flags |= packet.Truncated
		c.PayloadShed++
	}
	p.Now = r.now
	r.took(p)
}

// took takes a decoded packet that counts.
func (r *reader) took(p *packet.Packet) {
	if r.now >= r.next {
		p = r.aside(p)
		r.turn(p)
	}
	if r.watch.due(p, r.faces) {
		p = r.aside(p)
		r.drain()
		r.watch.turn()
	}
	r.send(p, flow.Partition(p.Hash), isPacket)
	if r.sent++; r.sent >= r.room.packets {
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

// skipped counts a frame that gave no packet.
func (r *reader) skipped(f *capture.Frame, skip packet.Skip) {
	if skip == packet.Held {
		if r.cfg.Tap != nil {
			r.cfg.Tap.Held(f)
		}
		return
	}
	c := &r.seen
	c.Skipped[skip]++
	if skip == packet.UnknownLink {
		if c.UnknownLinks == nil {
			c.UnknownLinks = make(map[string]uint64)
		}
		c.UnknownLinks[f.Link.String()]++
	}
}

// pass begins the second of a frame that gave no packet, or none that counts: what
// is due leaves, and health is told, also while nothing else comes.
func (r *reader) pass() {
	switch {
	case !r.clocked:
		r.barrier(r.now - r.now%1e9)
	case r.now >= r.second+1e9:
		r.advance(r.now)
	}
}

// aside takes p out of the batch, which goes before it.
func (r *reader) aside(p *packet.Packet) *packet.Packet {
	if p != &r.spare {
		r.spare = *p
	}
	return &r.spare
}

// turn begins the second of p, which is not in the batch, or the capture.
func (r *reader) turn(p *packet.Packet) {
	if !r.begun {
		r.begun = true
		r.drain() // of a second that began before the first packet
		r.watch.begin(r.cfg.Names.Point(p.Point), r.now)
		if !r.clocked {
			r.barrier(r.now - r.now%1e9)
		}
	}
	r.advance(r.now)
	r.next = r.second + 1e9
}

// leaveOut tells whether a packet does not count, and why: OK if it does.
func (r *reader) leaveOut(p *packet.Packet) packet.Skip {
	if r.cfg.Match != nil && !r.cfg.Match(p) {
		return packet.Filtered
	}
	if r.load.keep > 1 {
		if !r.load.measures(p.Hash) {
			return packet.Unsampled
		}
		p.Weight = uint16(min(r.load.keep, math.MaxUint16))
	}
	return packet.OK
}

// idle takes the clock of a live source that has no packets for now: none will
// come with a time before it.
func (r *reader) idle(clock int64) {
	if r.cfg.Tap != nil {
		r.cfg.Tap.Clock(clock)
	}
	r.hand()
	switch s := clock - clock%1e9; {
	case !r.clocked:
		r.barrier(s)
	case s > r.second:
		r.now = max(r.now, s)
		r.advance(r.now)
	}
}

// advance begins the second of now, and those before it in which something is
// due: what a record says depends on the seconds at which flows end, and not
// on which seconds have packets.
func (r *reader) advance(now int64) {
	s := now - now%1e9
	if s <= r.second {
		return
	}
	for r.second+1e9 < s {
		r.drain()
		due, ok := s, false
		for _, t := range r.tables {
			if d, any := t.NextDue(); any {
				due, ok = min(due, d), true
			}
		}
		due = max(due, r.second+1e9)
		if !ok || due >= s {
			break
		}
		r.barrier(due)
	}
	r.barrier(s)
}

// lost takes a packet whose fragments did not all come.
func (r *reader) lost(p *packet.Packet) {
	p.Now = r.now
	r.send(p, flow.Partition(p.Hash), isLost)
}

// send puts a packet into the batch. What the decoder has put together is gone
// before the batch is.
func (r *reader) send(p *packet.Packet, partition int, kind itemKind) {
	if r.batch.put(p, partition, kind, r.keep || p.Flags&packet.Reassembled != 0) {
		r.hand()
	}
}

// hand has the shards take the batch.
func (r *reader) hand() {
	b := r.batch
	if b.n == 0 {
		return
	}
	if len(r.shards) == 1 {
		r.shards[0].send(work{batch: b})
		b.clear()
		return
	}
	users := int32(0)
	for _, list := range b.lists {
		if len(list) > 0 {
			users++
		}
	}
	b.users.Store(users)
	for i, s := range r.shards {
		if users == 0 {
			break // whoever had the rest may be done, and the batch is used anew
		}
		if len(b.lists[i]) > 0 {
			users--
			s.send(work{batch: b})
		}
	}
	r.batch = await(r.spill, r.batches)
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
	if !r.clocked {
		r.clocked, r.second = true, s
	}
	r.learned.Merge(r.tables, r.second, s)
	r.second = s
	r.decoder.Renew(s)
	var health *flow.Capture
	if r.cfg.Health != nil && s >= r.healthAt {
		every := max(int64(r.cfg.HealthEvery), 1e9)
		if r.healthAt != 0 {
			c := r.capture()
			c.At = s
			health = &c
		}
		r.healthAt = s - s%every + every
	}
	r.plan(func(t *flow.Table) { t.PlanExpire(s) })
	r.dueSoon, r.soon = 0, nil
	for _, t := range r.tables {
		r.dueSoon += t.DueIn(s)
	}
	r.planned(health, s)
}

// collect asks for the records that are due by now, in the middle of a second.
// Nobody waits, the question follows the packets; unless there may be more than
// there is room for.
func (r *reader) collect() {
	now := r.now
	r.hand()
	if r.crowded(now) {
		r.plan(func(t *flow.Table) { t.PlanCollect(now) })
		r.foresee(now)
		r.pieces(nil)
		return
	}
	r.ask(nil, func(t *flow.Table) {
		t.PlanCollect(now)
		t.Step(flow.Last())
	})
}

// crowded tells whether more connections may have ended by now than records may be made at once.
func (r *reader) crowded(now int64) bool {
	if r.soon == nil {
		return r.dueSoon > r.room.records/2
	}
	since := r.collected
	r.collected = now
	return r.soon.Until(since, now) > r.room.piece
}

// foresee has crowded know more of the running second. The tables have planned what they collect
// by now. A lone shard waits for nobody: it makes smaller pieces, which the caches hold.
func (r *reader) foresee(now int64) {
	if len(r.shards) == 1 || r.soon != nil {
		return
	}
	r.soon, r.collected = new(flow.Soon), now
	for _, t := range r.tables {
		t.AddSoon(r.soon, now)
	}
}

// flush ends all flows. What the last second has taught counts for those that
// are open.
func (r *reader) flush() {
	if r.clocked {
		r.advance(r.now) // frames that gave no packet moved the clock on
	}
	r.drain()
	r.learned.Merge(r.tables, r.second, r.second+1e9)
	now := r.now
	r.plan(func(t *flow.Table) { t.PlanFlush(now) })
	r.planned(nil, flow.EndOfInput)
	r.drain()
}

// plan has every table plan what it will tell. They are drained, before and
// after.
func (r *reader) plan(do func(*flow.Table)) {
	for _, s := range r.shards {
		s.send(work{do: do})
	}
	r.drain()
}

// planned takes the records of connections that the tables have planned to end,
// and then those of the interval if it closes by now. health goes with the last
// ones.
func (r *reader) planned(health *flow.Capture, now int64) {
	if !r.tables[0].Closes(now) { // all have the same clock
		r.pieces(health)
		return
	}
	r.pieces(nil)
	r.drain()
	r.plan(func(t *flow.Table) { t.PlanIntervals(now) })
	r.pieces(health)
}

// pieces takes the records that the tables have planned, not too many at a
// time. Nobody waits for the last ones.
func (r *reader) pieces(health *flow.Capture) {
	for {
		cut, more := flow.Cut(r.tables, r.room.piece)
		step := func(t *flow.Table) { t.Step(cut) }
		if !more {
			r.ask(health, step)
			return
		}
		r.ask(nil, step)
		r.drain()
	}
}

// drain waits until every shard has done what it was sent.
func (r *reader) drain() {
	r.hand()
	if r.done == nil {
		return
	}
	for _, s := range r.shards {
		s.send(work{done: r.done})
	}
	for range r.shards {
		await(r.spill, r.done)
	}
}

// ask lets every table do something and collects the records it has then, with
// the state of the input if there is one.
func (r *reader) ask(health *flow.Capture, do func(*flow.Table)) {
	sec := r.empty()
	sec.health = health
	sec.wait.Add(len(r.shards))
	sec.failed = r.cancel
	for _, s := range r.shards {
		s.send(work{do: do, sec: sec})
	}
	if r.collector != nil {
		r.collector.take(sec)
		r.free <- sec
		return
	}
	r.seconds <- sec
}

// empty gives a second to be filled, one that was used if there is any.
func (r *reader) empty() *second {
	select {
	case sec := <-r.free:
		return sec
	default:
	}
	if r.made < r.room.pieces {
		r.made++
		return new(second)
	}
	return await(r.spill, r.free)
}
