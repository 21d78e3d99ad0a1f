package pipeline

import (
	"mirrorscope/flow"
	"mirrorscope/path"
)

// watch decides whether the tables are watched for connections that several
// observation points record. As long as there is one point only, that would
// cost time for nothing: so after a first while, in which the points of most
// captures show up, it waits for a second interface or point. A connection that
// is under way when that comes is compared from then on.
type watch struct {
	matchers []*path.Matcher // by partition; nil: nobody asks
	on       bool
	began    bool
	first    int64 // the first barrier, ns
	window   int64
}

// start begins to watch, with the part of the tables' memory that they leave.
func (w *watch) start(memory int64, tables []*flow.Table) {
	c := path.DefaultConfig()
	c.Memory = memory / 8
	w.window = int64(c.Window)
	w.on = true
	for _, t := range tables {
		m := path.NewMatcher(c)
		w.matchers = append(w.matchers, m)
		t.Watch(m)
	}
}

// turn is called at each barrier, with the number of points that there are at
// least. It depends on what was read before the barrier alone, so it is the
// same for any number of shards.
func (w *watch) turn(second int64, points int, tables []*flow.Table, drain func()) {
	if w.matchers == nil {
		return
	}
	if !w.began {
		w.began, w.first = true, second
	}
	want := points > 1 || second-w.first <= w.window
	if want == w.on {
		return
	}
	w.on = want
	drain() // the shards have let go of their tables
	for i, t := range tables {
		if want {
			t.Watch(w.matchers[i])
		} else {
			t.Watch(nil)
			w.matchers[i].Reset()
		}
	}
}
