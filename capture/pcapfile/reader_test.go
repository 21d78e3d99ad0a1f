package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mirrorscope/capture"
)

var le = binary.LittleEndian

// times makes a pcap file with one frame for each time in seconds, that says
// its name and number.
func times(name string, sec ...uint32) []byte {
	b := pcapHead(le, magicMicro, 65535, 1)
	for i, s := range sec {
		b = pcapRecord(b, le, s, 0, 10, fmt.Sprint(name, i))
	}
	return b
}

// said lists the data of records.
func said(recs []record) (s []string) {
	for _, r := range recs {
		s = append(s, r.data)
	}
	return s
}

func TestMerge(t *testing.T) {
	dir := t.TempDir()
	a := write(t, dir, "a", times("a", 1, 3, 5))
	b := write(t, dir, "b", times("b", 2, 3, 9))
	c := write(t, dir, "c", times("c", 3, 1, 4)) // runs back
	none := write(t, dir, "none", times("none"))
	late := write(t, dir, "late", gzipped(t, times("late", 7, 8)))
	for _, test := range []struct {
		paths []string
		want  string
	}{
		{[]string{a, b}, "a0 b0 a1 b1 a2 b2"},
		{[]string{b, a}, "a0 b0 b1 a1 a2 b2"}, // of equal times the first argument's first
		{[]string{c}, "c0 c1 c2"},             // one file keeps its order
		{[]string{c, none}, "c0 c1 c2"},
		{[]string{a, c}, "a0 a1 c0 c1 c2 a2"}, // a step back is not sorted away
		{[]string{late, a, c}, "a0 a1 c0 c1 c2 a2 late0 late1"},
		{[]string{a, a}, "a0 a0 a1 a1 a2 a2"},      // asked for twice
		{[]string{a, "-"}, "a0 in0 in1 a1 a2 in2"}, // a stream cannot be looked at first
		{[]string{"-", a}, "in0 a0 in1 a1 a2 in2"},
	} {
		got, r := readAll(t, Config{Paths: test.paths, Stdin: bytes.NewReader(times("in", 1, 2, 6))})
		if got := strings.Join(said(got), " "); got != test.want {
			t.Errorf("%q: got %s, want %s", test.paths, got, test.want)
		}
		if len(r.Errors()) != 0 {
			t.Errorf("%q: errors %v", test.paths, r.Errors())
		}
		if !slices.Equal(r.Interfaces(), []string{"0"}) {
			t.Errorf("interfaces %q, want one for all files", r.Interfaces())
		}
	}
}

// TestRotatedFiles reads many files as if they were one, without having them
// open at once.
func TestRotatedFiles(t *testing.T) {
	dir := t.TempDir()
	const files, each = 300, 20
	sec := uint32(1000)
	for i := range files {
		b := pcapHead(le, magicMicro, 65535, 1)
		for range each {
			b = pcapRecord(b, le, sec, 0, 10, fmt.Sprint(sec))
			sec++
		}
		write(t, dir, fmt.Sprintf("trace-%05d.pcap", files-i), b) // names against time
	}
	r, err := Open(Config{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var f capture.Frame
	most := 0
	for want := uint32(1000); want < sec; want++ {
		if err := r.Next(&f); err != nil {
			t.Fatal(err)
		}
		if string(f.Data) != fmt.Sprint(want) {
			t.Fatalf("frame %s, want %d", f.Data, want)
		}
		open := 0
		for _, in := range r.queue {
			if in.file != nil {
				open++
			}
		}
		most = max(most, open)
	}
	if err := r.Next(&f); err != io.EOF {
		t.Fatal(err)
	}
	if most != 1 || len(r.free) != 1 {
		t.Errorf("%d files open at once and %d blocks in all, want 1 and 1: no two overlap", most, len(r.free))
	}
	if len(r.Interfaces()) != 1 || len(r.Errors()) != 0 {
		t.Errorf("interfaces %q, errors %v", r.Interfaces(), r.Errors())
	}
}

func TestPoints(t *testing.T) {
	dir := t.TempDir()
	front := write(t, dir, "front.pcap", times("f", 1, 4))
	back := ngSection(nil, le)
	back = ngInterface(back, le, 1, 0, ngOption(nil, le, optName, []byte("eth0")))
	back = ngInterface(back, le, 1, 0, ngOption(nil, le, optName, []byte("eth1")))
	back = ngEnhanced(back, le, 0, 2e6, 2, "b0")
	back = ngEnhanced(back, le, 1, 3e6, 2, "b1")
	backPath := write(t, dir, "back.pcapng", back)
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, sub, "one", times("s", 5))
	other := write(t, sub, "two", times("t", 6))

	got, r := readAll(t, Config{
		Paths: []string{dir},
		Points: map[string]string{
			dir + "/./front.pcap": "front", // in Paths: read once
			sub:                   "side",  // not in Paths: read, too
			other:                 "own",
		},
	})
	if len(r.Errors()) != 0 {
		t.Fatal(r.Errors())
	}
	var s []string
	for _, rec := range got {
		s = append(s, rec.data+"@"+rec.iface)
	}
	if got, want := strings.Join(s, " "), "f0@front b0@eth0 b1@eth1 f1@front s0@side t0@own"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	got, _ = readAll(t, Config{Points: map[string]string{backPath: "back", front: "front"}})
	for _, rec := range got {
		if want := map[byte]string{'b': "back", 'f': "front"}[rec.data[0]]; rec.iface != want {
			t.Errorf("%s: interface %q, want %q", rec.data, rec.iface, want)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d frames, want 4", len(got))
	}

	got, _ = readAll(t, Config{Points: map[string]string{"-": "tap"}, Stdin: bytes.NewReader(times("x", 1))})
	if len(got) != 1 || got[0].iface != "tap" {
		t.Errorf("got %v, want one frame of tap", got)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "2.pcap", times("second", 1))
	write(t, dir, "1", zstandard(t, times("first", 1)))
	write(t, dir, "README.md", []byte("# How these were made\n"))
	write(t, dir, "started", nil)
	write(t, dir, "notes.gz", gzipped(t, []byte("notes")))
	damaged := write(t, dir, "3.pcap", times("third", 1)[:30])
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sub"), "4.pcap", times("fourth", 1))

	got, r := readAll(t, Config{Paths: []string{dir}})
	if s := strings.Join(said(got), " "); s != "first0 second0" {
		t.Errorf("got %s, want first0 second0", s)
	}
	var fe *FileError
	if len(r.Errors()) != 1 || !errors.As(r.Errors()[0], &fe) || fe.File != damaged || fe.Offset != 24 {
		t.Errorf("errors %v, want one about %s at octet 24", r.Errors(), damaged)
	}
	notes := strings.Join(r.Notes(), "\n")
	for _, name := range []string{"README.md", "started", "notes.gz"} {
		if !strings.Contains(notes, name) {
			t.Errorf("notes do not name %s:\n%s", name, notes)
		}
	}
	if len(r.Notes()) != 3 {
		t.Errorf("notes %q, want 3", r.Notes())
	}
}

func TestMissingInputs(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, empty, "notes", []byte("no capture"))
	good := write(t, dir, "good.pcap", times("good", 1, 2))
	missing := filepath.Join(dir, "missing.pcap")
	text := write(t, dir, "text.pcap", []byte("text"))
	none := write(t, dir, "none.pcap", nil)

	got, r := readAll(t, Config{Paths: []string{missing, good, empty, text, none}, Points: map[string]string{missing: "twice"}})
	if s := strings.Join(said(got), " "); s != "good0 good1" {
		t.Errorf("got %s: the good file is not all there", s)
	}
	if len(r.Errors()) != 4 {
		t.Fatalf("errors %v, want 4", r.Errors())
	}
	for _, want := range []struct {
		file   string
		offset int64
		is     error
	}{{missing, -1, fs.ErrNotExist}, {empty, -1, ErrNoCaptures}, {text, 0, ErrNotCapture}, {none, 0, ErrEmpty}} {
		if !slices.ContainsFunc(r.Errors(), func(err error) bool {
			var fe *FileError
			return errors.As(err, &fe) && fe.File == want.file && fe.Offset == want.offset && errors.Is(err, want.is) &&
				strings.HasPrefix(err.Error(), want.file+": ") && strings.Count(err.Error(), want.file) == 1
		}) {
			t.Errorf("no error %v about %s at %d in %q", want.is, want.file, want.offset, r.Errors())
		}
	}
	if read, total := r.Progress(); read != total || total == 0 {
		t.Errorf("progress %d of %d at the end", read, total)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{
		{},
		{Paths: []string{""}},
		{Paths: []string{"-", "a", "-"}},
		{Paths: []string{"a"}, Points: map[string]string{"a": ""}},
		{Paths: []string{"a"}, Points: map[string]string{"": "a"}},
	} {
		if r, err := Open(c); err == nil {
			t.Errorf("%+v is accepted: %v", c, r)
		}
	}
}

// TestDamageDoesNotEndTheOthers merges a cut and a corrupt compressed file with
// a whole one.
func TestDamageDoesNotEndTheOthers(t *testing.T) {
	dir := t.TempDir()
	whole := write(t, dir, "whole", times("w", 1, 3, 5, 7))
	cut := write(t, dir, "cut", times("c", 2, 4, 6)[:24+2*18+7])
	var many []uint32
	for i := range uint32(20_000) {
		many = append(many, 1000+i)
	}
	z := gzipped(t, times("z", many...))
	gz := write(t, dir, "gz", z[:len(z)*3/4])
	z = zstandard(t, times("s", many...))
	z[len(z)-1000] ^= 0x55
	zst := write(t, dir, "zst", z)

	got, r := readAll(t, Config{Paths: []string{whole, cut, gz, zst}})
	n := map[byte]int{}
	for _, rec := range got {
		n[rec.data[0]]++
	}
	if n['w'] != 4 || n['c'] != 2 || n['z'] < 5000 || n['z'] == 20_000 || n['s'] < 5000 || n['s'] == 20_000 {
		t.Errorf("frames %v, want 4 w, 2 c and many, but not all, z and s", n)
	}
	if len(r.Errors()) != 3 {
		t.Fatalf("errors %v, want 3", r.Errors())
	}
	for _, err := range r.Errors() {
		var fe *FileError
		if !errors.As(err, &fe) {
			t.Fatalf("%v is no FileError", err)
		}
		switch fe.File {
		case cut:
			if !errors.Is(err, ErrCut) || fe.Decompressed || fe.Offset != 24+2*18 {
				t.Errorf("%v", err)
			}
		case gz:
			if !errors.Is(err, ErrCut) || !fe.Decompressed || !strings.Contains(err.Error(), "of the decompressed data") {
				t.Errorf("%v", err)
			}
		case zst:
			if !errors.Is(err, ErrCorrupt) || !fe.Decompressed {
				t.Errorf("%v", err)
			}
		}
	}
}

func TestProgress(t *testing.T) {
	dir := t.TempDir()
	big := pcapHead(le, magicMicro, 65535, 1)
	for i := range uint32(4000) {
		big = pcapRecord(big, le, i, 0, 1000, strings.Repeat("x", 1000))
	}
	a := write(t, dir, "a", big)
	b := write(t, dir, "b", big)
	r, err := Open(Config{Paths: []string{a, b}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if read, total := r.Progress(); read != 0 || total != int64(2*len(big)) {
		t.Errorf("before: %d of %d, want 0 of %d", read, total, 2*len(big))
	}
	var f capture.Frame
	for range 4000 {
		if err := r.Next(&f); err != nil {
			t.Fatal(err)
		}
	}
	if read, total := r.Progress(); read < total/2 || read > total*9/10 {
		t.Errorf("half way: %d of %d", read, total)
	}
	drain(t, r)
	if read, total := r.Progress(); read != total {
		t.Errorf("after: %d of %d", read, total)
	}
	if _, r := read(t, big); r.total != -1 {
		t.Errorf("total of a stream: %d, want -1", r.total)
	}
	file, err := os.Open(a) // what the shell's < does
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, r := readAll(t, Config{Paths: []string{"-"}, Stdin: file}); r.total != int64(len(big)) {
		t.Errorf("total of a redirected file: %d, want %d", r.total, len(big))
	}
}

func TestCloseEndsReading(t *testing.T) {
	path := write(t, t.TempDir(), "a", times("a", 1, 2, 3))
	r, err := Open(Config{Paths: []string{path, path}})
	if err != nil {
		t.Fatal(err)
	}
	var f capture.Frame
	if err := r.Next(&f); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := r.Next(&f); err != io.EOF {
		t.Errorf("Next after Close: %v, want io.EOF", err)
	}
}

// repeat reads the same records again and again, n octets in all.
type repeat struct {
	head, body []byte
	at         int
	n          int64
}

func (r *repeat) Read(b []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(b, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	if r.n <= 0 {
		return 0, io.EOF
	}
	n := copy(b, r.body[r.at:])
	r.at = (r.at + n) % len(r.body)
	r.n -= int64(n)
	return n, nil
}

// endless is a file of n frames of size octets.
func endless(ng bool, n, size int) *repeat {
	data := strings.Repeat("x", size)
	r := &repeat{head: pcapHead(le, magicMicro, 65535, 1)}
	one := func() []byte { return pcapRecord(nil, le, 1_700_000_000, 5, size, data) }
	if ng {
		r.head = ngInterface(ngSection(nil, le), le, 1, 0, nil)
		one = func() []byte { return ngEnhanced(nil, le, 0, 1_700_000_000_000_005, size, data) }
	}
	r.n = int64(n * len(one()))
	for range min(n, 1000) {
		r.body = append(r.body, one()...)
	}
	return r
}

func TestNextAllocs(t *testing.T) {
	dir := t.TempDir()
	const frames = 200_000
	all := func(ng bool) []byte {
		b, err := io.ReadAll(endless(ng, frames, 60))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b := write(t, dir, "pcap", all(false)), write(t, dir, "pcapng", all(true))
	for name, paths := range map[string][]string{"pcap": {a}, "pcapng": {b}, "merge": {a, b}} {
		r, err := Open(Config{Paths: paths})
		if err != nil {
			t.Fatal(err)
		}
		var f capture.Frame
		if err := r.Next(&f); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(frames/2, func() {
			if err := r.Next(&f); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per frame, want 0", name, n)
		}
		batch := make([]capture.Frame, 32)
		if n := testing.AllocsPerRun(frames/100, func() {
			if _, err := r.NextBatch(batch); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per batch, want 0", name, n)
		}
		r.Close()
	}
}

// TestMemoryIsFlat reads 2 GB and looks at what was allocated for it.
func TestMemoryIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 2 GB")
	}
	const frames = 1_300_000
	r, err := Open(Config{Paths: []string{"-"}, Stdin: endless(true, frames, 1500)})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var f capture.Frame
	n := 0
	for ; r.Next(&f) == nil; n++ {
	}
	runtime.ReadMemStats(&after)
	if n != frames || len(r.Errors()) != 0 {
		t.Errorf("%d frames, errors %v", n, r.Errors())
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*maxBlock {
		t.Errorf("%d octets allocated for 2 GB, want at most %d", got, 2*maxBlock)
	}
}

func BenchmarkNext(b *testing.B) { benchmarkReader(b, 1) }

func BenchmarkNextBatch(b *testing.B) { benchmarkReader(b, 64) }

// benchmarkReader reads up to n frames at a time; what is told is for one.
func benchmarkReader(b *testing.B, n int) {
	const frames = 100_000
	for _, size := range []int{60, 1500} {
		for _, form := range []string{"pcap", "pcapng"} {
			b.Run(fmt.Sprintf("%s/%d", form, size), func(b *testing.B) {
				file, err := io.ReadAll(endless(form == "pcapng", frames, size))
				if err != nil {
					b.Fatal(err)
				}
				path := write(b, b.TempDir(), "capture", file)
				b.ReportAllocs()
				b.SetBytes(int64(len(file)) / frames)
				batch := make([]capture.Frame, n)
				r := &Reader{}
				b.ResetTimer()
				for done := 0; done < b.N; {
					got, err := 1, error(nil)
					if n == 1 {
						err = r.Next(&batch[0])
					} else {
						got, err = r.NextBatch(batch)
					}
					done += got
					if err == io.EOF {
						if r, err = Open(Config{Paths: []string{path}}); err != nil {
							b.Fatal(err)
						}
					}
				}
				r.Close()
			})
		}
	}
}
