package tlsmeta

import (
	"fmt"
	"strconv"
)

// named is a line of a registry.
type named struct {
	number uint16
	name   string
}

// lookup finds a number in a table that is sorted by it.
func lookup(table []named, n uint16) (string, bool) {
	lo, hi := 0, len(table)
	for lo < hi {
		if i := int(uint(lo+hi) / 2); table[i].number < n {
			lo = i + 1
		} else {
			hi = i
		}
	}
	if lo == len(table) || table[lo].number != n {
		return "", false
	}
	return table[lo].name, true
}

// nameOf is the name in a table, else the number in hex, "" for 0.
func nameOf(table []named, n uint16) string {
	if name, ok := lookup(table, n); ok {
		return name
	}
	if n == 0 {
		return ""
	}
	return hex16(n)
}

func hex16(n uint16) string { return fmt.Sprintf("0x%04x", n) }

// VersionName names a protocol version: "1.3", "1.2", "1.1", "1.0", "ssl3",
// "ssl2", "dtls1.3", "dtls1.2", "dtls1.0", "1.3-draft23"; any other is its
// number, and 0 is "".
func VersionName(v uint16) string {
	if isDraft(v) {
		return "1.3-draft" + strconv.Itoa(int(v&0xff))
	}
	return nameOf(versionNames[:], v)
}

var versionNames = [...]named{
	{0x0002, "ssl2"},
	{0x0300, "ssl3"},
	{0x0301, "1.0"},
	{0x0302, "1.1"},
	{0x0303, "1.2"},
	{0x0304, "1.3"},
	{0xfefc, "dtls1.3"},
	{0xfefd, "dtls1.2"},
	{0xfeff, "dtls1.0"},
}

// CipherName names a cipher suite as the IANA registry does; one without a name
// is its number, as "0x1234".
func CipherName(c uint16) string {
	if name, ok := lookup(cipherNames[:], c); ok {
		return name
	}
	return hex16(c)
}

// CipherHash is the length in octets of the hash of a cipher suite of TLS 1.3,
// which is that of a Finished message: 48 for TLS_AES_256_GCM_SHA384, 32 for
// nearly all others.
func CipherHash(c uint16) int {
	switch c {
	case 0x1302, 0xc0b5: // TLS_SHA384_SHA384, RFC 9150
		return 48
	case 0x1306: // TLS_AEGIS_256_SHA512
		return 64
	}
	return 32
}

// CipherTag is how many octets a cipher suite of TLS 1.3 adds to a record: 8
// for TLS_AES_128_CCM_8_SHA256, the hash where there is no encryption (RFC
// 9150), 16 for all others.
func CipherTag(c uint16) int {
	switch c {
	case 0x1305:
		return 8
	case 0xc0b4:
		return 32
	case 0xc0b5:
		return 48
	}
	return 16
}

// GroupName names a group of the IANA registry "TLS Supported Groups", and some
// that were tried before hybrid key exchange had numbers there; one without a
// name is its number, and 0 is "".
func GroupName(g uint16) string { return nameOf(groupNames[:], g) }

var groupNames = [...]named{
	{1, "sect163k1"},
	{2, "sect163r1"},
	{3, "sect163r2"},
	{4, "sect193r1"},
	{5, "sect193r2"},
	{6, "sect233k1"},
	{7, "sect233r1"},
	{8, "sect239k1"},
	{9, "sect283k1"},
	{10, "sect283r1"},
	{11, "sect409k1"},
	{12, "sect409r1"},
	{13, "sect571k1"},
	{14, "sect571r1"},
	{15, "secp160k1"},
	{16, "secp160r1"},
	{17, "secp160r2"},
	{18, "secp192k1"},
	{19, "secp192r1"},
	{20, "secp224k1"},
	{21, "secp224r1"},
	{22, "secp256k1"},
	{23, "secp256r1"},
	{24, "secp384r1"},
	{25, "secp521r1"},
	{26, "brainpoolP256r1"},
	{27, "brainpoolP384r1"},
	{28, "brainpoolP512r1"},
	{29, "x25519"},
	{30, "x448"},
	{31, "brainpoolP256r1tls13"},
	{32, "brainpoolP384r1tls13"},
	{33, "brainpoolP512r1tls13"},
	{34, "GC256A"},
	{35, "GC256B"},
	{36, "GC256C"},
	{37, "GC256D"},
	{38, "GC512A"},
	{39, "GC512B"},
	{40, "GC512C"},
	{41, "curveSM2"},
	{256, "ffdhe2048"},
	{257, "ffdhe3072"},
	{258, "ffdhe4096"},
	{259, "ffdhe6144"},
	{260, "ffdhe8192"},
	{512, "MLKEM512"},
	{513, "MLKEM768"},
	{514, "MLKEM1024"},
	{4587, "SecP256r1MLKEM768"},
	{4588, "X25519MLKEM768"},
	{4589, "SecP384r1MLKEM1024"},
	{4590, "curveSM2MLKEM768"},
	{0x4138, "CECPQ2"},
	{0x6399, "X25519Kyber768Draft00"},
	{0x639a, "SecP256r1Kyber768Draft00"},
	{0xfe30, "X25519Kyber512Draft00"},
	{0xfe31, "X25519Kyber768Draft00Old"},
	{0xfe32, "P256Kyber768Draft00"},
	{0xff01, "arbitrary_explicit_prime_curves"},
	{0xff02, "arbitrary_explicit_char2_curves"},
}

// AlertName names an alert (RFC 8446 section 6, RFC 5246 section 7.2, and no_certificate
// of SSL 3.0); one without a name is its number.
func AlertName(description uint8) string {
	if name, ok := lookup(alertNames[:], uint16(description)); ok {
		return name
	}
	return strconv.Itoa(int(description))
}

var alertNames = [...]named{
	{0, "close_notify"},
	{1, "end_of_early_data"}, // drafts of TLS 1.3
	{10, "unexpected_message"},
	{20, "bad_record_mac"},
	{21, "decryption_failed"},
	{22, "record_overflow"},
	{30, "decompression_failure"},
	{40, "handshake_failure"},
	{41, "no_certificate"},
	{42, "bad_certificate"},
	{43, "unsupported_certificate"},
	{44, "certificate_revoked"},
	{45, "certificate_expired"},
	{46, "certificate_unknown"},
	{47, "illegal_parameter"},
	{48, "unknown_ca"},
	{49, "access_denied"},
	{50, "decode_error"},
	{51, "decrypt_error"},
	{52, "too_many_cids_requested"}, // RFC 9147 section 4.2
	{60, "export_restriction"},
	{70, "protocol_version"},
	{71, "insufficient_security"},
	{80, "internal_error"},
	{86, "inappropriate_fallback"}, // RFC 7507
	{90, "user_canceled"},
	{100, "no_renegotiation"},
	{109, "missing_extension"},
	{110, "unsupported_extension"},
	{111, "certificate_unobtainable"},
	{112, "unrecognized_name"},
	{113, "bad_certificate_status_response"},
	{114, "bad_certificate_hash_value"},
	{115, "unknown_psk_identity"},
	{116, "certificate_required"},
	{117, "general_error"},
	{120, "no_application_protocol"},
	{121, "ech_required"}, // RFC 9849
}

// Alert levels (RFC 5246 section 7.2).
const (
	AlertWarning = 1
	AlertFatal   = 2
)

// AlertLevelName is "warning" or "fatal", else the number.
func AlertLevelName(level uint8) string {
	switch level {
	case AlertWarning:
		return "warning"
	case AlertFatal:
		return "fatal"
	}
	return strconv.Itoa(int(level))
}
