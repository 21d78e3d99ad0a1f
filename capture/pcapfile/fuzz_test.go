package pcapfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestCutAnywhere cuts a capture of each form at every octet: what is left
// gives the first frames of the whole and, but at the end of a record, an error.
func TestCutAnywhere(t *testing.T) {
	shared := filepath.Join(sharedPcaps(t), "dev", "formats")
	for _, name := range []string{"tcpdump-tcp-handshake-nano.pcap", "arkime-bigendian.pcap", "zeek-pcapng-multi-interface.pcapng"} {
		whole, err := os.ReadFile(filepath.Join(shared, name))
		if err != nil {
			t.Fatal(err)
		}
		cutAnywhere(t, name, whole, false)
		cutAnywhere(t, name+" gzip", gzipped(t, whole), true)
		cutAnywhere(t, name+" zstd", zstandard(t, whole), true)
	}
	all := ngSection(nil, le)
	all = ngInterface(all, le, 1, 0, nil)
	all = ngSimple(all, le, 3, "one")
	all = ngBlock(all, le, 77, []byte("skipped"))
	all = ngObsolete(all, le, 0, 0, 5, 3, "two")
	all = ngEnhanced(all, le, 0, 5, 5, "three")
	cutAnywhere(t, "blocks", all, false)
}

func cutAnywhere(t *testing.T, name string, whole []byte, compressed bool) {
	want, r := read(t, whole)
	if len(want) == 0 || len(r.Errors()) != 0 {
		t.Fatalf("%s: %d frames, errors %v", name, len(want), r.Errors())
	}
	whole = whole[:min(len(whole), 4000)]
	silent := 0
	for n := range whole {
		got, r := read(t, whole[:n])
		if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("%s, first %d octets: other frames than the whole file gives", name, n)
		}
		switch errs := r.Errors(); {
		case len(errs) == 0:
			silent++
		case len(errs) > 1 || n > 4 && !errors.Is(errs[0], ErrCut) && !compressed:
			t.Fatalf("%s, first %d octets: %v", name, n, errs)
		}
	}
	// An end behind a record or a block cannot be told from the true end. In
	// compressed data there is one between the two halves.
	if most := 2 + 2*len(want) + 4; silent > most {
		t.Errorf("%s: %d of %d ends without an error, at most %d can be", name, silent, len(whole), most)
	}
}

// FuzzReader checks what holds for any octets: frames lie inside what was read,
// times are bounded, there is at most one error and Next comes to an end; the
// size of the block makes no difference; and a part of the file gives a part of
// the frames.
func FuzzReader(f *testing.F) {
	for _, o := range orders {
		p := pcapHead(o, magicMicro, 65535, 1)
		p = pcapRecord(p, o, 1, 2, 60, "a frame")
		p = pcapRecord(p, o, 1, 3, 5, "another")
		n := ngSection(nil, o)
		n = ngInterface(n, o, 1, 0, ngOption(ngOption(nil, o, optName, []byte("eth0")), o, optTSResol, []byte{0x8a}))
		n = ngEnhanced(n, o, 0, 1<<40, 60, "enhanced")
		n = ngObsolete(n, o, 0, 0, 1<<41, 60, "obsolete")
		n = ngSimple(n, o, 5, "simple")
		n = ngBlock(n, o, 4, []byte("names"))
		n = append(n, ngInterface(ngSection(nil, o), o, 101, 4, ngOption(nil, o, optTSOffset, make([]byte, 8)))...)
		n = ngSimple(n, o, 5, "snap")
		for _, b := range [][]byte{p, n} {
			f.Add(b, uint(len(b)-5))
			f.Add(gzipped(f, b), uint(len(b)/2))
			f.Add(zstandard(f, b), uint(30))
		}
	}
	open := func(t *testing.T, b []byte, block int) *Reader {
		r, err := Open(Config{Paths: []string{"-"}, Stdin: bytes.NewReader(b)})
		if err != nil {
			t.Fatal(err)
		}
		r.block = block
		return r
	}
	readBlocks := func(t *testing.T, b []byte, block int) ([]record, *Reader) {
		r := open(t, b, block)
		return drain(t, r), r
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		all, large := readBlocks(t, b, 4096)
		if len(large.Errors()) > 1 {
			t.Fatalf("%d errors from one file: %v", len(large.Errors()), large.Errors())
		}
		for _, block := range large.free {
			if len(block) > maxRecord+maxBlock {
				t.Fatalf("a block of %d octets", len(block))
			}
		}
		size := 0
		for _, rec := range all {
			size += len(rec.data)
		}
		if len(large.Errors()) == 0 && len(b) > 0 && b[0] != 0x1f && !isZstd(b[:min(len(b), 4)]) && size > len(b) {
			t.Fatalf("%d octets of frames from %d of file", size, len(b))
		}

		small, r := readBlocks(t, b, 16)
		if !slices.Equal(small, all) {
			t.Fatalf("%d frames with a small block, %d with a large one", len(small), len(all))
		}
		if got, want := errorText(r), errorText(large); got != want {
			t.Fatalf("error with a small block\n%s\nwith a large one\n%s", got, want)
		}
		sameInBatches(t, open(t, b, 4096), large, all)
		sameInBatches(t, open(t, b, 100), large, all)

		part, _ := readBlocks(t, b[:min(cut, uint(len(b)))], 4096)
		if len(part) > len(all) || !slices.Equal(part, all[:len(part)]) {
			t.Fatalf("the first %d octets give other frames", cut)
		}
	})
}

func errorText(r *Reader) string {
	if len(r.Errors()) == 0 {
		return ""
	}
	return r.Errors()[0].Error()
}
