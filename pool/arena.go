package pool

import "unsafe"

// Arena hands out blocks of a few units by number, of several lengths. Numbers
// start at 1; 0 means none. Who gives one back says how long it is. A block that is
// given back is used again for one of its length, the latest first. It is owned by
// one goroutine. The zero value is ready for use.
type Arena struct {
	chunks []unsafe.Pointer
	free   [MostUnits + 1]uint32 // by length: the latest block; each begins with the number of the one before
	next   uint32                // unit that was never handed out
	left   uint32                // of those, how many the latest chunk has
	held   int                   // units
	memory Memory
}

// Unit is the length of one, octets, and MostUnits how many a block has at most.
const (
	Unit      = 32
	MostUnits = 8

	arenaBits = 9 // of the number of a unit within a chunk
)

// At gives the block of a number. It stays where it is until it is put back, or the
// arena is no longer reachable.
func (a *Arena) At(i uint32) unsafe.Pointer {
	return unsafe.Add(a.chunks[i>>arenaBits], uintptr(i&(1<<arenaBits-1))*Unit)
}

// Get hands out a block of n units. What it holds is anything.
func (a *Arena) Get(n int) uint32 {
	a.held += n
	if i := a.free[n]; i != 0 {
		a.free[n] = *(*uint32)(a.At(i))
		return i
	}
	if int(a.left) < n {
		a.grow()
	}
	i := a.next
	a.next += uint32(n)
	a.left -= uint32(n)
	return i
}

// grow begins a chunk. What is left of the one before is a short block.
func (a *Arena) grow() {
	if a.left > 0 {
		a.put(a.next, int(a.left))
	}
	a.next, a.left = uint32(len(a.chunks))<<arenaBits, 1<<arenaBits
	a.chunks = append(a.chunks, unsafe.Pointer(unsafe.SliceData(MakeSlice[[Unit]byte](&a.memory, 1<<arenaBits))))
	if a.next == 0 { // that number is none
		a.next, a.left = 2, a.left-2 // blocks of even length begin lines
	}
}

// Put takes back a block of n units.
func (a *Arena) Put(i uint32, n int) {
	a.held -= n
	a.put(i, n)
}

func (a *Arena) put(i uint32, n int) {
	*(*uint32)(a.At(i)) = a.free[n]
	a.free[n] = i
}

// Octets is what is handed out.
func (a *Arena) Octets() int64 { return int64(a.held) * Unit }
