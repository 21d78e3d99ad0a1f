package netlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// TestScenarios runs every scenario and checks that the lab did what the plan
// says, that both kernels agree with what the network saw, and that the
// captures hold it.
func TestScenarios(t *testing.T) {
	Needs(t)
	for _, s := range Scenarios {
		if s.Rare {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			r := Run(t, s)
			t.Run("kernel", func(t *testing.T) { kernelAgrees(t, &r) })
			t.Run("plan", func(t *testing.T) { planCarriedOut(t, &s, &r) })
			t.Run("taps", func(t *testing.T) { tapsAddUp(t, &r) })
			t.Run("captures", func(t *testing.T) { capturesReadable(t, &r) })
			t.Run("programs", func(t *testing.T) { programsAgree(t, &r) })
		})
	}
}

// kernelAgrees compares what both kernels counted with the packets that came
// out of their devices.
func kernelAgrees(t *testing.T, r *Result) {
	flows := flowsOf(r.Sent)
	if len(flows) < len(r.Truth.Connections) {
		t.Fatalf("%d connections on the wire, %d established", len(flows), len(r.Truth.Connections))
	}
	for i, conn := range r.Truth.Connections {
		for side, info := range conn.After {
			if info == nil {
				continue
			}
			var packets, data uint32
			var bytes, dataBytes uint64
			for _, s := range flows[i].sent[side] {
				if s.Len > 0 {
					data++
					dataBytes += uint64(s.Len)
				}
				if s.Repeated() {
					packets++
					bytes += uint64(min(s.Repeat, int64(s.Len)))
				}
			}
			for _, c := range []struct {
				name        string
				kernel, lab uint64
			}{
				{"retransmitted segments", uint64(info.TotalRetrans), uint64(packets)},
				{"retransmitted octets", info.BytesRetrans, bytes},
				{"segments with data", uint64(info.DataSegsOut), uint64(data)},
				{"octets sent", info.BytesSent, dataBytes},
			} {
				if c.kernel != c.lab {
					t.Errorf("connection %d, %s: %d %s by the kernel, %d on the wire", i, Direction(side), c.kernel, c.name, c.lab)
				}
			}
		}
	}
}

// planCarriedOut follows every packet over the hops.
func planCarriedOut(t *testing.T, s *Scenario, r *Result) {
	dropped := map[[2]int]int{} // by packet and hop
	copied := map[[2]int]int{}
	for _, e := range r.Log {
		at := [2]int{e.Packet, e.Hop}
		switch e.Action {
		case Dropped, Overflow:
			dropped[at]++
		case Copied:
			copied[at]++
		case Delayed:
			if got := e.Release - e.Time; got < int64(s.Plan.Hops[e.Hop].link(e.Sent.From).Delay+e.Extra) {
				t.Errorf("packet %d left hop %d after %d ns, earlier than planned", e.Packet, e.Hop, got)
			}
		default:
			t.Errorf("packet %d: action %q", e.Packet, e.Action)
		}
		if e.Sent != r.Sent[e.Packet] {
			t.Errorf("packet %d: the event points elsewhere", e.Packet)
		}
	}
	for _, p := range r.Sent {
		path := []Tap{ClientTap, MiddleTap, ServerTap}
		hops := []int{0, 1}
		if p.From == FromServer {
			slices.Reverse(path)
			slices.Reverse(hops)
		}
		if len(p.Passed[path[0]]) != 1 {
			t.Fatalf("packet %d was sent %d times", p.N, len(p.Passed[path[0]]))
		}
		for i, hop := range hops {
			in, out := p.Passed[path[i]], p.Passed[path[i+1]]
			at := [2]int{p.N, hop}
			if len(out) != len(in)-dropped[at]+copied[at] {
				t.Errorf("packet %d: %d came into hop %d, %d were dropped there, %d copied, and %d came out", p.N, len(in), hop, dropped[at], copied[at], len(out))
			}
			if delay := int64(s.Plan.Hops[hop].link(p.From).Delay); len(out) > 0 && out[0]-in[0] < delay {
				t.Errorf("packet %d left hop %d after %d ns, earlier than planned", p.N, hop, out[0]-in[0])
			}
		}
	}
}

// tapsAddUp checks the truth of each tap against the packets' fates.
func tapsAddUp(t *testing.T, r *Result) {
	for _, c := range r.Truth.Captures {
		if c.Variant != "" {
			continue
		}
		tap := Tap(slices.Index([]string{"client", "middle", "server"}, c.Name))
		for side := range 2 {
			var packets, data, repeats, spurious int
			for _, s := range r.Sent {
				n := len(s.Passed[tap])
				if int(s.From) != side || n == 0 {
					continue
				}
				packets += n
				if s.Len > 0 {
					data += n
				}
				if s.Repeated() {
					repeats++
				}
			}
			var sum SideTruth
			for _, conn := range c.Connections {
				got := conn.Sides[side]
				sum.Packets += got.Packets
				sum.DataPackets += got.DataPackets
				sum.Repeats += got.Repeats
				sum.Unseen += got.Unseen
				sum.MissedBytes += got.MissedBytes
				spurious += got.Spurious
				if got.Spurious+got.LostBefore+got.LostAfter != got.Repeats {
					t.Errorf("%s, %s: the verdicts of %+v do not sum up", c.Name, Direction(side), got)
				}
			}
			if sum.Packets != packets || sum.DataPackets != data || sum.Repeats+sum.Unseen != repeats {
				t.Errorf("%s, %s: %+v, want %d packets, %d with data, %d repeats", c.Name, Direction(side), sum, packets, data, repeats)
			}
			if sum.MissedBytes != 0 {
				t.Errorf("%s, %s: a full capture misses %d octets", c.Name, Direction(side), sum.MissedBytes)
			}
		}
	}
}

// capturesReadable reads every capture with another library: as many packets
// as the truth says, in order of time, whole and with the right checksums.
func capturesReadable(t *testing.T, r *Result) {
	if len(r.Taps) != len(r.Truth.Captures) {
		t.Errorf("%d captures, %d described", len(r.Taps), len(r.Truth.Captures))
	}
	for _, c := range r.Truth.Captures {
		f, err := os.Open(r.Taps[c.Name])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p, err := pcapgo.NewReader(f)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		var packets int
		var last int64
		for ; ; packets++ {
			data, ci, err := p.ReadPacketData()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s, packet %d: %v", c.Name, packets+1, err)
			}
			if at := ci.Timestamp.UnixNano(); at < last {
				t.Fatalf("%s, packet %d: time goes back", c.Name, packets+1)
			} else {
				last = at
			}
			if c.Variant != "" {
				continue
			}
			if ci.Length != ci.CaptureLength || ci.Length > ethernetSize+mtu {
				t.Fatalf("%s, packet %d: %d octets of %d: the device offloads", c.Name, packets+1, ci.CaptureLength, ci.Length)
			}
			if err := checksums(data); err != nil {
				t.Fatalf("%s, packet %d: %v", c.Name, packets+1, err)
			}
		}
		if packets != c.Packets {
			t.Errorf("%s: %d packets, want %d", c.Name, packets, c.Packets)
		}
	}
}

// checksums compares the checksums of a packet with those that gopacket
// computes.
func checksums(data []byte) error {
	p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.NoCopy)
	tcp, ok := p.TransportLayer().(*layers.TCP)
	if !ok {
		return errors.New("no TCP")
	}
	if err := tcp.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
		return err
	}
	if sum, err := tcp.ComputeChecksum(); err != nil || sum != 0 {
		return errors.New("wrong TCP checksum")
	}
	if ip, ok := p.NetworkLayer().(*layers.IPv4); ok {
		var sum uint32
		for i := 0; i < len(ip.Contents); i += 2 {
			sum += uint32(ip.Contents[i])<<8 | uint32(ip.Contents[i+1])
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		if sum != 0xffff {
			return errors.New("wrong IPv4 checksum")
		}
	}
	return nil
}

// TestTruthOfTaps: the same run looks different from each tap, in the way that
// the plan implies.
func TestTruthOfTaps(t *testing.T) {
	Needs(t)
	for _, tc := range []struct {
		scenario string
		side     Direction
		want     map[string]SideTruth // by capture; only the counts of repeats and orders
	}{
		{"clean", FromClient, map[string]SideTruth{"client": {}, "middle": {}, "server": {}, "middle-doubled": {}, "middle-skewed": {}}},
		{"loss-before", FromClient, map[string]SideTruth{
			"client":         {Repeats: 3, RepeatBytes: 3 * 1448, LostAfter: 3},
			"middle":         {Repeats: 3, RepeatBytes: 3 * 1448, LostBefore: 3},
			"server":         {Repeats: 3, RepeatBytes: 3 * 1448, LostBefore: 3},
			"middle-doubled": {Repeats: 3, RepeatBytes: 3 * 1448, LostBefore: 3},
			"middle-snap":    {Repeats: 3, RepeatBytes: 3 * 1448, LostBefore: 3},
		}},
		{"loss-after", FromClient, map[string]SideTruth{
			"client": {Repeats: 3, RepeatBytes: 3 * 1448, LostAfter: 3},
			"middle": {Repeats: 3, RepeatBytes: 3 * 1448, LostAfter: 3},
			"server": {Repeats: 3, RepeatBytes: 3 * 1448, LostBefore: 3},
		}},
		{"single-loss-down", FromServer, map[string]SideTruth{
			"client": {Repeats: 1, RepeatBytes: 1448, LostBefore: 1},
			"middle": {Repeats: 1, RepeatBytes: 1448, LostAfter: 1},
			"server": {Repeats: 1, RepeatBytes: 1448, LostAfter: 1},
		}},
		{"lost-repeat", FromClient, map[string]SideTruth{
			"client": {Repeats: 2, RepeatBytes: 2 * 1448, LostAfter: 2},
			"server": {Repeats: 1, RepeatBytes: 1448, LostBefore: 1},
		}},
		{"tail-loss-before", FromClient, map[string]SideTruth{
			"client": {Repeats: 6, RepeatBytes: 6 * 1040, LostAfter: 6},
			"middle": {Unseen: 6},
			"server": {Unseen: 6},
		}},
		{"rto", FromClient, map[string]SideTruth{
			"client": {Repeats: 3, RepeatBytes: 3 * 553, LostAfter: 3},
			"middle": {Repeats: 3, RepeatBytes: 3 * 553, LostAfter: 3},
			"server": {Unseen: 1},
		}},
		{"late-original", FromClient, map[string]SideTruth{
			"client": {Repeats: 2, RepeatBytes: 2 * 1448, Spurious: 2},
			"middle": {Repeats: 2, RepeatBytes: 2 * 1448, Spurious: 2, OutOfOrder: 2},
		}},
		{"lost-syn", FromClient, map[string]SideTruth{
			"client": {Repeats: 1, LostAfter: 1, SYN: 1},
			"middle": {Repeats: 1, LostAfter: 1, SYN: 1},
			"server": {Unseen: 1},
		}},
		{"lost-fin", FromClient, map[string]SideTruth{
			"middle": {Repeats: 1, LostAfter: 1, FIN: 1},
			"server": {Unseen: 1},
		}},
	} {
		t.Run(tc.scenario, func(t *testing.T) {
			t.Parallel()
			// On a busy machine a kernel may repeat what was not lost, and so do
			// something else than planned: it gets further attempts.
			const attempts = 4
			for n := 1; ; n++ {
				r := Run(t, scenario(t, tc.scenario))
				var wrong []string
				for name, want := range tc.want {
					got := r.capture(t, name).Connections[0].Sides[tc.side]
					got = SideTruth{
						Repeats: got.Repeats, RepeatBytes: got.RepeatBytes, Unseen: got.Unseen, Spurious: got.Spurious,
						LostBefore: got.LostBefore, LostAfter: got.LostAfter, SYN: got.SYN, FIN: got.FIN,
						OutOfOrder: got.OutOfOrder, Duplicates: got.Duplicates,
					}
					if got != want {
						wrong = append(wrong, fmt.Sprintf("%s: %+v, want %+v", name, got, want))
					}
				}
				if wrong == nil {
					break
				}
				if n == attempts {
					t.Error(strings.Join(wrong, "\n"))
					break
				}
				t.Log("another attempt: ", strings.Join(wrong, "\n"))
			}
		})
	}
}

// TestTruthOfVariants checks what worse taps miss.
func TestTruthOfVariants(t *testing.T) {
	r := Run(t, scenario(t, "clean"))
	base := r.capture(t, "middle")
	lossy := r.capture(t, "middle-loss5")
	if n := base.Packets - lossy.Packets; n < base.Packets/50 || n > base.Packets/10 {
		t.Errorf("%d of %d packets lost by the capture, want about 5 %%", n, base.Packets)
	}
	for side := range 2 {
		b, l := base.Connections[0].Sides[side], lossy.Connections[0].Sides[side]
		if missed := b.DataPackets - l.DataPackets; l.MissedBytes == 0 || l.MissedBytes > int64(missed)*1448 {
			t.Errorf("%d data packets of the %s missed, %d octets", missed, Direction(side), l.MissedBytes)
		}
		if l.Repeats != 0 || l.Unseen != 0 || l.OutOfOrder != 0 {
			t.Errorf("capture loss changed the truth about the network: %+v", l)
		}
	}
	if d := r.capture(t, "middle-doubled"); d.Copies != base.Packets || d.Packets != 2*base.Packets {
		t.Errorf("%d packets with %d copies, want each of %d twice", d.Packets, d.Copies, base.Packets)
	}
	if m := r.capture(t, "client-mirrored"); len(m.Connections) != 2 || m.Connections[0].VNI != ClientVNI || m.Connections[1].VNI != ServerVNI {
		t.Errorf("two mirrors give %d views of the connection", len(m.Connections))
	}
	one := r.capture(t, "middle-only-server").Connections[0]
	if one.Sides[FromClient].Packets != 0 || one.Sides[FromServer] != base.Connections[0].Sides[FromServer] {
		t.Errorf("one side recorded: %+v", one.Sides)
	}
	mid := r.capture(t, "middle-midstream").Connections[0]
	if mid.Handshake.SYNs != 0 || mid.Handshake.Setup != nil || mid.Sides[FromClient].Packets == 0 {
		t.Errorf("begun in mid-stream: %+v", mid)
	}
}

// TestTruthOfTimes checks times against the delays of the plan, from below:
// the path cannot be faster.
func TestTruthOfTimes(t *testing.T) {
	r := Run(t, scenario(t, "turns"))
	for range 3 {
		if h := r.capture(t, "middle").Connections[0].Handshake; h.Client != nil && h.Server != nil {
			break
		}
		r = Run(t, scenario(t, "turns")) // under load a host may repeat its SYN, and the halves are then not told
	}
	for name, halves := range map[string][2]float64{"client": {0, 20_000}, "middle": {8_000, 12_000}, "server": {20_000, 0}} {
		c := r.capture(t, name).Connections[0]
		for half, want := range halves {
			for what, us := range map[string]*float64{"rtt": c.RTT[half].Min, "handshake": []*float64{c.Handshake.Client, c.Handshake.Server}[half]} {
				switch {
				case us == nil:
					t.Errorf("%s of the %s's half at the %s tap: none", what, Direction(half), name)
				case *us < want || *us > want+100_000: // from above: a machine under load is late, but not by so much
					t.Errorf("%s of the %s's half at the %s tap: %v µs, want at least %v", what, Direction(half), name, *us, want)
				}
			}
		}
		if len(c.Response) != 25 {
			t.Errorf("%s: %d turns, want 25", name, len(c.Response))
		}
		for i, turn := range c.Response {
			if turn.Server < 12_000 {
				t.Errorf("%s, turn %d: the server answered after %v µs, sooner than it meant to", name, i, turn.Server)
			}
			if turn.Raw == nil || *turn.Raw < turn.Server+halves[1] {
				t.Errorf("%s, turn %d: %v at the tap, %v at the server and a round trip of at least %v µs between", name, i, turn.Raw, turn.Server, halves[1])
			}
		}
	}
}

// TestFiles: truth.json and log.json hold what Result holds.
func TestFiles(t *testing.T) {
	Needs(t)
	dir := t.TempDir()
	r, err := Record(dir, scenario(t, "single-loss"))
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		Scenario string
		Captures []struct{ Name string }
	}
	var log struct {
		Events []struct {
			Action string
			Packet int
		}
		Packets []struct{ Kind string }
	}
	for name, v := range map[string]any{"truth.json": &truth, "log.json": &log} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if truth.Scenario != "single-loss" || len(truth.Captures) != len(r.Taps) {
		t.Errorf("truth.json describes %d captures of %q, want %d", len(truth.Captures), truth.Scenario, len(r.Taps))
	}
	if len(log.Events) != 1 || log.Events[0].Action != "dropped" || log.Packets[log.Events[0].Packet].Kind != "data" {
		t.Errorf("log.json: %+v", log.Events)
	}
}

// TestRecordFails: a load that fails is an error, not a capture.
func TestRecordFails(t *testing.T) {
	Needs(t)
	broken := errors.New("broken")
	_, err := Record(t.TempDir(), Scenario{Name: "broken", Load: func(*Session) error { return broken }})
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the load's", err)
	}
	_, err = Record(t.TempDir(), Scenario{Name: "unsupported", Unsupported: func() string { return "no such thing" }})
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("error %v, want ErrUnsupported", err)
	}
}

func scenario(t *testing.T, name string) Scenario {
	t.Helper()
	i := slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no scenario %q", name)
	}
	return Scenarios[i]
}

func (r *Result) capture(t *testing.T, name string) CaptureTruth {
	t.Helper()
	i := slices.IndexFunc(r.Truth.Captures, func(c CaptureTruth) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no capture %q", name)
	}
	return r.Truth.Captures[i]
}
