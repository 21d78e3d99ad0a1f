package tcp

import (
	"math/rand/v2"
	"testing"

	"mirrorscope/packet"
)

// What is looked for only where it may be is what is found by looking everywhere, though the
// clock goes back at times.
func TestTrouble(t *testing.T) {
	const grace = 500
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 71))
		var quick, slow trouble
		both := func(do func(*trouble)) {
			do(&quick)
			do(&slow)
		}
		d := &Dir{has: hasUna | hasTSval, idUp: int8(r.IntN(8))}
		stamps := seed%3 > 0
		now, hi, wait := int64(1e6), int64(0), int64(grace)+r.Int64N(300)
		dropped, settled, filled := int64(0), 0, 0
		for range 300 {
			now += r.Int64N(120) - 20
			switch r.IntN(8) {
			case 0, 1:
				h := hole{span: span{hi + r.Int64N(20), hi + 20 + r.Int64N(30)}, at: now, byACK: r.IntN(2) == 0}
				if r.IntN(3) == 0 {
					h.ackedAt = now
				}
				hi = h.hi
				both(func(x *trouble) { x.open(h) })
			case 2:
				lo := r.Int64N(hi + 1)
				length := r.Int64N(80)
				both(func(x *trouble) { x.arrived(lo, lo+length, now) })
			case 3:
				lo := r.Int64N(hi + 1)
				length := r.Int64N(40)
				both(func(x *trouble) { x.fill(lo, lo+length) })
			case 4:
				p := repeat{span: span{hi, hi + 1}, at: now, ackedAt: now * r.Int64N(2)}
				both(func(x *trouble) { x.keep(p) })
			case 5:
				lo, at := r.Int64N(hi+1), now-r.Int64N(50)
				x := rare{first: lo + 10, firstAt: at}
				d.una = r.Int64N(hi + 1)
				if len(quick.holes) == 0 || quick.holes[0].lo > lo+10 {
					both(func(t *trouble) { t.precede(d, &x, lo, lo+10, true) })
				}
			case 6:
				p := packet.Packet{Version: 4, IPID: uint16(r.IntN(9))}
				if stamps {
					p.TCP.Has, p.TCP.TSval = packet.HasTimestamps, r.Uint32()
				}
				s := hi - r.Int64N(40)
				lacking := func() (n int) {
					for i := range quick.holes {
						if h := &quick.holes[i]; h.byACK && !h.hasTS && !h.idsOK {
							n++
						}
					}
					return n
				}
				before := lacking()
				slow.lacks = true
				both(func(x *trouble) { x.behind(d, &p, s) })
				filled += before - lacking()
			default:
				slow.acked = 1
				n := len(quick.holes) + len(quick.repeats)
				missed, quiet := quick.settle(now, grace, wait)
				want, still := slow.settle(now, grace, wait)
				if missed != want || quiet != still {
					t.Fatalf("seed %d: %d octets missed, quiet %v; want %d, %v", seed, missed, quiet, want, still)
				}
				if dropped += missed; len(quick.holes)+len(quick.repeats) < n {
					settled++
				}
			}
			if !quick.is(&slow) {
				t.Fatalf("seed %d: %+v, want %+v", seed, quick, slow)
			}
		}
		if dropped == 0 || settled < 3 || stamps && filled == 0 {
			t.Errorf("seed %d: %d octets missed, %d times something settled, %d holes filled in", seed, dropped, settled, filled)
		}
	}
}
