package pcapgen

import (
	"encoding/binary"
	"hash/crc32"
)

// SCTP is the common header with its chunks (RFC 9260 section 3).
type SCTP struct {
	SrcPort, DstPort uint16
	Tag              uint32 // verification tag
	Chunks           []SCTPChunk
}

// SCTPChunk is one chunk; Value is what stands behind its length field.
type SCTPChunk struct {
	Type, Flags uint8
	Value       []byte
}

// SCTPData gives a DATA chunk with a whole message (RFC 9260 section 3.3.1).
func SCTPData(tsn uint32, stream, seq uint16, data []byte) SCTPChunk {
	v := be.AppendUint32(nil, tsn)
	v = be.AppendUint16(v, stream)
	v = be.AppendUint16(v, seq)
	v = be.AppendUint32(v, 0) // payload protocol: not given
	return SCTPChunk{Type: 0, Flags: 3, Value: append(v, data...)}
}

// SCTPInit gives an INIT chunk (RFC 9260 section 3.3.2).
func SCTPInit(tag, window uint32, streams uint16, tsn uint32) SCTPChunk {
	v := be.AppendUint32(nil, tag)
	v = be.AppendUint32(v, window)
	v = be.AppendUint16(v, streams)
	v = be.AppendUint16(v, streams)
	return SCTPChunk{Type: 1, Value: be.AppendUint32(v, tsn)}
}

func (l SCTP) build(e env) []byte {
	h := be.AppendUint16(nil, l.SrcPort)
	h = be.AppendUint16(h, l.DstPort)
	h = be.AppendUint32(h, l.Tag)
	h = append(h, 0, 0, 0, 0)
	for _, c := range l.Chunks {
		h = append(h, c.Type, c.Flags)
		h = be.AppendUint16(h, uint16(4+len(c.Value)))
		h = pad4(append(h, c.Value...))
	}
	b := e.prepend(h)
	// CRC32c is transmitted in the byte order of RFC 9260 appendix A.
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}
