package histogram

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// shapes are ways in which durations are spread.
var shapes = map[string]func(*rand.Rand) int64{
	"uniform":   func(r *rand.Rand) int64 { return 1000 + r.Int64N(1e9) },
	"lognormal": func(r *rand.Rand) int64 { return 1000 + int64(math.Exp(r.NormFloat64()*3+13)) },
	"bimodal": func(r *rand.Rand) int64 {
		if r.IntN(10) == 0 {
			return 1e9 + r.Int64N(1e7)
		}
		return 2e5 + r.Int64N(1e4)
	},
	"near one µs": func(r *rand.Rand) int64 { return 1000 + r.Int64N(60) },
	"constant":    func(*rand.Rand) int64 { return 812_345 },
	"any":         func(r *rand.Rand) int64 { return 1000 + r.Int64N(math.MaxInt64>>r.IntN(50)) },
}

func TestQuantileError(t *testing.T) {
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for round := range 20 {
				var h Histogram
				values := make([]int64, 1+r.IntN(3000))
				for i := range values {
					values[i] = shape(r)
					h.Add(values[i])
				}
				slices.Sort(values)
				for _, q := range []float64{0, 0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
					rank := max(1, int(math.Ceil(q*float64(len(values)))))
					exact := float64(values[rank-1])
					got, ok := h.Quantile(q)
					if !ok || math.Abs(got-exact) > 0.011*exact {
						t.Fatalf("round %d: quantile %v of %d values = %v, %v, want %v: %.3f %% off", round, q, len(values), got, ok, exact, 100*math.Abs(got-exact)/exact)
					}
				}
				if h.Min() != values[0] || h.Max() != values[len(values)-1] || h.Count() != uint64(len(values)) {
					t.Fatalf("round %d: min %d max %d count %d are not exact", round, h.Min(), h.Max(), h.Count())
				}
			}
		})
	}
}

func TestQuantileOfNothing(t *testing.T) {
	var h Histogram
	if _, ok := h.Quantile(0.5); ok {
		t.Error("an empty histogram has a median")
	}
	h.Add(-5)
	if h.Count() != 0 {
		t.Error("a negative duration was counted")
	}
	h.Add(5)
	if _, ok := h.Quantile(math.NaN()); ok {
		t.Error("quantile NaN has a value")
	}
	if v, ok := h.Quantile(0.5); !ok || v != 5 || h.Zero() != 1 || len(h.Buckets()) != 0 {
		t.Errorf("5 ns: median %v %v, zero bucket %d, buckets %v", v, ok, h.Zero(), h.Buckets())
	}
}

func TestMergeEqualsOne(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, shape := range shapes {
		for _, limit := range []int{0, 1, 7, 100} {
			whole := Histogram{Limit: limit}
			parts := [3]Histogram{{Limit: limit}, {Limit: limit}, {Limit: limit}}
			for range 2000 {
				v := shape(r) - r.Int64N(1000) // some below 1 µs
				whole.Add(v)
				parts[r.IntN(3)].Add(v)
			}
			merged := Histogram{Limit: limit}
			for _, i := range r.Perm(3) {
				merged.Merge(&parts[i])
			}
			requireEqual(t, name, &merged, &whole)
			if limit > 0 && len(whole.Buckets()) > limit {
				t.Errorf("%s: %d buckets, limit %d", name, len(whole.Buckets()), limit)
			}
		}
	}
}

func TestDownscaleIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for name, shape := range shapes {
		for scale := range MaxScale {
			var late, early Histogram
			early.Downscale(scale)
			for range 1000 {
				v := shape(r)
				late.Add(v)
				early.Add(v)
			}
			late.Downscale(scale)
			requireEqual(t, name, &late, &early)
			if late.Scale() != scale {
				t.Errorf("scale %d, want %d", late.Scale(), scale)
			}
		}
	}
}

func TestMergeTakesCoarserScale(t *testing.T) {
	for _, scales := range [][2]int{{5, 3}, {3, 5}} {
		var a, b, want Histogram
		a.Downscale(scales[0])
		b.Downscale(scales[1])
		want.Downscale(3)
		for v := int64(1000); v < 1e7; v += v / 7 {
			a.Add(v)
			b.Add(v * 3)
			want.Add(v)
			want.Add(v * 3)
		}
		a.Merge(&b)
		requireEqual(t, "merged", &a, &want)
	}
}

func TestLimitKeepsHighQuantiles(t *testing.T) {
	h := Histogram{Limit: 64}
	values := make([]int64, 0, 10000)
	r := rand.New(rand.NewPCG(7, 8))
	for range 10000 {
		v := shapes["lognormal"](r)
		values = append(values, v)
		h.Add(v)
	}
	slices.Sort(values)
	got, _ := h.Quantile(0.99)
	if exact := float64(values[9899]); math.Abs(got-exact) > 0.011*exact {
		t.Errorf("p99 with a limit = %v, want %v", got, exact)
	}
	if got, _ := h.Quantile(0.01); got <= float64(values[99]) {
		t.Errorf("p1 = %v: the lowest buckets were to collapse upward", got)
	}
}

func TestSumSaturates(t *testing.T) {
	var h Histogram
	h.Add(math.MaxInt64)
	h.Add(math.MaxInt64)
	if h.Sum() != math.MaxInt64 {
		t.Errorf("sum = %d", h.Sum())
	}
}

func TestReset(t *testing.T) {
	h := Histogram{Limit: 3}
	h.Downscale(2)
	h.Add(5e6)
	h.Reset()
	if h.Count() != 0 || h.Sum() != 0 || h.Scale() != MaxScale || len(h.Buckets()) != 0 || h.Limit != 3 {
		t.Errorf("after Reset: %+v", h)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	h := Histogram{Limit: 50}
	for v := int64(500); v < 1e7; v += v / 5 {
		h.Add(v)
	}
	c := h.Clone()
	requireEqual(t, "clone", c, &h)
	n := h.Buckets()[0].Count
	c.Add(1001)
	c.Buckets()[0].Count += 7
	if got := h.Buckets()[0].Count; got != n || h.Min() != 500 {
		t.Errorf("a change of the copy shows: %d in the first bucket, was %d", got, n)
	}
	if c.Limit != 50 {
		t.Errorf("limit %d", c.Limit)
	}
}

func TestAddAllocs(t *testing.T) {
	var h Histogram
	values := make([]int64, 256)
	r := rand.New(rand.NewPCG(9, 10))
	for i := range values {
		values[i] = shapes["lognormal"](r)
		h.Add(values[i])
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() { h.Add(values[i%len(values)]); i++ }); n != 0 {
		t.Errorf("Add: %v allocations per value, want 0", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	var h Histogram
	r := rand.New(rand.NewPCG(11, 12))
	values := make([]int64, 4096)
	for i := range values {
		values[i] = shapes["lognormal"](r)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Add(values[i%len(values)])
	}
}

func requireEqual(t *testing.T, name string, got, want *Histogram) {
	t.Helper()
	if got.Count() != want.Count() || got.Zero() != want.Zero() || got.Sum() != want.Sum() || got.Min() != want.Min() ||
		got.Max() != want.Max() || got.Scale() != want.Scale() || !slices.Equal(got.Buckets(), want.Buckets()) {
		t.Fatalf("%s:\ngot  %+v\nwant %+v", name, got, want)
	}
}

// A few values in order give the histogram that adding them gives, and its
// quantiles.
func TestFillRising(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 20000 {
		values := make([]uint32, 1+r.IntN(20))
		bits := 1 + r.IntN(31)
		var h Histogram
		for i := range values {
			values[i] = r.Uint32N(1 << bits)
			h.Add(int64(values[i]))
		}
		slices.Sort(values)
		got := Histogram{buckets: make([]Bucket, 0, r.IntN(20))}
		got.FillRising(values)
		if !slices.Equal(got.buckets, h.buckets) {
			t.Fatalf("%d: buckets %v, want %v", values, got.buckets, h.buckets)
		}
		got.buckets, h.buckets = nil, nil
		if !reflect.DeepEqual(got, h) {
			t.Fatalf("%d: %+v, want %+v", values, got, h)
		}
		h = Histogram{}
		for _, v := range values {
			h.Add(int64(v))
		}
		for _, ns := range values {
			rank, _ := slices.BinarySearch(values, ns)
			if want, _ := h.Quantile((float64(rank) + 0.5) / float64(len(values))); Nearest(ns, values[0], values[len(values)-1]) != want {
				t.Fatalf("%d of %d: %v, want %v", ns, values, Nearest(ns, values[0], values[len(values)-1]), want)
			}
		}
	}
}

// Many values at once give the histogram that adding each gives, whatever is there.
func TestAddAll(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 3000 {
		var got, want Histogram
		for range 1 + r.IntN(8) {
			values := make([]uint32, r.IntN(20))
			bits := 1 + r.IntN(31)
			for i := range values {
				values[i] = r.Uint32N(1 << bits)
				want.Add(int64(values[i]))
			}
			if got.AddAll(values); r.IntN(8) == 0 {
				got.Downscale(got.Scale() - 1)
				want.Downscale(want.Scale() - 1)
			}
			requireEqual(t, "all at once", &got, &want)
		}
	}
}
