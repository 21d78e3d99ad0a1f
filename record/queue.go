package record

import (
	"encoding/binary"

	"mirrorscope/capture"
)

// entryHead is what an entry of the queue has in front of the octets of a frame:
// time, wire length, captured length, interface and link type.
const entryHead = 22

// entry is one frame in the queue.
type entry struct {
	at    int64
	wire  uint32
	iface uint32
	link  capture.LinkType
	data  []byte // lent by the queue
}

func appendEntry(b, data []byte, at int64, wire int, iface uint32, link capture.LinkType) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(at))
	b = le.AppendUint32(b, uint32(wire))
	b = le.AppendUint32(b, uint32(len(data)))
	b = le.AppendUint32(b, iface)
	b = le.AppendUint16(b, uint16(link))
	return append(b, data...)
}

// next takes the first entry off b, which is not empty.
func (e *entry) next(b []byte) (rest []byte) {
	le := binary.LittleEndian
	n := le.Uint32(b[12:])
	e.at, e.wire, e.iface, e.link = int64(le.Uint64(b)), le.Uint32(b[8:]), le.Uint32(b[16:]), capture.LinkType(le.Uint16(b[20:]))
	e.data = b[entryHead : entryHead+n]
	return b[entryHead+n:]
}
