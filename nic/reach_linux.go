package nic

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// lines are interfaces by their numbers.
type lines map[int]bool

// lines gives the interface and all that is made of it: its bond or bridge, and
// VLANs and the like. What is dropped on it does not get to those either.
func (i inspector) lines() (lines, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	over := lines{i.f.Index: true}
	for grown := true; grown; {
		grown = false
		add := func(index int) {
			if index != 0 && !over[index] {
				over[index], grown = true, true
			}
		}
		for _, l := range all {
			a := l.Attrs()
			if over[a.Index] {
				add(a.MasterIndex)
			}
			if over[a.ParentIndex] && a.NetNsID < 0 && slices.Contains(stacked, l.Type()) {
				add(a.Index)
			}
		}
	}
	return over, nil
}

// stacked are the kinds of interface that have all of their frames from another
// one of the same machine.
var stacked = []string{"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"}

// reach finds out whether this machine is reached by the interface.
func (i inspector) reach() {
	over, err := i.lines()
	if err == nil {
		err = i.defaultRoute(over)
	}
	i.note("default_route", err)
	if over != nil {
		i.note("connections", i.sessions(over))
	}
}

func (i inspector) defaultRoute(over lines) error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones != 0 {
				continue
			}
		}
		via := over[r.LinkIndex]
		for _, hop := range r.MultiPath {
			via = via || over[hop.LinkIndex]
		}
		if via && r.Type == unix.RTN_UNICAST {
			i.f.DefaultRoute = true
		}
	}
	return nil
}

// sessions finds the TCP sockets that are reached by the interface: established
// connections of its own addresses and those that are routed there, and
// listeners on its own addresses. A connection of the machine with itself goes
// over no interface.
func (i inspector) sessions(over lines) error {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	mine, own := map[netip.Addr]bool{}, map[netip.Addr]bool{} // of the machine, of the interface
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			mine[addr.Unmap()] = true
			own[addr.Unmap()] = own[addr.Unmap()] || over[a.LinkIndex]
		}
	}
	sockets, err := tcpSockets()
	if err != nil {
		return err
	}
	routed := map[[2]netip.Addr]bool{}
	for _, s := range sockets {
		local, remote := s.Local.Addr(), s.Remote.Addr()
		there := own[local]
		if s.Remote.IsValid() && !there && !mine[remote] && !remote.IsLoopback() {
			way, known := routed[[2]netip.Addr{local, remote}]
			if !known {
				way = leavesBy(over, local, remote)
				routed[[2]netip.Addr{local, remote}] = way
			}
			there = way
		}
		if there && !mine[remote] {
			i.f.Sessions = append(i.f.Sessions, s)
		}
	}
	slices.SortFunc(i.f.Sessions, func(a, b Session) int {
		return cmp.Or(b.Remote.Compare(a.Remote), a.Local.Compare(b.Local)) // listeners last
	})
	return nil
}

// leavesBy tells whether what a connection sends leaves by one of the
// interfaces. Where there is no route it leaves by none.
func leavesBy(over lines, local, remote netip.Addr) bool {
	routes, err := netlink.RouteGetWithOptions(remote.AsSlice(), &netlink.RouteGetOptions{SrcAddr: local.AsSlice()})
	return err == nil && slices.ContainsFunc(routes, func(r netlink.Route) bool { return over[r.LinkIndex] })
}

// tcpSockets lists the established connections and the listeners of the
// calling thread's network namespace. It needs no privileges, nor the kernel's
// module for sock_diag(7), which may not be at hand.
func tcpSockets() ([]Session, error) {
	var all []Session
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open("/proc/thread-self/net/" + name)
		if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
			continue // a kernel without IPv6
		} else if err != nil {
			return nil, err
		}
		s := bufio.NewScanner(f)
		s.Scan() // the head
		for s.Scan() {
			var one Session
			var ok bool
			if one, ok, err = parseSocket(s.Text()); err != nil {
				err = fmt.Errorf("%s: %w", f.Name(), err)
				break
			} else if ok {
				all = append(all, one)
			}
		}
		if err = errors.Join(err, s.Err(), f.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// parseSocket reads a line of /proc/net/tcp (proc_pid_net(5)): number, local and
// remote address, state. ok is false for states other than those wanted.
func parseSocket(line string) (s Session, ok bool, err error) {
	const established, listen = "01", "0A" // include/net/tcp_states.h
	words := strings.Fields(line)
	if len(words) < 4 {
		return s, false, fmt.Errorf("line %q", line)
	}
	if words[3] != established && words[3] != listen {
		return s, false, nil
	}
	if s.Local, err = parseEnd(words[1]); err != nil {
		return s, false, err
	}
	if words[3] == established {
		s.Remote, err = parseEnd(words[2])
	}
	return s, err == nil, err
}

// parseEnd reads an address, words of 32 bits in the machine's order of octets,
// and a port.
func parseEnd(text string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for at := 0; at+4 <= len(b); at += 4 {
		binary.NativeEndian.PutUint32(b[at:], binary.BigEndian.Uint32(b[at:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}
