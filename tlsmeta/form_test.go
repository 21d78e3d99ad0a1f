package tlsmeta

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
)

// helloMessages are those of helloBodies with their headers, and one that offers
// all that changes from hello to hello.
func helloMessages(t testing.TB) (all [][]byte) {
	for _, b := range helloBodies(t) {
		all = append(all, append([]byte{msgClientHello, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...))
	}
	for _, rec := range [][]byte{ch12, ch13, ch12again, chEarly, chPSK} {
		all = append(all, rec[5:])
	}
	return all
}

// readHello is Info.hello without what was met before.
func readHello(i *Info, b []byte) bool {
	var h ClientHello
	if _, err := ParseClientHello(b, &h); err != nil {
		return false
	}
	i.ClientHello(&h, TransportTCP)
	return true
}

// sameForms gives one message after the other to f, which knows what it has met.
func sameForms(t testing.TB, f *forms, b []byte) (known bool) {
	t.Helper()
	before := []Info{{}, {JA4: "first", EarlyData: EarlyOffered, SNI: "a"}}
	for _, was := range before {
		got, want := was, was
		ok, wantOK := false, readHello(&want, b)
		if x := f.find(b); x != nil {
			got.helloAgain(x, b)
			ok, known = true, true
		} else if ok = readHello(&got, b); ok {
			var h ClientHello
			_, _ = ParseClientHello(b, &h)
			f.learn(b, &h)
		}
		if ok != wantOK || ok && !reflect.DeepEqual(got, want) {
			t.Fatalf("%x: %v %+v, want %v %+v", b, ok, got, wantOK, want)
		}
	}
	return known
}

// What a hello tells is the same whether its form was met before or not.
func TestForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var f forms
	for i, m := range helloMessages(t) {
		for range 3 {
			sameForms(t, &f, m)
		}
		var h ClientHello
		if _, err := ParseClientHello(m, &h); err != nil {
			t.Fatal(err)
		}
		known := 0
		for range 30_000 {
			b := bytes.Clone(m)
			random := 4 + 2 + rng.IntN(32+1+len(h.SessionID))
			if random != leastForm-1 {
				b[random]++
			}
			for range rng.IntN(3) {
				b[rng.IntN(len(b))] = byte(rng.IntN(256) >> rng.IntN(8))
			}
			switch rng.IntN(20) {
			case 0:
				b = b[:rng.IntN(len(b))]
			case 1:
				b = append(b, 0)
			}
			if sameForms(t, &f, b) {
				known++
			}
		}
		if known < 8_000 && len(m) > 200 {
			t.Errorf("hello %d: %d of 30000 are known", i, known)
		}
	}
}

// All that is not compared may be anything, and nothing that is.
func TestFormsCompare(t *testing.T) {
	for _, m := range helloMessages(t) {
		var f forms
		for range 3 {
			sameForms(t, &f, m)
		}
		x := f.find(m)
		if x == nil {
			continue
		}
		compared := make([]bool, len(m))
		for _, p := range x.parts {
			for i := p.from; i < p.to; i++ {
				compared[i] = true
			}
		}
		for i := range m {
			b := bytes.Clone(m)
			b[i] ^= 0x55
			if known := x.is(b); known == compared[i] {
				t.Fatalf("octet %d of %d: compared %v, but %v", i, len(m), compared[i], known)
			}
			sameForms(t, &f, b)
		}
	}
}

// Many that are met once leave what is known.
func TestFormsOnce(t *testing.T) {
	var f forms
	m := helloMessages(t)[0]
	for range 3 {
		sameForms(t, &f, m)
	}
	if f.find(m) == nil {
		t.Fatal("it is not known")
	}
	n := 0
	for i := range f.ways {
		for w := range f.ways[i] {
			if f.ways[i][w].Load() != nil {
				n++
			}
		}
	}
	if n != 1 {
		t.Errorf("%d are known", n)
	}
}

func FuzzForms(f *testing.F) {
	for _, m := range helloMessages(f) {
		f.Add(m, m, uint16(0))
		f.Add(m, m, uint16(50))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, at uint16) {
		var f forms
		for range 3 {
			sameForms(t, &f, a)
		}
		sameForms(t, &f, b)
		if len(a) > 0 {
			c := bytes.Clone(a)
			c[int(at)%len(c)] ^= byte(at>>8) | 1
			sameForms(t, &f, c)
		}
	})
}
