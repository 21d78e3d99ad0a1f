//go:build unix && !solaris && !illumos && !aix

package record

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps other sensors out of a folder for as long as the file is open.
func lock(root *os.Root) (*os.File, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(errors.New("another sensor records there"), f.Close())
	case errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS), err == nil:
		return f, nil // some network file systems have no locks
	}
	return nil, errors.Join(err, f.Close())
}
