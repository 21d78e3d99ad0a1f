package pcapfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"unsafe"

	"mirrorscope/capture"
)

// Magic numbers of pcap, as read in the writer's byte order.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // records with 8 octets more: interface index, protocol, packet type
)

const (
	pcapHeaderLen     = 24
	pcapRecordLen     = 16
	modifiedRecordLen = 24
)

// maxRecord bounds the captured octets of one frame and the octets of one
// pcapng block that is read as a whole. defaultSnap is the bound where the file
// does not declare more: what tcpdump captures at most, and enough for a GSO
// frame.
const (
	maxRecord   = 16 << 20
	defaultSnap = 256 << 10
)

// frameLimit is the largest captured length that is believed in a file, or on
// an interface, that declares the snap length snap; 0 means that it has none.
func frameLimit(snap uint32) uint32 {
	if snap == 0 {
		return maxRecord
	}
	return min(max(snap, defaultSnap), maxRecord)
}

// maxTime bounds record times (the year 2116), so that no sum of a time and a
// timeout overflows. 32-bit seconds end before it.
const maxTime = 1 << 62

// pcapDecoder reads the records of a pcap file.
type pcapDecoder struct {
	w         *window
	bigEndian bool
	nano      bool
	recordLen int
	limit     uint32 // octets of one frame
	link      capture.LinkType
	iface     uint32
	touched   byte // what batch loaded ahead: so that it does
}

// isPcap tells whether b, the first octets of a file, is a pcap magic number.
func isPcap(b []byte) (bigEndian, ok bool) {
	if len(b) < 4 {
		return false, false
	}
	for _, m := range [...]uint32{magicMicro, magicNano, magicModified} {
		if binary.LittleEndian.Uint32(b) == m {
			return false, true
		}
		if binary.BigEndian.Uint32(b) == m {
			return true, true
		}
	}
	return false, false
}

// newPcap reads the file header. The magic number has been recognised.
func newPcap(w *window, bigEndian bool) (*pcapDecoder, error) {
	h, err := w.peek(pcapHeaderLen)
	if err != nil {
		return nil, short(w, pcapHeaderLen, "the file header", err)
	}
	d := &pcapDecoder{w: w, bigEndian: bigEndian, recordLen: pcapRecordLen}
	switch u32(h, bigEndian) {
	case magicNano:
		d.nano = true
	case magicModified:
		d.recordLen = modifiedRecordLen
	}
	if major, minor := u16(h[4:], bigEndian), u16(h[6:], bigEndian); major != 2 {
		return nil, &FileError{Offset: w.off, Err: fmt.Errorf("%w: pcap %d.%d, not 2.4", ErrUnsupported, major, minor)}
	}
	d.limit = frameLimit(u32(h[16:], bigEndian))
	// The upper bits tell the length of a frame check sequence. It stays at the
	// end of the frame, behind what the IP length covers.
	d.link = capture.LinkType(u32(h[20:], bigEndian))
	w.consume(pcapHeaderLen)
	return d, nil
}

func (d *pcapDecoder) next(f *capture.Frame) error {
	h, err := d.w.peek(d.recordLen)
	if err != nil {
		return d.end(err)
	}
	sec, frac := u32(h, d.bigEndian), u32(h[4:], d.bigEndian)
	n, orig := u32(h[8:], d.bigEndian), u32(h[12:], d.bigEndian)
	if n > d.limit {
		return corrupt(d.w, "a packet of %d captured octets, at most %d are possible", n, d.limit)
	}
	if n|orig|sec|frac == 0 {
		// A crash leaves blocks of zeros at the end of a file. They are no
		// empty packets of 1970.
		return corrupt(d.w, "a packet header of zeros")
	}
	b, err := d.w.peek(d.recordLen + int(n))
	if err != nil {
		return short(d.w, int64(d.recordLen)+int64(n), "a packet record", err)
	}
	d.w.consume(len(b))

	f.Data = b[d.recordLen:]
	f.Time = pcapTime(sec, frac, d.nano)
	f.WireLen = wireLen(n, orig)
	f.Link = d.link
	f.Interface = d.iface
	return nil
}

func (d *pcapDecoder) batch(fs []capture.Frame) (given int) {
	scale, most := uint64(1000), uint64(999_999)
	if d.nano {
		scale, most = 1, 999_999_999
	}
	b, head, limit := d.w.buf[d.w.lo:d.w.hi], uint64(d.recordLen), uint64(d.limit)
	at, touched := uint64(0), byte(0)
	for i := range fs {
		if next := at + touchAhead; next+touchLines*64 <= uint64(len(b)) {
			p := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), next) // which is within b, with what follows
			touched |= *(*byte)(p) | *(*byte)(unsafe.Add(p, 64))
		}
		if at+pcapRecordLen > uint64(len(b)) {
			break
		}
		h := (*[pcapRecordLen]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), at)) // which is within b
		stamp, lengths := binary.LittleEndian.Uint64(h[0:]), binary.LittleEndian.Uint64(h[8:])
		if d.bigEndian {
			stamp, lengths = bits.RotateLeft64(bits.ReverseBytes64(stamp), 32), bits.RotateLeft64(bits.ReverseBytes64(lengths), 32)
		}
		n := lengths & 0xffff_ffff
		start := at + head
		end := start + n
		if n > limit || end > uint64(len(b)) || n == 0 && stamp|lengths == 0 {
			break
		}
		f := &fs[i]
		f.Data = b[start:end:end]
		f.Time = int64(stamp&0xffff_ffff*1e9 + min(stamp>>32, most)*scale)
		f.WireLen = wireLen(uint32(n), uint32(lengths>>32))
		f.Link, f.Interface = d.link, d.iface
		at = end
		given++
	}
	d.w.consume(int(at))
	d.touched = touched
	return given
}

// Where a record ends is known once its header is there, so one load would wait for the other.
// With each record, octets so far ahead are loaded, of as many cache lines as a record with the
// headers of a packet has.
const (
	touchAhead = 1024
	touchLines = 2
)

// end tells the end of the file from a record header that is cut.
func (d *pcapDecoder) end(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return short(d.w, int64(d.recordLen), "a packet header", err)
}

// pcapTime gives ns since the Unix epoch. A fraction of a second or more is
// nonsense: it is not allowed to carry into the seconds.
func pcapTime(sec, frac uint32, nano bool) int64 {
	if nano {
		return int64(sec)*1e9 + int64(min(frac, 999_999_999))
	}
	return int64(sec)*1e9 + int64(min(frac, 999_999))*1000
}

// wireLen is the original length where it can be one: writers are known that
// put less there than they captured.
func wireLen(captured, original uint32) int {
	if original < captured || original > math.MaxInt32 {
		return int(captured)
	}
	return int(original)
}

func u16(b []byte, bigEndian bool) uint16 {
	if bigEndian {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func u32(b []byte, bigEndian bool) uint32 {
	if bigEndian {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func u64(b []byte, bigEndian bool) uint64 {
	if bigEndian {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}
