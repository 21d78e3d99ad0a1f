// Package nic knows the interface that mirrored packets come in by: what it is
// and how it is set (Inspect), how it should be set for capture and how to get
// there and back (Plan, Apply), what was lost on the way in before any capture
// ring could see it (OpenCounters), and how to keep it silent (InstallGuard).
//
// It captures nothing and knows no packet formats. What cannot be found out is
// said to be unknown, with the reason; it is never given as zero or as off.
//
// Everything happens in the network namespace of the calling thread. Only
// Linux has these calls: elsewhere they give errors.ErrUnsupported.
package nic

import (
	"fmt"
	"net/netip"
	"strings"
)

// Facts are what is known of an interface at one moment.
type Facts struct {
	Name string `json:"name"`
	// Index is the kernel's number of the interface.
	Index int `json:"index"`
	// Kind is that of a virtual link as `ip -d link` names it (veth, bond,
	// bridge, vlan, …), "loopback", or "device" for hardware, real or emulated.
	Kind string `json:"kind"`
	// Driver and what follows are as `ethtool -i` gives them.
	Driver        string `json:"driver,omitempty"`
	DriverVersion string `json:"driver_version,omitempty"`
	Firmware      string `json:"firmware,omitempty"`
	Bus           string `json:"bus,omitempty"`
	MAC           string `json:"mac,omitempty"`

	Up          bool `json:"up"`          // set up by an operator
	Carrier     bool `json:"carrier"`     // the link works
	Promiscuous bool `json:"promiscuous"` // switched on by anyone, a capture included
	ARP         bool `json:"arp"`

	MTU      int `json:"mtu"`               // octets after the Ethernet header
	MaxMTU   int `json:"max_mtu,omitempty"` // that the driver accepts; 0: not told
	QueueLen int `json:"queue_len"`         // frames that may wait to be sent

	// Master is the bond, bridge or hv_netvsc device that has this interface;
	// Slaves are those that it has itself.
	Master string   `json:"master,omitempty"`
	Slaves []string `json:"slaves,omitempty"`

	Addresses []netip.Prefix `json:"addresses"`
	// DefaultRoute says that a default route leaves by this interface, or by one
	// that is made of it, as its bridge or a VLAN.
	DefaultRoute bool `json:"default_route"`
	// Sessions are this machine's TCP sockets that are reached by it.
	Sessions []Session `json:"sessions,omitempty"`
	// IPv6 says that the kernel speaks IPv6 on it: disable_ipv6 is 0.
	IPv6 bool `json:"ipv6"`
	// Forwarding4 and Forwarding6 say that the kernel routes packets on that
	// came in by it: net.ipv4.conf.NAME.forwarding, and for IPv6, which asks no
	// interface, net.ipv6.conf.all.forwarding.
	Forwarding4 bool `json:"forwarding_ipv4"`
	Forwarding6 bool `json:"forwarding_ipv6"`

	Queues   Queues             `json:"queues"`
	Ring     *Ring              `json:"ring,omitempty"` // nil: not told
	Features map[string]Feature `json:"features"`       // by the kernel's names, of those that matter
	XDP      XDP                `json:"xdp"`
	Time     Timestamping       `json:"timestamping"`
	// UDPHash are the fields of a UDP packet by which the NIC chooses a queue,
	// IPv4; nil: not told.
	UDPHash []HashField `json:"udp_hash,omitempty"`

	// PrivateFlags are the driver's own switches, as `ethtool
	// --show-priv-flags` gives them.
	PrivateFlags map[string]bool `json:"private_flags,omitempty"`

	// Unknown says for each thing that could not be found out, why.
	Unknown map[string]string `json:"unknown,omitempty"`
}

// reachedBy says why the interface must not be silenced, or "".
func (f *Facts) reachedBy() string {
	switch {
	case f.Kind == loopback:
		return "it is the loopback device"
	case f.DefaultRoute:
		return "a default route leaves there"
	case len(f.Sessions) > 1:
		return fmt.Sprintf("%s, and %d more", f.Sessions[0], len(f.Sessions)-1)
	case len(f.Sessions) > 0:
		return f.Sessions[0].String()
	}
	return ""
}

// unknownReach says what of reachedBy is not known, or "".
func (f *Facts) unknownReach() string {
	if why, unknown := f.Unknown["default_route"]; unknown {
		return fmt.Sprintf("whether a default route leaves by %s is not known: %s", f.Name, why)
	}
	if why, unknown := f.Unknown["connections"]; unknown {
		return fmt.Sprintf("whether connections go over %s is not known: %s", f.Name, why)
	}
	return ""
}

// Session is a TCP connection of this machine, or a listener on the address of
// an interface.
type Session struct {
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote,omitzero"` // not valid: a listener
}

func (s Session) String() string {
	if !s.Remote.IsValid() {
		return fmt.Sprintf("a program listens on its address %s", s.Local)
	}
	return fmt.Sprintf("the TCP connection of %s with %s goes over it", s.Local, s.Remote)
}

const loopback = "loopback" // a Kind

// Queues are numbers of receive queues. Combined ones serve both directions.
type Queues struct {
	RX          int `json:"rx"` // in use; those combined with a transmit queue included
	MaxRX       int `json:"max_rx"`
	TX          int `json:"tx"`
	MaxTX       int `json:"max_tx"`
	Combined    int `json:"combined"` // of RX
	MaxCombined int `json:"max_combined"`
}

// Ring are numbers of receive descriptors in each queue.
type Ring struct {
	RX    int `json:"rx"`
	MaxRX int `json:"max_rx"`
}

// Feature is an offload of the kernel or the NIC.
type Feature struct {
	On    bool `json:"on"`
	Fixed bool `json:"fixed"` // cannot be changed
}

// Features that matter, by the kernel's names (netdev-features.rst).
const (
	FeatureGRO      = "rx-gro"                // the kernel merges segments
	FeatureGROHW    = "rx-gro-hw"             // the NIC merges segments, reversibly
	FeatureLRO      = "rx-lro"                // the NIC merges segments
	FeatureGROList  = "rx-gro-list"           // the kernel chains segments
	FeatureUDPGRO   = "rx-udp-gro-forwarding" // the kernel merges UDP datagrams
	FeatureVLAN     = "rx-vlan-hw-parse"      // the NIC takes the 802.1Q tag out of the frame
	FeatureSVLAN    = "rx-vlan-stag-hw-parse" // the same for 802.1ad
	FeatureChecksum = "rx-checksum"
	FeatureHash     = "rx-hashing"
	FeatureNtuple   = "rx-ntuple-filter"
	FeatureGSO      = "tx-generic-segmentation"
	FeatureTSO      = "tx-tcp-segmentation"
)

// features lists what Inspect looks for.
var features = []string{
	FeatureGRO, FeatureGROHW, FeatureLRO, FeatureGROList, FeatureUDPGRO, FeatureVLAN, FeatureSVLAN, FeatureChecksum,
	FeatureHash, FeatureNtuple, FeatureGSO, FeatureTSO,
}

// Timestamping is what stamps arriving frames.
type Timestamping struct {
	Software bool `json:"software"` // the kernel, in the driver
	Hardware bool `json:"hardware"` // the NIC, every frame
	Clock    int  `json:"clock"`    // number of its PTP clock; -1: none
}

// HashField is a part of a packet that the NIC hashes.
type HashField string

// Fields of ETHTOOL_GRXFH (linux/ethtool.h, RXH_*).
const (
	HashSource          HashField = "source"
	HashDestination     HashField = "destination"
	HashSourcePort      HashField = "source_port"
	HashDestinationPort HashField = "destination_port"
)

// Answer is yes, no, or that nobody knows.
type Answer uint8

const (
	Unknown Answer = iota
	No
	Yes
)

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

func (a Answer) String() string { return [...]string{"unknown", "no", "yes"}[a] }

// MarshalText writes the word of String.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Version is that of a kernel: 6.18 is {6, 18}.
type Version struct{ Major, Minor int }

// ParseVersion reads the release of uname(2), as "6.1.0-18-cloud-amd64".
func ParseVersion(release string) (Version, error) {
	var v Version
	if _, err := fmt.Sscanf(release, "%d.%d", &v.Major, &v.Minor); err != nil {
		return Version{}, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return v, nil
}

// AtLeast tells whether v is that version or a later one.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// ValidName says what is wrong with the name of an interface by the kernel's
// rules (dev_valid_name): at most 15 octets, no slash, colon or white space.
func ValidName(ifname string) error {
	switch {
	case ifname == "":
		return fmt.Errorf("the name of the interface is empty")
	case len(ifname) > 15:
		return fmt.Errorf("interface %q: a name has at most 15 octets", ifname)
	case ifname == "." || ifname == "..", strings.ContainsAny(ifname, "/:\"\\"), strings.ContainsFunc(ifname, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("interface %q: no interface can have this name", ifname)
	}
	return nil
}
