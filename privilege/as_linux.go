package privilege

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// As runs f with the rights to files that the user has whom the process becomes,
// and no more: what f makes is the user's, and where the user could not write f
// cannot. It is for what is opened before Drop. f must not hand file work to
// other goroutines.
func As(c Config, f func() error) error {
	who, err := c.identity()
	if err != nil {
		return err
	}
	return who.as(f)
}

func (w identity) as(f func() error) error {
	if !w.change {
		return f()
	}
	groups, err := os.Getgroups()
	if err != nil {
		return fmt.Errorf("read the supplementary groups: %w", err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		// Where anything goes wrong the thread stays locked, and ends.
		err := takeRights(w.uid, w.gid, nil)
		if err == nil {
			err = f()
			if back := takeRights(os.Geteuid(), os.Getegid(), groups); back != nil {
				err = errors.Join(err, back)
			} else {
				runtime.UnlockOSThread()
			}
		}
		done <- err
	}()
	return <-done
}

// takeRights gives the thread, and no other, the rights to files of a user.
func takeRights(uid, gid int, groups []int) error {
	list := make([]uint32, len(groups)+1) // one more, for a pointer to it
	for i, g := range groups {
		list[i] = uint32(g)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0); errno != 0 {
		return fmt.Errorf("set the supplementary groups of a thread: %w", errno)
	}
	// These tell what was before, and no error; so what is is asked for, with -1.
	_, _ = unix.SetfsgidRetGid(gid)
	_, _ = unix.SetfsuidRetUid(uid)
	g, _ := unix.SetfsgidRetGid(-1)
	u, _ := unix.SetfsuidRetUid(-1)
	if u != uid || g != gid {
		return fmt.Errorf("take the rights of user %d, group %d: %w", uid, gid, unix.EPERM)
	}
	return nil
}
