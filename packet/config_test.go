package packet

import (
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	good := DefaultConfig()
	good.VXLANPorts, good.GenevePorts, good.Networks = []uint16{5555}, []uint16{6666}, map[uint32]string{7: "shop"}
	if err := good.Validate(); err != nil {
		t.Errorf("good config: %v", err)
	}
	bad := Config{
		VXLANPorts:  []uint16{0, 6081},
		GenevePorts: []uint16{0},
		Networks:    map[uint32]string{0: "zero", 1 << 24: "large", 5: "", 6: "a/b"},
		Fragments:   FragmentConfig{Timeout: -time.Second, Packets: 0, PerPoint: 1, Octets: 100},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("bad config passes")
	}
	for _, want := range []string{
		"vxlan port 0", "geneve port 0", "port 6081 is both", `network "zero": vni 0`, `network "large": vni 16777216`, "vni 5: name",
		"vni 6: name", "bound of points: 0", "bound of networks: 0", "bound of paths: 0", "timeout -1s", "bound of 0 packets",
		"1 packets per point", "bound of 100 octets",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not tell %q:\n%v", want, err)
		}
	}
}
