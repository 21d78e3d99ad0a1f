package pcapfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mirrorscope/capture"
)

// TestPcapngBlocks reads two sections of different byte order with every kind
// of block.
func TestPcapngBlocks(t *testing.T) {
	for name, o := range orders {
		t.Run(name+" first", func(t *testing.T) {
			b := ngSection(nil, o)
			b = ngBlock(b, o, 0x80000bad, []byte("a custom block of nobody")) // before any interface
			b = ngInterface(b, o, 1, 0, ngOption(ngOption(nil, o, optName, []byte("eth1")), o, optTSResol, []byte{9}))
			b = ngInterface(b, o, 101, 6, ngOption(nil, o, 13, []byte{4})) // if_fcslen; µs; no name
			b = ngEnhanced(b, o, 0, 1_700_000_000_123_456_789, 60, "enhanced")
			b = ngEnhanced(b, o, 1, 1_700_000_000_123_456, 7, "captured more than sent")
			b = ngObsolete(b, o, 1, 77, 1_700_000_001_000_000, 1500, "obsolete")
			b = ngSimple(b, o, 6, "simple")
			b = ngBlock(b, o, 5, []byte("interface statistics")) // not read

			swapped := orders["big"]
			if name == "big" {
				swapped = orders["little"]
			}
			b = ngSection(b, swapped)
			b = ngInterface(b, swapped, 276, 6, ngOption(nil, swapped, optTSOffset, []byte{0, 0, 0, 0, 0, 0, 0, 0}))
			b = ngSimple(b, swapped, 100, "snapped")
			b = ngInterface(b, swapped, 1, 0, ngOption(nil, swapped, optName, []byte("eth1")))
			b = ngEnhanced(b, swapped, 1, 1_700_000_002_000_000, 4, "last")

			got, r := read(t, b)
			want := []record{
				{"enhanced", 1_700_000_000_123_456_789, 60, capture.LinkEthernet, "eth1"},
				{"captured more than sent", 1_700_000_000_123_456_000, 23, capture.LinkRaw, "0"},
				{"obsolete", 1_700_000_001_000_000_000, 1500, capture.LinkRaw, "0"},
				{"simple", 1_700_000_001_000_000_000, 6, capture.LinkEthernet, "eth1"},
				{"snappe", 1_700_000_001_000_000_000, 100, capture.LinkSLL2, "0"},
				{"last", 1_700_000_002_000_000_000, 4, capture.LinkEthernet, "eth1"},
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, want)
			}
			if len(r.Errors()) != 0 || r.Untimed() != 2 {
				t.Errorf("errors %v, %d frames without time, want none and 2", r.Errors(), r.Untimed())
			}
			if want := []string{"eth1", "0"}; !slices.Equal(r.Interfaces(), want) {
				t.Errorf("interfaces %q, want %q", r.Interfaces(), want)
			}
		})
	}
}

func TestPcapngDamage(t *testing.T) {
	o := binary.LittleEndian
	section := ngSection(nil, o)
	iface := ngInterface(slices.Clone(section), o, 1, 0, nil)
	good := ngEnhanced(slices.Clone(iface), o, 0, 1, 4, "good")
	at := int64(len(good))
	// then appends a block with one 32-bit word changed.
	then := func(block []byte, word int, v uint32) []byte {
		o.PutUint32(block[word*4:], v)
		return append(slices.Clone(good), block...)
	}
	packet := func() []byte { return ngEnhanced(nil, o, 0, 1, 4, "next") }
	for _, test := range []struct {
		name   string
		file   []byte
		frames int
		offset int64
		is     error
		says   string
	}{
		{"block header cut", append(slices.Clone(good), 6, 0, 0, 0, 1), 1, at, ErrCut, "8 octets, 5 of which"},
		{"block cut", append(slices.Clone(good), packet()[:40]...), 1, at, ErrCut, "48 octets, 40 of which"},
		{"other block cut", append(slices.Clone(good), ngBlock(nil, o, 9, make([]byte, 100))[:50]...), 1, at, ErrCut, "112 octets, 50 of which"},
		{"trailing length", then(packet(), 11, 44), 1, at, ErrCorrupt, "48 octets that ends with the length 44"},
		{"trailing length of another block", then(ngBlock(nil, o, 9, make([]byte, 4)), 3, 20), 1, at, ErrCorrupt, "16 octets that ends with the length 20"},
		{"length 0", then(packet(), 1, 0), 1, at, ErrCorrupt, "length 0"},
		{"length not even", then(packet(), 1, 49), 1, at, ErrCorrupt, "length 49"},
		{"length shorter than its fields", then(ngBlock(nil, o, blockEnhanced, make([]byte, 12)), 0, blockEnhanced), 1, at, ErrCorrupt, "24 octets, 32 to"},
		{"length absurd", then(packet(), 1, 1<<31), 1, at, ErrCorrupt, "to 16777216 are possible"},
		{"no such interface", then(packet(), 2, 1), 1, at, ErrCorrupt, "interface 1, the section has 1"},
		{"captured more than the block", then(packet(), 5, 17), 1, at, ErrCorrupt, "17 captured octets, its block has room for 16"},
		{"simple packet more than the block", then(ngSimple(nil, o, 4, "data"), 2, 5), 1, at, ErrCorrupt, "5 captured octets"},
		{"packet before any interface", append(slices.Clone(section), packet()...), 0, int64(len(section)), ErrCorrupt, "the section has 0"},
		{"new section has no interfaces", append(append(slices.Clone(good), section...), packet()...), 1, at + int64(len(section)), ErrCorrupt, "the section has 0"},
		{"byte order magic", then(ngSection(nil, o), 2, 0x12345678), 1, at, ErrCorrupt, "byte-order magic 0x12345678"},
		{"version", then(ngSection(nil, o), 3, 2), 1, at, ErrUnsupported, "pcapng 2.0"},
		{"section header cut", section[:11], 0, 0, ErrCut, "28 octets, 11 of which"},
		{"section header too short", then(ngSection(nil, o), 1, 24), 1, at, ErrCorrupt, "24 octets, 28 to"},
		{"option longer than its block", ngInterface(slices.Clone(section), o, 1, 0, []byte{2, 0, 9, 0}), 0, int64(len(section)), ErrCorrupt, "option of 9 octets, 0 are left"},
		{"tsresol without value", ngInterface(slices.Clone(section), o, 1, 0, ngOption(nil, o, optTSResol, nil)), 0, int64(len(section)), ErrCorrupt, "option (9) of 0 octets"},
		{"tsoffset too short", ngInterface(slices.Clone(section), o, 1, 0, ngOption(nil, o, optTSOffset, []byte{1, 2, 3, 4})), 0, int64(len(section)), ErrCorrupt, "option (14) of 4 octets"},
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
			if !errors.As(err, &fe) || !errors.Is(err, test.is) || fe.Offset != test.offset {
				t.Errorf("error %v, want %v at octet %d", err, test.is, test.offset)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q, want it to say %q", err, test.says)
			}
		})
	}
}

// TestEmptyPcapng reads captures that hold no packet, which is no error.
func TestEmptyPcapng(t *testing.T) {
	o := binary.BigEndian
	section := ngSection(nil, o)
	for name, b := range map[string][]byte{
		"section":         section,
		"two sections":    ngSection(slices.Clone(section), binary.LittleEndian),
		"interface":       ngInterface(slices.Clone(section), o, 1, 0, nil),
		"unknown block":   ngBlock(slices.Clone(section), o, 0xffff, nil),
		"pcap":            pcapHead(o, magicMicro, 0, 1),
		"large statistic": ngBlock(slices.Clone(section), o, 5, make([]byte, 20<<20)), // skipped, not held
	} {
		got, r := read(t, b)
		if len(got) != 0 || len(r.Errors()) != 0 {
			t.Errorf("%s: %d frames, errors %v", name, len(got), r.Errors())
		}
	}
}

func TestInterfaceNames(t *testing.T) {
	o := binary.LittleEndian
	b := ngSection(nil, o)
	for i, name := range []string{"eth0", "", "eth0", "a\x1b[31mb\x00c", "\xff", strings.Repeat("x", 300), "é"} {
		b = ngInterface(b, o, 1, 0, ngOption(nil, o, optName, []byte(name)))
		b = ngEnhanced(b, o, uint32(i), 1, 0, "")
	}
	got, r := read(t, b)
	want := []string{"eth0", "0", "eth0", "a?[31mb", "?", strings.Repeat("x", 255), "é"}
	for i := range want {
		if got[i].iface != want[i] {
			t.Errorf("interface of packet %d: %q, want %q", i, got[i].iface, want[i])
		}
	}
	if len(r.Interfaces()) != 6 {
		t.Errorf("interfaces %q, want 6: the same name is the same interface", r.Interfaces())
	}

	// What a file can make us remember has an end.
	b = ngSection(nil, o)
	for i := range maxInterfaces + 100 {
		b = ngInterface(b, o, 1, 0, ngOption(nil, o, optName, fmt.Append(nil, "if", i)))
	}
	b = ngEnhanced(b, o, maxInterfaces+50, 1, 0, "")
	got, r = read(t, b)
	if got[0].iface != otherName || len(r.Interfaces()) != maxInterfaces {
		t.Errorf("interface %q of %d, want %q of %d", got[0].iface, len(r.Interfaces()), otherName, maxInterfaces)
	}
	for range maxSectionInterfaces {
		b = ngInterface(b, o, 1, 0, nil)
	}
	if _, r = read(t, b); len(r.Errors()) != 1 || !errors.Is(r.Errors()[0], ErrCorrupt) {
		t.Errorf("errors %v after %d interfaces, want damage", r.Errors(), maxSectionInterfaces)
	}
}
