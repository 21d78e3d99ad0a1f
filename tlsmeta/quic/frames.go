package quic

// Frames that an Initial packet may hold (RFC 9000 sections 12.4 and 19).
const (
	framePadding = 0x00
	framePing    = 0x01
	frameACK     = 0x02
	frameACKECN  = 0x03
	frameCrypto  = 0x06
	frameClose   = 0x1c
)

// frames walks the frames of an opened Initial packet.
type frames struct {
	rest []byte

	// Of the frame that next gave.
	kind    byte
	largest uint64 // ACK: the highest packet number acknowledged
	offset  uint64 // CRYPTO
	data    []byte // CRYPTO; aliases the payload
	code    uint64 // CONNECTION_CLOSE

	bad bool // the walk ended before the payload did
}

// next goes on to the next frame that tells anything: ACK, CRYPTO or
// CONNECTION_CLOSE. It is false at the end, and at what an Initial packet must
// not hold.
func (f *frames) next() bool {
	for len(f.rest) > 0 {
		f.kind = f.rest[0] // all types are below 64: one octet (section 12.4)
		f.rest = f.rest[1:]
		ok := false
		switch f.kind {
		case framePadding, framePing:
			continue
		case frameACK, frameACKECN:
			ok = f.ack()
		case frameCrypto:
			f.offset = f.number(&ok)
			f.data = f.bytes(&ok)
		case frameClose:
			f.code = f.number(&ok)
			f.number(&ok) // the frame type that caused it
			f.bytes(&ok)  // the reason
		}
		if !ok {
			f.bad, f.rest = true, nil
		}
		return ok
	}
	return false
}

// ack reads an ACK frame (RFC 9000 section 19.3).
func (f *frames) ack() bool {
	var ok bool
	f.largest = f.number(&ok)
	f.number(&ok) // delay
	ranges := f.number(&ok)
	f.number(&ok) // first range
	if !ok || ranges > uint64(len(f.rest))/2 {
		return false
	}
	n := 2 * int(ranges)
	if f.kind == frameACKECN {
		n += 3
	}
	for range n {
		if f.number(&ok); !ok {
			return false
		}
	}
	return true
}

// number reads a variable-length integer. Where the payload ends before, it
// leaves nothing to read and sets ok to false.
func (f *frames) number(ok *bool) uint64 {
	v, n := varint(f.rest)
	if *ok = n > 0; !*ok {
		f.rest = nil
	}
	f.rest = f.rest[n:]
	return v
}

// bytes reads octets with their length in front.
func (f *frames) bytes(ok *bool) []byte {
	n := f.number(ok)
	if !*ok || n > uint64(len(f.rest)) {
		*ok, f.rest = false, nil
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}
