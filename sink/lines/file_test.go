package lines

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mirrorscope/unit"
)

// config is one for tests: no rotation but what the test asks for.
func config(dir string) FileConfig {
	return FileConfig{Directory: dir, Name: "records.jsonl", Queue: 1 << 20}
}

func openFile(t testing.TB, cfg FileConfig) *File {
	t.Helper()
	f, err := OpenFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f.Close(ctx)
	})
	return f
}

// flush waits until all is written.
func flush(t testing.TB, w Writer) {
	t.Helper()
	eventually(t, "all is written", func() bool { return w.Stats().Queued.Lines == 0 })
}

// contents gives what a directory holds by name, unpacked, and fails on files
// that do not consist of whole lines.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var r io.Reader = f
		switch filepath.Ext(e.Name()) {
		case ".zst":
			z, err := zstd.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			r = z
		case ".gz":
			if r, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
		}
		b, err := io.ReadAll(r)
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		if len(b) > 0 && b[len(b)-1] != '\n' {
			t.Errorf("%s ends within a line: %q", e.Name(), b[max(0, len(b)-40):])
		}
		all[e.Name()] = string(b)
	}
	return all
}

// sorted gives the contents in the order in which they were written: finished
// files by name, then the one that is being written.
func sorted(files map[string]string) []string {
	var names, texts []string
	for name := range files {
		if name != "records.jsonl" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range append(names, "records.jsonl") {
		texts = append(texts, files[name])
	}
	return texts
}

// A restart goes on where the last run ended.
func TestFileContinues(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "er")
	for run := range 3 {
		f := openFile(t, config(dir))
		fmt.Fprintf(f, "run %d\n", run)
		closeNow(t, f)
	}
	got := contents(t, dir)
	if len(got) != 1 || got["records.jsonl"] != "run 0\nrun 1\nrun 2\n" {
		t.Errorf("got %q", got)
	}
	info, err := os.Stat(filepath.Join(dir, "records.jsonl"))
	if err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("mode %v, %v: others can read it", info.Mode(), err)
	}
}

// Many writers and small files: every line is in exactly one file, each
// writer's in order, and no file is too long.
func TestRotationUnderLoad(t *testing.T) {
	for _, compress := range []Compression{None, Zstd, Gzip} {
		t.Run(compress.String(), func(t *testing.T) {
			const writers, batches, size = 4, 400, 32 << 10
			cfg := config(t.TempDir())
			cfg.RotateSize, cfg.Queue, cfg.Compress = size, 64<<20, compress
			f := openFile(t, cfg)
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := range batches {
						var b []byte
						for j := range 5 {
							b = fmt.Appendf(b, `{"writer":%d,"n":%d,"pad":"%s"}`+"\n", w, 5*i+j, strings.Repeat("p", (i*j)%120))
						}
						f.Write(b)
					}
				})
			}
			wg.Wait()
			flush(t, f)
			finished := f.Stats().Files.Finished
			if compress != None {
				eventually(t, "all but the latest are compressed", func() bool { return f.Stats().Files.Compressed == finished-1 })
			}
			closeNow(t, f)
			stats := f.Stats()
			if stats.Lost() != (Count{}) || stats.Written.Lines != writers*batches*5 || stats.Errors != 0 {
				t.Fatalf("stats %+v", stats)
			}
			files := contents(t, cfg.Directory)
			if uint64(len(files)) != finished+1 || finished < 10 {
				t.Errorf("%d files, %d finished", len(files), finished)
			}
			plain := 0
			for name, text := range files {
				if len(text) > size || len(text) < size/2 && name != "records.jsonl" {
					t.Errorf("%s has %d octets", name, len(text))
				}
				if strings.HasSuffix(name, ".jsonl") {
					plain++
				}
			}
			if want := map[Compression]int{None: len(files), Zstd: 2, Gzip: 2}[compress]; plain != want {
				t.Errorf("%d files are not compressed, want %d: the one being written and the latest", plain, want)
			}
			next := [writers]int{}
			for _, text := range sorted(files) {
				for line := range strings.Lines(text) {
					var r struct{ Writer, N int }
					if err := json.Unmarshal([]byte(line), &r); err != nil {
						t.Fatalf("%q: %v", line, err)
					}
					if r.N != next[r.Writer] {
						t.Fatalf("writer %d: line %d where %d is due", r.Writer, r.N, next[r.Writer])
					}
					next[r.Writer]++
				}
			}
			if next != [writers]int{batches * 5, batches * 5, batches * 5, batches * 5} {
				t.Errorf("lines of each writer: %v", next)
			}
		})
	}
}

// A line longer than a file may be has a file of its own.
func TestLineLongerThanFile(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.RotateSize = 4 << 10
	f := openFile(t, cfg)
	long := strings.Repeat("l", 5000) + "\n"
	f.Write([]byte("a\n" + long + "b\n"))
	closeNow(t, f)
	if got := sorted(contents(t, cfg.Directory)); !slices.Equal(got, []string{"a\n", long, "b\n"}) {
		t.Errorf("got files of %d, want a, the long line, b", len(got))
	}
}

// By age a file is finished also when nothing comes any more, and one that is
// left from an earlier period at once.
func TestRotateAfter(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.RotateAfter = unit.Duration(time.Second)
	path := filepath.Join(cfg.Directory, cfg.Name)
	if err := os.WriteFile(path, []byte("yesterday\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(path, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, cfg)
	eventually(t, "the old file is finished", func() bool { return f.Stats().Files.Finished == 1 })
	f.Write([]byte("today\n"))
	flush(t, f)
	eventually(t, "the new file is finished", func() bool { return f.Stats().Files.Finished == 2 })
	closeNow(t, f)
	if got := sorted(contents(t, cfg.Directory)); !slices.Equal(got, []string{"yesterday\n", "today\n", ""}) {
		t.Errorf("got %q", got)
	}
}

// The oldest go, by number or by size, and nothing that is not ours.
func TestKeep(t *testing.T) {
	for _, test := range []struct {
		name  string
		files int
		size  unit.Size
		want  int
	}{
		{"all", 0, 0, 5},
		{"by number", 2, 0, 2},
		{"by size", 0, 350, 3},
		{"by both", 4, 250, 2},
		{"nothing fits", 0, 50, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := config(t.TempDir())
			cfg.KeepFiles, cfg.KeepSize = test.files, test.size
			others := []string{"records.json", "records-20261120T100000.000Z.csv", "xrecords-20261120T100000.000Z.jsonl", "records-2026.jsonl", ".records-20261120T100000.000Z.jsonl"}
			for _, name := range others {
				os.WriteFile(filepath.Join(cfg.Directory, name), []byte("other\n"), 0o640)
			}
			hundred := []byte(strings.Repeat("k", 99) + "\n")
			var ours []string
			for i := range 5 {
				name := fmt.Sprintf("records-2026112%dT100000.000Z.jsonl", i)
				if i < 2 { // one that was compressed before
					name += ".zst"
				}
				ours = append(ours, name)
				os.WriteFile(filepath.Join(cfg.Directory, name), hundred, 0o640)
			}
			os.WriteFile(filepath.Join(cfg.Directory, ".records-20261120T100000.000Z.jsonl.zst.tmp"), hundred, 0o640)
			f := openFile(t, cfg)
			eventually(t, "removed", func() bool { return f.Stats().Files.Removed == uint64(5-test.want) })
			closeNow(t, f)
			want := append(slices.Clone(others), ours[5-test.want:]...)
			want = append(want, "records.jsonl")
			var got []string
			entries, _ := os.ReadDir(cfg.Directory)
			for _, e := range entries {
				got = append(got, e.Name())
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("left %q, want %q", got, want)
			}
		})
	}
}

// What a crash left half done is done at the next start: a file whose
// compressed copy is complete is removed, one without is compressed.
func TestKeeperGoesOn(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Compress = Zstd
	for i := range 3 {
		os.WriteFile(filepath.Join(cfg.Directory, fmt.Sprintf("records-2026112%dT100000.000Z.jsonl", i)), fmt.Appendf(nil, "%d\n", i), 0o640)
	}
	z, _ := zstd.NewWriter(nil)
	os.WriteFile(filepath.Join(cfg.Directory, "records-20261120T100000.000Z.jsonl.zst"), z.EncodeAll([]byte("0\n"), nil), 0o640)
	f := openFile(t, cfg)
	eventually(t, "compressed", func() bool { return f.Stats().Files.Compressed == 1 })
	closeNow(t, f)
	got := contents(t, cfg.Directory)
	want := map[string]string{
		"records-20261120T100000.000Z.jsonl.zst": "0\n", "records-20261121T100000.000Z.jsonl.zst": "1\n",
		"records-20261122T100000.000Z.jsonl": "2\n", "records.jsonl": "",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || f.Stats().Errors != 0 {
		t.Errorf("got %q, %v", got, f.Stats().LastError)
	}
}

// The name of a finished file is never used twice, whatever the clock says.
func TestArchiveNames(t *testing.T) {
	cfg := config(t.TempDir())
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for i, suffix := range []string{"", ".zst", ".gz", ""} {
		path := archivePath(&cfg, now)
		if want := fmt.Sprintf("records-20261120T100000.00%dZ.jsonl", i); filepath.Base(path) != want {
			t.Errorf("got %s, want %s", path, want)
		}
		os.WriteFile(path+suffix, nil, 0o640)
	}
}

// A last line without an end is cut off, however long, and counted.
func TestRepair(t *testing.T) {
	long := strings.Repeat("r", 200<<10)
	for _, test := range []struct{ name, before, after string }{
		{"empty", "", ""},
		{"whole", "a\nb\n", "a\nb\n"},
		{"partial", "a\nb\n{\"c\":", "a\nb\n"},
		{"nothing but a partial line", "{\"c\":", ""},
		{"longer than a block", "a\n" + long, "a\n"},
		{"whole and long", long + "\n", long + "\n"},
		{"at the edge of a block", "a\n" + long[:64<<10], "a\n"},
		{"line end first in a block", long[:64<<10] + "\n" + long[:64<<10-1], long[:64<<10] + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := config(t.TempDir())
			os.WriteFile(filepath.Join(cfg.Directory, cfg.Name), []byte(test.before), 0o640)
			f := openFile(t, cfg)
			f.Write([]byte("next\n"))
			closeNow(t, f)
			if got := contents(t, cfg.Directory)[cfg.Name]; got != test.after+"next\n" {
				t.Errorf("%d octets are left, want %d", len(got), len(test.after)+5)
			}
			if cut := f.Stats().Files.CutBytes; cut != uint64(len(test.before)-len(test.after)) {
				t.Errorf("%d octets cut", cut)
			}
		})
	}
}

// A file that cannot be one of ours is left alone.
func TestNotOurs(t *testing.T) {
	cfg := config(t.TempDir())
	path := filepath.Join(cfg.Directory, cfg.Name)
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, longestCut+1<<20); err != nil { // a hole: zeros
		t.Fatal(err)
	}
	if _, err := OpenFile(cfg); err == nil || !strings.Contains(err.Error(), "no line end") {
		t.Errorf("OpenFile: %v", err)
	}
	if info, _ := os.Stat(path); info.Size() != longestCut+1<<20 {
		t.Errorf("it was cut to %d", info.Size())
	}
	os.Remove(path)
	if err := os.Mkdir(path, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(cfg); err == nil {
		t.Error("a directory was opened")
	}
}

// Two processes do not write to one file.
func TestLock(t *testing.T) {
	cfg := config(t.TempDir())
	f := openFile(t, cfg)
	if _, err := OpenFile(cfg); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("OpenFile: %v", err)
	}
	closeNow(t, f)
	closeNow(t, openFile(t, cfg))
}

// What was renamed by another program stays as it is; at the next write or at
// Reopen there is a new file.
func TestRenamedByAnother(t *testing.T) {
	cfg := config(t.TempDir())
	f := openFile(t, cfg)
	f.Write([]byte("1\n"))
	flush(t, f)
	path := filepath.Join(cfg.Directory, cfg.Name)
	os.Rename(path, path+".1")
	f.Write([]byte("2\n"))
	flush(t, f)
	os.Rename(path, path+".2")
	f.Reopen()
	eventually(t, "a new file", func() bool { _, err := os.Stat(path); return err == nil })
	closeNow(t, f)
	got := contents(t, cfg.Directory)
	if fmt.Sprint(got) != "map[records.jsonl: records.jsonl.1:1\n records.jsonl.2:2\n]" {
		t.Errorf("got %q", got)
	}
}

// A file that another program truncates (copytruncate) is not left with a hole.
func TestTruncatedByAnother(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.RotateSize = 4 << 10
	f := openFile(t, cfg)
	f.Write([]byte(strings.Repeat("x", 4000) + "\n"))
	flush(t, f)
	os.Truncate(filepath.Join(cfg.Directory, cfg.Name), 0)
	f.Write([]byte("after, and long enough that it would not have fitted into the file as it was" + strings.Repeat("!", 60) + "\n"))
	closeNow(t, f)
	got := contents(t, cfg.Directory)
	if len(got) != 1 || !strings.HasPrefix(got[cfg.Name], "after") {
		t.Errorf("got %q", got)
	}
}

// Directory and all are removed: both are made anew.
func TestRemovedDirectory(t *testing.T) {
	cfg := config(filepath.Join(t.TempDir(), "out"))
	f := openFile(t, cfg)
	f.Write([]byte("1\n"))
	flush(t, f)
	os.RemoveAll(cfg.Directory)
	f.Write([]byte("2\n"))
	closeNow(t, f)
	if got := contents(t, cfg.Directory); len(got) != 1 || got[cfg.Name] != "2\n" {
		t.Errorf("got %q", got)
	}
	if s := f.Stats(); s.Errors != 0 || s.Files.Opened != 2 {
		t.Errorf("stats %+v", s)
	}
}

const killedDir = "LINES_TEST_KILLED_DIR"

// TestMain is also the process that TestKilled kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killedDir); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

func writeUntilKilled(dir string) {
	cfg := config(dir)
	cfg.RotateSize, cfg.Compress = 64<<10, Zstd
	f, err := OpenFile(cfg)
	if err != nil {
		panic(err)
	}
	for n := 0; ; n++ {
		f.Write(fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`+"\n", n, strings.Repeat("p", n%3000)))
		for f.Stats().Queued.Lines > 0 {
			time.Sleep(time.Millisecond)
		}
		fmt.Fprintf(os.Stderr, "%d\n", n)
	}
}

// What was written outlives kill -9, and the next run continues it.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killedDir+"="+dir)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		io.CopyN(&told, stderr, int64(600+300*round))
		cmd.Process.Kill()
		io.Copy(&told, stderr)
		cmd.Wait()
		told.Truncate(bytes.LastIndexByte(told.Bytes(), '\n') + 1)

		cfg := config(dir)
		f := openFile(t, cfg) // repairs
		closeNow(t, f)
		n := 0
		for _, text := range sorted(contents(t, dir)) {
			for line := range strings.Lines(text) {
				var r struct{ N int }
				if err := json.Unmarshal([]byte(line), &r); err != nil || r.N != n {
					t.Fatalf("line %d: %.40q, %v", n, line, err)
				}
				n++
			}
		}
		if want := bytes.Count(told.Bytes(), newline); n < want || want < 100 {
			t.Errorf("%d lines are there, %d were told to be written", n, want)
		}
		os.RemoveAll(dir)
	}
}
