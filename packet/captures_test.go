package packet

import (
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"mirrorscope/internal/needs"
)

// frame is one frame of a capture file.
type frame struct {
	data    []byte
	wireLen int
	link    uint16
	iface   uint32
	time    int64
}

// decode hands the frame to d.
func (f *frame) decode(d *Decoder, p *Packet) Skip {
	return d.Decode(f.data, f.link, f.iface, f.wireLen, f.time, p)
}

// capturesDir is the folder of real captures that lies beside the repository
// on the developers' machines. The test is skipped where it is absent.
func capturesDir(t testing.TB) string {
	t.Helper()
	return filepath.Join(needs.Captures(t), "dev")
}

// captureFiles lists the captures, by path relative to dir.
func captureFiles(t testing.TB, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("captures in %s: %v, %d files", dir, err, len(files))
	}
	return files
}

// readCapture reads a capture file with gopacket's reader, up to its end or to
// the damage.
func readCapture(t testing.TB, path string) []frame {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type source interface {
		ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	}
	var src source
	var link func(ci gopacket.CaptureInfo) uint16
	if binary.BigEndian.Uint32(b) == 0x0a0d0d0a {
		r, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			if strings.Contains(err.Error(), "EOF") {
				return nil // a section header and nothing else
			}
			t.Fatalf("%s: %v", path, err)
		}
		src = r
		link = func(ci gopacket.CaptureInfo) uint16 {
			i, err := r.Interface(ci.InterfaceIndex)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			return uint16(i.LinkType)
		}
	} else {
		r, err := pcapgo.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		// gopacket's type is an octet, NFLOG and SLL2 are not: take the field.
		order := binary.ByteOrder(binary.LittleEndian)
		if b[0] == 0xa1 {
			order = binary.BigEndian
		}
		src, link = r, func(gopacket.CaptureInfo) uint16 { return order.Uint16(b[20:]) }
		if order == binary.BigEndian {
			link = func(gopacket.CaptureInfo) uint16 { return binary.BigEndian.Uint16(b[22:]) }
		}
	}
	var frames []frame
	for {
		data, ci, err := src.ReadPacketData()
		if err != nil {
			if err != io.EOF {
				t.Logf("%s: %d frames, then %v", path, len(frames), err)
			}
			return frames
		}
		frames = append(frames, frame{
			data:    bytes.Clone(data),
			wireLen: ci.Length,
			link:    link(ci),
			iface:   uint32(ci.InterfaceIndex),
			time:    ci.Timestamp.UnixNano(),
		})
	}
}

// gopacketDecoder is what gopacket starts with for a link type, nil where it
// knows none.
func gopacketDecoder(link uint16) gopacket.Decoder {
	switch link {
	case linkEthernet:
		return layers.LayerTypeEthernet
	case linkNull, linkLoop:
		return layers.LayerTypeLoopback
	case linkPPP:
		return layers.LayerTypePPP
	case linkRaw, linkRawBSD, linkRawOBSD, linkIPv4:
		return layers.LayerTypeIPv4
	case linkIPv6:
		return layers.LayerTypeIPv6
	case linkSLL:
		return layers.LayerTypeLinuxSLL
	}
	return nil
}
