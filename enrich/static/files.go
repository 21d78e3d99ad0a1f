package static

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mirrorscope/enrich"
)

// Files are the static files of a Resolver. Look and Reload belong to one goroutine;
// Status may be asked by others.
type Files struct {
	files []*file

	mu sync.Mutex // guards the statuses
}

// Status is how a file does.
type Status struct {
	Path    string
	Read    time.Time // when what is known was read
	Entries int       // prefixes and ports that it gives tags
	Err     error     // of the latest attempt; nil: what is known is what the file says
}

// file is one of them, with the two Layers that it fills.
type file struct {
	path              string
	plain, overriding *enrich.Layer
	read, seen        stamp // as read the last time, as seen at the latest look
	status            Status
}

// stamp tells versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// Open reads files into Layers of a Resolver; each has one, and another one for what
// overrides. at is the time of the Update, ns. The error tells what is wrong with
// all of them.
func Open(r *enrich.Resolver, paths []string, at int64) (*Files, error) {
	fs := new(Files)
	var errs []error
	for i, path := range paths {
		if slices.Contains(paths[:i], path) {
			errs = append(errs, errors.New(path+": is there twice"))
			continue
		}
		f := &file{path: path, plain: r.Layer(path, enrich.RankStatic), overriding: r.Layer(path, enrich.RankOverride), status: Status{Path: path}}
		fs.files = append(fs.files, f)
		f.read, _ = stampOf(path) // before it is read
		f.seen = f.read
		entries, err := Read(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fs.take(f, entries, at)
	}
	return fs, errors.Join(errs...)
}

// take hands the entries of a file to its Layers.
func (fs *Files) take(f *file, entries []Entry, at int64) {
	var plain, overriding []enrich.Entry
	for i := range entries {
		if e := &entries[i]; e.Override {
			overriding = append(overriding, e.each()...)
		} else {
			plain = append(plain, e.each()...)
		}
	}
	f.plain.Update(at, plain)
	f.overriding.Update(at, overriding)
	fs.mu.Lock()
	f.status = Status{Path: f.path, Read: time.Unix(0, at), Entries: len(plain) + len(overriding)}
	fs.mu.Unlock()
}

// Look reads what has changed, once it has been left alone from one Look to the next,
// and gives the status of files that were read, or that could not be.
func (fs *Files) Look(at int64) (looked []Status) {
	for _, f := range fs.files {
		now, err := stampOf(f.path)
		settled := now == f.seen
		f.seen = now
		if err == nil && (now == f.read || !settled) {
			continue
		}
		if err != nil && !settled {
			continue // it may be replaced at this moment
		}
		if err != nil && f.status.Err != nil && now == f.read {
			continue // was told
		}
		f.read = now
		looked = append(looked, fs.again(f, at))
	}
	return looked
}

// Reload reads all files.
func (fs *Files) Reload(at int64) (looked []Status) {
	for _, f := range fs.files {
		f.read, _ = stampOf(f.path)
		f.seen = f.read
		looked = append(looked, fs.again(f, at))
	}
	return looked
}

// again reads a file. With an error what it said before stays.
func (fs *Files) again(f *file, at int64) Status {
	entries, err := Read(f.path)
	if err == nil {
		fs.take(f, entries, at)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.status.Err = err
	return f.status
}

// Status tells how each file does, in order.
func (fs *Files) Status() (list []Status) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.files {
		list = append(list, f.status)
	}
	return list
}

// Directories are where the files are: a file is replaced by another one beside it as
// a rule.
func (fs *Files) Directories() (dirs []string) {
	for _, f := range fs.files {
		if dir := filepath.Dir(f.path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
