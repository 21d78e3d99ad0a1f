package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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
	told    func(*live.Top, *flow.Capture) // with each health
	buf     []byte
}

type named struct {
	name string
	lines.Writer
}

func openOutput(cfg Output, names sink.Names, stdout io.Writer) (*output, error) {
	o := &output{cfg: cfg, encoder: jsonl.NewEncoder(names)}
	if cfg.Stdout {
		o.writers = append(o.writers, named{"stdout", lines.NewStream("standard output", stdout, cfg.StdoutQueue)})
	}
	if cfg.File.Directory != "" {
		f, err := lines.OpenFile(cfg.File)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("output.file: %w", err), o.close(context.Background()))
		}
		o.writers = append(o.writers, named{"file", f})
	}
	return o, nil
}

// records takes records in the order of the output contract.
func (o *output) records(records []flow.Record) error {
	o.buf = o.buf[:0]
	for i := range records {
		r := &records[i]
		if o.top != nil {
			o.top.Add(r)
		}
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
	if o.cfg.Connections {
		o.buf = o.encoder.AppendPath(o.buf[:0], c)
		o.write()
	}
	return nil
}

// health takes the state of the capture while it runs.
func (o *output) health(c *flow.Capture) error {
	o.capture(c)
	if o.top != nil {
		o.top.Health(c.At, c)
		o.told(o.top.Top(topRows), c)
	}
	return nil
}

// topRows bounds the conversations that are at hand while the sensor runs.
const topRows = 500

// capture writes the state of the capture.
func (o *output) capture(c *flow.Capture) {
	o.buf = o.encoder.AppendCapture(o.buf[:0], c)
	o.write()
}

func (o *output) write() {
	if len(o.buf) == 0 {
		return
	}
	for _, w := range o.writers {
		_, _ = w.Write(o.buf) // what is lost is in its Stats
	}
}

func (o *output) reopen() {
	for _, w := range o.writers {
		w.Reopen()
	}
}

// failing names the outputs that cannot write now, with the reason.
func (o *output) failing() []string {
	var list []string
	for _, w := range o.writers {
		if st := w.Stats(); st.Failing != nil {
			list = append(list, fmt.Sprintf("%s: %v", w.name, st.Failing))
		}
	}
	return list
}

// close writes what is queued, until ctx ends.
func (o *output) close(ctx context.Context) error {
	var errs []error
	for _, w := range o.writers {
		if err := w.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", strings.ToLower(w.name), err))
		}
	}
	return errors.Join(errs...)
}
