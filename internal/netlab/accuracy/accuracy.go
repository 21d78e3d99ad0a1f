// Package accuracy compares what tools say of a capture with what is true of it
// (package netlab): our sensor, tshark and tcptrace, all as programs that a
// user runs.
//
// A tool may say nothing, or that it is not sure; both count as withheld and
// never as wrong. What it claims counts as exact or as wrong.
package accuracy

import (
	"net/netip"
	"os/exec"
	"strings"
)

// Tool measures captures.
type Tool interface {
	Name() string
	// Version is the first line of what the tool says of itself, empty for
	// our own.
	Version() string
	// Application tells whether anything is read of what it says about the
	// protocols above TCP.
	Application() bool
	// Measure reads one capture and gives a result for each connection it
	// finds.
	Measure(path string) ([]Connection, error)
}

// firstLine runs a program and gives the first line it writes.
func firstLine(path string, args ...string) string {
	out, _ := exec.Command(path, args...).CombinedOutput() // tcptrace ends with 1 after its version
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "Running as user") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// Value is a number that a tool gave, or did not.
type Value struct {
	V     float64
	Known bool
	Sure  bool // claimed without reservation
}

// sure makes a value that is claimed.
func sure(v float64) Value { return Value{V: v, Known: true, Sure: true} }

// plus adds two values; the sum is known where both are.
func (v Value) plus(w Value) Value {
	return Value{V: v.V + w.V, Known: v.Known && w.Known, Sure: v.Sure && w.Sure}
}

// Connection is what a tool says of one connection. Arrays are by side: the
// client first. Times are µs.
type Connection struct {
	VNI            uint32 // of the mirror, where the tool tells
	Client, Server netip.AddrPort
	Sides          [2]Side
	Handshake      struct{ Client, Server, Setup Value }
	RTT            [2]struct{ Min Value }
	Response       struct{ Turns, Min, Median, Max Value }
	KeepAlives     Value // of both sides
	WindowProbes   Value // of both sides
	ZeroWindows    [2]Value
	ZeroTime       [2]Value
	Outcome        string // empty: withheld
	TLS            TLS
	Requests       Value              // of HTTP
	Status         map[string]float64 // responses by class: 2xx
	Duration       Value
	Phases         map[string]float64 // by name as in records; nil: withheld
}

// TLS is what a tool says of the TLS of a connection. Empty is withheld; what is true or
// not is yes or no.
type TLS struct {
	Outcome, Version, Resumed, HelloRetry, EarlyData, ClientCertificate string
	Alert                                                               string // in the clear: who and what
	Perceived                                                           Value  // by the client
	Total, Network                                                      Value
	Shares                                                              [2]Value // of the client and the server
}

// Side is what a tool says of the packets of one sender.
type Side struct {
	Packets, Bytes        Value // retransmitted
	Spurious              Value // packets
	LostBefore, LostAfter Value // packets
	Unlocated             Value // packets
	Inferred              Value // packets
	OutOfOrder            Value // packets
	Duplicates            Value // packets, made by the network
	MissedBytes           Value // by the capture
	Class                 map[string]float64
}

// find looks for a connection, by whichever role the tool gave the ends, and
// turns it round so that roles are the given ones. Tools that see a connection
// as several have their counts added.
func find(all []Connection, vni uint32, client, server netip.AddrPort) (found Connection, roles, ok bool) {
	for _, c := range all {
		if c.VNI != vni && c.VNI != 0 {
			continue
		}
		right := c.Client == client && c.Server == server
		if !right && (c.Client != server || c.Server != client) {
			continue
		}
		if !right {
			c = c.turned()
		}
		if ok {
			found = found.merged(c)
			roles = roles && right
			continue
		}
		found, roles, ok = c, right, true
	}
	return found, roles, ok
}

// turned swaps the roles.
func (c Connection) turned() Connection {
	c.Client, c.Server = c.Server, c.Client
	c.Sides[0], c.Sides[1] = c.Sides[1], c.Sides[0]
	c.RTT[0], c.RTT[1] = c.RTT[1], c.RTT[0]
	c.ZeroWindows[0], c.ZeroWindows[1] = c.ZeroWindows[1], c.ZeroWindows[0]
	c.ZeroTime[0], c.ZeroTime[1] = c.ZeroTime[1], c.ZeroTime[0]
	c.Handshake.Client, c.Handshake.Server = c.Handshake.Server, c.Handshake.Client
	return c
}

// merged adds the counts of a later part of the same connection; times stay
// those of the first part.
func (c Connection) merged(d Connection) Connection {
	for i := range c.Sides {
		a, b := &c.Sides[i], d.Sides[i]
		for _, p := range []struct {
			to   *Value
			from Value
		}{
			{&a.Packets, b.Packets}, {&a.Bytes, b.Bytes}, {&a.Spurious, b.Spurious}, {&a.LostBefore, b.LostBefore},
			{&a.LostAfter, b.LostAfter}, {&a.Unlocated, b.Unlocated}, {&a.Inferred, b.Inferred},
			{&a.OutOfOrder, b.OutOfOrder}, {&a.Duplicates, b.Duplicates}, {&a.MissedBytes, b.MissedBytes},
		} {
			*p.to = p.to.plus(p.from)
		}
		classes := map[string]float64{}
		for _, m := range []map[string]float64{a.Class, b.Class} {
			for name, n := range m {
				classes[name] += n
			}
		}
		a.Class = classes
	}
	c.KeepAlives = c.KeepAlives.plus(d.KeepAlives)
	c.WindowProbes = c.WindowProbes.plus(d.WindowProbes)
	if c.Outcome == "" {
		c.Outcome = d.Outcome
	}
	return c
}
