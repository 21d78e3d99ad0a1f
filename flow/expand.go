package flow

import (
	"mirrorscope/packet"
	"mirrorscope/session"
)

// Expander makes the Records that Lones stand for, in memory of its own, for an output
// that wants them whole: a few at a time, just before they are written. So what waits
// for its place among the others is small. One goroutine owns it.
type Expander struct {
	ids     ids
	lends   bool // Config.Lends
	n       int
	records [expandLen]Record
	phases  [expandLen]session.Phases // of records
	spare   []session.Phases          // where they are not lent
}

// expandLen is for how many there is room: they stay in the caches.
const expandLen = 64

// NewExpander makes one for the Lones of tables of a configuration.
func NewExpander(cfg *Config, names *packet.Names) *Expander {
	return &Expander{ids: newIDs(names), lends: cfg.Lends}
}

// Reset takes the memory of all Records back.
func (x *Expander) Reset() { x.n = 0 }

// Full tells that there is no room until Reset.
func (x *Expander) Full() bool { return x.n == expandLen }

// Expand gives the Record of a Lone, valid until Reset.
func (x *Expander) Expand(l *Lone) *Record {
	r, p := &x.records[x.n], &x.phases[x.n]
	if !x.lends {
		if len(x.spare) == 0 {
			x.spare = make([]session.Phases, expandLen/4)
		}
		p, x.spare = &x.spare[0], x.spare[1:]
	}
	x.n++
	*r = Record{}
	l.record(r, &x.ids)
	r.Report = session.Silent(l.frame(), p)
	return r
}
