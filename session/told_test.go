package session

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"mirrorscope/tlsmeta"
)

// What is told stays while it is used, whatever else comes and goes, is kept once,
// and nothing stays behind.
func TestTold(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 7))
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprintf("%d.example", i)
	}
	chains := [][]tlsmeta.Certificate{nil, {{Subject: "CN=a"}}, {{Subject: "CN=a"}}}
	any := func() (i tlsmeta.Info) {
		i.SNI, i.Version, i.Certificates = names[r.IntN(len(names))], uint16(0x0303+r.IntN(2)), chains[r.IntN(len(chains))]
		if r.IntN(4) == 0 {
			i.Alert = &tlsmeta.Alert{Level: 2, Description: uint8(r.IntN(2))}
		}
		i.Resumed, i.CertificatesCut = r.IntN(2) == 0, r.IntN(2) == 0
		i.Outcome, i.EarlyData = tlsmeta.Outcome(r.IntN(2)), tlsmeta.EarlyData(r.IntN(2))
		return i
	}
	var x told
	type use struct {
		n    uint32
		info tlsmeta.Info
	}
	var uses []use
	for range 20_000 {
		if len(uses) > 0 && r.IntN(2*len(uses)+200) > 300 || len(uses) > 400 {
			i := r.IntN(len(uses))
			x.drop(uses[i].n)
			uses[i] = uses[len(uses)-1]
			uses = uses[:len(uses)-1]
		} else if len(uses) > 0 && r.IntN(3) == 0 {
			u, i := &uses[r.IntN(len(uses))], any()
			*u = use{x.become(u.n, &i), i}
		} else {
			i := any()
			uses = append(uses, use{x.become(0, &i), i})
		}
		if len(uses) > 0 {
			u := &uses[r.IntN(len(uses))]
			if got := &x.all.At(u.n).info; !reflect.DeepEqual(*got, u.info) {
				t.Fatalf("got %+v, want %+v", *got, u.info)
			}
		}
	}
	distinct := map[uint32]int{}
	for i := range uses {
		distinct[uses[i].n]++
		for k := range uses[:i] {
			if (uses[i].n == uses[k].n) != uses[i].info.Same(&uses[k].info) {
				t.Fatalf("%+v is %d, %+v is %d", uses[i].info, uses[i].n, uses[k].info, uses[k].n)
			}
		}
	}
	if n := x.all.InUse(); n < len(distinct) || n > len(distinct)+mostIdle || len(distinct) == len(uses) {
		t.Errorf("%d are kept, of %d that differ and %d uses", n, len(distinct), len(uses))
	}
	for _, u := range uses {
		x.drop(u.n)
	}
	if n := x.all.InUse(); n != mostIdle || len(x.first) == 0 || len(x.first) > n {
		t.Errorf("%d are kept, %d hashes, of none", n, len(x.first))
	}
}

// What nobody uses any more is met again, and forgotten once as many others came behind
// it, but for who uses it again.
func TestToldIdle(t *testing.T) {
	var x told
	told := func(i int) *tlsmeta.Info { return &tlsmeta.Info{Cipher: uint16(i)} }
	hello, answer := x.add(told(1)), uint32(0)
	for range 3 * mostIdle {
		n := x.add(told(1))
		m := x.become(n, told(2))
		x.drop(m)
		if n != hello || answer != 0 && m != answer {
			t.Fatalf("%d and %d have become %d and %d", hello, answer, n, m)
		}
		answer = m
	}
	x.drop(hello)
	for i := range 3 * mostIdle {
		x.drop(x.add(told(10 + i)))
		if i == mostIdle/2 && x.add(told(2)) != answer {
			t.Error("what was told a moment ago is not kept")
		}
	}
	if got := x.all.At(answer); got.uses != 1 || !got.info.Same(told(2)) {
		t.Errorf("%+v is used", got)
	}
	if n := x.all.InUse(); n != mostIdle+1 || len(x.first) != n {
		t.Errorf("%d are kept, %d hashes", n, len(x.first))
	}
	x.drop(answer)
	x.drop(x.add(told(2)))
	if n := x.all.InUse(); n != mostIdle {
		t.Errorf("%d are kept", n)
	}
}

// Of those that have one hash, so many are looked through; the others are kept each for
// itself, and go as they came.
func TestToldAlike(t *testing.T) {
	const n = 10 * maxAlike
	var x told
	var used [n]uint32
	// Nothing of what the hash is made of differs.
	differ := func(k int) tlsmeta.Info {
		return tlsmeta.Info{SNI: "alike.example", Resumed: k&1 != 0, Refused: k&2 != 0, ESNI: k&4 != 0, SSLv2Hello: k&8 != 0, HelloRetry: k&16 != 0, CertificatesCut: k&32 != 0, ClientCertificate: k&64 != 0, ClientCertificateKnown: k&128 != 0}
	}
	for round := range 3 {
		for k := range used {
			info := differ(k)
			used[k] = x.become(0, &info)
			if got := x.all.At(used[k]).info; !got.Same(&info) {
				t.Fatalf("got %+v, want %+v", got, info)
			}
		}
		longest := 0
		for _, n := range x.first {
			length := 0
			for ; n != 0; n = x.all.At(n).next {
				length++
			}
			longest = max(longest, length)
		}
		if longest > maxAlike || x.all.InUse() != n {
			t.Errorf("round %d: %d of one hash are looked through, %d of %d are kept", round, longest, x.all.InUse(), n)
		}
		for _, u := range rand.Perm(n) {
			x.drop(used[u])
		}
		if x.all.InUse() != maxAlike || len(x.first) != 1 { // those that are found
			t.Errorf("%d are kept, %d hashes, of none", x.all.InUse(), len(x.first))
		}
	}
}

// What connections keep for their whole life is not for the garbage collector.
func TestNoPointers(t *testing.T) {
	var has func(reflect.Type) bool
	has = func(x reflect.Type) bool {
		switch x.Kind() {
		case reflect.Struct:
			for i := range x.NumField() {
				if has(x.Field(i).Type) {
					return true
				}
			}
			return false
		case reflect.Array:
			return has(x.Elem())
		}
		return x.Kind() > reflect.Array
	}
	for _, x := range []reflect.Type{reflect.TypeFor[Session](), reflect.TypeFor[reading](), reflect.TypeFor[tlsTalk](), reflect.TypeFor[tlsAside]()} {
		if has(x) {
			t.Errorf("%v holds pointers", x)
		}
	}
}

// Connections that tell the same but for the client's certificate are told apart by their hash.
func TestToldClientCertificates(t *testing.T) {
	var x told
	const n = 100
	server := []tlsmeta.Certificate{{Subject: "CN=a"}}
	for range n {
		x.add(&tlsmeta.Info{Certificates: server, ClientCertificates: []tlsmeta.Certificate{{Subject: "CN=b"}}})
	}
	if len(x.first) != n {
		t.Errorf("%d hashes of %d", len(x.first), n)
	}
}
