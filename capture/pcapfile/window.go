package pcapfile

import (
	"errors"
	"io"
)

// window is a block of a stream: octets are looked at in place and the block
// slides on when they have been consumed. It reads as much as the block holds
// at once and copies nothing but the part of a record that the end of the
// block cuts off.
type window struct {
	src    io.Reader
	buf    []byte
	lo, hi int   // buf[lo:hi] is read and not consumed
	off    int64 // offset in the stream of buf[lo]
	err    error // of src; nothing more will come
}

// peek returns the next n octets without consuming them. They are valid until
// the next call of peek or skip. When the stream ends before, the error is
// io.EOF if there is nothing left at all and io.ErrUnexpectedEOF otherwise.
func (w *window) peek(n int) ([]byte, error) {
	if w.hi-w.lo < n {
		if err := w.fill(n); err != nil {
			return nil, err
		}
	}
	return w.buf[w.lo : w.lo+n : w.lo+n], nil
}

// consume passes over n octets that peek has shown.
func (w *window) consume(n int) {
	w.lo += n
	w.off += int64(n)
}

// skip passes over n octets of any number, at the speed of reading.
func (w *window) skip(n int64) error {
	for n > 0 {
		if w.lo == w.hi {
			if err := w.fill(1); err != nil {
				return err
			}
		}
		m := int(min(n, int64(w.hi-w.lo)))
		w.consume(m)
		n -= int64(m)
	}
	return nil
}

// buffered is the number of octets that are there to be looked at.
func (w *window) buffered() int { return w.hi - w.lo }

// fill reads until n octets are there. The block grows for a record that is
// longer, but only as octets come: a length field alone costs no memory.
func (w *window) fill(n int) error {
	if w.lo > 0 {
		w.hi = copy(w.buf, w.buf[w.lo:w.hi])
		w.lo = 0
	}
	for idle := 0; w.hi < n; {
		if w.err != nil {
			if errors.Is(w.err, io.EOF) && w.hi > 0 {
				return io.ErrUnexpectedEOF
			}
			return w.err
		}
		if w.hi == len(w.buf) {
			w.buf = append(w.buf, make([]byte, min(max(len(w.buf), 64), n-len(w.buf)))...)
		}
		m, err := w.src.Read(w.buf[w.hi:])
		w.hi += m
		w.err = err
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 && err == nil {
			w.err = io.ErrNoProgress
		}
	}
	return nil
}
