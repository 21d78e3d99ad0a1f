package nic

// Loss is a number of frames by the place where they were lost, in snake_case.
// The places of an interface depend on its driver and do not change while its
// Counters are open.
type Loss struct {
	Place  string
	Frames uint64
}

// Counts are what happened on the way in, from the wire to the capture ring,
// since Counters were opened.
type Counts struct {
	// Losses are frames that came to the interface and went no further. No
	// frame is in two of them, and what an XDP program dropped is in none.
	Losses []Loss
	// Signs are numbers that hint at losses: of events that cost frames or
	// not, or of the reasons of frames that Losses have already.
	Signs []Loss
	// Unknown are places that the driver may know and does not tell: their
	// losses are not zero but unknown.
	Unknown []Untold
}

// Untold is a place without a number.
type Untold struct {
	Place string
	Why   string
}
