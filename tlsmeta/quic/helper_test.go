package quic

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"testing"
)

func aesBlock(t testing.TB, key []byte) cipher.Block {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func gcm(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	a, err := cipher.NewGCM(aesBlock(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// plain is a packet to be protected by seal.
type plain struct {
	version    uint32
	odcid      []byte // that keys are derived from
	dcid, scid []byte
	token      []byte
	role       int
	number     int64
	frames     []byte
	pad        int // the payload is padded up to so many octets
}

// seal makes an Initial packet of p.
func seal(t testing.TB, p plain) []byte {
	t.Helper()
	var k initialKeys
	if !k.derive(p.version, p.odcid) {
		t.Fatalf("no keys for version %#x", p.version)
	}
	first := byte(0xc3)
	if protectionOf(p.version).v2 {
		first = 0xd3
	}
	b := binary.BigEndian.AppendUint32([]byte{first}, p.version)
	b = append(append(b, byte(len(p.dcid))), p.dcid...)
	b = append(append(b, byte(len(p.scid))), p.scid...)
	b = append(appendVarint(b, uint64(len(p.token))), p.token...)
	payload := append([]byte(nil), p.frames...)
	for len(payload) < max(p.pad, 4) {
		payload = append(payload, framePadding)
	}
	b = appendVarint(b, uint64(4+len(payload)+16))
	pn := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(p.number))
	nonce := k.side[p.role].iv
	for i := range 8 {
		nonce[4+i] ^= byte(p.number >> (56 - 8*i))
	}
	b = k.side[p.role].aead.Seal(b, nonce[:], payload, b)
	var mask [16]byte
	k.side[p.role].hp.Encrypt(mask[:], b[pn+4:])
	b[0] ^= mask[0] & 0x0f
	for i := range 4 {
		b[pn+i] ^= mask[1+i]
	}
	return b
}

func appendVarint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return binary.BigEndian.AppendUint16(b, uint16(v)|1<<14)
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(b, uint32(v)|2<<30)
	}
	return binary.BigEndian.AppendUint64(b, v|3<<62)
}

func cryptoFrame(off int, data []byte) []byte {
	b := appendVarint([]byte{frameCrypto}, uint64(off))
	return append(appendVarint(b, uint64(len(data))), data...)
}

func ackFrame(largest int64) []byte {
	return append(appendVarint([]byte{frameACK}, uint64(largest)), 0, 0, 0)
}

func closeFrame(code uint64) []byte {
	return append(appendVarint([]byte{frameClose}, code), 0, 0)
}
