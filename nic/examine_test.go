package nic

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// good is an interface that is as it should be.
func good() *Facts {
	return &Facts{
		Name: "eth1", Index: 3, Kind: "device", Driver: "ena", DriverVersion: "2.13.0g", Up: true, Carrier: true, Promiscuous: true,
		MTU: 9001, MaxMTU: 9216, Queues: Queues{RX: 4, MaxRX: 8, TX: 4, MaxTX: 8, Combined: 4, MaxCombined: 8}, Ring: &Ring{RX: 16384, MaxRX: 16384},
		Features: map[string]Feature{FeatureGRO: {}, FeatureLRO: {Fixed: true}, FeatureGROHW: {Fixed: true}, FeatureVLAN: {Fixed: true}},
		XDP:      XDP{Native: Yes, ZeroCopy: Yes, MultiBuffer: Yes, MaxMTU: 3498, Source: "kernel"},
		Time:     Timestamping{Software: true, Clock: -1},
		UDPHash:  []HashField{HashSource, HashDestination, HashSourcePort, HashDestinationPort},
		Unknown:  map[string]string{},
	}
}

func addresses(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

// TestExamineGood: nothing is said against an interface that is as it should
// be, for any use.
func TestExamineGood(t *testing.T) {
	for _, u := range []Use{{}, {AFXDP: true, Native: true}, {Mirror: MirrorPort}, {Mirror: MirrorTunnel, SourceMTU: 8927}} {
		for _, f := range Examine(good(), u) {
			if f.Level != OK || f.Mend != "" || f.Found == "" {
				t.Errorf("%+v: %+v", u, f)
			}
		}
		if plan := Plan(good(), u); len(plan) != 0 {
			t.Errorf("%+v: %+v", u, plan)
		}
	}
}

// TestExamine spoils one thing at a time.
func TestExamine(t *testing.T) {
	port, tunnel := Use{Mirror: MirrorPort}, Use{Mirror: MirrorTunnel}
	xdp, native := Use{AFXDP: true}, Use{AFXDP: true, Native: true}
	for _, tc := range []struct {
		name  string
		spoil func(*Facts)
		use   Use
		want  string // level about: mend, of all that is not OK
	}{
		{"down", func(f *Facts) { f.Up = false }, port, "error link: ip link set eth1 up"},
		{"no carrier", func(f *Facts) { f.Carrier = false }, port, "error link: connect the cable"},
		{"gro", func(f *Facts) { f.Features[FeatureGRO] = Feature{On: true} }, port, "warning gro: ethtool -K eth1 gro off"},
		{"lro", func(f *Facts) { f.Features[FeatureLRO] = Feature{On: true} }, port, "warning lro: ethtool -K eth1 lro off"},
		{"gro of the NIC", func(f *Facts) { f.Features[FeatureGROHW] = Feature{On: true} }, port, "warning gro_hw: ethtool -K eth1 rx-gro-hw off"},
		{"gro of the NIC, fixed", func(f *Facts) { f.Features[FeatureGROHW] = Feature{On: true, Fixed: true} }, port, "note gro_hw: "},
		{"VLAN tags under AF_PACKET", func(f *Facts) { f.Features[FeatureVLAN] = Feature{On: true} }, port, ""},
		{"VLAN tags under AF_XDP", func(f *Facts) { f.Features[FeatureVLAN] = Feature{On: true} }, xdp, "warning rx_vlan: ethtool -K eth1 rxvlan off"},
		{"small ring", func(f *Facts) { f.Ring.RX = 1024 }, port, "warning ring: ethtool -G eth1 rx 16384"},
		{"unknown ring", func(f *Facts) { f.Ring, f.Unknown["ring"] = nil, "operation not supported" }, port, "note ring: "},
		{"all queues of ena", func(f *Facts) { f.Queues.RX, f.Queues.TX, f.Queues.Combined = 8, 8, 8 }, xdp, "warning queues: ethtool -L eth1 combined 4"},
		{"all queues of ena without XDP", func(f *Facts) { f.Queues.RX, f.Queues.TX, f.Queues.Combined = 8, 8, 8 }, port, ""},
		{"all queues of gve", func(f *Facts) {
			f.Driver, f.Queues = "gve", Queues{RX: 16, MaxRX: 16, TX: 16, MaxTX: 16}
		}, xdp, "warning queues: ethtool -L eth1 rx 8 tx 8"},
		{"unequal queues of gve", func(f *Facts) {
			f.Driver, f.Queues = "gve", Queues{RX: 4, MaxRX: 16, TX: 8, MaxTX: 16}
		}, xdp, "warning queues: ethtool -L eth1 rx 8 tx 8"},
		{"gve that does not tell", func(f *Facts) {
			f.Driver, f.PrivateFlags, f.Queues = "gve", map[string]bool{"report-stats": false}, Queues{RX: 8, MaxRX: 16, TX: 8, MaxTX: 16}
		}, port, "warning report_stats: ethtool --set-priv-flags eth1 report-stats on"},
		{"hash without ports", func(f *Facts) { f.UDPHash = f.UDPHash[:2] }, tunnel, "warning udp_hash: ethtool -N eth1 rx-flow-hash udp4 sdfn"},
		{"hash without ports, one queue", func(f *Facts) { f.UDPHash, f.Queues.RX = f.UDPHash[:2], 1 }, tunnel, ""},
		{"not promiscuous at a SPAN port", func(f *Facts) { f.Promiscuous = false }, port, "warning promiscuous: ip link set eth1 promisc on"},
		{"not promiscuous at a SPAN port, and the capture sees to it", func(f *Facts) { f.Promiscuous = false }, Use{Mirror: MirrorPort, Promiscuous: true}, ""},
		{"not promiscuous at a tunnel", func(f *Facts) { f.Promiscuous = false }, tunnel, ""},
		{"not promiscuous, mirror not known", func(f *Facts) { f.Promiscuous = false }, Use{}, "note promiscuous: ip link set eth1 promisc on"},
		{"MTU 1500 at a tunnel", func(f *Facts) { f.MTU = 1500 }, tunnel, "warning mtu: ip link set eth1 mtu 9001"},
		{"MTU 1500 at a SPAN port", func(f *Facts) { f.MTU = 1500 }, port, ""},
		{"MTU for known sources", func(f *Facts) { f.MTU = 1500 }, Use{Mirror: MirrorTunnel, SourceMTU: 1500}, "warning mtu: ip link set eth1 mtu 1574"},
		{"MTU that the driver does not take", func(f *Facts) { f.MaxMTU = 9001 }, Use{Mirror: MirrorTunnel, SourceMTU: 9001}, "warning mtu: lower the MTU of the sources"},
		{"MTU for XDP", func(f *Facts) { f.XDP.MultiBuffer = No }, xdp, "warning mtu_xdp: ip link set eth1 mtu 3498"},
		{"MTU for XDP that must be", func(f *Facts) { f.XDP.MultiBuffer = No }, native, "error mtu_xdp: ip link set eth1 mtu 3498"},
		{"MTU for AF_PACKET", func(f *Facts) { f.XDP.MultiBuffer = No }, port, ""},
		{"no XDP", func(f *Facts) { f.XDP = XDP{Native: No, Source: "driver"} }, xdp, "warning xdp: capture with AF_PACKET"},
		{"no XDP where it must be", func(f *Facts) { f.XDP = XDP{Native: No, Source: "driver"} }, native, "error xdp: capture with AF_PACKET"},
		{"no XDP where it need not be", func(f *Facts) { f.XDP = XDP{Native: No, Source: "driver"} }, port, "note xdp: "},
		{"XDP not known", func(f *Facts) { f.XDP = XDP{} }, port, "note xdp: sensor check --interface eth1 --try-xdp"},
		{"another program", func(f *Facts) { f.XDP.Attached, f.XDP.Program = "native", 7 }, port, "warning xdp_program: ip link set eth1 xdpdrv off"},
		{"another generic program", func(f *Facts) { f.XDP.Attached, f.XDP.Program = "generic", 7 }, port, "warning xdp_program: ip link set eth1 xdpgeneric off"},
		{"another program where AF_XDP is to be", func(f *Facts) {
			f.XDP.XDPProgram = XDPProgram{Attached: "native", Program: 7, Name: "other", Link: 3, Holders: []Process{{PID: 12, Name: "owner"}}}
		}, xdp, "error xdp_program: end process 12 (owner)"},
		{"a pinned program where a filter is to be", func(f *Facts) {
			f.XDP.XDPProgram = XDPProgram{Attached: "native", Program: 7, Link: 3}
		}, Use{DriverFilter: true}, "error xdp_program: bpftool link detach id 3"},
		{"a program of which nothing is told", func(f *Facts) {
			f.XDP.XDPProgram, f.Unknown["xdp_program"] = XDPProgram{Attached: "native", Program: 7}, "operation not permitted"
		}, port, "warning xdp_program: run sensor check as root"},
		{"a connection", func(f *Facts) {
			f.Addresses, f.IPv6, f.Sessions = addresses("10.0.0.9/24"), true, []Session{{Local: netip.MustParseAddrPort("10.0.0.9:22"), Remote: netip.MustParseAddrPort("10.0.0.1:50000")}}
		}, port, "warning ipv6: give the sensor an interface of its own, or say that this one is shared (--shared), warning addresses: give the sensor an interface of its own"},
		{"IPv6", func(f *Facts) { f.IPv6 = true }, port, "warning ipv6: sysctl -w net.ipv6.conf.eth1.disable_ipv6=1"},
		{"IPv6 of a VLAN", func(f *Facts) { f.IPv6, f.Name = true, "eth1.7" }, port, "warning ipv6: sysctl -w net.ipv6.conf.eth1/7.disable_ipv6=1"},
		{"ARP without an address", func(f *Facts) { f.ARP = true }, port, "note arp: ip link set eth1 arp off"},
		{"an address at a SPAN port", func(f *Facts) { f.Addresses, f.ARP = addresses("10.0.0.9/24"), true }, port, "warning addresses: ip addr del 10.0.0.9/24 dev eth1"},
		{"an address at a tunnel", func(f *Facts) { f.Addresses, f.ARP = addresses("10.0.0.9/24"), true }, tunnel, "note addresses: sensor guard eth1 | nft -f -"},
		{"the default route", func(f *Facts) { f.Addresses, f.DefaultRoute = addresses("10.0.0.9/24"), true }, port, "warning addresses: give the sensor an interface of its own"},
		{"forwarding", func(f *Facts) { f.Forwarding4 = true }, port, "warning forwarding: sysctl -w net.ipv4.conf.eth1.forwarding=0"},
		{"forwarding IPv6", func(f *Facts) { f.Forwarding6 = true }, port, "warning forwarding: sysctl -w net.ipv6.conf.all.forwarding=0"},
		{"a shared interface", func(f *Facts) {
			f.IPv6, f.ARP, f.Addresses, f.DefaultRoute = true, true, addresses("10.0.0.9/24"), true
		}, Use{Shared: true, Mirror: MirrorTunnel}, "note silence: sensor guard --shared eth1 | nft -f -"},
		{"forwarding on a shared interface", func(f *Facts) { f.Forwarding4 = true }, Use{Shared: true, Mirror: MirrorTunnel},
			"note silence: sensor guard --shared eth1 | nft -f -, warning forwarding: sysctl -w net.ipv4.conf.eth1.forwarding=0, if this machine is no router"},
		{"part of a bond", func(f *Facts) { f.Master = "bond0" }, port, "warning driver: capture on bond0"},
		{"Azure's pair", func(f *Facts) { f.Driver, f.Slaves = "hv_netvsc", []string{"eth2"} }, port, "note driver: "},
		{"loopback", func(f *Facts) { f.Kind = "loopback" }, port, "warning driver: name the interface"},
		{"features not told", func(f *Facts) { f.Unknown["features"] = "no" }, port, "note features: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := good()
			tc.spoil(f)
			var got []string
			for _, x := range Examine(f, tc.use) {
				if x.Level == OK {
					continue
				}
				got = append(got, fmt.Sprintf("%s %s: %s", x.Level, x.About, x.Mend))
				if x.Level > Note && (x.Why == "" || x.Mend == "") {
					t.Errorf("%+v lacks a reason or a mend", x)
				}
			}
			text := strings.Join(got, ", ")
			if !strings.HasPrefix(text, tc.want) || tc.want == "" && text != "" || len(got) > strings.Count(tc.want, ", ")+1 {
				t.Errorf("got  %s\nwant %s", text, tc.want)
			}
		})
	}
}

// TestPlanLeavesAlone: what an operator may need stays.
func TestPlanLeavesAlone(t *testing.T) {
	f := good()
	f.IPv6, f.ARP, f.Addresses, f.DefaultRoute, f.Forwarding4 = true, true, addresses("10.0.0.9/24"), true, true
	for _, c := range Plan(f, Use{Mirror: MirrorPort}) {
		if c.Setting == SetAddresses || c.Setting == SetARP || c.Setting == SetIPv6 {
			t.Errorf("%+v would cut the machine off", c)
		}
	}
	if plan := Plan(f, Use{Mirror: MirrorTunnel, Shared: true}); len(plan) != 0 {
		t.Errorf("a shared interface would be changed: %+v", plan)
	}
	f.Kind = loopback
	if plan := Plan(f, Use{Mirror: MirrorPort}); len(plan) != 0 {
		t.Errorf("the loopback device would be changed: %+v", plan)
	}
	f.Kind = "device"
	f.Unknown["ipv6"] = "not told"
	f.Ring, f.UDPHash, f.Features = nil, nil, nil
	if plan := Plan(f, Use{AFXDP: true, Shared: true}); len(plan) != 0 {
		t.Errorf("what is not known would be changed: %+v", plan)
	}
}

func TestWorst(t *testing.T) {
	if got := Worst([]Finding{{Level: Note}, {Level: Error}, {Level: Warning}}); got != Error {
		t.Error(got)
	}
	if got := Worst(nil); got != OK {
		t.Error(got)
	}
}

func TestVersion(t *testing.T) {
	for release, want := range map[string]Version{
		"6.18.44-fc-v669": {6, 18}, "5.15.0-1051-aws": {5, 15}, "6.1.0-18-cloud-amd64": {6, 1}, "5.14.0-362.el9.x86_64": {5, 14},
	} {
		if got, err := ParseVersion(release); err != nil || got != want {
			t.Errorf("%s: %v, %v", release, got, err)
		}
	}
	if _, err := ParseVersion("linux"); err == nil {
		t.Error("no version is read as one")
	}
	v := Version{5, 19}
	if !v.AtLeast(5, 19) || !v.AtLeast(4, 20) || v.AtLeast(6, 0) || v.AtLeast(5, 20) {
		t.Error("AtLeast")
	}
}

func TestParseMirror(t *testing.T) {
	for m := MirrorUnknown; m <= MirrorPort; m++ {
		if got, err := ParseMirror(m.String()); err != nil || got != m {
			t.Errorf("%s: %v, %v", m, got, err)
		}
	}
	if _, err := ParseMirror("glass"); err == nil || !strings.Contains(err.Error(), "tunnel, port") {
		t.Error(err)
	}
}

func TestXDPTable(t *testing.T) {
	if x := xdpOf("ena", Version{5, 10}); x.Native != No || x.Source != "driver" {
		t.Errorf("ena on 5.10: %+v", x)
	}
	if x := xdpOf("ena", Version{6, 1}); x.Native != Yes || x.MaxMTU != 3498 || x.ZeroCopy != Unknown {
		t.Errorf("ena on 6.1: %+v", x)
	}
	if x := xdpOf("e1000", Version{6, 18}); x.Native != No || x.ZeroCopy != No {
		t.Errorf("e1000: %+v", x)
	}
	if x := xdpOf("brand_new", Version{6, 1}); !reflect.DeepEqual(x, XDP{}) {
		t.Errorf("a driver that is not known: %+v", x)
	}
	var names []string
	for _, d := range drivers {
		if slices.Contains(names, d.name) {
			t.Errorf("%s is there twice", d.name)
		}
		names = append(names, d.name)
	}
}
