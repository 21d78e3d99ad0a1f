package afxdp

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// The interface is promiscuous while it is captured from, and not any longer.
func TestPromiscuous(t *testing.T) {
	for _, want := range []bool{true, false} {
		l := newLab(t, 1, 1500)
		cfg := small()
		cfg.Promiscuous = want
		c := l.open(cfg, bare{})
		promiscuous := func() bool {
			link, err := netlink.LinkByName("m2")
			must(t, err)
			return link.Attrs().Promisc > 0
		}
		if promiscuous() != want {
			t.Errorf("promiscuous = %v: the interface is not", want)
		}
		must(t, c.Close())
		if promiscuous() {
			t.Errorf("promiscuous = %v: the interface is so after Close", want)
		}
	}
}
