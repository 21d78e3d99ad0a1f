package privilege

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// directoryMode is that of directories that are made: for the user, and its
// group to read.
const directoryMode = 0o750

// maxLinks bounds the symbolic links in a path, as the kernel does
// (path_resolution(7)).
const maxLinks = 40

// MakeDirectories makes those that are not there, for the user that the process
// becomes: so that what is made before Drop, as a socket, finds its place. What
// is there stays as it is.
//
// Another user than root may have had a hand in a path before. So root goes down
// no further than where only root can have made what is there: it makes one
// directory, and hands that over by its descriptor. All below is made by the
// user, with no more than its rights.
func MakeDirectories(c Config, dirs ...string) error {
	who, err := c.identity()
	if err != nil {
		return err
	}
	return makeDirectories(dirs, who)
}

func makeDirectories(dirs []string, who identity) error {
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("make the directory %s: the path is not absolute", dir)
		}
		if who.change {
			if err := who.makeFirst(dir); err != nil {
				return fmt.Errorf("make the directory %s: %w", dir, err)
			}
		}
		if err := who.as(func() error { return os.MkdirAll(dir, directoryMode) }); err != nil {
			return fmt.Errorf("make the directory %s as user %d: %w", dir, who.uid, err)
		}
	}
	return nil
}

// makeFirst walks down a path and makes the first directory that is not there,
// where only root can have made what is there. Links are followed a name at a
// time, so that what they lead through is looked at as well.
func (w identity) makeFirst(path string) error {
	at, err := openDirectory(unix.AT_FDCWD, "/")
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(at) }() // nothing was written by it
	links := 0
	for rest := names(path); len(rest) > 0; {
		var st unix.Stat_t
		if err := unix.Fstat(at, &st); err != nil {
			return err
		}
		if !w.roots(&st) {
			return nil
		}
		name := rest[0]
		rest = rest[1:]
		next, err := openDirectory(at, name)
		switch {
		case err == nil:
			_ = unix.Close(at)
			at = next
		case errors.Is(err, unix.ENOENT):
			return w.make(at, name)
		case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
			target, owner, err := readLink(at, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if owner != 0 {
				return nil
			}
			if links++; links > maxLinks {
				return unix.ELOOP
			}
			rest = append(names(target), rest...)
			if filepath.IsAbs(target) {
				_ = unix.Close(at)
				if at, err = openDirectory(unix.AT_FDCWD, "/"); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// roots tells that nobody can change what root has in a directory, but for root
// and a group that root has given it to; neither can the user.
func (w identity) roots(st *unix.Stat_t) bool {
	shared := st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && int(st.Gid) == w.gid
	return st.Uid == 0 && (!shared || st.Mode&unix.S_ISVTX != 0)
}

// make makes a directory in one of root's, and hands it over.
func (w identity) make(in int, name string) error {
	if err := unix.Mkdirat(in, name, directoryMode); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fd, err := unix.Openat(in, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written by it
	if err := unix.Fchown(fd, w.uid, w.gid); err != nil {
		return fmt.Errorf("give %s to user %d: %w", name, w.uid, err)
	}
	return nil
}

// openDirectory opens a directory to look at it, and follows no link.
func openDirectory(in int, name string) (int, error) {
	return unix.Openat(in, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// readLink gives what a symbolic link says, and whose it is.
func readLink(in int, name string) (target string, owner uint32, err error) {
	fd, err := unix.Openat(in, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written by it
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", 0, unix.ENOTDIR
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", 0, err
	}
	return string(buf[:n]), st.Uid, nil
}

// names takes a path apart. Dots stay: behind a link they have their meaning.
func names(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}
