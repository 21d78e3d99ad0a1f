package afpacket

import (
	"fmt"

	"mirrorscope/capture"
)

// Types of interface (ARPHRD_, linux/if_arp.h).
const (
	hwEther    = 1
	hwRawIP    = 519
	hwTunnel   = 768 // IPv4 in IPv4
	hwTunnel6  = 769
	hwLoopback = 772 // frames with an Ethernet header of zeros
	hwSIT      = 776 // IPv6 in IPv4
	hwIPGRE    = 778
	hwIP6GRE   = 823
	hwNone     = 0xfffe // tun, WireGuard, …
)

// linkType gives what frames of an interface begin with.
func linkType(hw uint16) (capture.LinkType, error) {
	switch hw {
	case hwEther, hwLoopback:
		return capture.LinkEthernet, nil
	case hwRawIP, hwTunnel, hwTunnel6, hwSIT, hwIPGRE, hwIP6GRE, hwNone:
		return capture.LinkRaw, nil
	}
	return 0, fmt.Errorf("neither an Ethernet nor an IP interface (ARPHRD type %d)", hw)
}
