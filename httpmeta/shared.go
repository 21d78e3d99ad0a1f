package httpmeta

import (
	"math/bits"

	"mirrorscope/pool"
)

// Shared is what the connections of one goroutine have in common: the budget
// for heads that are incomplete, buffers for them, and names met before, so
// that neither a repeated request nor a new connection allocates. The zero
// value is ready for use.
type Shared struct {
	Budget *pool.Budget // of octets that Conns keep; nil is no bound but each direction's own

	names   map[string]string
	free    [4][][]byte // buffers of 1, 2, 4 and 8 KiB
	scratch []byte
	field   []byte // likewise, of a fieldReader
}

const (
	maxNames   = 2048 // strings that Shared keeps, of at most maxHost octets each
	maxFree    = 8    // buffers that Shared keeps, of each size
	minBuffer  = 1 << 10
	minBufBits = 10
)

// name gives a string with the octets of b, the same as last time where it is
// still known.
func (s *Shared) name(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if n, ok := s.names[string(b)]; ok {
		return n
	}
	if s.names == nil {
		s.names = map[string]string{}
	}
	if len(s.names) >= maxNames {
		clear(s.names)
	}
	n := string(b)
	s.names[n] = n
	return n
}

func (s *Shared) take(n int) bool { return s.Budget == nil || s.Budget.Take(n) }

func (s *Shared) give(n int) {
	if s.Budget != nil {
		s.Budget.Give(n)
	}
}

// extend gives buf with b behind it. It is false, and buf stays as it is,
// where the budget has no room.
func (s *Shared) extend(buf, b []byte) ([]byte, bool) {
	need := len(buf) + len(b)
	if need <= cap(buf) {
		return append(buf, b...), true
	}
	size := max(minBuffer, 1<<bits.Len(uint(need-1)))
	if !s.take(size - cap(buf)) {
		return buf, false
	}
	bigger := append(append(s.buffer(size), buf...), b...)
	s.keep(buf)
	return bigger, true
}

// release takes a buffer back that extend gave.
func (s *Shared) release(buf []byte) {
	s.give(cap(buf))
	s.keep(buf)
}

func (s *Shared) buffer(size int) []byte {
	if i := bits.Len(uint(size)) - 1 - minBufBits; i < len(s.free) && len(s.free[i]) > 0 {
		n := len(s.free[i]) - 1
		b := s.free[i][n]
		s.free[i] = s.free[i][:n]
		return b
	}
	return make([]byte, 0, size)
}

func (s *Shared) keep(buf []byte) {
	if cap(buf) == 0 {
		return
	}
	if i := bits.Len(uint(cap(buf))) - 1 - minBufBits; i < len(s.free) && len(s.free[i]) < maxFree {
		s.free[i] = append(s.free[i], buf[:0])
	}
}
