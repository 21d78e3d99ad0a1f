package httpmeta

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

const (
	maxMethod = 16  // octets
	maxHost   = 255 // octets: RFC 1035 section 2.3.4
)

const (
	otherMethod = "OTHER"   // in place of a method that is none of the known
	invalidHost = "invalid" // in place of a host that cannot be one; nobody has the name: RFC 6761 section 6.4
)

// isMethod tells whether s can be a method: a token (RFC 9110 section 9.1), of
// at most maxMethod octets.
func isMethod(s []byte) bool {
	if len(s) == 0 || len(s) > maxMethod {
		return false
	}
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return true
}

// methodName gives the name of a method: otherMethod for one that is not among
// those of HTTP (RFC 9110, 5789), WebDAV (RFC 4918, 3253, 3744, 5323, 4791),
// caches and UPnP. A method made up names nothing.
func methodName[T string | []byte](b T) string {
	for _, known := range &methods {
		if len(known) == len(b) && known == string(b) {
			return known
		}
	}
	return otherMethod
}

var methods = [...]string{
	"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "ACL",
	"CHECKIN", "CHECKOUT", "UNCHECKOUT", "VERSION-CONTROL", "LABEL", "MERGE", "UPDATE", "MKACTIVITY", "MKWORKSPACE", "MKCALENDAR",
	"PURGE", "BAN", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "M-SEARCH",
}

// splitTarget takes a request target apart (RFC 9112 section 3.2). authority
// is empty in origin form; port is the scheme's, empty where none is told.
// Query and fragment are gone.
func splitTarget(method string, target []byte) (authority, path []byte, port string) {
	if method == methodConnect {
		return target, nil, ""
	}
	if len(target) > 0 && target[0] != '/' {
		if scheme, rest, ok := bytes.Cut(target, []byte("://")); ok && isScheme(scheme) {
			end := bytes.IndexAny(rest, "/?#")
			if end < 0 {
				end = len(rest)
			}
			authority, target = rest[:end], rest[end:]
			port = schemePort(scheme)
			if len(target) == 0 || target[0] != '/' {
				return authority, []byte("/"), port
			}
		}
	}
	if i := bytes.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	return authority, target, port
}

// isScheme tells whether b is the name of a scheme (RFC 3986 section 3.1), of
// at most 8 octets.
func isScheme(b []byte) bool {
	for _, c := range b {
		if !isLetter(c) && !isDigit(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 8 && isLetter(b[0])
}

// schemePort is the port that an authority may leave out.
func schemePort(scheme []byte) string {
	switch {
	case fold(scheme, "http"):
		return "80"
	case fold(scheme, "https"):
		return "443"
	}
	return ""
}

// splitPort takes the port off a host. An IPv6 address without brackets has
// none.
func splitPort(host []byte) (name, port []byte) {
	i := bytes.LastIndexByte(host, ':')
	if i < 0 || i < bytes.LastIndexByte(host, ']') || host[0] != '[' && bytes.IndexByte(host, ':') != i {
		return host, nil
	}
	return host[:i], host[i+1:]
}

// appendHost appends a host, with its port unless that is the given one: lower
// case, without user information and the dot of the root. A host that has other
// characters than names (RFC 1123 section 2.1, and the underscore) and IP
// addresses have, that is longer than maxHost or has no port number for a port
// is invalidHost: nothing of it is appended.
func appendHost(dst, host []byte, port string) []byte {
	start := len(dst)
	if i := bytes.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if len(host) == 0 {
		return dst
	}
	name, number := splitPort(host)
	name = bytes.TrimSuffix(name, []byte("."))
	if len(name) == 0 || len(name) > maxHost || !isPort(number) {
		return append(dst, invalidHost...)
	}
	address := bytes.IndexByte(name, ':') >= 0
	for i, c := range name {
		switch {
		case c >= 'A' && c <= 'Z' && (!address || c <= 'F'):
			c |= 0x20
		case isDigit(c), c == '.', address && (c >= 'a' && c <= 'f' || c == ':'), !address && (c >= 'a' && c <= 'z' || c == '-' || c == '_'):
		case address && c == '[' && i == 0 && name[len(name)-1] == ']', address && c == ']' && i == len(name)-1 && name[0] == '[':
		default:
			return append(dst[:start], invalidHost...)
		}
		dst = append(dst, c)
	}
	if len(number) > 0 && string(number) != port {
		dst = append(append(dst, ':'), number...)
	}
	if len(dst)-start > maxHost {
		return append(dst[:start], invalidHost...)
	}
	return dst
}

// isPort tells whether b is a port number, or empty.
func isPort(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return len(b) <= len("65535")
}

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}

// appendPrintable appends b as it is, but for octets that are not UTF-8 and
// characters that do not print: those are percent-encoded.
func appendPrintable(dst, b []byte) []byte {
	for len(b) > 0 {
		if c := b[0]; c < utf8.RuneSelf {
			if c > ' ' && c != 0x7f {
				dst = append(dst, c)
			} else {
				dst = appendEscaped(dst, c)
			}
			b = b[1:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		if r != utf8.RuneError && unicode.IsPrint(r) {
			dst = append(dst, b[:n]...)
		} else {
			for _, c := range b[:n] {
				dst = appendEscaped(dst, c)
			}
		}
		b = b[n:]
	}
	return dst
}
