package main

import (
	"errors"
	"fmt"
	"io/fs"

	"mirrorscope/cloud"
	"mirrorscope/enrich"
	"mirrorscope/enrich/static"
)

// names finds what addresses are called in a replay: by the inventory that a running
// sensor has kept, as of the time of each record, and by static files, which hold for
// all times. It is nil where neither is given. notes tell what could not be read of
// the inventory.
func names(inventory string, tags []string) (r *enrich.Resolver, notes []error, err error) {
	if inventory == "" && len(tags) == 0 {
		return nil, nil, nil
	}
	cfg := enrich.DefaultConfig()
	r = enrich.New(cfg)
	if inventory != "" {
		if notes, err = loadInventory(r, cfg.Mapping(), inventory); err != nil {
			return nil, nil, fmt.Errorf("--inventory: %w", err)
		}
	}
	if _, err := static.Open(r, tags, 0); err != nil {
		return nil, nil, fmt.Errorf("--tags: %w", err)
	}
	return r, notes, nil
}

// loadInventory loads the histories in a directory; of sources that have none, what
// they held last.
func loadInventory(r *enrich.Resolver, m *enrich.Mapping, dir string) (notes []error, err error) {
	layers, err := enrich.Store{Directory: dir}.Load(r)
	if unreadable := (*fs.PathError)(nil); errors.As(err, &unreadable) && unreadable.Path == dir {
		return nil, err
	}
	notes = parts(err)
	has := map[string]bool{}
	for _, l := range layers {
		has[l.Name()] = true
	}
	snaps, err := cloud.Store{Directory: dir}.LoadAll()
	notes = append(notes, parts(err)...)
	for _, s := range snaps {
		if !has[s.Source] {
			r.Layer(s.Source, enrich.RankOf(s)).Feed(m, s)
			has[s.Source] = true
		}
	}
	if len(has) == 0 && len(notes) == 0 {
		return nil, fmt.Errorf("%s: no inventory is in there; it is the directory of [cloud] of a sensor that runs", dir)
	}
	return notes, nil
}

// parts takes joined errors apart.
func parts(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
