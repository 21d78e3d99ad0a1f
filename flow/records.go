package flow

import (
	"unsafe"

	"mirrorscope/pool"
	"mirrorscope/session"
)

// Records is a list of records that grows without moving them: they are large.
// Beside it is a list of those that are small. The zero value is empty. Its memory
// is used again after Reset.
type Records struct {
	pages     []*recordPage
	n         int
	rooms     []*roomPage // of records, by place, as far as they have one
	lonePages []*lonePage
	lones     int
}

// lonePage is 4 KiB.
type lonePage [64]Lone

// Lones is how many small ones there are.
func (l *Records) Lones() int { return l.lones }

// Lone is one of the small ones, valid until Reset.
func (l *Records) Lone(i int) *Lone {
	return &l.lonePages[i/len(lonePage{})][i%len(lonePage{})]
}

// LonePages is on how many pages they are.
func (l *Records) LonePages() int { return (l.lones + len(lonePage{}) - 1) / len(lonePage{}) }

// LonePage lends those of a page, of which there is one at least.
func (l *Records) LonePage(i int) []Lone {
	return l.lonePages[i][:min(l.lones-i*len(lonePage{}), len(lonePage{}))]
}

// addLone gives a small one at the end of its list, not cleared.
func (l *Records) addLone() *Lone {
	if l.lones == len(l.lonePages)*len(lonePage{}) {
		l.lonePages = append(l.lonePages, new(lonePage))
	}
	l.lones++
	return l.Lone(l.lones - 1)
}

// dropLone takes back the latest small one.
func (l *Records) dropLone() { l.lones-- }

// recordPage is about 10 KiB: there are many lists, most of them short.
type recordPage [8]Record

// Len is how many there are.
func (l *Records) Len() int { return l.n }

// At is one of them, valid until Reset.
func (l *Records) At(i int) *Record { return &l.pages[i/len(recordPage{})][i%len(recordPage{})] }

// Add gives a zero record at the end of the list. It is cleared here, where its
// memory is needed next, and not by Reset.
func (l *Records) Add() *Record {
	if l.n == len(l.pages)*len(recordPage{}) {
		l.pages = append(l.pages, new(recordPage))
	}
	if l.n++; l.n < len(l.pages)*len(recordPage{}) {
		pool.PrefetchWrite(unsafe.Pointer(l.At(l.n)), recordLines) // the next one
	}
	r := l.At(l.n - 1)
	*r = Record{}
	return r
}

// recordLines is how many cache lines a record takes.
const recordLines = (int(unsafe.Sizeof(Record{})) + 63) / 64

// roomPage has the rooms of a recordPage, about 4 KiB.
type roomPage [len(recordPage{})]session.Room

// room is where the record that was added last may put its report, until Reset. What
// is there is anything.
func (l *Records) room() *session.Room {
	page := (l.n - 1) / len(roomPage{})
	for page >= len(l.rooms) {
		l.rooms = append(l.rooms, new(roomPage))
	}
	return &l.rooms[page][(l.n-1)%len(roomPage{})]
}

// Forget lets go of all that a record holds beside itself. It must not be read any
// more.
func (r *Record) Forget() {
	r.DropReport()
	for i := range r.Ends {
		r.Ends[i].Name = ""
	}
}

// DropReport lets go of what was heard, and of distributions: what may be lent.
func (r *Record) DropReport() { r.Report, r.Distributions = session.Report{}, nil }

// truncate keeps the first n.
func (l *Records) truncate(n int) {
	for i := n; i < l.n; i++ {
		l.At(i).Forget()
	}
	l.n = n
}

// Reset empties the list, whose records were forgotten. Memory beyond a few pages
// that the last use did not need is given back.
func (l *Records) Reset() {
	l.pages = fewer(l.pages, l.n, len(recordPage{}))
	l.rooms = fewer(l.rooms, l.n, len(roomPage{}))
	l.lonePages = fewer(l.lonePages, l.lones, len(lonePage{}))
	l.n, l.lones = 0, 0
}

// fewer lets go of pages beyond twice those that n values on pages of each need.
func fewer[T any](pages []*T, n, each int) []*T {
	keep := max(2*((n+each-1)/each), 4)
	if len(pages) <= keep {
		return pages
	}
	clear(pages[keep:])
	return pages[:keep]
}
