package pcapfile

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// order is a byte order that appends.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var orders = map[string]order{"little": binary.LittleEndian, "big": binary.BigEndian}

// pcapHead is the file header of a pcap file.
func pcapHead(o order, magic, snap, link uint32) []byte {
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(b, 2)
	b = o.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = o.AppendUint32(b, snap)
	return o.AppendUint32(b, link)
}

// pcapRecord appends one packet record.
func pcapRecord(b []byte, o order, sec, frac uint32, wire int, data string) []byte {
	for _, v := range []uint32{sec, frac, uint32(len(data)), uint32(wire)} {
		b = o.AppendUint32(b, v)
	}
	return append(b, data...)
}

// ngBlock appends a pcapng block.
func ngBlock(b []byte, o order, typ uint32, body []byte) []byte {
	body = pad(body)
	n := uint32(len(body) + minBlockLen)
	b = o.AppendUint32(b, typ)
	b = o.AppendUint32(b, n)
	b = append(b, body...)
	return o.AppendUint32(b, n)
}

func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// ngSection appends a Section Header Block.
func ngSection(b []byte, o order) []byte {
	body := o.AppendUint32(nil, byteOrderMagic)
	body = o.AppendUint16(body, 1)
	body = o.AppendUint16(body, 0)
	body = o.AppendUint64(body, 1<<64-1)
	return ngBlock(b, o, blockSection, ngOption(body, o, 4, []byte("a writer")))
}

// ngOption appends an option.
func ngOption(b []byte, o order, code uint16, value []byte) []byte {
	b = o.AppendUint16(b, code)
	b = o.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

// ngInterface appends an Interface Description Block; options are what
// ngOption has made.
func ngInterface(b []byte, o order, link uint16, snap uint32, options []byte) []byte {
	body := o.AppendUint16(nil, link)
	body = o.AppendUint16(body, 0)
	body = o.AppendUint32(body, snap)
	return ngBlock(b, o, blockInterface, append(body, options...))
}

// ngEnhanced appends an Enhanced Packet Block with a comment behind the data.
func ngEnhanced(b []byte, o order, iface uint32, stamp uint64, wire int, data string) []byte {
	var body []byte
	for _, v := range []uint32{iface, uint32(stamp >> 32), uint32(stamp), uint32(len(data)), uint32(wire)} {
		body = o.AppendUint32(body, v)
	}
	body = pad(append(body, data...))
	return ngBlock(b, o, blockEnhanced, ngOption(ngOption(body, o, 1, []byte("note")), o, optEnd, nil))
}

// ngObsolete appends an obsolete Packet Block.
func ngObsolete(b []byte, o order, iface, drops uint16, stamp uint64, wire int, data string) []byte {
	body := o.AppendUint16(nil, iface)
	body = o.AppendUint16(body, drops)
	for _, v := range []uint32{uint32(stamp >> 32), uint32(stamp), uint32(len(data)), uint32(wire)} {
		body = o.AppendUint32(body, v)
	}
	return ngBlock(b, o, blockPacket, append(body, data...))
}

// ngSimple appends a Simple Packet Block.
func ngSimple(b []byte, o order, wire int, data string) []byte {
	return ngBlock(b, o, blockSimple, append(o.AppendUint32(nil, uint32(wire)), data...))
}

// write puts a file into dir and returns its path.
func write(tb testing.TB, dir, name string, b []byte) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
