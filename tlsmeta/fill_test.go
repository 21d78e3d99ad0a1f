package tlsmeta

import (
	"slices"
	"strings"
	"testing"
)

// extensionsOf joins lists for helloWith.
func extensionsOf(lists ...[]any) []any { return slices.Concat(lists...) }

var (
	offer13 = []any{43, "\x04\x03\x04\x03\x03"}
	offer12 = []any{43, "\x02\x03\x03"}
	withKey = []any{41, "x"}
	early   = []any{42, ""}
	ticket  = []any{35, "abc"}
)

// answer is a ServerHello with a version, session id and, in TLS 1.3, the number
// of the key that was selected, -1 for none.
func answer(version uint16, session string, key int) *ServerHello {
	h := &ServerHello{LegacyVersion: 0x0303, Version: version, SessionID: []byte(session), Cipher: 0x1301, Random: make([]byte, 32)}
	if key >= 0 {
		h.PreSharedKey, h.PSKIdentity = true, uint16(key)
	}
	return h
}

// TestResumedRefused goes through what is offered and what is answered.
func TestResumedRefused(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	retry := answer(0x0304, "", -1)
	retry.HelloRetry = true
	hit := &ServerHello{Version: versionSSLv2, SessionHit: true}
	for _, tc := range []struct {
		name             string
		extensions       []any
		session          string
		answers          []*ServerHello
		behind           string // what shows behind the ServerHello, up to TLS 1.2
		resumed, refused bool
		echoed           bool
		early            EarlyData
	}{
		{name: "1.3, nothing offered", extensions: offer13, session: id, answers: []*ServerHello{answer(0x0304, id, -1)}},
		{name: "1.3, key taken", extensions: extensionsOf(offer13, withKey), answers: []*ServerHello{answer(0x0304, "", 0)}, resumed: true},
		{name: "1.3, key refused", extensions: extensionsOf(offer13, withKey), answers: []*ServerHello{answer(0x0304, "", -1)}, refused: true},
		{name: "1.3, key and early data", extensions: extensionsOf(offer13, withKey, early), answers: []*ServerHello{answer(0x0304, "", 0)}, resumed: true, early: EarlyOffered},
		{name: "1.3, the second key: no early data", extensions: extensionsOf(offer13, withKey, early), answers: []*ServerHello{answer(0x0304, "", 1)}, resumed: true, early: EarlyRejected},
		{name: "1.3, key refused: no early data", extensions: extensionsOf(offer13, withKey, early), answers: []*ServerHello{answer(0x0304, "", -1)}, refused: true, early: EarlyRejected},
		{name: "1.3, retry: no early data", extensions: extensionsOf(offer13, withKey, early), answers: []*ServerHello{retry, answer(0x0304, "", 0)}, resumed: true, early: EarlyRejected},
		{name: "1.3 offered, 1.2 answered: no early data", extensions: extensionsOf(offer13, withKey, early), session: id, answers: []*ServerHello{answer(0x0303, "x", -1)},
			behind: "full", refused: true, early: EarlyRejected},
		{name: "1.3 offered with a session id, 1.2 answered", extensions: offer13, session: id, answers: []*ServerHello{answer(0x0303, "x", -1)}, behind: "full"},
		{name: "1.2, session taken", extensions: offer12, session: id, answers: []*ServerHello{answer(0x0303, id, -1)}, behind: "abbreviated", resumed: true, echoed: true},
		{name: "1.2, session refused", extensions: offer12, session: id, answers: []*ServerHello{answer(0x0303, "x", -1)}, behind: "full", refused: true},
		{name: "1.2, echoed all the same", extensions: offer12, session: id, answers: []*ServerHello{answer(0x0303, id, -1)}, behind: "full", refused: true, echoed: true},
		{name: "1.2, ticket taken", extensions: ticket, answers: []*ServerHello{answer(0x0303, "", -1)}, behind: "abbreviated", resumed: true},
		{name: "1.2, ticket refused", extensions: ticket, answers: []*ServerHello{answer(0x0303, "", -1)}, behind: "full", refused: true},
		{name: "1.2, ticket asked for", extensions: []any{35, ""}, answers: []*ServerHello{answer(0x0303, "", -1)}, behind: "full"},
		{name: "1.2, nothing offered or answered", answers: []*ServerHello{answer(0x0303, "", -1)}, behind: "full"},
		{name: "ssl2, session taken", answers: []*ServerHello{hit}, resumed: true},
		{name: "draft 28, key taken", extensions: extensionsOf([]any{43, "\x02\x7f\x1c"}, withKey), answers: []*ServerHello{answer(0x7f1c, "", 0)}, resumed: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := parsed(t, helloWith(0x0303, nil, tc.extensions...))
			h.SessionID = []byte(tc.session)
			var i Info
			i.ClientHello(h, TransportTCP)
			for n, a := range tc.answers {
				i.ServerHello(a)
				if n < len(tc.answers)-1 {
					second := *h
					second.EarlyData = false
					i.ClientHello(&second, TransportTCP)
				}
			}
			switch tc.behind {
			case "full":
				i.Full()
			case "abbreviated":
				i.Abbreviated()
			}
			if i.Resumed != tc.resumed || i.Refused != tc.refused || i.SessionEchoed() != tc.echoed || i.EarlyData != tc.early || i.HelloRetry != (len(tc.answers) > 1) {
				t.Errorf("resumed %v, refused %v, echoed %v, early data %s, retry %v", i.Resumed, i.Refused, i.SessionEchoed(), i.EarlyData, i.HelloRetry)
			}
		})
	}
}

// TestFillBounds sends longer names and more of them than are kept.
func TestFillBounds(t *testing.T) {
	name := strings.Repeat("a", 300)
	list := strings.Repeat("\x02h2", 20)
	h := parsed(t, helloWith(0x0303, nil,
		0, string([]byte{1, 47, 0, 1, 44})+name,
		16, string([]byte{0, byte(len(list))})+list))
	var i Info
	i.ClientHello(h, TransportTCP)
	if i.SNI != name[:maxName] || len(i.ALPNOffered) != maxALPN {
		t.Errorf("name of %d octets, %d protocols", len(i.SNI), len(i.ALPNOffered))
	}
	// It is a copy: the message may change.
	for n := range h.ServerName {
		h.ServerName[n] = 'b'
	}
	if i.SNI != name[:maxName] {
		t.Error("the name aliases the message")
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"api.example.org":      "api.example.org",
		"bücher.example":       "bücher.example",
		"\xba\xad":             `\xba\xad`,
		"a\x00b\nc\x1b[31m":    `a\u0000b\u000ac\u001b[31m`,
		"a\u202eb":             `a\u202eb`,
		"\U000e0001":           `\U000e0001`,
		"half a rune \xe2\x82": `half a rune \xe2\x82`,
		"\ufffd":               "\ufffd",
	} {
		if got := text([]byte(in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// TestOffered ranks versions.
func TestOffered(t *testing.T) {
	for _, tc := range []struct {
		name     string
		legacy   uint16
		versions string
		want     string
	}{
		{"legacy", 0x0302, "", "1.1"},
		{"1.3", 0x0303, "\x03\x03\x03\x04\x03\x02", "1.3"},
		{"GREASE does not count", 0x0303, "\xfa\xfa\x03\x03", "1.2"},
		{"a draft is above 1.2", 0x0303, "\x03\x03\x7f\x1b\x7f\x1c", "1.3-draft28"},
		{"and below 1.3", 0x0303, "\x7f\x1c\x03\x04", "1.3"},
		{"DTLS counts down", 0xfefd, "\xfe\xfd\xfe\xfc\xfe\xff", "dtls1.3"},
		{"unknown ones alone", 0x0303, "\x12\x34", "1.2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var extensions []any
			if tc.versions != "" {
				extensions = []any{43, string([]byte{byte(len(tc.versions))}) + tc.versions}
			}
			var i Info
			i.ClientHello(parsed(t, helloWith(tc.legacy, nil, extensions...)), TransportTCP)
			if got := VersionName(i.Offered); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
