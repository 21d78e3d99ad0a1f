package afpacket

import "encoding/binary"

const (
	tagLen      = 4      // octets of a VLAN tag (IEEE 802.1Q)
	macsLen     = 12     // octets in front of it: two addresses
	defaultTPID = 0x8100 // where the kernel tells none
)

// restoreTag puts a VLAN tag that the kernel has taken out of f back in place.
// The addresses move down into the room in front of the frame, where the end of
// its sockaddr_ll lay (sll_addr, 8 octets) if nothing else: what that held has
// been read by then.
func (w *walker) restoreTag(f *frame) {
	if f.end-f.start < macsLen {
		return // cut off before the tag's place
	}
	tpid := f.tpid
	if f.status&statusTPID == 0 {
		tpid = defaultTPID
	}
	b := w.block[f.start-tagLen : f.end]
	copy(b[:macsLen], b[tagLen:])
	binary.BigEndian.PutUint16(b[macsLen:], tpid)
	binary.BigEndian.PutUint16(b[macsLen+2:], f.tci)
	f.start -= tagLen
	f.wire += tagLen
}
