package mirror

import (
	"strings"
	"testing"
	"time"
)

func TestExpr(t *testing.T) {
	web := map[string]string{"env": "prod", "role": "web-1", "team": "pay & ship", "empty": "", "a*b": "star*"}
	for text, want := range map[string]bool{
		`*`:                           true,
		`not *`:                       false,
		`env`:                         true,
		`Env`:                         false,
		`zone`:                        false,
		`env = prod`:                  true,
		`env=prod`:                    true,
		`env = PROD`:                  false,
		`env = prod and zone`:         false,
		`env = dev or role = web-*`:   true,
		`env = dev, prod`:             true,
		`env != dev, prod`:            false,
		`env != dev`:                  true,
		`zone != a`:                   true,
		`not zone = a`:                true,
		`role = web-?`:                true,
		`role = web-??`:               false,
		`role = *-1`:                  true,
		`role = *`:                    true,
		`zone = *`:                    false,
		`role = w*b*1`:                true,
		`role = w*c*1`:                false,
		`team = "pay & ship"`:         true,
		`empty = ""`:                  true,
		`empty`:                       true,
		`env = ""`:                    false,
		`"a\*b" = "star\*"`:           true,
		`"a\*b" = "st\*r"`:            false,
		`"env" = prod`:                true,
		`zone and env or env`:         true, // and binds closer
		`zone and (env or env)`:       false,
		`not zone and env`:            true, // not closer still
		`not (zone and env)`:          true,
		`NOT env OR env AND Not zone`: true,
		`env = prod and not (role = db* or team)`: false,
		`aws:autoscaling:groupName or env`:        true,
	} {
		e, err := ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.Match(web); got != want {
			t.Errorf("%s is %v, want %v (read as %s)", text, got, want, e.node)
		}
	}
	if !(Expr{}).Match(nil) || (Expr{}).Set() {
		t.Error("no expression does not hold for everything")
	}
}

func TestExprErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                                "column 1: the end where a tag is expected",
		`env =`:                           "column 6: the end where a value is expected",
		`env = and x`:                     `column 7: "and" where a value is expected`,
		`env = a,`:                        "column 9: the end where a value is expected",
		`(env`:                            "column 5: the end where a bracket is to be closed",
		`env)`:                            `column 4: ")" is not expected here`,
		`env role`:                        `column 5: "role" is not expected here; join`,
		`or env`:                          `column 1: "or" where a tag`,
		`env and`:                         "column 8: the end where a tag",
		`!env`:                            `column 1: "!" stands alone`,
		`é = "x`:                          `column 5: "\"x" where a value`,
		`"x`:                              "column 1: the quote is not closed",
		`en* = x`:                         "column 1: the key \"en*\" has a wildcard",
		`x and e*`:                        "column 7: the key \"e*\" has a wildcard",
		"\xff":                            "not UTF-8",
		strings.Repeat("(", 200):          "more than 100 brackets",
		strings.Repeat("not ", 200) + "x": "more than 100 brackets",
		strings.Repeat("x", 20_000):       "need 16384 or less",
	} {
		if _, err := ParseExpr(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error %v, want one with %q", text, err, want)
		}
	}
}

// A hostile pattern costs the product of the lengths at most.
func TestPatternTime(t *testing.T) {
	e, err := ParseExpr(`k = "` + strings.Repeat("*a", 2000) + `b"`)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() { done <- e.Match(map[string]string{"k": strings.Repeat("a", 5000)}) }()
	select {
	case got := <-done:
		if got {
			t.Error("matches, though there is no b")
		}
	case <-time.After(time.Minute): // exponential would take longer than the universe has
		t.Fatal("still comparing")
	}
}

// What is read can be written and read again, and means the same.
func FuzzParseExpr(f *testing.F) {
	for _, s := range []string{`env = prod and not (role = db*, "x\"y" or team != "")`, `*`, `not not a`, `"\*" = "\\?"`, "a=b,c or d", `k = "`, `(((`} {
		f.Add(s, "env", "prod")
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		e, err := ParseExpr(text)
		if err != nil {
			return
		}
		again, err := ParseExpr(e.node.String())
		if err != nil {
			if len(e.node.String()) > maxExpr || strings.Contains(err.Error(), "brackets") {
				return // bracketed in full it is larger
			}
			t.Fatalf("%q was read as %s, which cannot be read: %v", text, e.node, err)
		}
		if again.node.String() != e.node.String() {
			t.Fatalf("%q was read as %s, and that as %s", text, e.node, again.node)
		}
		for _, tags := range []map[string]string{nil, {key: value}, {key: "", value: key}} {
			if e.Match(tags) != again.Match(tags) {
				t.Fatalf("%q and %s differ on %v", text, e.node, tags)
			}
		}
		for _, p := range patterns(e.node) {
			if got, want := p.match(value), slowMatch(p, []rune(value)); strings.ToValidUTF8(value, "") == value && got != want {
				t.Fatalf("%s matches %q: %v, want %v", p, value, got, want)
			}
		}
	})
}

func patterns(n node) []pattern {
	switch n := n.(type) {
	case equals:
		return n.values
	case not:
		return patterns(n.of)
	case both:
		return append(patterns(n.a), patterns(n.b)...)
	case oneOf:
		return append(patterns(n.a), patterns(n.b)...)
	}
	return nil
}

// slowMatch compares by the definition, a table of all prefixes.
func slowMatch(p pattern, s []rune) bool {
	row := make([]bool, len(s)+1) // the pattern so far matches s[:j]
	row[0] = true
	for _, g := range p {
		next := make([]bool, len(s)+1)
		for j := range next {
			switch {
			case g.wild && g.r == '*':
				next[j] = row[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = row[j-1] && (g.wild || g.r == s[j-1])
			}
		}
		row = next
	}
	return row[len(s)]
}
