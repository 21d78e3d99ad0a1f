//go:build !linux

package nic

import (
	"errors"
	"fmt"
)

// errLinux is the answer to everything that needs Linux.
func errLinux(what string) error {
	return fmt.Errorf("%s: %w: it needs Linux", what, errors.ErrUnsupported)
}

// Inspect needs Linux.
func Inspect(ifname string) (*Facts, error) { return nil, errLinux("interface " + ifname) }

// Kernel needs Linux.
func Kernel() (Version, error) { return Version{}, errLinux("kernel version") }

// TryXDP needs Linux.
func TryXDP(ifname string) (XDP, error) { return XDP{}, errLinux("try XDP on " + ifname) }

// ReadXDP needs Linux.
func ReadXDP(ifname string) (XDPProgram, error) {
	return XDPProgram{}, errLinux("XDP program of " + ifname)
}

// Applied are changes that were made: none.
type Applied struct{ Done []Change }

// Apply needs Linux.
func Apply([]Change) (*Applied, error) { return &Applied{}, errLinux("settings of an interface") }

// Restore has nothing to undo.
func (*Applied) Restore() error { return nil }

// Counters need Linux.
type Counters struct{}

// OpenCounters needs Linux.
func OpenCounters(ifname string) (*Counters, error) { return nil, errLinux("counters of " + ifname) }

// Driver is not known.
func (*Counters) Driver() string { return "" }

// Read needs Linux.
func (*Counters) Read() (Counts, error) { return Counts{}, errLinux("counters") }

// Close has nothing to close.
func (*Counters) Close() error { return nil }

// Guard needs Linux.
type Guard struct{}

// InstallGuard needs Linux.
func InstallGuard(ifname string, _ GuardConfig) (*Guard, error) {
	return nil, errLinux("guard of " + ifname)
}

// CanSilence needs Linux.
func CanSilence(ifname string, _ GuardConfig) error { return errLinux("interface " + ifname) }

// Interface is not known.
func (*Guard) Interface() string { return "" }

// Egress is false.
func (*Guard) Egress() bool { return false }

// Close has nothing to take away.
func (*Guard) Close() error { return nil }

// RemoveGuard needs Linux.
func RemoveGuard(ifname string) error { return errLinux("guard of " + ifname) }

func readGuard(string) (inPlace, error) { return inPlace{}, errLinux("nft") }
