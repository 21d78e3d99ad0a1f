package pool

import "unsafe"

// List is a slice of values without pointers, outside of the heap, that grows as
// they come. It is owned by one goroutine. The zero value is ready for use.
type List[T any] struct {
	items  []T
	before int // values when it was emptied: it will soon have as many
	memory Memory
}

// firstList is how many octets the first values take.
const firstList = 1 << 10

// Items are the values, until the next Add. They may be put in another order, and
// changed.
func (l *List[T]) Items() []T { return l.items }

// Len is how many there are.
func (l *List[T]) Len() int { return len(l.items) }

// Add adds a value.
func (l *List[T]) Add(v T) {
	if len(l.items) == cap(l.items) {
		l.grow()
	}
	l.items = append(l.items, v)
}

// Next adds a value, which is anything, and lends it until the next one.
func (l *List[T]) Next() *T {
	n := len(l.items)
	if n == cap(l.items) {
		l.grow()
	}
	l.items = l.items[:n+1]
	return &l.items[n]
}

// grow doubles the room, or makes that which the values had that were there before. What is
// taken and given back are powers of two: another list can have it.
func (l *List[T]) grow() {
	var zero T
	size := uintptr(firstList)
	for n := int(size / unsafe.Sizeof(zero)); n <= cap(l.items) || n < l.before; n = int(size / unsafe.Sizeof(zero)) {
		size *= 2
	}
	old := l.items
	octets := MakeSlice[[firstList]byte](&l.memory, int(size/firstList))
	l.items = append(unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(octets))), size/unsafe.Sizeof(zero))[:0], old...)
	FreeSlice(&l.memory, old)
}

// Truncate leaves the first n values.
func (l *List[T]) Truncate(n int) { l.items = l.items[:n] }

// Empty leaves none, and gives back the room if there is more than for some.
func (l *List[T]) Empty(most int) {
	l.before = len(l.items)
	if l.items = l.items[:0]; cap(l.items) > most {
		FreeSlice(&l.memory, l.items[:0])
		l.items = nil
	}
}
