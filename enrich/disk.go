package enrich

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A history on disk begins with a line that names the format and its version. Then
// come, as unsigned varints unless said otherwise:
//
//	length of the body and its CRC-32C, 4 octets each, big-endian
//	body: source (text), rank, seen (signed)
//	      number of texts, each a length and octets
//	      number of sets, each a number of tags, each two numbers of texts
//	      number of places, each: network (text number), octets of the address (4 or 16) and they, bits, first port, last port, protocol,
//	        number of versions, each: from and to (signed; they end where to is for ever), set number
const (
	historyFormat  = "mirrorscope history "
	historyVersion = "1\n"

	historyPrefix = "history-"
	historySuffix = ".bin"
	historyMode   = 0o640 // tags may tell more than everyone should know

	// maxHistory bounds a file that is read, octets: some 30 million versions.
	maxHistory = 1 << 30
)

// ErrHistory tells that a file is no history, or is damaged. What was in it is lost,
// and nothing else.
var ErrHistory = errors.New("no history that can be read")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Store keeps the histories of Layers in a directory, a file for each source. A file
// is replaced as a whole, so that whoever reads it, or finds it after a crash, has the
// old one or the new one.
type Store struct{ Directory string }

// Path is where the history of a source is.
func (s Store) Path(source string) string {
	return filepath.Join(s.Directory, historyPrefix+url.PathEscape(source)+historySuffix)
}

// Save replaces the file of a Layer.
func (s Store) Save(l *Layer) error {
	if err := replace(s.Path(l.name), l.encode()); err != nil {
		return fmt.Errorf("save history of %s: %w", l.name, err)
	}
	return nil
}

// replace writes a file beside, and puts it in the place of another.
func replace(path string, content []byte) (err error) {
	temporary := path + ".new" // one goroutine writes it; what a crash left is written over
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, historyMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary) // the error says enough
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(temporary, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load makes Layers of all histories in the directory, and gives them. What cannot be
// read is in the error, and the others are there. A directory that cannot be read is
// an error as well, which is an *fs.PathError.
func (s Store) Load(r *Resolver) (layers []*Layer, err error) {
	files, err := os.ReadDir(s.Directory)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, f := range files {
		name, ours := strings.CutPrefix(f.Name(), historyPrefix)
		if !ours || !strings.HasSuffix(name, historySuffix) {
			continue
		}
		path := filepath.Join(s.Directory, f.Name())
		h, err := readHistory(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		l := r.Layer(h.source, h.rank)
		l.load(h)
		layers = append(layers, l)
	}
	return layers, errors.Join(errs...)
}

// LoadOne makes the Layer of one source of the history that there is of it; nil where
// there is none yet.
func (s Store) LoadOne(r *Resolver, source string) (*Layer, error) {
	path := s.Path(source)
	h, err := readHistory(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case h.source != source:
		return nil, fmt.Errorf("%s: %w: it is of %q, and not of %q; remove it", path, ErrHistory, h.source, source)
	}
	l := r.Layer(h.source, h.rank)
	l.load(h)
	return l, nil
}

func readHistory(path string) (*history, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(bufio.NewReader(f), maxHistory+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxHistory {
		return nil, fmt.Errorf("%w: longer than %d octets; remove it", ErrHistory, maxHistory)
	}
	return decode(b)
}

// history is what a Layer knew when it was saved.
type history struct {
	source string
	rank   Rank
	seen   int64
	store  map[place][]version
}

// encode gives the file of a Layer. The same knowledge gives the same octets.
func (l *Layer) encode() []byte {
	l.mu.Lock()
	h := history{l.name, l.rank, l.seen, maps.Clone(l.store)} // slices of versions are not changed
	l.mu.Unlock()
	return h.encode()
}

func (h *history) encode() []byte {
	places := slices.SortedFunc(maps.Keys(h.store), func(a, b place) int { return a.compare(&b) })
	texts, sets := numbers[string]{}, numbers[*Tags]{}
	var tags, body []byte
	for i := range places {
		p := &places[i]
		body = binary.AppendUvarint(body, texts.of(p.network))
		addr := p.prefix.Addr().AsSlice()
		body = append(append(body, byte(len(addr))), addr...)
		body = append(body, byte(p.prefix.Bits()))
		body = binary.AppendUvarint(body, uint64(p.ports[0]))
		body = binary.AppendUvarint(body, uint64(p.ports[1]))
		body = append(body, p.proto)
		versions := h.store[*p]
		body = binary.AppendUvarint(body, uint64(len(versions)))
		for k := range versions {
			v := &versions[k]
			body = binary.AppendVarint(binary.AppendVarint(body, v.from), v.to)
			body = binary.AppendUvarint(body, sets.of(v.tags))
		}
	}
	for _, t := range sets.list {
		tags = binary.AppendUvarint(tags, uint64(t.Len()))
		for tag := range t.All() {
			tags = binary.AppendUvarint(binary.AppendUvarint(tags, texts.of(tag.Key)), texts.of(tag.Value))
		}
	}
	var head []byte
	head = appendText(head, h.source)
	head = binary.AppendVarint(append(head, byte(h.rank)), h.seen)
	head = binary.AppendUvarint(head, uint64(len(texts.list)))
	for _, t := range texts.list {
		head = appendText(head, t)
	}
	head = binary.AppendUvarint(head, uint64(len(sets.list)))
	head = binary.AppendUvarint(append(head, tags...), uint64(len(places)))
	head = append(head, body...)

	file := []byte(historyFormat + historyVersion)
	file = binary.BigEndian.AppendUint32(file, uint32(len(head)))
	file = binary.BigEndian.AppendUint32(file, crc32.Checksum(head, castagnoli))
	return append(file, head...)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// numbers numbers values from 0, in order of appearance.
type numbers[K comparable] struct {
	ids  map[K]uint64
	list []K
}

func (n *numbers[K]) of(k K) uint64 {
	id, ok := n.ids[k]
	if !ok {
		if n.ids == nil {
			n.ids = map[K]uint64{}
		}
		id = uint64(len(n.list))
		n.ids[k] = id
		n.list = append(n.list, k)
	}
	return id
}

// decode reads a file. The error wraps ErrHistory.
func decode(b []byte) (*history, error) {
	rest, ok := bytes.CutPrefix(b, []byte(historyFormat))
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: it begins otherwise; remove it", ErrHistory)
	case !bytes.HasPrefix(rest, []byte(historyVersion)):
		version, _, _ := bytes.Cut(rest[:min(len(rest), 20)], []byte("\n"))
		return nil, fmt.Errorf("%w: version %q, and this program reads %q; take a newer program, or remove it", ErrHistory, version, historyVersion[:1])
	}
	rest = rest[len(historyVersion):]
	if len(rest) < 8 || uint64(binary.BigEndian.Uint32(rest)) != uint64(len(rest)-8) {
		return nil, fmt.Errorf("%w: it is cut; remove it", ErrHistory)
	}
	body := rest[8:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(rest[4:]) {
		return nil, fmt.Errorf("%w: it is damaged; remove it", ErrHistory)
	}
	return decodeBody(body)
}

// reader takes values off the front. After an error all are zero.
type reader struct {
	b      []byte
	broken bool
}

func (r *reader) fail() { r.b, r.broken = nil, true }

func (r *reader) octets(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) octet() byte {
	if b := r.octets(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is a number of things that take at least some octets each.
func (r *reader) count(least uint64) int {
	n := r.number()
	if n > uint64(len(r.b))/least {
		r.fail()
		return 0
	}
	return int(n)
}

// index is a number below n.
func (r *reader) index(n int) int {
	i := r.number()
	if i >= uint64(n) {
		r.fail()
		return -1
	}
	return int(i)
}

// decodeBody reads what lies behind the checksum. It is checked all the same: another
// program may have written it.
func decodeBody(b []byte) (*history, error) {
	r := &reader{b: b}
	h := &history{store: map[place][]version{}}
	h.source = string(r.octets(r.number()))
	h.rank = Rank(r.octet())
	h.seen = r.signed()
	texts := make([]string, r.count(1))
	for i := range texts {
		texts[i] = string(r.octets(r.number()))
	}
	sets := make([]*Tags, r.count(1))
	for i := range sets {
		list := make([]Tag, r.count(2))
		for k := range list {
			key, value := r.index(len(texts)), r.index(len(texts))
			if r.broken {
				break
			}
			list[k] = Tag{texts[key], texts[value]}
		}
		sets[i] = NewTags(list)
	}
	wrong := h.source == "" || h.rank > RankPort
	for range r.count(9) {
		e, ok := r.place(texts)
		if !ok {
			break
		}
		versions := make([]version, r.count(3))
		last := int64(ever)
		for i := range versions {
			v := version{from: r.signed(), to: r.signed()}
			set := r.index(len(sets))
			if r.broken {
				break
			}
			v.tags = sets[set]
			wrong = wrong || v.from < last || v.to <= v.from || v.tags.Len() == 0
			versions[i], last = v, v.to
		}
		_, twice := h.store[e]
		wrong = wrong || twice || len(versions) == 0
		h.store[e] = versions
	}
	if r.broken || wrong || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: it contradicts itself; remove it", ErrHistory)
	}
	return h, nil
}

func (r *reader) place(texts []string) (p place, ok bool) {
	network := r.index(len(texts))
	addr, valid := netip.AddrFromSlice(r.octets(uint64(r.octet())))
	bits := int(r.octet())
	e := Entry{Ports: [2]uint16{uint16(r.index(1 << 16)), uint16(r.index(1 << 16))}, Proto: r.octet()}
	if r.broken || !valid || addr.Is4In6() {
		r.fail()
		return p, false
	}
	e.Network, e.Prefix = texts[network], netip.PrefixFrom(addr, bits)
	if p, ok = e.place(); !ok || p.prefix != e.Prefix {
		r.fail()
		return p, false
	}
	return p, true
}

// load takes a history into a Layer that has none, within its bounds.
func (l *Layer) load(h *history) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.updated {
		return
	}
	var changed []place
	for _, p := range slices.SortedFunc(maps.Keys(h.store), func(a, b place) int { return a.compare(&b) }) {
		if versions := h.store[p]; !holds(versions) || l.stats.Entries < l.limits.Entries {
			l.put(p, versions)
			changed = append(changed, p)
		} else {
			l.stats.Excess++
		}
	}
	l.updated, l.seen = true, h.seen
	l.publish(append(changed, l.forget()...))
}
