package nic

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Setting is something of an interface that can be set. Values are words: on
// and off, numbers, or lists.
type Setting string

const (
	SetLink        Setting = "link"         // up, down
	SetIPv6        Setting = "ipv6"         // on, off
	SetForwarding  Setting = "forwarding"   // on, off; of IPv4
	SetAddresses   Setting = "addresses"    // none, or prefixes with commas between
	SetARP         Setting = "arp"          // on, off
	SetPromiscuous Setting = "promiscuous"  // on, off
	SetGRO         Setting = "gro"          // on, off
	SetGROHW       Setting = "gro_hw"       // on, off
	SetLRO         Setting = "lro"          // on, off
	SetVLAN        Setting = "rx_vlan"      // on, off
	SetSVLAN       Setting = "rx_vlan_stag" // on, off
	SetMTU         Setting = "mtu"          // octets
	SetRing        Setting = "ring"         // receive descriptors
	SetQueues      Setting = "queues"       // combined N, or rx N tx N
	SetUDPHash     Setting = "udp_hash"     // letters as of ethtool -N: s, d, f, n
	SetReportStats Setting = "report_stats" // on, off: a private flag of gve
)

// offload is a Setting that is a Feature.
type offload struct {
	setting Setting
	feature string // the kernel's name
	option  string // of ethtool -K
}

var offloads = []offload{
	{SetGRO, FeatureGRO, "gro"},
	{SetGROHW, FeatureGROHW, "rx-gro-hw"},
	{SetLRO, FeatureLRO, "lro"},
	{SetVLAN, FeatureVLAN, "rxvlan"},
	{SetSVLAN, FeatureSVLAN, "rx-vlan-stag-hw-parse"},
}

// Change is a Setting that should have another value. It is data: Apply makes
// it, and Reverse undoes it.
type Change struct {
	Setting Setting `json:"setting"`
	From    string  `json:"from"`
	To      string  `json:"to"`
	Why     string  `json:"why"`
	// Interface is what it is about.
	Interface string `json:"interface"`
}

// Reverse leads back.
func (c Change) Reverse() Change {
	c.From, c.To = c.To, c.From
	c.Why = "as it was before"
	return c
}

// Command is what an operator would type for the same.
func (c Change) Command() string {
	for _, o := range offloads {
		if o.setting == c.Setting {
			return fmt.Sprintf("ethtool -K %s %s %s", c.Interface, o.option, c.To)
		}
	}
	switch c.Setting {
	case SetLink, SetARP:
		return strings.TrimSpace(fmt.Sprintf("ip link set %s %s", c.Interface, map[Setting]string{SetARP: "arp "}[c.Setting]+c.To))
	case SetPromiscuous:
		return fmt.Sprintf("ip link set %s promisc %s", c.Interface, c.To)
	case SetMTU:
		return fmt.Sprintf("ip link set %s mtu %s", c.Interface, c.To)
	case SetIPv6:
		return fmt.Sprintf("sysctl -w net.ipv6.conf.%s.disable_ipv6=%s", sysctlName(c.Interface), bit(c.To == "off"))
	case SetForwarding:
		return fmt.Sprintf("sysctl -w net.ipv4.conf.%s.forwarding=%s", sysctlName(c.Interface), bit(c.To == "on"))
	case SetAddresses:
		return addressCommands(c)
	case SetRing:
		return fmt.Sprintf("ethtool -G %s rx %s", c.Interface, c.To)
	case SetQueues:
		return fmt.Sprintf("ethtool -L %s %s", c.Interface, c.To)
	case SetUDPHash:
		return fmt.Sprintf("ethtool -N %s rx-flow-hash udp4 %s", c.Interface, c.To)
	case SetReportStats:
		return fmt.Sprintf("ethtool --set-priv-flags %s report-stats %s", c.Interface, c.To)
	}
	return ""
}

func bit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// sysctlName writes a name for sysctl(8), where dots part the words and a dot
// within one is a slash.
func sysctlName(ifname string) string { return strings.ReplaceAll(ifname, ".", "/") }

// addressCommands deletes what is in From alone and adds what is in To alone.
func addressCommands(c Change) string {
	from, _ := parsePrefixes(c.From) // written by formatPrefixes
	to, _ := parsePrefixes(c.To)
	var commands []string
	for _, p := range from {
		if !slices.Contains(to, p) {
			commands = append(commands, fmt.Sprintf("ip addr del %s dev %s", p, c.Interface))
		}
	}
	for _, p := range to {
		if !slices.Contains(from, p) {
			commands = append(commands, fmt.Sprintf("ip addr add %s dev %s", p, c.Interface))
		}
	}
	return strings.Join(commands, " && ")
}

const none = "none"

func formatPrefixes(list []netip.Prefix) string {
	if len(list) == 0 {
		return none
	}
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return strings.Join(words, ",")
}

func parsePrefixes(s string) ([]netip.Prefix, error) {
	if s == none {
		return nil, nil
	}
	var list []netip.Prefix
	for _, word := range strings.Split(s, ",") {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// Plan lists what should be changed on an interface for its use, in the order
// in which it is to be done: what silences it first. What is not known is left
// alone, and so is what an operator may need to reach the machine, and the
// loopback device altogether.
func Plan(f *Facts, u Use) []Change {
	if f.Kind == loopback {
		return nil
	}
	var plan []Change
	change := func(s Setting, from, to, why string) {
		plan = append(plan, Change{Setting: s, From: from, To: to, Why: why, Interface: f.Name})
	}
	if f.IPv6 && !u.Shared && f.reachedBy() == "" {
		change(SetIPv6, "on", "off", whyIPv6)
	}
	if f.Forwarding4 && !u.Shared {
		change(SetForwarding, "on", "off", "the kernel would route mirrored packets on, to where they were sent")
	}
	if v4 := own4(f); len(v4) > 0 && !u.Shared && u.Mirror == MirrorPort && f.reachedBy() == "" {
		change(SetAddresses, formatPrefixes(v4), none, "a mirror port needs no address, and an interface without one answers nobody")
	}
	if f.ARP && len(own4(f)) == 0 && !u.Shared {
		change(SetARP, "on", "off", "without an address there is nothing to answer for")
	}
	if !f.Promiscuous && u.Mirror == MirrorPort && !u.Promiscuous {
		change(SetPromiscuous, "off", "on", "mirrored frames bear the addresses of others, and the NIC would drop them")
	}
	planOffloads(f, u, change)
	planRoom(f, u, change)
	if !f.Up {
		change(SetLink, "down", "up", "nothing arrives while it is down")
	}
	return plan
}

const whyIPv6 = "the kernel sends MLD reports, duplicate address detection and router solicitations by itself"

// planOffloads: what makes frames look otherwise than on the wire.
func planOffloads(f *Facts, u Use, change func(s Setting, from, to, why string)) {
	for _, o := range offloads {
		feature, known := f.Features[o.feature]
		if !known || !feature.On || feature.Fixed {
			continue
		}
		switch o.setting {
		case SetVLAN, SetSVLAN:
			if u.AFXDP {
				change(o.setting, "on", "off", "AF_XDP does not see a VLAN tag that the NIC has taken out of the frame")
			}
		default:
			change(o.setting, "on", "off", "merged segments are longer than any packet was, and their gaps in time are lost")
		}
	}
}

// planRoom: queues, rings and lengths.
func planRoom(f *Facts, u Use, change func(s Setting, from, to, why string)) {
	if mtu := wantedMTU(f, u); mtu > f.MTU {
		change(SetMTU, strconv.Itoa(f.MTU), strconv.Itoa(mtu), fmt.Sprintf("mirrored packets of %d octets do not fit with a tunnel around them", u.SourceMTU))
	}
	if r := f.Ring; r != nil && r.RX < r.MaxRX {
		change(SetRing, strconv.Itoa(r.RX), strconv.Itoa(r.MaxRX), "a burst that fills the NIC's ring is lost before anybody sees it")
	}
	if u.AFXDP {
		if from, to := halfQueues(f); to != "" {
			change(SetQueues, from, to, "this driver runs XDP only with at most half of its queues in use")
		}
	}
	if f.Queues.RX > 1 && f.UDPHash != nil && u.Mirror != MirrorPort &&
		!(slices.Contains(f.UDPHash, HashSourcePort) && slices.Contains(f.UDPHash, HashDestinationPort)) {
		change(SetUDPHash, hashLetters(f.UDPHash), "sdfn", "without ports in the hash all mirrored packets of a tunnel come in by one queue")
	}
	if on, has := f.PrivateFlags["report-stats"]; has && !on && f.Driver == "gve" {
		change(SetReportStats, "off", "on", "the NIC tells what its queues dropped only when it is asked to")
	}
}

// own4 lists the IPv4 addresses. Those of IPv6 go when IPv6 goes.
func own4(f *Facts) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range f.Addresses {
		if p.Addr().Is4() {
			list = append(list, p)
		}
	}
	return list
}

// wantedMTU is the MTU that lets tunnelled packets of the sources in whole, as
// far as the driver goes.
func wantedMTU(f *Facts, u Use) int {
	if u.SourceMTU == 0 || u.Mirror == MirrorPort {
		return 0
	}
	mtu := u.SourceMTU + overheadIPv6
	if f.MaxMTU > 0 {
		mtu = min(mtu, f.MaxMTU)
	}
	return mtu
}

// halfQueues gives the queues in use and, if XDP in the driver wants fewer, how
// many; in words of ethtool -L.
func halfQueues(f *Facts) (from, to string) {
	d, known := knownDriver(f.Driver)
	if !known || !d.half {
		return "", ""
	}
	q := f.Queues
	if q.MaxCombined > 0 {
		if half := q.MaxCombined / 2; q.Combined > half && half > 0 {
			return fmt.Sprintf("combined %d", q.Combined), fmt.Sprintf("combined %d", half)
		}
		return "", ""
	}
	half := min(q.MaxRX, q.MaxTX) / 2
	if half > 0 && (q.RX > half || q.TX > half || q.RX != q.TX) {
		return fmt.Sprintf("rx %d tx %d", q.RX, q.TX), fmt.Sprintf("rx %d tx %d", half, half)
	}
	return "", ""
}

// hashLetters writes fields as ethtool -N does.
func hashLetters(fields []HashField) string {
	letters := ""
	for _, f := range []struct {
		field  HashField
		letter string
	}{{HashSource, "s"}, {HashDestination, "d"}, {HashSourcePort, "f"}, {HashDestinationPort, "n"}} {
		if slices.Contains(fields, f.field) {
			letters += f.letter
		}
	}
	return letters
}
