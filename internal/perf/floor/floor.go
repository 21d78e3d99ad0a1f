// Package floor is the least that a program must do that keeps the TCP
// connections of a capture apart: read the file in large blocks, step over the
// headers, find the connection's entry of 128 octets in one flat table, and add
// the packet to it. Nothing is measured, checked or let go.
//
// It is the yardstick for what the sensor costs: the two, run one after the
// other, meet the same machine. It knows what the workloads hold, and no more:
// pcap files, Ethernet, IPv4 without fragments, TCP, and the same in VXLAN.
package floor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Counts is what a capture holds, as far as it was understood.
type Counts struct {
	Packets    int64  `json:"packets"`
	Flows      int64  `json:"flows"`
	ClientSent Volume `json:"client_sent"`
	ServerSent Volume `json:"server_sent"`
}

// Volume is what one side sent: octets of IP packets, and of TCP payload.
type Volume struct {
	Packets      int64 `json:"packets"`
	Bytes        int64 `json:"bytes"`
	PayloadBytes int64 `json:"payload_bytes"`
}

const (
	blockSize    = 1 << 18 // octets of a read(2)
	fileHeader   = 24
	recordHeader = 16
	microMagic   = 0xa1b2c3d4
	nanoMagic    = 0xa1b23c4d

	ethernetLen = 14
	udpLen      = 8
	vxlanLen    = 8
	etherIPv4   = 0x0800
	protoTCP    = 6
	protoUDP    = 17
	vxlanPort   = 4789 // RFC 7348 section 5
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// Read reads a capture to its end. flows is how many it may have: with that many
// the table need not grow.
func Read(r io.Reader, flows int) (Counts, error) {
	t, err := newTable(flows)
	if err != nil {
		return Counts{}, err
	}
	defer t.free()
	packets, err := t.read(r)
	if err != nil {
		return Counts{}, err
	}
	c := t.counts()
	c.Packets = packets
	return c, nil
}

// read gives the packets of r to the table and tells how many there were.
func (t *table) read(r io.Reader) (packets int64, err error) {
	buf := make([]byte, blockSize)
	held := 0 // octets in buf
	unit := int64(0)
	for {
		n, err := r.Read(buf[held:])
		held += n
		at := 0
		if unit == 0 && held >= fileHeader {
			if unit, err = timeUnit(buf); err != nil {
				return packets, err
			}
			at = fileHeader
		}
		for unit != 0 && held-at >= recordHeader {
			h := buf[at : at+recordHeader]
			size := recordHeader + int(le.Uint32(h[8:]))
			if size > len(buf) {
				return packets, fmt.Errorf("a record of %d octets", size)
			}
			if held-at < size {
				break
			}
			now := int64(le.Uint32(h))*1e9 + int64(le.Uint32(h[4:]))*unit
			packets++
			if err := t.frame(buf[at+recordHeader:at+size], now); err != nil {
				return packets, err
			}
			at += size
		}
		held = copy(buf, buf[at:held])
		if errors.Is(err, io.EOF) {
			if held > 0 || unit == 0 {
				return packets, io.ErrUnexpectedEOF
			}
			return packets, nil
		}
		if err != nil {
			return packets, err
		}
	}
}

// timeUnit gives the ns that the fraction of a file's time stamps counts.
func timeUnit(header []byte) (int64, error) {
	switch magic := le.Uint32(header); magic {
	case microMagic:
		return 1000, nil
	case nanoMagic:
		return 1, nil
	default:
		return 0, fmt.Errorf("no little-endian pcap file: it begins with %08x", magic)
	}
}

// frame adds a frame to its connection. What is no TCP in IPv4 is left out.
func (t *table) frame(b []byte, now int64) error {
	vni := uint32(0)
	for {
		if len(b) < ethernetLen+20 || be.Uint16(b[12:]) != etherIPv4 {
			return nil
		}
		ip := b[ethernetLen:]
		header := int(ip[0]&15) * 4
		if len(ip) < header+20 {
			return nil
		}
		inner := ip[header:]
		switch ip[9] {
		case protoUDP:
			if be.Uint16(inner[2:]) != vxlanPort {
				return nil
			}
			vni = be.Uint32(inner[udpLen+4:]) >> 8
			b = inner[udpLen+vxlanLen:]
			continue
		case protoTCP:
		default:
			return nil
		}
		src := end{be.Uint32(ip[12:]), be.Uint16(inner)}
		dst := end{be.Uint32(ip[16:]), be.Uint16(inner[2:])}
		e, side, err := t.find(src, dst, vni)
		if err != nil {
			return err
		}
		total := uint64(be.Uint16(ip[2:]))
		if e.packets == [2]uint64{} {
			e.first, e.opener = now, uint8(side)
		}
		e.last = now
		e.packets[side]++
		e.octets[side] += total
		e.payload[side] += total - uint64(header) - uint64(inner[12]>>4)*4
		e.flags[side] |= inner[13]
		e.seq[side], e.ack[side] = be.Uint32(inner[4:]), be.Uint32(inner[8:])
		return nil
	}
}
