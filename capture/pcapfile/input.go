package pcapfile

import (
	"errors"
	"io"
	"os"

	"mirrorscope/capture"
)

// decoder reads the frames of one file. The error is io.EOF at its end, or a
// *FileError without a file name.
type decoder interface {
	next(f *capture.Frame) error
	// batch gives the next frames, as far as they are read already, lie one
	// behind the other and have nothing wrong: what it stops at is for next.
	batch(fs []capture.Frame) int
}

// input is one file, or standard input. It is opened when the merge reaches it
// and closed at its end.
type input struct {
	path  string    // "-" for standard input
	stdin io.Reader // what to read instead of a file
	point string    // name of every interface, if not empty
	size  int64     // octets as stored, -1 if not known
	once  bool      // it can be opened only once: standard input, a pipe
	order int       // place among all inputs

	time int64 // of the next frame; before that is read, the time known from a first look

	// While it is open:
	file       io.Closer
	dec        decoder
	w          window
	compressed bool
	read       int64         // octets as stored
	frame      capture.Frame // the next one
	lent       bool          // frame is with the caller
}

// open starts reading in, with block as the window. r counts what is read and
// numbers interfaces.
func (in *input) open(block []byte, r *Reader) error {
	in.w.buf = block // even on an error, so that it is given back
	src, err := in.source()
	if err != nil {
		return in.fail(&FileError{Offset: -1, Err: err})
	}
	counted := readerFunc(func(b []byte) (int, error) {
		n, err := src.Read(b)
		in.read += int64(n)
		r.read.Add(int64(n))
		return n, withoutPath(err)
	})
	return in.start(counted, block, r.internFor(in), &r.untimed)
}

// start recognises the compression and the format of src and reads the file
// header.
func (in *input) start(src io.Reader, block []byte, intern func(string) uint32, untimed *uint64) error {
	plain, compressed, err := decompress(src)
	if err != nil {
		return in.fail(&FileError{Offset: 0, Err: err})
	}
	in.compressed = compressed
	in.w = window{src: plain, buf: block}
	in.dec, err = newDecoder(&in.w, intern, untimed)
	if err != nil {
		in.dec = nil
		return in.fail(err)
	}
	return nil
}

// newDecoder tells the formats apart by the first octets of w.
func newDecoder(w *window, intern func(string) uint32, untimed *uint64) (decoder, error) {
	magic, err := w.peek(4)
	if err != nil {
		switch {
		case errors.Is(err, io.EOF):
			err = ErrEmpty
		case errors.Is(err, io.ErrUnexpectedEOF):
			err = notCapture(w)
		}
		return nil, &FileError{Offset: 0, Err: err}
	}
	if u32(magic, false) == blockSection {
		return newPcapng(w, intern, untimed)
	}
	bigEndian, ok := isPcap(magic)
	if !ok {
		return nil, &FileError{Offset: 0, Err: notCapture(w)}
	}
	d, err := newPcap(w, bigEndian)
	if err == nil {
		d.iface = intern("")
	}
	return d, err
}

// next reads the next frame.
func (in *input) next() error {
	if err := in.dec.next(&in.frame); err != nil {
		return in.fail(err)
	}
	return nil
}

// close ends reading and returns the block. It leaves standard input open.
func (in *input) close() []byte {
	if in.file != nil {
		_ = in.file.Close() // only read: there is nothing to lose
	}
	if c, ok := in.w.src.(io.Closer); ok {
		_ = c.Close()
	}
	b := in.w.buf
	in.file, in.dec, in.w, in.frame = nil, nil, window{}, capture.Frame{}
	return b
}

// source opens the file.
func (in *input) source() (io.Reader, error) {
	if in.stdin != nil {
		return in.stdin, nil
	}
	f, err := os.Open(in.path)
	if err != nil {
		return nil, withoutPath(err)
	}
	in.file = f
	return f, nil
}

// firstTime looks at the first frame and closes the file again: to know when a
// file begins must not cost an open file and a block for each. The error is
// io.EOF for a capture without packets.
func (in *input) firstTime(block []byte) (int64, error) {
	look := input{path: in.path, size: in.size}
	defer look.close()
	src, err := look.source()
	if err != nil {
		return 0, look.fail(&FileError{Offset: -1, Err: err})
	}
	var untimed uint64
	if err := look.start(src, block, func(string) uint32 { return 0 }, &untimed); err != nil {
		return 0, err
	}
	if err := look.next(); err != nil {
		return 0, err
	}
	return look.frame.Time, nil
}

// fail completes an error with what the decoder does not know.
func (in *input) fail(err error) error {
	var fe *FileError
	if errors.As(err, &fe) {
		fe.File = in.path
		fe.Decompressed = in.compressed && fe.Offset >= 0
	}
	return err
}

// internFor numbers the interfaces of in, which its point renames.
func (r *Reader) internFor(in *input) func(string) uint32 {
	if in.point != "" {
		return func(string) uint32 { return r.ifaces.intern(in.point) }
	}
	return r.ifaces.intern
}

// withoutPath drops the path from an error of package os: FileError has it.
func withoutPath(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// newInput is the file at path, of which st was told.
func newInput(path string, st os.FileInfo) *input {
	if !st.Mode().IsRegular() {
		return &input{path: path, size: -1, once: true}
	}
	return &input{path: path, size: st.Size()}
}

// newStdin is standard input, whose size is known where the shell has opened a
// file for it.
func newStdin(r io.Reader) *input {
	in := &input{path: "-", stdin: r, size: -1, once: true}
	if f, ok := r.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
			in.size = st.Size()
		}
	}
	return in
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
