package jsonl

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// appendString adds s as a JSON string (RFC 8259 section 7). Names come from
// capture files and are hostile: invalid UTF-8 becomes U+FFFD, and all control
// characters are escaped, DEL and C1 too, so that a terminal obeys none of them.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0 // of what is copied as it is
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			if c == '"' || c == '\\' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(append(dst, s[start:i]...), "\uFFFD"...)
			start = i + n
		case r <= 0x9f: // C1
			dst = append(append(dst, s[start:i]...), '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
			start = i + n
		}
		i += n
	}
	return append(append(dst, s[start:]...), '"')
}
