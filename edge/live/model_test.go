package live

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mirrorscope/edge"
	"mirrorscope/flow"
)

// crowd makes records of connections that come and go: of few hosts and ports, so that 5-tuples are used
// again, are idle, and come back.
type crowd struct {
	*rand.Rand
	ids  map[string]uint64
	last uint64
}

func newCrowd(seed uint64) *crowd {
	return &crowd{Rand: rand.New(rand.NewPCG(seed, 1)), ids: map[string]uint64{}}
}

// record gives one of a step: an interval, or, behind it, a whole connection.
func (c *crowd) record(step int, whole bool) *flow.Record {
	client, server := fmt.Sprintf("10.0.0.%d:%d", 1+c.IntN(12), 1000+c.IntN(3)), fmt.Sprintf("10.1.0.%d:443", 1+c.IntN(6))
	id := c.ids[client+server]
	if id == 0 || c.IntN(8) == 0 {
		c.last++
		id = c.last
		c.ids[client+server] = id
	}
	if whole {
		return over(float64(10*step)+float64(c.IntN(10)), id, client, server, flow.Outcome(c.IntN(int(flow.NumOutcomes))))
	}
	r := interval(step, id, client, server, volumes(int64(100*c.IntN(4)), int64(100*c.IntN(3))))
	if c.IntN(3) == 0 {
		r.Start = at(0)
	}
	if c.IntN(20) == 0 {
		r.Ends[flow.Server].HasPort = false
	}
	return r
}

// play gives what happens in many steps to a table, in order.
func (c *crowd) play(add func(*flow.Record), health func(int64)) {
	for step := 0; step < 60; step++ {
		if c.IntN(10) == 0 {
			step += c.IntN(12)
		}
		for range c.IntN(60) {
			add(c.record(step, true))
		}
		if c.IntN(6) > 0 {
			for range c.IntN(200) {
				add(c.record(step-c.IntN(30)/29, false)) // some are late
			}
		}
		health(at(float64(10*step + 10)))
	}
}

// slow is a Table as plain as it can be, of what one point counts.
type slow struct {
	cfg           Config
	now           int64
	conversations map[edge.Key]map[int64]*tally // by step
	other         map[int64]*tally
	connections   map[edge.Tuple]*slowConn
	pending       []*slowConn
	pendingStep   int64
	counts        Counts
}

// tally is what a conversation did in a step.
type tally struct {
	octets, connections, opened int64
	outcomes                    [flow.NumOutcomes]int64
	into                        *tally
}

type slowConn struct {
	key           edge.Key
	id            uint64 // of the records so far
	octets        int64  // in the running step
	begun, opened int64  // likewise
	active, over  bool
	counted       *tally // as a connection, in step
	step          int64
}

func (m *slow) left(step int64) bool { return m.now-step >= int64(m.cfg.Window/m.cfg.Interval) }

func (m *slow) add(r *flow.Record) {
	if r.Kind != flow.Interval {
		m.settle()
		if c := m.connections[edge.TupleOf(r)]; c != nil {
			c.over = true
		}
		if step := min(r.Release/int64(m.cfg.Interval), m.now+1); !m.left(step) {
			m.at(keyOf(r.Network, r.Proto, &r.Ends), step).outcomes[r.Outcome]++
		}
		return
	}
	step := r.IntervalStart / int64(m.cfg.Interval)
	if step != m.pendingStep {
		m.settle()
		m.pendingStep = step
	}
	m.advance(step)
	if m.left(step) {
		return
	}
	c := m.connections[edge.TupleOf(r)]
	follow := c != nil || len(m.connections) < m.cfg.Connections
	switch {
	case c == nil && follow:
		c = new(slowConn)
		m.connections[edge.TupleOf(r)] = c
	case c == nil:
		m.counts.Untracked++
		c = new(slowConn)
	case c.active && c.id != r.ID:
		m.fold(c, step)
	}
	if follow {
		m.pending = append(m.pending, c)
	}
	if c.id != r.ID {
		c.id = r.ID
		c.begun++
		if r.Start >= r.IntervalStart-early {
			c.opened++
		}
	}
	c.key, c.active, c.over = keyOf(r.Network, r.Proto, &r.Ends), true, false
	c.octets += r.Sent[0].Bytes + r.Sent[1].Bytes
	if !follow {
		m.fold(c, step)
	}
}

func (m *slow) fold(c *slowConn, step int64) {
	if !c.active {
		return
	}
	b := m.at(c.key, step)
	b.octets += c.octets
	b.opened += c.opened
	switch {
	case c.begun > 0:
		b.connections += c.begun
	case c.counted != nil && !m.left(c.step):
		for c.counted.into != nil {
			c.counted = c.counted.into
		}
		c.counted.connections--
		b.connections++
	default:
		b.connections++
	}
	c.counted, c.step = b, step
	c.active, c.octets, c.begun, c.opened = false, 0, 0, 0
}

func (m *slow) at(k edge.Key, step int64) *tally {
	if m.conversations[k] == nil {
		if len(m.conversations) >= 2*m.cfg.Conversations {
			m.halve()
		}
		m.conversations[k] = map[int64]*tally{}
	}
	return in(m.conversations[k], step)
}

func in(steps map[int64]*tally, step int64) *tally {
	if steps[step] == nil {
		steps[step] = new(tally)
	}
	return steps[step]
}

func (m *slow) halve() {
	var keys []edge.Key
	octets := map[edge.Key]int64{}
	for k, steps := range m.conversations {
		keys = append(keys, k)
		for _, b := range steps {
			octets[k] += b.octets
		}
	}
	slices.SortFunc(keys, func(a, b edge.Key) int { return cmp.Or(cmp.Compare(octets[a], octets[b]), compareKeys(&a, &b)) })
	for _, k := range keys[:len(keys)-m.cfg.Conversations/2] {
		for step, b := range m.conversations[k] {
			o := in(m.other, step)
			o.sum(b)
			b.into = o
		}
		delete(m.conversations, k)
		m.counts.Folded++
	}
}

func (a *tally) sum(b *tally) {
	a.octets, a.connections, a.opened = a.octets+b.octets, a.connections+b.connections, a.opened+b.opened
	for i, n := range b.outcomes {
		a.outcomes[i] += n
	}
}

func (m *slow) settle() {
	for _, c := range m.pending {
		m.fold(c, m.pendingStep)
	}
	m.pending, m.pendingStep = nil, noStep
	if len(m.conversations) > m.cfg.Conversations {
		m.halve()
	}
}

func (m *slow) advance(step int64) {
	if step <= m.now {
		return
	}
	m.now = step
	gone := func(step int64, _ *tally) bool { return m.left(step) }
	for k, steps := range m.conversations {
		if maps.DeleteFunc(steps, gone); len(steps) == 0 {
			delete(m.conversations, k)
		}
	}
	maps.DeleteFunc(m.other, gone)
	crowded := len(m.connections) > m.cfg.Connections/2
	maps.DeleteFunc(m.connections, func(_ edge.Tuple, c *slowConn) bool { return m.left(c.step) && (crowded || c.over) })
}

func (m *slow) health(now int64) {
	m.settle()
	m.advance(now/int64(m.cfg.Interval) - 1)
}

// tallyOf is what a Table has for a conversation in a window.
func tallyOf(t *Table, v *conversation) tally {
	c, x := t.total(v)
	return tally{octets: c.Sent[0].Bytes + c.Sent[1].Bytes, connections: c.Connections, opened: x.opened, outcomes: c.Outcomes}
}

// window is the sum of the steps that have ended.
func (m *slow) window(steps map[int64]*tally) (sum tally) {
	for step, b := range steps {
		if step <= m.now {
			sum.sum(b)
		}
	}
	return sum
}

// Whatever comes, goes and comes again, in tables that are too small for it, counts as it does in the plainest way.
func TestModel(t *testing.T) {
	folded, untracked := uint64(0), uint64(0)
	for seed := range uint64(60) {
		cfg := DefaultConfig()
		cfg.Window = 40 * time.Second
		switch seed % 3 {
		case 0:
			cfg.Conversations, cfg.Connections = 10, 60
		case 1:
			cfg.Conversations, cfg.Connections = 10, 1000
		case 2:
			cfg.Conversations, cfg.Connections = 40, 30
		}
		table := New(cfg, fakeNames{}, protocol)
		m := &slow{
			cfg: cfg, now: noStep, pendingStep: noStep,
			conversations: map[edge.Key]map[int64]*tally{}, other: map[int64]*tally{}, connections: map[edge.Tuple]*slowConn{},
		}
		begin := at(0)/int64(cfg.Interval) - 1
		m.now, table.now, table.first = begin, begin, begin
		newCrowd(seed).play(func(r *flow.Record) { table.Add(r); m.add(r) }, func(now int64) {
			table.Health(now, &flow.Capture{})
			m.health(now)
			if t.Failed() {
				return
			}
			for k, steps := range m.conversations {
				v := table.known(k)
				if v == nil {
					t.Errorf("seed %d, %d: %v is not there", seed, now, k)
				} else if got, want := tallyOf(table, v), m.window(steps); got != want {
					t.Errorf("seed %d, %d: %v: %+v, want %+v", seed, now, k, got, want)
				}
			}
			if got, want := tallyOf(table, &table.other), m.window(m.other); got != want {
				t.Errorf("seed %d, %d: other: %+v, want %+v", seed, now, got, want)
			}
			for k := range m.connections {
				if table.connections.of(&k, k.Hash(&table.connections.index)) == nil {
					t.Errorf("seed %d, %d: %v is not followed", seed, now, k)
				}
			}
			if table.conversations.n != len(m.conversations) || table.connections.n != len(m.connections) || table.counts != m.counts {
				t.Errorf("seed %d, %d: %d conversations, %d connections, %+v; want %d, %d, %+v", seed, now,
					table.conversations.n, table.connections.n, table.counts, len(m.conversations), len(m.connections), m.counts)
			}
		})
		if t.Failed() {
			return
		}
		folded, untracked = folded+m.counts.Folded, untracked+m.counts.Untracked
	}
	if folded < 10_000 || untracked < 10_000 {
		t.Errorf("%d conversations folded, %d records untracked", folded, untracked)
	}
}

// The first n are those that sorting puts there, whatever order they come in.
func TestPart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		all := make([]candidate, 1+r.IntN(60))
		for i := range all {
			v := new(conversation)
			v.key.Client[15] = byte(i)
			all[i] = candidate{int64(r.IntN(1 + r.IntN(20))), v}
		}
		r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		want := slices.Clone(all)
		slices.SortFunc(want, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.octets, b.octets), compareKeys(&a.key, &b.key)) })
		n := r.IntN(len(all) + 1)
		part(all, n)
		got := map[*conversation]bool{}
		for _, x := range all[:n] {
			got[x.conversation] = true
		}
		for _, x := range want[:n] {
			if !got[x.conversation] {
				t.Fatalf("%d of %d: one is not among the first", n, len(all))
			}
		}
	}
}

// What is forgotten is used again: of as many as come and go, none takes new memory.
func TestAllocs(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Window, cfg.Connections = 20*time.Second, 20_000
	table, s := New(cfg, fakeNames{}, protocol), newShorts()
	step, n := 0, 0
	for ; step < 3; step++ {
		s.step(table, step)
	}
	allocs := testing.AllocsPerRun(1, func() {
		n = s.step(table, step)
		step++
	})
	if allocs > float64(n)/1000 {
		t.Errorf("%v allocations for %d records", allocs, n)
	}
}
