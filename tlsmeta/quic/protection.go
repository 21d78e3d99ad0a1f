package quic

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// protection is how a version protects its Initial packets.
type protection struct {
	salt  string // of the initial secret (RFC 9001 section 5.2)
	label string // in front of "key", "iv" and "hp"
	v2    bool   // packet types are numbered as in version 2 (RFC 9369 section 3.2)

	retryKey, retryNonce string // of the Retry integrity tag (RFC 9001 section 5.8); empty: not known
}

// Protections by generation. The drafts are draft-ietf-quic-tls; Google's own
// versions were not published: their salts are those of Chromium.
var (
	draft22 = protection{label: "quic ", salt: "\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x19\x3a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x4a"}
	draft23 = protection{label: "quic ", salt: "\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02"}
	draft29 = protection{label: "quic ", salt: "\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99"}
	googleQ = protection{label: "quic ", salt: "\x50\x45\x74\xef\xd0\x66\xfe\x2f\x9d\x94\x5c\xfc\xdb\xd3\xa7\xf0\xd3\xb5\x6b\x45"}
	google0 = protection{label: "quic ", salt: "\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10"}
	google1 = protection{label: "quic ", salt: "\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d"}

	version1 = protection{
		label: "quic ", salt: "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
		retryKey: "\xbe\x0c\x69\x0b\x9f\x66\x57\x5a\x1d\x76\x6b\x54\xe3\x68\xc8\x4e", retryNonce: "\x46\x15\x99\xd3\x5d\x63\x2b\xf2\x23\x98\x25\xbb",
	}
	version2 = protection{
		label: "quicv2 ", v2: true, salt: "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9", // RFC 9369 section 3.3
		retryKey: "\x8f\xb4\xb0\x1b\x56\xac\x48\xe2\x60\xfb\xcb\xce\xad\x7c\xcc\x92", retryNonce: "\xd8\x69\x69\xbc\x2d\x7c\x6d\x99\x90\xef\xb0\x4a",
	}
)

// protectionOf gives the protection of a version, nil if it is not known.
func protectionOf(version uint32) *protection {
	switch version {
	case 1, 0xff000021, 0xff000022: // RFC 9000 and the last two drafts
		return &version1
	case 0x6b3343cf:
		return &version2
	case 0xff000016, 0xfaceb001: // draft 22; Facebook's first
		return &draft22
	case 0xfaceb002, 0xfaceb00e: // Facebook's later ones
		return &draft23
	case 0x51303530: // Q050: its hello is not TLS
		return &googleQ
	case 0x54303530: // T050
		return &google0
	case 0x54303531: // T051
		return &google1
	}
	switch {
	case version >= 0xff000017 && version <= 0xff00001c:
		return &draft23
	case version >= 0xff00001d && version <= 0xff000020:
		return &draft29
	}
	return nil
}

// kind reads the type of a long header of the version.
func (p *protection) kind(first byte) kind {
	t := first >> 4 & 3
	if p.v2 {
		t = (t - 1) & 3
	}
	return [...]kind{initial, zeroRTT, handshake, retry}[t]
}

// keys open the Initial packets of one side.
type keys struct {
	aead cipher.AEAD
	hp   cipher.Block
	iv   [12]byte
}

// initialKeys are those of one version and one Destination Connection ID of the
// client's first Initial, by role.
type initialKeys struct {
	version uint32
	side    [2]keys
}

// derive computes the keys (RFC 9001 section 5.2). It is false where the
// library refuses.
func (k *initialKeys) derive(version uint32, dcid []byte) bool {
	p := protectionOf(version)
	if p == nil {
		return false
	}
	secret, err := hkdf.Extract(sha256.New, dcid, []byte(p.salt))
	if err != nil {
		return false
	}
	k.version = version
	for role, label := range [2]string{client: "client in", server: "server in"} {
		if !k.side[role].derive(p, expand(secret, label, sha256.Size)) {
			return false
		}
	}
	return true
}

func (k *keys) derive(p *protection, secret []byte) bool {
	if secret == nil {
		return false
	}
	block, err := aes.NewCipher(expand(secret, p.label+"key", 16))
	if err != nil {
		return false
	}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return false
	}
	copy(k.iv[:], expand(secret, p.label+"iv", len(k.iv)))
	k.hp, err = aes.NewCipher(expand(secret, p.label+"hp", 16))
	return err == nil
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446 section 7.1); nil
// where the library refuses.
func expand(secret []byte, label string, n int) []byte {
	info := make([]byte, 0, 32)
	info = binary.BigEndian.AppendUint16(info, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label...)
	info = append(info, 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		return nil
	}
	return out
}

// opener is what opening packets needs beside the keys. Its memory is used
// again.
type opener struct {
	mask  [aes.BlockSize]byte
	nonce [12]byte
	buf   []byte // header without protection, then the payload
}

// open takes the protection off a packet (RFC 9001 sections 5.3 and 5.4): p is
// the packet alone, pn where its packet number stands, expected the number
// above the highest recorded of that side. The payload is lent until the next
// call.
func (o *opener) open(k *keys, p []byte, pn int, expected int64) (payload []byte, number int64, ok bool) {
	if k.aead == nil || pn+minProtected > len(p) {
		return nil, 0, false
	}
	k.hp.Encrypt(o.mask[:], p[pn+4:pn+4+aes.BlockSize])
	first := p[0] ^ o.mask[0]&0x0f
	size := int(first&3) + 1
	head := pn + size
	if len(p) < head+k.aead.Overhead() {
		return nil, 0, false
	}
	o.buf = append(o.buf[:0], p[:head]...)
	o.buf[0] = first
	var truncated int64
	for i := pn; i < head; i++ {
		o.buf[i] ^= o.mask[1+i-pn]
		truncated = truncated<<8 | int64(o.buf[i])
	}
	number = packetNumber(expected, truncated, size)
	o.nonce = k.iv
	for i := range 8 {
		o.nonce[4+i] ^= byte(number >> (56 - 8*i))
	}
	payload, err := k.aead.Open(o.buf[head:head], o.nonce[:], p[head:], o.buf[:head])
	return payload, number, err == nil
}

// packetNumber completes a packet number of size octets (RFC 9000 appendix A.3).
func packetNumber(expected, truncated int64, size int) int64 {
	window := int64(1) << (8 * size)
	number := expected&^(window-1) | truncated
	switch {
	case number <= expected-window/2 && number < 1<<62-window:
		return number + window
	case number > expected+window/2 && number >= window:
		return number - window
	}
	return number
}

// retryTag is the length of the Retry integrity tag.
const retryTag = 16

// retryValid tells whether a Retry answers an Initial with the connection id
// odcid (RFC 9001 section 5.8). known is false where its version's key is not.
func retryValid(p *protection, odcid, packet []byte) (valid, known bool) {
	if p.retryKey == "" {
		return false, false
	}
	block, err := aes.NewCipher([]byte(p.retryKey))
	if err != nil {
		return false, false
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return false, false
	}
	pseudo := make([]byte, 0, 1+len(odcid)+len(packet))
	pseudo = append(pseudo, byte(len(odcid)))
	pseudo = append(pseudo, odcid...)
	pseudo = append(pseudo, packet[:len(packet)-retryTag]...)
	_, err = aead.Open(nil, []byte(p.retryNonce), packet[len(packet)-retryTag:], pseudo)
	return err == nil, true
}
