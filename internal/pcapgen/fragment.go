package pcapgen

// Fragment4 cuts an IPv4 packet into fragments of at most mtu octets (RFC 791
// section 3.2), in order. Options go into every fragment. A packet that fits
// comes back alone.
func Fragment4(packet []byte, mtu int) [][]byte {
	if len(packet) <= mtu {
		return [][]byte{packet}
	}
	hlen := int(packet[0]&15) * 4
	first := be.Uint16(packet[6:])
	var frags [][]byte
	for off, step := hlen, (mtu-hlen)&^7; off < len(packet); off += step {
		end := min(off+step, len(packet))
		f := append(append([]byte(nil), packet[:hlen]...), packet[off:end]...)
		be.PutUint16(f[2:], uint16(len(f)))
		word := first + uint16((off-hlen)/8)
		if end < len(packet) {
			word |= 1 << 13
		}
		be.PutUint16(f[6:], word)
		be.PutUint16(f[10:], 0)
		be.PutUint16(f[10:], ^fold(sum(0, f[:hlen])))
		frags = append(frags, f)
	}
	return frags
}

// Fragment6 cuts an IPv6 packet into fragments of at most mtu octets, each
// with a fragment header of the given id behind the headers that every hop
// reads (RFC 8200 section 4.5). A packet that fits comes back alone.
func Fragment6(packet []byte, mtu int, id uint32) [][]byte {
	if len(packet) <= mtu {
		return [][]byte{packet}
	}
	nextAt, hlen := perFragment(packet)
	var frags [][]byte
	for off, step := hlen, (mtu-hlen-8)&^7; off < len(packet); off += step {
		end := min(off+step, len(packet))
		f := append([]byte(nil), packet[:hlen]...)
		next := f[nextAt]
		f[nextAt] = 44
		word := uint16(off - hlen)
		if end < len(packet) {
			word |= 1
		}
		f = append(f, next, 0)
		f = be.AppendUint16(f, word)
		f = be.AppendUint32(f, id)
		f = append(f, packet[off:end]...)
		be.PutUint16(f[4:], uint16(len(f)-40))
		frags = append(frags, f)
	}
	return frags
}

// perFragment finds the end of the headers that every fragment repeats, and
// where the number of the header behind them stands. A destination options
// header belongs to them only in front of a routing header.
func perFragment(p []byte) (nextAt, hlen int) {
	nextAt, hlen = 6, 40
	for at, end := 6, 40; ; {
		next := p[at]
		if next != 0 && next != 43 && next != 60 {
			return nextAt, hlen
		}
		at, end = end, end+int(p[end+1])*8+8
		if next != 60 {
			nextAt, hlen = at, end
		}
	}
}
