package afpacket

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// written is a frame as the kernel writes it into a block.
type written struct {
	data   []byte
	wire   int // 0: as many octets as data
	ns     int64
	status uint32
	tci    uint16
	tpid   uint16
	sent   bool // by this machine
}

// block makes a block of size octets with frames in it, as the kernel hands it
// over: layout as in prb_fill_curr_block and tpacket_rcv of net/packet/af_packet.c.
func block(size int, opened int64, frames ...written) []byte {
	b := make([]byte, size)
	put := func(at int, v uint32) { native.PutUint32(b[at:], v) }
	put(blockStatus, blockUser)
	put(blockFrames, uint32(len(frames)))
	put(blockFirst, blockHeaderLen)
	put(blockOpenedS, uint32(opened/1e9))
	put(blockOpenedNS, uint32(opened%1e9))
	at := blockHeaderLen
	const mac = 82 // of an Ethernet header in front of a network header on 16 octets
	for i, f := range frames {
		next := (mac + len(f.data) + 7) &^ 7
		if i == len(frames)-1 {
			next = 0
		}
		wire := f.wire
		if wire == 0 {
			wire = len(f.data)
		}
		put(at+frameNext, uint32(next))
		put(at+frameS, uint32(f.ns/1e9))
		put(at+frameNS, uint32(f.ns%1e9))
		put(at+frameSnap, uint32(len(f.data)))
		put(at+frameLen, uint32(wire))
		put(at+frameStatus, f.status)
		native.PutUint16(b[at+frameMac:], mac)
		put(at+frameTCI, uint32(f.tci))
		native.PutUint16(b[at+frameTPID:], f.tpid)
		if f.sent {
			b[at+framePktType] = pktOutgoing
		}
		copy(b[at+mac:], f.data)
		at += next
	}
	return b
}

// walk gives the frames of a block, tags restored, and how many are said to
// follow where it cannot go on.
func walk(b []byte) (all [][]byte, lost uint32) {
	var w walker
	var f frame
	w.start(b)
	for w.left > 0 {
		if !w.next(&f) {
			return all, w.left
		}
		if f.status&statusVLAN != 0 {
			w.restoreTag(&f)
		}
		all = append(all, b[f.start:f.end])
	}
	return all, 0
}

var octets = []byte("dddddd" + "ssssss" + "\x08\x00" + "payload")

func TestWalk(t *testing.T) {
	b := block(4096, 0,
		written{data: octets, ns: 1_700_000_000_123_456_789, wire: 1500},
		written{data: octets[:14], status: statusVLAN | statusTPID, tci: 0xe005, tpid: 0x88a8},
		written{data: octets, status: statusVLAN, tci: 7},
		written{data: octets[:11], status: statusVLAN, tci: 7},
		written{},
	)
	var w walker
	var f frame
	w.start(b)
	if !w.next(&f) || f.time != 1_700_000_000_123_456_789 || f.wire != 1500 || !bytes.Equal(b[f.start:f.end], octets) || w.left != 4 {
		t.Errorf("first frame %+v, %d left", f, w.left)
	}
	all, lost := walk(b)
	want := [][]byte{
		octets,
		[]byte("dddddd" + "ssssss" + "\x88\xa8\xe0\x05" + "\x08\x00"),
		[]byte("dddddd" + "ssssss" + "\x81\x00\x00\x07" + "\x08\x00" + "payload"),
		octets[:11], // cut in front of the tag's place
		{},
	}
	if lost != 0 || len(all) != len(want) {
		t.Fatalf("%d frames, %d lost, want %d", len(all), lost, len(want))
	}
	for i := range want {
		if !bytes.Equal(all[i], want[i]) {
			t.Errorf("frame %d is %q, want %q", i, all[i], want[i])
		}
	}
}

// TestHostileBlocks is about lengths that no kernel writes.
func TestHostileBlocks(t *testing.T) {
	const first = blockHeaderLen
	const second = first + 104 // 82 + 21 octets, aligned
	put32 := func(at int, v uint32) func([]byte) {
		return func(b []byte) { native.PutUint32(b[at:], v) }
	}
	put16 := func(at int, v uint16) func([]byte) {
		return func(b []byte) { native.PutUint16(b[at:], v) }
	}
	for _, tc := range []struct {
		name   string
		change func([]byte)
		frames int
		lost   uint32
	}{
		{"as written", func([]byte) {}, 3, 0},
		{"empty", put32(blockFrames, 0), 0, 0},
		{"fewer frames", put32(blockFrames, 2), 2, 0},
		{"more frames", put32(blockFrames, 5), 3, 2},
		{"4 billion frames", put32(blockFrames, 1<<32-1), 3, 1<<32 - 4},
		{"first frame beyond the block", put32(blockFirst, 4096), 0, 3},
		{"first frame at the end", put32(blockFirst, 4096-frameMinMac+1), 0, 3},
		{"first frame at 4 GiB", put32(blockFirst, 1<<32-8), 0, 3},
		{"octets beyond the block", put32(second+frameSnap, 4096), 1, 2},
		{"octets up to 4 GiB", put32(second+frameSnap, 1<<32-1), 1, 2},
		{"octets in the header", put16(second+frameMac, frameMinMac-1), 1, 2},
		{"octets at 0", put16(second+frameMac, 0), 1, 2},
		{"octets far away", put16(second+frameMac, 1<<16-1), 1, 2},
		{"no next frame", put32(second+frameNext, 0), 2, 1},
		{"next frame in this one's header", put32(second+frameNext, frameMinMac-1), 2, 1},
		{"next frame beyond the block", put32(second+frameNext, 4096), 2, 1},
		{"next frame before", put32(second+frameNext, 1<<32-8), 2, 1},
		{"shorter on the wire than here", put32(second+frameLen, 3), 3, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := block(4096, 0, written{data: octets}, written{data: octets}, written{data: octets})
			tc.change(b)
			all, lost := walk(b)
			if len(all) != tc.frames || lost != tc.lost {
				t.Errorf("%d frames, %d lost, want %d and %d", len(all), lost, tc.frames, tc.lost)
			}
		})
	}
}

// FuzzWalk walks through arbitrary octets. It must end, stay within the block,
// and account for each frame that the block says it has.
func FuzzWalk(f *testing.F) {
	f.Add(block(512, 1, written{data: octets}, written{data: octets, status: statusVLAN, tci: 1}))
	f.Add(block(400, 1, written{data: octets, status: statusVLAN | statusTPID, tpid: 0x88a8}, written{}))
	f.Add(make([]byte, blockHeaderLen))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < blockHeaderLen {
			return // no block is that small
		}
		// Canaries before and behind tell of a write beyond the block.
		whole := append(append(bytes.Repeat([]byte{0xc5}, 64), in...), bytes.Repeat([]byte{0xc5}, 64)...)
		b := whole[64 : 64+len(in) : 64+len(in)]
		said := native.Uint32(b[blockFrames:])
		var w walker
		var fr frame
		var n uint32
		w.start(b)
		for w.left > 0 && w.next(&fr) {
			n++
			if fr.status&statusVLAN != 0 {
				w.restoreTag(&fr)
			}
			if fr.start > fr.end || int(fr.end) > len(b) || fr.wire < fr.end-fr.start && fr.wire > 4 {
				t.Fatalf("frame %d of %d: %+v in %d octets", n, said, fr, len(b))
			}
		}
		if n+w.left != said {
			t.Fatalf("%d frames and %d lost, of %d", n, w.left, said)
		}
		if len(in)/frameMinMac < int(n) {
			t.Fatalf("%d frames in %d octets", n, len(in))
		}
		for _, c := range append(whole[:64:64], whole[64+len(in):]...) {
			if c != 0xc5 {
				t.Fatal("written beyond the block")
			}
		}
	})
}

func TestRestoreTagKeepsTheRest(t *testing.T) {
	b := block(512, 0, written{data: octets, status: statusVLAN, tci: 3}, written{data: octets})
	var w walker
	var f frame
	w.start(b)
	w.next(&f)
	before := append([]byte(nil), b...)
	w.restoreTag(&f)
	if !bytes.Equal(b[:f.start], before[:f.start]) || !bytes.Equal(b[f.start+macsLen+tagLen:], before[f.start+macsLen+tagLen:]) {
		t.Error("octets around the addresses and the tag have changed")
	}
	if binary.BigEndian.Uint16(b[f.start+14:]) != 3 {
		t.Errorf("tag %x", b[f.start+12:f.start+16])
	}
}
