package pcapgen

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// pcapng block types (draft-ietf-opsawg-pcapng).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockObsolete  = 2 // "packet block"
	blockSimple    = 3
	blockEnhanced  = 6
)

// NgInterface describes an interface of a pcapng section.
type NgInterface struct {
	Link       uint16
	SnapLen    uint32 // 0: no limit, nothing is cut
	Name       string
	Resolution uint8 // if_tsresol: 0 for none, which means 10⁻⁶ s; else 10⁻ⁿ s, or 2⁻ⁿ s with the top bit
	Offset     int64 // if_tsoffset, seconds
}

// units gives a time in the interface's unit.
func (i NgInterface) units(ns int64) uint64 {
	sec, frac := ns/1e9-i.Offset, uint64(ns%1e9)
	r := or(i.Resolution, 6)
	if r&0x80 != 0 {
		return uint64(sec)<<(r&0x7f) + frac<<(r&0x7f)/1e9
	}
	perSec := uint64(1)
	for range r {
		perSec *= 10
	}
	if perSec > 1e9 {
		return uint64(sec)*perSec + frac*(perSec/1e9)
	}
	return uint64(sec)*perSec + frac/(1e9/perSec)
}

// PcapngWriter writes a pcapng file of one or more sections.
type PcapngWriter struct {
	w          *bufio.Writer
	order      binary.ByteOrder
	interfaces []NgInterface // of the section
	block      []byte        // the block being made
}

// NewPcapngWriter starts a file on w with a section header.
func NewPcapngWriter(w io.Writer, bigEndian bool) *PcapngWriter {
	p := &PcapngWriter{w: bufio.NewWriterSize(w, bufferSize)}
	_ = p.Section(bigEndian) // an error comes back from every later write
	return p
}

// Section starts a new section: interfaces count from 0 again.
func (p *PcapngWriter) Section(bigEndian bool) error {
	p.order, p.interfaces = byteOrder(bigEndian), nil
	p.begin(blockSection)
	p.u32(0x1a2b3c4d)
	p.u16(1)
	p.u16(0)
	p.u32(0xffffffff) // section length: not given
	p.u32(0xffffffff)
	return p.end()
}

// Interface adds an interface to the section and gives its number.
func (p *PcapngWriter) Interface(i NgInterface) (int, error) {
	p.interfaces = append(p.interfaces, i)
	p.begin(blockInterface)
	p.u16(i.Link)
	p.u16(0)
	p.u32(i.SnapLen)
	if i.Name != "" {
		p.option(2, []byte(i.Name))
	}
	if i.Resolution != 0 {
		p.option(9, []byte{i.Resolution})
	}
	if i.Offset != 0 {
		v := make([]byte, 8)
		p.order.PutUint64(v, uint64(i.Offset))
		p.option(14, v)
	}
	p.option(0, nil)
	return len(p.interfaces) - 1, p.end()
}

// Write adds an enhanced packet block.
func (p *PcapngWriter) Write(f Frame) error {
	wire, err := p.cut(&f)
	if err != nil {
		return err
	}
	t := p.interfaces[f.Interface].units(f.Time)
	p.begin(blockEnhanced)
	p.u32(uint32(f.Interface))
	p.u32(uint32(t >> 32))
	p.u32(uint32(t))
	p.u32(uint32(len(f.Data)))
	p.u32(wire)
	p.data(f.Data)
	return p.end()
}

// WriteSimple adds a simple packet block: of interface 0, without a time.
func (p *PcapngWriter) WriteSimple(f Frame) error {
	f.Interface = 0
	wire, err := p.cut(&f)
	if err != nil {
		return err
	}
	p.begin(blockSimple)
	p.u32(wire)
	p.data(f.Data)
	return p.end()
}

// WriteObsolete adds a packet block of the first drafts.
func (p *PcapngWriter) WriteObsolete(f Frame) error {
	wire, err := p.cut(&f)
	if err != nil {
		return err
	}
	t := p.interfaces[f.Interface].units(f.Time)
	p.begin(blockObsolete)
	p.u16(uint16(f.Interface))
	p.u16(0xffff) // drops: not known
	p.u32(uint32(t >> 32))
	p.u32(uint32(t))
	p.u32(uint32(len(f.Data)))
	p.u32(wire)
	p.data(f.Data)
	return p.end()
}

// WriteBlock adds a block of any type.
func (p *PcapngWriter) WriteBlock(typ uint32, body []byte) error {
	p.begin(typ)
	p.data(body)
	return p.end()
}

// Flush writes what is buffered.
func (p *PcapngWriter) Flush() error { return p.w.Flush() }

// cut applies the interface's snap length and gives the length before it.
func (p *PcapngWriter) cut(f *Frame) (wire uint32, err error) {
	if f.Interface < 0 || f.Interface >= len(p.interfaces) {
		return 0, fmt.Errorf("pcapng: the section has no interface %d", f.Interface)
	}
	wire = f.wireLen()
	if s := p.interfaces[f.Interface].SnapLen; s != 0 && len(f.Data) > int(s) {
		f.Data = f.Data[:s]
	}
	return wire, nil
}

func (p *PcapngWriter) begin(typ uint32) {
	p.block = p.block[:0]
	p.u32(typ)
	p.u32(0) // length: set by end
}

func (p *PcapngWriter) end() error {
	n := uint32(len(p.block) + 4)
	p.order.PutUint32(p.block[4:], n)
	p.u32(n)
	_, err := p.w.Write(p.block)
	return err
}

func (p *PcapngWriter) u16(v uint16) {
	p.block = append(p.block, 0, 0)
	p.order.PutUint16(p.block[len(p.block)-2:], v)
}

func (p *PcapngWriter) u32(v uint32) {
	p.block = append(p.block, 0, 0, 0, 0)
	p.order.PutUint32(p.block[len(p.block)-4:], v)
}

func (p *PcapngWriter) option(code uint16, v []byte) {
	p.u16(code)
	p.u16(uint16(len(v)))
	p.data(v)
}

// data adds octets padded to a multiple of 4, with which every block starts.
func (p *PcapngWriter) data(b []byte) {
	p.block = append(p.block, b...)
	for len(p.block)%4 != 0 {
		p.block = append(p.block, 0)
	}
}
