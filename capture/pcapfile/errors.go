package pcapfile

import (
	"errors"
	"fmt"
)

// What can be wrong with a file. FileError wraps one of them, or what the
// operating system or the decompressor said.
var (
	ErrNotCapture  = errors.New("not a capture file")                                       // neither pcap nor pcapng, plain, gzip or zstd
	ErrEmpty       = errors.New("the file is empty")                                        // 0 octets, or 0 octets when decompressed
	ErrCut         = errors.New("the file ends early")                                      // inside a header, a record or a block
	ErrCorrupt     = errors.New("damaged")                                                  // fields that contradict each other or the limits
	ErrUnsupported = errors.New("unsupported version")                                      // a format version that is not known
	ErrNoCaptures  = errors.New("no capture file (pcap or pcapng, plain, gzip or zstd) in") // a directory
)

// FileError says what was wrong with one file and where.
type FileError struct {
	File string // as given, "-" for standard input
	// Offset is the octet at which the record or block starts that could not
	// be read, counted in the decompressed data; -1 where there is none.
	Offset       int64
	Decompressed bool // the file is compressed: Offset does not count its own octets
	Err          error
}

func (e *FileError) Error() string {
	switch {
	case e.Offset < 0:
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	case e.Decompressed:
		return fmt.Sprintf("%s: at octet %d of the decompressed data: %v", e.File, e.Offset, e.Err)
	}
	return fmt.Sprintf("%s: at octet %d: %v", e.File, e.Offset, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// corrupt describes damage in the record or block that starts at w's position.
func corrupt(w *window, format string, args ...any) error {
	return &FileError{Offset: w.off, Err: fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))}
}

// short describes a window that could not give the n octets of what starts at
// its position: the input ends there, or its reader failed.
func short(w *window, n int64, what string, err error) error {
	if isEOF(err) {
		err = fmt.Errorf("%w: inside %s of %d octets, %d of which are there", ErrCut, what, n, w.buffered())
	}
	return &FileError{Offset: w.off, Err: err}
}
