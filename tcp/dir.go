package tcp

// Dir is the state of one direction: what its sender sent, and what the other
// side said about it. Positions are 64-bit (see unwrap). The first 64 octets
// are what each packet needs; what most directions never need is in a rare of
// the Store.
type Dir struct {
	hi        int64 // end of the highest position: recorded, or acknowledged
	una       int64 // highest cumulative ACK recorded from the receiver
	seenAt    int64 // record time of the latest packet
	lastAt    int64 // … of the latest that occupied sequence space
	has       dirHas
	flight    uint32 // in the Store; 0 none
	tsval     uint32 // highest TSval sent
	movedEcr  uint32 // TSecr of the ACK that moved una last
	movedFrom uint32 // una before that, its lower 32 bits
	packets   uint32 // that occupied sequence space, network duplicates left out
	window    uint16 // as last advertised by this sender, not scaled
	idHigh    uint16 // highest IPv4 identification
	idSteps   int8   // steps of exactly 1 that the identifications made, less what speaks against a counter of its own
	idUp      int8   // small steps up in a row
	wscale    uint8
	ttl       uint8 // of the latest packet that is not an RST

	lo       int64  // first position recorded
	rtt      half   // timed from this direction's data to its ACK: the receiver's half of the path
	samples  uint32 // of rtt, clean: the ACK had no reason to wait
	maybe    uint32 // its delay may be the receiver's
	byStamps uint32 // of samples and maybe: taken by timestamps
	begin    uint32 // with hasISN: the ISN, of the SYN or SYN-ACK; else what the receiver acknowledged first
	fin      uint32 // position behind the FIN, its lower 32 bits
	rare     uint32 // in the Store; 0 none
	maxLen   uint16 // longest payload that is no super-packet
	repRun   uint8  // timer repeats of rare.repSeq in a row, without progress
	still    uint32 // with isStill: so long at least, in units of stillUnit; 0: until all is acknowledged
}

type dirHas uint32

const (
	hasSeq dirHas = 1 << iota
	hasUna
	hasISN
	hasTSval
	hasFIN
	hasTTL
	hasID
	hasOptions // all options of the SYN were recorded
	hasMSS
	hasWScale
	hasSACK
	hasTimestamps
	sentSYN
	sentSYNACK
	heard       // window holds that of a packet without SYN
	movedEcho   // movedEcr is known
	suspect     // rare.suspectAt is known
	suspectSeq  // rare.suspectFrom is known
	probing     // the receiver has closed its window, and nothing new was sent since
	recordedAll // the highest position is a recorded one; else rare.recorded tells
	troubled    // there is a trouble
	shut        // this side offers no window, since rare.zwSince
	full        // this side has filled the other's window, since rare.wfSince
	tailLost    // rare.tail is not 0
	repeating   // repRun is not 0
	lone        // one segment is in flight, without a flight: it ends at hi and was sent at lastAt
	loneStamped // it was the first to use tsval
	isStill     // the trouble is known to be still; no packet went the whole way since
)

// rare is what few directions need at all: those that lose something, that
// stop, or that the capture met in the middle. It stays until the connection is
// released.
type rare struct {
	trouble, tally uint32 // in the Store; 0 none

	first       int64  // without hasISN: position of the first packet recorded …
	firstAt     int64  // … its record time …
	firstTS     uint32 // … its TSval …
	firstID     uint16 // … and its IPv4 identification
	tail        uint8  // packets of a tail that was lost before the point and are still to come again
	repSeq      uint32 // first octet of the latest repeat
	repAt       int64  // its record time
	recorded    int64  // end of the highest position recorded, if not hi
	gapsBefore  int64  // octets of space passed before a gap that began a new count
	zwSince     int64
	wfSince     int64
	probeEnd    int64 // where the latest zero-window probe with data ended
	suspectEnd  int64
	suspectFrom int64 // a packet that lay further ahead than the window allows
	suspectAt   int64 // an ACK that lay further ahead than the sender can have come
}

// isn is the ISN, 0 where the SYN was not recorded.
func (d *Dir) isn() uint32 {
	if d.has&hasISN == 0 {
		return 0
	}
	return d.begin
}

// heardFirst notes the first ACK of the direction.
func (d *Dir) heardFirst(ack int64) {
	d.has |= hasUna
	if d.has&hasISN == 0 {
		d.begin = uint32(ack)
	}
}

// recorded is the end of the highest position recorded, 0 if none was.
func (d *Dir) recorded(st *Store) int64 {
	switch {
	case d.has&recordedAll != 0:
		return d.hi
	case d.rare != 0:
		return st.rares.At(d.rare).recorded
	}
	return 0
}

// setRecorded says how far was recorded.
func (d *Dir) setRecorded(st *Store, to int64) {
	if to == d.hi {
		d.has |= recordedAll
		return
	}
	d.has &^= recordedAll
	st.rareOf(d).recorded = to
}

// moveHi moves hi without anything being recorded.
func (d *Dir) moveHi(st *Store, hi int64) {
	st.flightIf(d)
	if d.has&recordedAll != 0 {
		d.has &^= recordedAll
		st.rareOf(d).recorded = d.hi
	}
	d.hi = hi
}

// zwSince is since when this side has offered no window; 0: it does.
func (d *Dir) zwSince(st *Store) int64 {
	if d.has&shut == 0 {
		return 0
	}
	return st.rares.At(d.rare).zwSince
}

// wfSince is since when this side has filled the other's window; 0: it has not.
func (d *Dir) wfSince(st *Store) int64 {
	if d.has&full == 0 {
		return 0
	}
	return st.rares.At(d.rare).wfSince
}

func (d *Dir) setTail(st *Store, n uint8) {
	st.rareOf(d).tail = n
	if d.has &^= tailLost; n > 0 {
		d.has |= tailLost
	}
}
