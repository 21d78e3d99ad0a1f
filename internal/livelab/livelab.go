//go:build linux

// Package livelab is a network on which live capture can be tested and
// measured: two hosts that talk, a switch that mirrors what they say, and the
// interface on which a sensor listens.
//
//	  Hosts[A]            Switch                     Sensor
//	┌──────────┐    ┌───────────────────┐        ┌──────────┐
//	│   eth0   ├────┤ ra                │        │          │
//	└──────────┘    │    br0     mirror │        │          │
//	┌──────────┐    │              rs   ├────────┤   cap0   │
//	│   eth0   ├────┤ rb                │        │          │
//	└──────────┘    └───────────────────┘        └──────────┘
//
// Hosts speak kernel TCP, in the clear or under TLS, and tell what their
// kernels know of it (Exchange). The switch copies to rs what passes ra or rb:
// the bare frames as a SPAN port does, or inside VXLAN as clouds do (Lab.SPAN,
// Lab.VXLAN), and can lose packets in three places by count (Lab.Drop).
// Instead of the hosts' traffic, frames of a capture (Lab.Replay) or made by
// the kernel at millions a second (Lab.Flood) can be sent into cap0. Whatever
// left rs can be recorded (Lab.Record), so that what a sensor said live can be
// compared with what it says of the recording (Compare). Programs are started
// beside cap0 with Namespace.Start.
//
// Nothing outside the process is touched. The four namespaces have no name and
// end with the threads that hold them; devices, BPF programs and child
// processes end with the Lab or, if that is not closed, with the process. It
// needs Linux 6.6 (tcx) and root.
//
// Cap0 has no address and IPv6 is off everywhere, so that no frame passes
// which no test asked for. Frames are as on a wire: hosts neither segment nor
// leave checksums to a card, unless Config.Offloads says so.
package livelab

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"mirrorscope/internal/needs"
)

// Side is one of the two hosts, and the port of the switch before it.
type Side uint8

const (
	A Side = iota // the clients' host, at ra
	B             // the servers' host, at rb
)

func (s Side) String() string { return [...]string{"A", "B"}[s] }

// Names of devices. Every namespace has its own names, so that those of two
// labs do not meet.
const (
	CaptureName = "cap0" // where the sensor listens
	mirrorName  = "rs"   // the other end of it
	bridgeName  = "br0"
	hostName    = "eth0"
)

var portNames = [2]string{"ra", "rb"} // by Side

// Config is the shape of a Lab. The zero value is a usual one.
type Config struct {
	// MTU of the hosts, octets; 0: 1500. The mirror's link carries MirrorRoom
	// more, so that a frame still fits with VXLAN around it. Native XDP without
	// fragments takes cap0 up to an MTU of about 3500.
	MTU int
	// Queues of the mirror's link, in both directions; 0: 1.
	Queues int
	// Offloads leaves segmentation and checksums to devices that will do
	// neither: a mirror then has frames of up to 64 KiB and checksums that are
	// not computed, as a tap on a host has, and no cloud.
	Offloads bool
	// Address gives cap0 an IPv4 address and answers ARP for it, as a mirror
	// target in a VPC has. For tests of what must keep it silent.
	Address bool
}

// MirrorRoom is by how many octets the MTU of the mirror's link exceeds that of
// the hosts: VXLAN over IPv4 takes 50.
const MirrorRoom = 100

// Lab is a network. Its methods can be called from any goroutine, but Close
// must be the last.
type Lab struct {
	Hosts          [2]*Namespace // by Side
	Switch, Sensor *Namespace
	MTU            int // of the hosts

	mirrorIndex  int // ifindex of rs in Switch
	captureIndex int // ifindex of cap0 in Sensor

	mu      sync.Mutex
	tunnels int    // VXLAN mirrors so far
	filters uint16 // of mirrors so far
	closers []func() error
}

// New makes a Lab that ends with the test. The test is skipped without root,
// and fails for it in continuous integration (see needs).
func New(t testing.TB, c Config) *Lab {
	t.Helper()
	needs.Root(t)
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Open makes a Lab.
func Open(c Config) (*Lab, error) {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	l := &Lab{MTU: c.MTU}
	for _, ns := range []struct {
		to   **Namespace
		name string
	}{{&l.Hosts[A], "host A"}, {&l.Hosts[B], "host B"}, {&l.Switch, "switch"}, {&l.Sensor, "sensor"}} {
		made, err := newNamespace(ns.name)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		*ns.to = made
	}
	if err := l.wire(c); err != nil {
		return nil, errors.Join(fmt.Errorf("build the lab: %w", err), l.Close())
	}
	return l, nil
}

// Close ends everything that the Lab's methods have started and not ended yet,
// and then the network.
func (l *Lab) Close() error {
	l.mu.Lock()
	closers := l.closers
	l.closers = nil
	l.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(closers) {
		errs = append(errs, f())
	}
	for _, ns := range []*Namespace{l.Sensor, l.Switch, l.Hosts[A], l.Hosts[B]} {
		if ns != nil {
			ns.close()
		}
	}
	return errors.Join(errs...)
}

// atClose has f called by Close. f must allow to be called twice.
func (l *Lab) atClose(f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, f)
}
