package prom

import (
	"cmp"
	"strings"
)

// Names are the sources of what addresses are called.
type Names struct {
	Sources   []NameSource
	Ambiguous uint64 // ends of records without a name, as several networks have the address
}

// NameSource is one of them: an account and region of a cloud, a cluster, a file.
type NameSource struct {
	Name    string
	Rank    string // "cloud", …
	Entries int    // prefixes that have tags now
	History int    // sets of tags that prefixes had before
	Age     Value  // s: how old what is known is
	Failing bool   // it could not be read the last time
	Changes uint64 // sets of tags that began or ended
	Dropped []NamesDropped
}

// NamesDropped is what found no room, or could not be used, by reason.
type NamesDropped struct {
	Reason  string
	Dropped uint64
}

// Drop adds to the count of a reason.
func (s *NameSource) Drop(reason string, n uint64) {
	for i := range s.Dropped {
		if d := &s.Dropped[i]; d.Reason == reason {
			d.Dropped += n
			return
		}
	}
	s.Dropped = append(s.Dropped, NamesDropped{reason, n})
}

// CompareNames orders sources by name.
func CompareNames(a, b *NameSource) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Rank, b.Rank))
}

func (f *families) defineNames() {
	with := func(labels ...string) []string { return append([]string{"source", "rank"}, labels...) }
	f.nameEntries = f.gauge("names_entries", "Addresses and prefixes that a source gives tags.", with()...)
	f.nameHistory = f.gauge("names_history_entries", "Sets of tags that addresses had before, for records of that time.", with()...)
	f.nameAge = f.gauge("names_age_seconds", "How old what is known of a source is: since the latest look at it that worked. Of a file that can be read, 0.", with()...)
	f.nameFailing = f.gauge("names_failing", "1 while a source cannot be read. What it said before stays.", with()...)
	f.nameChanges = f.counter("names_changes", "Sets of tags of an address that began or ended.", with()...)
	f.nameDropped = f.counter("names_dropped", "What of a source is left out, by reason.", with("reason")...)
	f.nameAmbiguous = f.counter("names_ambiguous", "Ends of records without tags, as their network is not known and several networks have the address.")
}

func (e *emitter) nameSources(n *Names) {
	unique := map[[2]string]bool{}
	for _, s := range bounded(n.Sources) {
		key := [2]string{label(s.Name), s.Rank}
		if unique[key] {
			continue
		}
		unique[key] = true
		e.put(e.nameEntries, float64(s.Entries), s.Name, s.Rank)
		e.put(e.nameHistory, float64(s.History), s.Name, s.Rank)
		if s.Age.known {
			e.put(e.nameAge, s.Age.v, s.Name, s.Rank)
		}
		failing := 0.0
		if s.Failing {
			failing = 1
		}
		e.put(e.nameFailing, failing, s.Name, s.Rank)
		e.count(e.nameChanges, s.Changes, s.Name, s.Rank)
		for _, d := range s.Dropped {
			e.count(e.nameDropped, d.Dropped, s.Name, s.Rank, d.Reason)
		}
	}
	e.count(e.nameAmbiguous, n.Ambiguous)
}
