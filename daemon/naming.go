package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mirrorscope/cloud"
	"mirrorscope/enrich"
	"mirrorscope/enrich/static"
	"mirrorscope/sink/prom"
)

// Tags says what addresses are called.
type Tags struct {
	Files []string `toml:"files" comment:"Files, TOML or CSV, that give prefixes and ports their tags. They are read again when they change."`

	enrich.Config
}

// Validate reports every field that cannot be used.
func (t *Tags) Validate() error {
	errs := split(t.Config.Validate())
	for i, f := range t.Files {
		if f == "" || slices.Contains(t.Files[:i], f) {
			errs = append(errs, fmt.Errorf("files: %q is empty or there twice", f))
		}
	}
	return errors.Join(errs...)
}

// naming gives addresses their names: by static files, and by what a cloud.Keeper
// hands on. A nil one knows no names, and costs nothing.
type naming struct {
	resolver *enrich.Resolver
	mapping  *enrich.Mapping
	log      *slog.Logger

	files *static.Files // of the goroutine that looks each second

	store  *enrich.Store // of histories; nil: none is kept
	states func() []cloud.State
	mu     sync.Mutex
	layers map[string]*kept // of inventories, by source
}

// kept is the history of a source, and what of it is on disk.
type kept struct {
	layer   *enrich.Layer
	changes uint64
	failing bool // the log was told that it cannot be saved
}

// saveEvery is the time between two saves of what has changed. A crash costs the names
// that ended meanwhile.
const saveEvery = time.Minute

// newNaming reads files, and the histories in a directory of inventories: those of
// sources, and no others, as nobody would ever end what others say. It is nil where
// there is nothing to name by. A history that cannot be read is told to the log: the
// names of earlier times are lost.
func newNaming(cfg *Tags, directory string, sources []cloud.Source, log *slog.Logger) (*naming, error) {
	if len(cfg.Files) == 0 && len(sources) == 0 {
		return nil, nil
	}
	n := &naming{resolver: enrich.New(cfg.Config), mapping: cfg.Mapping(), log: log, layers: map[string]*kept{}}
	var err error
	if n.files, err = static.Open(n.resolver, cfg.Files, time.Now().UnixNano()); err != nil {
		return nil, fmt.Errorf("tags.files: %w", err)
	}
	if directory == "" {
		return n, nil
	}
	n.store = &enrich.Store{Directory: directory}
	for _, s := range sources {
		source := s.Name()
		l, err := n.store.LoadOne(n.resolver, source)
		if err != nil {
			log.Warn("names of earlier times are lost", "error", err)
		}
		if l != nil {
			n.layers[source] = &kept{layer: l, changes: l.Stats().Changes}
		}
	}
	return n, nil
}

// took takes what a source of inventory holds. It is what a cloud.Keeper is given, and
// belongs to its goroutine.
func (n *naming) took(s *cloud.Snapshot) {
	n.mu.Lock()
	k := n.layers[s.Source]
	if k == nil {
		k = &kept{layer: n.resolver.Layer(s.Source, enrich.RankOf(s))}
		n.layers[s.Source] = k
	}
	n.mu.Unlock()
	k.layer.Feed(n.mapping, s)
}

// look reads files that have changed.
func (n *naming) look() {
	if n != nil {
		n.told(n.files.Look(time.Now().UnixNano()))
	}
}

// reload reads all files, and tells whether they could be.
func (n *naming) reload() bool {
	return n == nil || n.told(n.files.Reload(time.Now().UnixNano()))
}

// told tells the log of files that were read.
func (n *naming) told(files []static.Status) (good bool) {
	good = true
	for _, f := range files {
		if f.Err != nil {
			good = false
			n.log.Error("tags were not changed; what the file said before stays", "file", f.Path, "since", f.Read.Round(time.Second), "error", f.Err)
			continue
		}
		n.log.Info("tags were read again", "file", f.Path, "entries", f.Entries)
	}
	return good
}

// keep saves histories until ctx is done, and then a last time.
func (n *naming) keep(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.save()
		case <-ctx.Done():
			n.save()
			return
		}
	}
}

// save saves the histories that have changed.
func (n *naming) save() {
	if n.store == nil {
		return
	}
	n.mu.Lock()
	var all []*kept
	for _, k := range n.layers {
		all = append(all, k)
	}
	n.mu.Unlock()
	for _, k := range all {
		changes := k.layer.Stats().Changes
		if changes == k.changes {
			continue
		}
		err := n.store.Save(k.layer)
		switch {
		case err == nil && k.failing:
			n.log.Info("names are kept on disk again", "source", k.layer.Name())
		case err != nil && !k.failing:
			n.log.Warn("names are not kept on disk; a restart would not know those of earlier times", "source", k.layer.Name(), "error", err)
		}
		if k.failing = err != nil; !k.failing {
			k.changes = changes
		}
	}
}

// namer gives records their tags: without naming those that they have by themselves.
func (n *naming) namer(cfg *Tags, names enrich.Names) *enrich.Namer {
	if n == nil {
		return enrich.New(cfg.Config).NewNamer(names)
	}
	return n.resolver.NewNamer(names)
}

// readOnly are the folders that it needs once rights are dropped.
func (n *naming) readOnly() []string {
	if n == nil {
		return nil
	}
	return n.files.Directories()
}

// describe tells of each source what /metrics shows: of a file its two layers as one.
func (n *naming) describe(now time.Time) *prom.Names {
	if n == nil {
		return nil
	}
	names := &prom.Names{Ambiguous: n.resolver.Ambiguous()}
	states := map[string]cloud.State{}
	if n.states != nil {
		for _, s := range n.states() {
			states[s.Source] = s
		}
	}
	add := func(source, rank string) *prom.NameSource {
		for i := range names.Sources {
			if s := &names.Sources[i]; s.Name == source {
				return s
			}
		}
		names.Sources = append(names.Sources, prom.NameSource{Name: source, Rank: rank})
		return &names.Sources[len(names.Sources)-1]
	}
	for _, s := range states {
		x := add(s.Source, enrich.RankCloud.String())
		x.Failing = s.Err != nil
		if age, ok := s.Age(now); ok {
			x.Age = prom.Known(age.Seconds())
		}
	}
	for _, f := range n.files.Status() {
		x := add(f.Path, enrich.RankStatic.String())
		x.Failing = f.Err != nil
		if x.Age = prom.Known(0); x.Failing {
			x.Age = prom.Known(max(now.Sub(f.Read), 0).Seconds())
		}
	}
	for _, l := range n.resolver.Layers() {
		st := l.Stats()
		x := add(st.Name, st.Rank.String())
		if st.Rank != enrich.RankOverride {
			x.Rank = st.Rank.String()
		}
		x.Entries += st.Entries
		x.History += st.Versions - st.Entries
		x.Changes += st.Changes
		for reason, k := range map[string]uint64{
			"invalid": st.Invalid, "conflict": st.Conflicts, "no_room": st.Excess, "too_many_tags": st.TagsCut, "forgotten": st.Forgotten,
		} {
			x.Drop(reason, k)
		}
	}
	slices.SortFunc(names.Sources, func(a, b prom.NameSource) int { return prom.CompareNames(&a, &b) })
	return names
}
