package pool

import (
	"math"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"
)

// Memory hands out blocks outside of the heap of the Go runtime, where the
// system has such: the garbage collector neither looks into them nor grows
// with them, and they lie together in huge pages. Nothing in them may point to
// the heap. The zero value is ready for use. When it is no longer reachable,
// its blocks are used for others, so whoever holds a pointer into one must hold
// the Memory, too. It is owned by one goroutine.
type Memory struct{ anchor *anchor }

// anchor is what a Memory is gone with.
type anchor struct{ blocks *blocks }

// blocks that a Memory holds, by address, with their lengths.
type blocks map[unsafe.Pointer]uintptr

// New gives a zero value. Values of types with pointers are on the heap.
func New[T any](m *Memory) *T {
	if hasPointers[T]() {
		return new(T)
	}
	var zero T
	return (*T)(m.take(unsafe.Sizeof(zero)))
}

// MakeSlice gives n zero values of a type without pointers.
func MakeSlice[T any](m *Memory, n int) []T {
	var zero T
	if n == 0 || unsafe.Sizeof(zero) == 0 || hasPointers[T]() {
		return make([]T, n)
	}
	return unsafe.Slice((*T)(m.take(uintptr(n)*unsafe.Sizeof(zero))), n)
}

// FreeSlice takes back what MakeSlice gave, all of it.
func FreeSlice[T any](m *Memory, s []T) {
	if m.anchor == nil || cap(s) == 0 {
		return
	}
	p := unsafe.Pointer(unsafe.SliceData(s))
	if n, ok := (*m.anchor.blocks)[p]; ok {
		delete(*m.anchor.blocks, p)
		shared.give(p, n)
	}
}

func (m *Memory) take(n uintptr) unsafe.Pointer {
	if m.anchor == nil {
		b := make(blocks)
		m.anchor = &anchor{&b}
		runtime.AddCleanup(m.anchor, func(b *blocks) {
			for p, n := range *b {
				shared.give(p, n)
			}
		}, &b)
	}
	n = (n + line - 1) / line * line
	p := shared.take(n)
	(*m.anchor.blocks)[p] = n
	return p
}

// line is the length of a cache line, to which blocks are aligned, octets.
const line = 64

// withPointers remembers by type what pointers has told: it looks at each field.
var withPointers sync.Map

// hasPointers tells whether values of type T hold any.
func hasPointers[T any]() bool {
	t := reflect.TypeFor[T]()
	if known, ok := withPointers.Load(t); ok {
		return known.(bool)
	}
	has := pointers(t)
	withPointers.Store(t, has)
	return has
}

// pointers tells whether values of a type hold any.
func pointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32,
		reflect.Uint64, reflect.Uintptr, reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return false
	case reflect.Array:
		return t.Len() > 0 && pointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if pointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	}
	return true
}

// heap is what all Memories take their blocks from: regions that are filled
// from the front, and blocks that were given back, by length. Lengths are few:
// those of the chunks of each type, and powers of two.
type heap struct {
	sync.Mutex
	region []byte // of the latest region, what is not handed out
	free   map[uintptr][]unsafe.Pointer
	big    map[unsafe.Pointer][]byte // mappings of their own
	mapped int64                     // octets
	owed   int64                     // octets that the memory limit of the runtime was too small to be lowered by
}

var shared = heap{free: make(map[uintptr][]unsafe.Pointer), big: make(map[unsafe.Pointer][]byte)}

const (
	regionLen = 4 << 20       // octets, a multiple of a huge page
	bigBlock  = regionLen / 2 // a huge page: what is shorter would have none by itself

	largeBlock = 32 << 10 // from which on the system has the pages while nobody has the block
)

// take gives n octets of zeroes, aligned to a line.
func (h *heap) take(n uintptr) unsafe.Pointer {
	h.Lock()
	defer h.Unlock()
	if list := h.free[n]; len(list) > 0 {
		p := list[len(list)-1]
		h.free[n] = list[:len(list)-1]
		if n >= largeBlock {
			populate(unsafe.Slice((*byte)(p), n))
		}
		clear(unsafe.Slice((*byte)(p), n))
		return p
	}
	if n >= bigBlock {
		mapping, b := mapMemory(int(n))
		h.account(int64(n))
		p := unsafe.Pointer(unsafe.SliceData(b))
		h.big[p] = mapping
		return p
	}
	if uintptr(len(h.region)) < n {
		_, h.region = mapMemory(regionLen)
		h.account(regionLen)
	}
	p := unsafe.Pointer(unsafe.SliceData(h.region))
	h.region = h.region[n:]
	return p
}

func (h *heap) give(p unsafe.Pointer, n uintptr) {
	h.Lock()
	defer h.Unlock()
	if mapping, ok := h.big[p]; ok {
		delete(h.big, p)
		unmapMemory(mapping)
		h.account(-int64(n))
		return
	}
	if n >= largeBlock {
		releasePages(unsafe.Slice((*byte)(p), n))
	}
	h.free[n] = append(h.free[n], p)
}

// account takes what is mapped off the memory limit of the runtime: that is for
// the process, and the runtime does not see what lies outside of its heap.
func (h *heap) account(n int64) {
	if !offHeap {
		return
	}
	const least = 1 << 20
	h.mapped += n
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		limit -= n + h.owed
		h.owed = max(least-limit, 0)
		debug.SetMemoryLimit(max(limit, least))
	}
}

// Mapped is how many octets of the process are held outside of the heap.
func Mapped() int64 {
	shared.Lock()
	defer shared.Unlock()
	return shared.mapped
}
