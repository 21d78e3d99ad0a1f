package pcapgen

import (
	"net/netip"
	"strings"
)

// DNS record types and response codes (RFC 1035, RFC 3596).
const (
	TypeA    = 1
	TypeAAAA = 28
	TypeTXT  = 16
	NXDomain = 3
)

// DNSQuery gives a recursive query for one name (RFC 1035 section 4).
func DNSQuery(id uint16, name string, typ uint16) []byte {
	m := be.AppendUint16(nil, id)
	m = append(m, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0) // RD; one question
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		m = append(append(m, byte(len(label))), label...)
	}
	m = append(m, 0)
	m = be.AppendUint16(m, typ)
	return be.AppendUint16(m, 1)
}

// DNSResponse answers a query of DNSQuery with addresses of the type asked
// for, or with a code. ttl is seconds.
func DNSResponse(query []byte, code uint8, ttl uint32, addrs ...netip.Addr) []byte {
	m := dnsHeader(query, code, len(addrs))
	for _, a := range addrs {
		typ := uint16(TypeA)
		if a.Is6() {
			typ = TypeAAAA
		}
		m = appendRecord(m, typ, ttl, a.AsSlice())
	}
	return m
}

// DNSText answers a query with TXT records, one for each text of at most 255
// octets: a way to responses beyond one packet.
func DNSText(query []byte, ttl uint32, texts ...string) []byte {
	m := dnsHeader(query, 0, len(texts))
	for _, s := range texts {
		m = appendRecord(m, TypeTXT, ttl, append([]byte{byte(len(s))}, s...))
	}
	return m
}

// dnsHeader repeats the question with QR, RD and RA set.
func dnsHeader(query []byte, code uint8, answers int) []byte {
	m := append([]byte(nil), query...)
	m[2], m[3] = 0x81, 0x80|code
	be.PutUint16(m[6:], uint16(answers))
	return m
}

// appendRecord adds a record of the question's name (RFC 1035 section 4.1.4).
func appendRecord(m []byte, typ uint16, ttl uint32, data []byte) []byte {
	m = be.AppendUint16(m, 0xc00c)
	m = be.AppendUint16(m, typ)
	m = be.AppendUint16(m, 1)
	m = be.AppendUint32(m, ttl)
	m = be.AppendUint16(m, uint16(len(data)))
	return append(m, data...)
}
