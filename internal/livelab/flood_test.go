//go:build linux

package livelab

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"mirrorscope/capture"
)

// arrived runs a flood into the stack of cap0 and gives what came.
func arrived(t *testing.T, l *Lab, f Flood) []capture.Frame {
	t.Helper()
	path := filepath.Join(t.TempDir(), "arrived.pcap")
	r, err := l.RecordArrivals(path)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := l.Flood(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if sent.Frames != f.Frames || got.Frames+got.Lost != sent.Arrived() || got.Lost != 0 {
		t.Fatalf("sent %+v, arrived %+v", sent, got)
	}
	frames, err := Frames(path)
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

// TestFlood: what the kernel makes are whole connections with nothing wrong in
// them, by what the sensor says of them.
func TestFlood(t *testing.T) {
	l := New(t, Config{})
	for _, f := range []Flood{
		{Frames: 8 * 300, Size: 60, Flows: 300, Packets: 8, Stack: true},
		{Frames: 2 * 23 * 40, Size: 1514, Flows: 40, Packets: 23, Stack: true},
		{Frames: 50 * 20, Size: 1564, Flows: 20, Packets: 50, VNI: 77, Stack: true},
	} {
		frames := arrived(t, l, f)
		var total struct{ connections, points int }
		for line := range bytes.Lines(replay(t, "0", frames)) {
			var r struct {
				Type    string
				Outcome string
				Points  []struct {
					ID int `json:"tunnel_id"`
				} `json:"observation_points"`
				Packets     uint64
				Skipped     map[string]int
				Client      sent `json:"client_sent"`
				Server      sent `json:"server_sent"`
				Handshake   struct{ State string }
				Response    struct{ Turns int }
				Retransmits map[string]struct{ Packets int }
				OutOfOrder  map[string]struct{ Packets int } `json:"out_of_order"`
				Capture     struct {
					Missed    map[string]int `json:"missed_bytes"`
					Copies    int            `json:"mirror_duplicates"`
					Malformed int            `json:"malformed_packets"`
				}
			}
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			switch r.Type {
			case "connection":
				total.connections++
				if r.Outcome != "closed" || r.Client.Packets+r.Server.Packets != f.Packets || r.Handshake.State != "measured" ||
					r.Retransmits["client"].Packets+r.Retransmits["server"].Packets != 0 || r.OutOfOrder["server"].Packets != 0 ||
					r.Capture.Missed["client"]+r.Capture.Missed["server"] != 0 || r.Capture.Copies != 0 || r.Capture.Malformed != 0 {
					t.Fatalf("%+v: %s", f, line)
				}
			case "capture":
				total.points = len(r.Points)
				if r.Packets != f.Frames || total.points != 1 || r.Points[0].ID != f.VNI {
					t.Errorf("%+v: %s", f, line)
				}
				for why, n := range r.Skipped {
					if n != 0 {
						t.Errorf("%+v: %d packets are skipped as %s", f, n, why)
					}
				}
			}
		}
		if uint64(total.connections) != f.Connections() || total.points != 1 {
			t.Errorf("%+v: %d connections, want %d", f, total.connections, f.Connections())
		}
		for i := range frames {
			if len(frames[i].Data) != f.Size {
				t.Fatalf("%+v: frame %d has %d octets", f, i+1, len(frames[i].Data))
			}
			checkSums(t, frames[i].Data, f.VNI != 0)
		}
	}
}

type sent struct{ Packets int }

// checkSums verifies the checksums of a frame of Flood.
func checkSums(t *testing.T, frame []byte, vxlan bool) {
	t.Helper()
	ip := frame[14:]
	if vxlan {
		if sum(ip[:20], 0) != 0xffff {
			t.Fatalf("outer IP checksum of % x", ip[:20])
		}
		ip = frame[64:]
	}
	length := int(ip[2])<<8 | int(ip[3])
	if sum(ip[:20], 0) != 0xffff || sum(ip[20:length], sum(ip[12:20], 0)+6+uint32(length-20)) != 0xffff {
		t.Fatalf("checksums of % x", ip[:length])
	}
}

// sum is RFC 1071's, folded.
func sum(b []byte, s uint32) uint32 {
	for i, v := range b {
		s += uint32(v) << (8 * (1 - i%2))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return s
}

// attach attaches an XDP program to cap0 that counts and drops, after having
// asked so many times for the time.
func attach(t *testing.T, l *Lab, mode link.XDPAttachFlags, slow int32) (count func() uint64) {
	t.Helper()
	counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { counts.Close() })
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R6, slow+1),
		asm.FnKtimeGetNs.Call().WithSymbol("again"),
		asm.Sub.Imm(asm.R6, 1),
		asm.JNE.Imm(asm.R6, 0, "again"),
		asm.StoreImm(asm.R10, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, counts.FD()),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("end"), // XDP_DROP
		asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	err = l.Sensor.Do(func() error {
		x, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: l.captureIndex, Flags: mode})
		if err == nil {
			t.Cleanup(func() { x.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() (n uint64) {
		if err := counts.Lookup(uint32(0), &n); err != nil {
			t.Error(err)
		}
		return n
	}
}

// TestFloodNative: of all frames that rs sends, each one comes to native XDP or
// is counted as dropped.
func TestFloodNative(t *testing.T) {
	l := New(t, Config{})
	count := attach(t, l, link.XDPDriverMode, 0)
	s, err := l.Flood(context.Background(), Flood{Frames: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(); s.Frames != 1_000_000 || n != s.Arrived() || n == 0 {
		t.Errorf("sent %+v, came %d", s, n)
	}
	t.Logf("%d frames in %v, %d dropped", s.Frames, s.Took, s.Dropped)

	// At a rate, it takes at least its time.
	before := count()
	s, err = l.Flood(context.Background(), Flood{Frames: 20_000, Rate: 100_000, VNI: 5, Size: 200})
	if err != nil {
		t.Fatal(err)
	}
	if n := count() - before; s.Frames != 20_000 || n != s.Arrived() || s.Took < 200*time.Millisecond {
		t.Errorf("sent %+v, came %d", s, n)
	}
	t.Logf("%d frames in %v, %d dropped", s.Frames, s.Took, s.Dropped)

	// It stops when told to.
	ctx, cancel := context.WithCancel(context.Background())
	before = count()
	go func() {
		for count() < before+100 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	s, err = l.Flood(ctx, Flood{Frames: 1 << 32, Rate: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	if n := count() - before; s.Frames < 100 || s.Frames == 1<<32 || n != s.Arrived() {
		t.Errorf("sent %+v, came %d", s, n)
	}
}

// TestFloodOverflow: frames that find cap0's queue full are counted.
func TestFloodOverflow(t *testing.T) {
	l := New(t, Config{})
	count := attach(t, l, link.XDPDriverMode, 1000)
	// The receiver's part on the other core, or the sender would wait for it.
	if err := l.Sensor.Do(func() error {
		return os.WriteFile("/sys/class/net/"+CaptureName+"/threaded", []byte("1"), 0)
	}); err != nil {
		t.Fatal(err)
	}
	s, err := l.Flood(context.Background(), Flood{Frames: 8000})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(); s.Frames != 8000 || n != s.Arrived() || s.Dropped == 0 || n == 0 {
		t.Errorf("sent %+v, came %d", s, n)
	}
	t.Logf("%d frames in %v, %d dropped", s.Frames, s.Took, s.Dropped)
}

// TestFloodNowhere: where nothing takes the frames, that is told.
func TestFloodNowhere(t *testing.T) {
	l := New(t, Config{})
	if s, err := l.Flood(context.Background(), Flood{Frames: 1000}); err == nil {
		t.Errorf("sent %+v, and cap0 has no XDP", s)
	}
	if _, err := l.Flood(context.Background(), Flood{Frames: 1, Size: 20}); err == nil {
		t.Error("a frame of 20 octets was sent")
	}
}
