package tcp

import (
	"math/rand/v2"
	"testing"
)

// Distributions whose samples lie far apart count with what they take, until they
// are given back.
func TestWideDistributions(t *testing.T) {
	st := NewStore(DefaultConfig())
	r := rand.New(rand.NewPCG(1, 1))
	var all [20]uint32
	for range 20_000 {
		n := &all[r.IntN(len(all))]
		st.add(n, quantity(r.IntN(int(numQuantities))), int64(2000)<<r.IntN(18)+r.Int64N(2000))
		if r.IntN(2000) == 0 {
			st.closeInterval(*n)
		}
	}
	buckets := int64(0)
	for _, n := range all {
		for _, d := range st.distsOf(n).of {
			for _, h := range [...]uint32{d.running, d.before} {
				if h != 0 {
					buckets += int64(max(len(st.hists.At(h).Buckets())-usualBuckets, 0))
				}
			}
		}
	}
	if st.wide != 16*buckets || buckets == 0 {
		t.Errorf("%d octets count as wide, %d buckets are", st.wide, buckets)
	}
	for i := range all {
		st.freeSamples(&all[i])
	}
	if st.wide != 0 || st.Octets() != 0 {
		t.Errorf("%d octets are left, %d of them wide", st.Octets(), st.wide)
	}
}
