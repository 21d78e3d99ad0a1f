package packet

import (
	"testing"

	"mirrorscope/internal/pcapgen"
)

// benchFrames are one frame for each kind whose cost is watched.
func benchFrames() []struct {
	name  string
	frame []byte
} {
	inner4 := []pcapgen.Layer{
		pcapgen.IPv4{Src: pcapgen.IP("10.1.0.7"), Dst: pcapgen.IP("10.1.0.9"), ID: 7, DF: true},
		pcapgen.TCP{SrcPort: 51234, DstPort: 443, Seq: 1, Ack: 2, Flags: pcapgen.ACK | pcapgen.PSH, Window: 501,
			Options: pcapgen.TCPOptions{Timestamps: &pcapgen.Timestamps{Val: 3, Ecr: 4}}},
		pcapgen.Payload(make([]byte, 100)),
	}
	inner6 := []pcapgen.Layer{pcapgen.IPv6{Src: pcapgen.IP("fd00::7"), Dst: pcapgen.IP("fd00::9")}, inner4[1], inner4[2]}
	ether := pcapgen.Ethernet{Src: pcapgen.MAC{2, 0, 0, 0, 0, 1}, Dst: pcapgen.MAC{2, 0, 0, 0, 0, 2}}
	outer := pcapgen.IPv4{Src: pcapgen.IP("172.16.0.5"), Dst: pcapgen.IP("172.16.9.9")}
	udp := pcapgen.UDP{SrcPort: 40000}
	build := func(outer []pcapgen.Layer, inner []pcapgen.Layer) []byte {
		return pcapgen.Build(append(append([]pcapgen.Layer(nil), outer...), inner...)...)
	}
	return []struct {
		name  string
		frame []byte
	}{
		{"tcp", build([]pcapgen.Layer{ether}, inner4)},
		{"tcp6", build([]pcapgen.Layer{ether}, inner6)},
		{"qinq", build([]pcapgen.Layer{ether, pcapgen.VLAN{ID: 100, TPID: 0x88a8}, pcapgen.VLAN{ID: 200}}, inner4)},
		{"udp", pcapgen.Build(ether, inner4[0], pcapgen.UDP{SrcPort: 1000, DstPort: 53}, pcapgen.Payload(make([]byte, 50)))},
		{"vxlan", build([]pcapgen.Layer{ether, outer, udp, pcapgen.VXLAN{VNI: 42}, ether}, inner4)},
		{"geneve", build([]pcapgen.Layer{ether, outer, udp,
			pcapgen.Geneve{Options: pcapgen.GoogleOptions(7, [16]byte{1, 2}, 9, true)}}, inner4)},
		{"gateway", build([]pcapgen.Layer{ether, outer, udp, pcapgen.Geneve{Options: pcapgen.AWSOptions(1, 2, 3)}, outer, udp,
			pcapgen.VXLAN{VNI: 42}, ether}, inner4)},
		{"erspan2", build([]pcapgen.Layer{ether, outer, pcapgen.ERSPAN2{Session: 5}, ether}, inner4)},
		{"extensions", build([]pcapgen.Layer{ether, inner6[0], pcapgen.HopByHop{}, pcapgen.DestinationOptions{}}, inner4[1:])},
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, f := range benchFrames() {
		b.Run(f.name, func(b *testing.B) {
			d := NewDecoder(DefaultConfig(), new(Names))
			var p Packet
			b.ReportAllocs()
			for b.Loop() {
				if d.Decode(f.frame, linkEthernet, 0, len(f.frame), 1, &p) != OK {
					b.Fatal("not decoded")
				}
			}
		})
	}
}

func TestDecodeAllocs(t *testing.T) {
	for _, f := range benchFrames() {
		d := NewDecoder(DefaultConfig(), new(Names))
		var p Packet
		if n := testing.AllocsPerRun(1000, func() { d.Decode(f.frame, linkEthernet, 0, len(f.frame), 1, &p) }); n != 0 {
			t.Errorf("%s: %v allocations per packet, want 0", f.name, n)
		}
	}
}
