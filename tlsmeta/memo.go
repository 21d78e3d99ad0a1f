package tlsmeta

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
)

// A memo keeps what a pure function made of octets that are met again and
// again: the same clients say the same hello, the same server shows the same
// certificates. Keys are compared octet by octet, so that what it gives is what
// the function would. Its memory is bounded by the number of its entries and by
// maxKey; an entry that makes room for another lives as long as somebody uses
// it. Any goroutine may use it, and none waits for another. The zero value is
// ready for use.
type memo[V any] struct {
	long bool // keys are long: a quarter of the entries are used, and hashed is how a key begins
	ways [memoSets][2]atomic.Pointer[memoEntry[V]]
}

// memoEntry is never changed once it is in a memo.
type memoEntry[V any] struct {
	hash  uint64
	key   []byte
	value V
}

const (
	memoSets = 512 // a power of two

	// hashedKey is how much of a long key is hashed, octets, with its length. In a
	// Certificate message the server's own serial number is there.
	hashedKey = 128
)

// set is where a hash belongs.
func (m *memo[V]) set(hash uint64) *[2]atomic.Pointer[memoEntry[V]] {
	if m.long {
		hash %= memoSets / 4
	}
	return &m.ways[hash%memoSets]
}

// memoSeed keeps others from choosing octets that displace each other, but for long
// keys that begin alike: what is displaced there is read again.
var memoSeed = maphash.MakeSeed()

func (m *memo[V]) hash(key []byte) uint64 {
	if !m.long {
		return maphash.Bytes(memoSeed, key)
	}
	return maphash.Bytes(memoSeed, key[:min(len(key), hashedKey)]) + uint64(len(key))
}

// get gives the value of a key, and its hash for put. The value is nil where
// the key is not known.
func (m *memo[V]) get(key []byte) (value *V, hash uint64) {
	hash = m.hash(key)
	set := m.set(hash)
	for i := range set {
		if e := set[i].Load(); e != nil && e.hash == hash && bytes.Equal(e.key, key) {
			return &e.value, hash
		}
	}
	return nil, hash
}

// put keeps a value, of which nothing may change any more. The key is copied.
func (m *memo[V]) put(key []byte, hash uint64, value V) *V {
	e := &memoEntry[V]{hash, bytes.Clone(key), value}
	set := m.set(hash)
	way := 0
	if set[0].Load() != nil && (set[1].Load() == nil || hash>>32&1 != 0) {
		way = 1
	}
	set[way].Store(e)
	return &e.value
}

// What is known of hellos, names and certificates, in the whole process: 1024
// entries at most, of certificates 256.
var (
	knownHellos       memo[helloFacts]
	knownAnswers      memo[string] // JA3S
	knownNames        memo[string]
	knownCertificates = memo[chain]{long: true}
)

// maxKey bounds what a memo of hellos compares, octets; longer ones are rare.
const maxKey = 640

// maxChain is the same for Certificate messages.
const maxChain = 8 << 10

// helloFacts is what follows from a ClientHello without its random parts, and
// without the server's name.
type helloFacts struct {
	ja3, ja4 string
	alpn     []string
	offered  uint16
}

// chain is what a Certificate message holds.
type chain struct {
	list []Certificate
	cut  bool
}

// facts gives what follows from a hello.
func (h *ClientHello) facts(transport byte) *helloFacts {
	var room [maxKey]byte
	key, ok := h.appendKey(room[:0], transport)
	if !ok {
		f := h.makeFacts(transport)
		return &f
	}
	f, hash := knownHellos.get(key)
	if f == nil {
		f = knownHellos.put(key, hash, h.makeFacts(transport))
	}
	return f
}

func (h *ClientHello) makeFacts(transport byte) helloFacts {
	f := helloFacts{ja3: h.JA3(), ja4: h.JA4(transport), offered: h.highest()}
	for name := range h.ALPN.All() {
		if len(f.alpn) == maxALPN {
			break
		}
		f.alpn = append(f.alpn, sharedText(name))
	}
	return f
}

// appendKey writes all that makeFacts looks at, each list behind its length. It
// is false where that is longer than maxKey.
func (h *ClientHello) appendKey(b []byte, transport byte) ([]byte, bool) {
	size := len(h.Ciphers) + len(h.CipherKinds) + len(h.Groups) + len(h.PointFormats) + len(h.SignatureAlgorithms) + len(h.Versions) + len(h.ALPN)
	if size > maxKey/2 {
		return b, false
	}
	flags := byte(0)
	if h.SSLv2 {
		flags |= 1
	}
	if h.HasServerName {
		flags |= 2
	}
	b = append(b, transport, flags, byte(h.Version>>8), byte(h.Version))
	for _, l := range [...][]byte{h.Ciphers, h.CipherKinds, h.Groups, h.PointFormats, h.SignatureAlgorithms, h.Versions, h.ALPN} {
		b = append(append(b, byte(len(l)>>8), byte(len(l))), l...)
	}
	for typ, _, rest, ok := h.Extensions.next(); ok; typ, _, rest, ok = rest.next() {
		if len(b)+2 > maxKey {
			return b, false
		}
		b = append(b, byte(typ>>8), byte(typ))
	}
	return b, true
}

// ja3s is JA3S from what is known.
func (h *ServerHello) ja3s() string {
	var room [64]byte
	key := append(room[:0], byte(h.LegacyVersion>>8), byte(h.LegacyVersion), byte(h.Cipher>>8), byte(h.Cipher))
	for typ, _, rest, ok := h.Extensions.next(); ok; typ, _, rest, ok = rest.next() {
		if len(key)+2 > len(room) {
			return h.JA3S()
		}
		key = append(key, byte(typ>>8), byte(typ))
	}
	f, hash := knownAnswers.get(key)
	if f == nil {
		f = knownAnswers.put(key, hash, h.JA3S())
	}
	return *f
}

// sharedText is text; what has the same text shares its memory.
func sharedText(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	b = b[:min(len(b), maxName)]
	s, hash := knownNames.get(b)
	if s == nil {
		s = knownNames.put(b, hash, text(b))
	}
	return *s
}

// certificates is ParseCertificates from what is known. Nothing of the result
// may be changed.
func certificates(b []byte) (list []Certificate, cut bool) {
	if len(b) > maxChain {
		return ParseCertificates(b)
	}
	c, hash := knownCertificates.get(b)
	if c == nil {
		list, cut = ParseCertificates(b)
		c = knownCertificates.put(b, hash, chain{list, cut})
	}
	return c.list, c.cut
}
