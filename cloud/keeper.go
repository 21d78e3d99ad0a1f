package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Keeper asks sources, each in a goroutine of its own: once at the start, and then
// every period with some jitter, never two looks at one source at once. While a
// source fails, what it last said stays, with its age and the error to be seen in
// States; it is tried again after 15 seconds, then after ever longer, up to the
// period.
//
// No source has a part in what befalls another: each account and region is one, so
// that a missing permission costs the names of that one.
type Keeper struct {
	cfg   Config
	log   *slog.Logger
	store *Store // nil: nothing is kept
	parts []*part
	skips *skips

	hand    sync.Mutex // held while a Snapshot is handed on
	changed func(*Snapshot)
	homes   homes // under hand

	mu sync.Mutex // guards the states of parts
}

// part is one source and what is known of it.
type part struct {
	source Source

	state State     // under Keeper.mu
	raw   *Snapshot // as it came; under Keeper.hand
	given *Snapshot // as it was handed on; under Keeper.hand

	// Of the source's goroutine:
	emptied      bool      // the latest answer held nothing, and was not believed
	told, untold string    // errors that the log was told
	pending      *Snapshot // what is not on disk yet
	saved        time.Time // when something was put there the last time
}

// State is how a source does.
type State struct {
	Source     string
	Taken      time.Time // of what is known; zero: nothing is
	FromDisk   bool      // it was known before this run
	Interfaces int
	Instances  int
	Unread     int       // addresses that the source told and that are none
	Failures   int       // attempts that failed since the last good one
	Err        error     // of the latest attempt; nil: it was good, or there was none yet
	Unsaved    error     // why what is known is not on disk; nil: it is
	Next       time.Time // of the next attempt; zero: one is under way, or the source tells by itself
}

// Age is how old what is known was at a time; ok is false where nothing is known.
func (s *State) Age(at time.Time) (age time.Duration, ok bool) {
	return max(at.Sub(s.Taken), 0), !s.Taken.IsZero()
}

// NewKeeper makes a Keeper. It does nothing yet. changed is given each new Snapshot of
// a source, those of a source in order, and one at a time; the source's next look waits
// for it. A source's name must be its own.
func NewKeeper(c Config, sources []Source, changed func(*Snapshot), log *slog.Logger) (*Keeper, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	k := &Keeper{cfg: c, log: log, changed: changed}
	if c.Directory != "" {
		k.store = &Store{c.Directory}
	}
	names := map[string]bool{}
	for _, s := range sources {
		name := s.Name()
		if names[name] {
			return nil, fmt.Errorf("%s is configured twice", name)
		}
		names[name] = true
		k.parts = append(k.parts, &part{source: s, state: State{Source: name}})
	}
	k.skips = newSkips(k.parts)
	return k, nil
}

// Load hands on what is on disk of each source. What cannot be read is told to the
// log: it will be asked for. It is called before Run, or not at all.
func (k *Keeper) Load() {
	if k.store == nil {
		return
	}
	for _, p := range k.parts {
		snap, err := k.store.Load(p.state.Source)
		switch {
		case err != nil:
			k.log.Warn("what was known of a cloud cannot be read; it is asked for anew", "source", p.state.Source, "error", err)
		case snap != nil:
			k.hand.Lock()
			k.handOn(p, snap, true)
			k.hand.Unlock()
		}
	}
}

// Run asks until ctx is done.
func (k *Keeper) Run(ctx context.Context) {
	var g sync.WaitGroup
	for _, p := range k.parts {
		g.Go(func() {
			if w, ok := p.source.(Watcher); ok {
				k.watch(ctx, p, w)
			} else {
				k.ask(ctx, p)
			}
		})
	}
	g.Go(func() { k.skips.run(ctx, k.log) })
	g.Wait()
}

// States tells how each source does, in the order in which they were given.
func (k *Keeper) States() []State {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]State, len(k.parts))
	for i, p := range k.parts {
		list[i] = p.state
	}
	return list
}

// ask looks at a source again and again.
func (k *Keeper) ask(ctx context.Context, p *part) {
	for {
		wait := k.look(ctx, p)
		if ctx.Err() != nil || !k.sleep(ctx, p, wait) {
			return
		}
	}
}

// look asks once, and tells how long to wait then.
func (k *Keeper) look(ctx context.Context, p *part) time.Duration {
	began := time.Now()
	asking, cancel := context.WithTimeout(ctx, time.Duration(k.cfg.Timeout))
	snap, err := fetch(asking, p.source)
	late := err != nil && errors.Is(asking.Err(), context.DeadlineExceeded)
	cancel()
	if ctx.Err() != nil {
		return 0
	}
	if late {
		err = &Trouble{Doing: fmt.Sprintf("there was no full answer within %v", k.cfg.Timeout), Mend: "see whether the API can be reached from here, or raise cloud.timeout"}
	}
	if err == nil {
		err = k.took(p, snap, began)
	}
	return k.record(p, err)
}

// fetch asks a source, and takes a panic for an error: what comes from an API must not
// end the capture.
func fetch(ctx context.Context, s Source) (snap *Snapshot, err error) {
	defer recovered(&err)
	return s.Fetch(ctx)
}

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("a fault of the sensor: %v", r)
	}
}

// took takes a Snapshot that has come, if it can be used.
func (k *Keeper) took(p *part, snap *Snapshot, began time.Time) error {
	switch {
	case snap == nil:
		return errors.New("no answer")
	case len(snap.Interfaces) > k.cfg.MaxInterfaces:
		return &Trouble{
			Doing: fmt.Sprintf("%d interfaces, and cloud.max_interfaces is %d", len(snap.Interfaces), k.cfg.MaxInterfaces),
			Mend:  "raise cloud.max_interfaces, where there is memory for their names",
		}
	}
	if err := k.doubt(p, snap); err != nil {
		return err
	}
	snap.Source = p.state.Source
	if snap.Taken.IsZero() {
		snap.Taken = began.UTC()
	}
	k.hand.Lock()
	defer k.hand.Unlock()
	fill(snap, p.raw)
	p.pending = snap
	if _, tells := p.source.(Watcher); !tells || time.Since(p.saved) >= saveEvery {
		k.save(p)
	}
	k.handOn(p, snap, false)
	if len(snap.Partial) > 0 {
		return &Trouble{Doing: "no answer from " + strings.Join(snap.Partial, ", "), Err: errors.New("what was last known there stays")}
	}
	return nil
}

// doubt refuses an answer without any interface where some are known: a permission
// that was narrowed, or a fault, looks like that as well. Asked again, the source is
// believed. What a Watcher tells is not an answer, and is believed at once.
func (k *Keeper) doubt(p *part, snap *Snapshot) error {
	_, tells := p.source.(Watcher)
	k.mu.Lock()
	known := p.state.Interfaces
	k.mu.Unlock()
	if len(snap.Interfaces) > 0 || known == 0 || tells || p.emptied {
		p.emptied = false
		return nil
	}
	p.emptied = true
	return &Trouble{Doing: fmt.Sprintf("the answer holds no interface, and %d were known", known), Mend: "see whether the permissions still cover them; if the next answer holds none either, it is believed"}
}

// saveEvery is how often what a Watcher tells is put on disk: it may tell every few
// seconds.
const saveEvery = time.Minute

// fill adds to a partial Snapshot what was known before of the places that did not
// answer, with the machines that it is of.
func fill(s, before *Snapshot) {
	if len(s.Partial) == 0 || before == nil {
		return
	}
	missing := map[string]bool{}
	for _, place := range s.Partial {
		missing[place] = true
	}
	machines := map[string]bool{}
	for i := range before.Interfaces {
		if n := &before.Interfaces[i]; missing[cmp.Or(n.Zone, n.Region)] {
			s.Interfaces = append(s.Interfaces, *n)
			machines[n.Instance] = true
		}
	}
	for i := range s.Instances {
		delete(machines, s.Instances[i].ID)
	}
	for i := range before.Instances {
		if machines[before.Instances[i].ID] {
			s.Instances = append(s.Instances, before.Instances[i])
		}
	}
}

// record keeps the outcome of an attempt, and tells how long to wait until the next.
func (k *Keeper) record(p *part, err error) time.Duration {
	k.mu.Lock()
	p.state.Err = err
	if err != nil {
		p.state.Failures++
	} else {
		p.state.Failures = 0
	}
	failures, state := p.state.Failures, p.state
	k.mu.Unlock()
	k.tell(p, &state)
	wait := time.Duration(k.cfg.Period)
	if failures > 0 {
		wait = min(firstRetry<<min(failures-1, 20), wait)
	}
	return jitter(wait)
}

// firstRetry is how long after a failure it is tried again; after each further one
// twice as long, up to the period.
const firstRetry = 15 * time.Second

// jitter is up to a tenth shorter or longer, so that many sensors that were started
// together do not ask together for ever.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// tell has the log know of an error once, and of its end.
func (k *Keeper) tell(p *part, s *State) {
	text := ""
	if s.Err != nil {
		text = s.Err.Error()
	}
	switch {
	case text == p.told:
		return
	case text == "":
		k.log.Info("inventory: works again", "source", s.Source, "interfaces", s.Interfaces, "instances", s.Instances)
	default:
		args := []any{"source", s.Source, "error", s.Err}
		if mend := Mend(s.Err); mend != "" {
			args = append(args, "mend", mend)
		}
		if age, ok := s.Age(time.Now()); ok {
			args = append(args, "age", age.Round(time.Second))
		}
		k.log.Warn("inventory: cannot be read; what was last known stays", args...)
	}
	p.told = text
}

// sleep waits, and tells whether ctx is not done.
func (k *Keeper) sleep(ctx context.Context, p *part, d time.Duration) bool {
	k.next(p, time.Now().Add(d))
	defer k.next(p, time.Time{})
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (k *Keeper) next(p *part, at time.Time) {
	k.mu.Lock()
	p.state.Next = at
	k.mu.Unlock()
}

// watch takes what a source tells by itself.
func (k *Keeper) watch(ctx context.Context, p *part, w Watcher) {
	for {
		err := follow(ctx, w, func(snap *Snapshot) {
			k.record(p, k.took(p, snap, time.Now()))
		})
		k.save(p)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it ended")
		}
		if !k.sleep(ctx, p, k.record(p, err)) {
			return
		}
	}
}

func follow(ctx context.Context, w Watcher, push func(*Snapshot)) (err error) {
	defer recovered(&err)
	return w.Watch(ctx, push)
}

// save puts what is not on disk there. That it cannot be is told once.
func (k *Keeper) save(p *part) {
	if k.store == nil || p.pending == nil {
		return
	}
	err := k.store.Save(p.pending)
	p.pending, p.saved = nil, time.Now()
	k.mu.Lock()
	p.state.Unsaved = err
	k.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == p.untold:
	case err != nil:
		k.log.Warn("inventory: is not kept on disk; a restart would have to ask", "source", p.state.Source, "error", err)
	default:
		k.log.Info("inventory: is kept on disk again", "source", p.state.Source)
	}
	p.untold = text
}

// handOn gives a Snapshot on, with the networks filled in that others know, and
// anew those of others that now know more. k.hand is held.
func (k *Keeper) handOn(p *part, snap *Snapshot, fromDisk bool) {
	p.raw = snap
	for _, q := range k.homes.update(k.parts, p) {
		q.given = k.homes.settle(q.raw)
		k.skips.update(q)
		k.changed(q.given)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &p.state
	s.Taken, s.FromDisk, s.Interfaces, s.Instances = snap.Taken, fromDisk, len(snap.Interfaces), len(snap.Instances)
	s.Unread = snap.Unread
}
