package pcapfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"mirrorscope/capture"
	"mirrorscope/internal/needs"
)

// sharedPcaps is the folder of real captures beside the repository.
func sharedPcaps(tb testing.TB) string {
	tb.Helper()
	return needs.Captures(tb)
}

// captures calls f for every real capture, by its name below dev/.
func captures(t *testing.T, f func(t *testing.T, dev, name string)) {
	dev := filepath.Join(sharedPcaps(t), "dev")
	n := 0
	err := filepath.WalkDir(dev, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dev, path)
		if err != nil {
			return err
		}
		n++
		t.Run(name, func(t *testing.T) { f(t, dev, name) })
		return nil
	})
	if err != nil || n < 100 {
		t.Fatalf("walked over %d captures: %v", n, err)
	}
}

// record is a Frame that owns its data, with its interface by name.
type record struct {
	data    string
	time    int64
	wireLen int
	link    capture.LinkType
	iface   string
}

// readAll reads c to its end and checks what holds for every frame.
func readAll(tb testing.TB, c Config) ([]record, *Reader) {
	tb.Helper()
	r, err := Open(c)
	if err != nil {
		tb.Fatal(err)
	}
	recs := drain(tb, r)
	if c.Stdin == nil { // which can be read once
		again, err := Open(c)
		if err != nil {
			tb.Fatal(err)
		}
		sameInBatches(tb, again, r, recs)
	}
	return recs, r
}

// drain reads to the end, a frame at a time.
func drain(tb testing.TB, r *Reader) []record { return drainBy(tb, r, 1) }

// sameInBatches reads to the end in batches, and fails unless that gives recs
// and tells what one has told.
func sameInBatches(tb testing.TB, r, one *Reader, recs []record) {
	tb.Helper()
	got := drainBy(tb, r, 7)
	if !slices.Equal(got, recs) {
		tb.Fatalf("%d frames in batches, %d one by one, or others", len(got), len(recs))
	}
	if errorText(r) != errorText(one) || r.Untimed() != one.Untimed() || !slices.Equal(r.Interfaces(), one.Interfaces()) {
		tb.Fatalf("in batches %v, %d, %v; one by one %v, %d, %v", r.Errors(), r.Untimed(), r.Interfaces(), one.Errors(), one.Untimed(), one.Interfaces())
	}
}

// drainBy reads to the end, up to n frames at a time.
func drainBy(tb testing.TB, r *Reader, n int) []record {
	tb.Helper()
	defer r.Close()
	var recs []record
	batch := make([]capture.Frame, n)
	for {
		got, err := 1, error(nil)
		if n == 1 {
			err = r.Next(&batch[0])
		} else {
			got, err = r.NextBatch(batch)
		}
		if err == io.EOF {
			return recs
		}
		if err != nil || got < 1 {
			tb.Fatalf("%d frames, error %v, want nil or io.EOF", got, err)
		}
		for _, f := range batch[:got] {
			recs = append(recs, checked(tb, r, &f, len(recs)))
		}
	}
}

// checked is the record of frame n, if that can be one.
func checked(tb testing.TB, r *Reader, f *capture.Frame, n int) record {
	tb.Helper()
	if f.WireLen < len(f.Data) {
		tb.Fatalf("frame %d: wire length %d < %d captured", n, f.WireLen, len(f.Data))
	}
	if f.Time < 0 || f.Time > maxTime {
		tb.Fatalf("frame %d: time %d is out of bounds", n, f.Time)
	}
	return record{string(f.Data), f.Time, f.WireLen, f.Link, r.Interfaces()[f.Interface]}
}

// pcapgoReads are the records that gopacket's reader gives until its error.
func pcapgoReads(path string) ([]record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var src gopacket.PacketDataSource
	var link func(ci gopacket.CaptureInfo) layers.LinkType
	if bytes.HasPrefix(b, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		ng, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return nil, err
		}
		src, link = ng, func(ci gopacket.CaptureInfo) layers.LinkType { return ci.AncillaryData[0].(layers.LinkType) }
	} else {
		p, err := pcapgo.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		src, link = p, func(gopacket.CaptureInfo) layers.LinkType { return p.LinkType() }
	}
	var recs []record
	for {
		data, ci, err := src.ReadPacketData()
		if err == io.EOF {
			return recs, nil
		}
		if err != nil {
			return recs, err
		}
		recs = append(recs, record{string(data), ci.Timestamp.UnixNano(), ci.Length, capture.LinkType(link(ci)), ""})
	}
}

// pcapgoFails are the captures that gopacket's reader does not read as they
// are, and why. They are compared with what tshark says alone.
var pcapgoFails = map[string]string{
	"formats/mercury-sll2_tls.pcap": "its link type has 8 bits: 276 becomes 20",
}

func TestSameAsPcapgo(t *testing.T) {
	captures(t, func(t *testing.T, dev, name string) {
		path := filepath.Join(dev, name)
		got, r := readAll(t, Config{Paths: []string{path}})
		if errs := r.Errors(); len(errs) != 0 {
			t.Errorf("errors: %v", errs)
		}
		want, err := pcapgoReads(path)
		if why, ok := pcapgoFails[name]; ok {
			if err == nil && equalButInterface(got, want) {
				t.Errorf("pcapgo copes now, though %q", why)
			}
			return
		}
		if err != nil {
			t.Fatalf("pcapgo: %v", err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d packets, pcapgo has %d", len(got), len(want))
		}
		for i := range got {
			got[i].iface = ""
			if got[i] != want[i] {
				t.Fatalf("packet %d:\n got %+q\nwant %+q", i, fmt.Sprint(got[i]), fmt.Sprint(want[i]))
			}
		}
	})
}

func equalButInterface(a, b []record) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.iface, y.iface = "", ""
		if x != y {
			return false
		}
	}
	return true
}

// TestSameAsTshark compares packet counts and times with the ground truth, as
// the file is stored and compressed.
func TestSameAsTshark(t *testing.T) {
	captures(t, func(t *testing.T, dev, name string) {
		truth, err := os.ReadFile(filepath.Join(dev, "..", "truth", name+".json"))
		if errors.Is(err, fs.ErrNotExist) {
			truth, err = os.ReadFile(filepath.Join(dev, "..", "truth", strings.TrimSuffix(name, filepath.Ext(name))+".json"))
		}
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Packets int
			First   string `json:"first_time"`
			Last    string `json:"last_time"`
		}
		if err := json.Unmarshal(truth, &want); err != nil {
			t.Fatal(err)
		}
		plain, err := os.ReadFile(filepath.Join(dev, name))
		if err != nil {
			t.Fatal(err)
		}
		var first []record
		for form, b := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain), "zstd": zstandard(t, plain)} {
			got, r := readAll(t, Config{Paths: []string{"-"}, Stdin: bytes.NewReader(b)})
			if errs := r.Errors(); len(errs) != 0 {
				t.Errorf("%s: errors: %v", form, errs)
			}
			if len(got) != want.Packets {
				t.Fatalf("%s: %d packets, want %d", form, len(got), want.Packets)
			}
			if first == nil {
				first = got
			} else if !equalButInterface(got, first) {
				t.Errorf("%s: other frames than in another form of the same file", form)
			}
		}
		if len(first) == 0 {
			return
		}
		for _, x := range []struct {
			which string
			got   int64
			want  string
		}{{"first", first[0].time, want.First}, {"last", first[len(first)-1].time, want.Last}} {
			if got := nanoseconds(x.got); got != x.want {
				t.Errorf("%s time %s, want %s", x.which, got, x.want)
			}
		}
	})
}

// nanoseconds writes a time as tshark does: seconds with nine decimals.
func nanoseconds(t int64) string {
	s := strconv.FormatInt(t%1e9, 10)
	return strconv.FormatInt(t/1e9, 10) + "." + strings.Repeat("0", 9-len(s)) + s
}

func gzipped(tb testing.TB, b []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	// Two members, as gzip files that were appended to have them.
	for _, part := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		z := gzip.NewWriter(&out)
		if _, err := z.Write(part); err != nil {
			tb.Fatal(err)
		}
		if err := z.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return out.Bytes()
}

func zstandard(tb testing.TB, b []byte) []byte {
	tb.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		tb.Fatal(err)
	}
	defer z.Close()
	// A skippable frame in front, then two frames.
	out := []byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'p', 'a', 'd', 's'}
	out = z.EncodeAll(b[:len(b)/2], out)
	return z.EncodeAll(b[len(b)/2:], out)
}
