package tlsmeta

import (
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxDName bounds a distinguished name, in octets of its text. A longer one
// ends in "…".
const maxDName = 1024

// attributeNames are short names of attribute types: those of RFC 4514 section 3,
// and what else certificates have, as OpenSSL names it.
var attributeNames = map[string]string{
	"2.5.4.3":                    "CN",
	"2.5.4.4":                    "SN",
	"2.5.4.5":                    "serialNumber",
	"2.5.4.6":                    "C",
	"2.5.4.7":                    "L",
	"2.5.4.8":                    "ST",
	"2.5.4.9":                    "street",
	"2.5.4.10":                   "O",
	"2.5.4.11":                   "OU",
	"2.5.4.12":                   "title",
	"2.5.4.13":                   "description",
	"2.5.4.15":                   "businessCategory",
	"2.5.4.17":                   "postalCode",
	"2.5.4.20":                   "telephoneNumber",
	"2.5.4.41":                   "name",
	"2.5.4.42":                   "GN",
	"2.5.4.43":                   "initials",
	"2.5.4.46":                   "dnQualifier",
	"2.5.4.97":                   "organizationIdentifier",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1":       "emailAddress",
	"1.2.840.113549.1.9.2":       "unstructuredName",
	"1.3.6.1.4.1.311.60.2.1.1":   "jurisdictionL",
	"1.3.6.1.4.1.311.60.2.1.2":   "jurisdictionST",
	"1.3.6.1.4.1.311.60.2.1.3":   "jurisdictionC",
}

// distinguishedName writes the content of a Name (RFC 5280 section 4.1.2.4) as
// RFC 4514 asks: the last relative name first. It is false where the name could
// not be read to its end; the text is what stands before that.
func distinguishedName(s cryptobyte.String) (name string, ok bool) {
	var parts []string
	size := 0
	for ok = true; ok && !s.Empty() && size < maxDName; {
		var set cryptobyte.String
		if ok = s.ReadASN1(&set, casn1.SET); !ok {
			break
		}
		var part strings.Builder
		for ok && !set.Empty() && part.Len() < maxDName {
			if part.Len() > 0 {
				part.WriteByte('+')
			}
			ok = appendAttribute(&part, &set)
		}
		size += part.Len() + 1
		parts = append(parts, part.String())
	}
	var out strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		out.WriteString(parts[i])
	}
	return clip(out.String(), maxDName), ok
}

// appendAttribute writes one attribute as type=value.
func appendAttribute(out *strings.Builder, set *cryptobyte.String) bool {
	var attribute, value cryptobyte.String
	var id asn1.ObjectIdentifier
	var tag casn1.Tag
	if !set.ReadASN1(&attribute, casn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&id) {
		return false
	}
	element := attribute
	if !attribute.ReadAnyASN1(&value, &tag) {
		return false
	}
	typ := id.String()
	if short, ok := attributeNames[typ]; ok {
		typ = short
	}
	out.WriteString(clip(typ, 64))
	out.WriteByte('=')
	if s, ok := directoryString(tag, value[:min(len(value), maxDName)]); ok {
		out.WriteString(escapeDName(s))
	} else {
		out.WriteByte('#')
		out.WriteString(hex.EncodeToString(element[:min(len(element), maxDName)]))
	}
	return true
}

// directoryString gives the text of a string type, false for any other type.
func directoryString(tag casn1.Tag, b []byte) (string, bool) {
	switch tag {
	case casn1.UTF8String, casn1.PrintableString, casn1.IA5String, casn1.Tag(18), casn1.Tag(26): // NumericString, VisibleString
		return printable(b), true
	case casn1.T61String: // in practice Latin-1
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return printable([]byte(string(runes))), true
	case casn1.Tag(30): // BMPString
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		return printable([]byte(string(utf16.Decode(units)))), true
	}
	return "", false
}

// escapeDName escapes what has a meaning in a distinguished name (RFC 4514
// section 2.4).
func escapeDName(s string) string {
	if !strings.ContainsAny(s, `"+,;<>\`) && !strings.HasPrefix(s, "#") && !strings.HasPrefix(s, " ") && !strings.HasSuffix(s, " ") {
		return s
	}
	var out strings.Builder
	for i, c := range s {
		if strings.ContainsRune(`"+,;<>\`, c) || c == '#' && i == 0 || c == ' ' && (i == 0 || i == len(s)-1) {
			out.WriteByte('\\')
		}
		out.WriteRune(c)
	}
	return out.String()
}

// clip cuts a string at a bound, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = "…"
	n -= len(more)
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + more
}
