// Package pcapfile reads recorded packets: the capture.Source of replay.
//
// It reads pcap (both byte orders, microseconds and nanoseconds, and the
// variant with 24-octet record headers) and pcapng (any number of sections and
// interfaces), plain, gzip or zstd, told apart by content and never by name.
//
// Several files are merged by record time; one file alone is delivered in its
// own order, whatever its times. Memory does not grow with the input: a file is
// read in large blocks, frames are lent out of the block, and of many files
// only those whose time ranges overlap are open at once. Next does not
// allocate.
//
// Files are hostile. A cut or corrupt file is delivered up to the damage, which
// Errors then tells with file and offset; the other files go on. Packet options,
// name resolution, statistics and decryption secrets are not read.
//
// Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
package pcapfile

import (
	"errors"
	"io"
	"math"
	"sync/atomic"

	"mirrorscope/capture"
)

// Config says what to read.
type Config struct {
	// Paths are files, directories, or "-" for Stdin. Of a directory the regular
	// files directly in it that are captures are read, in order of their names.
	Paths []string
	// Points makes a file an observation point of its own: path → name. The
	// name stands for every interface in the file, or in all files of a
	// directory. What is not in Paths is read, too, after what is, in order of
	// the paths.
	Points map[string]string
	// Stdin is what "-" reads; nil means os.Stdin.
	Stdin io.Reader
}

// Validate reports every fault of c.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Paths) == 0 && len(c.Points) == 0 {
		errs = append(errs, errors.New("no capture file given (name files, a directory, or - for standard input)"))
	}
	stdin := 0
	for _, p := range c.Paths {
		switch p {
		case "":
			errs = append(errs, errors.New("a capture file's name is empty"))
		case "-":
			if stdin++; stdin == 2 {
				errs = append(errs, errors.New("standard input (-) can be read only once"))
			}
		}
	}
	for file, name := range c.Points {
		if file == "" || name == "" {
			errs = append(errs, errors.New("a point needs a name and a file (NAME=FILE)"))
		}
	}
	return errors.Join(errs...)
}

// Reader delivers the frames of all inputs. It implements capture.Batcher
// and is used by one goroutine; only Progress may be called from others.
type Reader struct {
	queue  queue // inputs that have, or may have, a next frame
	ifaces interfaces
	errs   []error
	notes  []string

	block   int      // octets read at once
	free    [][]byte // blocks of inputs that have ended
	untimed uint64

	read  atomic.Int64 // octets of the files as stored
	total int64        // -1 where an input has no size
}

// Open looks at every input and returns the Reader that merges them. The error
// tells what is wrong with c; a file that is missing or no capture is told by
// Errors, so that the others can be read.
func Open(c Config) (*Reader, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	found := find(&c)
	inputs := found.inputs
	r := &Reader{errs: found.errs, notes: found.notes, block: blockSize(len(inputs)), total: total(inputs)}
	if len(inputs) == 1 {
		r.queue.push(inputs[0])
		return r, nil
	}
	scratch := make([]byte, minBlock)
	for _, in := range inputs {
		if in.once {
			// It cannot be looked at twice: it is opened first, and its first frame waits.
			in.time = math.MinInt64
			r.queue.push(in)
			continue
		}
		t, err := in.firstTime(scratch)
		switch {
		case err == nil:
			in.time = t
			r.queue.push(in)
		case errors.Is(err, io.EOF): // a capture without packets
			r.read.Add(in.size)
		default:
			r.errs = append(r.errs, err)
			r.read.Add(in.size)
		}
	}
	return r, nil
}

// Next overwrites f with the next frame; f.Data is lent until the next call.
// The error is io.EOF or nil.
func (r *Reader) Next(f *capture.Frame) error {
	for len(r.queue) > 0 {
		in := r.queue[0]
		if in.dec != nil && !in.lent {
			*f = in.frame
			in.lent = true
			return nil
		}
		// The head of the queue is not open yet, or its frame is with the
		// caller since the last call and may be overwritten now.
		if err := r.advance(in); err != nil {
			if !errors.Is(err, io.EOF) {
				r.errs = append(r.errs, err)
			}
			r.end(in)
			r.queue.pop()
			continue
		}
		r.queue.fix()
	}
	return io.EOF
}

// NextBatch is that of capture.Batcher: the frames of a batch lie in the blocks
// that are read already.
func (r *Reader) NextBatch(fs []capture.Frame) (int, error) {
	if err := r.Next(&fs[0]); err != nil {
		return 0, err
	}
	if len(r.queue) == 1 {
		return 1 + r.queue[0].dec.batch(fs[1:]), nil
	}
	n := 1
	for ; n < len(fs); n++ {
		in := r.queue[0]
		if in.dec == nil {
			break
		}
		if !in.lent {
			fs[n] = in.frame
			in.lent = true
			continue
		}
		if in.dec.batch(fs[n:n+1]) == 0 {
			break
		}
		in.frame, in.lent = fs[n], false
		in.time = in.frame.Time
		r.queue.fix()
		n--
	}
	return n, nil
}

// advance opens in where needed and reads its next frame.
func (r *Reader) advance(in *input) error {
	if in.dec == nil {
		if err := in.open(r.takeBlock(), r); err != nil {
			return err
		}
	}
	if err := in.next(); err != nil {
		return err
	}
	in.time = in.frame.Time
	in.lent = false
	return nil
}

// end closes in and keeps its block for the next input.
func (r *Reader) end(in *input) {
	if b := in.close(); b != nil {
		r.free = append(r.free, b)
	}
	if in.size > in.read {
		r.read.Add(in.size - in.read) // what lies behind the damage will not be read
	}
}

// Interfaces names the interfaces met so far: the point's name, else the
// pcapng if_name, else "0". The same name in another file, section or
// interface block is the same interface, so that rotated files continue.
func (r *Reader) Interfaces() []string { return r.ifaces.names }

// Errors lists what could not be read, as *FileError.
func (r *Reader) Errors() []error { return r.errs }

// Notes lists files of directories that were passed over because they are no
// captures.
func (r *Reader) Notes() []string { return r.notes }

// Untimed is the number of frames so far that had no time of their own (Simple
// Packet Blocks); they were given the time of the frame in front of them.
func (r *Reader) Untimed() uint64 { return r.untimed }

// Progress tells how much of the input has been read, in octets of the files
// as they are stored. total is -1 where it is not known. It is safe to call
// from any goroutine.
func (r *Reader) Progress() (read, total int64) { return r.read.Load(), r.total }

// Close closes what is still open; Next gives io.EOF from then on. It leaves
// standard input open and returns nil.
func (r *Reader) Close() error {
	for _, in := range r.queue {
		in.close()
	}
	r.queue = nil
	return nil
}

// total sums up the sizes of all inputs, -1 where one is not known.
func total(inputs []*input) (n int64) {
	for _, in := range inputs {
		if in.size < 0 {
			return -1
		}
		n += in.size
	}
	return n
}

// Sizes of the block of one input.
const (
	maxBlock    = 256 << 10 // small enough to be in the cache still when its frames are read
	minBlock    = 64 << 10
	blockBudget = 64 << 20 // octets for all inputs together
)

// blockSize shares the budget out among n inputs, all of which may have to be
// open at once.
func blockSize(n int) int { return min(maxBlock, max(minBlock, blockBudget/max(n, 1))) }

func (r *Reader) takeBlock() []byte {
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b
	}
	return make([]byte, r.block)
}
