package pcapfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"mirrorscope/capture"
)

// Block types of pcapng.
const (
	blockSection   = 0x0a0d0d0a // the same in both byte orders
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
)

const (
	byteOrderMagic = 0x1a2b3c4d

	blockHeadLen    = 8  // type, total length
	blockTailLen    = 4  // total length again
	minBlockLen     = 12 // an empty block
	minSectionLen   = 28
	minInterfaceLen = 20
	minPacketLen    = 32 // enhanced and obsolete: 20 octets in front of the data
	minSimpleLen    = 16

	packetDataAt = 28 // offset of the data in an enhanced or obsolete packet block
	simpleDataAt = 12
)

// Interface options.
const (
	optEnd      = 0
	optName     = 2
	optTSResol  = 9
	optTSOffset = 14
)

// maxSectionInterfaces bounds the interfaces of one section.
const maxSectionInterfaces = 1 << 16

// pcapngDecoder reads the packet blocks of a pcapng file.
type pcapngDecoder struct {
	w         *window
	bigEndian bool      // of the current section
	ifaces    []ngIface // of the current section
	intern    func(name string) uint32
	untimed   *uint64
	last      int64 // time of the frame before, for blocks without one
}

// ngIface is what an Interface Description Block says.
type ngIface struct {
	link  capture.LinkType
	index uint32 // in the Reader's interfaces
	snap  uint32 // 0: no limit
	clock clock
}

// newPcapng reads the first Section Header Block, whose type has been
// recognised.
func newPcapng(w *window, intern func(string) uint32, untimed *uint64) (*pcapngDecoder, error) {
	d := &pcapngDecoder{w: w, intern: intern, untimed: untimed}
	return d, d.section()
}

func (d *pcapngDecoder) next(f *capture.Frame) error {
	for {
		h, err := d.w.peek(blockHeadLen)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return short(d.w, blockHeadLen, "a block header", err)
		}
		typ, n := u32(h, d.bigEndian), u32(h[4:], d.bigEndian)
		if typ == blockSection {
			if err := d.section(); err != nil {
				return err
			}
			continue
		}
		if n < minBlockLen || n%4 != 0 {
			return corrupt(d.w, "a block of type %#x and length %d", typ, n)
		}
		switch typ {
		case blockEnhanced, blockPacket, blockSimple:
			return d.packet(f, typ, n)
		case blockInterface:
			err = d.iface(n)
		default:
			err = d.pass(n)
		}
		if err != nil {
			return err
		}
	}
}

func (d *pcapngDecoder) batch(fs []capture.Frame) (given int) {
	for given < len(fs) && d.w.buffered() >= blockHeadLen {
		h := d.w.buf[d.w.lo:]
		typ, n := u32(h, d.bigEndian), u32(h[4:], d.bigEndian)
		if typ != blockEnhanced && typ != blockPacket && typ != blockSimple ||
			n < minBlockLen || n%4 != 0 || uint64(n) > uint64(d.w.buffered()) {
			break
		}
		if d.packet(&fs[given], typ, n) != nil {
			break // it is looked at once more, and said then
		}
		given++
	}
	return given
}

// block shows the whole block of n octets at the window's position. least is
// the shortest block of its type.
func (d *pcapngDecoder) block(n, least uint32) ([]byte, error) {
	if n < least || n > maxRecord {
		return nil, corrupt(d.w, "a block of %d octets, %d to %d are possible", n, least, maxRecord)
	}
	b, err := d.w.peek(int(n))
	if err != nil {
		return nil, short(d.w, int64(n), "a block", err)
	}
	if again := u32(b[n-blockTailLen:], d.bigEndian); again != n {
		return nil, corrupt(d.w, "a block of %d octets that ends with the length %d", n, again)
	}
	return b, nil
}

// pass steps over a block that is not read, of any length.
func (d *pcapngDecoder) pass(n uint32) error {
	start := d.w.off
	err := d.w.skip(int64(n) - blockTailLen)
	var tail []byte
	if err == nil {
		tail, err = d.w.peek(blockTailLen)
	}
	if err != nil {
		if isEOF(err) {
			err = fmt.Errorf("%w: inside a block of %d octets, %d of which are there", ErrCut, n, d.w.off+int64(d.w.buffered())-start)
		}
		return &FileError{Offset: start, Err: err}
	}
	if again := u32(tail, d.bigEndian); again != n {
		err := fmt.Errorf("%w: a block of %d octets that ends with the length %d", ErrCorrupt, n, again)
		return &FileError{Offset: start, Err: err}
	}
	d.w.consume(blockTailLen)
	return nil
}

// section reads a Section Header Block: byte order and version. Interfaces are
// numbered anew in each section. The section's length is not needed.
func (d *pcapngDecoder) section() error {
	h, err := d.w.peek(blockHeadLen + 4)
	if err != nil {
		return short(d.w, minSectionLen, "a section header", err)
	}
	switch magic := binary.LittleEndian.Uint32(h[8:]); magic {
	case byteOrderMagic:
		d.bigEndian = false
	case 0x4d3c2b1a:
		d.bigEndian = true
	default:
		return corrupt(d.w, "a section header with the byte-order magic %#08x", magic)
	}
	n := u32(h[4:], d.bigEndian)
	if n%4 != 0 {
		return corrupt(d.w, "a section header of %d octets", n)
	}
	b, err := d.block(n, minSectionLen)
	if err != nil {
		return err
	}
	if major, minor := u16(b[12:], d.bigEndian), u16(b[14:], d.bigEndian); major != 1 {
		return &FileError{Offset: d.w.off, Err: fmt.Errorf("%w: pcapng %d.%d, not 1.0", ErrUnsupported, major, minor)}
	}
	d.ifaces = d.ifaces[:0]
	d.w.consume(int(n))
	return nil
}

// iface reads an Interface Description Block.
func (d *pcapngDecoder) iface(n uint32) error {
	b, err := d.block(n, minInterfaceLen)
	if err != nil {
		return err
	}
	if len(d.ifaces) == maxSectionInterfaces {
		return corrupt(d.w, "more than %d interfaces in one section", maxSectionInterfaces)
	}
	i := ngIface{link: capture.LinkType(u16(b[8:], d.bigEndian)), snap: u32(b[12:], d.bigEndian)}
	name := ""
	resol, offset := byte(6), int64(0)
	for opts := b[16 : n-blockTailLen]; len(opts) >= 4; {
		code, size := u16(opts, d.bigEndian), int(u16(opts[2:], d.bigEndian))
		if code == optEnd {
			break
		}
		end := 4 + (size+3)&^3
		if end > len(opts) {
			return corrupt(d.w, "an interface option of %d octets, %d are left of its block", size, len(opts)-4)
		}
		v := opts[4 : 4+size]
		switch {
		case code == optName && name == "":
			name = cleanName(v)
		case code == optTSResol && size == 1:
			resol = v[0]
		case code == optTSOffset && size == 8:
			offset = int64(u64(v, d.bigEndian))
		case code == optTSResol || code == optTSOffset:
			// Without it every time of the interface would be wrong.
			return corrupt(d.w, "an interface time option (%d) of %d octets", code, size)
		}
		opts = opts[end:]
	}
	i.clock = newClock(resol, offset)
	i.index = d.intern(name)
	d.ifaces = append(d.ifaces, i)
	d.w.consume(int(n))
	return nil
}

// packet reads a packet block of any of the three types into f.
func (d *pcapngDecoder) packet(f *capture.Frame, typ, n uint32) error {
	least := uint32(minPacketLen)
	if typ == blockSimple {
		least = minSimpleLen
	}
	b, err := d.block(n, least)
	if err != nil {
		return err
	}
	id := uint32(0) // a Simple Packet Block is always of the first interface
	switch typ {
	case blockEnhanced:
		id = u32(b[8:], d.bigEndian)
	case blockPacket:
		id = uint32(u16(b[8:], d.bigEndian))
	}
	if uint64(id) >= uint64(len(d.ifaces)) {
		return corrupt(d.w, "a packet of interface %d, the section has %d", id, len(d.ifaces))
	}
	i := &d.ifaces[id]

	var data []byte
	var captured, original uint32
	if typ == blockSimple {
		data = b[simpleDataAt : n-blockTailLen]
		original = u32(b[8:], d.bigEndian)
		captured = original
		if i.snap != 0 {
			captured = min(captured, i.snap)
		}
	} else {
		data = b[packetDataAt : n-blockTailLen]
		captured, original = u32(b[20:], d.bigEndian), u32(b[24:], d.bigEndian)
		d.last = i.clock.time(uint64(u32(b[12:], d.bigEndian))<<32 | uint64(u32(b[16:], d.bigEndian)))
	}
	if uint64(captured) > uint64(len(data)) {
		return corrupt(d.w, "a packet of %d captured octets, its block has room for %d", captured, len(data))
	}
	if limit := frameLimit(i.snap); captured > limit {
		return corrupt(d.w, "a packet of %d captured octets, at most %d are possible", captured, limit)
	}
	if typ == blockSimple {
		*d.untimed++
	}
	f.Data = data[:captured:captured]
	f.Time = d.last
	f.WireLen = wireLen(captured, original)
	f.Link = i.link
	f.Interface = i.index
	d.w.consume(int(n))
	return nil
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
