package afxdp

import (
	"strings"
	"testing"
)

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatalf("the default: %v", err)
	}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // "" is valid
	}{
		{"everything at its least", func(c *Config) {
			c.Frames, c.FillRing, c.RXRing, c.FrameBytes, c.SlackUS, c.BusyPollBudget, c.SpillBytes = 64, 64, 1, 2048, 0, 1, 256<<10
		}, ""},
		{"rings larger than needed", func(c *Config) { c.FillRing, c.RXRing = 1<<14, 1<<15 }, ""},
		{"attach", func(c *Config) { c.Attach = "offload" }, `attach "offload"`},
		{"zero copy", func(c *Config) { c.ZeroCopy = "yes" }, `zero_copy "yes"`},
		{"zero copy behind the driver", func(c *Config) { c.Attach, c.ZeroCopy = "generic", "on" }, `needs a native program`},
		{"queues", func(c *Config) { c.Queues = -1 }, "queues -1"},
		{"frames not a power of two", func(c *Config) { c.Frames = 5000 }, "frames 5000"},
		{"too few frames", func(c *Config) { c.Frames = 32 }, "frames 32"},
		{"frame size", func(c *Config) { c.FrameBytes = 8192 }, "frame_bytes 8192"},
		{"fill ring smaller than frames", func(c *Config) { c.FillRing = 4096 }, "fill_ring 4096: want 0, or a power of two from frames (16384)"},
		{"receive ring", func(c *Config) { c.RXRing = 100 }, "rx_ring 100"},
		{"busy poll", func(c *Config) { c.BusyPollUS = -1 }, "busy_poll_us -1"},
		{"busy poll budget", func(c *Config) { c.BusyPollBudget = 0 }, "busy_poll_budget 0"},
		{"slack", func(c *Config) { c.SlackUS = 2_000_000 }, "slack_us 2000000"},
		{"no room to wait", func(c *Config) { c.SpillBytes = 0 }, ""},
		{"too little room to wait", func(c *Config) { c.SpillBytes = 65536 }, "spill_bytes 65536: want 0, or a multiple of 4096 from 262144"},
		{"room to wait that is no page", func(c *Config) { c.SpillBytes = 1<<20 + 16 }, "spill_bytes 1048592"},
		{"two mistakes", func(c *Config) { c.Attach, c.FrameBytes = "", 1 }, "attach \"\": want auto, native or generic\nframe_bytes 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := DefaultConfig()
			tc.change(&c)
			switch err := c.Validate(); {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%v: does not say %q", err, tc.want)
			}
		})
	}
}
