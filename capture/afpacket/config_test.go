package afpacket

import (
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"mirrorscope/capture"
)

func TestDefaultConfig(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	text, err := toml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var again Config
	if err := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields().Decode(&again); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if again != c {
		t.Errorf("written and read: %+v, want %+v", again, c)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if f.Tag.Get("toml") == "" || f.Tag.Get("comment") == "" {
			t.Errorf("%s has no name or no comment in the file", f.Name)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		change func(*Config)
		want   string // "" for a good one
	}{
		{func(c *Config) { c.Rings = 0 }, "rings 0: want 1 to 256"},
		{func(c *Config) { c.Rings = 257 }, "rings 257: want 1 to 256"},
		{func(c *Config) { c.Rings = 256 }, ""},
		{func(c *Config) { c.BlockBytes = 65536 }, "block_bytes 65536: want a power of two from 131072 to 67108864"},
		{func(c *Config) { c.BlockBytes = 200000 }, "block_bytes 200000: want a power of two"},
		{func(c *Config) { c.BlockBytes = 1 << 27; c.Blocks = 2 }, "block_bytes 134217728: want a power of two from 131072 to 67108864"},
		{func(c *Config) { c.BlockBytes = 0 }, "block_bytes 0: want a power of two"},
		{func(c *Config) { c.BlockBytes = 1 << 26; c.Blocks = 32 }, ""},
		{func(c *Config) { c.BlockBytes = 1 << 26; c.Blocks = 33 }, "blocks 33 of block_bytes 67108864: a ring has at most 2147483648 octets"},
		{func(c *Config) { c.Blocks = 1 }, "blocks 1: want 2 to 65536"},
		{func(c *Config) { c.Blocks = 65537; c.BlockBytes = 1 << 17 }, "blocks 65537: want 2 to 65536"},
		{func(c *Config) { c.BlockTimeoutMS = 0 }, "block_timeout_ms 0: want 1 to 1000"},
		{func(c *Config) { c.BlockTimeoutMS = 1001 }, "block_timeout_ms 1001: want 1 to 1000"},
		{func(c *Config) { c.SnapBytes = 63 }, "snap_bytes 63: want 0, or at least 64"},
		{func(c *Config) { c.SnapBytes = -1 }, "snap_bytes -1: want 0, or at least 64"},
		{func(c *Config) { c.SnapBytes = 64 }, ""},
		{func(c *Config) { c.Timestamps = "Hardware" }, `timestamps "Hardware": want auto, hardware or software`},
		{func(c *Config) { c.Timestamps = "hardware" }, ""},
		{func(c *Config) { c.Timestamps = "software" }, ""},
		{func(c *Config) { c.SlackUS = -1 }, "slack_us -1: want 0 to 1000000"},
		{func(c *Config) { c.FanoutGroup = 65536 }, "fanout_group 65536: want 0 to 65535"},
		{func(c *Config) { c.FanoutGroup = -1 }, "fanout_group -1: want 0 to 65535"},
		{func(c *Config) { c.Rings, c.SnapBytes = -1, 1 }, "rings -1: want 1 to 256\nsnap_bytes 1: want 0, or at least 64"},
	} {
		c := DefaultConfig()
		tc.change(&c)
		err := c.Validate()
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%+v: %v", c, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("error %v, want %q", err, tc.want)
		}
	}
}

func TestLinkType(t *testing.T) {
	for hw, want := range map[uint16]capture.LinkType{
		1: capture.LinkEthernet, 772: capture.LinkEthernet,
		768: capture.LinkRaw, 769: capture.LinkRaw, 776: capture.LinkRaw, 778: capture.LinkRaw, 823: capture.LinkRaw, 519: capture.LinkRaw, 0xfffe: capture.LinkRaw,
	} {
		if got, err := linkType(hw); err != nil || got != want {
			t.Errorf("ARPHRD type %d: %s, %v, want %s", hw, got, err, want)
		}
	}
	for _, hw := range []uint16{32 /* InfiniBand */, 280 /* CAN */, 512 /* PPP */, 803 /* radiotap */, 824 /* netlink */} {
		if got, err := linkType(hw); err == nil || !strings.Contains(err.Error(), "ARPHRD type") {
			t.Errorf("ARPHRD type %d: %s, %v, want an error that names it", hw, got, err)
		}
	}
}
