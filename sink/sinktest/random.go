package sinktest

import (
	"math/rand/v2"
	"reflect"

	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/httpmeta"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// Random gives a connection whose ends said anything, and s now and then. The
// same seed gives the same.
func Random(seed uint64, s string) flow.Record {
	x := &random{rand.New(rand.NewPCG(seed, 0)), s}
	r := TCP()
	x.fill(reflect.ValueOf(&r.Report).Elem())
	for side := range r.Ends {
		x.fill(reflect.ValueOf(&r.Ends[side].Name).Elem())
	}
	r.End = r.Start + x.Int64N(1<<x.IntN(60))
	if r.Phases != nil {
		*r.Phases = x.phases(r.End - r.Start)
	}
	return r
}

// phases divides a duration.
func (x *random) phases(left int64) session.Phases {
	p := session.Phases{Overlap: x.IntN(2) == 0}
	for _, phase := range []*int64{&p.TCP, &p.Prelude, &p.ClientIdle, &p.TLS, &p.Request, &p.Server, &p.Network, &p.Transfer, &p.Idle, &p.Close} {
		*phase = x.Int64N(left + 1)
		left -= *phase
	}
	p.Unknown = left
	return p
}

type random struct {
	*rand.Rand
	s string
}

// bounds are how many values the types have that are named by a table.
var bounds = map[reflect.Type]int{
	reflect.TypeFor[tcp.State]():         4,
	reflect.TypeFor[tlsmeta.Outcome]():   int(tlsmeta.NotTLS) + 1,
	reflect.TypeFor[tlsmeta.EarlyData](): int(tlsmeta.EarlyRejected) + 1,
	reflect.TypeFor[httpmeta.Version]():  int(httpmeta.HTTP2) + 1,
	reflect.TypeFor[dnsmeta.Protocol]():  int(dnsmeta.LLMNR) + 1,
}

func (x *random) fill(v reflect.Value) {
	if n := bounds[v.Type()]; n > 0 {
		v.SetUint(x.Uint64N(uint64(n)))
		return
	}
	if h, ok := v.Addr().Interface().(*histogram.Histogram); ok {
		for range x.IntN(5) {
			h.Add(x.Int64N(1 << (1 + x.IntN(40))))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				x.fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		if x.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			x.fill(v.Elem())
		}
	case reflect.Slice:
		n := x.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			x.fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			x.fill(v.Index(i))
		}
	case reflect.String:
		v.SetString(x.text())
	case reflect.Bool:
		v.SetBool(x.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(x.Uint64()) >> (1 + x.IntN(63)))
	default:
		v.SetUint(x.Uint64() >> x.IntN(64) & (1<<v.Type().Bits() - 1))
	}
}

func (x *random) text() string {
	b := make([]byte, x.IntN(12))
	for i := range b {
		b[i] = byte(x.IntN(256))
	}
	switch x.IntN(3) {
	case 0:
		return ""
	case 1:
		return string(b)
	}
	return x.s + string(b)
}
