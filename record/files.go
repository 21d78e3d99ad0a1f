package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"mirrorscope/capture"
)

// files are the segments of a ring. They belong to the writer, but for what stats
// gives.
type files struct {
	directory   string
	last        int64 // ns
	maxSize     int64
	length      int64 // of a segment, ns …
	size        int64 // … and octets
	comment     string
	application string
	filter      string

	root  *os.Root
	lock  *os.File
	old   []segment // that are finished, the oldest first
	cur   *current  // nil: none
	out   []byte    // blocks for cur that are not written …
	n     uint64    // … and the packets in them
	faces []face    // as they were when the queue was taken
	retry time.Time // after a failure; not before

	mu sync.Mutex
	st Stats
}

// segment is one file.
type segment struct {
	name  string
	first int64 // time of its first packet, ns since the Unix epoch
	size  int64
}

// current is the segment that is being written.
type current struct {
	segment
	f       *os.File
	filled  bool              // there is a packet in it
	numbers map[number]uint32 // of interfaces in the section
	stats   []statistics      // by number
	faces   []uint32          // … which interface that is
	dropped []uint64          // by interface, when the section began
}

// number is an interface with one link type.
type number struct {
	iface uint32
	link  capture.LinkType
}

func (x *files) init(c *Config, sensor, filter string) {
	x.directory, x.last, x.maxSize = c.Directory, int64(c.Last), int64(c.MaxSize)
	x.length, x.size = x.last/segments, x.maxSize/segments
	x.application, x.filter = "mirrorscope", filter
	if sensor != "" {
		x.application = sensor
	}
	what := "all packets"
	if filter != "" {
		what = "packets that match " + filter
	}
	x.comment = fmt.Sprintf("Headers of %s, recorded by %s. Payload was never written.", what, x.application)
}

const (
	namePrefix = "headers-"
	nameSuffix = ".pcapng"
	nameLayout = "20060102T150405.000000000Z"
)

func nameOf(first int64) string {
	return namePrefix + time.Unix(0, first).UTC().Format(nameLayout) + nameSuffix
}

// firstOf reads the time in the name of a segment.
func firstOf(name string) (first int64, ok bool) {
	s, prefix := strings.CutPrefix(name, namePrefix)
	s, suffix := strings.CutSuffix(s, nameSuffix)
	t, err := time.Parse(nameLayout, s)
	return t.UnixNano(), prefix && suffix && err == nil
}

// Open makes the folder, which no other Ring may use at the same time, and takes
// over the segments that are in it.
func (r *Ring) Open() error { return r.files.open() }

func (x *files) open() (err error) {
	fail := func(err error) error {
		x.close()
		return fmt.Errorf("record: %w", err)
	}
	if err := os.MkdirAll(x.directory, 0o700); err != nil {
		return fail(err)
	}
	if x.root, err = os.OpenRoot(x.directory); err != nil {
		return fail(err)
	}
	if x.lock, err = lock(x.root); err != nil {
		return fail(fmt.Errorf("%s: %w", x.directory, err))
	}
	entries, err := fs.ReadDir(x.root.FS(), ".")
	if err != nil {
		return fail(err)
	}
	for _, e := range entries {
		first, ok := firstOf(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fail(err)
		}
		x.old = append(x.old, segment{e.Name(), first, info.Size()})
	}
	slices.SortFunc(x.old, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	x.tell()
	return nil
}

// close gives the folder back.
func (x *files) close() {
	if x.lock != nil {
		_ = x.lock.Close() // only a lock
	}
	if x.root != nil {
		_ = x.root.Close() // only read from
	}
}

// write takes what the queue held.
func (x *files) write(queue []byte) {
	var e entry
	for len(queue) > 0 {
		queue = e.next(queue)
		if !x.ready(&e) {
			x.unwritten(1)
			continue
		}
		x.add(&e)
		if len(x.out) >= flushAt {
			x.flush()
		}
	}
	x.flush()
	x.tell()
}

// flushAt is how many octets are written at a time.
const flushAt = 256 << 10

// ready tells whether there is a segment that has room for a packet, and makes one.
func (x *files) ready(e *entry) bool {
	if c := x.cur; c != nil {
		if e.at-c.first < x.length && c.size+int64(len(x.out)+packetHead+len(e.data)+3) <= x.size {
			return true
		}
		x.finish()
	}
	if time.Now().Before(x.retry) {
		return false
	}
	return x.begin(e.at)
}

// newName is what a segment is called while it has no section header: no reader is
// to meet a file that is none.
const newName = ".new"

// begin makes a segment.
func (x *files) begin(first int64) bool {
	c := &current{segment: segment{first: first}, numbers: map[number]uint32{}}
	for _, face := range x.faces {
		c.dropped = append(c.dropped, face.dropped)
	}
	for x.taken(nameOf(c.first)) {
		c.first++
	}
	c.name = nameOf(c.first)
	err := x.create(c)
	for err != nil && full(err) && x.removeOldest() {
		err = x.create(c)
	}
	if err != nil {
		x.fail(err)
		return false
	}
	x.cur = c
	return true
}

// taken tells whether there is a file of that name.
func (x *files) taken(name string) bool {
	_, err := x.root.Lstat(name)
	return err == nil
}

// create makes the file of a segment, with its section header.
func (x *files) create(c *current) (err error) {
	if c.f, err = x.root.OpenFile(newName, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	head := appendSection(nil, x.comment, x.application)
	if _, err = c.f.Write(head); err == nil {
		err = x.root.Rename(newName, c.name)
	}
	if err != nil {
		return errors.Join(err, c.f.Close())
	}
	c.size = int64(len(head))
	return nil
}

// add puts a packet behind the others.
func (x *files) add(e *entry) {
	c := x.cur
	k := number{e.iface, e.link}
	i, ok := c.numbers[k]
	if !ok {
		i = uint32(len(c.stats))
		c.numbers[k] = i
		c.stats = append(c.stats, statistics{first: e.at, last: e.at})
		c.faces = append(c.faces, e.iface)
		x.out = appendInterface(x.out, x.faces[e.iface].name, e.link, x.filter)
	}
	s := &c.stats[i]
	s.first, s.last = min(s.first, e.at), max(s.last, e.at)
	s.delivered++
	x.out = appendPacket(x.out, i, e.at, int(e.wire), e.data)
	x.n++
}

// flush writes what is there. When that fails the segment ends where it was whole.
func (x *files) flush() {
	c := x.cur
	if c == nil || len(x.out) == 0 {
		return
	}
	for x.total()+int64(len(x.out)) > x.maxSize && x.removeOldest() {
	}
	_, err := c.f.Write(x.out)
	for err != nil && full(err) && x.removeOldest() {
		if err = c.f.Truncate(c.size); err == nil {
			_, err = c.f.Write(x.out)
		}
	}
	if err != nil {
		x.fail(err)
		x.unwritten(x.n)
		if err := errors.Join(c.f.Truncate(c.size), c.f.Close()); err != nil {
			x.fail(err)
		}
		x.settle()
	} else {
		c.size += int64(len(x.out))
		c.filled = true
		x.mu.Lock()
		x.st.Written += x.n
		x.st.Failing = nil
		x.mu.Unlock()
	}
	x.out, x.n = x.out[:0], 0
}

// finish ends the segment with its statistics.
func (x *files) finish() {
	x.flush()
	c := x.cur
	if c == nil {
		return // flush has failed
	}
	told := map[uint32]bool{}
	for i := range c.stats {
		s, iface := &c.stats[i], c.faces[i]
		if !told[iface] { // one of several link types tells
			told[iface] = true
			s.dropped = x.faces[iface].dropped
			if int(iface) < len(c.dropped) {
				s.dropped -= c.dropped[iface]
			}
		}
		x.out = appendStatistics(x.out, uint32(i), s)
	}
	x.flush()
	if x.cur == nil {
		return
	}
	if err := c.f.Close(); err != nil {
		x.fail(err)
	}
	x.settle()
}

// settle puts the segment, which is closed, to the others; one without a packet
// goes.
func (x *files) settle() {
	c := x.cur
	x.cur = nil
	x.old = append(x.old, c.segment)
	if !c.filled {
		x.remove(len(x.old) - 1)
	}
}

// age removes what is too old at a time of the input's clock.
func (x *files) age(now int64) {
	if x.cur != nil && now-x.cur.first >= x.length {
		x.finish()
	}
	for len(x.old) > 0 && now-x.old[0].first > x.last && x.removeOldest() {
	}
	x.tell()
}

func (x *files) removeOldest() bool { return len(x.old) > 0 && x.remove(0) }

func (x *files) remove(i int) bool {
	if err := x.root.Remove(x.old[i].name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		x.fail(err)
		return false
	}
	x.old = slices.Delete(x.old, i, i+1)
	return true
}

func (x *files) total() (n int64) {
	for i := range x.old {
		n += x.old[i].size
	}
	if x.cur != nil {
		n += x.cur.size
	}
	return n
}

// retryAfter is how long nothing is tried after a failure.
const retryAfter = time.Second

func (x *files) fail(err error) {
	x.retry = time.Now().Add(retryAfter)
	x.mu.Lock()
	x.st.Failing = err
	x.mu.Unlock()
}

func (x *files) unwritten(n uint64) {
	x.mu.Lock()
	x.st.Unwritten += n
	x.mu.Unlock()
}

// tell makes the state known.
func (x *files) tell() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.st.Segments, x.st.Bytes, x.st.Oldest = len(x.old), x.total(), 0
	if x.cur != nil {
		x.st.Segments++
		x.st.Oldest = x.cur.first
	}
	if len(x.old) > 0 {
		x.st.Oldest = x.old[0].first
	}
}

func (x *files) stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.st
}

// full tells of an error that more room would mend.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
