package main

import (
	"fmt"
	"io"
	"time"

	"mirrorscope/edge/group"
	"mirrorscope/enrich"
	"mirrorscope/sink"
	"mirrorscope/sink/csv"
	"mirrorscope/sink/jsonl"
	"mirrorscope/sink/table"
)

// groupFlags are those of `sensor replay` that group connections, as given.
type groupFlags struct{ by, since string }

// grouping is how connections are grouped.
type grouping struct {
	config    group.Config
	cut       int64  // ns; 0: nothing is compared
	intervals bool   // interval records are asked for
	met       []bool // by key: some connection has a value
}

// grouping checks what --group-by and --since say together with other flags; nil
// where nothing is grouped. All errors are of usage.
func (f *replayFlags) grouping() (*grouping, error) {
	if f.group.by == "" && !f.given("group-by") {
		if f.group.since != "" {
			return nil, usagef("--since: what is compared? Add --group-by client.service,server.service")
		}
		return nil, nil
	}
	keys, err := group.ParseGroupBy(f.group.by)
	if err != nil {
		return nil, usagef("--group-by: %w", err)
	}
	if f.given("view") {
		return nil, usagef("--view: --group-by is a view of its own; leave one of them out")
	}
	g := &grouping{config: group.DefaultConfig()}
	g.config.GroupBy = nil
	for _, k := range keys {
		g.config.GroupBy = append(g.config.GroupBy, k.String())
	}
	g.config.Rows, g.config.Connections, g.config.Samples = 50_000, 1_000_000, 8<<20
	switch {
	case f.group.since != "" && f.interval != 0:
		return nil, usagef("--since: it divides the capture in two, and --interval in equal parts; leave one of them out")
	case f.group.since != "":
		at, err := parseMoment(f.group.since)
		if err != nil {
			return nil, usagef("--since: %w", err)
		}
		g.cut = at.UnixNano()
		g.config.Cuts = []int64{g.cut}
		g.config.Interval = divisor(at)
	case f.interval != 0:
		g.intervals = true
		g.config.Interval, g.config.Window = f.interval, f.interval
	}
	if err := g.config.Validate(); err != nil {
		return nil, usagef("--interval: %w", err)
	}
	return g, nil
}

// parseMoment reads a time in whole seconds. Without a zone it is UTC, as all times
// of the outputs are.
func parseMoment(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"} {
		at, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		switch {
		case at.Nanosecond() != 0:
			return at, fmt.Errorf("%q has fractions of a second; intervals begin with whole ones", s)
		case at.Before(time.Unix(0, 0)) || at.Year() > 2200:
			return at, fmt.Errorf("%q is no time of a capture", s)
		}
		return at, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; write it as 2026-11-20T10:15:00Z", s)
}

// divisor is the longest interval of at most a minute that begins at a time: a cut
// lies between two intervals.
func divisor(at time.Time) time.Duration {
	s := int64(60)
	for at.Unix()%s != 0 || 60%s != 0 {
		s--
	}
	return time.Duration(s) * time.Second
}

// tags gives the records their tags.
func (o *replayOptions) tags() group.Tags {
	r := o.resolver
	if r == nil {
		r = enrich.New(enrich.DefaultConfig()) // of names and ports that the records have
	}
	return r.NewNamer(o.pipeline.Names)
}

// meet notes which keys have values.
func (g *grouping) meet(w *group.Window) {
	if g.met == nil {
		g.met = make([]bool, len(g.config.GroupBy))
	}
	for _, r := range w.Rows {
		for i, v := range r.Values {
			g.met[i] = g.met[i] || v != ""
		}
	}
}

// unmet gives the keys that no connection has, as one that is misspelt: any tag may
// be the user's own, so it is no error.
func (g *grouping) unmet() (keys []string) {
	if g == nil {
		return nil
	}
	for i, met := range g.met {
		if !met {
			keys = append(keys, g.config.GroupBy[i])
		}
	}
	return keys
}

// newGrouped gives the output of connections that are grouped.
func newGrouped(w io.Writer, o *replayOptions) recordSink {
	var names sink.Names = o.pipeline.Names
	build := func(emit func(*group.Window)) *group.Table {
		protocol := func(p uint8) string { return string(sink.AppendProtocol(nil, p)) }
		return group.New(o.group.config, o.tags(), protocol, func(w *group.Window) {
			o.group.meet(w)
			emit(w)
		})
	}
	switch o.format {
	case formatCSV:
		return csv.NewGrouped(w, build)
	case formatJSON:
		g := jsonl.NewGrouped(w, names, o.group.intervals, build)
		if o.resolver != nil {
			g.Name(o.resolver.NewNamer(names))
		}
		return g
	}
	c := o.table
	c.Width, c.Colour = terminalWidth(w), colour(w)
	return table.NewGroups(w, names, c, o.group.cut, build)
}
