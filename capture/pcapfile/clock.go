package pcapfile

import "math/bits"

// clock turns the time stamps of a pcapng interface into ns since the Unix
// epoch, by its if_tsresol and if_tsoffset options.
type clock struct {
	exp    uint8 // a unit is 10^-exp or 2^-exp seconds
	binary bool
	scale  uint64 // decimal: 10^|9-exp|, 0 where that is beyond 64 bits
	units  uint64 // decimal: units per second, 0 where that is beyond 64 bits
	offset int64  // seconds to add
}

func newClock(resol byte, offset int64) clock {
	c := clock{exp: resol & 0x7f, binary: resol&0x80 != 0, offset: offset}
	if !c.binary {
		c.units = pow10(c.exp)
		if c.exp <= 9 {
			c.scale = pow10(9 - c.exp)
		} else {
			c.scale = pow10(c.exp - 9)
		}
	}
	return c
}

// time gives ns since the Unix epoch, within [0, maxTime]: a stamp beyond is
// held at the bound.
func (c *clock) time(stamp uint64) int64 {
	var sec, ns uint64
	switch {
	case c.binary:
		sec, ns = splitBinary(stamp, uint(c.exp))
	case c.exp == 6: // what nearly every writer uses: division by a constant
		sec, ns = stamp/1e6, stamp%1e6*1000
	case c.exp <= 9:
		sec, ns = stamp/c.units, stamp%c.units*c.scale
	case c.units != 0:
		sec, ns = stamp/c.units, stamp%c.units/c.scale
	case c.scale != 0: // less than a second in all
		ns = stamp / c.scale
	}
	const maxSec = maxTime / 1_000_000_000
	if c.offset != 0 {
		// Both summands are small enough for a sum that does not overflow.
		s := int64(min(sec, 1<<61)) + max(min(c.offset, 1<<61), -1<<61)
		if s < 0 {
			return 0
		}
		sec = uint64(s)
	}
	if sec >= maxSec {
		return maxTime
	}
	return int64(sec*1e9 + ns)
}

// splitBinary divides a stamp in units of 2^-exp s into seconds and ns.
func splitBinary(stamp uint64, exp uint) (sec, ns uint64) {
	sec = stamp >> exp // 0 for 64 and more
	frac := stamp - sec<<exp
	if exp >= 64 {
		frac = stamp
	}
	hi, lo := bits.Mul64(frac, 1e9)
	if exp >= 64 {
		return sec, hi >> (exp - 64)
	}
	return sec, hi<<(64-exp) | lo>>exp
}

// pow10 is 10^n, or 0 where it does not fit.
func pow10(n uint8) uint64 {
	if n > 19 {
		return 0
	}
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}
