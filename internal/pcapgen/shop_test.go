package pcapgen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/ip4defrag"
	"github.com/google/gopacket/layers"

	"mirrorscope/internal/needs"
)

// shopSeed is that of the committed capture.
const shopSeed = 1

func shopFiles(t *testing.T) (capture, truth []byte) {
	t.Helper()
	frames, what := Shop(shopSeed)
	var buf bytes.Buffer
	w := NewPcapWriter(&buf, PcapConfig{Link: LinkEthernet, Nano: true})
	for _, f := range frames {
		w.Write(f)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	truth, err := json.MarshalIndent(what, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), append(truth, '\n')
}

// TestShopFiles compares the committed files with what Shop gives.
func TestShopFiles(t *testing.T) {
	capture, truth := shopFiles(t)
	for name, want := range map[string][]byte{"shop.pcap": capture, "shop.json": truth} {
		path := filepath.Join(needs.Repository(t), "testdata", "pcaps", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what Shop(%d) gives; go test ./internal/pcapgen -run Shop -update writes it anew", path, shopSeed)
		}
	}
}

// conversation names a conversation at an observation point, the client's end
// first.
type conversation struct {
	vni                      uint32
	protocol, client, server string
}

// TestShopTruth counts the capture by gopacket.
func TestShopTruth(t *testing.T) {
	frames, truth := Shop(shopSeed)
	want := map[conversation]Observed{}
	for _, c := range truth.Conversations {
		k := conversation{c.Point.VNI, c.Protocol, c.Client, c.Server}
		if _, twice := want[k]; twice {
			t.Errorf("two conversations %v", k)
		}
		want[k] = c
	}
	got := map[conversation]*[2]Volume{}
	defrag := map[uint32]*ip4defrag.IPv4Defragmenter{}
	var bytes, notIP, fragments, icmpErrors int64
	for i, f := range frames {
		bytes += int64(len(f.Data))
		if i > 0 && f.Time < frames[i-1].Time {
			t.Fatalf("packet %d goes back in time", i)
		}
		p := decode(t, layers.LinkTypeEthernet, f.Data)
		vx, ok := p.Layer(layers.LayerTypeVXLAN).(*layers.VXLAN)
		if !ok {
			notIP++
			continue
		}
		inner := gopacket.NewPacket(vx.LayerPayload(), layers.LayerTypeEthernet, gopacket.Default)
		src, dst := inner.NetworkLayer().NetworkFlow().Endpoints()
		size := len(inner.NetworkLayer().LayerContents()) + len(inner.NetworkLayer().LayerPayload())
		if ip, ok := inner.NetworkLayer().(*layers.IPv4); ok && fragment(ip.Contents) {
			fragments++
			d := defrag[vx.VNI]
			if d == nil {
				d = ip4defrag.NewIPv4Defragmenter()
				defrag[vx.VNI] = d
			}
			whole, err := d.DefragIPv4(ip)
			if err != nil {
				t.Fatal(err)
			}
			if whole == nil {
				continue
			}
			size = 20 + len(whole.Payload)
			inner = gopacket.NewPacket(whole.Payload, layers.LayerTypeUDP, gopacket.Default)
		}
		k := conversation{vni: vx.VNI}
		var payload int
		port := func(a gopacket.Endpoint, n uint16) string {
			if strings.Contains(a.String(), ":") {
				return fmt.Sprintf("[%s]:%d", a, n)
			}
			return fmt.Sprintf("%s:%d", a, n)
		}
		if tcp, ok := inner.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
			k.protocol, k.client, k.server = "tcp", port(src, uint16(tcp.SrcPort)), port(dst, uint16(tcp.DstPort))
			payload = len(tcp.Payload)
		} else if udp, ok := inner.Layer(layers.LayerTypeUDP).(*layers.UDP); ok {
			k.protocol, k.client, k.server = "udp", port(src, uint16(udp.SrcPort)), port(dst, uint16(udp.DstPort))
			payload = len(udp.Payload)
		} else if icmp, ok := inner.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
			if icmp.TypeCode.Type() == layers.ICMPv4TypeDestinationUnreachable {
				icmpErrors++
				continue
			}
			k.protocol, k.client, k.server = "icmp", src.String(), dst.String()
			payload = len(icmp.Payload)
		}
		side := Client
		if _, ok := want[k]; !ok {
			side, k.client, k.server = Server, k.server, k.client
		}
		if got[k] == nil {
			got[k] = &[2]Volume{}
		}
		v := &got[k][side]
		v.Packets++
		v.Bytes += int64(size)
		v.PayloadBytes += int64(payload)
	}
	if int64(len(frames)) != truth.Packets || bytes != truth.Bytes || notIP != truth.NotIP || fragments != truth.Fragments {
		t.Errorf("%d packets, %d octets, %d not IP, %d fragments; truth %+v", len(frames), bytes, notIP, fragments, truth)
	}
	for k, c := range want {
		icmpErrors -= c.ICMPErrors
		if v := got[k]; v == nil || v[Client] != c.ClientSent || v[Server] != c.ServerSent {
			t.Errorf("%v %s: gopacket %+v, truth %+v %+v", k, c.Note, v, c.ClientSent, c.ServerSent)
		}
		delete(got, k)
	}
	for k := range got {
		t.Errorf("conversation %v is not in the truth", k)
	}
	if icmpErrors != 0 {
		t.Errorf("%d ICMP errors more than in the truth", icmpErrors)
	}
}

// TestShopShows looks for what the capture is there for.
func TestShopShows(t *testing.T) {
	frames, truth := Shop(shopSeed)
	if n := len(frames); n < 2000 || n > 6000 {
		t.Errorf("%d packets, want 2,000 to 6,000", n)
	}
	if truth.Bytes > 1_400_000 {
		t.Errorf("%d octets, want less than 1.4 million", truth.Bytes)
	}
	if d := frames[len(frames)-1].Time - ShopStart; d < 55e9 || d > 70e9 {
		t.Errorf("%d ns of packet time, want about 60 s", d)
	}
	outcomes, versions, vnis := map[string]int{}, map[string]int{}, map[uint32]bool{}
	both := map[string]int{}
	var before, after, slow, v6 int64
	for _, c := range truth.Conversations {
		vnis[c.Point.VNI] = true
		both[c.Client+c.Server]++
		if c.TLS != nil {
			versions[c.TLS.Version]++
		}
		if strings.HasPrefix(c.Client, "[") {
			v6++
		}
		if c.TCP == nil {
			continue
		}
		outcomes[c.TCP.Outcome]++
		before += c.TCP.ClientRetransmits.LostBefore + c.TCP.ServerRetransmits.LostBefore
		after += c.TCP.ClientRetransmits.LostAfter + c.TCP.ServerRetransmits.LostAfter
		for _, d := range c.TCP.Think {
			if d == payThink.Nanoseconds() {
				slow++
			}
		}
	}
	for _, o := range []string{"closed", "established", "refused", "unreachable", "timeout", "reset"} {
		if outcomes[o] == 0 {
			t.Errorf("no connection %s: %v", o, outcomes)
		}
	}
	twice := 0
	for _, n := range both {
		if n == 2 {
			twice++
		}
	}
	if versions["1.2"] == 0 || versions["1.3"] == 0 || len(vnis) != 6 || twice < 20 || before == 0 || after == 0 || slow == 0 || v6 == 0 || truth.Fragments == 0 || truth.NotIP == 0 {
		t.Errorf("TLS %v, %d VNIs, %d observed twice, %d lost before, %d after, %d slow, %d of IPv6, %d fragments, %d not IP",
			versions, len(vnis), twice, before, after, slow, v6, truth.Fragments, truth.NotIP)
	}
	other, _ := Shop(shopSeed + 1)
	if len(other) == len(frames) && bytes.Equal(other[100].Data, frames[100].Data) {
		t.Error("another seed gave the same capture")
	}
}

// TestShopTshark looks that all checksums hold and that the protocols are what
// they are meant to be.
func TestShopTshark(t *testing.T) {
	capture, _ := shopFiles(t)
	seen, protocols := map[string]int{}, map[string]int{}
	for _, l := range tshark(t, capture, "ip.checksum.status", "tcp.checksum.status", "_ws.col.Protocol") {
		status, protocol := l[:strings.LastIndexByte(l, '\t')], l[strings.LastIndexByte(l, '\t')+1:]
		seen[status]++
		protocols[protocol]++
	}
	for _, p := range []string{"TLSv1.3", "TLSv1.2", "HTTP/JSON", "PGSQL", "RESP", "DNS", "ICMP", "ARP", "Syslog"} {
		if protocols[p] == 0 {
			t.Errorf("no packet is %s: %v", p, protocols)
		}
	}
	for l, n := range seen {
		if strings.Trim(l, "1,\t") != "" { // 1 is good; a protocol that is not there has none
			t.Errorf("IP and TCP checksum status %q of %d packets", l, n)
		}
	}
}
