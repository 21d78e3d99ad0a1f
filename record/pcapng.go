package record

import (
	"encoding/binary"
	"runtime"

	"mirrorscope/capture"
)

// Blocks and options of pcapng (draft-ietf-opsawg-pcapng, section 4). Octets are
// little-endian.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	byteOrderMagic = 0x1a2b3c4d

	optEnd     = 0
	optComment = 1

	sectionOS          = 3
	sectionApplication = 4

	interfaceName       = 2
	interfaceResolution = 9  // 1 octet: times are in units of 10^-n s
	interfaceFilter     = 11 // 1 octet: 0, then the expression

	statisticsStart     = 2
	statisticsEnd       = 3
	statisticsReceived  = 4 // frames that matched
	statisticsDropped   = 5 // … for lack of room
	statisticsDelivered = 8 // … that are in the section

	nanoseconds = 9
)

// appendBlock adds a block, whose body is what f adds.
func appendBlock(b []byte, typ uint32, f func([]byte) []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = le.AppendUint32(le.AppendUint32(b, typ), 0)
	b = f(b)
	n := uint32(len(b) - start + 4)
	le.PutUint32(b[start+4:], n)
	return le.AppendUint32(b, n)
}

// appendOption adds an option; a value is cut to what an option can hold.
func appendOption(b []byte, code uint16, value []byte) []byte {
	const most = 1<<16 - 1
	value = value[:min(len(value), most)]
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return appendPadded(b, value)
}

// appendPadded adds octets, and zeros up to a multiple of four.
func appendPadded(b, value []byte) []byte {
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

// appendSection begins a section.
func appendSection(b []byte, comment, application string) []byte {
	return appendBlock(b, blockSection, func(b []byte) []byte {
		le := binary.LittleEndian
		b = le.AppendUint32(b, byteOrderMagic)
		b = le.AppendUint16(le.AppendUint16(b, 1), 0)
		b = le.AppendUint64(b, 1<<64-1) // its length is not known
		b = appendOption(b, optComment, []byte(comment))
		b = appendOption(b, sectionOS, []byte(runtime.GOOS))
		b = appendOption(b, sectionApplication, []byte(application))
		return appendOption(b, optEnd, nil)
	})
}

// appendInterface describes an interface. Its snap length is none: what is not
// there was left out for what it is, not for where it stands.
func appendInterface(b []byte, name string, link capture.LinkType, filter string) []byte {
	return appendBlock(b, blockInterface, func(b []byte) []byte {
		le := binary.LittleEndian
		b = le.AppendUint16(le.AppendUint16(b, uint16(link)), 0)
		b = le.AppendUint32(b, 0)
		b = appendOption(b, interfaceName, []byte(name))
		b = appendOption(b, interfaceResolution, []byte{nanoseconds})
		if filter != "" {
			b = appendOption(b, interfaceFilter, append([]byte{0}, filter...))
		}
		return appendOption(b, optEnd, nil)
	})
}

// packetHead is what an enhanced packet block has beside the octets of a frame.
const packetHead = 32

// appendPacket adds a frame.
func appendPacket(b []byte, iface uint32, at int64, wire int, data []byte) []byte {
	le := binary.LittleEndian
	n := uint32(packetHead + (len(data)+3)&^3)
	b = le.AppendUint32(le.AppendUint32(b, blockPacket), n)
	b = le.AppendUint32(b, iface)
	b = appendTime(b, at)
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(data))), uint32(wire))
	b = append(b, data...)
	for len(b)&3 != 0 {
		b = append(b, 0)
	}
	return le.AppendUint32(b, n)
}

// appendTime adds a time, the upper half first.
func appendTime(b []byte, at int64) []byte {
	le := binary.LittleEndian
	return le.AppendUint32(le.AppendUint32(b, uint32(uint64(at)>>32)), uint32(at))
}

// statistics of one interface in one section.
type statistics struct {
	first, last        int64
	delivered, dropped uint64
}

// appendStatistics tells how an interface fared in a section.
func appendStatistics(b []byte, iface uint32, s *statistics) []byte {
	return appendBlock(b, blockStatistics, func(b []byte) []byte {
		le := binary.LittleEndian
		b = le.AppendUint32(b, iface)
		b = appendTime(b, s.last)
		b = appendOption(b, statisticsStart, appendTime(nil, s.first))
		b = appendOption(b, statisticsEnd, appendTime(nil, s.last))
		b = appendOption(b, statisticsReceived, le.AppendUint64(nil, s.delivered+s.dropped))
		b = appendOption(b, statisticsDropped, le.AppendUint64(nil, s.dropped))
		b = appendOption(b, statisticsDelivered, le.AppendUint64(nil, s.delivered))
		return appendOption(b, optEnd, nil)
	})
}
