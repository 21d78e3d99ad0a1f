package dnsmeta

import "strconv"

// types are the record types that flows ask for (IANA "DNS Parameters").
var types = map[uint16]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 24: "SIG", 25: "KEY",
	28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT", 42: "APL", 43: "DS", 44: "SSHFP", 45: "IPSECKEY",
	46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 59: "CDS", 60: "CDNSKEY",
	61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 99: "SPF", 108: "EUI48", 109: "EUI64", 249: "TKEY", 250: "TSIG",
	251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA", 32769: "DLV",
}

// TypeName gives the name of a record type, as RFC 3597 section 5 writes it
// where it has none here.
func TypeName(t uint16) string {
	if s, ok := types[t]; ok {
		return s
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// rcodes by number (RFC 6895 section 2.3).
var rcodes = [...]string{
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "DSOTYPENI",
	16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG", 22: "BADTRUNC",
}

// RCodeName gives the name of an index of Info.RCodes.
func RCodeName(r int) string {
	switch {
	case r >= 0 && r < len(rcodes) && rcodes[r] != "":
		return rcodes[r]
	case r == len(Info{}.RCodes)-1:
		return "OTHER"
	}
	return "RCODE" + strconv.Itoa(r)
}
