package nic

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
)

// TestInspectLink compares with what ip tells.
func TestInspectLink(t *testing.T) {
	l := newLab(t)
	needs.Tool(t, "tc") // comes with the ip that knows JSON
	l.run(l.sensor, "", "ip", "addr", "add", "10.99.0.2/24", "dev", capName)
	l.run(l.sensor, "", "ip", "link", "set", capName, "promisc", "on", "arp", "off", "mtu", "3000", "txqueuelen", "77")
	f := l.inspect()

	var links []struct {
		Index  int      `json:"ifindex"`
		Flags  []string `json:"flags"`
		MTU    int      `json:"mtu"`
		MaxMTU int      `json:"max_mtu"`
		QLen   int      `json:"txqlen"`
		MAC    string   `json:"address"`
		Info   struct {
			Kind string `json:"info_kind"`
		} `json:"linkinfo"`
		Promiscuity int `json:"promiscuity"`
		Addrs       []struct {
			Local string `json:"local"`
			Bits  int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(l.run(l.sensor, "", "ip", "-j", "-d", "addr", "show", capName)), &links); err != nil {
		t.Fatal(err)
	}
	ip := links[0]
	got := fmt.Sprint(f.Index, f.MTU, f.MaxMTU, f.QueueLen, f.MAC, f.Kind, f.Promiscuous, f.ARP, f.Up, f.Carrier, f.Addresses)
	want := fmt.Sprint(ip.Index, ip.MTU, ip.MaxMTU, ip.QLen, ip.MAC, ip.Info.Kind, ip.Promiscuity > 0,
		!slices.Contains(ip.Flags, "NOARP"), slices.Contains(ip.Flags, "UP"), slices.Contains(ip.Flags, "LOWER_UP"),
		[]string{fmt.Sprintf("%s/%d", ip.Addrs[0].Local, ip.Addrs[0].Bits)})
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if f.IPv6 || f.DefaultRoute || f.Forwarding4 || f.Forwarding6 {
		t.Errorf("IPv6 %v, default route %v, forwarding %v and %v: want none", f.IPv6, f.DefaultRoute, f.Forwarding4, f.Forwarding6)
	}

	l.in(l.sensor, func() error {
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv6/conf/cap0/disable_ipv6", []byte("0"), 0),
			os.WriteFile("/proc/sys/net/ipv4/conf/cap0/forwarding", []byte("1"), 0),
			os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0),
			netlink.RouteAdd(&netlink.Route{LinkIndex: f.Index, Gw: net.IPv4(10, 99, 0, 1)}))
	})
	f = l.inspect()
	if !f.IPv6 || !f.DefaultRoute || !f.Forwarding4 || !f.Forwarding6 {
		t.Errorf("IPv6 %v, default route %v, forwarding %v and %v: want all", f.IPv6, f.DefaultRoute, f.Forwarding4, f.Forwarding6)
	}
	if f.Unknown["ipv6"]+f.Unknown["default_route"]+f.Unknown["addresses"]+f.Unknown["max_mtu"] != "" {
		t.Errorf("unknown: %v", f.Unknown)
	}
}

// TestInspectEthtool compares with what ethtool tells.
func TestInspectEthtool(t *testing.T) {
	l := newLab(t)
	for _, gro := range []string{"on", "off"} {
		l.run(l.sensor, "", "ethtool", "-K", capName, "gro", gro, "rxvlan", gro)
		f := l.inspect()
		text := l.run(l.sensor, "", "ethtool", "-k", capName)
		for _, o := range append(slices.Clone(offloads),
			offload{feature: FeatureChecksum, option: "rx-checksumming"}, offload{feature: FeatureHash, option: "receive-hashing"},
			offload{feature: FeatureTSO, option: "tx-tcp-segmentation"}, offload{feature: FeatureGSO, option: "generic-segmentation-offload"}) {
			long := map[string]string{"gro": "generic-receive-offload", "lro": "large-receive-offload", "rxvlan": "rx-vlan-offload"}
			name := o.option
			if long[name] != "" {
				name = long[name]
			}
			got := name + ": " + onOff(f.Features[o.feature].On)
			if f.Features[o.feature].Fixed {
				got += " [fixed]"
			}
			if !slices.Contains(strings.Split(strings.ReplaceAll(text, "\t", ""), "\n"), got) {
				t.Errorf("%q is not what ethtool -k says", got)
			}
		}
	}
	f := l.inspect()
	info := l.run(l.sensor, "", "ethtool", "-i", capName)
	for _, want := range []string{"driver: " + f.Driver, "version: " + f.DriverVersion} {
		if f.Driver != "veth" || !strings.Contains(info, want+"\n") {
			t.Errorf("%q is not in %q", want, info)
		}
	}
	channels := l.run(l.sensor, "", "ethtool", "-l", capName)
	if want := fmt.Sprintf("RX:\t\t%d\nTX:\t\t%d\n", f.Queues.MaxRX, f.Queues.MaxTX); !strings.Contains(channels, want) {
		t.Errorf("%q is not in %q", want, channels)
	}
	if !f.Time.Software || f.Time.Hardware || f.Time.Clock != -1 || f.Unknown["timestamping"] != "" {
		t.Errorf("timestamping %+v (%s), want the kernel's", f.Time, f.Unknown["timestamping"])
	}
	if f.Ring != nil || f.Unknown["ring"] == "" || f.UDPHash != nil || f.Unknown["udp_hash"] == "" {
		t.Errorf("a veth has no ring and no hash: %+v, %v, %v", f.Ring, f.UDPHash, f.Unknown)
	}
}

// TestInspectQueues: what is in use is told apart from what there is.
func TestInspectQueues(t *testing.T) {
	l := newLabOf(t, 4)
	l.run(l.sensor, "", "ethtool", "-L", capName, "rx", "3", "tx", "2")
	if q := l.inspect().Queues; q != (Queues{RX: 3, MaxRX: 4, TX: 2, MaxTX: 4}) {
		t.Errorf("%+v", q)
	}
}

// TestInspectXDP: what the kernel says, what the table says, and what a try
// says are the same; a program that is there is seen and not disturbed.
func TestInspectXDP(t *testing.T) {
	l := newLab(t)
	kernel, err := Kernel()
	if err != nil {
		t.Fatal(err)
	}
	f := l.inspect()
	if kernel.AtLeast(6, 3) && f.XDP.Source != "kernel" {
		t.Errorf("source %q, and this kernel tells", f.XDP.Source)
	}
	want := xdpOf("veth", kernel)
	if f.XDP.Native != Yes || want.Native != Yes || f.XDP.MaxMTU != want.MaxMTU || f.XDP.ZeroCopy == Yes {
		t.Errorf("kernel: %+v; table: %+v", f.XDP, want)
	}
	try := func() (x XDP, err error) {
		err = l.sensor.do(func() error { x, err = TryXDP(capName); return err })
		return x, err
	}
	x, err := try()
	told := f.XDP.MultiBuffer
	if f.XDP.Source == "driver" {
		told = answer(kernel.AtLeast(5, 18)) // the table does not know
	}
	if err != nil || x.Native != f.XDP.Native || x.MultiBuffer != told || x.Source != "tried" {
		t.Errorf("tried: %+v, %v; told: %+v", x, err, f.XDP)
	}
	if again := l.inspect(); again.XDP.Attached != "" {
		t.Errorf("the try left a program: %+v", again.XDP)
	}

	// The limit is the documented one: 3498 goes, more does not.
	for mtu, want := range map[int]Answer{f.XDP.MaxMTU: Yes, f.XDP.MaxMTU + 22: No} {
		l.run(l.sensor, "", "ip", "link", "set", capName, "mtu", fmt.Sprint(mtu))
		l.run(l.peer, "", "ip", "link", "set", peerName, "mtu", fmt.Sprint(mtu))
		if plain, err := l.tryPlain(); err != nil || answer(plain) != want {
			t.Errorf("MTU %d: a program of one buffer: %v, %v; want %s", mtu, plain, err, want)
		}
	}

	l.attach(l.sensor, capName, xdpPass, link.XDPGenericMode)
	f = l.inspect()
	if f.XDP.Attached != "generic" || f.XDP.Program == 0 {
		t.Errorf("a generic program is attached: %+v", f.XDP)
	}
	if _, err := try(); !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EBUSY) {
		t.Errorf("a try beside another program: %v", err)
	}
	if again := l.inspect(); again.XDP.Program != f.XDP.Program {
		t.Errorf("the program that was there is gone: %+v", again.XDP)
	}
}

func (l *lab) tryPlain() (plain bool, err error) {
	err = l.sensor.do(func() error {
		dev, err := netlink.LinkByName(capName)
		if err != nil {
			return err
		}
		plain, err = tryXDP(dev.Attrs().Index, 0, link.XDPDriverMode)
		return err
	})
	return plain, err
}

func TestInspectMissing(t *testing.T) {
	for _, name := range []string{"no-such-if", "", "a/b", "sixteen-octets-1"} {
		f, err := Inspect(name)
		if err == nil || f != nil {
			t.Errorf("Inspect(%q) = %+v, %v", name, f, err)
		}
		if name == "no-such-if" && !errors.Is(err, unix.ENODEV) {
			t.Errorf("Inspect(%q): %v does not say that there is none", name, err)
		}
	}
}

// TestInspectLoopback needs no rights.
func TestInspectLoopback(t *testing.T) {
	f, err := Inspect("lo")
	if err != nil {
		t.Fatal(err)
	}
	if f.Kind != "loopback" || f.Index != 1 || f.MTU < 16436 {
		t.Errorf("%+v", f)
	}
}

// TestBridgePort: who has whom.
func TestBridgePort(t *testing.T) {
	l := newLab(t)
	l.run(l.sensor, "", "ip", "link", "add", "br0", "type", "bridge")
	l.run(l.sensor, "", "ip", "link", "set", capName, "master", "br0")
	if f := l.inspect(); f.Master != "br0" {
		t.Errorf("master %q", f.Master)
	}
	l.in(l.sensor, func() error {
		f, err := Inspect("br0")
		if err == nil && (f.Kind != "bridge" || !slices.Equal(f.Slaves, []string{capName})) {
			t.Errorf("%+v", f)
		}
		return err
	})
}
