package enrich

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Rank says whose tags win: those of the lower number.
type Rank uint8

// The ranks of sources.
const (
	RankOverride   Rank = iota // static entries that say override = true
	RankKubernetes             // a pod's address is one of its node's interface as well
	RankCloud
	RankStatic
	RankDomain // names by which DNS or TLS knew the other side
	RankPort   // well-known ports
)

func (r Rank) String() string {
	return [...]string{"override", "kubernetes", "cloud", "static", "domain", "port"}[r]
}

// Limits bound a Layer. What is left out is counted.
type Limits struct {
	Entries  int // places that hold at one time
	Versions int // of one place: the oldest ones go
	Total    int // versions in all: those that ended first go
}

// EntryMemory and VersionMemory are about what an entry takes, and each set of tags
// that it had before, octets: as of a cloud, where everything has tags of its own.
const (
	EntryMemory   = 800
	VersionMemory = 400
)

// DefaultLimits fit large accounts, and some weeks of their changes.
func DefaultLimits() Limits { return Limits{Entries: 200_000, Versions: 16, Total: 400_000} }

// Layer is what one source says, and said. Update may run beside lookups.
type Layer struct {
	name    string
	rank    Rank
	limits  Limits
	inherit bool           // a prefix has what shorter ones say, and more
	changes *atomic.Uint64 // of the Resolver: moves with each change
	view    atomic.Pointer[view]

	mu      sync.Mutex
	store   map[place][]version
	updated bool  // there was an Update, or a Load
	seen    int64 // ns: when the latest Update looked
	stats   Stats
}

// Stats are the counts of a Layer.
type Stats struct {
	Name     string
	Rank     Rank
	Entries  int       // places that hold now
	Versions int       // in all, those that hold as well
	Seen     time.Time // of the latest Update; zero: there was none

	// Since the start:
	Changes   uint64 // versions that began or ended
	Invalid   uint64 // entries with a prefix or ports that are none
	Conflicts uint64 // entries for a place that another entry of the same Update had
	Excess    uint64 // entries beyond Limits.Entries
	TagsCut   uint64 // tags of interfaces with too many
	Forgotten uint64 // versions that were let go for lack of room
}

func newLayer(name string, rank Rank, limits Limits, changes *atomic.Uint64) *Layer {
	// What people write down of a network is of all that is in it. In an inventory
	// another prefix is of another interface.
	inherit := rank == RankOverride || rank == RankStatic
	l := &Layer{name: name, rank: rank, limits: limits, inherit: inherit, changes: changes, store: map[place][]version{}}
	l.view.Store(&view{networks: map[string]int{}})
	return l
}

// Name and Rank are as given.
func (l *Layer) Name() string { return l.name }
func (l *Layer) Rank() Rank   { return l.rank }

// Update takes all that the source holds at a time, ns: what is missing has
// ended.
//
// A place that was there before with the same tags goes on. One that is new holds
// from its Since on; if that is not known, from ever in the first Update of all and
// from at in a later one. One whose tags have changed has the new ones from at on;
// or from Since, if the source says that it changed hands since it looked the last
// time. What is missing ended at at. No version begins before the one in front of
// it was seen the last time. Of two entries for one place the first counts.
//
// A clock that goes back is taken to stand.
func (l *Layer) Update(at int64, entries []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at = max(at, l.seen)
	first := !l.updated
	wanted := l.wanted(entries)

	var changed []place
	for p, e := range wanted {
		if versions, ok := begin(l.store[p], e, at, l.seen, first); ok {
			l.stats.Changes++
			l.put(p, versions)
			changed = append(changed, p)
		}
	}
	for p, versions := range l.store {
		if _, still := wanted[p]; !still && holds(versions) {
			l.stats.Changes++
			l.put(p, end(versions, at))
			changed = append(changed, p)
		}
	}
	l.updated, l.seen = true, at
	l.publish(append(changed, l.forget()...))
}

// wanted are the entries by place.
func (l *Layer) wanted(entries []Entry) map[place]*Entry {
	wanted := make(map[place]*Entry, len(entries))
	for i := range entries {
		e := &entries[i]
		p, ok := e.place()
		switch old := wanted[p]; {
		case !ok || e.Tags.Len() == 0:
			l.stats.Invalid++
		case old != nil && !old.Tags.Equal(e.Tags):
			l.stats.Conflicts++
		case old != nil:
		case len(wanted) >= l.limits.Entries:
			l.stats.Excess++
		default:
			wanted[p] = e
		}
	}
	return wanted
}

// holds tells whether the last version goes on.
func holds(versions []version) bool {
	return len(versions) > 0 && versions[len(versions)-1].to == forever
}

// begin adds the version that an entry begins; ok is false if it begins none.
// Slices are not changed, as readers have them.
func begin(versions []version, e *Entry, at, seen int64, first bool) (_ []version, ok bool) {
	since := min(e.Since, at)
	if !holds(versions) {
		from := at
		switch {
		case e.Since != 0:
			from = since
		case first:
			from = ever
		}
		if n := len(versions); n > 0 {
			from = max(from, versions[n-1].to)
		}
		return append(slices.Clip(versions), version{from, forever, e.Tags}), true
	}
	last := &versions[len(versions)-1]
	if last.tags.Equal(e.Tags) {
		return nil, false
	}
	from := at
	if e.Since != 0 && since > seen {
		from = since
	}
	return append(end(versions, from), version{from, forever, e.Tags}), true
}

// end ends the last version. One that has not lasted is none.
func end(versions []version, to int64) []version {
	n := len(versions) - 1
	if versions[n].from >= to {
		return slices.Clip(versions[:n])
	}
	versions = slices.Clone(versions)
	versions[n].to = to
	return versions
}

// put stores the versions of a place, of which too many old ones go.
func (l *Layer) put(p place, versions []version) {
	if more := len(versions) - l.limits.Versions; more > 0 {
		l.stats.Forgotten += uint64(more)
		versions = versions[more:]
	}
	old := l.store[p]
	l.stats.Versions += len(versions) - len(old)
	if holds(old) {
		l.stats.Entries--
	}
	if holds(versions) {
		l.stats.Entries++
	}
	if len(versions) == 0 {
		delete(l.store, p)
		return
	}
	l.store[p] = versions
}

// forget lets go of the versions that ended first, if there are too many, and
// tells of which places. An eighth more goes than must, so that it is not done at
// each Update.
func (l *Layer) forget() (changed []place) {
	more := l.stats.Versions - l.limits.Total
	if more <= 0 {
		return nil
	}
	more += l.limits.Total / 8
	type ended struct {
		to    int64
		place place
	}
	var list []ended
	for p, versions := range l.store {
		for i := range versions {
			if to := versions[i].to; to != forever {
				list = append(list, ended{to, p})
			}
		}
	}
	slices.SortFunc(list, func(a, b ended) int { return cmp.Or(cmp.Compare(a.to, b.to), a.place.compare(&b.place)) })
	for _, e := range list[:min(more, len(list))] {
		versions := l.store[e.place] // the first one of it is the one that ended first
		l.stats.Forgotten++
		l.put(e.place, slices.Clip(versions[1:]))
		changed = append(changed, e.place)
	}
	return changed
}

// publish shows readers what the store holds of some places.
func (l *Layer) publish(changed []place) {
	if len(changed) == 0 {
		return
	}
	old := l.view.Load()
	next := *old
	own := len(changed) > len(l.store)/8
	if own {
		next.hosts, next.services = next.hosts.clone(), next.services.clone()
	}
	next.networks = map[string]int{}
	for n, places := range old.networks {
		next.networks[n] = places
	}
	for i := range changed {
		p := &changed[i]
		t := &next.hosts
		if p.ports != [2]uint16{} {
			t = &next.services
		}
		was, is := t.holds(p), len(l.store[*p]) > 0
		*t = t.with(p, l.store[*p], own)
		switch {
		case is && !was:
			next.networks[p.network]++
		case was && !is:
			if next.networks[p.network]--; next.networks[p.network] == 0 {
				delete(next.networks, p.network)
			}
		}
	}
	l.view.Store(&next)
	l.changes.Add(1)
}

// Stats tells the counts.
func (l *Layer) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Name, s.Rank = l.name, l.rank
	if l.updated {
		s.Seen = time.Unix(0, l.seen)
	}
	return s
}
