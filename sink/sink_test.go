package sink

import (
	"math"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"mirrorscope/packet"
)

func TestAppendTime(t *testing.T) {
	for _, ns := range []int64{0, 1, -1, 123456789, 1700000000_000000001, 951782400_000000000, math.MaxInt64, math.MinInt64} {
		want := time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z")
		if got := string(AppendTime(nil, ns)); got != want {
			t.Errorf("AppendTime(%d) = %s, want %s", ns, got, want)
		}
	}
}

func TestAppendMicros(t *testing.T) {
	for ns, want := range map[uint64]string{
		0: "0", 1: "0.001", 10: "0.01", 100: "0.1", 999: "0.999", 1000: "1", 812_000: "812", 300_500: "300.5", 1_234_567: "1234.567",
		1_000_050: "1000.05", math.MaxUint64: "18446744073709551.615",
	} {
		if got := string(AppendMicros(nil, ns)); got != want {
			t.Errorf("AppendMicros(%d) = %s, want %s", ns, got, want)
		}
	}
}

func TestAppendProtocol(t *testing.T) {
	for proto, want := range map[uint8]string{
		packet.ProtoTCP: "tcp", packet.ProtoUDP: "udp", packet.ProtoICMP: "icmp", packet.ProtoICMPv6: "icmp6", packet.ProtoSCTP: "sctp",
		packet.ProtoGRE: "gre", packet.ProtoESP: "esp", packet.ProtoAH: "ah", 0: "0", 255: "255",
	} {
		if got := string(AppendProtocol(nil, proto)); got != want {
			t.Errorf("protocol %d = %s, want %s", proto, got, want)
		}
	}
}

// oneName knows a single point.
type oneName struct{ key packet.PointKey }

func (n oneName) Point(packet.PointID) packet.PointKey { return n.key }
func (n oneName) PointName(id packet.PointID) string   { return "p" + strconv.Itoa(int(id)) }
func (n oneName) InterfaceName(i uint32) string        { return "if" + strconv.Itoa(int(i)) }
func (n oneName) NetworkName(packet.NetworkID) string  { return "default" }
func (n oneName) Path(packet.PathID) packet.Path       { return packet.Path{} }

func TestPointOf(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	key := packet.PointKey{Interface: 3, Kind: packet.VXLAN, ID: 7, A: packet.AddrFrom(a), B: packet.AddrFrom(b)}
	if got, want := PointOf(oneName{key}, 2), (Point{Name: "p2", Interface: "if3", Tunnel: packet.VXLAN, HasID: true, ID: 7, A: a, B: b}); got != want {
		t.Errorf("vxlan: %+v, want %+v", got, want)
	}
	key.Kind = packet.TZSP
	if got := PointOf(oneName{key}, 2); got.HasID || got.A != a {
		t.Errorf("tzsp has no id but addresses: %+v", got)
	}
	key = packet.PointKey{Interface: 3}
	if got, want := PointOf(oneName{key}, 2), (Point{Name: "p2", Interface: "if3"}); got != want {
		t.Errorf("bare: %+v, want %+v", got, want)
	}
	if got, want := PointOf(oneName{key}, 0), (Point{Name: "p0"}); got != want {
		t.Errorf("overflow: %+v, want %+v", got, want)
	}
}
