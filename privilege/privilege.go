// Package privilege gives up what a process may do, once it has opened what it
// needs: the packets it reads from then on are hostile, and a fault in a parser
// must not be worth much.
//
// Drop does this, for all threads: no_new_privs; another user and group, where
// one is configured; no capability in any set; no core dump and no ptrace by
// processes of the same user, as memory holds packets; Landlock, so that only
// given directories can be read or written, and only given TCP ports bound or
// connected to; and a filter of system calls by which packet sockets receive
// and no more. What was opened before stays usable: rings and their statistics,
// BPF maps, files, listeners.
//
// That is also what is left to whoever gets hold of the process:
//
//   - It reads the packets that come, and the files and memory of the sensor; it
//     writes to the directories that are named.
//   - It changes the filter in front of the capture: BPF maps stay writable, as
//     a reload needs them. The programs do not change, and none of them sends.
//   - It sends nothing by packet sockets, where Needs.Silent is set and the
//     kernel has seccomp; else it can send by them, and past the guard of package
//     nic as well, since PACKET_QDISC_BYPASS is a matter of the sender alone. An
//     AF_XDP socket that was bound without a ring to send by never gets one.
//   - It speaks UDP, and over listeners that are open, with anybody: Landlock
//     knows of TCP alone. The unit file closes this (IPAddressDeny=).
//
// What the kernel lacks is told in the Report and is no error. But for packet
// sockets system calls are not filtered here; the unit file does that
// (SystemCallFilter=). Memory is not locked: rings are never swapped, and the
// rest is small.
//
// Landlock is not used to keep signals within the process: it has to be put on
// each thread by itself, and kernels 6.12 to 6.14 then refuse the signals
// between threads that the Go runtime lives by.
package privilege

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Config is what the operator decides.
type Config struct {
	User     string `toml:"user" comment:"User, by name or number, that the process becomes once everything is open. Empty: it stays what it is;\nstarted as root, it then is root without any capability, which still owns files"`
	Group    string `toml:"group" comment:"Group, by name or number. Empty: the group of the user. There are no supplementary groups"`
	Landlock bool   `toml:"landlock" comment:"Where the kernel can (5.13, better 6.7), only the directories and TCP ports that this file names stay within reach"`
}

// DefaultConfig leaves the user to the service manager.
func DefaultConfig() Config { return Config{Landlock: true} }

// Validate tells every field that cannot be used. Whether the user exists is
// seen by Drop.
func (c *Config) Validate() error {
	if c.Group != "" && c.User == "" {
		return errors.New("group: needs a user")
	}
	return nil
}

// Needs is what the process will do yet.
type Needs struct {
	// ReadWrite are directories in which it makes, writes, renames and removes
	// files. One that is not there is made, as by MakeDirectories.
	ReadWrite []string

	// ReadOnly are directories, and files, that it opens to read. Of a file its
	// directory is meant, with all below: an editor, or whatever renews a
	// certificate, puts another file of that name in its place. What is not there
	// is left out.
	ReadOnly []string

	// BindTCP and ConnectTCP are TCP ports. Sockets of Multipath TCP, which
	// net.Listen makes, do not come under this.
	BindTCP, ConnectTCP []uint16

	// BPF looks something up in a BPF map; nil where none is used. With it is found
	// out whether the kernel lets a process without CAP_BPF do so.
	BPF func() error

	// Silent is for packet sockets (AF_PACKET) that only receive: those that are
	// open can send no more. Their descriptors have to stay open as long as the
	// process runs, for it is numbers that are sealed: a file that got the number
	// of one that was closed could not be written to. dup3(2) from one to another
	// is no such case.
	Silent bool
}

func (n *Needs) validate() error {
	var errs []error
	for _, list := range [][]string{n.ReadWrite, n.ReadOnly} {
		for _, path := range list {
			if !filepath.IsAbs(path) {
				errs = append(errs, fmt.Errorf("%q is not an absolute path", path))
			}
		}
	}
	return errors.Join(errs...)
}

// Report tells what was done, in order, and what could not be.
type Report struct{ Steps []Step }

// Step is one measure.
type Step struct {
	Name   string // as in the names of the constants below
	Done   bool
	Detail string // what exactly; or why not, and what would help
}

// Names of steps.
const (
	NoNewPrivileges = "no_new_privs"
	User            = "user"
	BoundingSet     = "bounding_set"
	Capabilities    = "capabilities"
	Dumps           = "dumps"
	Landlock        = "landlock"
	LandlockTCP     = "landlock_tcp"
	PacketSockets   = "packet_sockets" // only where there are any
)

// Step finds one by name.
func (r *Report) Step(name string) (Step, bool) {
	for _, s := range r.Steps {
		if s.Name == name {
			return s, true
		}
	}
	return Step{}, false
}

// Missing are the steps that were not done in full.
func (r *Report) Missing() []Step {
	var steps []Step
	for _, s := range r.Steps {
		if !s.Done {
			steps = append(steps, s)
		}
	}
	return steps
}

// String is one line for a log.
func (r *Report) String() string {
	var b strings.Builder
	for i, s := range r.Steps {
		if i > 0 {
			b.WriteString("; ")
		}
		if !s.Done {
			b.WriteString("not ")
		}
		b.WriteString(s.Name)
		if s.Detail != "" {
			b.WriteString(" (" + s.Detail + ")")
		}
	}
	return b.String()
}

func (r *Report) did(name, format string, args ...any) {
	r.Steps = append(r.Steps, Step{name, true, fmt.Sprintf(format, args...)})
}

func (r *Report) lacks(name, format string, args ...any) {
	r.Steps = append(r.Steps, Step{name, false, fmt.Sprintf(format, args...)})
}

// Support is what the kernel offers, for a check beforehand.
type Support struct {
	LandlockABI int // 0: the kernel has no Landlock, or it is not enabled

	// KeepsBPF tells that a process that uses BPF maps has to keep CAP_BPF: with
	// kernel.unprivileged_bpf_disabled set, kernels before 5.19 ask for it at each
	// look-up (Linux c8644cd0efe7). A distribution may have changed that; Drop
	// tries it out.
	KeepsBPF bool
}
