package netlab

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// keyLog holds the secrets that both ends wrote down, in the format of
// SSLKEYLOGFILE, by label and client random. With them the lab reads what it
// carried: where each message lies in an encrypted stream is known, not guessed.
type keyLog map[string][]byte

func parseKeyLog(text string) (keyLog, error) {
	k := keyLog{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("key log: %d words in a line", len(f))
		}
		secret, err := hex.DecodeString(f[2])
		if err != nil {
			return nil, fmt.Errorf("key log: %w", err)
		}
		k[f[0]+" "+strings.ToLower(f[1])] = secret
	}
	return k, nil
}

func (k keyLog) secret(label string, clientRandom []byte) []byte {
	return k[label+" "+hex.EncodeToString(clientRandom)]
}

// masters gives the master secrets that a connection of TLS 1.2 may have: its own, or
// any where it has none, since crypto/tls does not write those of resumed ones again.
func (k keyLog) masters(clientRandom []byte) [][]byte {
	const label = "CLIENT_RANDOM"
	if own := k.secret(label, clientRandom); own != nil {
		return [][]byte{own}
	}
	var all [][]byte
	for name, secret := range k {
		if strings.HasPrefix(name, label+" ") {
			all = append(all, secret)
		}
	}
	return all
}

// suite is a cipher suite with authenticated encryption.
type suite struct {
	hash   func() hash.Hash
	key    int // octets
	chacha bool
}

// suites are those that the ends of the lab agree on by themselves.
var suites = map[uint16]suite{
	0x1301: {sha256.New, 16, false}, 0x1302: {sha512.New384, 32, false}, 0x1303: {sha256.New, 32, true},
	0xc02b: {sha256.New, 16, false}, 0xc02c: {sha512.New384, 32, false}, 0xcca9: {sha256.New, 32, true}, // ECDHE_ECDSA
	0xc02f: {sha256.New, 16, false}, 0xc030: {sha512.New384, 32, false}, 0xcca8: {sha256.New, 32, true}, // ECDHE_RSA
}

// protection opens the records of one direction under one key.
type protection struct {
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
	tls12    bool
}

func (s suite) protection(key, iv []byte, tls12 bool) (*protection, error) {
	if s.chacha {
		a, err := chacha20poly1305.New(key)
		return &protection{aead: a, iv: iv, tls12: tls12}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	a, err := cipher.NewGCM(block)
	return &protection{aead: a, iv: iv, tls12: tls12}, err
}

// tls13 derives the keys of a traffic secret (RFC 8446 section 7.3).
func (s suite) tls13(secret []byte) (*protection, error) {
	key, err := s.expandLabel(secret, "key", s.key)
	if err != nil {
		return nil, err
	}
	iv, err := s.expandLabel(secret, "iv", 12)
	if err != nil {
		return nil, err
	}
	return s.protection(key, iv, false)
}

// expandLabel is HKDF-Expand-Label without a context (RFC 8446 section 7.1).
func (s suite) expandLabel(secret []byte, label string, octets int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(octets))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label...)
	return hkdf.Expand(s.hash, secret, string(append(info, 0)), octets)
}

// tls12 derives the keys of both directions (RFC 5246 section 6.3).
func (s suite) tls12(master, clientRandom, serverRandom []byte) (p [2]*protection, err error) {
	iv := 4 // RFC 5288; RFC 7905 has all of the nonce in it
	if s.chacha {
		iv = 12
	}
	block := s.prf(master, append([]byte("key expansion"), append(serverRandom[:32:32], clientRandom...)...), 2*(s.key+iv))
	for d := range p {
		key := block[d*s.key : (d+1)*s.key]
		at := 2*s.key + d*iv
		if p[d], err = s.protection(key, block[at:at+iv], true); err != nil {
			return p, err
		}
	}
	return p, nil
}

// prf is P_hash (RFC 5246 section 5).
func (s suite) prf(secret, seed []byte, octets int) []byte {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(s.hash, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	var out []byte
	for a := mac(seed); len(out) < octets; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:octets]
}

// open decrypts a record, or gives false and stays as it was.
func (p *protection) open(record []byte) ([]byte, bool) {
	header, body := record[:5], record[5:]
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], p.sequence)
	nonce := append([]byte(nil), p.iv...)
	if p.tls12 && len(p.iv) == 4 {
		if len(body) < 8 {
			return nil, false
		}
		nonce, body = append(nonce, body[:8]...), body[8:]
	} else {
		for i, b := range counter {
			nonce[len(nonce)-8+i] ^= b
		}
	}
	additional := header
	if p.tls12 {
		additional = append(counter[:], header[:3]...)
		additional = binary.BigEndian.AppendUint16(additional, uint16(max(0, len(body)-p.aead.Overhead())))
	}
	plain, err := p.aead.Open(nil, nonce, body, additional)
	if err != nil {
		return nil, false
	}
	p.sequence++
	return plain, true
}
