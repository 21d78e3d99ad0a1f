//go:build unix && !solaris && !illumos && !aix

package lines

import (
	"errors"
	"os"
	"syscall"
)

// lock makes sure that no other process of ours writes to f: each would take
// the other's half-written line for damage. It ends when f is closed.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another process writes to it")
	}
	if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.ENOSYS) {
		return nil // some network file systems have no locks
	}
	return err
}
