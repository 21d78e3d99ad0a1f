package record

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
)

// captures lists all of ours and all of those with ground truth.
func captures(t testing.TB) (files []string) {
	t.Helper()
	for _, root := range []string{filepath.Join(needs.Captures(t), "dev"), filepath.Join(needs.Repository(t), "testdata", "pcaps")} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.Contains(filepath.Ext(path), "pcap") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 50 {
		t.Fatalf("%d captures", len(files))
	}
	return files
}

// frames gives every frame of a capture to f.
func frames(t testing.TB, file string, f func(*capture.Frame)) {
	t.Helper()
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var x capture.Frame
	for {
		err := src.Next(&x)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		f(&x)
	}
}

// What is kept of a frame gives the same packet, has nothing of its payload, and
// cannot be shorter.
func TestHeaders(t *testing.T) {
	n, short, cut, declined := 0, 0, 0, 0
	for _, file := range captures(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
			again := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
			x := newCutter(packet.DefaultConfig())
			var p, q packet.Packet
			frames(t, file, func(f *capture.Frame) {
				if d.Decode(f.Data, uint16(f.Link), 0, f.WireLen, f.Time, &p) != packet.OK || p.Flags&packet.Reassembled != 0 {
					return
				}
				n++
				kept := x.headers(f, &p)
				if kept == 0 || kept > len(f.Data) {
					t.Fatalf("frame %d: %d of %d octets", n, kept, len(f.Data))
				}
				if at, ok := within(f.Data, p.Payload); ok {
					cut++
					if kept != at+quoted(&p) && p.Proto != packet.ProtoGRE {
						t.Fatalf("frame %d: %d octets, the payload begins at %d", n, kept, at)
					}
					if s := x.shortest(f); s > kept && p.Proto != packet.ProtoUDP {
						t.Errorf("frame %d: the payload begins at %d, and the headers end at %d", n, at, s)
					}
				} else if len(p.Payload) > 0 {
					t.Fatalf("frame %d: where is its payload?", n)
				} else {
					short++
					if again.Decode(f.Data[:kept-1], uint16(f.Link), 0, f.WireLen, f.Time, &q) == packet.OK && same(&p, &q) {
						t.Errorf("frame %d: %d octets are kept, one less is enough", n, kept)
					}
				}
				if again.Decode(f.Data[:kept], uint16(f.Link), 0, f.WireLen, f.Time, &q) != packet.OK {
					if p.Proto == packet.ProtoUDP {
						declined++
						return // on the port of a tunnel, with something else in it
					}
					t.Errorf("frame %d: what is kept gives no packet: %+v", n, p)
				}
				if !same(&p, &q) {
					t.Errorf("frame %d: kept\n%+v, whole\n%+v", n, q, p)
				}
			})
		})
	}
	t.Logf("%d frames, %d with payload, %d without; %d on the port of a tunnel that they are not", n, cut, short, declined)
	if declined > n/100 || n < 10_000 || cut < 1000 || short < 1000 {
		t.Error("the captures hold too little")
	}
}
