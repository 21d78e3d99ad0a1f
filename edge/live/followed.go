package live

import "mirrorscope/edge"

// followed are the connections that are followed. Each is in one list: that of a step
// in which it counted, which is looked at when that step leaves the window, or, if it
// did not count in a later one, that of those that rest.
type followed struct {
	numbered[connection]
	steps   []inStep // by number of the step, modulo
	resting uint32   // number of the first one that has been idle for a window; 0: none
	ended   bool     // one of those has ended
	late    bool     // one counts in an earlier step than that of its list
}

// inStep is the list of a step.
type inStep struct {
	step  int64
	first uint32 // number; 0: none
}

// of finds the connection of a tuple, nil if it is not followed.
func (f *followed) of(k *edge.Tuple, hash uint32) *connection {
	return f.find(hash, func(c *connection) bool { return c.key == *k })
}

// list puts a connection, which is in no list, into that of its step.
func (f *followed) list(c *connection) {
	l := &f.steps[slotOf(c.step, int64(len(f.steps)))]
	if l.step != c.step {
		*l = inStep{step: c.step}
	}
	c.next, l.first, c.resting = l.first, c.number, false
}

// over notes that the flow of a connection has ended.
func (f *followed) over(c *connection) {
	c.over = true
	f.ended = f.ended || c.resting
}

// connection finds that of a record of a step, or begins to follow it; nil where there
// is no room.
func (t *Table) connection(k *edge.Tuple, hash uint32, step int64) *connection {
	f := &t.connections
	if c := f.of(k, hash); c != nil {
		return c
	}
	if f.n >= t.config.Connections {
		return nil
	}
	c, number := f.begin(hash)
	c.renew(k).hash, c.number, c.step = hash, number, step
	f.list(c)
	return c
}

// rest looks at the connections that were idle for a window: those that have ended are
// followed no more, and none of them where there are many.
func (t *Table) rest() {
	f := &t.connections
	crowded := f.n > t.config.Connections/2
	if f.ended || crowded {
		first := f.resting
		f.resting, f.ended = 0, false
		t.sort(first, crowded)
	}
	late := f.late
	f.late = false
	for i := range f.steps {
		if l := &f.steps[i]; l.first != 0 && (late || t.left(l.step)) {
			first := l.first
			l.first = 0
			t.sort(first, crowded)
		}
	}
}

// sort puts each connection of a list where it belongs now.
func (t *Table) sort(first uint32, crowded bool) {
	f := &t.connections
	for first != 0 {
		c := f.all[first]
		first = c.next
		switch {
		case !t.left(c.step):
			f.list(c)
		case crowded || c.over:
			f.end(c.hash, c.number)
		default:
			c.next, f.resting, c.resting = f.resting, c.number, true
		}
	}
}
