package packet

// fragmentTable holds the packets under reassembly and those completed of
// late, in order of arrival, in all and by observation point.
type fragmentTable struct {
	cfg     FragmentConfig
	timeout int64 // ns
	entries map[fragKey]*reassembly
	points  map[PointKey]*fragQueue
	fragQueue
	octets int    // memory that all reassemblies hold
	whole  []byte // the packet completed last

	lostWalk   walk
	lostPacket Packet
}

// fragQueue is a list of reassemblies, oldest first.
type fragQueue struct {
	oldest, newest *reassembly
	n              int
}

// links are a reassembly's neighbours in a fragQueue.
type links struct{ older, newer *reassembly }

func (f *fragmentTable) init(cfg FragmentConfig) {
	f.cfg = cfg
	f.timeout = int64(cfg.Timeout)
	f.entries = make(map[fragKey]*reassembly)
	f.points = make(map[PointKey]*fragQueue)
}

// expired tells whether e has had its time at now. A clock that stepped back
// by more than the timeout ends it as well.
func (f *fragmentTable) expired(e *reassembly, now int64) bool {
	age := now - e.started
	return age > f.timeout || age < -f.timeout
}

func (f *fragmentTable) insert(key *fragKey, now int64) *reassembly {
	e := &reassembly{key: *key, started: now, total: -1}
	f.entries[*key] = e
	e.all.older = f.newest
	if f.newest != nil {
		f.newest.all.newer = e
	} else {
		f.oldest = e
	}
	f.newest = e
	f.n++

	q := f.points[key.point]
	if q == nil {
		q = new(fragQueue)
		f.points[key.point] = q
	}
	e.point.older = q.newest
	if q.newest != nil {
		q.newest.point.newer = e
	} else {
		q.oldest = e
	}
	q.newest = e
	q.n++
	return e
}

func (f *fragmentTable) remove(e *reassembly) {
	delete(f.entries, e.key)
	if e.all.older != nil {
		e.all.older.all.newer = e.all.newer
	} else {
		f.oldest = e.all.newer
	}
	if e.all.newer != nil {
		e.all.newer.all.older = e.all.older
	} else {
		f.newest = e.all.older
	}
	f.n--

	q := f.points[e.key.point]
	if e.point.older != nil {
		e.point.older.point.newer = e.point.newer
	} else {
		q.oldest = e.point.newer
	}
	if e.point.newer != nil {
		e.point.newer.point.older = e.point.older
	} else {
		q.newest = e.point.older
	}
	if q.n--; q.n == 0 {
		delete(f.points, e.key.point)
	}
}
