package path

// repeat notes that a sight recorded sequence space that it, or its sender,
// had passed before.
type repeat struct {
	at     int64  // record time there
	packet uint64 // counter in recent
	before uint64 // counter + 1 of the note before of the same sight
	end, n uint32
	dir    uint8
	acked  bool // by then the receiver was known to have all of it
}

// repeats is a ring of the latest notes of all sights.
type repeats struct {
	ring []repeat // length a power of two
	next uint64
}

// maxRepeats of a partition are remembered; a sight's oldest leave first.
const maxRepeats = 1 << 12

// maxWalk bounds the notes that one verdict looks at.
const maxWalk = 512

func (r *repeats) add(x repeat) (counter uint64) {
	if n := len(r.ring); r.next == uint64(n) && n < maxRepeats {
		grown := make([]repeat, max(64, 2*n))
		copy(grown, r.ring)
		r.ring = grown
	}
	r.ring[r.next&uint64(len(r.ring)-1)] = x
	r.next++
	return r.next - 1
}

// find gives a note by its counter + 1, or nil when there is none or no more.
func (r *repeats) find(after uint64) *repeat {
	if after == 0 || r.next-(after-1) > uint64(len(r.ring)) {
		return nil
	}
	return &r.ring[(after-1)&uint64(len(r.ring)-1)]
}

// first finds the earliest note of a sight, whose latest one is given, that
// was recorded after a time and repeats some of the sequence space of packet.
func (r *repeats) first(latest uint64, e *entry, packet uint64, later int64) (found *repeat) {
	for range maxWalk {
		x := r.find(latest)
		if x == nil || x.at <= later {
			break
		}
		if x.dir == e.dir && x.packet != packet && overlap(x.end, x.n, e.end, e.n) {
			found = x
		}
		latest = x.before
	}
	return found
}
