package httpmeta

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxMethod = 32  // octets
	maxHost   = 255 // octets: RFC 1035 section 2.3.4
)

// splitTarget takes a request target apart (RFC 9112 section 3.2). authority
// is empty in origin form; port is the scheme's, empty where none is told.
// Query and fragment are gone.
func splitTarget(method string, target []byte) (authority, path []byte, port string) {
	if method == methodConnect {
		return target, nil, ""
	}
	if len(target) > 0 && target[0] != '/' {
		if scheme, rest, ok := bytes.Cut(target, []byte("://")); ok && len(scheme) <= 8 {
			end := bytes.IndexAny(rest, "/?#")
			if end < 0 {
				end = len(rest)
			}
			authority, target = rest[:end], rest[end:]
			port = schemePort(string(scheme))
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

// schemePort is the port that an authority may leave out.
func schemePort(scheme string) string {
	switch {
	case strings.EqualFold(scheme, "http"):
		return "80"
	case strings.EqualFold(scheme, "https"):
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
// case, without user information and the dot of the root, with octets that no
// host has escaped. It appends nothing where the host is longer than maxHost.
func appendHost(dst, host []byte, port string) []byte {
	start := len(dst)
	if i := bytes.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if len(host) > maxHost+len(":65535") {
		return dst
	}
	name, number := splitPort(host)
	name = bytes.TrimSuffix(name, []byte("."))
	for _, c := range name {
		switch {
		case c >= 'A' && c <= 'Z':
			dst = append(dst, c|0x20)
		case c > ' ' && c < 0x7f:
			dst = append(dst, c)
		default:
			dst = appendEscaped(dst, c)
		}
	}
	if len(number) > 0 && string(number) != port {
		dst = append(dst, ':')
		for _, c := range number {
			if c > ' ' && c < 0x7f {
				dst = append(dst, c)
			} else {
				dst = appendEscaped(dst, c)
			}
		}
	}
	if len(dst)-start > maxHost {
		return dst[:start]
	}
	return dst
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
