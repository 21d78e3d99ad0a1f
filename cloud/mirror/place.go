package mirror

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
)

// hash gives a number that depends on all parts and on where one ends. It must
// never change: it says which sensor an interface's traffic goes to.
func hash(parts ...string) uint64 {
	h := sha256.New()
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write([]byte(p))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// Place is a target that sources can be sent to.
type Place struct {
	Resource string // what receives: id or ARN; of an unknown one the target's id
	ID       string // of the target; "" it is to be created
	Kind     Kind
	Room     int  // sources that it takes; -1: any number, or not known
	Doubtful bool // it may be full: nobody is moved to it that has a place
}

// preference orders the places for a source, best first (rendezvous hashing: the
// order of two of them does not depend on what others there are).
func preference(nic string, places []Place) []int {
	scores := make([]uint64, len(places))
	order := make([]int, len(places))
	for i, p := range places {
		scores[i], order[i] = hash("place", p.Resource, nic), i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(-cmp.Compare(scores[a], scores[b]), cmp.Compare(places[a].Resource, places[b].Resource))
	})
	return order
}

// spread gives each source, in order of ids, a place: the first of its preference
// that has room. Sources that are at a place already (at, by source: an index, or
// -1) have their seat there before others come; where room is left at a place that
// they like better, they move to it. -1: there is no room anywhere.
//
// Without bounds that is the first preference for each. With them it is stable:
// spread of what it gave gives the same.
func spread(sources []string, places []Place, at map[string]int) map[string]int {
	left := make([]int, len(places))
	for i, p := range places {
		left[i] = p.Room
	}
	seat := map[string]int{}
	likes := map[string][]int{}
	take := func(nic string, i int) bool {
		if left[i] == 0 {
			return false
		}
		left[i]-- // below zero: any number
		seat[nic] = i
		return true
	}
	for _, nic := range sources {
		likes[nic] = preference(nic, places)
		seat[nic] = -1
		if i, ok := at[nic]; ok && i >= 0 {
			take(nic, i)
		}
	}
	for _, nic := range sources {
		if seat[nic] < 0 {
			for _, i := range likes[nic] {
				if take(nic, i) {
					break
				}
			}
		}
	}
	for moved := true; moved; {
		moved = false
		for _, nic := range sources {
			from := seat[nic]
			for _, i := range likes[nic] {
				if i == from || from < 0 {
					break
				}
				if !places[i].Doubtful && take(nic, i) {
					left[from]++
					moved = true
					break
				}
			}
		}
	}
	return seat
}

// numbers gives each key, in order, a VNI of its own between first and last: one
// of the chain that its hash begins. A key that has one of its chain keeps it
// (current), unless a key before it has the same. A key for which the whole
// chain is taken gets none.
func numbers(keys []string, current map[string]int, taken map[int]bool, first, last int) map[string]int {
	given := map[string]int{}
	used := map[int]bool{}
	for n := range taken {
		used[n] = true
	}
	link := func(key string, i int) int {
		return first + int(hash("vni", key, strconv.Itoa(i))%uint64(last-first+1))
	}
	for _, key := range keys {
		have, ok := current[key]
		if !ok || used[have] {
			continue
		}
		for i := range vniChain {
			if link(key, i) == have {
				given[key], used[have] = have, true
				break
			}
		}
	}
	for _, key := range keys {
		if _, ok := given[key]; ok {
			continue
		}
		for i := range vniChain {
			if n := link(key, i); !used[n] {
				given[key], used[n] = n, true
				break
			}
		}
	}
	return given
}
