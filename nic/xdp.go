package nic

import (
	"fmt"
	"slices"
	"strings"
)

// XDP is what the interface offers to XDP programs and AF_XDP.
type XDP struct {
	Native      Answer `json:"native"` // the driver runs programs; else the kernel does, after an skb is made
	ZeroCopy    Answer `json:"zero_copy"`
	MultiBuffer Answer `json:"multi_buffer"` // programs for frames of more than one buffer
	// MaxMTU is the largest MTU with which the driver takes a program that is
	// not for several buffers; 0: not known.
	MaxMTU int `json:"max_mtu,omitempty"`
	// Source says who tells so: "kernel" (netdev netlink, from 6.3), "driver"
	// (a table of what the driver is known for), "tried", or "" for nobody.
	Source string `json:"source,omitempty"`
	XDPProgram
}

// XDPProgram is a program that is on an interface now; the zero value is none.
type XDPProgram struct {
	// Attached is its mode: native, generic, offload or several.
	Attached string `json:"attached,omitempty"`
	Program  int    `json:"program,omitempty"` // its number
	// What follows is told to root alone.
	Name string `json:"program_name,omitempty"`
	// Link is the number of the bpf_link that has it there, which ends with
	// those who have it open; 0 where it was attached by netlink, and stays.
	Link    int       `json:"link,omitempty"`
	Holders []Process `json:"holders,omitempty"` // that have the link open, or else the program
}

// Process is a running program.
type Process struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// String is the program in a few words.
func (p XDPProgram) String() string {
	s := fmt.Sprintf("XDP program %d", p.Program)
	if p.Name != "" {
		s += " " + p.Name
	}
	s += " (" + p.Attached + ")"
	if len(p.Holders) > 0 {
		s += ", held by " + p.holders()
	}
	return s
}

func (p XDPProgram) holders() string {
	var words []string
	for _, h := range p.Holders {
		words = append(words, fmt.Sprintf("process %d (%s)", h.PID, h.Name))
	}
	return strings.Join(words, ", ")
}

// mend says how to get rid of it. untold is why it is not known who has it.
func (p XDPProgram) mend(ifname, untold string) string {
	switch {
	case untold != "":
		return "run sensor check as root, which tells whose it is"
	case p.Link != 0 && len(p.Holders) > 0:
		return "end " + p.holders()
	case p.Link != 0:
		return fmt.Sprintf("bpftool link detach id %d", p.Link) // it is pinned
	}
	word, known := map[string]string{"native": "xdpdrv", "generic": "xdpgeneric", "offload": "xdpoffload"}[p.Attached]
	if !known {
		word = "xdp"
	}
	return fmt.Sprintf("ip link set %s %s off", ifname, word)
}

// driver is what is known of the kernel module of a NIC.
type driver struct {
	name string
	// since is the kernel whose module runs XDP programs with redirect; zero:
	// no version does.
	since Version
	// maxMTU as in XDP, for pages of 4 KiB.
	maxMTU int
	// half says that native XDP wants no more than half of the possible queues
	// in use, because it takes the other half for sending.
	half bool
}

// drivers lists the modules of the machines that a sensor is likely to be.
// Where the kernel itself tells what a driver can do (from 6.3), only maxMTU
// and half are used.
var drivers = []driver{
	// ENA_XDP_MAX_MTU of ena_netdev.h is 4096-14-4-8-256-320 = 3498 (3502 in
	// some builds of Amazon's driver). 2 × channels ≤ max channels: up to
	// r2.16.1, r2.17.0 lifts it.
	{name: "ena", since: Version{5, 12}, maxMTU: 3498, half: true},
	// gve_verify_xdp_configuration: 2048-14-2; formats with larger buffers
	// take more. RX and TX queues must be equal, and at most half.
	{name: "gve", since: Version{6, 4}, maxMTU: 2032, half: true},
	// virtnet_xdp_set: PAGE_SIZE - 256 - sizeof(skb_shared_info) - ETH_HLEN.
	{name: "virtio_net", since: Version{4, 10}, maxMTU: 3506},
	// veth_xdp_set: 3498 measured to work, 3520 refused with ERANGE.
	{name: "veth", since: Version{4, 19}, maxMTU: 3498},
	// mlx5e_xdp_allowed, linear SKB: 4096-256-320-14-4-…; about 3498.
	{name: "mlx5_core", since: Version{4, 9}, maxMTU: 3498},
	// Programs run from 5.16, REDIRECT from 6.0.
	{name: "mana", since: Version{6, 0}, maxMTU: 3506},
	{name: "hv_netvsc", since: Version{5, 19}},
	{name: "vmxnet3", since: Version{6, 6}},
	// I40E_RXBUFFER_3072, IXGBE_RXBUFFER_3K, ICE_RXBUF_3072, less Ethernet with
	// two tags.
	{name: "i40e", since: Version{4, 13}, maxMTU: 3046},
	{name: "ixgbe", since: Version{4, 12}, maxMTU: 3046},
	{name: "ice", since: Version{5, 5}, maxMTU: 3046},
	{name: "igb", since: Version{5, 10}},
	{name: "igc", since: Version{5, 13}},
	{name: "bnxt_en", since: Version{4, 16}, maxMTU: 3502},
	{name: "tun", since: Version{4, 15}},
	// No native XDP.
	{name: "e1000"}, {name: "e1000e"}, {name: "tg3"}, {name: "r8169"}, {name: "bridge"}, {name: "vxlan"}, {name: "macvlan"}, {name: "802.1Q VLAN Support"},
}

func knownDriver(name string) (driver, bool) {
	i := slices.IndexFunc(drivers, func(d driver) bool { return d.name == name })
	if i < 0 {
		return driver{}, false
	}
	return drivers[i], true
}

// xdpOf says what is known of a driver on a kernel that does not tell by
// itself.
func xdpOf(name string, kernel Version) XDP {
	d, ok := knownDriver(name)
	if !ok {
		return XDP{}
	}
	native := d.since != Version{} && kernel.AtLeast(d.since.Major, d.since.Minor)
	x := XDP{Native: answer(native), Source: "driver"}
	if native {
		x.MaxMTU = d.maxMTU
	} else {
		x.ZeroCopy, x.MultiBuffer = No, No
	}
	return x
}

// told fills in what the kernel says.
func (x *XDP) told(bits uint64, driverName string) {
	native := bits&xdpFeatureBasic != 0 && bits&xdpFeatureRedirect != 0
	x.Source = "kernel"
	x.Native = answer(native)
	x.ZeroCopy = answer(native && bits&xdpFeatureZeroCopy != 0)
	x.MultiBuffer = answer(native && bits&xdpFeatureRxSG != 0)
	if d, ok := knownDriver(driverName); ok && native {
		x.MaxMTU = d.maxMTU
	}
}

// Bits of enum netdev_xdp_act (linux/netdev.h).
const (
	xdpFeatureBasic    = 1 << 0
	xdpFeatureRedirect = 1 << 1
	xdpFeatureZeroCopy = 1 << 3
	xdpFeatureRxSG     = 1 << 5
)
