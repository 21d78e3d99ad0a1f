package flow

import "mirrorscope/packet"

// Capture tells the health of the input: what came in, what of it was
// decoded, and why the rest was not. Packets = Decoded + Σ Skipped.
type Capture struct {
	Packets uint64 // frames read
	Bytes   uint64 // octets of those frames on the wire, link header included
	Decoded uint64 // frames that gave a packet, alone or as one of its fragments
	Skipped [packet.NumSkips]uint64

	UnknownLinks map[string]uint64 // frames by link type that the decoder does not read (within Skipped)

	MirrorDuplicates uint64 // decoded, and in no connection's volume
	Truncated        uint64 // decoded, captured only in part
	Malformed        uint64 // decoded, with a transport header that contradicts itself
	Stray            uint64 // decoded, of an older connection of the same 5-tuple: in no connection's volume
	CopiesForgotten  uint64 // packets forgotten so early that a later copy of them could not be recognised
	ClockSteps       uint64 // record times that went backwards by more than CLOCK_STEP
	PayloadShed      uint64 // decoded packets whose payload was left out because the sensor could not keep up
	Unread           uint64 // pieces of what connections said that found no room and were not read

	Connections uint64 // Connection records written
	Evicted     uint64 // of those, ended for lack of resources
	Uncompared  uint64 // of those, not compared between observation points for lack of resources

	// Losses are frames that came to the sensor's machine and were not read, by
	// the place where they were lost; what the sources of a live capture tell.
	Losses []Loss
	// Prefiltered are frames that a filter in front of a live capture left out,
	// as it was told, by rule or reason.
	Prefiltered []Loss
	// Rules are the frames that each rule of that filter decided, by its name.
	Rules []Loss
	// Events are what befell a live capture without costing a known number of
	// frames.
	Events []Loss

	// Inventory tells how each source of what is known of clouds does; of a live
	// capture that has some.
	Inventory []Inventory

	Step      int     // of the overload plan at the moment; 0: everything is measured
	Sample    uint32  // one of so many connections is measured at the moment
	Open      uint64  // connections in the tables
	Memory    int64   // octets that those hold
	TableFill float64 // share of the fullest table that is taken, 0 to 1

	At int64 // ns: the state is that of this moment of packet time; 0: of the end

	First, Last int64 // record time of the earliest and the latest frame, ns; 0, 0 when there is none
	Points      []PointCapture
	MorePoints  int     // … that are not among them, the least busy ones
	Errors      []error // what could not be read, with file and offset
}

// Loss is a number of frames by the place where they were lost; or of what else
// is counted by place.
type Loss struct {
	Place  string
	Frames uint64
}

// Inventory is how one source of names does: an account and region of a cloud, a
// cluster.
type Inventory struct {
	Source                string
	Taken                 int64 // ns: when what is known was read; 0: nothing is
	Age                   int64 // ns from then to now
	Interfaces, Instances int
	Unread                int    // addresses that it told and that are none
	Failures              int    // attempts that failed since
	Error                 string // of the latest one; "" it was good
	FromDisk              bool   // what is known is of an earlier run
}

// MirrorSkipped is what the mirror of a machine left out, as its cloud counts it:
// packets that the mirror's filter wanted and that were not copied, as the machine's
// own traffic goes first. Counts of -1 are not known.
type MirrorSkipped struct {
	Instance       string // id of the machine; what is counted is of all its interfaces
	Packets, Bytes int64  // both directions
	From, To       int64  // ns: what is counted
	Gap            int64  // ns within, of which nothing is known
}

// LossRatio is the share of the TCP data that the capture missed. ok is false
// where there was no data.
func (p *PointCapture) LossRatio() (ratio float64, ok bool) {
	if p.Missed+p.Recorded == 0 {
		return 0, false
	}
	return float64(p.Missed) / (float64(p.Missed) + float64(p.Recorded)), true
}

// PointCapture is the part of one observation point.
type PointCapture struct {
	ID               packet.PointID
	Packets          uint64
	Bytes            uint64 // IP octets
	MirrorDuplicates uint64
	Missed, Recorded int64                 // octets of TCP sequence space in its connections: acknowledged and not recorded; recorded, repeats once
	Sequence         packet.MirrorSequence // what the mirror's own numbering tells; Frames 0: it does not number
	Skipped          *MirrorSkipped        // what the mirror of its sender left out; nil: not known
	DupMirror        bool                  // tagged: more than a fifth of a minute's packets were copies
	BothDirections   bool                  // at least one flow was recorded in both directions
}
