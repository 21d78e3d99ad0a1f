package httpmeta

import (
	"errors"
	"math/bits"
	"unsafe"

	"golang.org/x/net/http2/hpack"
)

// fieldName is what the name of a field is to the sensor.
type fieldName uint8

const (
	otherField fieldName = iota // nothing: its value is not kept
	methodField
	schemeField
	authorityField
	pathField
	statusField
	hostField
	contentTypeField
	grpcStatusField
)

func fieldNameOf(name []byte) fieldName {
	switch string(name) {
	case ":method":
		return methodField
	case ":scheme":
		return schemeField
	case ":authority":
		return authorityField
	case ":path":
		return pathField
	case ":status":
		return statusField
	case "host":
		return hostField
	case "content-type":
		return contentTypeField
	case "grpc-status":
		return grpcStatusField
	}
	return otherField
}

// fieldReader reads the fields of header blocks, those of one direction of a connection
// one after the other (RFC 7541). What a field costs is bounded by its octets in the block:
// names are not kept but for what they are, nor values that are of no use, and what leaves
// the dynamic table moves nothing that stays. hpack.Decoder moves all the rest for each
// field that comes, which with a table of 64 KiB makes a packet of short fields cost as
// much as thousands of packets.
type fieldReader struct {
	table dynamicTable
	block []byte   // what is left of it
	begun bool     // there was a field in the block
	text  appender // of the latest string in Huffman code
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

// begin goes on to another block, which is read in place. text is room for strings that
// are decoded: end gives it back.
func (r *fieldReader) begin(block, text []byte) { r.block, r.begun, r.text = block, false, text[:0] }

// end lets go of the block.
func (r *fieldReader) end() (text []byte) {
	text = r.text
	r.block, r.text = nil, nil
	return text
}

// next reads a field. The value is valid until the next call; that of an otherField is not
// given. A field that is not wanted and does not go into the table is not decoded. more is
// false behind the last field.
func (r *fieldReader) next(want bool) (name fieldName, value []byte, more bool, err error) {
	for len(r.block) > 0 {
		switch b := r.block[0]; {
		case b&0x80 != 0: // section 6.1
			r.begun = true
			i, err := r.integer(7)
			if err != nil {
				return 0, nil, true, err
			}
			e, err := r.table.entry(i)
			return e.name, e.value, true, err
		case b&0xe0 == 0x20: // section 6.3
			if err := r.resize(); err != nil {
				return 0, nil, true, err
			}
		default: // sections 6.2.1, 6.2.2 and 6.2.3
			r.begun = true
			name, value, err = r.literal(b&0x40 != 0, want)
			return name, value, true, err
		}
	}
	return 0, nil, false, nil
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
func (r *fieldReader) literal(indexed, want bool) (name fieldName, value []byte, err error) {
	prefix := uint(4)
	if indexed {
		prefix = 6
	}
	i, err := r.integer(prefix)
	if err != nil {
		return 0, nil, err
	}
	want = want || indexed
	var nameLen int
	if i == 0 {
		text, err := r.literalText(want)
		if err != nil {
			return 0, nil, err
		}
		name, nameLen = fieldNameOf(text), len(text)
	} else {
		e, err := r.table.entry(i)
		if err != nil {
			return 0, nil, err
		}
		name, nameLen = e.name, e.nameLen
	}
	if value, err = r.literalText(want); err != nil {
		return 0, nil, err
	}
	if indexed {
		r.table.add(name, nameLen, value)
	}
	if name == otherField {
		value = nil
	}
	return name, value, nil
}

// literalText reads a string (section 5.2), or passes over it. It is valid until the next.
func (r *fieldReader) literalText(want bool) ([]byte, error) {
	if len(r.block) == 0 {
		return nil, errCut
	}
	huffman := r.block[0]&0x80 != 0
	n, err := r.integer(7)
	switch {
	case err != nil:
		return nil, err
	case n > uint64(len(r.block)):
		return nil, errCut
	}
	text := r.block[:n]
	r.block = r.block[n:]
	switch {
	case !want:
		return nil, nil
	case huffman:
		r.text = r.text[:0]
		if _, err := hpack.HuffmanDecode(&r.text, text); err != nil {
			return nil, err
		}
		text = r.text
	}
	if len(text) > maxHead {
		return nil, errLong
	}
	return text, nil
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
	octets    []byte       // values, one behind the other
	entries   []tableEntry // from first on
	first     int
}

// tableEntry is a field. Its value lies in the octets, if it is of use.
type tableEntry struct {
	at                uint32
	nameLen, valueLen uint16 // octets; both are shorter than a table may be
	name              fieldName
}

// perField is what a field takes up beside its octets (section 4.1).
const perField = 32

func (e *tableEntry) size() int { return int(e.nameLen) + int(e.valueLen) + perField }

// field is one of the static or the dynamic table.
type field struct {
	name    fieldName
	nameLen int    // octets
	value   []byte // nil of an otherField
}

// entry gives the field of an index (section 2.3.3), in place.
func (t *dynamicTable) entry(i uint64) (field, error) {
	if i-1 < uint64(len(staticTable)) {
		return staticTable[i-1], nil
	}
	i -= uint64(len(staticTable)) + 1 // 0 is the latest
	if i >= uint64(len(t.entries)-t.first) {
		return field{}, errIndex
	}
	e := &t.entries[len(t.entries)-1-int(i)]
	f := field{name: e.name, nameLen: int(e.nameLen)}
	if e.name != otherField {
		f.value = t.octets[e.at:][:e.valueLen]
	}
	return f, nil
}

// add takes a field in, and empties the table where it has no room for it (section 4.4).
func (t *dynamicTable) add(name fieldName, nameLen int, value []byte) {
	size := nameLen + len(value) + perField
	if t.evict(size); size > t.max {
		return
	}
	valueLen := uint16(len(value))
	if name == otherField {
		value = nil
	}
	t.makeRoom(len(value))
	t.entries = append(t.entries, tableEntry{uint32(len(t.octets)), uint16(nameLen), valueLen, name})
	t.octets = append(t.octets, value...)
	t.size += size
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

// makeRoom is for a field whose value takes n octets. Where it takes more than is there, what has
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
var staticTable = func() (table [61]field) {
	i := 0
	dec := hpack.NewDecoder(0, func(f hpack.HeaderField) {
		name := fieldNameOf([]byte(f.Name))
		table[i] = field{name: name, nameLen: len(f.Name)}
		if name != otherField {
			table[i].value = []byte(f.Value)
		}
		i++
	})
	for n := range table {
		if _, err := dec.Write([]byte{0x80 | byte(n+1)}); err != nil {
			panic(err)
		}
	}
	return table
}()
