package afxdp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
)

// On a kernel that has one buffer for a frame only, large frames go through a
// generic program, which counts what is too long, and the choice says so.
func TestOneBuffer(t *testing.T) {
	l := newLab(t, 1, 9001)
	link, err := openNetif("m2")
	must(t, err)
	c := &Capture{prog: newBare(t, bare{frags: true}), link: link, noFrags: errors.New("an old kernel")}
	t.Cleanup(func() { must(t, c.Close()) })
	c.choice.Queues = 1
	must(t, c.attach(small()))
	sockets, err := c.bind(small())
	must(t, err)
	must(t, c.start(small(), sockets))
	said := c.Choice().Explain()
	for _, want := range []string{"generic program", "native_frags program refused: an old kernel", "one buffer a frame: an old kernel", "frames of more than 3824 octets are lost"} {
		if !strings.Contains(said, want) {
			t.Errorf("no word of %q in: %s", want, said)
		}
	}
	if c.choice.MultiBuffer || c.choice.MaxFrame != 3824 {
		t.Errorf("choice: %s", said)
	}
	for i, n := range []int{3824, 3825, 9000, 100} {
		l.send(frame(n, i))
	}
	frames := read(t, c, 2)
	if len(frames) != 2 || len(frames[0].Data) != 3824 || len(frames[1].Data) != 100 || count(t, c, "xsk_rx_dropped") != 2 {
		t.Errorf("%d frames; %+v", len(frames), c.Rings()[0].Stats())
	}
	severalBuffers(t)
	if err := probeFrags(); err != nil {
		t.Errorf("this kernel has them (see TestJumbo): %v", err)
	}
}

// What is tried first, where frames fit into a buffer and where not.
func TestVariants(t *testing.T) {
	zc := func(frags bool) variant { return variant{true, frags, true} }
	cp := func(frags bool) variant { return variant{false, frags, true} }
	old := errors.New("an old kernel")
	for _, tc := range []struct {
		name     string
		zeroCopy string
		attach   bpf.AttachMode
		noFrags  error
		fits     bool
		want     []variant
	}{
		{"they fit", "auto", bpf.AttachNative, nil, true, []variant{zc(true), zc(false), cp(true), cp(false)}},
		{"whole frames before zero copy", "auto", bpf.AttachFrags, nil, false, []variant{zc(true), cp(true), zc(false), cp(false)}},
		{"old kernel", "auto", bpf.AttachNative, old, true, []variant{zc(false), cp(false)}},
		{"zero copy alone", "on", bpf.AttachNative, nil, true, []variant{zc(true), zc(false)}},
		{"copy mode alone", "off", bpf.AttachNative, nil, false, []variant{cp(true), cp(false)}},
		{"generic", "auto", bpf.AttachGeneric, nil, true, []variant{cp(true), cp(false)}},
	} {
		c := &Capture{noFrags: tc.noFrags}
		c.choice.Attach = tc.attach
		cfg := DefaultConfig()
		cfg.ZeroCopy = tc.zeroCopy
		if got := c.variants(cfg, tc.fits); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// What Open chose is what the kernel took, and each refusal is named.
func TestChoice(t *testing.T) {
	severalBuffers(t)
	for _, tc := range []struct {
		name    string
		ifname  string
		change  func(*Config)
		bare    bare
		attach  bpf.AttachMode
		because []string
	}{
		{"native in copy mode", "m2", nil, bare{}, bpf.AttachNative, []string{"zero copy", "the driver does not do it", "huge pages"}},
		{"native over several buffers", "m2", nil, bare{frags: true}, bpf.AttachFrags, []string{"native program refused: not supported"}},
		{"generic, because the driver has no XDP", "lo", nil, bare{}, bpf.AttachGeneric, []string{"native program refused", "native_frags program refused", "copy mode: zero copy needs a native program"}},
		{"generic, because the program has no native form", "m2", nil, bare{noNative: true}, bpf.AttachGeneric, []string{"native program refused: not supported"}},
		{"generic, as configured", "m2", func(c *Config) { c.Attach = "generic" }, bare{}, bpf.AttachGeneric, []string{`generic program: attach = "generic"`}},
		{"copy mode, as configured", "m2", func(c *Config) { c.ZeroCopy = "off" }, bare{}, bpf.AttachNative, []string{`copy mode: zero_copy = "off"`}},
		{"fewer queues", "m2", func(c *Config) { c.Queues = 1 }, bare{}, bpf.AttachNative, []string{"queues = 1 of the 2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, 2, 1500)
			if tc.ifname == "lo" {
				must(t, netlink.LinkSetUp(device(t, "lo")))
			}
			cfg := small()
			if tc.change != nil {
				tc.change(&cfg)
			}
			c, err := Open(tc.ifname, cfg, newBare(t, tc.bare))
			must(t, err)
			defer c.Close()
			ch := c.Choice()
			if ch.Attach != tc.attach || ch.ZeroCopy || !ch.MultiBuffer || ch.Queues != len(c.Rings()) || ch.MaxFrame != maxFrame {
				t.Errorf("choice: %s", ch.Explain())
			}
			said := ch.Explain()
			for _, b := range tc.because {
				if !strings.Contains(said, b) {
					t.Errorf("no word of %q in: %s", b, said)
				}
			}
			if tc.ifname != "m2" {
				return
			}
			xdp := device(t, "m2").Attrs().Xdp
			if mode := map[bpf.AttachMode]uint32{bpf.AttachNative: 1, bpf.AttachFrags: 1, bpf.AttachGeneric: 2}[tc.attach]; xdp == nil || xdp.AttachMode != mode { // XDP_ATTACHED_DRV, _SKB
				t.Errorf("the kernel says %+v for %s", xdp, ch)
			}
			l.send(frame(60, 1))
			if tc.name != "fewer queues" && len(read(t, c, 1)) != 1 {
				t.Error("no frame came")
			}
		})
	}
}

// An Open that fails says why, and leaves nothing behind.
func TestOpenFails(t *testing.T) {
	l := newLab(t, 2, 1500)
	for _, tc := range []struct {
		name, ifname string
		change       func(*Config)
		want         error
		says         []string
	}{
		{"no such interface", "m3", nil, unix.ENODEV, []string{"interface m3"}},
		{"wrong configuration", "m2", func(c *Config) { c.Frames = 1000 }, nil, []string{"frames 1000"}},
		{"more queues than there are", "m2", func(c *Config) { c.Queues = 3 }, nil, []string{"queues = 3", "has 2"}},
		{"zero copy, which veth has not", "m2", func(c *Config) { c.ZeroCopy = "on" }, unix.EOPNOTSUPP, []string{"queue 0: bind: the driver does not do it"}},
		{"native, which lo has not", "lo", func(c *Config) { c.Attach = "native" }, nil, []string{"native program refused"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l.enter(t)
			cfg := small()
			if tc.change != nil {
				tc.change(&cfg)
			}
			prog := newBare(t, bare{})
			c, err := Open(tc.ifname, cfg, prog)
			if err == nil {
				c.Close()
				t.Fatal("it opened")
			}
			if tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%v: does not wrap %v", err, tc.want)
			}
			for _, s := range append(tc.says, "AF_XDP on "+tc.ifname) {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v: no word of %q", err, s)
				}
			}
			if _, err := prog.prog.Info(); err == nil {
				t.Error("the program is still open")
			}
		})
	}
	if xdp := device(t, "m2").Attrs().Xdp; xdp != nil && xdp.Attached {
		t.Errorf("a program is still attached: %+v", xdp)
	}
}
