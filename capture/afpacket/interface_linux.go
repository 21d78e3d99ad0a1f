package afpacket

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// device is an interface as the kernel tells it now.
type device struct {
	index int
	name  string // not the one that it was found by, if that is an alternative one
	up    bool
	hw    uint16 // ARPHRD_
}

// find asks for the interface with that name. The error is unix.ENODEV where
// there is none. control is any socket: the name is looked up in its namespace,
// whatever thread asks.
func find(control int, name string) (device, error) {
	var d device
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return d, fmt.Errorf("name of the interface: %w", err)
	}
	if err := unix.IoctlIfreq(control, unix.SIOCGIFINDEX, ifr); err != nil {
		return d, fmt.Errorf("look up the interface: %w", err)
	}
	d.index = int(ifr.Uint32())
	if d.name, err = nameOf(control, d.index); err != nil {
		return d, err
	}
	if d.up, err = isUp(control, name); err != nil {
		return d, err
	}
	if err := unix.IoctlIfreq(control, unix.SIOCGIFHWADDR, ifr); err != nil {
		return d, fmt.Errorf("ask for the interface's type: %w", err)
	}
	d.hw = ifr.Uint16() // sa_family of the address
	return d, nil
}

func isUp(control int, name string) (bool, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return false, err
	}
	if err := unix.IoctlIfreq(control, unix.SIOCGIFFLAGS, ifr); err != nil {
		return false, fmt.Errorf("ask for the interface's flags: %w", err)
	}
	return ifr.Uint16()&unix.IFF_UP != 0, nil
}

// nameOf gives the name that an interface has now, "" where it is not there.
func nameOf(control, index int) (string, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	ifr.SetUint32(uint32(index))
	switch err := unix.IoctlIfreq(control, unix.SIOCGIFNAME, ifr); {
	case errors.Is(err, unix.ENODEV):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("interface %d: ask for its name: %w", index, err)
	}
	return ifr.Name(), nil
}
