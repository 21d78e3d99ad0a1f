package afxdp

// Down tells whether the ring can receive nothing now: its interface is down, or
// has not been up yet. It may be called from any goroutine.
func (r *Ring) Down() bool { return !r.link.up.Load() || r.link.told.Load() }
