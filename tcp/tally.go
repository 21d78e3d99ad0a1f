package tcp

// Class says what made a sender repeat (RFC 5681, 6298, 6582, 6675, 8985).
type Class uint8

// Classes in the order of the output.
const (
	ClassSYN Class = iota
	ClassSYNACK
	ClassFIN
	ClassFast
	ClassRecovery
	ClassLostRetransmission
	ClassTLP
	ClassRTO
	ClassRTORecovery
	ClassTimer // a tail repeat that fits both the probe and the retransmission timer
	ClassUnknown
	NumClasses
)

func (c Class) String() string {
	return [...]string{
		"syn", "synack", "fin", "fast", "recovery", "lost_retransmission", "tlp", "rto", "rto_recovery", "timer", "unknown",
	}[c]
}

// tally counts what most directions never see.
type tally struct {
	packets, segments    uint32
	bytes                int64
	spuriousPackets      uint32
	spuriousBytes        int64
	before, after        uint32 // packets whose original was lost before, or behind, the observation point
	unlocated            uint32
	inferred             uint32
	dsackUnmatched       uint32
	ambiguous            uint32 // repeats of which the evidence allows another reading
	offload              uint32 // repeats of more than a segment
	byClass              [NumClasses]uint32
	oooPackets           uint32
	oooExtent            uint32
	oooLate              int64
	netDups              uint32
	keepAlives           uint32
	zwEpisodes, zwProbes uint32
	zwTime, wfTime       int64
	missed               int64 // octets acknowledged and never recorded
	strays               uint32
	untracked            bool
}

// count adds a repeat.
func (y *tally) count(r *repeat, segments int64) {
	y.packets++
	y.segments += uint32(segments)
	y.bytes += r.payload
	y.byClass[r.class]++
	if segments > 1 {
		y.offload++
	}
	y.place(r, +1)
}

// place adds a repeat to its verdict, or takes it back.
func (y *tally) place(r *repeat, by int32) {
	switch r.verdict {
	case spurious:
		y.spuriousPackets += uint32(by)
		y.spuriousBytes += int64(by) * r.payload
	case lostAfter:
		y.after += uint32(by)
	case lostBefore:
		y.before += uint32(by)
	case unlocated:
		y.unlocated += uint32(by)
	}
}

// needless changes the verdict of a repeat: the receiver had it already.
func (y *tally) needless(r *repeat) {
	if r.verdict != spurious {
		y.place(r, -1)
		r.verdict = spurious
		y.place(r, +1)
	}
}
