package pcapfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	compressedBlock = 128 << 10 // octets of the compressed file read at once
	maxZstdWindow   = 128 << 20 // octets; the zstd tool refuses more, too, unless told
)

// decompress looks at the first octets of src and returns what it holds.
func decompress(src io.Reader) (plain io.Reader, compressed bool, err error) {
	var head [4]byte
	n, err := io.ReadFull(src, head[:])
	if err != nil && !isEOF(err) {
		return nil, false, err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), src)
	switch {
	case bytes.HasPrefix(head[:n], []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bufio.NewReaderSize(whole, compressedBlock)) // all members
		if err != nil {
			return nil, true, compressionError(err)
		}
		return decompressor{z}, true, nil
	case isZstd(head[:n]):
		// One goroutine and small buffers: with many files open at once their
		// sum counts.
		z, err := zstd.NewReader(bufio.NewReaderSize(whole, compressedBlock), zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, true, compressionError(err)
		}
		return decompressor{z.IOReadCloser()}, true, nil
	}
	return whole, false, nil
}

// decompressor tells what is wrong with compressed data in our words.
type decompressor struct{ io.ReadCloser }

func (d decompressor) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = compressionError(err)
	}
	return n, err
}

func compressionError(err error) error {
	var sys syscall.Errno
	switch {
	case isEOF(err):
		return fmt.Errorf("%w: inside compressed data", ErrCut)
	case errors.As(err, &sys): // of the file below
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// isZstd recognises a frame (RFC 8878 section 3.1.1) and the skippable frames
// that parallel compressors put in front (section 3.1.2).
func isZstd(b []byte) bool {
	return bytes.Equal(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(b) == 4 && b[0]&0xf0 == 0x50 && bytes.Equal(b[1:], []byte{0x2a, 0x4d, 0x18})
}

// foreign are formats that a user may take for a capture, and the mend.
var foreign = []struct{ magic, name, mend string }{
	{"\xfd7zXZ\x00", "xz", "decompress it: xz -dc FILE | sensor replay -"},
	{"BZh", "bzip2", "decompress it: bzip2 -dc FILE | sensor replay -"},
	{"\x04\x22\x4d\x18", "lz4", "decompress it: lz4 -dc FILE | sensor replay -"},
	{"PK\x03\x04", "zip", "unpack it: unzip -p FILE | sensor replay -"},
	{"snoop\x00\x00\x00", "snoop", "convert it: editcap -F pcap FILE OUT"},
}

// notCapture names the first octets of what is no capture, and the mend.
func notCapture(w *window) error {
	b, err := w.peek(8)
	if err != nil {
		b = w.buf[w.lo:w.hi] // all that is there
	}
	for _, f := range foreign {
		if bytes.HasPrefix(b, []byte(f.magic)) {
			return fmt.Errorf("%w but %s; %s", ErrNotCapture, f.name, f.mend)
		}
	}
	return fmt.Errorf("%w: it begins with % x (%q), neither pcap nor pcapng (plain, gzip or zstd)", ErrNotCapture, b, b)
}
