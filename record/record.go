// Package record keeps the headers of the packets behind a number: a ring of
// pcapng files with the last minutes of what matches a filter.
//
//	reader ──Take──► cut to headers ──► queue ──► writer ──► segment, segment, segment
//
// What is written of a frame ends where the payload of the innermost packet
// begins. Payload is never written. Of an ICMP error the headers that it quotes
// are kept. Frames keep their time and their length on the wire, so that a replay
// of the ring gives the volumes and the TCP figures of the packets themselves.
//
// A segment is a whole pcapng section, readable while it is written; when the
// process is killed at most its last block is cut. Segments are removed before
// the folder holds more than it may, and when the first of their packets is older
// than it may be.
//
// Take belongs to the goroutine that reads packets. It never waits for the disk and
// allocates nothing, except for fragments: what finds no room in the queue is
// dropped and counted. Run is the writer. A full disk costs packets of the ring,
// counted, and nothing else.
//
// Format: draft-ietf-opsawg-pcapng.
package record

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"mirrorscope/capture"
	"mirrorscope/filter"
	"mirrorscope/packet"

	"mirrorscope/unit"
)

// Config says what to keep.
type Config struct {
	Directory string        `toml:"directory" comment:"Folder of the ring; made if it is not there. Empty: nothing is recorded. Files in it that are not of the\nring are left alone."`
	Filter    string        `toml:"filter" comment:"Keep the headers of packets that match, in the words of tcpdump; looks at the innermost packet. Empty: of all."`
	Last      unit.Duration `toml:"last" comment:"No packet is kept for longer than this, and at least eleven twelfths of it are there."`
	MaxSize   unit.Size     `toml:"max_size" comment:"The most that the folder holds, as \"1GiB\"; when it is reached the oldest packets go earlier."`
	Queue     unit.Size     `toml:"queue" comment:"Memory for headers that wait to be written. What finds no room is dropped and counted."`
}

// DefaultConfig keeps ten minutes and 1 GiB.
func DefaultConfig() Config {
	return Config{Last: unit.Duration(10 * time.Minute), MaxSize: 1 << 30, Queue: 16 << 20}
}

// Bounds of a Config.
const (
	minLast  = 12 * time.Second
	maxLast  = 31 * 24 * time.Hour
	minSize  = 1 << 20
	minQueue = 64 << 10
	maxQueue = 1 << 30
)

// segments is in how many parts the time and the size of a ring are divided.
const segments = 12

// Validate reports every field that cannot be used.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Directory != "" && !filepath.IsAbs(c.Directory) {
		bad("directory: %q is not an absolute path", c.Directory)
	}
	if c.Filter != "" {
		if _, err := filter.Parse(c.Filter); err != nil {
			bad("%w", err)
		}
	}
	if last := time.Duration(c.Last); last < minLast || last > maxLast {
		bad("last: %v is not between %v and %v", c.Last, unit.Duration(minLast), unit.Duration(maxLast))
	}
	if c.MaxSize < minSize {
		bad("max_size: %v is less than %v", c.MaxSize, unit.Size(minSize))
	}
	if c.Queue < minQueue || c.Queue > maxQueue {
		bad("queue: %v is not between %v and %v", c.Queue, unit.Size(minQueue), unit.Size(maxQueue))
	}
	return errors.Join(errs...)
}

// Options are what a Ring is given beside its Config.
type Options struct {
	Decode     packet.Config   // that of the decoder that gives the packets
	Interfaces func() []string // names by Frame.Interface, those of the Source; called by Take when there is a new one
	Sensor     string          // who records: name and version, for the header of each segment
	Wait       bool            // Take waits for room in the queue: for sources that can wait
}

// Ring takes frames and keeps the headers of those that match.
type Ring struct {
	cfg    Config
	o      Options
	filter *filter.Filter
	cutter *cutter
	pieces pieces
	clock  atomic.Int64 // ns since the Unix epoch; the latest time of any frame

	mu      sync.Mutex
	room    sync.Cond // with Options.Wait
	filling []byte    // entries; its capacity is half of the queue
	empty   []byte    // the other half, while nobody writes it
	faces   []face
	kick    chan struct{} // there is much to write
	ended   bool          // nobody writes any more

	matched, dropped atomic.Uint64
	files            files
}

// face is an interface that frames came from.
type face struct {
	name    string
	dropped uint64 // frames
}

// New gives a Ring that does nothing yet. c must be valid.
func New(c Config, o Options) (*Ring, error) {
	f, err := filter.Parse(c.Filter)
	if err != nil {
		return nil, err
	}
	half := int(c.Queue) / 2
	r := &Ring{
		cfg: c, o: o, filter: f, cutter: newCutter(o.Decode), kick: make(chan struct{}, 1),
		filling: make([]byte, 0, half), empty: make([]byte, 0, half),
	}
	r.room.L = &r.mu
	r.files.init(&r.cfg, o.Sensor, f.String())
	return r, nil
}

// Take takes a frame and the packet that it gave, alone or as the last of its
// fragments. Both are lent for the call.
func (r *Ring) Take(f *capture.Frame, p *packet.Packet) {
	r.Clock(f.Time)
	if p.Flags&packet.Reassembled != 0 {
		r.piece(f, p)
		return
	}
	if r.filter.Match(p) {
		r.put(f.Data[:r.cutter.headers(f, p)], f.Time, f.WireLen, f.Interface, f.Link)
	}
}

// Held takes a frame that holds a fragment of a packet which is not complete. It
// is kept if the first fragment, which has the ports, matches.
func (r *Ring) Held(f *capture.Frame) {
	r.Clock(f.Time)
	r.piece(f, nil)
}

// Clock tells that the input's clock has come to now, ns since the Unix epoch. Take
// and Held do so by themselves.
func (r *Ring) Clock(now int64) {
	if now > r.clock.Load() { // there is one writer
		r.clock.Store(now)
	}
}

// put hands a frame, cut already, to the writer.
func (r *Ring) put(b []byte, at int64, wire int, iface uint32, link capture.LinkType) {
	r.matched.Add(1)
	n := entryHead + len(b)
	r.mu.Lock()
	for int(iface) >= len(r.faces) {
		r.name(iface)
	}
	for r.o.Wait && !r.ended && len(r.filling)+n > cap(r.filling) {
		r.wake()
		r.room.Wait()
	}
	if r.ended || len(r.filling)+n > cap(r.filling) {
		r.faces[iface].dropped++
		r.mu.Unlock()
		r.dropped.Add(1)
		return
	}
	r.filling = appendEntry(r.filling, b, at, wire, iface, link)
	much := len(r.filling) > cap(r.filling)/2
	r.mu.Unlock()
	if much {
		r.wake()
	}
}

func (r *Ring) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// name adds an interface; the lock is held.
func (r *Ring) name(iface uint32) {
	names := []string(nil)
	if r.o.Interfaces != nil {
		names = r.o.Interfaces()
	}
	for i := len(r.faces); i <= int(iface); i++ {
		name := fmt.Sprint(i)
		if i < len(names) {
			name = names[i]
		}
		r.faces = append(r.faces, face{name: name})
	}
}

// Stats are counts since the Ring was made.
type Stats struct {
	Matched   uint64 // frames
	Dropped   uint64 // … that found no room in the queue
	Unwritten uint64 // … that could not be written
	Written   uint64 // … that are, or were, in segments
	Segments  int    // there are now
	Bytes     int64  // in them
	Oldest    int64  // time of the first packet in them, ns since the Unix epoch; 0: there is none
	Failing   error  // why nothing can be written now; nil: it can
}

// Stats may be called by any goroutine.
func (r *Ring) Stats() Stats {
	s := r.files.stats()
	s.Matched, s.Dropped = r.matched.Load(), r.dropped.Load()
	return s
}
