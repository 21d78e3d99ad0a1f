package nic

import (
	"strings"
	"testing"
)

func TestTableName(t *testing.T) {
	names := map[string]string{}
	for ifname, want := range map[string]string{
		"eth1": "silent_eth1", "eth1.7": "silent_eth1.7", "br-lan": "silent_br_2dlan", "br_2dlan": "silent_br_5f2dlan", "en@1": "silent_en_401",
	} {
		got := tableName(ifname)
		if got != want {
			t.Errorf("%s: %s, want %s", ifname, got, want)
		}
		if other, twice := names[got]; twice {
			t.Errorf("%s and %s are both %s", ifname, other, got)
		}
		names[got] = ifname
	}
}

// TestGuardScriptOld: a kernel without the egress hook gets a script that it
// takes.
func TestGuardScriptOld(t *testing.T) {
	c := DefaultGuardConfig()
	if s := GuardScript("eth1", c, false); strings.Contains(s, "egress") || !strings.Contains(s, "hook ingress") {
		t.Error(s)
	}
	if HasEgress(Version{5, 15}) || !HasEgress(Version{5, 16}) {
		t.Error("the egress hook is there from 5.16")
	}
	c.Shared = true
	if s := GuardScript("eth1", c, true); strings.Contains(s, "egress") {
		t.Errorf("a shared interface may not send:\n%s", s)
	}
}

func TestGuardConfig(t *testing.T) {
	if err := DefaultGuardConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (GuardConfig{Shared: true}).Validate(); err == nil {
		t.Error("a shared guard without ports is taken")
	}
	if err := (GuardConfig{Ports: []uint16{0}}).Validate(); err == nil {
		t.Error("port 0 is taken")
	}
}

func TestValidName(t *testing.T) {
	for name, good := range map[string]bool{
		"eth0": true, "br-lan": true, "wg_0": true, "enp0s31f6.100": true, "": false, "a b": false, "a/b": false, "..": false,
		"sixteen-octets-1": false, `x"}`: false, "a:1": false, "a\nb": false,
	} {
		if err := ValidName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
