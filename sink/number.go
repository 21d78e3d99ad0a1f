package sink

import (
	"math/bits"
	"strconv"

	"mirrorscope/packet"
)

// pairs are the numbers from 00 to 99.
const pairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// tens are the powers of ten, by exponent.
var tens = [...]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// AppendUint adds n in decimal, as strconv.AppendUint does: most numbers of a
// record have a digit or two, and all are written where they stay.
func AppendUint(dst []byte, n uint64) []byte {
	if n < 10 {
		return append(dst, '0'+byte(n))
	}
	if n < 100 {
		return append(dst, pairs[2*n], pairs[2*n+1])
	}
	at := len(dst)
	digits := bits.Len64(n) * 1233 >> 12 // about the logarithm: 1233/4096
	if n >= tens[digits] {
		digits++
	}
	if cap(dst)-at < digits {
		return strconv.AppendUint(dst, n, 10) // grows it
	}
	dst = dst[:at+digits]
	b := dst[at:]
	i := len(b)
	for ; n >= 100; n /= 100 {
		two := 2 * (n % 100)
		i -= 2
		b[i], b[i+1] = pairs[two], pairs[two+1]
	}
	if n >= 10 {
		b[0], b[1] = pairs[2*n], pairs[2*n+1]
	} else {
		b[0] = '0' + byte(n)
	}
	return dst
}

// AppendInt adds n in decimal.
func AppendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return AppendUint(append(dst, '-'), -uint64(n))
	}
	return AppendUint(dst, uint64(n))
}

// AppendAddr adds an address as its IP would.
func AppendAddr(dst []byte, a *packet.Addr) []byte {
	if [12]byte(a[:12]) != mapped {
		return a.IP().AppendTo(dst)
	}
	dst = AppendUint(dst, uint64(a[12]))
	dst = AppendUint(append(dst, '.'), uint64(a[13]))
	dst = AppendUint(append(dst, '.'), uint64(a[14]))
	return AppendUint(append(dst, '.'), uint64(a[15]))
}

// mapped begins an IPv4 address (RFC 4291 section 2.5.5.2).
var mapped = [12]byte{10: 0xff, 11: 0xff}

// A Clock adds times of records, many of which are within one second. The zero
// value is ready for use.
type Clock struct {
	second int64
	text   []byte // of it
}

// AppendTime does what the function of that name does.
func (c *Clock) AppendTime(dst []byte, ns int64) []byte {
	s, nanos := split(ns)
	if s != c.second || c.text == nil {
		c.second, c.text = s, appendSeconds(c.text[:0], s)
	}
	return appendNanos(append(dst, c.text...), nanos)
}
