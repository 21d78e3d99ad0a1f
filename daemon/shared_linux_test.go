package daemon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/internal/livelab"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// mirrorings are what package packet takes for a mirror's tunnel.
var mirrorings = []struct {
	name   string
	layers []pcapgen.Layer // behind the IP header
}{
	{"vxlan", []pcapgen.Layer{pcapgen.UDP{SrcPort: 50000}, pcapgen.VXLAN{VNI: 1}}},
	{"vxlan on 8472", []pcapgen.Layer{pcapgen.UDP{SrcPort: 50000, DstPort: 8472}, pcapgen.VXLAN{VNI: 2}}},
	{"vxlan-gpe", []pcapgen.Layer{pcapgen.UDP{SrcPort: 50000}, pcapgen.VXLANGPE{VNI: 3}}},
	{"geneve", []pcapgen.Layer{pcapgen.UDP{SrcPort: 50000}, pcapgen.Geneve{VNI: 4}}},
	{"tzsp", []pcapgen.Layer{pcapgen.UDP{SrcPort: 50000}, pcapgen.TZSP{}}},
	{"erspan 1", []pcapgen.Layer{pcapgen.ERSPAN1{}}},
	{"erspan 2", []pcapgen.Layer{pcapgen.ERSPAN2{Session: 6}}},
	{"erspan 3", []pcapgen.Layer{pcapgen.ERSPAN3{Session: 7}}},
}

// toSensor gives frames to the address of cap0, in fragments where they are
// longer than mtu.
func toSensor(id uint16, mtu int, layers ...pcapgen.Layer) (frames []capture.Frame) {
	ether := pcapgen.Ethernet{Dst: [6]byte{2, 0, 0, 0, 0, 4}, Src: [6]byte{2, 0, 0, 0, 0, 9}}
	ip := pcapgen.IPv4{Src: livelab.MirrorAddr, Dst: livelab.CaptureAddr, ID: id}
	whole := pcapgen.Build(append([]pcapgen.Layer{ether, ip}, layers...)...)
	for _, part := range pcapgen.Fragment4(whole[14:], mtu) {
		b := append(bytes.Clone(whole[:14]), part...)
		frames = append(frames, capture.Frame{Data: b, WireLen: len(b), Link: capture.LinkEthernet})
	}
	return frames
}

// inside is a segment of a connection from a client of that number.
func inside(client int, payload int) []pcapgen.Layer {
	return []pcapgen.Layer{
		pcapgen.Ethernet{Dst: [6]byte{2, 0, 0, 0, 1, 1}, Src: [6]byte{2, 0, 0, 0, 1, 2}},
		pcapgen.IPv4{Src: netip.AddrFrom4([4]byte{10, 7, 0, byte(client)}), Dst: netip.MustParseAddr("10.8.0.1")},
		pcapgen.TCP{SrcPort: 40000, DstPort: 443, Seq: 1, Flags: packet.ACK, Window: 1000},
		pcapgen.Payload(make([]byte, payload)),
	}
}

// measured counts the connections by address of the client.
func measured(out []byte) map[string]int {
	clients := map[string]int{}
	for line := range bytes.Lines(out) {
		var r connectionLine
		if json.Unmarshal(line, &r) == nil && r.Type == "connection" {
			for _, a := range []netip.Addr{r.Client.IP, r.Server.IP} {
				clients[a.String()]++
			}
		}
	}
	return clients
}

// On a shared interface the frames of every kind of mirror to the machine's own
// address are measured, and nothing answers them.
func TestSharedMirrors(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := livelab.New(t, livelab.Config{Address: true})
			s := start(t, l, "--mode", mode, "--config", file(t, "sensor.toml", "[filter]\nshared = true\n"))
			var frames []capture.Frame
			for i, m := range mirrorings {
				for range 3 {
					frames = append(frames, toSensor(uint16(i+1), 1500, append(m.layers, inside(i+1, 100)...)...)...)
				}
			}
			sent, err := l.Replay(frames, livelab.Pace{Gap: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond) // for an answer
			counted, err := l.Counters()
			if err != nil || counted.Answered != 0 {
				t.Errorf("%d frames left the interface, %v", counted.Answered, err)
			}
			out := s.end(t)
			if c := captureOf(t, out); c.Packets != sent.Frames || c.Prefiltered["own"] != 0 {
				t.Errorf("%d of %d frames were captured: %+v", c.Packets, sent.Frames, c)
			}
			clients := measured(out)
			for i, m := range mirrorings {
				if a := fmt.Sprintf("10.7.0.%d", i+1); clients[a] != 1 {
					t.Errorf("%s: %d connections of %s, want one; there are %v", m.name, clients[a], a, clients)
				}
			}
		})
	}
}

// On a shared interface the fragments of a mirror's packets are measured, those
// of the machine's own go to its stack, and what comes ahead of its first
// fragment is measured.
func TestSharedFragments(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := livelab.New(t, livelab.Config{Address: true})
			s := start(t, l, "--mode", mode, "--config", file(t, "sensor.toml", "[filter]\nshared = true\n"))
			var frames []capture.Frame
			for i := range 5 {
				frames = append(frames, toSensor(uint16(i+1), 800, append(mirrorings[0].layers, inside(i+1, 1000)...)...)...)
			}
			if len(frames) != 10 {
				t.Fatalf("%d fragments", len(frames))
			}
			// An echo in fragments, which the stack answers.
			ping := toSensor(6, 800, pcapgen.ICMP{Type: 8, ID: 7, Seq: 1}, pcapgen.Payload(make([]byte, 1000)))
			// The other way around: the last fragment is nobody's.
			late := toSensor(7, 800, append(mirrorings[0].layers, inside(6, 1000)...)...)
			frames = append(append(frames, ping...), late[1], late[0])
			if _, err := l.Replay(frames, livelab.Pace{Gap: time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
			counted, err := l.Counters()
			// The echo is answered by ARP for the sender, which nobody answers.
			if err != nil || counted.Answered == 0 {
				t.Errorf("%d frames left the interface, %v: fragments do not reach the stack", counted.Answered, err)
			}
			out := s.end(t)
			if c := captureOf(t, out); c.Packets != 12 || c.Prefiltered["own"] != 2 {
				t.Errorf("want 12 frames captured, and 2 of its own: %+v", c)
			}
			clients := measured(out)
			for i := range 6 {
				if a := fmt.Sprintf("10.7.0.%d", i+1); clients[a] != 1 {
					t.Errorf("%d connections of %s, want one; there are %v", clients[a], a, clients)
				}
			}
		})
	}
}

// What is trimmed is told, and the octets of frames are those that were sent.
func TestTrimmed(t *testing.T) {
	for _, c := range []struct{ name, mode, config string }{
		{"afpacket", "afpacket", ""},
		{"afpacket, with rules", "afpacket", "[[filter.rules]]\naction = \"deny\"\nport = [\"1\"]\n"},
		{"afxdp", "afxdp", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := livelab.New(t, livelab.Config{})
			s := start(t, l, "--mode", c.mode, "--config", file(t, "sensor.toml", "[filter]\ntrim = 64\ntrim_head = 0\n"+c.config))
			var frames []capture.Frame
			for i := range 50 {
				frames = append(frames, toSensor(uint16(i), 1500, append(mirrorings[0].layers, inside(1, 1000)...)...)...)
			}
			sent, err := l.Replay(frames, livelab.Pace{Gap: 100 * time.Microsecond})
			if err != nil {
				t.Fatal(err)
			}
			out := s.end(t)
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			var got struct {
				Packets uint64            `json:"packets"`
				Bytes   uint64            `json:"bytes"`
				Events  map[string]uint64 `json:"events"`
			}
			if err := json.Unmarshal(lines[len(lines)-1], &got); err != nil {
				t.Fatal(err)
			}
			if got.Packets != sent.Frames || got.Bytes != sent.Octets {
				t.Errorf("%d frames of %d octets, sent were %d of %d", got.Packets, got.Bytes, sent.Frames, sent.Octets)
			}
			if got.Events["frames_trimmed"] != sent.Frames || got.Events["frames_not_trimmed"] != 0 {
				t.Errorf("events %v of %d frames", got.Events, sent.Frames)
			}
		})
	}
}
