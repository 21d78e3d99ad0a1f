package httpmeta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// readFields reads blocks of one direction: fields as "name: value", with values that are of
// use, and at which block it failed.
func readFields(blocks [][]byte) (fields []string, err error) {
	var r fieldReader
	r.table.max = initialTable
	var text []byte
	for i, b := range blocks {
		r.begin(b, text)
		for {
			name, value, more, err := r.next(true)
			if err != nil {
				return fields, fmt.Errorf("block %d: %w", i, err)
			}
			if !more {
				break
			}
			fields = append(fields, fmt.Sprintf("%d: %s", name, value))
		}
		text = r.end()
		if t := &r.table; t.size > t.max || t.held() > 3*maxTable {
			return fields, fmt.Errorf("a table of %d octets of %d holds %d", t.size, t.max, t.held())
		}
	}
	return fields, nil
}

// hpackFields is readFields by the Go project's decoder.
func hpackFields(blocks [][]byte) (fields []string, err error) {
	dec := hpack.NewDecoder(initialTable, func(f hpack.HeaderField) {
		name := fieldNameOf([]byte(f.Name))
		if name == otherField {
			f.Value = ""
		}
		fields = append(fields, fmt.Sprintf("%d: %s", name, f.Value))
	})
	dec.SetAllowedMaxDynamicTableSize(maxTable)
	dec.SetMaxStringLength(maxHead)
	for i, b := range blocks {
		if _, err = dec.Write(b); err == nil {
			err = dec.Close()
		}
		if err != nil {
			return fields, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return fields, nil
}

// againstHPACK compares the two. They differ on purpose where a block begins with more
// than one update of the table's size, as section 4.2 has it: hpack takes a second one
// only where the table is empty.
func againstHPACK(t *testing.T, blocks [][]byte) {
	t.Helper()
	got, gotErr := readFields(blocks)
	want, wantErr := hpackFields(blocks)
	if wantErr != nil && strings.Contains(wantErr.Error(), "MUST occur at the beginning") && len(got) >= len(want) && slices.Equal(got[:len(want)], want) {
		return
	}
	if !slices.Equal(got, want) || (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%d fields and %v, hpack has %d and %v\n%q\n%q", len(got), gotErr, len(want), wantErr, got, want)
	}
}

// cutUp makes blocks of octets: the first of each says how long it is.
func cutUp(b []byte) (blocks [][]byte) {
	for len(b) > 0 {
		n := min(int(b[0]), len(b)-1)
		blocks = append(blocks, b[1:1+n])
		b = b[1+n:]
	}
	return blocks
}

func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		"\x03\x82\x87\x84", "\x05\x40\x01a\x01b\x01\xbe", "\x06\x20\x3f\xe1\x1f\xbe\x82", "\x04\x00\x81\x1f\x00",
		"\x0a\x3f\xe1\xff\x03\x40\x01a\x01b\xbe\x05\x3e\x40\x00\x00\xbf", "\x03\x7f\x00\x00\x02\xff\x80", "\x0b\x0f\x2f\x80\x80\x80\x80\x80\x80\x80\x80\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1<<16 {
			againstHPACK(t, cutUp(b))
		}
	})
}

// Blocks of an encoder whose table changes its size, and is too small for much that
// comes, are read as the Go project's decoder reads them.
func TestFieldsOfEncoder(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var buf bytes.Buffer
		enc := hpack.NewEncoder(&buf)
		enc.SetMaxDynamicTableSizeLimit(maxTable)
		var blocks [][]byte
		for range 300 {
			if rng.IntN(10) == 0 {
				enc.SetMaxDynamicTableSize(rng.Uint32N(1 << (1 + rng.IntN(16))))
			}
			for range rng.IntN(12) {
				name := []string{":path", "cookie", "x-a", "", "grpc-status"}[rng.IntN(5)]
				if err := enc.WriteField(hpack.HeaderField{Name: name, Value: strings.Repeat(string(rune('a'+rng.IntN(30))), rng.IntN(1<<rng.IntN(13))), Sensitive: rng.IntN(9) == 0}); err != nil {
					t.Fatal(err)
				}
			}
			blocks = append(blocks, slices.Clone(buf.Bytes()))
			buf.Reset()
		}
		got, err := readFields(blocks)
		if err != nil || len(got) < 1000 {
			t.Fatalf("%d fields, %v", len(got), err)
		}
		againstHPACK(t, blocks)
	}
}

// A block may begin with the least size that the table had and the one that it has
// (RFC 7541 section 4.2), whatever is in the table.
func TestTwoUpdates(t *testing.T) {
	blocks := [][]byte{[]byte("\x44\x01b\x44\x01d"), []byte("\x3f\x0b\x3f\xe1\x1f\xbe")} // two paths; 42 octets, 4096, the latest
	got, err := readFields(blocks)
	if err != nil || !slices.Equal(got, []string{"4: b", "4: d", "4: d"}) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := hpackFields(blocks); err == nil {
		t.Error("hpack copes now: againstHPACK need not look away")
	}
	if got, err = readFields([][]byte{[]byte("\x40\x01a\x01b\x20")}); err == nil {
		t.Errorf("%q, and an update behind a field", got)
	}
}

// full gives a reader whose table is of a size and full, and a block that makes all its
// fields leave.
func fullTable(tb testing.TB, size int) (*fieldReader, []byte) {
	tb.Helper()
	r := &fieldReader{}
	r.table.max = size
	block := bytes.Repeat([]byte("\x40\x00\x00"), 512)
	for range 1 + size/perField/512 {
		readAll(tb, r, block)
	}
	if r.table.size != size {
		tb.Fatalf("the table has %d octets of %d", r.table.size, size)
	}
	return r, block
}

func readAll(tb testing.TB, r *fieldReader, block []byte) {
	r.begin(block, r.end())
	for {
		if _, _, more, err := r.next(true); err != nil {
			tb.Fatal(err)
		} else if !more {
			return
		}
	}
}

// longName gives a reader whose table has one field, with a name of nearly all that there
// is room for, and a block whose fields have that name again, and take each other's place.
func longName(tb testing.TB, size int) (*fieldReader, []byte) {
	tb.Helper()
	r := &fieldReader{}
	r.table.max = size
	name := strings.Repeat("n", size-2*perField)
	readAll(tb, r, append(binary.AppendUvarint([]byte("\x40\x7f"), uint64(len(name)-0x7f)), name+"\x00"...))
	return r, bytes.Repeat([]byte("\x7e\x00"), 512)
}

// What a field costs depends neither on how many there are in the table nor on how long
// they are, and it allocates nothing.
func TestFieldsLeave(t *testing.T) {
	for what, begin := range map[string]func(testing.TB, int) (*fieldReader, []byte){"a full table": fullTable, "a long name": longName} {
		least := func(size int) time.Duration {
			r, block := begin(t, size)
			if n := testing.AllocsPerRun(50, func() { readAll(t, r, block) }); n != 0 {
				t.Errorf("%s of %d octets: %v allocations a block, want 0", what, size, n)
			}
			best := time.Hour
			for range 20 {
				start := time.Now()
				for range 10 {
					readAll(t, r, block)
				}
				best = min(best, time.Since(start))
			}
			return best
		}
		few, many := least(1<<10), least(maxTable)
		if t.Logf("%s: %v with 1 KiB, %v with 64", what, few, many); many > 5*few {
			t.Errorf("%s: %v with 1 KiB, %v with 64", what, few, many)
		}
	}
}

// A block that names one long path of the table again and again holds no more than a part
// of it, and its request has that.
func TestOneFieldAgain(t *testing.T) {
	cl := newPeer()
	cl.enc.SetMaxDynamicTableSizeLimit(maxTable)
	cl.enc.SetMaxDynamicTableSize(maxTable)
	long := "/a/" + strings.Repeat("~", 50_000)
	first := cl.block(":method", "GET", ":authority", "h", ":path", long)
	again := "\x82" + strings.Repeat("\xbe", 1000)
	chunks := []chunk{c(preface + noSettings), c(frame(frameHeaders, flagEndHeaders|flagEndStream, 1, first)), c(frame(frameHeaders, flagEndHeaders|flagEndStream, 3, again))}
	got := run(chunks, true, asIs)
	if len(got.exchanges) != 2 || got.losses != (Losses{}) {
		t.Fatalf("%s\n%+v", showAll(got.exchanges), got.losses)
	}
	if a, b := got.exchanges[0].Path, got.exchanges[1].Path; a != b || !strings.HasPrefix(a, "/a/") || len(a) > maxPath {
		t.Errorf("paths %q and %q", a, b)
	}
	var conn Conn
	conn.Reset(&Shared{Budget: newBudget(1 << 20)}, true)
	conn.startHTTP2()
	f := &conn.h2.half[client]
	for _, block := range []string{first, again} {
		conn.decode(f, []byte(block))
		if n := len(f.fields.text); n < maxTarget || n > maxTarget+1 {
			t.Errorf("%d octets are kept of the fields, want a path of %d", n, maxTarget)
		}
	}
}

func BenchmarkFieldsLeave(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		r, block := fullTable(b, size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				readAll(b, r, block)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/field")
		})
		b.Run(fmt.Sprint(size, " by hpack"), func(b *testing.B) {
			dec := hpack.NewDecoder(uint32(size), func(hpack.HeaderField) {})
			for b.Loop() {
				if _, err := dec.Write(block); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/field")
		})
	}
}
