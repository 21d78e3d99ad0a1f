package afxdp

import (
	"bytes"
	"testing"

	"mirrorscope/bpf"
)

// Behind the real filter: frames come whole in every mode, what the filter
// handed on is what the rings gave out and lost, and Stop leaves the filter in
// place, counting.
func TestPrefilter(t *testing.T) {
	for _, tc := range []struct {
		name, attach string
		mtu          int
		mode         bpf.AttachMode
	}{
		{"native", "auto", 1500, bpf.AttachNative},
		{"native, large frames", "auto", 9001, bpf.AttachFrags},
		{"generic, large frames", "generic", 9001, bpf.AttachGeneric},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.mode == bpf.AttachFrags {
				severalBuffers(t)
			}
			l := newLab(t, 2, tc.mtu)
			p, err := bpf.Load(bpf.DefaultConfig(), bpf.ToSocket, 2)
			must(t, err)
			cfg := small()
			cfg.Attach, cfg.Frames = tc.attach, 256
			c, err := Open("m2", cfg, p)
			must(t, err)
			defer func() { must(t, c.Close()) }()
			if c.Choice().Attach != tc.mode {
				t.Fatalf("choice: %s", c.Choice().Explain())
			}
			const n = 200
			size := func(i int) int { return 60 + i*(tc.mtu-46)/n }
			for i := range n {
				l.send(frame(size(i), i))
				if i%20 == 19 { // large frames take several buffers of 256
					for _, f := range read(t, c, 20) {
						if i := number(f.Data); !bytes.Equal(f.Data, frame(size(i), i)) || f.WireLen != size(i) {
							t.Fatalf("frame %d of %d octets: %d, and %d on the wire", i, size(i), len(f.Data), f.WireLen)
						}
					}
				}
			}
			for i := range 1000 { // nobody reads
				l.send(frame(60, i))
			}
			readUntil(t, c, func([]got) bool { return given(c)+lost(c) == n+1000 })
			if g, lo, to := given(c), lost(c), verdict(t, p, "socket"); g+lo != n+1000 || lo == 0 || to != g+lo {
				t.Errorf("%d sent; the filter handed on %d, the rings gave out %d and lost %d", n+1000, to, g, lo)
			}
			before := verdict(t, p, "socket")
			must(t, c.Stop())
			for i := range 10 {
				l.send(frame(60, i))
			}
			if frames := readUntil(t, c, func([]got) bool { return verdict(t, p, "no_socket") == 10 }); len(frames) != 0 || verdict(t, p, "socket") != before || verdict(t, p, "no_socket") != 10 {
				t.Errorf("after Stop %d frames came; the filter found no socket for %d of 10", len(frames), verdict(t, p, "no_socket"))
			}
		})
	}
}

// given sums what the rings gave out.
func given(c *Capture) int {
	n := uint64(0)
	for _, r := range c.Rings() {
		n += r.Stats().Frames
	}
	return int(n)
}

// verdict is one of the filter's counters.
func verdict(t testing.TB, p *bpf.Prefilter, name string) int {
	t.Helper()
	counters, err := p.Counters()
	must(t, err)
	for _, v := range counters.Verdicts {
		if v.Name == name {
			return int(v.Packets)
		}
	}
	t.Fatalf("the filter has no verdict %q", name)
	return 0
}
