package privilege

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// Rights below a directory. Nothing can be executed anywhere.
const (
	readRights  = landlock.AccessFSSet(llsys.AccessFSReadFile | llsys.AccessFSReadDir)
	writeRights = readRights | landlock.AccessFSSet(llsys.AccessFSWriteFile|llsys.AccessFSTruncate|
		llsys.AccessFSMakeReg|llsys.AccessFSRemoveFile|llsys.AccessFSMakeDir|llsys.AccessFSRemoveDir)
)

// ABI versions from which on Landlock knows something.
const (
	abiTruncate = 3 // Linux 6.2
	abiTCP      = 4 // Linux 6.7
)

// restrict puts Landlock on all threads, as far as the kernel has it.
func restrict(r *Report, wanted bool, n *Needs) error {
	if !wanted {
		r.lacks(Landlock, "not wanted")
		return nil
	}
	abi := landlockABI()
	if abi == 0 {
		r.lacks(Landlock, "this kernel has none: it needs 5.13 or later, with landlock in its list of security modules (lsm=)")
		return nil
	}
	rules := []landlock.Rule{
		landlock.PathAccess(writeRights, n.ReadWrite...),
		landlock.PathAccess(readRights, existing(n.ReadOnly)...),
	}
	for _, port := range n.BindTCP {
		rules = append(rules, landlock.BindTCP(port))
	}
	for _, port := range n.ConnectTCP {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	// What later versions add (UNIX sockets by path, UDP) would cut off the
	// service manager and outputs that are sent by UDP.
	config := landlock.Config{HandledAccessFS: landlock.V7.HandledAccessFS, HandledAccessNet: landlock.V7.HandledAccessNet}
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	if abi < abiTruncate {
		r.lacks(Landlock, "version %d: files outside can still be cut, where their mode allows it; needs Linux 6.2", abi)
	} else {
		r.did(Landlock, "version %d; read %v, write %v", abi, n.ReadOnly, n.ReadWrite)
	}
	if abi < abiTCP {
		r.lacks(LandlockTCP, "version %d: any TCP port can be connected to; needs Linux 6.7", abi)
	} else {
		r.did(LandlockTCP, "bind %v, connect %v", n.BindTCP, n.ConnectTCP)
	}
	return nil
}

// existing gives the directories that are meant.
func existing(paths []string) []string {
	var dirs []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if !info.IsDir() {
			path = filepath.Dir(path)
		}
		dirs = append(dirs, path)
	}
	return dirs
}

func landlockABI() int {
	version, err := llsys.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return version
}
