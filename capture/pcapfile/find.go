package pcapfile

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// finder turns the paths of a Config into inputs.
type finder struct {
	points map[string]string // clean path → name
	met    map[string]bool   // of those paths
	stdin  io.Reader
	inputs []*input
	errs   []error
	notes  []string
}

// find lists the inputs that c names, in order.
func find(c *Config) *finder {
	f := &finder{points: make(map[string]string), met: make(map[string]bool), stdin: c.Stdin}
	if f.stdin == nil {
		f.stdin = os.Stdin
	}
	for file, name := range c.Points {
		f.points[filepath.Clean(file)] = name
	}
	for _, path := range c.Paths {
		f.path(path)
	}
	for _, path := range slices.Sorted(maps.Keys(f.points)) {
		if !f.met[path] {
			f.path(path)
		}
	}
	return f
}

// path adds a file, standard input, or the captures in a directory.
func (f *finder) path(path string) {
	f.met[filepath.Clean(path)] = true
	if path == "-" {
		f.add(newStdin(f.stdin), "")
		return
	}
	st, err := os.Stat(path)
	switch {
	case err != nil:
		f.fail(path, withoutPath(err))
	case st.IsDir():
		f.directory(path)
	default:
		f.add(newInput(path, st), "")
	}
}

// directory adds the captures directly in dir. What is told from its content
// to be none is noted; what could not be looked at is an error, for it may have
// been one.
func (f *finder) directory(dir string) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		f.fail(dir, withoutPath(err))
		return
	}
	point := f.point(dir, "")
	files, found := 0, 0
	var block [512]byte
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		st, err := os.Stat(path) // a symbolic link counts as what it points to
		if err != nil {
			f.fail(path, withoutPath(err))
			continue
		}
		if !st.Mode().IsRegular() {
			continue
		}
		files++
		in := newInput(path, st)
		switch _, err := in.firstTime(block[:]); {
		case errors.Is(err, ErrNotCapture) || errors.Is(err, ErrEmpty):
			f.notes = append(f.notes, "ignored "+err.Error())
		default: // a damaged one is told when it is read
			found++
			f.add(in, point)
		}
	}
	if found == 0 {
		f.fail(dir, fmt.Errorf("%w this directory (it has %d files; directories in it are not searched)", ErrNoCaptures, files))
	}
}

// add appends in. Its point is its own, or else that of its directory.
func (f *finder) add(in *input, point string) {
	in.point = f.point(in.path, point)
	in.order = len(f.inputs)
	f.inputs = append(f.inputs, in)
}

// point takes the point of path, if it is one.
func (f *finder) point(path, otherwise string) string {
	path = filepath.Clean(path)
	name, ok := f.points[path]
	if !ok {
		return otherwise
	}
	f.met[path] = true
	return name
}

func (f *finder) fail(path string, err error) {
	f.errs = append(f.errs, &FileError{File: path, Offset: -1, Err: err})
}
