package packet

// TCP option kinds (IANA).
const (
	optEnd           = 0
	optNOP           = 1
	optMSS           = 2
	optWScale        = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
	optFastOpen      = 34
	optExperiment    = 254
	fastOpenMagic    = 0xf989 // experiment id of Fast Open before kind 34 (RFC 7413 section 4.1.1)
)

// How options begin that stand as most systems write them, in words of 4 octets.
const (
	wordTimestamps    = optNOP<<24 | optNOP<<16 | optTimestamps<<8 | 10 // RFC 7323 appendix A
	wordMSS           = optMSS<<24 | 4<<16                              // and the value
	wordWScale        = optNOP<<24 | optWScale<<16 | 3<<8               // and the value
	wordSACKPermitted = optNOP<<24 | optNOP<<16 | optSACKPermitted<<8 | 2
	wordSACK          = optNOP<<24 | optNOP<<16 | optSACK<<8 // and the length
	// Linux puts both kinds of 2 octets side by side.
	wordSACKTimestamps = optSACKPermitted<<24 | 2<<16 | optTimestamps<<8 | 10
)

// options reads the options of a TCP header, and tells whether they were
// well-formed.
func (t *TCP) options(b []byte) bool { return t.usual(b) || t.list(b) }

// usual reads options in a layout that is used most, as list does: that of nearly
// every segment, those of SYNs and SYN-ACKs, and SACK. Others it leaves alone.
func (t *TCP) usual(b []byte) bool {
	switch len(b) {
	case 12:
		o := (*[12]byte)(b)
		switch first := be32(o[:]); {
		case first == wordTimestamps:
			t.timestamps((*[8]byte)(o[4:]))
		case first&^0xffff == wordMSS && be32(o[4:])&^0xff == wordWScale && be32(o[8:]) == wordSACKPermitted:
			t.Has |= HasMSS | HasWScale | HasSACKPermitted
			t.MSS, t.WScale = uint16(first), o[7]
		default:
			return false
		}
		return true
	case 20:
		o := (*[20]byte)(b)
		first := be32(o[:])
		if first&^0xffff != wordMSS || be32(o[4:]) != wordSACKTimestamps || be32(o[16:])&^0xff != wordWScale {
			return false
		}
		t.Has |= HasMSS | HasSACKPermitted | HasWScale
		t.MSS, t.WScale = uint16(first), o[19]
		t.timestamps((*[8]byte)(o[8:]))
		return true
	case 24, 32, 40: // time stamps and one to three blocks
		o := (*[16]byte)(b)
		if be32(o[:]) != wordTimestamps || be32(o[12:]) != wordSACK|uint32(len(b)-14) {
			return false
		}
		t.timestamps((*[8]byte)(o[4:]))
		t.sack(b[16:])
		return true
	}
	return false
}

// timestamps reads the value of the option.
func (t *TCP) timestamps(v *[8]byte) {
	t.Has |= HasTimestamps
	t.TSval, t.TSecr = be32(v[:]), be32(v[4:])
}

// sack reads the blocks of the option, four at most.
func (t *TCP) sack(v []byte) {
	t.Has |= HasSACK
	t.NumSACK = uint8(len(v) / 8)
	for i := range len(v) / 8 {
		t.SACK[i] = SACK{be32(v[8*i:]), be32(v[8*i+4:])}
	}
}

// list reads TCP options one by one. Unknown kinds are skipped (RFC 9293 section
// 3.1).
func (t *TCP) list(b []byte) bool {
	ok := true
	for len(b) > 0 {
		kind := b[0]
		if kind == optNOP {
			b = b[1:]
			continue
		}
		if kind == optEnd {
			break
		}
		if len(b) < 2 {
			return false
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			return false
		}
		if !t.option(kind, b[2:n]) {
			ok = false
		}
		b = b[n:]
	}
	return ok
}

// option reads one option, and tells whether its length fits its kind.
func (t *TCP) option(kind byte, v []byte) bool {
	switch kind {
	case optTimestamps:
		if len(v) != 8 {
			return false
		}
		t.timestamps((*[8]byte)(v))
	case optSACK:
		if len(v) == 0 || len(v)&7 != 0 || len(v) > 8*len(t.SACK) {
			return false
		}
		t.sack(v)
	case optMSS:
		if len(v) != 2 {
			return false
		}
		t.Has |= HasMSS
		t.MSS = be16(v)
	case optWScale:
		if len(v) != 1 {
			return false
		}
		t.Has |= HasWScale
		t.WScale = v[0]
	case optSACKPermitted:
		if len(v) != 0 {
			return false
		}
		t.Has |= HasSACKPermitted
	case optFastOpen:
		t.Has |= HasFastOpen
		t.FastOpenBytes = uint8(len(v))
	case optExperiment:
		if len(v) >= 2 && be16(v) == fastOpenMagic {
			t.Has |= HasFastOpen
			t.FastOpenBytes = uint8(len(v) - 2)
		}
	}
	return true
}
