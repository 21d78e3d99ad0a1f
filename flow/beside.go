package flow

// What tables hold beside Config.Memory is bounded, too, by that.

// maxLearned bounds listeners and pairs of hosts, each.
func maxLearned(memory int64) int { return int(min(max(memory>>10, 1<<12), 1<<18)) }

// maxNamed bounds the addresses of which names are known.
func maxNamed(memory int64) int { return int(min(max(memory>>11, 1<<12), 1<<17)) }

// Beside is what all tables together, and what they have learned, may hold
// beside Config.Memory, octets: interval records of connections that have ended,
// until the interval does; what is known of hosts, names and observation points;
// and the first pages of everything.
func Beside(memory int64, points int) int64 {
	const (
		learned = 220 // octets of a listener and a pair
		named   = 512 // of an address with its names
		point   = Partitions*200 + 700
		first   = 384 << 10 // of each table
	)
	return memory/8 + int64(maxLearned(memory))*learned + int64(maxNamed(memory))*named + int64(points)*point + Partitions*first
}
