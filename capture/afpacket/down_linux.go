package afpacket

// Down tells whether the ring can receive nothing now: its interface is down, or
// has vanished. It may be called from any goroutine.
func (r *Ring) Down() bool {
	r.capture.mu.Lock()
	defer r.capture.mu.Unlock()
	return r.down || r.vanished || r.state != attached
}
