package tlsmeta

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
)

// A form is a ClientHello that was met before, without what is new in each: its
// random, session id, keys and tickets, of which nothing is kept. What follows
// from a hello follows from the rest of it, all lengths included; so a hello that
// has the same rest needs no reading. It is never changed once it is known.
type form struct {
	hash             uint64
	n                int32  // octets of the message
	id               int32  // … and of the session id
	parts            []part // what is compared, in order
	rest             []byte // the octets of parts
	facts            *helloFacts
	name             string
	offer            offer // without session id
	early, ech, esni bool
}

// part is where octets of a message lie, and where they begin in form.rest.
type part struct{ from, to, at uint16 }

// forms are those that are known, in the whole process. Any goroutine may use
// them, and none waits for another. The zero value is ready for use.
type forms struct {
	ways [memoSets][2]atomic.Pointer[form]
	met  [4 * memoSets]atomic.Uint32 // parts of hashes that were met: what is met once is not kept
}

var knownForms forms

const (
	leastForm  = 4 + 2 + 32 + 1 // octets to the session id
	hashedForm = 64             // octets that the hash is made of: as a rule the server's name is among them
	mostForm   = 1 << 12        // longest message
	mostParts  = 16
)

// place gives the hash of a message, and the length of its session id. It is
// false where the message is too short.
func (*forms) place(b []byte) (hash uint64, id int, ok bool) {
	if len(b) < leastForm || len(b) > mostForm {
		return 0, 0, false
	}
	id = int(b[leastForm-1])
	at := leastForm + id
	if at+2 > len(b) {
		return 0, 0, false
	}
	at += 2 + int(binary.BigEndian.Uint16(b[at:])) // behind the cipher suites
	if at+hashedForm > len(b) {
		return 0, 0, false
	}
	return maphash.Bytes(memoSeed, b[at:at+hashedForm]) + uint64(len(b))<<32, id, true
}

// find gives the form of a message, nil where it is not known.
func (f *forms) find(b []byte) *form {
	hash, id, ok := f.place(b)
	if !ok {
		return nil
	}
	set := &f.ways[hash%memoSets]
	for i := range set {
		if x := set[i].Load(); x != nil && x.hash == hash && int(x.n) == len(b) && int(x.id) == id && x.is(b) {
			return x
		}
	}
	return nil
}

// is tells whether a message of the form's length has the form.
func (x *form) is(b []byte) bool {
	for _, p := range x.parts {
		if !bytes.Equal(b[p.from:p.to], x.rest[p.at:p.at+p.to-p.from]) {
			return false
		}
	}
	return true
}

// learn takes note of a message that was read as h, and keeps its form if it is
// met again.
func (f *forms) learn(b []byte, h *ClientHello) {
	hash, id, ok := f.place(b)
	if !ok || 4+int(binary.BigEndian.Uint32(b)&0xffffff) != len(b) {
		return
	}
	met, tag := &f.met[hash/memoSets%uint64(len(f.met))], uint32(hash>>40)|1
	if met.Load() != tag {
		met.Store(tag)
		return
	}
	x := &form{hash: hash, n: int32(len(b)), id: int32(id), facts: h.facts(TransportTCP), name: sharedText(h.ServerName), early: h.EarlyData, ech: h.ECH, esni: h.ESNI}
	x.offer.take(h)
	x.offer.idLen, x.offer.sessionID = 0, [32]byte{}
	if !x.divide(b, h) {
		return
	}
	set := &f.ways[hash%memoSets]
	way := 0
	if set[0].Load() != nil && (set[1].Load() == nil || hash>>32&1 != 0) {
		way = 1
	}
	set[way].Store(x)
}

// divide notes what of a message is compared. It is false if that is too much.
func (x *form) divide(b []byte, h *ClientHello) bool {
	at := 0
	fixed := func(to int) bool { // all up to there
		if at < to {
			x.parts = append(x.parts, part{uint16(at), uint16(to), uint16(len(x.rest))})
			x.rest = append(x.rest, b[at:to]...)
		}
		return len(x.rest) <= maxKey && len(x.parts) <= mostParts
	}
	fixed(4 + 2)
	at = 4 + 2 + 32
	fixed(leastForm)
	at = leastForm + len(h.SessionID)
	off := len(b) - len(h.Extensions)
	for typ, body, rest, ok := h.Extensions.next(); ok; typ, body, rest, ok = rest.next() {
		off += 4
		if changes(typ, len(body)) {
			if !fixed(off) {
				return false
			}
			at = off + len(body)
		}
		off += len(body)
	}
	return fixed(len(b))
}

// changes tells whether the octets of an extension, which has n of them, are of
// no interest, and others in each hello.
func changes(typ uint16, n int) bool {
	switch typ {
	case extServerName, extSupportedGroups, extPointFormats, extSignatureAlgorithms, extALPN, extSupportedVersions:
		return false
	case extKeyShare, extKeyShareDraft, extPreSharedKey, extSessionTicket, extESNI, extECH:
		return true
	}
	return n > 64
}

// helloAgain is ClientHello for a message that has a form.
func (i *Info) helloAgain(x *form, b []byte) {
	i.offer = x.offer
	i.offer.idLen = uint8(copy(i.offer.sessionID[:], b[leastForm:leastForm+int(x.id)]))
	if i.JA4 != "" {
		if i.EarlyData == EarlyOffered {
			i.EarlyData = EarlyRejected
		}
		return
	}
	f := x.facts
	i.SSLv2Hello = false
	i.Offered, i.ALPNOffered, i.JA3, i.JA4 = f.offered, f.alpn, f.ja3, f.ja4
	i.SNI, i.ECH, i.ESNI = x.name, x.ech, x.esni
	if x.early {
		i.EarlyData = EarlyOffered
	}
}

// hello takes a ClientHello message over TCP. It is false if that is none.
func (i *Info) hello(b []byte) bool {
	if x := knownForms.find(b); x != nil {
		i.helloAgain(x, b)
		return true
	}
	var h ClientHello
	if _, err := ParseClientHello(b, &h); err != nil {
		return false
	}
	i.ClientHello(&h, TransportTCP)
	knownForms.learn(b, &h)
	return true
}
