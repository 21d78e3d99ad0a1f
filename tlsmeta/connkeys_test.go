package tlsmeta

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// What is encrypted is opened with the keys that crypto/tls logs, so that a
// test knows where each message lies.

// inner is one record of a TLS 1.3 direction behind the ServerHello.
type inner struct {
	lo, hi int64  // offsets in the stream
	typ    byte   // of what it holds
	names  []byte // types of the handshake messages that end in it
}

// secrets reads a key log.
func secrets(log string) map[string][]byte {
	m := map[string][]byte{}
	for _, line := range strings.Split(log, "\n") {
		if f := strings.Fields(line); len(f) == 3 {
			m[f[0]], _ = hex.DecodeString(f[2])
		}
	}
	return m
}

func expandLabel(t testing.TB, secret []byte, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(6+len(label)))
	info = append(info, "tls13 "+label...)
	b, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open decrypts a direction of TLS 1.3 with TLS_AES_128_GCM_SHA256: with the
// handshake keys up to its Finished, then with those of application data.
func open(t testing.TB, stream []byte, handshake, data []byte) []inner {
	t.Helper()
	var list []inner
	var aead cipher.AEAD
	var iv []byte
	var seq uint64
	use := func(secret []byte) {
		block, err := aes.NewCipher(expandLabel(t, secret, "key", 16))
		if err != nil {
			t.Fatal(err)
		}
		aead, _ = cipher.NewGCM(block)
		iv, seq = expandLabel(t, secret, "iv", 12), 0
	}
	use(handshake)
	var messages []byte
	for off := 0; off+5 <= len(stream); {
		n := int(binary.BigEndian.Uint16(stream[off+3:]))
		if off+5+n > len(stream) {
			break
		}
		if stream[off] == typeData {
			nonce := append([]byte(nil), iv...)
			for i := range 8 {
				nonce[4+i] ^= byte(seq >> (56 - 8*i))
			}
			plain, err := aead.Open(nil, nonce, stream[off+5:off+5+n], stream[off:off+5])
			if err != nil {
				t.Fatalf("record %d at %d: %v", len(list), off, err)
			}
			seq++
			for plain[len(plain)-1] == 0 {
				plain = plain[:len(plain)-1]
			}
			r := inner{lo: int64(off), hi: int64(off + 5 + n), typ: plain[len(plain)-1]}
			if r.typ == typeHandshake {
				messages = append(messages, plain[:len(plain)-1]...)
				for len(messages) >= 4 {
					k := 4 + int(binary.BigEndian.Uint32(messages)&0xffffff)
					if k > len(messages) {
						break
					}
					r.names = append(r.names, messages[0])
					if messages[0] == msgFinished {
						if k != len(messages) {
							t.Fatal("something behind a Finished in its record")
						}
						use(data)
					}
					messages = messages[k:]
				}
			}
			list = append(list, r)
		}
		off += 5 + n
	}
	return list
}

// finishedEnd is the offset behind the record with the Finished.
func finishedEnd(list []inner) (int64, error) {
	for _, r := range list {
		for _, m := range r.names {
			if m == msgFinished {
				return r.hi, nil
			}
		}
	}
	return 0, fmt.Errorf("no Finished in %d records", len(list))
}
