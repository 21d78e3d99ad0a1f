package sink

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"mirrorscope/packet"
)

func TestNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(n uint64) {
		for _, room := range []int{0, 1, 5, 30} {
			dst := make([]byte, 1, 1+room)
			if got, want := string(AppendUint(dst, n)), "\x00"+strconv.FormatUint(n, 10); got != want {
				t.Fatalf("%d became %q", n, got)
			}
			if got, want := string(AppendInt(dst, int64(n))), "\x00"+strconv.FormatInt(int64(n), 10); got != want {
				t.Fatalf("%d became %q", int64(n), got)
			}
		}
	}
	for _, ten := range tens {
		check(ten - 1)
		check(ten)
		check(ten + 1)
	}
	for shift := range 64 {
		check(1 << shift)
		check(1<<shift - 1)
		for range 100 {
			check(r.Uint64() >> shift)
		}
	}
	check(math.MaxUint64)
}

func TestAddr(t *testing.T) {
	for _, s := range []string{"0.0.0.0", "255.255.255.255", "10.1.99.100", "::", "::1", "2001:db8::9", "::fffe:1.2.3.4", "fe80::ffff:1.2.3.4"} {
		a := packet.AddrFrom(netip.MustParseAddr(s))
		if got := string(AppendAddr(nil, &a)); got != a.IP().String() {
			t.Errorf("%s became %s", s, got)
		}
	}
}

func TestClock(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var c Clock
	for range 10_000 {
		ns := r.Int64N(5e9) - 2e9
		if r.IntN(100) == 0 {
			ns = int64(r.Uint64())
		}
		if got, want := string(c.AppendTime(nil, ns)), string(AppendTime(nil, ns)); got != want {
			t.Fatalf("%d became %s, want %s", ns, got, want)
		}
	}
}
