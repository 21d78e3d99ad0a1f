package mirror

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Expr is a condition on the tags of a thing, read by ParseExpr. The zero value
// holds for everything.
//
//	env = prod and not role = db*
//	team = "pay & ship", shop or mirror
//	*
type Expr struct {
	node node
	text string
}

// String gives the text that was read.
func (e Expr) String() string { return e.text }

// Set tells whether there is a condition.
func (e Expr) Set() bool { return e.node != nil }

// Match tells whether a thing with these tags is meant.
func (e Expr) Match(tags map[string]string) bool { return e.node == nil || e.node.match(tags) }

// UnmarshalText reads an expression; an empty text is the zero value.
func (e *Expr) UnmarshalText(text []byte) error {
	if strings.TrimSpace(string(text)) == "" {
		*e = Expr{}
		return nil
	}
	parsed, err := ParseExpr(string(text))
	if err == nil {
		*e = parsed
	}
	return err
}

// MarshalText gives the text that was read.
func (e Expr) MarshalText() ([]byte, error) { return []byte(e.text), nil }

// node is a part of an expression.
type node interface {
	match(tags map[string]string) bool
	fmt.Stringer // fully bracketed, for tests
}

type (
	everything struct{}
	has        struct{ key string }
	equals     struct {
		key    string
		values []pattern // one of them
	}
	not   struct{ of node }
	both  struct{ a, b node }
	oneOf struct{ a, b node }
)

func (everything) match(map[string]string) bool { return true }

func (n has) match(tags map[string]string) bool { _, ok := tags[n.key]; return ok }

func (n equals) match(tags map[string]string) bool {
	v, ok := tags[n.key]
	if !ok {
		return false
	}
	for _, p := range n.values {
		if p.match(v) {
			return true
		}
	}
	return false
}

func (n not) match(tags map[string]string) bool   { return !n.of.match(tags) }
func (n both) match(tags map[string]string) bool  { return n.a.match(tags) && n.b.match(tags) }
func (n oneOf) match(tags map[string]string) bool { return n.a.match(tags) || n.b.match(tags) }

func (everything) String() string { return "*" }
func (n has) String() string      { return quote(n.key) }
func (n not) String() string      { return "(not " + n.of.String() + ")" }
func (n both) String() string     { return "(" + n.a.String() + " and " + n.b.String() + ")" }
func (n oneOf) String() string    { return "(" + n.a.String() + " or " + n.b.String() + ")" }

func (n equals) String() string {
	values := make([]string, len(n.values))
	for i, p := range n.values {
		values[i] = p.String()
	}
	return quote(n.key) + " = " + strings.Join(values, ", ")
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `*`, `\*`, `?`, `\?`).Replace(s) + `"`
}

// pattern is a value with wildcards: * is any text, ? any one character.
type pattern []glyph

// glyph is a character, or a wildcard.
type glyph struct {
	r    rune
	wild bool
}

// match compares the whole text. It goes back to the last * only, so its time is
// bounded by the product of the lengths.
func (p pattern) match(s string) bool {
	i, star, from := 0, -1, ""
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case i < len(p) && p[i].wild && p[i].r == '*':
			star, from = i, s
			i++
		case i < len(p) && (p[i].wild || p[i].r == r && (r != utf8.RuneError || size == 3)):
			i, s = i+1, s[size:]
		case star >= 0:
			_, size := utf8.DecodeRuneInString(from)
			from = from[size:]
			i, s = star+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i].wild && p[i].r == '*' {
		i++
	}
	return i == len(p)
}

func (p pattern) String() string {
	var b strings.Builder
	b.WriteByte('"')
	for _, g := range p {
		if !g.wild && strings.ContainsRune(`*?"\`, g.r) {
			b.WriteByte('\\')
		}
		b.WriteRune(g.r)
	}
	b.WriteByte('"')
	return b.String()
}

// literal gives the text without wildcards; false if it has some.
func (p pattern) literal() (string, bool) {
	var b strings.Builder
	for _, g := range p {
		if g.wild {
			return "", false
		}
		b.WriteRune(g.r)
	}
	return b.String(), true
}

// Bounds of an expression.
const (
	maxExpr  = 16 << 10 // octets
	maxDepth = 100      // brackets and nots in each other
)

// ParseExpr reads a condition:
//
//	expression = term { "or" term }
//	term       = factor { "and" factor }
//	factor     = "not" factor | "(" expression ")" | "*" | key
//	           | key "=" value { "," value } | key "!=" value { "," value }
//
// A key alone asks whether the tag is there, * alone is everything. In a value *
// is any text and ? any one character. != also holds where the tag is missing.
// Keys and values are case-sensitive words, or texts in double quotes, in which \
// takes the meaning from the character behind it; and, or and not are words of the
// expression in either case. An error tells the column.
func ParseExpr(text string) (Expr, error) {
	if len(text) > maxExpr {
		return Expr{}, fmt.Errorf("expression of %d octets, need %d or less", len(text), maxExpr)
	}
	if !utf8.ValidString(text) {
		return Expr{}, fmt.Errorf("expression is not UTF-8")
	}
	p := exprParser{text: text}
	p.next()
	n, err := p.or(0)
	if err == nil && p.tok.kind != tokEnd {
		err = p.errorf("%s is not expected here; join conditions with and, or", p.tok)
	}
	if err != nil {
		return Expr{}, err
	}
	return Expr{n, text}, nil
}

type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokWord             // a key, a value, and, or, not, *
	tokMark             // ( ) , = !=
	tokBroken           // what is no token
)

type token struct {
	kind   tokenKind
	value  pattern // of a word
	text   string  // of a mark, of a word without quotes, what is broken
	quoted bool
	at     int // octets in the text
}

func (t token) String() string {
	if t.kind == tokEnd {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

func (t token) is(word string) bool {
	return t.kind == tokWord && !t.quoted && strings.EqualFold(t.text, word)
}

func (t token) mark(m string) bool { return t.kind == tokMark && t.text == m }

type exprParser struct {
	text string
	pos  int
	tok  token
}

func (p *exprParser) errorf(format string, args ...any) error {
	column := utf8.RuneCountInString(p.text[:p.tok.at]) + 1
	return fmt.Errorf("column %d: %s", column, fmt.Sprintf(format, args...))
}

// next reads a token.
func (p *exprParser) next() {
	rest := strings.TrimLeftFunc(p.text[p.pos:], unicode.IsSpace)
	p.pos = len(p.text) - len(rest)
	p.tok = token{at: p.pos}
	switch {
	case rest == "":
	case strings.HasPrefix(rest, "!="):
		p.take(tokMark, 2)
	case strings.ContainsRune("(),=", rune(rest[0])):
		p.take(tokMark, 1)
	case rest[0] == '!':
		p.take(tokBroken, 1)
	case rest[0] == '"':
		p.quotedWord(rest)
	default:
		end := strings.IndexFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`(),=!"`, r) })
		if end < 0 {
			end = len(rest)
		}
		p.take(tokWord, end)
		for _, r := range p.tok.text {
			p.tok.value = append(p.tok.value, glyph{r, r == '*' || r == '?'})
		}
	}
}

func (p *exprParser) take(kind tokenKind, n int) {
	p.tok.kind, p.tok.text = kind, p.text[p.pos:p.pos+n]
	p.pos += n
}

func (p *exprParser) quotedWord(rest string) {
	escaped := false
	for i, r := range rest[1:] {
		switch {
		case escaped:
			p.tok.value = append(p.tok.value, glyph{r, false})
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			p.take(tokWord, i+2)
			p.tok.quoted = true
			return
		default:
			p.tok.value = append(p.tok.value, glyph{r, r == '*' || r == '?'})
		}
	}
	p.take(tokBroken, len(rest))
}

func (p *exprParser) or(depth int) (node, error) {
	n, err := p.and(depth)
	for err == nil && p.tok.is("or") {
		p.next()
		var m node
		m, err = p.and(depth)
		n = oneOf{n, m}
	}
	return n, err
}

func (p *exprParser) and(depth int) (node, error) {
	n, err := p.factor(depth)
	for err == nil && p.tok.is("and") {
		p.next()
		var m node
		m, err = p.factor(depth)
		n = both{n, m}
	}
	return n, err
}

func (p *exprParser) factor(depth int) (node, error) {
	switch {
	case depth > maxDepth:
		return nil, p.errorf("more than %d brackets in each other", maxDepth)
	case p.tok.is("not"):
		p.next()
		n, err := p.factor(depth + 1)
		return not{n}, err
	case p.tok.mark("("):
		p.next()
		n, err := p.or(depth + 1)
		if err == nil && !p.tok.mark(")") {
			err = p.errorf("%s where a bracket is to be closed", p.tok)
		}
		p.next()
		return n, err
	case p.tok.is("and") || p.tok.is("or") || p.tok.kind == tokEnd || p.tok.kind == tokMark:
		return nil, p.errorf("%s where a tag is expected", p.tok)
	case p.tok.kind == tokBroken && p.tok.text == "!":
		return nil, p.errorf(`"!" stands alone; write != or not`)
	case p.tok.kind == tokBroken:
		return nil, p.errorf("the quote is not closed")
	}
	return p.condition()
}

// condition reads what is asked of one tag.
func (p *exprParser) condition() (node, error) {
	word := p.tok
	key, plain := word.value.literal()
	p.next()
	negative := p.tok.mark("!=")
	if !negative && !p.tok.mark("=") {
		switch {
		case !word.quoted && word.text == "*":
			return everything{}, nil
		case !plain:
			p.tok = word
			return nil, p.errorf("the key %s has a wildcard; only values may, and * alone is everything", word)
		}
		return has{key}, nil
	}
	if !plain {
		p.tok = word
		return nil, p.errorf("the key %s has a wildcard; only values may", word)
	}
	n := equals{key: key}
	for {
		p.next()
		if p.tok.kind != tokWord || p.tok.is("and") || p.tok.is("or") || p.tok.is("not") {
			return nil, p.errorf("%s where a value is expected; put values that are words of the expression, or empty, in quotes", p.tok)
		}
		n.values = append(n.values, p.tok.value)
		p.next()
		if !p.tok.mark(",") {
			break
		}
	}
	if negative {
		return not{n}, nil
	}
	return n, nil
}
