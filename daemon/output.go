package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"mirrorscope/edge/live"
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/sink"
	"mirrorscope/sink/jsonl"
	"mirrorscope/sink/lines"
)

// output writes records as lines to everything that wants them, and folds them
// into what is asked for while the sensor runs. It belongs to the collector of
// the pipeline, and never waits.
type output struct {
	cfg     Output
	encoder *jsonl.Encoder
	writers []named
	top     *live.Table
	groups  *groups
	observe func(*live.Top, *flow.Capture) // with each health
	tally   func([]*flow.Record)           // nil: nobody can ask for it
	more    func() []flow.Loss             // events that others count
	account func(*flow.Capture)
	fill    func() float64 // of the fullest ring
	buf     []byte
	patient atomic.Bool // the capture is over: wait for room instead of dropping lines
}

type named struct {
	name  string
	stuck bool // it was waited for once, in vain

	// What the log was told; of the goroutine that watches.
	failing, dropping bool
	told              uint64 // lines dropped

	lines.Writer
}

func openOutput(cfg Output, names sink.Names, stdout io.Writer) (*output, error) {
	o := &output{cfg: cfg, encoder: jsonl.NewEncoder(names)}
	if cfg.Stdout {
		o.writers = append(o.writers, named{name: "stdout", Writer: lines.NewStream("standard output", stdout, cfg.StdoutQueue)})
	}
	if cfg.File.Directory != "" {
		f, err := lines.OpenFile(cfg.File)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("output.file: %w", err), o.close(context.Background()))
		}
		o.writers = append(o.writers, named{name: "file", Writer: f})
	}
	return o, nil
}

// records takes records in the order of the output contract.
func (o *output) records(records []*flow.Record) error {
	o.buf = o.buf[:0]
	if o.tally != nil {
		o.tally(records)
	}
	if o.top != nil {
		o.top.AddAll(records)
	}
	for i := range records {
		r := records[i]
		o.groups.add(r)
		o.buf = o.groups.take(o.buf)
		if r.Kind == flow.Connection && o.cfg.Connections || r.Kind == flow.Interval && o.cfg.Intervals {
			o.buf = o.encoder.AppendRecord(o.buf, r)
		}
	}
	o.write()
	return nil
}

func (o *output) path(c *path.Connection) error {
	if o.top != nil {
		o.top.AddPath(c)
	}
	o.groups.addPath(c)
	if o.cfg.Connections {
		o.buf = o.encoder.AppendPath(o.buf[:0], c)
		o.write()
	}
	return nil
}

// health takes the state of the capture while it runs.
func (o *output) health(c *flow.Capture) error {
	o.capture(c)
	var top *live.Top
	if o.top != nil {
		o.top.Health(c.At, c)
		top = o.top.Top(topRows)
	}
	o.observe(top, c)
	return nil
}

// maxPoints bounds the observation points that a state of the capture lists, the
// busiest ones: whoever sends through a tapped wire can make them up.
const maxPoints = 1000

// topRows bounds the conversations that are at hand while the sensor runs.
const topRows = 500

// capture writes the state of the capture.
func (o *output) capture(c *flow.Capture) {
	o.account(c)
	o.groups.advance(c.At)
	c.Events = append(c.Events, o.groups.events()...)
	if o.top != nil {
		n := o.top.Counts()
		c.Events = append(c.Events,
			flow.Loss{Place: "top_folded", Frames: n.Folded}, flow.Loss{Place: "top_untracked", Frames: n.Untracked},
			flow.Loss{Place: "top_unsampled", Frames: n.Unsampled}, flow.Loss{Place: "top_unfollowed", Frames: n.Unfollowed})
	}
	if len(c.Points) > maxPoints {
		slices.SortStableFunc(c.Points, func(a, b flow.PointCapture) int { return cmp.Compare(b.Packets, a.Packets) })
		c.MorePoints, c.Points = len(c.Points)-maxPoints, c.Points[:maxPoints]
	}
	c.Events = append(c.Events, flow.Loss{Place: "lines_dropped", Frames: o.dropped()})
	c.Events = append(c.Events, o.more()...)
	o.buf = o.encoder.AppendCapture(o.groups.take(o.buf[:0]), c)
	o.write()
}

func (o *output) write() {
	if len(o.buf) == 0 {
		return
	}
	for i := range o.writers {
		w := &o.writers[i]
		switch {
		case !o.patient.Load():
			o.linger(w, len(o.buf))
		case !w.stuck:
			w.stuck = !room(w, len(o.buf))
		}
		_, _ = w.Write(o.buf) // what is lost is in its Stats
	}
}

// calm is the share of a ring up to which the collector may be waited for.
const calm = 0.25

// linger waits for room in a queue as well while the capture runs, as at the end
// of an interval, when many records come at once: as long as the queue is
// written, and the rings have much more room than they need.
func (o *output) linger(w *named, n int) {
	for last, since := w.Stats(), time.Now(); ; {
		st := w.Stats()
		switch {
		case int(st.Queued.Bytes)+n <= st.Limit/2, st.Failing != nil, o.fill() > calm, time.Since(since) > time.Second:
			return
		}
		if st.Written != last.Written {
			last, since = st, time.Now()
		}
		time.Sleep(time.Millisecond)
	}
}

// pointless tells whether there is only standard output, and its reader has gone.
func (o *output) pointless() bool {
	return len(o.writers) == 1 && unread(o.writers[0].Stats())
}

// unread tells whether the reader of an output has left for good.
func unread(st lines.Stats) bool { return errors.Is(st.Failing, syscall.EPIPE) }

// room waits until n octets find room in a queue, as long as it is written.
func room(w lines.Writer, n int) bool {
	last, since := w.Stats(), time.Now()
	for {
		st := w.Stats()
		if int(st.Queued.Bytes)+n <= st.Limit/2 || st.Queued.Bytes == 0 {
			return true
		}
		if st.Written != last.Written {
			last, since = st, time.Now()
		}
		if unread(st) || time.Since(since) > drainWait/2 {
			return false
		}
		time.Sleep(time.Millisecond)
	}
}

// dropped counts the lines that were lost.
func (o *output) dropped() (lines uint64) {
	for i := range o.writers {
		lines += o.writers[i].dropped()
	}
	return lines
}

func (w *named) dropped() (lines uint64) {
	for _, d := range w.Stats().Dropped {
		lines += d.Lines
	}
	return lines
}

func (o *output) reopen() {
	for _, w := range o.writers {
		w.Reopen()
	}
}

// watch tells the log when an output begins to fail, and when it works again.
func (o *output) watch(log *slog.Logger) {
	for i := range o.writers {
		w := &o.writers[i]
		st := w.Stats()
		switch failing := st.Failing != nil; {
		case failing && !w.failing:
			log.Error("output fails; what finds no room in its queue is dropped and counted", "output", w.name, "error", st.Failing)
		case !failing && w.failing:
			log.Info("output works again", "output", w.name, "lines_dropped", w.dropped())
		}
		w.failing = st.Failing != nil
		switch n := w.dropped(); {
		case n > w.told && !w.dropping:
			w.dropping = true
			log.Warn("lines are dropped, as they come faster than they are taken", "output", w.name, "lines", n-w.told)
		case n == w.told && w.dropping:
			w.dropping = false
			log.Info("no more lines are dropped", "output", w.name, "lines_dropped", n)
		}
		w.told = w.dropped()
	}
}

// close writes what is queued, until ctx ends.
func (o *output) close(ctx context.Context) error {
	var errs []error
	for _, w := range o.writers {
		ctx := ctx
		if unread(w.Stats()) {
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			cancel()
		}
		if err := w.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", strings.ToLower(w.name), err))
		}
	}
	return errors.Join(errs...)
}
