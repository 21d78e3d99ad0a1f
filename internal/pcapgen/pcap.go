package pcapgen

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Frame is one record of a capture. Writers read Data and keep nothing of it.
type Frame struct {
	Time      int64  // ns since the Unix epoch
	Data      []byte // from the link-layer header on
	WireLen   int    // octets before any cut; 0: len(Data)
	Interface int    // pcapng only
}

func (f *Frame) wireLen() uint32 { return uint32(max(f.WireLen, len(f.Data))) }

// Writer writes frames to a capture file.
type Writer interface {
	// Write adds a frame. An error repeats at every later call.
	Write(f Frame) error
	// Flush writes what is buffered; the underlying writer stays open.
	Flush() error
}

// Link types of the frames that Build makes (LINKTYPE_ registry).
const (
	LinkNull     = 0
	LinkEthernet = 1
	LinkPPP      = 9
	LinkRaw      = 101
	LinkLoop     = 108
	LinkLinuxSLL = 113
	LinkIPv4     = 228
	LinkIPv6     = 229
	LinkNFLOG    = 239
	LinkSLL2     = 276
)

const (
	bufferSize     = 1 << 18
	defaultSnapLen = 1 << 18 // what the file header says where nothing is cut
)

// PcapConfig is the form of a pcap file; its zero value is the usual one but
// for the link type: little-endian, microseconds, nothing cut.
type PcapConfig struct {
	Link      uint32
	BigEndian bool
	Nano      bool // time stamps in ns rather than µs
	SnapLen   int  // cut frames to so many octets; 0: never
}

// PcapWriter writes a pcap file.
type PcapWriter struct {
	w     *bufio.Writer
	order binary.ByteOrder
	unit  int64 // ns per unit of the fraction
	snap  int
	rec   [16]byte
}

// NewPcapWriter starts a file on w with the file header.
func NewPcapWriter(w io.Writer, c PcapConfig) *PcapWriter {
	p := &PcapWriter{w: bufio.NewWriterSize(w, bufferSize), order: byteOrder(c.BigEndian), unit: 1000, snap: or(c.SnapLen, defaultSnapLen)}
	magic := uint32(0xa1b2c3d4)
	if c.Nano {
		magic, p.unit = 0xa1b23c4d, 1
	}
	var h [24]byte
	p.order.PutUint32(h[0:], magic)
	p.order.PutUint16(h[4:], 2)
	p.order.PutUint16(h[6:], 4)
	p.order.PutUint32(h[16:], uint32(p.snap))
	p.order.PutUint32(h[20:], c.Link)
	p.w.Write(h[:]) // an error comes back from every later write and Flush
	return p
}

func byteOrder(big bool) binary.ByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (p *PcapWriter) Write(f Frame) error {
	wire := f.wireLen()
	if len(f.Data) > p.snap {
		f.Data = f.Data[:p.snap]
	}
	p.order.PutUint32(p.rec[0:], uint32(f.Time/1e9))
	p.order.PutUint32(p.rec[4:], uint32(f.Time%1e9/p.unit))
	p.order.PutUint32(p.rec[8:], uint32(len(f.Data)))
	p.order.PutUint32(p.rec[12:], wire)
	p.w.Write(p.rec[:])
	_, err := p.w.Write(f.Data)
	return err
}

func (p *PcapWriter) Flush() error { return p.w.Flush() }
