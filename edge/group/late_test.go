package group

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/pcapgen"
)

// Wherever an interval ends within a connection of TLS, at whichever of three points
// its name is known first: all that counts of it does under that name.
func TestLateNames(t *testing.T) {
	const delay = 6 * time.Millisecond
	taps := []time.Duration{0, delay / 2, delay}
	files := make([]bytes.Buffer, len(taps))
	writers := make([]*pcapgen.PcapWriter, len(taps))
	for i := range writers {
		writers[i] = pcapgen.NewPcapWriter(&files[i], pcapgen.PcapConfig{Link: pcapgen.LinkRaw, Nano: true})
	}
	handshakes := pcapgen.Handshakes()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 160 {
		turns := handshakes[i%len(handshakes)].Turns(r, time.Millisecond)
		turns = append(turns, pcapgen.Turn{Request: pcapgen.TLSData(r, 100), Think: 2 * time.Millisecond, Response: pcapgen.TLSData(r, 500)})
		c := pcapgen.Conn{
			Client: netip.AddrPortFrom(pcapgen.IP("10.1.0.7"), uint16(40_000+i)), Server: netip.MustParseAddrPort("10.1.0.9:443"),
			Start: 1_800_000_000e9 + int64(i)*3e9 - int64(i)*700e3, Path: pcapgen.Path{Delay: delay, Taps: taps},
			Stacks: [2]pcapgen.Stack{{ISN: 1000, IPID: 1}, {ISN: 900_000, IPID: 500}}, Turns: turns,
		}
		for _, p := range c.Record().Packets {
			if err := writers[p.Tap].Write(pcapgen.Frame{Time: p.Time, Data: p.Data}); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	points := map[string]string{}
	for i, w := range writers {
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		name := []string{"client", "middle", "server"}[i]
		file := filepath.Join(dir, name+".pcap")
		if err := os.WriteFile(file, files[i].Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		points[file] = name
		sumsHold(t, pcapfile.Config{Paths: []string{file}})
	}
	sumsHold(t, pcapfile.Config{Points: points})
}
