package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"mirrorscope/capture"
)

// read reads b as standard input.
func read(tb testing.TB, b []byte) ([]record, *Reader) {
	tb.Helper()
	return readAll(tb, Config{Paths: []string{"-"}, Stdin: bytes.NewReader(b)})
}

func TestPcapForms(t *testing.T) {
	for name, o := range orders {
		for _, form := range []struct {
			name  string
			magic uint32
			unit  int64 // ns
		}{{"micro", magicMicro, 1000}, {"nano", magicNano, 1}, {"modified", magicModified, 1000}} {
			t.Run(form.name+" "+name, func(t *testing.T) {
				b := pcapHead(o, form.magic, 65535, 0x1400_0001) // Ethernet, frames with 4 octets FCS at their end
				rec := func(sec, frac uint32, wire int, data string) {
					r := pcapRecord(nil, o, sec, frac, wire, data)
					if form.magic == magicModified { // interface index, protocol, packet type, padding
						r = slices.Insert(r, pcapRecordLen, 0, 0, 0, 3, 8, 0, 4, 0)
					}
					b = append(b, r...)
				}
				rec(1_700_000_000, 123_456, 60, "first frame")
				rec(1_700_000_000, 5, 0, "shorter on the wire than captured")
				rec(4_294_967_295, 4_294_967_295, 9, "time")
				rec(3, 7, 1<<31, "absurd length")
				rec(0, 1, 0, "")
				got, r := read(t, b)
				last := int64(999_999_000)
				if form.magic == magicNano {
					last = 999_999_999
				}
				want := []record{
					{"first frame", 1_700_000_000e9 + 123_456*form.unit, 60, capture.LinkEthernet, "0"},
					{"shorter on the wire than captured", 1_700_000_000e9 + 5*form.unit, 33, capture.LinkEthernet, "0"},
					{"time", 4_294_967_295e9 + last, 9, capture.LinkEthernet, "0"},
					{"absurd length", 3e9 + 7*form.unit, 13, capture.LinkEthernet, "0"},
					{"", form.unit, 0, capture.LinkEthernet, "0"},
				}
				if !slices.Equal(got, want) {
					t.Errorf("got\n%+v\nwant\n%+v", got, want)
				}
				if len(r.Errors()) != 0 {
					t.Errorf("errors: %v", r.Errors())
				}
			})
		}
	}
}

func TestPcapDamage(t *testing.T) {
	o := binary.LittleEndian
	head := func(snap uint32) []byte { return pcapHead(o, magicMicro, snap, 1) }
	good := pcapRecord(head(65535), o, 1, 2, 4, "good")
	long := func(n uint32) []byte { // a header that claims n octets
		var b []byte
		for _, v := range []uint32{1, 2, n, n} {
			b = o.AppendUint32(b, v)
		}
		return b
	}
	version := slices.Clone(head(65535))
	version[4] = 3
	for _, test := range []struct {
		name   string
		file   []byte
		frames int
		offset int64
		is     error
		says   string
	}{
		{"nothing", nil, 0, 0, ErrEmpty, "empty"},
		{"no capture", []byte("# Notes\n"), 0, 0, ErrNotCapture, `23 20 4e 6f 74 65 73 0a ("# Notes\n")`},
		{"short and no capture", []byte("hi"), 0, 0, ErrNotCapture, "68 69"},
		{"xz", []byte("\xfd7zXZ\x00\x00\x04"), 0, 0, ErrNotCapture, "xz -dc"},
		{"snoop", []byte("snoop\x00\x00\x00\x00\x00\x00\x02"), 0, 0, ErrNotCapture, "editcap"},
		{"cut file header", head(65535)[:23], 0, 0, ErrCut, "24 octets, 23 of which"},
		{"version", version, 0, 0, ErrUnsupported, "pcap 3.4"},
		{"cut record header", append(slices.Clone(good), 1, 2, 3), 1, 44, ErrCut, "16 octets, 3 of which"},
		{"cut record", append(slices.Clone(good), long(100)...), 1, 44, ErrCut, "116 octets, 16 of which"},
		{"longer than possible", append(slices.Clone(good), long(256<<10+1)...), 1, 44, ErrCorrupt, "262145 captured octets, at most 262144"},
		{"longer than ever", append(head(1<<31-1), long(16<<20+1)...), 0, 24, ErrCorrupt, "at most 16777216"},
		{"length -1", append(slices.Clone(good), long(1<<32-1)...), 1, 44, ErrCorrupt, "4294967295"},
		{"zeros", append(slices.Clone(good), make([]byte, 4096)...), 1, 44, ErrCorrupt, "zeros"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, r := read(t, test.file)
			if len(got) != test.frames {
				t.Errorf("%d frames, want %d", len(got), test.frames)
			}
			if len(r.Errors()) != 1 {
				t.Fatalf("errors: %v, want one", r.Errors())
			}
			err := r.Errors()[0]
			var fe *FileError
			if !errors.As(err, &fe) || !errors.Is(err, test.is) || fe.File != "-" || fe.Offset != test.offset {
				t.Errorf("error %#v (%v), want %v at octet %d of -", err, err, test.is, test.offset)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q, want it to say %q", err, test.says)
			}
		})
	}
}

// TestLongFrame reads a frame that is longer than a block, as the file's snap
// length allows.
func TestLongFrame(t *testing.T) {
	o := binary.BigEndian
	long := strings.Repeat("0123456789abcdef", 3<<20/16)
	b := pcapHead(o, magicNano, 4<<20, 101)
	b = pcapRecord(b, o, 1, 1, len(long)+5, long)
	b = pcapRecord(b, o, 1, 2, 5, "after")
	got, r := read(t, b)
	want := []record{
		{long, 1e9 + 1, len(long) + 5, capture.LinkRaw, "0"},
		{"after", 1e9 + 2, 5, capture.LinkRaw, "0"},
	}
	if !slices.Equal(got, want) || len(r.Errors()) != 0 {
		t.Errorf("%d frames, errors %v", len(got), r.Errors())
	}
}
