package afpacket

import "encoding/binary"

// Layout of a block: struct tpacket_block_desc with struct tpacket_hdr_v1, as in
// linux/if_packet.h. All fields are in the machine's byte order.
const (
	blockStatus    = 8  // u32: whose the block is
	blockFrames    = 12 // u32: frames in it, counted up while the kernel fills it
	blockFirst     = 16 // u32: offset of the first frame
	blockOpenedS   = 32 // u32: when the kernel began to fill it, s since the Unix epoch
	blockOpenedNS  = 36 // u32: and ns
	blockHeaderLen = 48

	blockKernel = 0 // TP_STATUS_KERNEL
	blockUser   = 1 // TP_STATUS_USER, a bit
)

// Layout of a frame in a block: struct tpacket3_hdr, then struct sockaddr_ll.
const (
	frameNext    = 0  // u32: offset of the next frame from this one
	frameS       = 4  // u32: stamp, s since the Unix epoch
	frameNS      = 8  // u32: and ns
	frameSnap    = 12 // u32: octets here
	frameLen     = 16 // u32: octets of the frame
	frameStatus  = 20 // u32
	frameMac     = 24 // u16: where the octets begin
	frameTCI     = 32 // u32: of the VLAN tag that was taken out
	frameTPID    = 36 // u16
	frameHdrLen  = 48
	framePktType = frameHdrLen + 10 // u8: sll_pkttype
	frameMinMac  = frameHdrLen + 20 // behind sockaddr_ll
)

// Bits of a frame's status.
const (
	statusVLAN     = 0x10       // TP_STATUS_VLAN_VALID
	statusTPID     = 0x40       // TP_STATUS_VLAN_TPID_VALID
	statusHardware = 0x80000000 // TP_STATUS_TS_RAW_HARDWARE
)

const pktOutgoing = 4 // PACKET_OUTGOING: sent by this machine

var native = binary.NativeEndian

// walker goes through the frames of one block that the kernel has handed over.
type walker struct {
	block []byte
	at    uint32 // offset of the next frame
	left  uint32 // frames from there on
}

// frame is one frame in a block.
type frame struct {
	start, end uint32 // of the octets in the block
	wire       uint32 // octets before any cut; ≥ end - start
	status     uint32
	time       int64 // ns since the Unix epoch
	tci, tpid  uint16
	pktType    uint8
}

// start begins with a block, which must have room for its header.
func (w *walker) start(block []byte) {
	w.block = block
	w.at = native.Uint32(block[blockFirst:])
	w.left = native.Uint32(block[blockFrames:])
}

// next overwrites f with the next frame, of which there must be one left. It
// gives false where the lengths in the block contradict each other: then where
// the frames that are left begin cannot be known. The kernel writes no such
// block, but nothing is read or written beyond the block if it did.
func (w *walker) next(f *frame) bool {
	at := uint64(w.at)
	if at+frameMinMac > uint64(len(w.block)) {
		return false
	}
	h := (*[frameMinMac]byte)(w.block[at:])
	mac, snap := uint64(native.Uint16(h[frameMac:])), uint64(native.Uint32(h[frameSnap:]))
	if mac < frameMinMac || at+mac+snap > uint64(len(w.block)) {
		return false
	}
	w.left--
	step := uint64(native.Uint32(h[frameNext:])) // 0 in the last frame
	if step < frameMinMac || at+step > uint64(len(w.block)) {
		step = uint64(len(w.block)) - at // where no frame is
	}
	w.at = uint32(at + step)
	f.start = uint32(at + mac)
	f.end = f.start + uint32(snap)
	f.wire = max(native.Uint32(h[frameLen:]), uint32(snap))
	f.status = native.Uint32(h[frameStatus:])
	f.time = int64(native.Uint32(h[frameS:]))*1e9 + int64(native.Uint32(h[frameNS:]))
	f.tci, f.tpid = uint16(native.Uint32(h[frameTCI:])), native.Uint16(h[frameTPID:])
	f.pktType = h[framePktType]
	return true
}
