package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// formatVersion is the number of the format on disk. A file with a later one is left
// alone, and its source is asked anew.
const formatVersion = 1

const (
	filePrefix = "snapshot-"
	fileSuffix = ".json"
	fileMode   = 0o640 // tags may tell more than everyone should know

	// maxFile bounds a file that is read, octets: some 500,000 interfaces.
	maxFile = 512 << 20
)

// Store keeps the latest Snapshot of each source in a directory, a JSON file for
// each:
//
//	{"version": 1, "snapshot": {"source": "aws/…", "taken": "…", "interfaces": […], …}}
//
// A file is replaced as a whole, so that whoever reads it, or finds it after a crash,
// has the old one or the new one. Files of sources that are not configured any more
// stay, and are not read by a Keeper. Its methods may be called by several goroutines,
// for different sources.
type Store struct{ Directory string }

type fileContent struct {
	Version  int       `json:"version"`
	Snapshot *Snapshot `json:"snapshot"`
}

// Path is where a source's Snapshot is.
func (s Store) Path(source string) string {
	return filepath.Join(s.Directory, filePrefix+url.PathEscape(source)+fileSuffix)
}

// Save replaces the file of a Snapshot's source.
func (s Store) Save(snap *Snapshot) error {
	content, err := json.Marshal(fileContent{formatVersion, snap})
	if err != nil {
		return fmt.Errorf("save inventory of %s: %w", snap.Source, err)
	}
	path := s.Path(snap.Source)
	if err := replace(path, append(content, '\n')); err != nil {
		return fmt.Errorf("save inventory of %s: %w", snap.Source, err)
	}
	return nil
}

// replace writes a file beside, and puts it in the place of another.
func replace(path string, content []byte) (err error) {
	temporary := path + ".new" // one goroutine writes it; what a crash left is written over
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary) // the error says enough
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(temporary, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load gives the Snapshot of a source; nil where there is none yet.
func (s Store) Load(source string) (*Snapshot, error) {
	snap, err := read(s.Path(source))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case snap.Source != source:
		return nil, fmt.Errorf("%s: is of %q, and not of %q; remove it", s.Path(source), snap.Source, source)
	}
	return snap, nil
}

// LoadAll gives every Snapshot of the directory, by source. What cannot be read is in
// the error, and the others are valid. A directory that is not there is an error.
func (s Store) LoadAll() ([]*Snapshot, error) {
	entries, err := os.ReadDir(s.Directory)
	if err != nil {
		return nil, err
	}
	var snaps []*Snapshot
	var errs []error
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, filePrefix) || !strings.HasSuffix(name, fileSuffix) {
			continue
		}
		snap, err := read(filepath.Join(s.Directory, e.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		snaps = append(snaps, snap)
	}
	slices.SortFunc(snaps, func(a, b *Snapshot) int { return strings.Compare(a.Source, b.Source) })
	return snaps, errors.Join(errs...)
}

// read reads one file, and checks it.
func read(path string) (*Snapshot, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	var c fileContent
	r := &io.LimitedReader{R: f, N: maxFile}
	if err := json.NewDecoder(r).Decode(&c); err != nil {
		if r.N <= 0 {
			err = fmt.Errorf("longer than %d octets", maxFile)
		}
		return nil, fmt.Errorf("%s: no inventory: %w; remove it", path, err)
	}
	switch {
	case c.Version != formatVersion:
		return nil, fmt.Errorf("%s: format %d, and this program reads %d; remove it, or take a newer program", path, c.Version, formatVersion)
	case c.Snapshot == nil || c.Snapshot.Source == "":
		return nil, fmt.Errorf("%s: no inventory: it names no source; remove it", path)
	}
	return c.Snapshot, nil
}
