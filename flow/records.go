package flow

import "mirrorscope/session"

// Records is a list of records that grows without moving them: they are large.
// The zero value is empty. Its memory is used again after Reset.
type Records struct {
	pages []*recordPage
	n     int
}

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
	l.n++
	r := l.At(l.n - 1)
	*r = Record{}
	return r
}

// Forget lets go of all that a record holds beside itself. It must not be read any
// more.
func (r *Record) Forget() {
	r.Report, r.Distributions = session.Report{}, nil
	for i := range r.Ends {
		r.Ends[i].Name = ""
	}
}

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
	used := (l.n + len(recordPage{}) - 1) / len(recordPage{})
	l.n = 0
	if keep := max(2*used, 4); len(l.pages) > keep {
		clear(l.pages[keep:])
		l.pages = l.pages[:keep]
	}
}
