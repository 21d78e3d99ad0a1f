package httpmeta

import (
	"errors"
	"math/bits"
	"unsafe"

	"golang.org/x/net/http2/hpack"
)

// fieldReader reads the fields of header blocks, those of one direction of a connection
// one after the other (RFC 7541). An indexed field costs no copy and a literal one a
// single one, and what leaves the dynamic table moves nothing that stays: hpack.Decoder
// moves all the rest for each field that comes, which with a table of 64 KiB makes a
// packet of short fields cost as much as thousands of packets.
type fieldReader struct {
	table dynamicTable
	block []byte   // what is left of it
	begun bool     // there was a field in the block
	text  appender // of the latest literal field
}

// appender takes what is written to it behind the others.
type appender []byte

func (o *appender) Write(b []byte) (int, error) {
	*o = append(*o, b...)
	return len(b), nil
}

var (
	errCut     = errors.New("the header block ends within a field")
	errInteger = errors.New("an integer is too large")
	errIndex   = errors.New("an index names no field")
	errLong    = errors.New("a name or value is too long")
	errUpdate  = errors.New("the dynamic table's size is changed behind a field, or to more than is kept")
)

// begin goes on to another block, which is read in place. text is room for fields that
// are written out: end gives it back.
func (r *fieldReader) begin(block, text []byte) { r.block, r.begun, r.text = block, false, text[:0] }

// end lets go of the block.
func (r *fieldReader) end() (text []byte) {
	text = r.text
	r.block, r.text = nil, nil
	return text
}

// next reads a field. The name and the value are valid until the next call. Those of a
// field that is written out and not kept are left empty where they are not wanted. more
// is false behind the last field.
func (r *fieldReader) next(want bool) (name, value []byte, more bool, err error) {
	for len(r.block) > 0 {
		switch b := r.block[0]; {
		case b&0x80 != 0: // section 6.1
			var i uint64
			if i, err = r.integer(7); err == nil {
				name, value, err = r.table.field(i)
			}
			r.begun = true
			return name, value, true, err
		case b&0xe0 == 0x20: // section 6.3
			if err := r.resize(); err != nil {
				return nil, nil, false, err
			}
		default: // sections 6.2.1, 6.2.2 and 6.2.3
			r.begun = true
			name, value, err = r.literal(b&0x40 != 0, want)
			return name, value, true, err
		}
	}
	return nil, nil, false, nil
}

// resize reads an update of the dynamic table's size. They stand at the start of a block
// (section 4.2); behind fields they are let pass where they change nothing.
func (r *fieldReader) resize() error {
	size, err := r.integer(5)
	switch {
	case err != nil:
		return err
	case size > maxTable, r.begun && r.table.size > 0:
		return errUpdate
	}
	r.table.max = int(size)
	r.table.evict(0)
	return nil
}

// literal reads a field whose value, and perhaps whose name, is written out.
func (r *fieldReader) literal(indexed, want bool) (name, value []byte, err error) {
	prefix := uint(4)
	if indexed {
		prefix = 6
	}
	i, err := r.integer(prefix)
	if err != nil {
		return nil, nil, err
	}
	want = want || indexed
	r.text = r.text[:0]
	if i == 0 {
		if err = r.literalText(want); err != nil {
			return nil, nil, err
		}
	} else {
		if name, _, err = r.table.field(i); err != nil {
			return nil, nil, err
		}
		if want { // the table may be about to move
			r.text = append(r.text, name...)
		}
	}
	n := len(r.text)
	if err = r.literalText(want); err != nil {
		return nil, nil, err
	}
	name, value = r.text[:n:n], r.text[n:]
	if indexed {
		r.table.add(name, value)
	}
	return name, value, nil
}

// literalText reads a string (section 5.2) behind text, or passes over it.
func (r *fieldReader) literalText(want bool) error {
	if len(r.block) == 0 {
		return errCut
	}
	huffman := r.block[0]&0x80 != 0
	n, err := r.integer(7)
	switch {
	case err != nil:
		return err
	case n > uint64(len(r.block)):
		return errCut
	}
	text := r.block[:n]
	r.block = r.block[n:]
	before := len(r.text)
	switch {
	case !want:
	case huffman:
		_, err = hpack.HuffmanDecode(&r.text, text)
	default:
		r.text = append(r.text, text...)
	}
	if err == nil && len(r.text)-before > maxHead {
		err = errLong
	}
	return err
}

// integer reads an integer whose prefix has so many bits (section 5.1).
func (r *fieldReader) integer(prefix uint) (uint64, error) {
	b := r.block
	if len(b) == 0 {
		return 0, errCut
	}
	most := uint64(1)<<prefix - 1
	n := uint64(b[0]) & most
	b = b[1:]
	for shift, more := uint(0), n == most; more; shift += 7 {
		switch {
		case len(b) == 0:
			return 0, errCut
		case shift > 56:
			return 0, errInteger
		}
		n += uint64(b[0]&0x7f) << shift
		more = b[0]&0x80 != 0
		b = b[1:]
	}
	r.block = b
	return n, nil
}

// dynamicTable has the fields that the encoder has had kept (section 2.3.2), in the
// order in which they came. The zero value is for no fields.
type dynamicTable struct {
	size, max int          // octets as section 4.1 counts them
	octets    []byte       // names and values, each behind its name
	entries   []tableEntry // from first on
	first     int
}

// tableEntry is where a field lies in the octets: both are shorter than a table may be.
type tableEntry struct {
	at          uint32
	name, value uint16 // octets
}

// perField is what a field takes up beside its octets (section 4.1).
const perField = 32

func (e tableEntry) size() int { return int(e.name) + int(e.value) + perField }

// field gives the field of an index (section 2.3.3), in place.
func (t *dynamicTable) field(i uint64) (name, value []byte, err error) {
	if i-1 < uint64(len(staticTable)) {
		f := &staticTable[i-1]
		return f.name, f.value, nil
	}
	i -= uint64(len(staticTable)) + 1 // 0 is the latest
	if i >= uint64(len(t.entries)-t.first) {
		return nil, nil, errIndex
	}
	e := t.entries[len(t.entries)-1-int(i)]
	split := int(e.at) + int(e.name)
	return t.octets[e.at:split], t.octets[split : split+int(e.value)], nil
}

// add takes a field in, and empties the table where it has no room for it (section 4.4).
func (t *dynamicTable) add(name, value []byte) {
	n := len(name) + len(value)
	if t.evict(n + perField); n+perField > t.max {
		return
	}
	t.makeRoom(n)
	t.entries = append(t.entries, tableEntry{uint32(len(t.octets)), uint16(len(name)), uint16(len(value))})
	t.octets = append(append(t.octets, name...), value...)
	t.size += n + perField
}

// evict lets the oldest fields go until there is room for so much.
func (t *dynamicTable) evict(room int) {
	for t.first < len(t.entries) && t.size+room > t.max {
		t.size -= t.entries[t.first].size()
		t.first++
	}
	if t.first == len(t.entries) {
		t.entries, t.octets, t.first = t.entries[:0], t.octets[:0], 0
	}
}

// makeRoom is for a field of n octets more. Where it takes more than is there, what has
// left makes room if it was at least half, so that what stays moves once at most for as
// much that came; else there is to be twice as much.
func (t *dynamicTable) makeRoom(n int) {
	if len(t.entries) == cap(t.entries) {
		kept := t.entries[t.first:]
		if to := t.entries[:0]; len(kept) > cap(to)/2 || cap(to) == 0 {
			t.entries = append(make([]tableEntry, 0, max(2*cap(to), 16)), kept...)
		} else {
			t.entries = append(to, kept...)
		}
		t.first = 0
	}
	if len(t.octets)+n <= cap(t.octets) {
		return
	}
	kept := t.octets
	if t.first < len(t.entries) {
		gone := t.entries[t.first].at
		kept = kept[gone:]
		for i := range t.entries[t.first:] {
			t.entries[t.first+i].at -= gone
		}
	}
	to := t.octets[:0]
	if most := cap(to) / 2; len(kept)+n > most {
		to = make([]byte, 0, max(1<<bits.Len(uint(2*(len(kept)+n)-1)), 256))
	}
	t.octets = append(to, kept...)
}

// held is how many octets of memory the table takes up.
func (t *dynamicTable) held() int {
	return cap(t.octets) + cap(t.entries)*int(unsafe.Sizeof(tableEntry{}))
}

// staticTable is that of RFC 7541 appendix A, from index 1 on.
var staticTable = func() (table [61]struct{ name, value []byte }) {
	i := 0
	dec := hpack.NewDecoder(0, func(f hpack.HeaderField) {
		table[i].name, table[i].value = []byte(f.Name), []byte(f.Value)
		i++
	})
	for n := range table {
		if _, err := dec.Write([]byte{0x80 | byte(n+1)}); err != nil {
			panic(err)
		}
	}
	return table
}()
