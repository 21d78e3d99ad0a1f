package privilege

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Drop gives up all that n does not name, for all threads and for good. It is
// called once, after everything else was opened; what it is about is the whole
// process, so that it must not run beside anything that starts processes.
//
// An error means that the process may still do something that it should not,
// or cannot do what it must, and should end. The Report is valid then as well.
func Drop(c Config, n Needs) (Report, error) {
	var r Report
	if err := errors.Join(c.Validate(), n.validate()); err != nil {
		return r, err
	}
	who, err := c.identity()
	if err != nil {
		return r, err
	}
	if err := makeDirectories(n.ReadWrite, who); err != nil {
		return r, err
	}
	sockets, err := packetSockets()
	if err != nil {
		return r, err
	}
	keepBPF := false
	if n.BPF != nil {
		if keepBPF, err = asksForBPF(n.BPF); err != nil {
			return r, err
		}
	}
	for _, step := range []func() error{
		func() error { return noNewPrivileges(&r) },
		func() error { return dropBoundingSet(&r) },
		func() error { return who.become(&r, keepBPF) },
		func() error { return dropCapabilities(&r, keepBPF) },
		func() error { return verify(who, keepBPF) },
		func() error { return noDumps(&r) },
		func() error { return writable(n.ReadWrite) },
		func() error { return restrict(&r, c.Landlock, &n) },
		func() error { return seal(&r, n.Silent, sockets) },
	} {
		if err := step(); err != nil {
			return r, err
		}
	}
	return r, nil
}

// prctl is unix.Prctl for all threads.
func prctl(option, arg uintptr) error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, option, arg, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func noNewPrivileges(r *Report) error {
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	r.did(NoNewPrivileges, "")
	return nil
}

// dropBoundingSet empties what an executed program could get at most. With
// no_new_privs that is nothing anyway, so that a process without CAP_SETPCAP,
// as one that was started by another user than root, is none the worse.
func dropBoundingSet(r *Report) error {
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	if may, err := cap.GetProc().GetFlag(cap.Effective, cap.SETPCAP); err != nil || !may {
		r.lacks(BoundingSet, "without CAP_SETPCAP it stays; no_new_privs makes it void")
		return nil
	}
	for v := range cap.MaxBits() {
		if err := cap.DropBound(v); err != nil {
			return fmt.Errorf("drop %v from the bounding set: %w", v, err)
		}
	}
	r.did(BoundingSet, "empty")
	return nil
}

// dropCapabilities empties all sets, but for CAP_BPF where that has to stay.
func dropCapabilities(r *Report, keepBPF bool) error {
	set := cap.NewSet()
	if keepBPF {
		if err := errors.Join(set.SetFlag(cap.Permitted, true, cap.BPF), set.SetFlag(cap.Effective, true, cap.BPF)); err != nil {
			return err
		}
	}
	if err := set.SetProc(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	if keepBPF {
		r.lacks(Capabilities, "CAP_BPF stays: this kernel asks for it at each look-up in a BPF map; from 5.19 on none is needed")
		return nil
	}
	r.did(Capabilities, "none")
	return nil
}

// asksForBPF tells whether looking something up in a map takes CAP_BPF, by doing
// it on a thread that has no effective capability for a moment.
func asksForBPF(lookUp func() error) (bool, error) {
	var asked error
	had, err := bare(func() error { asked = lookUp(); return nil })
	if err != nil {
		return false, err
	}
	if err := asked; errors.Is(err, syscall.EPERM) {
		if had[1].Permitted&(1<<(unix.CAP_BPF-32)) == 0 {
			return false, fmt.Errorf("this kernel asks for CAP_BPF at each look-up in a BPF map, and the process does not have it: %w", err)
		}
		return true, nil
	}
	if asked != nil {
		return false, fmt.Errorf("look up in a BPF map: %w", asked)
	}
	return false, nil
}

// Bare runs f, and nothing else of the process, without any capability, as all
// of it will be after Drop.
//
// The thread gets them back and goes on. One that ended without them might still
// be there when Drop asks all threads for something that it could not do.
func Bare(f func() error) error {
	_, err := bare(f)
	return err
}

// bare also gives the capabilities that the thread had, and has again.
func bare(f func() error) (had [2]unix.CapUserData, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &had[0]); err != nil {
		return had, fmt.Errorf("read capabilities: %w", err)
	}
	none := had
	none[0].Effective, none[1].Effective = 0, 0
	if err := unix.Capset(&header, &none[0]); err != nil {
		return had, fmt.Errorf("lower capabilities: %w", err)
	}
	err = f()
	if back := unix.Capset(&header, &had[0]); back != nil {
		return had, errors.Join(err, fmt.Errorf("raise capabilities again: %w", back))
	}
	return had, err
}

// noDumps keeps memory, which holds packets, from core files and from other
// processes of the same user.
func noDumps(r *Report) error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil { // of the process, not of a thread
		return fmt.Errorf("forbid dumps: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	r.did(Dumps, "no core files, no ptrace")
	return nil
}

// writable says early what would otherwise be found out at the first rotation.
func writable(dirs []string) error {
	for _, dir := range dirs {
		if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
			return fmt.Errorf("user %d, group %d must be able to write in %s: %w", os.Getuid(), os.Getgid(), dir, err)
		}
	}
	return nil
}
