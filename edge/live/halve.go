package live

import "math/rand/v2"

// candidate is a conversation by what decides whether it stays.
type candidate struct {
	octets int64
	*conversation
}

// less tells whether a goes before b.
func (a *candidate) less(b *candidate) bool {
	return a.octets < b.octets || a.octets == b.octets && compareKeys(&a.key, &b.key) < 0
}

// halve puts the conversations with the fewest octets in the window into other,
// until half of the room is free.
func (t *Table) halve() {
	all := t.ranks[:0]
	for _, v := range t.conversations.all[1:] {
		if v.known {
			all = append(all, candidate{v.octets, v})
		}
	}
	t.ranks = all
	n := max(len(all)-max(t.config.Conversations/2, 1), 0)
	part(all, n)
	for _, x := range all[:n] {
		for i, b := range x.steps {
			if b != nil {
				t.at(&t.other, b.step).sum(b)
				x.steps[i] = nil
				t.drop(b)
			}
		}
		t.leave(x.conversation)
		t.counts.Folded++
	}
	clear(all)
}

// part puts the first n in order before all others (quickselect, with any pivot: nobody
// who sends packets can choose it).
func part(all []candidate, n int) {
	for from, to := 0, len(all); to-from > 1 && from < n && n < to; {
		// Up to low they are less than the pivot, from high on greater.
		pivot := all[from+rand.IntN(to-from)]
		low, high := from, to-1
		for low <= high {
			switch {
			case all[low].less(&pivot):
				low++
			case pivot.less(&all[high]):
				high--
			default:
				all[low], all[high] = all[high], all[low]
				low++
				high--
			}
		}
		switch { // [from, high] ≤ pivot ≤ [low, to); what lies between is the pivot
		case n <= high:
			to = high + 1
		case n >= low:
			from = low
		default:
			return
		}
	}
}
