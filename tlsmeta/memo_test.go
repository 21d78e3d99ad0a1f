package tlsmeta

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
)

// TestMemo compares what several goroutines get with what they would have made
// themselves, over more keys than there is room for.
func TestMemo(t *testing.T) {
	var m memo[string]
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			key := make([]byte, 0, 16)
			for range 50_000 {
				n := int(r.ExpFloat64() * 500)
				key = fmt.Appendf(key[:0], "key %d", n)
				want := fmt.Sprint("value ", n)
				got, hash := m.get(key)
				if got == nil {
					got = m.put(key, hash, want)
				}
				if clear(key); *got != want {
					t.Errorf("%q, want %q", *got, want)
					return
				}
			}
		})
	}
	wait.Wait()
	entries := 0
	for i := range m.ways {
		for j := range m.ways[i] {
			if m.ways[i][j].Load() != nil {
				entries++
			}
		}
	}
	if entries > 2*memoSets || entries < memoSets {
		t.Errorf("%d entries", entries)
	}
}

// A key that collides with another's hash is another key all the same.
func TestMemoCollision(t *testing.T) {
	var m memo[int]
	_, hash := m.get([]byte("a"))
	m.put([]byte("b"), hash, 1)
	if v, _ := m.get([]byte("a")); v != nil {
		t.Errorf("got the value of another key: %d", *v)
	}
}

// Long keys that begin like each other, and are as long, are told apart.
func TestMemoLong(t *testing.T) {
	m := memo[int]{long: true}
	key := make([]byte, 2*hashedKey)
	for i := range 2 {
		key[len(key)-1] = byte(i)
		_, hash := m.get(key)
		m.put(key, hash, i)
	}
	for i := range 3 {
		key[len(key)-1] = byte(i)
		if v, _ := m.get(key); (v != nil) != (i < 2) || v != nil && *v != i {
			t.Errorf("%d has %v", i, v)
		}
	}
	if m.hash(key[:len(key)-1]) == m.hash(key) {
		t.Error("the length of a key is not part of its hash")
	}
}

// What is known of a hello is what the functions say that make it, for every
// change of an octet.
func TestFacts(t *testing.T) {
	m := hello(msgClientHello, 1, []byte("session"), []byte{0x13, 0x01, 0x0a, 0x0a, 0xc0, 0x2f}, ext(extServerName, 0, 4, 0, 0, 1, 'a'),
		ext(extALPN, 0, 6, 2, 'h', '2', 2, 'h', '3'), ext(extSupportedGroups, 0, 4, 0, 29, 0, 23), ext(extPointFormats, 1, 0),
		ext(extSignatureAlgorithms, 0, 4, 4, 3, 8, 4), ext(extSupportedVersions, 4, 3, 4, 3, 3))
	check := func() {
		t.Helper()
		var h ClientHello
		if _, err := ParseClientHello(m, &h); err != nil {
			return
		}
		for _, transport := range []byte{TransportTCP, TransportQUIC, TransportDTLS} {
			if got, want := *h.facts(transport), h.makeFacts(transport); !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v, want %+v", got, want)
			}
		}
		if got, want := sharedText(h.ServerName), text(h.ServerName); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	for i := range m {
		for _, x := range []byte{0, 1, 0x0a, 0xff} {
			old := m[i]
			m[i] ^= x
			check()
			m[i] = old
		}
	}
	long := make([]byte, 2*maxKey)
	h := ClientHello{Ciphers: long}
	if got, want := *h.facts(TransportTCP), h.makeFacts(TransportTCP); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	many := ClientHello{Extensions: make([]byte, 4*maxKey)}
	if got, want := *many.facts(TransportTCP), many.makeFacts(TransportTCP); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The same octets have the same result without another allocation, unless two that are kept
// displace each other: where they lie is chosen anew for each process, and seldom so.
func TestSharedAllocs(t *testing.T) {
	displaced := 0
	for i := range byte(8) {
		m := hello(msgClientHello, 1, nil, []byte{0x13, 0x01}, ext(extServerName, 0, 4, 0, 0, 1, 'a'+i), ext(extALPN, 0, 3, 2, 'h', '0'+i))
		a := hello(msgServerHello, 1, nil, []byte{0x13, 0x01 + i}, ext(extALPN, 0, 3, 2, 'h', '0'+i))
		var h ClientHello
		var s ServerHello
		if n := testing.AllocsPerRun(100, func() {
			var i Info
			ParseClientHello(m, &h)
			ParseServerHello(a, &s)
			i.ClientHello(&h, TransportTCP)
			i.ServerHello(&s)
		}); n != 0 {
			displaced++
			t.Logf("%d: %v allocations", i, n)
		}
	}
	if displaced > 1 {
		t.Errorf("%d of 8 are made anew each time", displaced)
	}
}
