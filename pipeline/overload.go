package pipeline

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"mirrorscope/capture"
	"mirrorscope/packet"
	"mirrorscope/unit"
)

// Overload says what is left out, and when, while a live source fills faster
// than it is read. Each step is counted and shown, and taken back when there is
// room again:
//
//	step 0  everything
//	step 1  payload is not looked at: no TLS, HTTP and DNS, nothing else changes
//	step 2  … and of two connections one is measured
//	step n  … and of 2^(n-1) connections one
//
// A connection that begins during a step is measured wholly or not at all. One
// that was open before may be left out from then on: when it is measured again,
// what passed meanwhile is missed by the capture, and told as that.
type Overload struct {
	High  float64       `toml:"high" comment:"Share of the ring that waits to be read at which less is measured: first payload is left out, then connections"`
	Low   float64       `toml:"low" comment:"Share below which it goes back, one step after each calm time"`
	Calm  unit.Duration `toml:"calm" comment:"How long the load is not above low before a step is taken back"`
	Steps int           `toml:"steps" comment:"The most steps: 1 leaves payload out, n measures one of 2^(n-1) connections; 0 never leaves anything out, and the ring drops what it cannot hold"`
}

// DefaultOverload leaves out at most 31 of 32 connections.
func DefaultOverload() Overload {
	return Overload{High: 0.5, Low: 0.1, Calm: unit.Duration(10 * time.Second), Steps: 6}
}

// maxSteps keeps a connection's weight within 16 bits.
const maxSteps = 16

// Validate reports every field that cannot be used.
func (o Overload) Validate() error {
	var errs []error
	if !(o.High > 0 && o.High <= 1) {
		errs = append(errs, fmt.Errorf("high: %v, need more than 0 and at most 1", o.High))
	}
	if !(o.Low >= 0 && o.Low < o.High) {
		errs = append(errs, fmt.Errorf("low: %v, need 0 or more and less than high, %v", o.Low, o.High))
	}
	if o.Calm <= 0 {
		errs = append(errs, fmt.Errorf("calm: %v, need a positive time", o.Calm))
	}
	if o.Steps < 0 || o.Steps > maxSteps {
		errs = append(errs, fmt.Errorf("steps: %d, need 0 to %d", o.Steps, maxSteps))
	}
	return errors.Join(errs...)
}

// lookEvery is after how many frames the reader looks at the load.
const lookEvery = 1024

// settle is how long a step is given to show, in ns of packet time.
const settle = 50e6

// load decides what the reader leaves out. It belongs to the reader.
type load struct {
	cfg  Overload
	fill func() float64 // nil: the source waits for its reader
	base uint32         // one of so many connections, always
	ask  func() uint32  // what base is now; nil: it stays

	step    int
	headers bool   // payload is left out
	part    uint32 // one of so many connections, of those of base
	keep    uint32 // base times part: what each stands for
	secret  uint64 // chooses the part: nobody can see to it that his own connections stay

	changed int64 // ns of packet time; the latest step
	busy    int64 // … when there was no room the last time
	raised  uint64
}

// filler is a source that fills up while nobody reads it.
type filler interface {
	// Fill is the share that waits to be read.
	Fill() float64
}

// waits tells whether a source waits for its reader.
func waits(src capture.Source) bool {
	_, fills := src.(filler)
	_, spills := src.(capture.Spiller)
	return !fills && !spills
}

func newLoad(src capture.Source, cfg *Config) load {
	l := load{cfg: cfg.Overload, base: 1, ask: cfg.Sample, secret: rand.Uint64()}
	if l.ask != nil {
		l.base = max(l.ask(), 1)
	}
	if s, ok := src.(filler); ok && l.cfg.Steps > 0 {
		l.fill = s.Fill
	}
	l.set(0)
	return l
}

// look measures the load and takes a step up or down. now is packet time.
func (l *load) look(now int64) {
	if l.ask != nil {
		if base := max(l.ask(), 1); base != l.base {
			l.base = base
			l.set(l.step)
		}
	}
	if l.fill == nil {
		return
	}
	switch fill := l.fill(); {
	case fill >= l.cfg.High:
		l.busy = now
		if l.step < l.cfg.Steps && (l.step == 0 || now-l.changed >= settle) {
			l.changed = now
			l.raised++
			l.set(l.step + 1)
		}
	case fill > l.cfg.Low:
		l.busy = now
	case l.step > 0 && now-max(l.busy, l.changed) >= int64(l.cfg.Calm):
		l.changed = now
		l.set(l.step - 1)
	}
}

// measures tells whether a connection is measured, by the hash of its 5-tuple.
func (l *load) measures(hash uint64) bool {
	return packet.Sampled(hash, l.base) && packet.Sampled((hash^l.secret)*0xd6e8feb86659fd93, l.part)
}

func (l *load) set(step int) {
	l.step = step
	l.headers = step > 0
	l.part = 1 << max(step-1, 0)
	for l.part > 1 && uint64(l.base)*uint64(l.part) > math.MaxUint16 {
		l.part /= 2 // a weight has 16 bits
	}
	l.keep = l.base * l.part
}
