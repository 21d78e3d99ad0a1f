package packet

// Sampled tells whether a connection belongs to the one of n that sampling
// keeps. hash is SymmetricHash of its innermost 5-tuple, so that both
// directions and all observation points agree; 0 and 1 keep all. Bits that the
// hash's other users look at (the top six name the partition) decide nothing
// here.
func Sampled(hash uint64, n uint32) bool {
	return n <= 1 || uint32(hash)%n == 0
}
