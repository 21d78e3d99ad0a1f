package pcapfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket/pcapgo"
)

// TestPcapgoLimits holds the reasons for a reader of our own (docs/decisions):
// inputs that this package reads and gopacket's pcapgo does not, or not right.
// A case that fails is a reason less.
func TestPcapgoLimits(t *testing.T) {
	oneRecord := func(magic, link uint32, wire int) []byte {
		return pcapRecord(pcapHead(le, magic, 65535, link), le, 1, 0, wire, "frame")
	}
	modified := slices.Insert(oneRecord(magicModified, 1, 5), pcapHeaderLen+pcapRecordLen, make([]byte, 8)...)
	ng := func(options []byte) []byte {
		return ngEnhanced(ngInterface(ngSection(nil, le), le, 1, 0, options), le, 0, 3<<31, 5, "frame")
	}
	whole := ng(nil)
	trailer := slices.Clone(whole)
	trailer[len(trailer)-1] ^= 1
	for _, test := range []struct {
		name string
		file []byte
		want []record // of ours, and of a reader that copes
		err  error    // likewise
		says string   // what pcapgo's error says, where it has one
	}{
		{"link type above 255", oneRecord(magicMicro, 276, 5), []record{{"frame", 1e9, 5, 276, "0"}}, nil, ""},
		{"shorter on the wire than captured", oneRecord(magicMicro, 1, 4), []record{{"frame", 1e9, 5, 1, "0"}}, nil, "exceeds original"},
		{"records of 24 octets", modified, []record{{"frame", 1e9, 5, 1, "0"}}, nil, "Unknown magic"},
		{"time in units of 2^-32 s", ng(ngOption(nil, le, optTSResol, []byte{0x80 | 32})), []record{{"frame", 1.5e9, 5, 1, "0"}}, nil, ""},
		{"cut pcapng", whole[:len(whole)-30], nil, ErrCut, ""},
		{"lengths that contradict each other", trailer, nil, ErrCorrupt, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, r := read(t, test.file)
			if !slices.Equal(got, test.want) || !errors.Is(errors.Join(r.Errors()...), test.err) {
				t.Errorf("ours: %+v, errors %v, want %+v, %v", got, r.Errors(), test.want, test.err)
			}
			theirs, err := pcapgoReads(write(t, t.TempDir(), "capture", test.file))
			if (err != nil) == (test.err != nil) && equalButInterface(theirs, test.want) {
				t.Errorf("pcapgo copes now: %+v, %v", theirs, err)
			}
			if test.says == "" && err != nil || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("pcapgo's error: %v, want it to say %q", err, test.says)
			}
		})
	}
}

// BenchmarkPcapgo is what BenchmarkNext is compared with: the same files, and
// the method that does not allocate for each packet.
func BenchmarkPcapgo(b *testing.B) {
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
				var src interface{ next() error }
				left := 0
				for b.Loop() {
					if left == 0 {
						f, err := os.Open(path)
						if err != nil {
							b.Fatal(err)
						}
						b.Cleanup(func() { f.Close() })
						if src, err = openPcapgo(f, form); err != nil {
							b.Fatal(err)
						}
						left = frames
					}
					if err := src.next(); err != nil {
						b.Fatal(err)
					}
					left--
				}
			})
		}
	}
}

type (
	pcapgoPcap   struct{ *pcapgo.Reader }
	pcapgoPcapng struct{ *pcapgo.NgReader }
)

func (r pcapgoPcap) next() error {
	_, _, err := r.ZeroCopyReadPacketData()
	return err
}

func (r pcapgoPcapng) next() error {
	_, _, err := r.ZeroCopyReadPacketData()
	return err
}

func openPcapgo(f io.Reader, form string) (interface{ next() error }, error) {
	if form == "pcapng" {
		r, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{WantMixedLinkType: true})
		return pcapgoPcapng{r}, err
	}
	r, err := pcapgo.NewReader(f)
	return pcapgoPcap{r}, err
}
