package packet

import "math/bits"

// MirrorSequence tells what the sequence numbers of a mirror say of one
// observation point: how many of its frames were lost on their way from the
// mirrored device to the capture. Of the mirrors only ERSPAN (types II and III)
// numbers what it sends.
type MirrorSequence struct {
	Frames uint64 // numbered frames that came
	Lost   uint64 // numbers that did not come within the 64 that followed them; never goes back
	Late   uint64 // numbers that may still come, as of now
	Resets uint64 // the numbering began anew: what was lost then is not known
}

// sequence follows the numbers of one sender, as a replay window does
// (RFC 4303 section 3.4.3): seen holds which of the latest 64 came.
type sequence struct {
	MirrorSequence
	id      PointID
	highest uint32
	seen    uint64 // bit n: highest-n came
}

// maxMirrorGap is the largest step that is believed to be a loss. Beyond it the
// sender has begun anew, or somebody makes the numbers up.
const maxMirrorGap = 1 << 14

func (s *sequence) add(n uint32) {
	s.Frames++
	step := int32(n - s.highest)
	switch {
	case s.Frames == 1:
		s.highest, s.seen = n, ^uint64(0) // before the first one nothing was missed
	case step > maxMirrorGap || step < -maxMirrorGap:
		s.Resets++
		s.Lost += uint64(bits.OnesCount64(^s.seen))
		s.highest, s.seen = n, ^uint64(0)
	case step > 0:
		s.highest = n
		if step < 64 {
			s.Lost += uint64(bits.OnesCount64(^s.seen >> (64 - uint(step))))
			s.seen = s.seen<<uint(step) | 1
		} else {
			s.Lost += uint64(bits.OnesCount64(^s.seen)) + uint64(step) - 64
			s.seen = 1
		}
	case -step < 64:
		s.seen |= uint64(1) << uint(-step) // late
	}
}

// sequences are those of a Decoder, by the key that the frame itself gives.
type sequences struct {
	by   map[PointKey]*sequence
	key  PointKey // of last
	last *sequence
}

// numbered takes the mirror's number of the frame at hand. Frames that give no
// packet count as well.
func (d *Decoder) numbered(w *walk, n uint32) {
	q := &d.sequences
	if q.last == nil || q.key != w.point {
		s := q.by[w.point]
		if s == nil {
			if len(q.by) >= d.cfg.MaxPoints {
				return
			}
			if q.by == nil {
				q.by = make(map[PointKey]*sequence)
			}
			s = &sequence{id: d.pointID(w.point)}
			q.by[w.point] = s
		}
		q.key, q.last = w.point, s
	}
	q.last.add(n)
}

// MirrorSequences adds up what the numbers of the mirrors said, by observation
// point; points without numbers are not in it.
func (d *Decoder) MirrorSequences() map[PointID]MirrorSequence {
	sums := make(map[PointID]MirrorSequence, len(d.sequences.by))
	for _, s := range d.sequences.by {
		sum := sums[s.id]
		sum.Frames += s.Frames
		sum.Lost += s.Lost
		sum.Late += uint64(bits.OnesCount64(^s.seen))
		sum.Resets += s.Resets
		sums[s.id] = sum
	}
	return sums
}
