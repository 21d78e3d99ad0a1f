package pool

import "unsafe"

// Arena hands out blocks of a few units by number, of several lengths, and runs of
// many. Numbers start at 1; 0 means none. Who gives one back says how long it is. A
// block that is given back is used again for one of its length, the latest first; a
// run for another, or for blocks. It is owned by one goroutine. The zero value is ready
// for use.
type Arena struct {
	chunks []unsafe.Pointer
	free   [MostUnits + 1]uint32 // by length: the latest block; each begins with the number of the one before
	runs   uint32                // likewise
	next   uint32                // unit that was never handed out, or of a run that was given back
	left   uint32                // of those, how many there are in a row
	held   int                   // units of blocks
	memory Memory
}

// Unit is the length of one, octets, MostUnits how many a block has at most, and
// RunUnits how many a run has.
const (
	Unit      = 8
	MostUnits = 40
	RunUnits  = 256

	arenaBits = 13 // of the number of a unit within a chunk
)

// At gives the block of a number. It stays where it is until it is put back, or the
// arena is no longer reachable.
func (a *Arena) At(i uint32) unsafe.Pointer {
	return unsafe.Add(a.chunks[i>>arenaBits], uintptr(i&(1<<arenaBits-1))*Unit)
}

// PrefetchFree begins to load the block that Get gives next, of n units, if there is memory
// for it.
func (a *Arena) PrefetchFree(n int) {
	i := a.free[n]
	if i == 0 {
		if i = a.next; int(a.left) < n {
			return
		}
	}
	PrefetchWrite(a.At(i), (n*Unit+63)/64)
}

// Get hands out a block of n units. What it holds is anything.
func (a *Arena) Get(n int) uint32 {
	a.held += n
	if i := a.free[n]; i != 0 {
		next := *(*uint32)(a.At(i))
		a.free[n] = next
		if next != 0 { // the one behind it is found there
			PrefetchWrite(a.At(next), 1)
		}
		return i
	}
	if int(a.left) < n {
		a.more(n)
	}
	return a.cut(n)
}

// GetRun hands out a run. What it holds is anything.
func (a *Arena) GetRun() uint32 {
	if i := a.runs; i != 0 {
		a.runs = *(*uint32)(a.At(i))
		return i
	}
	if a.left < RunUnits {
		a.grow()
	}
	return a.cut(RunUnits)
}

// cut takes n units of those that are in a row.
func (a *Arena) cut(n int) uint32 {
	i := a.next
	a.next += uint32(n)
	a.left -= uint32(n)
	return i
}

// more finds a row of n units: a run that was given back, a longer block, or a new
// chunk.
func (a *Arena) more(n int) {
	if i := a.runs; i != 0 {
		a.runs = *(*uint32)(a.At(i))
		a.rest()
		a.next, a.left = i, RunUnits
		return
	}
	for m := MostUnits; m > n; m-- {
		if i := a.free[m]; i != 0 {
			a.free[m] = *(*uint32)(a.At(i))
			a.rest()
			a.next, a.left = i, uint32(m)
			return
		}
	}
	a.grow()
}

// rest makes blocks of what is in a row.
func (a *Arena) rest() {
	for a.left > 0 {
		n := min(int(a.left), MostUnits)
		a.put(a.cut(n), n)
	}
}

// grow begins a chunk.
func (a *Arena) grow() {
	a.rest()
	a.next, a.left = uint32(len(a.chunks))<<arenaBits, 1<<arenaBits
	a.chunks = append(a.chunks, unsafe.Pointer(unsafe.SliceData(MakeSlice[[Unit]byte](&a.memory, 1<<arenaBits))))
	if a.next == 0 { // that number is none
		const skip = 64 / Unit // what follows begins lines as before
		a.next, a.left = skip, a.left-skip
	}
}

// PutRun takes back a run.
func (a *Arena) PutRun(i uint32) {
	*(*uint32)(a.At(i)) = a.runs
	a.runs = i
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

// Octets is what is handed out in blocks.
func (a *Arena) Octets() int64 { return int64(a.held) * Unit }
