package floor

import (
	"fmt"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"
)

// end is one end of a connection.
type end struct {
	addr uint32
	port uint16
}

// entry is a connection, two cache lines. Its sides are the lower and the higher
// end of the key; opener is the one that sent the first packet.
type entry struct {
	ends        uint64 // addresses; 0: the entry is free
	ports       uint32
	vni         uint32
	first, last int64 // ns since the Unix epoch
	packets     [2]uint64
	octets      [2]uint64
	payload     [2]uint64
	seq, ack    [2]uint32
	flags       [2]uint8
	opener      uint8
	_           [29]byte
}

const entrySize = 128

// table is open addressing with linear probing, in memory of its own that the
// garbage collector does not know.
type table struct {
	entries []entry
	memory  []byte
	shift   uint // the hash's top bits are the place
	used    int
}

// newTable makes a table for so many connections, and at least some.
func newTable(flows int) (*table, error) {
	t := new(table)
	return t, t.make(max(10, bits.Len(uint(flows+flows/3))))
}

// make gives the table 2^order free entries.
func (t *table) make(order int) error {
	m, err := unix.Mmap(-1, 0, entrySize<<order, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("a table of %d entries: %w", 1<<order, err)
	}
	_ = unix.Madvise(m, unix.MADV_HUGEPAGE) // where there are none, it is only slower
	t.memory, t.shift = m, uint(64-order)
	t.entries = unsafe.Slice((*entry)(unsafe.Pointer(unsafe.SliceData(m))), 1<<order)
	return nil
}

func (t *table) free() { _ = unix.Munmap(t.memory) }

// find gives the entry of a packet from src to dst, and which side src is.
func (t *table) find(src, dst end, vni uint32) (e *entry, side int, err error) {
	if src.addr > dst.addr || src.addr == dst.addr && src.port > dst.port {
		src, dst, side = dst, src, 1
	}
	ends, ports := uint64(src.addr)<<32|uint64(dst.addr), uint32(src.port)<<16|uint32(dst.port)
	if t.used*4 >= len(t.entries)*3 {
		if err := t.grow(); err != nil {
			return nil, 0, err
		}
	}
	for at := hash(ends, ports, vni) >> t.shift; ; at++ {
		e = &t.entries[at&uint64(len(t.entries)-1)]
		if e.ends == ends && e.ports == ports && e.vni == vni {
			return e, side, nil
		}
		if e.ends == 0 {
			e.ends, e.ports, e.vni = ends, ports, vni
			t.used++
			return e, side, nil
		}
	}
}

func hash(ends uint64, ports, vni uint32) uint64 {
	hi, lo := bits.Mul64(ends^0x9e3779b97f4a7c15, uint64(ports)<<32|uint64(vni)^0xbf58476d1ce4e5b9)
	return (hi ^ lo) * 0x94d049bb133111eb
}

// grow moves all entries into a table of twice the size.
func (t *table) grow() error {
	old := *t
	defer old.free()
	if err := t.make(65 - int(old.shift)); err != nil {
		t.memory = nil
		return err
	}
	for i := range old.entries {
		e := &old.entries[i]
		if e.ends == 0 {
			continue
		}
		at := hash(e.ends, e.ports, e.vni) >> t.shift
		for t.entries[at&uint64(len(t.entries)-1)].ends != 0 {
			at++
		}
		t.entries[at&uint64(len(t.entries)-1)] = *e
	}
	return nil
}

// counts adds all entries up.
func (t *table) counts() (c Counts) {
	for i := range t.entries {
		e := &t.entries[i]
		if e.ends == 0 {
			continue
		}
		c.Flows++
		c.ClientSent.add(e, int(e.opener))
		c.ServerSent.add(e, 1-int(e.opener))
	}
	return c
}

func (v *Volume) add(e *entry, side int) {
	v.Packets += int64(e.packets[side])
	v.Bytes += int64(e.octets[side])
	v.PayloadBytes += int64(e.payload[side])
}
