package nic

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// everything gives an interface all that Plan mends on a veth.
func (l *lab) everything() {
	l.t.Helper()
	for _, args := range []string{
		"ip link set cap0 down",
		"ip addr add 10.99.0.2/24 dev cap0",
		"ethtool -K cap0 gro on rxvlan on rx-vlan-stag-hw-parse on",
		"sysctl -qw net.ipv4.conf.cap0.forwarding=1 net.ipv6.conf.cap0.disable_ipv6=0 net.ipv6.conf.cap0.accept_dad=0",
		"ip link set cap0 up",
		"ip addr add fd00::2/64 dev cap0 nodad",
		"ip link set cap0 down",
	} {
		words := strings.Fields(args)
		l.run(l.sensor, "", words[0], words[1:]...)
	}
}

// state is all that can be seen of the settings.
func (l *lab) state() string {
	l.t.Helper()
	f := l.inspect()
	f.Carrier, f.Unknown = false, nil
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

var spanUse = Use{AFXDP: true, Mirror: MirrorPort}

// TestApplyRestore goes there and back: when all is applied nothing is left to
// do, and after Restore everything is as it was.
func TestApplyRestore(t *testing.T) {
	l := newLab(t)
	l.everything()
	before := l.state()
	plan := Plan(l.inspect(), spanUse)
	var settings []string
	for _, c := range plan {
		settings = append(settings, string(c.Setting))
	}
	if got, want := strings.Join(settings, " "), "ipv6 forwarding addresses promiscuous gro rx_vlan rx_vlan_stag link"; got != want {
		t.Fatalf("plan: %s\nwant: %s", got, want)
	}
	var applied *Applied
	l.in(l.sensor, func() (err error) { applied, err = Apply(plan); return err })

	// The address has gone and with it the reason for ARP.
	left := Plan(l.inspect(), spanUse)
	if len(left) != 1 || left[0].Setting != SetARP {
		t.Errorf("left to do: %+v, want ARP alone", left)
	}
	var arp *Applied
	l.in(l.sensor, func() (err error) { arp, err = Apply(left); return err })
	if left := Plan(l.inspect(), spanUse); len(left) != 0 {
		t.Errorf("left to do: %+v", left)
	}
	if after := l.state(); after == before {
		t.Error("nothing has changed")
	}
	l.in(l.sensor, func() error { return errors.Join(arp.Restore(), applied.Restore()) })
	if after := l.state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	l.in(l.sensor, applied.Restore) // does nothing
	if after := l.state(); after != before {
		t.Error("a second Restore changes something")
	}
}

// TestCommands: the command of a change does what Apply does, and that of its
// reverse undoes it.
func TestCommands(t *testing.T) {
	l := newLab(t)
	l.everything()
	before := l.state()
	plan := Plan(l.inspect(), Use{AFXDP: true, Mirror: MirrorPort})
	var applied *Applied
	l.in(l.sensor, func() (err error) { applied, err = Apply(plan); return err })
	want := l.state()
	l.in(l.sensor, applied.Restore)

	for _, c := range plan {
		l.run(l.sensor, "", "sh", "-ec", c.Command())
	}
	if got := l.state(); got != want {
		t.Errorf("by hand:\n%s\nby Apply:\n%s", got, want)
	}
	for i := len(plan) - 1; i >= 0; i-- {
		l.run(l.sensor, "", "sh", "-ec", plan[i].Reverse().Command())
	}
	// The command to switch IPv6 on cannot know its addresses.
	l.run(l.sensor, "", "ip", "link", "set", capName, "up")
	l.run(l.sensor, "", "ip", "addr", "add", "fd00::2/64", "dev", capName, "nodad")
	l.run(l.sensor, "", "ip", "link", "set", capName, "down")
	if got := l.state(); got != before {
		t.Errorf("by hand and back:\n%s\nbefore:\n%s", got, before)
	}
}

// TestApplyMTU with what the sources' packets need.
func TestApplyMTU(t *testing.T) {
	l := newLab(t)
	use := Use{Mirror: MirrorTunnel, SourceMTU: 9001}
	plan := Plan(l.inspect(), use)
	i := 0
	for ; i < len(plan) && plan[i].Setting != SetMTU; i++ {
	}
	if i == len(plan) || plan[i].To != "9075" {
		t.Fatalf("plan %+v: want an MTU of 9001+74", plan)
	}
	l.in(l.sensor, func() error { _, err := Apply(plan[i : i+1]); return err })
	if got := l.inspect().MTU; got != 9075 {
		t.Errorf("MTU %d", got)
	}
}

// TestApplyFails: what cannot be done is told with its command, and the rest
// is done.
func TestApplyFails(t *testing.T) {
	l := newLab(t)
	changes := []Change{
		{Setting: SetRing, From: "1", To: "2", Interface: capName}, // a veth has none
		{Setting: SetGROHW, From: "off", To: "on", Interface: capName},
		{Setting: SetMTU, From: "1500", To: "1400", Interface: capName},
		{Setting: "colour", To: "red", Interface: capName},
	}
	var a *Applied
	var err error
	l.in(l.sensor, func() error { a, err = Apply(changes); return nil })
	if len(a.Done) != 1 || a.Done[0].Setting != SetMTU || l.inspect().MTU != 1400 {
		t.Errorf("done: %+v", a.Done)
	}
	for _, want := range []string{"ethtool -G cap0 rx 2: ring 2: operation not supported", "rx-gro-hw stays off", "colour"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	l.in(l.sensor, func() error {
		if _, err := Apply([]Change{{Setting: SetMTU, To: "1400", Interface: "gone0"}}); !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("an interface that is not there: %w", err)
		}
		return nil
	})
}

// TestApplyQueues sets what a veth can set as well.
func TestApplyQueues(t *testing.T) {
	l := newLabOf(t, 4)
	q := l.inspect().Queues
	c := Change{Setting: SetQueues, From: fmt.Sprintf("rx %d tx %d", q.RX, q.TX), To: "rx 3 tx 2", Interface: capName}
	var a *Applied
	l.in(l.sensor, func() (err error) { a, err = Apply([]Change{c}); return err })
	if got := l.inspect().Queues; got.RX != 3 || got.TX != 2 {
		t.Errorf("%+v", got)
	}
	l.in(l.sensor, a.Restore)
	if got := l.inspect().Queues; got != q {
		t.Errorf("restored: %+v, want %+v", got, q)
	}
}
