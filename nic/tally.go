package nic

// reading are all statistics of an interface at one moment.
type reading struct {
	index  int  // of the interface
	up     bool // some drivers have no numbers while they are down
	link   map[string]uint64
	driver []stat
	queues map[string]uint64
	flags  map[string]bool // private flags of the driver
	// why the driver's or the queues' are not there
	driverErr, queuesErr error
}

// stat is a value of a driver's statistics, as `ethtool -S` lists them.
type stat struct {
	name  string // without the spaces around it
	value uint64
}

// statKey names one statistic of a reading.
type statKey struct {
	source
	nth int // of those of this name: vmxnet3 has one of each for every queue
}

// each calls found for every statistic of the sources.
func (r *reading) each(list []source, found func(statKey, uint64)) {
	for _, s := range list {
		switch s.origin {
		case ofLink:
			if v, ok := r.link[s.name]; ok {
				found(statKey{source: s}, v)
			}
		case ofQueues:
			if v, ok := r.queues[s.name]; ok {
				found(statKey{source: s}, v)
			}
		case ofDriver:
			seen := map[string]int{}
			for _, st := range r.driver {
				if matches(s.name, st.name) {
					found(statKey{source{ofDriver, st.name}, seen[st.name]}, st.value)
					seen[st.name]++
				}
			}
		}
	}
}

func (r *reading) has(list []source) bool {
	has := false
	r.each(list, func(statKey, uint64) { has = true })
	return has
}

// choose gives the sources of a place, the first group that is there, or why
// there is none.
func (r *reading) choose(p place) (chosen []source, why string) {
	if p.switchedBy != "" && !r.flags[p.switchedBy] {
		return nil, "the driver's flag " + p.switchedBy + " is off"
	}
	last := ofLink
	for _, g := range p.groups {
		if r.has(g) {
			return g, ""
		}
		for _, s := range g {
			last = max(last, s.origin)
		}
	}
	switch {
	case last == ofDriver && r.driverErr != nil:
		return nil, r.driverErr.Error()
	case p.absent != "":
		return nil, p.absent
	case last == ofQueues && r.queuesErr != nil:
		return nil, r.queuesErr.Error()
	}
	return nil, "the driver has no such statistic"
}

// failed gives the error of what the sources would have been read from.
func (r *reading) failed(list []source) error {
	for _, s := range list {
		if s.origin == ofDriver && r.driverErr != nil {
			return r.driverErr
		}
		if s.origin == ofQueues && r.queuesErr != nil {
			return r.queuesErr
		}
	}
	return nil
}

// counter adds up what sources count from when it was made. It goes on when a
// statistic starts again from zero, as after a reset of the device, and when
// one comes or goes, as with a queue.
type counter struct {
	sources []source
	last    map[statKey]uint64
	total   uint64
}

func newCounter(list []source, r *reading) counter {
	c := counter{sources: list, last: map[statKey]uint64{}}
	c.start(r)
	return c
}

func (c *counter) see(r *reading) {
	r.each(c.sources, func(k statKey, v uint64) {
		if last := c.last[k]; v >= last {
			c.total += v - last
		} else {
			c.total += v
		}
		c.last[k] = v
	})
}

// forget makes the next reading count from zero: another interface has the
// name.
func (c *counter) forget() { clear(c.last) }

// start makes r the reading to count from.
func (c *counter) start(r *reading) {
	c.forget()
	r.each(c.sources, func(k statKey, v uint64) { c.last[k] = v })
}

// tally is what was lost at a place since it was opened.
type tally struct {
	name string
	all  counter
	// less is what an XDP program dropped. A driver has it among its drops or
	// not, and some have changed their mind from one version to the next.
	less counter
	// apart says that it has not: XDP has dropped more than the driver counts.
	apart bool
	most  uint64 // given out so far
}

func newTally(p place, chosen []source, r *reading) tally {
	return tally{name: p.name, all: newCounter(chosen, r), less: newCounter(p.less, r)}
}

// see takes in a later reading. In it, what XDP dropped must have been read
// before the drops it may be part of, or a frame in between would seem to be
// in the former only.
func (t *tally) see(r *reading) {
	t.less.see(r)
	t.all.see(r)
}

// frames is what was lost. It never goes back. As long as the driver counts at
// least what XDP dropped, the one is taken to be part of the other, since a
// sensor's program is meant to drop and a NIC is not.
func (t *tally) frames() uint64 {
	t.apart = t.apart || t.less.total > t.all.total
	n := t.all.total
	if !t.apart {
		n -= t.less.total
	}
	t.most = max(t.most, n)
	return t.most
}
