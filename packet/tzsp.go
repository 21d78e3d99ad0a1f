package packet

const tzspEthernet = 1

// tzsp enters TZSP: version 1, type (0 received packet, 1 packet to send),
// protocol of the packet, then tags of type, length, data; padding (0) and end
// (1) are one octet. Only Ethernet is read: 802.11 frames and keep-alives stay
// packets of the outer addresses.
func (w *walk) tzsp(p *Packet) step {
	const (
		tagPadding = 0
		tagEnd     = 1
	)
	b := w.b
	if w.wire < 5 {
		return declined
	}
	if len(b) < 4 {
		return w.fail(SkipTruncated)
	}
	if b[0] != 1 || b[1] > 1 || be16(b[2:]) != tzspEthernet {
		return declined
	}
	for n := 4; ; {
		if n >= len(b) {
			return w.cutOrDeclined(n + 1)
		}
		switch b[n] {
		case tagEnd:
			w.identify(p, TZSP, 0, nil)
			w.advance(n + 1)
			return atEthernet
		case tagPadding:
			n++
		default:
			if n+1 >= len(b) {
				return w.cutOrDeclined(n + 2)
			}
			n += 2 + int(b[n+1])
		}
	}
}
