package pool

import "testing"

func TestPool(t *testing.T) {
	var p Pool[[4]int]
	var got []uint32
	for i := range 1000 {
		n := p.GetZero()
		p.At(n)[0] = i
		got = append(got, n)
	}
	for i, n := range got {
		if n == 0 || p.At(n)[0] != i {
			t.Fatalf("value %d under number %d is %d", i, n, p.At(n)[0])
		}
	}
	for _, n := range got[:500] {
		p.Put(n)
	}
	if p.InUse() != 500 {
		t.Errorf("%d in use, want 500", p.InUse())
	}
	if n := p.GetZero(); n != got[499] || p.At(n)[0] != 0 {
		t.Errorf("number %d with %d, want %d, cleared", n, p.At(n)[0], got[499])
	}
	if n := testing.AllocsPerRun(100, func() { p.Put(p.Get()) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
