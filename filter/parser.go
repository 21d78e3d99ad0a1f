package filter

import (
	"fmt"
	"strings"
)

// Bounds that keep parsing and matching, which recurse, away from any stack
// limit.
const (
	maxTokens = 4096
	maxDepth  = 64 // parentheses and nots inside each other
)

// kind is the type qualifier: what an identifier is.
type kind uint8

const (
	noKind kind = iota
	kindHost
	kindNet
	kindPort
	kindPortRange
	kindProto
)

var kindWords = map[string]kind{
	"host": kindHost, "net": kindNet, "port": kindPort, "portrange": kindPortRange, "proto": kindProto,
}

// keywords are those in front of an identifier.
type keywords struct {
	version  uint8 // 4 or 6, from ip and ip6
	hasProto bool
	proto    uint8
	word     string // ip, tcp, … as written
	dir      direction
	hasDir   bool
	kind     kind
}

// parser reads one expression by recursive descent.
type parser struct {
	expr   string
	tokens []token
	i      int
	depth  int
	// last are the keywords that an identifier without any repeats, nil where
	// there are none.
	last *keywords
}

// Parse reads an expression. The empty expression matches everything. Errors
// are *SyntaxError.
func Parse(s string) (*Filter, error) {
	tokens, err := split(s)
	if err != nil {
		return nil, err
	}
	if len(tokens) > maxTokens {
		return nil, &SyntaxError{s, tokens[maxTokens].pos, fmt.Sprintf("more than %d words", maxTokens)}
	}
	if len(tokens) == 1 {
		return &Filter{}, nil
	}
	p := parser{expr: s, tokens: tokens}
	root, err := p.expression()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.text == ")" {
		return nil, p.fail(t, "this parenthesis was not opened")
	} else if t.text != "" {
		return nil, p.fail(t, "write and or or in front of %q", t.text)
	}
	return &Filter{root}, nil
}

func (p *parser) peek() token { return p.tokens[p.i] }

// ahead is the token n further on, the end where there is none.
func (p *parser) ahead(n int) token { return p.tokens[min(p.i+n, len(p.tokens)-1)] }

// next takes a token; the end stays.
func (p *parser) next() token {
	t := p.peek()
	if t.text != "" {
		p.i++
	}
	return t
}

func (p *parser) fail(t token, format string, args ...any) error {
	return &SyntaxError{p.expr, t.pos, fmt.Sprintf(format, args...)}
}

// expression = term { ("and" | "or") term }, from left to right.
func (p *parser) expression() (*node, error) {
	x, err := p.term()
	if err != nil {
		return nil, err
	}
	for {
		op := opAnd
		switch p.peek().text {
		case "and":
		case "or":
			op = opOr
		default:
			return x, nil
		}
		p.next()
		y, err := p.term()
		if err != nil {
			return nil, err
		}
		x = &node{op: op, x: x, y: y}
	}
}

// term = "not" term | "(" expression ")" | primitive
func (p *parser) term() (*node, error) {
	t := p.peek()
	switch t.text {
	case "not", "(":
		if p.depth++; p.depth > maxDepth {
			return nil, p.fail(t, "more than %d parentheses or nots inside each other", maxDepth)
		}
		defer func() { p.depth-- }()
		p.next()
		if t.text == "(" {
			list := p.stranger(p.i-1) < 0
			x, err := p.expression()
			if err != nil {
				return nil, err
			}
			if !list {
				p.last = nil // as in pcap-filter: keywords stay inside
			}
			return x, p.close(t)
		}
		x, err := p.term()
		if err != nil {
			return nil, err
		}
		return &node{op: opNot, x: x}, nil
	}
	return p.primitive()
}

// close takes the parenthesis that closes open.
func (p *parser) close(open token) error {
	switch t := p.next(); t.text {
	case ")":
		return nil
	case "":
		return p.fail(open, "this parenthesis is not closed")
	default:
		return p.fail(t, "write and or or in front of %q, or close the parenthesis", t.text)
	}
}

// primitive = [protocol] [direction] [type] (identifier | "(" identifiers ")")
// | protocol | identifier
func (p *parser) primitive() (*node, error) {
	first := p.peek()
	k, err := p.keywords()
	if err != nil {
		return nil, err
	}
	if k == (keywords{}) { // an identifier alone, or what is none
		switch {
		case !isIdentifier(first.text):
			return nil, p.missing(first)
		case p.last == nil:
			return nil, p.unknown(first)
		}
		return p.identifier(p.last)
	}
	t := p.peek()
	if !k.hasDir && k.kind == noKind {
		switch {
		case isIdentifier(t.text) && guess(t.text) == "":
			return nil, p.unknown(t)
		case isIdentifier(t.text):
			return nil, p.fail(t, "say what %q is: %s", t.text, k.suggest(t.text))
		}
		p.last = nil
		return k.alone(), nil
	}
	p.last = &k
	if t.text == "(" {
		return p.group(&k)
	}
	return p.identifier(&k)
}

// group = "(" identifiers ")": a list of identifiers with and, or and not, all
// with the keywords in front of it.
func (p *parser) group(k *keywords) (*node, error) {
	if i := p.stranger(p.i); i >= 0 {
		if p.tokens[i].text == "" {
			return nil, p.fail(p.peek(), "this parenthesis is not closed")
		}
		return nil, p.fail(p.tokens[i], "all in this parenthesis is of %q in front of it; write %q behind it", strings.TrimSpace(k.after()), p.tokens[i].text)
	}
	return p.term()
}

// stranger finds the first token inside the parenthesis at i that does not
// belong into a list of identifiers, -1 if there is none.
func (p *parser) stranger(i int) int {
	for depth := 0; ; i++ {
		switch t := p.tokens[i].text; {
		case t == "(":
			depth++
		case t == ")":
			if depth--; depth == 0 {
				return -1
			}
		case t != "and" && t != "or" && t != "not" && !isIdentifier(t):
			return i
		}
	}
}

// keywords reads what may stand in front of an identifier.
func (p *parser) keywords() (k keywords, err error) {
	t := p.peek()
	switch t.text {
	case "ip":
		k.version, k.word = 4, t.text
		p.next()
	case "ip6":
		k.version, k.word = 6, t.text
		p.next()
	default:
		for _, x := range protocols {
			if x.word == t.text {
				k.version, k.hasProto, k.proto, k.word = x.version, true, x.proto, t.text
				p.next()
				break
			}
		}
	}
	if d, n := p.direction(); n > 0 {
		k.dir, k.hasDir = d, true
		p.i += n
	}
	t = p.peek()
	if kind, ok := kindWords[t.text]; ok {
		k.kind = kind
		p.next()
		return k, p.checkKind(t, &k)
	}
	if k.hasDir {
		switch t.text {
		case "src", "dst":
			return k, p.fail(t, "one direction is enough; for both ends write src and dst, for either src or dst")
		case "tcp", "udp", "sctp", "ip", "ip6", "icmp", "icmp6":
			return k, p.fail(t, "write %s in front of the direction", t.text)
		}
		k.kind = kindHost // as in pcap-filter
		return k, p.checkKind(t, &k)
	}
	return k, nil
}

// direction tells which direction comes next and how many tokens it takes.
func (p *parser) direction() (direction, int) {
	switch a, op, b := p.ahead(0).text, p.ahead(1).text, p.ahead(2).text; {
	case (a == "src" && b == "dst" || a == "dst" && b == "src") && op == "or":
		return either, 3
	case (a == "src" && b == "dst" || a == "dst" && b == "src") && op == "and":
		return both, 3
	case a == "src":
		return source, 1
	case a == "dst":
		return destination, 1
	}
	return either, 0
}

// checkKind tells which keywords do not go together.
func (p *parser) checkKind(t token, k *keywords) error {
	switch k.kind {
	case kindHost, kindNet:
		if k.hasProto {
			return p.fail(t, "%s has no addresses, IP has: write %s and %s…", k.word, k.word, k.after())
		}
	case kindPort, kindPortRange:
		if k.version != 0 && !k.hasProto {
			return p.fail(t, "write %s and %s…", k.word, k.after())
		}
		if k.hasProto && !hasPorts(k.proto) {
			return p.fail(t, "%s has no ports; tcp, udp, sctp and udplite have", k.word)
		}
	case kindProto:
		if k.hasDir {
			return p.fail(t, "a protocol has no direction: leave src and dst out")
		}
		if k.hasProto {
			return p.fail(t, "write %s, or proto with a number", k.word)
		}
	}
	return nil
}

// after writes the keywords behind the protocol.
func (k *keywords) after() string {
	for word, kind := range kindWords {
		if kind == k.kind {
			return directionWords[k.dir] + word + " "
		}
	}
	return directionWords[k.dir]
}

// suggest completes "tcp 80" and "ip 10.0.0.1".
func (k *keywords) suggest(id string) string {
	if strings.ContainsAny(id, ".:") {
		if k.hasProto {
			return fmt.Sprintf("%s and host %s", k.word, id)
		}
		return fmt.Sprintf("%s host %s", k.word, id)
	}
	if k.hasProto && hasPorts(k.proto) {
		return fmt.Sprintf("%s port %s", k.word, id)
	}
	return fmt.Sprintf("%s and port %s, or %s proto %s", k.word, id, k.word, id)
}

// alone is the primitive of a protocol word on its own.
func (k *keywords) alone() *node {
	return &node{op: opProto, version: k.version, anyProto: !k.hasProto, proto: k.proto}
}

// isIdentifier tells an address, port or number from all other tokens.
func isIdentifier(s string) bool {
	switch s {
	case "", "(", ")", "and", "or", "not", "ip", "ip6", "src", "dst", "mask":
		return false
	}
	if _, ok := kindWords[s]; ok {
		return false
	}
	return !isProtocol(s)
}

func isProtocol(s string) bool {
	for _, x := range protocols {
		if x.word == s {
			return true
		}
	}
	return false
}

// missing says what should stand where t stands.
func (p *parser) missing(t token) error {
	if t.text == "" {
		return p.fail(t, "the expression ends where a host, net, port or protocol should follow")
	}
	return p.fail(t, "a host, net, port or protocol should stand in front of %q", t.text)
}

// unknown says what is wrong with a word that no keyword explains.
func (p *parser) unknown(t token) error {
	if why, ok := foreign[t.text]; ok {
		return p.fail(t, "%s is not supported: %s", t.text, why)
	}
	if lower := strings.ToLower(t.text); lower != t.text && (!isIdentifier(lower) || foreign[lower] != "") {
		return p.fail(t, "words are written in lower case: %s", lower)
	}
	if mend := guess(t.text); mend != "" {
		return p.fail(t, "say what %q is: %s", t.text, mend)
	}
	return p.fail(t, "%q is no word of the filter language: host, net, port, portrange, proto, src, dst, ip, ip6, tcp, udp, icmp, icmp6, sctp, gre, esp, and, or, not", t.text)
}
