package pipeline

import (
	"cmp"

	"mirrorscope/flow"
)

// merger puts records in order. What a table plans to tell comes in order, so
// that its list is one run, as a rule, and all that is left is to merge runs.
type merger struct {
	keys, spare []sortKey
	runs        []int // where each ends
}

// sortKey is what tells most records apart, so that they need not be looked at.
type sortKey struct {
	release, start int64
	kind           flow.Kind
	record         *flow.Record
}

func (a *sortKey) compare(b *sortKey) int {
	switch {
	case a.release != b.release:
		return cmp.Compare(a.release, b.release)
	case a.kind == b.kind && a.start != b.start:
		return cmp.Compare(a.start, b.start)
	}
	return flow.Compare(a.record, b.record)
}

// merge gives all records of some lists in order, valid until the next call.
func (m *merger) merge(lists []flow.Records) []sortKey {
	m.keys, m.runs = m.keys[:0], m.runs[:0]
	for i := range lists {
		for k := range lists[i].Len() {
			r := lists[i].At(k)
			m.keys = append(m.keys, sortKey{r.Release, r.Start, r.Kind, r})
			if n := len(m.keys); n > 1 && m.keys[n-2].compare(&m.keys[n-1]) > 0 {
				m.runs = append(m.runs, n-1)
			}
		}
	}
	m.runs = append(m.runs, len(m.keys))
	if cap(m.spare) < len(m.keys) {
		m.spare = make([]sortKey, cap(m.keys))
	}
	for len(m.runs) > 1 {
		m.pairs()
	}
	return m.keys
}

// pairs merges each run with the next.
func (m *merger) pairs() {
	to := m.spare[:0]
	begin, k := 0, 0
	for i := 0; i < len(m.runs); i += 2 {
		middle, end := m.runs[i], m.runs[i]
		if i+1 < len(m.runs) {
			end = m.runs[i+1]
		}
		a, b := m.keys[begin:middle], m.keys[middle:end]
		for len(a) > 0 && len(b) > 0 {
			if b[0].compare(&a[0]) < 0 {
				to, b = append(to, b[0]), b[1:]
			} else {
				to, a = append(to, a[0]), a[1:]
			}
		}
		to = append(append(to, a...), b...)
		m.runs[k] = end
		begin = end
		k++
	}
	m.keys, m.spare, m.runs = to, m.keys, m.runs[:k]
}
