package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// identity is the user that a process becomes.
type identity struct {
	change   bool // else it is that already
	uid, gid int
}

// identity looks up user and group.
func (c *Config) identity() (identity, error) {
	if c.User == "" {
		return identity{uid: os.Getuid(), gid: os.Getgid()}, nil
	}
	var who identity
	u, err := user.Lookup(c.User)
	if err != nil {
		var uerr error
		if u, uerr = user.LookupId(c.User); uerr != nil && c.Group == "" {
			return who, fmt.Errorf("user %q: %w (a number without an entry needs a group beside it)", c.User, err)
		} else if uerr != nil {
			u = &user.User{Uid: c.User}
		}
	}
	if who.uid, err = number(u.Uid); err != nil {
		return who, fmt.Errorf("user %q: no such user", c.User)
	}
	group := u.Gid
	if c.Group != "" {
		group = c.Group
		if g, err := user.LookupGroup(c.Group); err == nil {
			group = g.Gid
		}
	}
	if who.gid, err = number(group); err != nil {
		return who, fmt.Errorf("group %q: no such group", group)
	}
	if who.uid == 0 || who.gid == 0 {
		return who, fmt.Errorf("user %q, group %q: is root", c.User, group)
	}
	who.change = os.Getuid() != who.uid || os.Geteuid() != who.uid || os.Getgid() != who.gid || os.Getegid() != who.gid
	return who, nil
}

// number reads a user or group id. -1 is what the system calls take for "no
// change".
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = errors.New("out of range")
	}
	return int(n), err
}

// become changes user and group of all threads. keep carries the permitted
// capabilities over.
func (w identity) become(r *Report, keep bool) error {
	if !w.change {
		r.did(User, "uid %d, gid %d, as started", w.uid, w.gid)
		return nil
	}
	if keep {
		if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
			return fmt.Errorf("keep capabilities: %w", err)
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("clear supplementary groups: %w", err)
	}
	if err := syscall.Setresgid(w.gid, w.gid, w.gid); err != nil {
		return fmt.Errorf("become group %d: %w", w.gid, err)
	}
	if err := syscall.Setresuid(w.uid, w.uid, w.uid); err != nil {
		return fmt.Errorf("become user %d: %w", w.uid, err)
	}
	if keep {
		if err := prctl(unix.PR_SET_KEEPCAPS, 0); err != nil {
			return fmt.Errorf("keep capabilities no longer: %w", err)
		}
	}
	r.did(User, "uid %d, gid %d", w.uid, w.gid)
	return nil
}
