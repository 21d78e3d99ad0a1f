package tcp

// Sequence numbers compare modulo 2^32 with a signed difference (RFC 9293
// section 3.4).

// After tells whether a comes after b.
func After(a, b uint32) bool { return int32(a-b) > 0 }

// maxJump is the largest forward step that is still one stream: beyond it the
// packet is foreign, or the capture has a gap too large to tell.
const maxJump = 1 << 30
