package packet

// Sampled tells whether a connection belongs to the one of n that sampling
// keeps. hash is SymmetricHash of its innermost 5-tuple, so that both
// directions and all observation points agree; 0 and 1 keep all. What is in the
// sample of one in n is in that of every smaller n.
func Sampled(hash uint64, n uint32) bool {
	// The partition and the ring are chosen by the hash itself: mixed again, so
	// that a sample is spread over all of them.
	return n <= 1 || uint64(uint32(hash*0x9e3779b97f4a7c15>>32))*uint64(n)>>32 == 0
}
