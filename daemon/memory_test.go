package daemon

import "testing"

// What is planned is within what is usable, wherever that can be, and most of it
// is for connections where there is plenty.
func TestPlanMemory(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Capture.Interfaces = []string{"eth1", "eth2"}
	cfg.Output.File.Directory, cfg.Output.Stdout, cfg.Measure.Shards = "/tmp", true, 2
	const mib = 1 << 20
	last := int64(0)
	for _, usable := range []int64{512 * mib, 1024 * mib, 2048 * mib, 16384 * mib, 262144 * mib} {
		m := PlanMemory(&cfg, false, usable)
		if m.Rings != 2*64*mib {
			t.Errorf("%d MiB: rings of %d MiB, want two of 64", usable/mib, m.Rings/mib)
		}
		if sum := m.Rings + processMemory + m.Heap; sum > usable || !m.Fits {
			t.Errorf("%d MiB: %d are planned: %+v", usable/mib, sum/mib, m)
		}
		if held := m.Connections + m.Beside; held > m.Heap/8*7+8 {
			t.Errorf("%d MiB: %d MiB in a heap of %d, want seven eighths of it at most", usable/mib, held/mib, m.Heap/mib)
		}
		if m.Connections <= last || m.Connections > usable/100*mostTables+mib {
			t.Errorf("%d MiB: %d MiB for connections, want more than %d and at most %d %%", usable/mib, m.Connections/mib, last/mib, mostTables)
		}
		last = m.Connections
		t.Logf("%6d MiB: rings %d, heap %d, connections %d, beside %d", usable/mib, m.Rings/mib, m.Heap/mib, m.Connections/mib, m.Beside/mib)
	}
	if last < 262144*mib/2 {
		t.Errorf("%d MiB for connections of 256 GiB, want more than half", last/mib)
	}
	for what, m := range map[string]Memory{
		"little": PlanMemory(&cfg, false, 200*mib),
		"given": func() Memory {
			more := cfg
			more.Measure.Memory = 2048 * mib
			return PlanMemory(&more, false, 2048*mib)
		}(),
	} {
		if m.Fits {
			t.Errorf("%s: it is said to fit: %+v", what, m)
		}
	}
	// Names take their part where there are some, and none where there are not.
	named := cfg
	named.Tags.Files = []string{"/etc/tags.toml"}
	if a, b := namesMemory(&cfg.Tags, 0), namesMemory(&named.Tags, 0); a != 0 || b < 8*mib || b > 16*mib {
		t.Errorf("names: %d octets without, %d with a file", a, b)
	}
	if n := namesMemory(&cfg.Tags, 3); n < 3*mostNames || n > 3*mostNames+16*mib {
		t.Errorf("names of three inventories: %d MiB", n/mib)
	}
	if a, b := PlanMemory(&cfg, false, 512*mib), PlanMemory(&named, false, 512*mib); b.Connections >= a.Connections || !b.Fits {
		t.Errorf("with names %d MiB are for connections, without %d", b.Connections/mib, a.Connections/mib)
	}
	cfg.Capture.Mode, cfg.Capture.AFXDP.Queues = ModeAFXDP, 1
	if m := PlanMemory(&cfg, false, 2048*mib); m.Rings < 2*(int64(cfg.Capture.AFXDP.Frames)*int64(cfg.Capture.AFXDP.FrameBytes+48)+int64(cfg.Capture.AFXDP.SpillBytes)) {
		t.Errorf("AF_XDP: rings of %d MiB", m.Rings/mib)
	}
}

// Records of intervals are made where somebody looks at them.
func TestWants(t *testing.T) {
	for _, tc := range []struct {
		name           string
		set            func(*Config)
		top, intervals bool
	}{
		{"nobody", func(*Config) {}, false, false},
		{"intervals that are written nowhere", func(c *Config) { c.Output.Intervals = true }, false, false},
		{"standard output", func(c *Config) { c.Output.Intervals, c.Output.Stdout = true, true }, false, true},
		{"ends alone", func(c *Config) { c.Output.Stdout, c.Output.File.Directory = true, "/tmp" }, false, false},
		{"files", func(c *Config) { c.Output.Intervals, c.Output.File.Directory = true, "/tmp" }, false, true},
		{"top", func(c *Config) { c.Top.Socket = "/tmp/top" }, true, true},
		{"metrics", func(c *Config) { c.Health.Listen = "127.0.0.1:9090" }, false, true},
		{"metrics of conversations", func(c *Config) { c.Health.Listen, c.Metrics.Conversations = "127.0.0.1:9090", 10 }, true, true},
		{"metrics of conversations that nobody can ask for", func(c *Config) { c.Metrics.Conversations = 10 }, false, false},
	} {
		c := DefaultConfig()
		c.Top.Socket, c.Health.Listen, c.Metrics.Conversations, c.Output.Intervals = "", "", 0, false
		tc.set(&c)
		if c.wantsTop() != tc.top || c.wantsIntervals() != tc.intervals {
			t.Errorf("%s: conversations %v, intervals %v", tc.name, c.wantsTop(), c.wantsIntervals())
		}
	}
}
