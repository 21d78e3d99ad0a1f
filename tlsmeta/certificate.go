package tlsmeta

import (
	"crypto/sha256"
	"encoding/asn1"
	"net/netip"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds of what is kept of the certificates of a connection.
const (
	maxCertificates = 8
	maxSAN          = 64
)

// ParseCertificates reads a Certificate message up to TLS 1.2 (RFC 5246 section
// 7.4.2), which starts at the handshake header. cut says that there were more
// certificates than are kept, or that one could not be read to its end. Of a
// certificate that breaks the rules of DER, what stands before the breach is
// kept, and in any case its hash. The result owns its memory.
//
// It reads four fields and no key or signature: crypto/x509 refuses
// certificates that are in use, for what does not matter here.
func ParseCertificates(b []byte) (list []Certificate, cut bool) {
	body, _, err := message(b, msgCertificate)
	if err != nil {
		return nil, true
	}
	return parseCertificates(body)
}

// parseCertificates is ParseCertificates behind the handshake header.
func parseCertificates(s cryptobyte.String) (list []Certificate, cut bool) {
	var all cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&all) || !s.Empty() {
		return nil, true
	}
	for !all.Empty() {
		var der cryptobyte.String
		if len(list) == maxCertificates || !all.ReadUint24LengthPrefixed(&der) {
			return list, true
		}
		c, ok := parseCertificate(der)
		list = append(list, c)
		cut = cut || !ok
	}
	return list, cut
}

// parseCertificate reads one certificate (RFC 5280 section 4.1). It is false
// where it could not be read to its end.
func parseCertificate(der []byte) (c Certificate, ok bool) {
	c.SHA256 = sha256.Sum256(der)
	s := cryptobyte.String(der)
	var outer, tbs, issuer, validity, subject cryptobyte.String
	if !s.ReadASN1(&outer, casn1.SEQUENCE) || !outer.ReadASN1(&tbs, casn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(casn1.Tag(0).Constructed().ContextSpecific()) || // version
		!tbs.SkipASN1(casn1.INTEGER) || // serial number
		!tbs.SkipASN1(casn1.SEQUENCE) || // signature algorithm
		!tbs.ReadASN1(&issuer, casn1.SEQUENCE) {
		return c, false
	}
	var issuerOK, fromOK, toOK, subjectOK bool
	c.Issuer, issuerOK = distinguishedName(issuer)
	if !tbs.ReadASN1(&validity, casn1.SEQUENCE) {
		return c, false
	}
	c.NotBefore, fromOK = readTime(&validity)
	c.NotAfter, toOK = readTime(&validity)
	if !tbs.ReadASN1(&subject, casn1.SEQUENCE) {
		return c, false
	}
	c.Subject, subjectOK = distinguishedName(subject)
	var extensions cryptobyte.String
	var present bool
	if !tbs.SkipASN1(casn1.SEQUENCE) || // public key
		!tbs.SkipOptionalASN1(casn1.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(casn1.Tag(2).ContextSpecific()) || // unique ids
		!tbs.ReadOptionalASN1(&extensions, &present, casn1.Tag(3).Constructed().ContextSpecific()) ||
		present && !c.readExtensions(extensions) {
		return c, false
	}
	return c, issuerOK && fromOK && toOK && subjectOK
}

// readTime reads a time of a Validity, in s since the Unix epoch.
func readTime(s *cryptobyte.String) (int64, bool) {
	var t time.Time
	switch {
	case s.PeekASN1Tag(casn1.UTCTime):
		if !s.ReadASN1UTCTime(&t) {
			return 0, false
		}
	case !s.ReadASN1GeneralizedTime(&t):
		return 0, false
	}
	return t.Unix(), true
}

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// readExtensions finds the alternative names among the extensions.
func (c *Certificate) readExtensions(wrapped cryptobyte.String) bool {
	var list cryptobyte.String
	if !wrapped.ReadASN1(&list, casn1.SEQUENCE) {
		return false
	}
	for !list.Empty() {
		var ext, value cryptobyte.String
		var id asn1.ObjectIdentifier
		if !list.ReadASN1(&ext, casn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&id) ||
			!ext.SkipOptionalASN1(casn1.BOOLEAN) || !ext.ReadASN1(&value, casn1.OCTET_STRING) {
			return false
		}
		if id.Equal(subjectAltName) && c.SAN == nil && !c.readSAN(value) {
			return false
		}
	}
	return true
}

// readSAN reads alternative names (RFC 5280 section 4.2.1.6): mail addresses, DNS
// names, URIs and IP addresses.
func (c *Certificate) readSAN(s cryptobyte.String) bool {
	var names cryptobyte.String
	if !s.ReadASN1(&names, casn1.SEQUENCE) {
		return false
	}
	for !names.Empty() {
		var name cryptobyte.String
		var tag casn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return false
		}
		var san string
		switch tag {
		case casn1.Tag(1).ContextSpecific(), casn1.Tag(2).ContextSpecific(), casn1.Tag(6).ContextSpecific():
			san = text(name)
		case casn1.Tag(7).ContextSpecific():
			addr, ok := netip.AddrFromSlice(name)
			if !ok {
				return false
			}
			san = addr.String()
		default:
			continue // other kinds of name are rare, and no address of a server
		}
		if len(c.SAN) == maxSAN {
			c.SANCut = true
			return true
		}
		c.SAN = append(c.SAN, san)
	}
	return true
}
