package bpf

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
)

// captures gives every capture file there is, by path.
func captures(t testing.TB) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{filepath.Join(needs.Repository(t), "testdata", "pcaps"), filepath.Join(needs.Captures(t), "dev")} {
		check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && strings.Contains(filepath.Ext(path), "pcap") {
				files = append(files, path)
			}
			return err
		}))
	}
	return files
}

// frames calls f with every frame of a capture that can be brought into an
// Ethernet frame. It is valid during the call.
func frames(t testing.TB, path string, f func(frame []byte, c *capture.Frame)) {
	t.Helper()
	r, err := pcapfile.Open(pcapfile.Config{Paths: []string{path}})
	check(t, err)
	defer r.Close()
	var c capture.Frame
	var buf []byte
	for {
		err := r.Next(&c)
		if errors.Is(err, io.EOF) {
			return
		}
		check(t, err)
		frame := c.Data
		switch c.Link {
		case capture.LinkEthernet:
		case capture.LinkRaw, capture.LinkIPv4, capture.LinkIPv6:
			if len(frame) == 0 {
				continue
			}
			etherType := []byte{8, 0}
			if frame[0]>>4 == 6 {
				etherType = []byte{0x86, 0xdd}
			}
			buf = append(append(append(buf[:0], make([]byte, 12)...), etherType...), frame...)
			frame = buf
		default:
			continue
		}
		f(frame, &c)
	}
}

// TestAgreement runs every frame of every capture through the C parser and
// through package packet.
func TestAgreement(t *testing.T) {
	walkers := newWalkers(t)
	var unread, all int
	for _, path := range captures(t) {
		for _, w := range walkers {
			o := newOracle()
			n := 0
			frames(t, path, func(frame []byte, _ *capture.Frame) {
				n++
				if len(frame) < 14 {
					return
				}
				if len(frame) > maxRun {
					frame = frame[:maxRun]
				}
				outcome, contradiction := o.agree(w.run(t, frame), frame, w.socket)
				if contradiction != "" {
					t.Errorf("%s, frame %d, socket %v: %s", filepath.Base(path), n, w.socket, contradiction)
				}
				all++
				if outcome == unreadTunnel {
					unread++
				}
			})
		}
	}
	if all == 0 || unread > 2900 {
		t.Errorf("%d of %d frames are in tunnels that C does not read, at most 2900 were", unread, all)
	}
	t.Logf("%d frames, %d of them in tunnels that C does not read", all, unread)
}
