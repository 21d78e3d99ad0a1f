package flow

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

// Add gives a zero record at the end of the list.
func (l *Records) Add() *Record {
	if l.n == len(l.pages)*len(recordPage{}) {
		l.pages = append(l.pages, new(recordPage))
	}
	l.n++
	return l.At(l.n - 1)
}

// truncate keeps the first n.
func (l *Records) truncate(n int) {
	for i := n; i < l.n; i++ {
		*l.At(i) = Record{}
	}
	l.n = n
}

// Reset empties the list. Memory beyond a few pages that the last use did not
// need is given back.
func (l *Records) Reset() {
	used := (l.n + len(recordPage{}) - 1) / len(recordPage{})
	l.truncate(0)
	if keep := max(2*used, 4); len(l.pages) > keep {
		clear(l.pages[keep:])
		l.pages = l.pages[:keep]
	}
}
