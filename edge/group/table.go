// Package group sums connections by any tags of their two sides: who talks to whom
// by name, how much, and how it goes, as one row for each combination of values.
//
// A Table takes whole connections, and all of the input is one window; or it takes
// interval records as well, and a window is an interval, or what lies between two
// cuts. Rows are sums and distributions, so that windows of partial tables add up to
// that of one table.
//
// What is counted when:
//
//   - Counts, round trips, response times and the handshakes of TCP and TLS count in
//     the interval whose record tells of them: each of these is told once.
//   - How a connection went, what of it is not known, and QUIC's handshake count when
//     its record is released: in the window that its release time ends or lies in.
//   - A connection that several points record counts once: each side as that point saw
//     it that recorded most of it so far, and in the end as its path says; what the
//     ends said at the point that heard it.
//
// So the rows of all windows add up to the connection records, side by side. Where
// what was told turns out otherwise (client and server change their roles, another
// point has recorded more) the difference is counted when it is known: that row may
// hold negative numbers, as interval records may.
//
// A Table is bounded, and what finds no place is counted. It is owned by one
// goroutine. What it gives depends on nothing but the calls and their order.
package group

import (
	"errors"
	"fmt"
	"time"

	"mirrorscope/edge"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
)

// Config says by what connections are grouped.
type Config struct {
	Enable  bool     `toml:"enable" comment:"Write a record of type conversation for each combination of values in each interval."`
	GroupBy []string `toml:"group_by" comment:"By what connections are grouped: client.TAG and server.TAG for any tag of a side (service, env, ip, port,\nnetwork, az, …), or network, observation_point, protocol, ip_version, tls_version, sni of the connection."`
	Rows    int      `toml:"rows" comment:"The most combinations told apart in an interval. The smaller ones beyond it are written as one, and counted."`

	Connections int           `toml:"-"` // the most that are followed at a time: others count at each point anew
	Samples     int           `toml:"-"` // the most buckets of distributions, of 16 octets each; more are left out and counted
	Interval    time.Duration `toml:"-"` // of the interval records; 0: whole connections alone are added
	Window      time.Duration `toml:"-"` // whole intervals; 0: all is one window, but for Cuts
	Cuts        []int64       `toml:"-"` // ns, rising: where a window ends and the next begins
}

// DefaultConfig groups by service. It takes some 100 MB where all of it is used.
func DefaultConfig() Config {
	return Config{
		GroupBy: []string{"client.service", "server.service"}, Rows: 2000,
		Connections: 100_000, Samples: 2 << 20,
	}
}

const maxRows = 1_000_000

// Validate reports every field that cannot be used.
func (c *Config) Validate() error {
	var errs []error
	if _, err := ParseKeys(c.GroupBy); err != nil {
		errs = append(errs, fmt.Errorf("group_by: %w", err))
	}
	for _, n := range []struct {
		name string
		v    int
	}{{"rows", c.Rows}, {"connections", c.Connections}, {"samples", c.Samples}} {
		if n.v < 1 || n.name == "rows" && n.v > maxRows {
			errs = append(errs, fmt.Errorf("%s: %d, need 1 to %d", n.name, n.v, maxRows))
		}
	}
	switch {
	case c.Interval < 0 || c.Interval%time.Second != 0:
		errs = append(errs, fmt.Errorf("interval: %v, need whole seconds", c.Interval))
	case c.Window < 0 || c.Window > 0 && (c.Interval == 0 || c.Window%c.Interval != 0):
		errs = append(errs, fmt.Errorf("window: %v, need whole intervals of %v", c.Window, c.Interval))
	}
	return errors.Join(errs...)
}

// Tags gives the ends of records their tags, and the values of all keys. It is
// enrich.Namer.
type Tags interface {
	Ends(network packet.NetworkID, proto uint8, ends *[2]flow.Endpoint, sni string, at int64) [2]*enrich.Tags
	Value(*enrich.Record, flow.Side, string) string
}

// Counts tells what a Table had no room for since its beginning, and what it gave.
type Counts struct {
	Windows   uint64
	Rows      uint64 // in all windows, Other left out
	Folded    uint64 // rows that went into Other
	Untracked uint64 // records of connections that were not followed
	Unsampled uint64 // distributions that were left out
	Joined    uint64 // records that were a further sight of a counted connection
	Late      uint64 // records of a window that had been given out; they count in the next
}

// Table takes records and gives windows.
type Table struct {
	config   Config
	keys     []Key
	tags     Tags
	protocol func(uint8) string
	emit     func(*Window)

	rows    map[string]*Row // of the running window
	other   *Row
	folded  int64
	buckets int   // of distributions in rows
	now     int64 // number of the running window
	step    int64 // … and interval
	running int64 // number of the earliest interval that may not have been told of
	begun   bool
	batch   int64 // how many intervals have begun to be told
	first   int64 // of all: of the first and the last packet
	last    int64
	counts  Counts

	flows   map[uint64]*conn // by flow.Record.ID
	tuples  map[edge.Tuple]*conn
	pending []*conn
	ended   []*conn             // whose records have all come, in that order
	gone    map[uint64]struct{} // flows whose records have come, and that are not followed …
	goneAt  int64               // … at this batch

	held    map[uint64]*flow.Record // joined connections whose path has not come
	holding []uint64                // … in order

	id      []byte // scratch
	one     ending // scratch
	scratch struct {
		delta, truth, sight sums
		record              flow.Record // a Connection, of which only what names it is set
	}
}

// New gives an empty Table. c must be valid; protocol names an IP protocol. emit is
// given each window when it has ended.
func New(c Config, tags Tags, protocol func(uint8) string, emit func(*Window)) *Table {
	keys, err := ParseKeys(c.GroupBy)
	if err != nil {
		panic(err) // was checked
	}
	return &Table{
		config: c, keys: keys, tags: tags, protocol: protocol, emit: emit,
		rows: map[string]*Row{}, flows: map[uint64]*conn{}, tuples: map[edge.Tuple]*conn{}, held: map[uint64]*flow.Record{}, gone: map[uint64]struct{}{},
	}
}

// Keys are those that rows have values of.
func (t *Table) Keys() []Key { return t.keys }

// Counts tells what there was no room for.
func (t *Table) Counts() Counts { return t.counts }

// Add takes a record, in the order of the output. It keeps what the record points
// to, and not the record.
func (t *Table) Add(r *flow.Record) {
	if r.Kind == flow.Interval {
		if t.config.Interval == 0 {
			return
		}
		if t.begun && t.window(r.IntervalStart) < t.now {
			t.counts.Late++
		}
		t.come(r.IntervalStart)
		if next := t.stepOf(r.IntervalStart) + 1; next > t.running || t.batch == 0 {
			t.running = max(t.running, next)
			t.batch++
		}
		t.follow(r)
		return
	}
	t.between(r.Start, r.End)
	t.come(t.released(r))
	if r.Joined {
		t.hold(r)
		return
	}
	t.one.single(r)
	t.finish(&t.one)
}

// released is the time in which the end of a connection counts: that at which it
// became known; what became known at the very end of an interval is in it. Where no
// packets came meanwhile it is known before the intervals of those before are told,
// and counts as the last of them.
func (t *Table) released(r *flow.Record) int64 {
	at := r.Release - 1
	if r.Release == flow.EndOfInput {
		at = r.End
	}
	if length := int64(t.config.Interval); length > 0 {
		last := t.stepOf(r.End)
		if t.begun {
			last = max(last, t.running)
		}
		at = min(at, (last+1)*length-1)
	}
	return at
}

// stepOf is the number of the interval in which a time lies.
func (t *Table) stepOf(at int64) int64 {
	if t.config.Interval == 0 {
		return 0
	}
	return floor(at, int64(t.config.Interval))
}

// maxHeld bounds the records that wait for the path of their connection.
const maxHeld = 1 << 14

func (t *Table) hold(r *flow.Record) {
	for len(t.holding) >= maxHeld {
		id := t.holding[0]
		t.holding = t.holding[1:]
		if r := t.held[id]; r != nil {
			delete(t.held, id)
			t.counts.Untracked++
			t.one.single(r)
			t.finish(&t.one)
		}
	}
	c := new(flow.Record)
	*c = *r
	t.held[r.ID] = c
	t.holding = append(t.holding, r.ID)
}

// AddPath takes a connection that several points recorded, behind the last of its
// records.
func (t *Table) AddPath(p *path.Connection) {
	t.counts.Joined += uint64(len(p.Points) - 1)
	t.one.joined(p, t.held)
	for i := range p.Points {
		delete(t.held, p.Points[i].Flow)
	}
	for len(t.holding) > 0 && t.held[t.holding[0]] == nil {
		t.holding = t.holding[1:]
	}
	if t.one.flow != nil {
		t.finish(&t.one)
	}
}

// Advance tells the time, ns: the records that were due by then have been added. It
// ends the windows that have ended by then.
func (t *Table) Advance(at int64) {
	if t.begun {
		t.come(at)
		t.running = max(t.running, t.step)
	}
}

// Close ends the last window. Without intervals there is one, if it is empty.
func (t *Table) Close() {
	t.settle()
	defer func() {
		t.flows, t.tuples, t.ended, t.gone = map[uint64]*conn{}, map[edge.Tuple]*conn{}, nil, map[uint64]struct{}{}
	}()
	if t.config.Window == 0 && !t.begun {
		t.emit(&Window{})
		t.counts.Windows++
		return
	}
	t.end(false)
}

// come makes the time that of a record, ns. What is of an earlier one counts now.
func (t *Table) come(at int64) {
	step, window := t.stepOf(at), t.window(at)
	if !t.begun {
		t.begun, t.now, t.step, t.running = true, window, step, max(t.running, step)
		return
	}
	if step > t.step {
		t.settle()
		t.step = step
	}
	if window > t.now {
		t.settle()
		t.end(true)
		t.now = window
	}
}

// window is the number of the one in which a time lies.
func (t *Table) window(at int64) int64 {
	if t.config.Window > 0 {
		return floor(at, int64(t.config.Window))
	}
	n := int64(0)
	for _, cut := range t.config.Cuts {
		if at >= cut {
			n++
		}
	}
	return n
}

func floor(at, length int64) int64 {
	n := at / length
	if at%length < 0 {
		n--
	}
	return n
}

func (t *Table) between(first, last int64) {
	if t.first == 0 && t.last == 0 {
		t.first, t.last = first, last
	}
	t.first, t.last = min(t.first, first), max(t.last, last)
}

// end gives the running window out. more tells that something came behind it.
func (t *Table) end(more bool) {
	t.established()
	w := &Window{Rows: inOrder(t.rows), Other: t.other, Folded: t.folded}
	kept := w.Rows[:0]
	for _, r := range w.Rows {
		if !r.empty() {
			kept = append(kept, r)
		}
	}
	w.Rows = kept
	folded := w.Folded
	w.Fold(t.config.Rows)
	t.counts.Folded += uint64(w.Folded - folded)
	w.Start, w.End = t.first, t.last
	switch {
	case t.config.Window > 0:
		w.Interval, w.Start, w.End = true, t.now*int64(t.config.Window), (t.now+1)*int64(t.config.Window)
	case len(t.config.Cuts) > 0:
		if t.now > 0 {
			w.Start = max(t.config.Cuts[t.now-1], t.first)
		}
		if t.now < int64(len(t.config.Cuts)) && more {
			w.End = t.config.Cuts[t.now]
		}
	}
	t.rows, t.other, t.folded, t.buckets = map[string]*Row{}, nil, 0, 0
	if len(w.Rows) == 0 && w.Other == nil && w.Interval {
		return
	}
	t.counts.Windows++
	t.counts.Rows += uint64(len(w.Rows))
	t.emit(w)
}

// rowOf gives the row of values that idOf has put together.
func (t *Table) rowOf(id string) *Row {
	if r := t.rows[id]; r != nil {
		return r
	}
	if len(t.rows) >= 2*t.config.Rows {
		t.halve()
	}
	r := &Row{id: id, Values: valuesOf(id)}
	if t.config.Interval > 0 {
		r.flags = ofTime
	}
	t.rows[id] = r
	return r
}

// halve puts the rows with the fewest octets into other, until so many are left as
// may be in the end. A large one that begins late is so still found.
func (t *Table) halve() {
	w := Window{Rows: inOrder(t.rows), Other: t.other}
	w.Fold(max(t.config.Rows, 1))
	t.other = w.Other
	t.folded += w.Folded
	t.counts.Folded += uint64(w.Folded)
	t.rows = make(map[string]*Row, len(w.Rows))
	t.buckets = 0
	if t.other != nil {
		t.buckets = t.other.buckets()
	}
	for _, r := range w.Rows {
		t.rows[r.id] = r
		t.buckets += r.buckets()
	}
}

// known is what is known of a connection beside its record.
type known struct{ sni, version string }

// add fills in what was not known. It tells whether there was anything.
func (k *known) add(o known) (more bool) {
	if k.sni == "" && o.sni != "" {
		k.sni, more = o.sni, true
	}
	if k.version == "" && o.version != "" {
		k.version, more = o.version, true
	}
	return more
}

// namedAt is as of when a record has its tags.
func namedAt(r *flow.Record) int64 {
	if r.Kind == flow.Interval {
		return r.IntervalStart
	}
	return r.Start
}

// idOf puts the values of a record together, each behind its length in an octet.
// The result is the id of a row where there is one. A connection has its tags as of
// its beginning, an interval as of the interval's.
func (t *Table) idOf(r *flow.Record, k *known) string {
	x := enrich.Record{Record: r, Tags: t.tags.Ends(r.Network, r.Proto, &r.Ends, k.sni, namedAt(r))}
	b := t.id[:0]
	for i := range t.keys {
		v := cut(t.value(&x, &t.keys[i], k))
		b = append(b, byte(len(v)))
		b = append(b, v...)
	}
	t.id = b
	if row := t.rows[string(b)]; row != nil {
		return row.id
	}
	return string(b)
}

func (t *Table) value(r *enrich.Record, k *Key, more *known) string {
	if k.Sided {
		return t.tags.Value(r, k.Side, k.Tag)
	}
	v := ""
	switch k.Tag {
	case keyProtocol:
		return t.protocol(r.Proto)
	case keyIPVersion:
		if r.Version == 6 {
			return "6"
		}
		return "4"
	case enrich.KeySNI:
		v = more.sni
	case enrich.KeyTLSVersion:
		v = more.version
	}
	if v == "" {
		v = t.tags.Value(r, flow.Server, k.Tag)
	}
	return v
}

func valuesOf(id string) []string {
	var all []string
	for len(id) > 0 {
		n := int(id[0])
		all = append(all, id[1:1+n])
		id = id[1+n:]
	}
	return all
}

var _ Tags = (*enrich.Namer)(nil)

// Events lists the counts as a capture record has them.
func (c *Counts) Events() []flow.Loss {
	return []flow.Loss{
		{Place: "conversation_rows", Frames: c.Rows}, {Place: "conversation_folded", Frames: c.Folded},
		{Place: "conversation_untracked", Frames: c.Untracked}, {Place: "conversation_unsampled", Frames: c.Unsampled}, {Place: "conversation_late", Frames: c.Late},
	}
}
