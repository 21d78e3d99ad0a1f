package pipeline

import (
	"unsafe"

	"mirrorscope/flow"
)

// room is how much may be on the way from the tables to the output, beside the
// memory of the tables.
type room struct {
	records int // in all, about
	piece   int // made at a time
	pieces  int // on the way at a time
	packets int // after which the records that are ready leave, so that what a second ends need not fit into memory
}

const (
	// A piece is folded or written while it is still in the caches. More of them
	// than one that is made and one that is written would only wait. Where shards have
	// goroutines of their own, all wait for each other behind a piece: it has sharedLen then, and
	// there are sharedPieces, so that shards have something to do while one is folded.
	pieceLen, mostPieces    = 1 << 9, 2
	sharedLen, sharedPieces = 1 << 11, 4
	mostRecords             = 1 << 15
	leastWait, mostWait     = 1 << 11, 1 << 15 // packets
)

// newRoom gives records an eighth of the tables' memory, some MiB at least, and
// no more than helps. piece, if not 0, is that of a test.
func newRoom(memory int64, shards, piece int) room {
	r, most := room{records: int(min(memory/8/int64(unsafe.Sizeof(flow.Record{})), mostRecords)), piece: pieceLen}, mostPieces
	if shards > 1 {
		r.piece, most = max(pieceLen, min(sharedLen, r.records/4)), sharedPieces
	}
	if piece > 0 {
		r.piece = piece
	}
	r.pieces = min(max(r.records/r.piece, 2), most)
	r.packets = min(max(r.records/4, leastWait), mostWait) // a packet may end a connection, which gives two records
	r.packets = min(r.packets, collectEvery)
	return r
}

// collectEvery bounds room.packets in tests.
var collectEvery = mostWait

// packetMemory is about what a packet with a full payload takes in a batch, octets.
const packetMemory = 256 + 1500

// Beside is what a run may hold beside Flow.Memory, octets: records on their way
// to the output, what a table knows beside its flows, batches and fragments.
func Beside(c *Config) int64 {
	r := newRoom(c.Flow.Memory, c.Shards, 0)
	records := (r.pieces+1)*r.piece + 2*r.packets // on the way, and what the tables have ready
	n := min(c.Shards, flow.Partitions)
	return int64(records)*int64(unsafe.Sizeof(flow.Record{})) + flow.Beside(c.Flow.Memory, c.Decode.MaxPoints) +
		int64(batchLen(n)*(depth+2))*packetMemory + int64(c.Decode.Fragments.Octets)
}
