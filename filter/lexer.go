package filter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError tells what an expression is faulted for, where, and how to mend
// it.
type SyntaxError struct {
	Expr string
	Pos  int // octet of Expr where the fault is
	Msg  string
}

// Error shows the message, the expression and a mark under the fault.
func (e *SyntaxError) Error() string {
	line := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' ' // a line break or a tab would move the mark
		}
		return r
	}, e.Expr)
	column := utf8.RuneCountInString(e.Expr[:e.Pos])
	return fmt.Sprintf("filter, column %d: %s\n  %s\n  %s^", column+1, e.Msg, line, strings.Repeat(" ", column))
}

// token is a word, a parenthesis or an operator. The end of the expression is
// the empty token.
type token struct {
	text string
	pos  int
}

// split divides an expression into tokens. "&&", "||" and "!" become the words
// that they stand for.
func split(s string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsSpace(r):
		case r == '(' || r == ')':
			tokens = append(tokens, token{s[i : i+1], i})
		case strings.HasPrefix(s[i:], "&&"):
			tokens = append(tokens, token{"and", i})
			size = 2
		case strings.HasPrefix(s[i:], "||"):
			tokens = append(tokens, token{"or", i})
			size = 2
		case r == '!':
			tokens = append(tokens, token{"not", i})
		case isWord(r):
			end := len(s)
			if n := strings.IndexFunc(s[i:], func(r rune) bool { return !isWord(r) }); n >= 0 {
				end = i + n
			}
			tokens = append(tokens, token{s[i:end], i})
			size = end - i
		case r == '&' || r == '|':
			return nil, &SyntaxError{s, i, fmt.Sprintf("write %c%c", r, r)}
		case strings.ContainsRune("[]=<>+*", r):
			return nil, &SyntaxError{s, i, "comparing octets and lengths of a packet is not supported; use host, net, port and protocol names"}
		default:
			return nil, &SyntaxError{s, i, fmt.Sprintf("%q has no meaning here", r)}
		}
		i += size
	}
	return append(tokens, token{"", len(s)}), nil
}

func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`.:/-_\%`, r)
}
