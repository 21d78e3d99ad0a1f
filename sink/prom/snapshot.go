package prom

import (
	"time"

	"mirrorscope/edge/live"
	"mirrorscope/flow"
)

// Snapshot is the state of a sensor at one moment. It is not changed any more
// once it was given out; counts never go back while the sensor runs. What is
// nil or an unset Value is not known, and not shown.
type Snapshot struct {
	Version string    // of the sensor
	Started time.Time // since when counts count

	Interfaces []Interface
	Rings      []Ring
	Capture    *flow.Capture
	Totals     *Totals // of a Tally
	Outputs    []Output
	Names      *Names // nil: addresses have none

	Degradation Value // the step of the overload plan: 0 is everything
	Sampled     Value // one of so many connections is measured
	Open        Value // connections in the tables
	TableFill   Value // the fullest table, 0 to 1
	Memory      Value // budget for connections, octets
	MemoryUsed  Value
	IntervalLag Value // s: how long after its end the latest interval was written
	Reload      *Reload

	Top *live.Top // conversations of the last minute
}

// Value is a number that may not be known.
type Value struct {
	v     float64
	known bool
}

// Known makes a Value.
func Known[N uint64 | uint32 | uint16 | int64 | int | float64](n N) Value {
	return Value{float64(n), true}
}

// Interface tells how one is captured.
type Interface struct {
	Name       string
	Mode       string // "af_packet", "af_xdp native zero_copy", …
	Driver     string
	Timestamps string // who stamps: "hardware", "kernel", …
}

// Ring is one queue of the capture.
type Ring struct {
	Interface string
	Queue     int
	Fill      float64 // share that waits to be read, 0 to 1
	Packets   uint64  // given out
	Bytes     uint64
}

// Output is one place that records go to.
type Output struct {
	Name          string
	Written       Lines
	Dropped       []Dropped // for every reason, also those without any
	Queued, Queue int       // octets that wait; … that can
	Failing       bool      // nothing can be written at the moment
}

// Lines is a number of lines and of octets in them.
type Lines struct{ Lines, Bytes uint64 }

// Dropped are those that were dropped for one reason.
type Dropped struct {
	Reason string
	Lines
}

// Reload is the latest attempt to read the configuration again.
type Reload struct {
	Worked bool
	At     time.Time
}
