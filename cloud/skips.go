package cloud

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Meter is a Source that can tell what the mirrors of its instances left out: what a
// cloud did not copy because the instance's own traffic needed the room.
type Meter interface {
	Source
	// Skips tells what was not mirrored at some instances, in the periods of
	// SkipPeriod that lie within [from, to). What is not known is not in it. With an
	// error, what there is is valid.
	Skips(ctx context.Context, instances []string, from, to time.Time) ([]Skip, error)
}

// Skip is what the mirrors of one instance left out in the SkipPeriod that began at
// From, in both directions.
type Skip struct {
	Instance       string
	From           time.Time
	Packets, Bytes Count
}

// Count is a number that may not be known.
type Count struct {
	N     uint64
	Known bool
}

// Add adds what is known.
func (c *Count) Add(o Count) {
	c.N += o.N
	c.Known = c.Known || o.Known
}

// Skipped is what the mirrors of one instance left out in a time.
type Skipped struct {
	Instance       string
	Packets, Bytes Count
	From, To       time.Time
	Gaps           time.Duration // periods within, of which nothing is known
}

const (
	// SkipPeriod is how long the periods are of which clouds tell what was skipped:
	// that of CloudWatch without detailed monitoring.
	SkipPeriod = 5 * time.Minute
	// settled is how long after its end a period's numbers may still grow.
	settled = 5 * time.Minute
	// lookBack is how long it is asked for a period that nothing was told of.
	lookBack = 30 * time.Minute
	// maxMetered bounds the instances that are asked for, and unwanted is how long
	// after it was wanted the last time one is still among them.
	maxMetered = 1000
	unwanted   = time.Hour
)

// skips counts what mirrors left out, since the sensor runs, at the instances that
// it sees mirrors of.
type skips struct {
	parts []*part // those that can tell

	mu     sync.Mutex
	owners map[*part]map[netip.Addr]string // the instance of a primary address
	wanted map[string]*metered             // by instance
	full   bool                            // some were not taken
	errs   map[string]error                // by source
}

type metered struct {
	part   *part
	wanted time.Time // when somebody wanted to know the last time
	total  Skipped
	seen   map[int64]bool // periods within lookBack that were counted, by their start, s
}

func newSkips(parts []*part) *skips {
	s := &skips{owners: map[*part]map[netip.Addr]string{}, wanted: map[string]*metered{}, errs: map[string]error{}}
	for _, p := range parts {
		if _, ok := p.source.(Meter); ok {
			s.parts = append(s.parts, p)
		}
	}
	return s
}

// update takes what a part now knows.
func (s *skips) update(p *part) {
	if !slices.Contains(s.parts, p) {
		return
	}
	owners := map[netip.Addr]string{}
	for i := range p.given.Interfaces {
		n := &p.given.Interfaces[i]
		if n.Instance == "" {
			continue
		}
		// A mirror sends from the primary address of the interface, of either family.
		var had4, had6 bool
		for _, a := range n.Addresses {
			primary := a.Is4() && !had4 || a.Is6() && !had6
			had4, had6 = had4 || a.Is4(), had6 || a.Is6()
			if !primary {
				continue
			}
			if other, known := owners[a]; known && other != n.Instance {
				owners[a] = "" // in two networks: nobody can say whose it is
			} else {
				owners[a] = n.Instance
			}
		}
	}
	s.mu.Lock()
	s.owners[p] = owners
	s.mu.Unlock()
}

// owner gives the instance that an address is the primary one of, if it is just one.
// s.mu is held.
func (s *skips) owner(a netip.Addr) (id string, at *part) {
	for p, owners := range s.owners {
		instance, known := owners[a]
		switch {
		case !known:
		case instance == "" || id != "" && id != instance:
			return "", nil
		default:
			id, at = instance, p
		}
	}
	return id, at
}

// Skipped tells what mirrors left out at the instance that sends mirrored packets from
// one of two addresses, those of an observation point. Asking is what has it looked
// for, so that the first answers come minutes later. ok is false where nothing is
// known, or both addresses are such instances'.
func (k *Keeper) Skipped(a, b netip.Addr) (total Skipped, ok bool) {
	s := k.skips
	if len(s.parts) == 0 {
		return Skipped{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range []netip.Addr{a, b} {
		id, p := s.owner(address.Unmap())
		if id == "" || id == total.Instance {
			continue
		}
		m := s.want(id, p)
		if m == nil || m.total.To.IsZero() {
			continue
		}
		if ok {
			return Skipped{}, false
		}
		total, ok = m.total, true
	}
	return total, ok
}

// want has an instance be asked for; nil where there are too many.
func (s *skips) want(id string, p *part) *metered {
	m := s.wanted[id]
	if m == nil && len(s.wanted) >= maxMetered {
		s.full = true
		return nil
	}
	if m == nil {
		m = &metered{seen: map[int64]bool{}, total: Skipped{Instance: id}}
		s.wanted[id] = m
	}
	m.part, m.wanted = p, time.Now()
	return m
}

// AllSkipped lists what mirrors left out at each instance of which something is known,
// by instance; and why some of it is not, by source.
func (k *Keeper) AllSkipped() (list []Skipped, errs map[string]error) {
	s := k.skips
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.wanted {
		if !m.total.To.IsZero() {
			list = append(list, m.total)
		}
	}
	slices.SortFunc(list, func(a, b Skipped) int { return cmp.Compare(a.Instance, b.Instance) })
	errs = map[string]error{}
	for source, err := range s.errs {
		errs[source] = err
	}
	return list, errs
}

// run asks once in each period.
func (s *skips) run(ctx context.Context, log *slog.Logger) {
	if len(s.parts) == 0 {
		return
	}
	began := time.Now().UTC()
	told := map[string]string{}
	for {
		t := time.NewTimer(jitter(SkipPeriod))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if s.clean(time.Now()) {
			log.Warn("more instances send mirrored packets than are asked for what their mirrors left out", "asked", maxMetered)
		}
		for _, p := range s.parts {
			err := s.ask(ctx, p, began, time.Now().UTC())
			if ctx.Err() != nil {
				return
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			switch source := p.source.Name(); {
			case text == told[source]:
			case err != nil:
				log.Warn("what mirrors left out cannot be read", "source", source, "error", err, "mend", Mend(err))
				told[source] = text
			default:
				log.Info("what mirrors left out can be read again", "source", source)
				told[source] = text
			}
		}
	}
}

// clean forgets instances that nobody wants to know of any more, and tells whether
// there were too many.
func (s *skips) clean(now time.Time) (full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, m := range s.wanted {
		if now.Sub(m.wanted) > unwanted {
			delete(s.wanted, id)
		}
	}
	full, s.full = s.full, false
	return full
}

// ask asks one source for the periods that have settled since the sensor runs and are
// not counted yet.
func (s *skips) ask(ctx context.Context, p *part, began, now time.Time) error {
	to := now.Add(-settled).Truncate(SkipPeriod)
	from := began.Add(SkipPeriod - 1).Truncate(SkipPeriod) // whole ones: what was before is not ours
	if earliest := to.Add(-lookBack); from.Before(earliest) {
		from = earliest
	}
	ids := s.of(p)
	if !from.Before(to) || len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	list, err := meter(ctx, p.source.(Meter), ids, from, to)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.errs[p.state.Source] = err
	} else {
		delete(s.errs, p.state.Source)
	}
	slices.SortFunc(list, func(a, b Skip) int { return a.From.Compare(b.From) })
	for i := range list {
		if m := s.wanted[list[i].Instance]; m != nil && !list[i].From.Before(from) && list[i].From.Before(to) {
			m.add(&list[i], from)
		}
	}
	return err
}

func meter(ctx context.Context, m Meter, ids []string, from, to time.Time) (list []Skip, err error) {
	defer recovered(&err)
	return m.Skips(ctx, ids, from, to)
}

// of lists the instances of a part that are wanted.
func (s *skips) of(p *part) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, m := range s.wanted {
		if m.part == p {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// add counts a period, once. Those before oldest are not asked for any more.
func (m *metered) add(k *Skip, oldest time.Time) {
	if !k.Packets.Known && !k.Bytes.Known || m.seen[k.From.Unix()] {
		return
	}
	for at := range m.seen {
		if at < oldest.Unix() {
			delete(m.seen, at)
		}
	}
	m.seen[k.From.Unix()] = true
	t := &m.total
	t.Packets.Add(k.Packets)
	t.Bytes.Add(k.Bytes)
	end := k.From.Add(SkipPeriod)
	switch {
	case t.To.IsZero():
		t.From, t.To = k.From, end
	case k.From.Before(t.From): // told late
		t.Gaps += t.From.Sub(end)
		t.From = k.From
	case k.From.Before(t.To): // likewise: a gap that is filled
		t.Gaps -= SkipPeriod
	default:
		t.Gaps += k.From.Sub(t.To)
		t.To = end
	}
}
