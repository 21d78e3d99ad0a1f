package quic

import (
	"slices"

	"mirrorscope/pool"
)

// Bounds of the CRYPTO data of one direction (RFC 9000 section 19.6): octets
// that wait, and pieces that they may lie in. Senders cut a hello into some
// twenty pieces at most.
const (
	maxCrypto = 64 << 10
	maxPieces = 64
)

// span is a range of octets.
type span struct{ from, to int }

// cryptoStream puts the CRYPTO frames of one direction in order. Frames may
// come in any order, several times and overlapping; of octets that come twice
// the first is kept. The zero value is ready for use.
type cryptoStream struct {
	base uint64 // octets handed on
	data []byte // from base on; only those in have are known
	have []span // by position, apart from each other
}

// put adds the octets at off. It is false if they are beyond the bounds or there
// is no memory.
func (s *cryptoStream) put(off uint64, b []byte, budget *pool.Budget) bool {
	if off < s.base {
		old := min(s.base-off, uint64(len(b)))
		off, b = off+old, b[old:]
	}
	if len(b) == 0 {
		return true
	}
	if off-s.base > maxCrypto || off-s.base+uint64(len(b)) > maxCrypto {
		return false
	}
	p := span{int(off - s.base), int(off-s.base) + len(b)}
	// first and last bound the spans that p touches.
	first, _ := slices.BinarySearchFunc(s.have, p.from, func(h span, at int) int { return h.to - at })
	last := first
	for last < len(s.have) && s.have[last].from <= p.to {
		last++
	}
	if first == last && len(s.have) == maxPieces || !s.grow(p.to, budget) {
		return false
	}
	at := p.from
	for _, h := range s.have[first:last] {
		if at < h.from {
			copy(s.data[at:h.from], b[at-p.from:])
		}
		at = max(at, h.to)
	}
	if at < p.to {
		copy(s.data[at:p.to], b[at-p.from:])
	}
	if first < last {
		p.from = min(p.from, s.have[first].from)
		p.to = max(p.to, s.have[last-1].to)
	}
	s.have = slices.Replace(s.have, first, last, p)
	return true
}

// grow makes room for n octets.
func (s *cryptoStream) grow(n int, budget *pool.Budget) bool {
	if n > cap(s.data) {
		size := 2 << 10
		for size < n {
			size *= 2
		}
		if !budget.Take(size - cap(s.data)) {
			return false
		}
		grown := make([]byte, len(s.data), size)
		copy(grown, s.data)
		s.data = grown
	}
	if n > len(s.data) {
		s.data = s.data[:n]
	}
	return true
}

// message gives the next handshake message with its header (RFC 8446 section
// 4) once all of it is there. It is lent until the next call of put or done.
func (s *cryptoStream) message() ([]byte, bool) {
	if len(s.have) == 0 || s.have[0].from != 0 || s.have[0].to < 4 {
		return nil, false
	}
	n := 4 + (int(s.data[1])<<16 | int(s.data[2])<<8 | int(s.data[3]))
	if s.have[0].to < n {
		return nil, false
	}
	return s.data[:n], true
}

// done drops the first n octets.
func (s *cryptoStream) done(n int) {
	s.base += uint64(n)
	copy(s.data, s.data[n:])
	s.data = s.data[:len(s.data)-n]
	kept := s.have[:0]
	for _, h := range s.have {
		if h.to > n {
			kept = append(kept, span{max(h.from, n) - n, h.to - n})
		}
	}
	s.have = kept
}

// reset forgets all and gives the memory back.
func (s *cryptoStream) reset(budget *pool.Budget) {
	budget.Give(cap(s.data))
	*s = cryptoStream{}
}
