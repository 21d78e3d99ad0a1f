package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"mirrorscope/internal/pcapgen"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sensor": main})
}

// TestScript runs every script of testdata/script. They find the captures that
// captures makes in their folder, and those of the repository in $PCAPS.
func TestScript(t *testing.T) {
	pcaps, err := filepath.Abs("../../testdata/pcaps")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       flag.Lookup("update").Value.String() == "true",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PCAPS", pcaps)
			return captures(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

// status runs a command that must end with a given exit status:
//
//	status 2 sensor replay
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

var epoch = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC).UnixNano()

// web is one request of a client to a server.
func web(clientPort uint16, service pcapgen.Service) pcapgen.Conn {
	return pcapgen.Conn{
		Client: netip.AddrPortFrom(pcapgen.IP("10.1.0.7"), clientPort), Server: netip.MustParseAddrPort("10.1.0.9:80"),
		Start: epoch, Path: pcapgen.Path{Delay: 400 * time.Microsecond}, Service: service,
		Stacks: [2]pcapgen.Stack{{ISN: 1000, IPID: 1}, {ISN: 900_000, IPID: 500}},
		Turns:  []pcapgen.Turn{{Request: []byte("GET / HTTP/1.1\r\n\r\n"), Think: 5 * time.Millisecond, Response: webPage(5000)}},
	}
}

// webPage is a whole HTTP response of n octets.
func webPage(n int) []byte {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" // as long as with n
	b := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %04d\r\n\r\n", n-len(head))
	return append(b, bytes.Repeat([]byte("x"), n-len(b))...)
}

// captures writes the files that scripts read:
//
//	web.pcap         a connection, a refused one and a DNS lookup; .gz, .zst: the same
//	part1.pcap, part2.pcap   the frames of web.pcap, in turn
//	cut.pcap         web.pcap without its last 10 octets
//	many.pcap        300 connections
//	taps/near.pcap, taps/far.pcap   one connection at two observation points
//	vlan.pcap        the same addresses and ports in VLAN 10 and in VLAN 20
//	vxlan-9999.pcap  a connection in VXLAN to port 9999, VNI 7
//	unknown.pcap     a link type that is not read
//	empty.pcap       a capture without packets
func captures(dir string) error {
	refused := web(40_001, pcapgen.Refusing)
	refused.Start += 50e6
	lookup := pcapgen.Datagrams{
		Client: netip.MustParseAddrPort("10.1.0.7:5000"), Server: netip.MustParseAddrPort("10.1.0.2:53"), Start: epoch + 100e6,
		Path: pcapgen.Path{Delay: time.Millisecond},
	}
	query := pcapgen.DNSQuery(1, "shop.example", 1)
	lookup.Turns = []pcapgen.Turn{{Request: query, Response: pcapgen.DNSResponse(query, 0, 60, pcapgen.IP("10.1.0.9"))}}
	frames := framesOf(0, web(40_000, pcapgen.Listening).Record(), refused.Record(), lookup.Record())
	var parts [2][]pcapgen.Frame
	for i, f := range frames {
		parts[i%2] = append(parts[i%2], f)
	}

	var many []pcapgen.Frame
	for i := range 300 {
		c := web(uint16(20_000+i), pcapgen.Listening)
		c.Start += int64(i) * 1e8
		many = append(many, framesOf(0, c.Record())...)
	}

	twoTaps := web(40_000, pcapgen.Listening)
	twoTaps.Path.Taps = []time.Duration{100 * time.Microsecond, 300 * time.Microsecond}
	taps := twoTaps.Record()

	var vlans, vxlan []pcapgen.Frame
	for i, f := range framesOf(0, web(40_000, pcapgen.Listening).Record()) {
		for _, id := range []uint16{10, 20} {
			tagged := pcapgen.Build(pcapgen.Ethernet{}, pcapgen.VLAN{ID: id}, pcapgen.Packet(f.Data))
			vlans = append(vlans, pcapgen.Frame{Time: f.Time + int64(id), Data: tagged})
		}
		outer := pcapgen.IPv4{Src: pcapgen.IP("192.0.2.1"), Dst: pcapgen.IP("192.0.2.2"), ID: uint16(i)}
		wrapped := pcapgen.Build(pcapgen.Ethernet{}, outer, pcapgen.UDP{SrcPort: 50_000, DstPort: 9999, NoChecksum: true},
			pcapgen.VXLAN{VNI: 7}, pcapgen.Ethernet{}, pcapgen.Packet(f.Data))
		vxlan = append(vxlan, pcapgen.Frame{Time: f.Time, Data: wrapped})
	}

	const unknownLink = 147 // LINKTYPE_USER0
	files := map[string][]byte{
		"web.pcap":        pcap(pcapgen.LinkRaw, frames),
		"part1.pcap":      pcap(pcapgen.LinkRaw, parts[0]),
		"part2.pcap":      pcap(pcapgen.LinkRaw, parts[1]),
		"many.pcap":       pcap(pcapgen.LinkRaw, many),
		"taps/near.pcap":  pcap(pcapgen.LinkRaw, framesOf(0, taps)),
		"taps/far.pcap":   pcap(pcapgen.LinkRaw, framesOf(1, taps)),
		"vlan.pcap":       pcap(pcapgen.LinkEthernet, vlans),
		"vxlan-9999.pcap": pcap(pcapgen.LinkEthernet, vxlan),
		"unknown.pcap":    pcap(unknownLink, frames[:3]),
		"empty.pcap":      pcap(pcapgen.LinkRaw, nil),
	}
	whole := files["web.pcap"]
	files["cut.pcap"] = whole[:len(whole)-10]
	var err error
	if files["web.pcap.gz"], err = compress(whole); err != nil {
		return err
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		return err
	}
	files["web.pcap.zst"] = encoder.EncodeAll(whole, nil)
	if err := os.Mkdir(filepath.Join(dir, "taps"), 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// framesOf gives what one tap recorded, as frames without link header.
func framesOf(tap int, recordings ...pcapgen.Recording) (frames []pcapgen.Frame) {
	for _, r := range recordings {
		for _, p := range r.Packets {
			if p.Tap == tap {
				frames = append(frames, pcapgen.Frame{Time: p.Time, Data: p.Data})
			}
		}
	}
	return frames
}

// pcap gives the octets of a capture file. Writing to memory does not fail.
func pcap(link uint32, frames []pcapgen.Frame) []byte {
	var b bytes.Buffer
	w := pcapgen.NewPcapWriter(&b, pcapgen.PcapConfig{Link: link, Nano: true})
	for _, f := range frames {
		if err := w.Write(f); err != nil {
			panic(err)
		}
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func compress(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}
