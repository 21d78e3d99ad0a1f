package flow

import (
	"errors"
	"fmt"
	"time"

	"mirrorscope/tcp"
)

// Config holds the limits and timeouts of the flow tables.
type Config struct {
	Memory   int64         // octets that all tables together may use
	Interval time.Duration // length of interval records, whole seconds; 0: none

	Sums      bool // for an output that adds connections up: whole-life records of TCP carry samples, or distributions, and no quantiles …
	Quantiles bool // … but with this, for one that writes them as well
	Lends     bool // what a record points at belongs to its list, unless it is Joined: who is given it holds nothing of it

	DupWindow      time.Duration // a copy is looked for this long
	DupWindowHop   time.Duration // … when its TTL differs and a changing IPv4 ID or the TSval matches
	DupFast        time.Duration // a byte-equal copy younger than this is a mirror copy
	ClockStep      time.Duration // a record time that goes back further is a step of the clock
	TCPIdle        time.Duration // an established connection without a packet ends
	TCPLinger      time.Duration // after both FINs or an RST
	SYNTimeout     time.Duration // a connection that is not established
	UDPIdle        time.Duration
	DNSIdle        time.Duration // UDP with port 53, 5353 or 5355
	OtherIdle      time.Duration // any other protocol
	TupleIdle      time.Duration // a SYN on a connection as idle as this is a new connection
	ListenerMemory time.Duration // how long an address and port is remembered as a server's
	TCP            tcp.Config
	AbortRTO       int // timer repeats of one octet after which silence is an aborted connection
}

// DefaultConfig gives the constants of the specification and 1 GiB.
func DefaultConfig() Config {
	return Config{
		Memory:         1 << 30,
		DupWindow:      100 * time.Millisecond,
		DupWindowHop:   time.Second,
		DupFast:        5 * time.Millisecond,
		ClockStep:      50 * time.Millisecond,
		TCPIdle:        15 * time.Minute,
		TCPLinger:      2 * time.Second,
		SYNTimeout:     30 * time.Second,
		UDPIdle:        60 * time.Second,
		DNSIdle:        10 * time.Second,
		OtherIdle:      30 * time.Second,
		TupleIdle:      60 * time.Second,
		ListenerMemory: time.Hour,
		AbortRTO:       5,
		TCP:            tcp.DefaultConfig(),
	}
}

// minMemory keeps every partition able to hold some hundred flows.
const minMemory = 16 << 20

// Validate reports every field that cannot be used.
func (c Config) Validate() error {
	var errs []error
	if c.Memory < minMemory {
		errs = append(errs, fmt.Errorf("memory: %d octets, need at least %d", c.Memory, minMemory))
	}
	if c.Interval < 0 || c.Interval%time.Second != 0 {
		errs = append(errs, fmt.Errorf("interval: %v, need whole seconds", c.Interval))
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"dup_window", c.DupWindow}, {"dup_window_hop", c.DupWindowHop}, {"dup_fast", c.DupFast}, {"clock_step", c.ClockStep},
		{"tcp_idle", c.TCPIdle}, {"tcp_linger", c.TCPLinger}, {"syn_timeout", c.SYNTimeout}, {"udp_idle", c.UDPIdle},
		{"dns_idle", c.DNSIdle}, {"other_idle", c.OtherIdle}, {"tuple_idle", c.TupleIdle}, {"listener_memory", c.ListenerMemory},
	} {
		if d.v <= 0 {
			errs = append(errs, fmt.Errorf("%s: %v, need a positive time", d.name, d.v))
		}
	}
	if c.AbortRTO < 1 {
		errs = append(errs, fmt.Errorf("abort_rto: %d, need at least 1", c.AbortRTO))
	}
	return errors.Join(errs...)
}
