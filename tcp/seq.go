package tcp

// Sequence numbers compare modulo 2^32 with a signed difference (RFC 9293
// section 3.4).

// After tells whether a comes after b.
func After(a, b uint32) bool { return int32(a-b) > 0 }

// maxJump is the largest step that is still one stream: beyond it a packet is
// foreign, or the capture has a gap too large to tell.
const maxJump = 1 << 30

// firstPos is where a direction's positions start, so that they stay positive.
const firstPos = 1 << 32

// unwrap gives the 64-bit position of a sequence number that lies within
// 2^31 of near. The lower 32 bits of a position are the sequence number.
func unwrap(near int64, seq uint32) int64 { return near + int64(int32(seq-uint32(near))) }
