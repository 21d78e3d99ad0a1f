package dnsmeta

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"mirrorscope/packet"
)

func TestAppendName(t *testing.T) {
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3) // 192 octets
	for _, tc := range []struct {
		name string
		b    string
		off  int
		want string
		next int
		r    reading
	}{
		{"labels", "\x03WWW\x07eXample\x00", 0, "www.example", 13, whole},
		{"root", "\x00", 0, ".", 1, whole},
		{"pointer", "\x07example\x00\x03www\xc0\x00", 9, "www.example", 15, whole},
		{"pointer to a pointer", "\x01a\x00\xc0\x00\x01b\xc0\x03", 5, "b.a", 9, whole},
		{"escapes", "\x08a.b\\\x00 \xff~\x00", 0, `a\.b\\\000\032\255~`, 10, whole},
		{"255 octets", long + "\x3d" + strings.Repeat("b", 61) + "\x00", 0, strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61), 255, whole},
		{"256 octets", long + "\x3e" + strings.Repeat("b", 62) + "\x00", 0, "", 0, bad},
		{"pointer to itself", "\xc0\x00", 0, "", 0, bad},
		{"pointers in a circle", "\xc0\x02\xc0\x00", 2, "", 2, bad},
		{"label and pointer in a circle", "\x01a\xc0\x00", 0, "", 0, bad},
		{"pointer forwards", "\xc0\x02\x01a\x00", 0, "", 0, bad},
		{"pointer into the name itself", "\x01a\x01b\xc0\x02", 0, "", 0, bad},
		{"label type 1", "\x41a\x00", 0, "", 0, bad},
		{"label type 2", "\x81a\x00", 0, "", 0, bad},
		{"ends before the root", "\x01a", 0, "", 0, short},
		{"ends in a label", "\x05abc", 0, "", 0, short},
		{"ends in a pointer", "\x01a\xc0", 0, "", 0, short},
		{"nothing", "", 0, "", 0, short},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, next, r := appendName([]byte("x"), []byte(tc.b), tc.off)
			if string(text) != "x"+tc.want || next != tc.next || r != tc.r {
				t.Errorf("got %q, %d, %d; want %q, %d, %d", text[1:], next, r, tc.want, tc.next, tc.r)
			}
			if r == whole {
				if skipped, r := skipName([]byte(tc.b), tc.off); skipped != tc.next || r != whole {
					t.Errorf("skipName: %d, %d, want %d", skipped, r, tc.next)
				}
			}
		})
	}
}

// TestNameTime sends the longest chain of pointers that goes backwards.
func TestNameTime(t *testing.T) {
	b := []byte{0}
	for len(b) < 16000 {
		at := max(len(b)-2, 0)
		b = append(b, 0xc0|byte(at>>8), byte(at))
	}
	if text, _, r := appendName(nil, b, len(b)-2); r != bad {
		t.Errorf("%q, %d", text, r)
	}
	if text, _, r := appendName(nil, b, 1+2*(maxPointers-1)); r != whole || string(text) != "." {
		t.Errorf("%q, %d", text, r)
	}
}

// TestEffort makes a response whose names are long, and equal but for the end.
func TestEffort(t *testing.T) {
	long := strings.Repeat("a.", 120)
	for _, tc := range []struct{ equal, want int }{{0, 1}, {4, 1}, {63, 0}} {
		rs := []dnsmessage.Resource{rr(long, 60, "192.0.2.1")}
		for range tc.equal {
			rs = append(rs, rr(long+"b.", 60, long+"c."))
		}
		c := newConn(DNS)
		c.Datagram(true, ask(1, long, a4), false, epoch)
		c.Datagram(false, tell(1, long, a4, answers(rs...)), false, epoch)
		if got := len(c.Answers()); got != tc.want || c.Info().Responses != 1 {
			t.Errorf("%d records: %d answers, want %d", tc.equal, got, tc.want)
		}
	}
}

func TestSameName(t *testing.T) {
	b := []byte("\x01a\x02bc\x00" + "\x01A\x02bC\x00" + "\x01a\xc0\x02" + "\x01a\x02bd\x00" + "\x01a\x00" + "\x01@\x00\x01`\x00")
	for _, tc := range []struct {
		x, y int
		want bool
	}{{0, 0, true}, {0, 6, true}, {0, 12, true}, {12, 0, true}, {6, 12, true}, {0, 16, false}, {0, 22, false}, {22, 0, false}, {25, 28, false}, {0, len(b), false}} {
		effort := 100
		if got := sameName(b, tc.x, tc.y, &effort); got != tc.want {
			t.Errorf("sameName(%d, %d) = %v", tc.x, tc.y, got)
		}
	}
}

// TestLearn looks at what responses teach.
func TestLearn(t *testing.T) {
	one, two, six := "192.0.2.1", "192.0.2.2", "2001:db8::1"
	var many []dnsmessage.Resource
	for k := range 100 {
		many = append(many, rr(site, 60, fmt.Sprint("192.0.2.", k)))
	}
	chain := func(n int) (rs []dnsmessage.Resource) {
		for k := range n {
			from, to := fmt.Sprintf("c%d.example.", k), fmt.Sprintf("c%d.example.", k+1)
			if k == 0 {
				from = site
			}
			rs = append(rs, rr(from, 60, to))
		}
		return append(rs, rr(fmt.Sprintf("c%d.example.", n), 60, one))
	}
	other := func(m *dnsmessage.Message) { m.Answers[0].Header.Class = 3 }
	for _, tc := range []struct {
		name  string
		typ   dnsmessage.Type
		edits []edit
		want  string
	}{
		{"addresses", a4, []edit{answers(rr(site, 60, one), rr(site, 30, two))}, "192.0.2.1/60 192.0.2.2/30"},
		{"AAAA", a6, []edit{answers(rr(site, 60, six))}, "2001:db8::1/60"},
		{"any", dnsmessage.TypeALL, []edit{answers(rr(site, 60, one), rr(site, 60, six))}, "192.0.2.1/60 2001:db8::1/60"},
		{"of another type", a4, []edit{answers(rr(site, 60, six))}, ""},
		{"asked for text", dnsmessage.TypeTXT, []edit{answers(rr(site, 60, one))}, ""},
		{"a chain", a4, []edit{answers(rr(site, 600, "cdn.example."), rr("CDN.example.", 20, "x.example."), rr("x.EXAMPLE.", 60, one))}, "192.0.2.1/20"},
		{"a chain out of order", a4, []edit{answers(rr("x.example.", 60, one), rr("cdn.example.", 70, "x.example."), rr(site, 600, "cdn.example."))}, "192.0.2.1/60"},
		{"a chain that leads elsewhere", a4, []edit{answers(rr(site, 600, "cdn.example."), rr(site, 60, one))}, ""},
		{"a circle", a4, []edit{answers(rr(site, 600, "cdn.example."), rr("cdn.example.", 60, site), rr(site, 60, one))}, ""},
		{"as long as it gets", a4, []edit{answers(chain(16)...)}, "192.0.2.1/60"},
		{"too long", a4, []edit{answers(chain(17)...)}, ""},
		{"of another name", a4, []edit{answers(rr("bank.example.", 60, one), rr(site, 60, two))}, "192.0.2.2/60"},
		{"in the additional section", a4, []edit{answers(rr(site, 60, two)), additionals(rr(site, 60, one), rr("bank.example.", 60, one))}, "192.0.2.2/60"},
		{"of another class", a4, []edit{answers(rr(site, 60, one)), other}, ""},
		{"the upper bit of the TTL", a4, []edit{answers(rr(site, 1<<31, one))}, "192.0.2.1/0"},
		{"many", a4, []edit{answers(many...)}, "64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newConn(DNS)
			c.Datagram(true, ask(1, site, tc.typ), false, epoch)
			b := tell(1, site, tc.typ, tc.edits...)
			c.Datagram(false, b, false, epoch+ms)
			var got []string
			for _, a := range c.Answers() {
				if a.Name != "shop.example" || a.Asker != client || a.At != epoch+ms {
					t.Errorf("answer %+v", a)
				}
				got = append(got, fmt.Sprintf("%v/%d", a.Addr.IP(), a.TTL))
			}
			if text := strings.Join(got, " "); text != tc.want && (tc.want != "64" || len(got) != 64) {
				t.Errorf("got %s, want %s", text, tc.want)
			}
			if again := c.Answers(); len(again) != 0 {
				t.Errorf("told twice: %v", again)
			}
			c.Datagram(false, b, false, epoch+2*ms)
			if again := c.Answers(); len(again) != 0 {
				t.Errorf("an unsolicited response teaches %v", again)
			}
		})
	}
	t.Run("in any place of the message", func(t *testing.T) {
		b := tell(1, site, a4, answers(rr(site, 60, one), rr(site, 60, two)), additionals(opt(0)))
		for n := range b {
			c := newConn(DNS)
			c.Datagram(true, ask(1, site, a4), false, epoch)
			c.Datagram(false, b[:n], true, epoch+ms)
			got := len(c.Answers())
			if want := max(0, (n-30)/16); got != want && n < 62 || c.Info().Cut != 1 && n > 0 {
				t.Errorf("cut to %d octets: %d answers, want %d; %v", n, got, want, sums(c.Info()))
			}
			c.Datagram(false, b[:n], false, epoch+ms)
			if got := len(c.Answers()); got != 0 || c.Info().Malformed != 1 && n > 0 {
				t.Errorf("%d octets: %d answers; %v", n, got, sums(c.Info()))
			}
		}
	})
	t.Run("malformed", func(t *testing.T) {
		c := newConn(DNS)
		c.Datagram(true, ask(1, site, a4), false, epoch)
		b := tell(1, site, a4, answers(rr(site, 60, one), rr(site, 60, two)))
		c.Datagram(false, b[:len(b)-1], false, epoch+ms)
		if got := c.Answers(); len(got) != 0 || c.Info().Malformed != 1 || c.Info().Responses != 1 {
			t.Errorf("%v from a malformed response, %v", got, sums(c.Info()))
		}
	})
	t.Run("an address of 5 octets", func(t *testing.T) {
		c := newConn(DNS)
		c.Datagram(true, ask(1, site, a4), false, epoch)
		b := tell(1, site, a4, answers(rr(site, 60, one)))
		b[len(b)-5]++
		c.Datagram(false, append(b, 0), false, epoch+ms)
		if got := c.Answers(); len(got) != 0 || c.Info().Malformed != 1 {
			t.Errorf("%v, %v", got, sums(c.Info()))
		}
	})
}

// agree compares what our walk reads with what dnsmessage reads, where
// dnsmessage has no objections.
func agree(t *testing.T, b []byte) {
	t.Helper()
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return
	}
	m := message{records: make([]record, 0, maxRecords)}
	r := m.start(b)
	if m.id != h.ID || m.response() != h.Response || m.opcode() != uint8(h.OpCode) || m.flags&flagTC != 0 != h.Truncated || m.rcode != uint16(h.RCode) {
		t.Fatalf("header %+v, ours %+v", h, m)
	}
	if r == bad && len(m.text) == 0 && !plausible(b) {
		return
	}
	qs, err := p.AllQuestions()
	if err != nil || len(b) > 0xffff {
		return
	}
	// dnsmessage reads names of 256 octets.
	if r != whole && (len(qs) == 0 || !pointers(b) && qs[0].Name.Length < maxName) {
		t.Fatalf("start: %d, dnsmessage reads %v", r, qs)
	}
	if r != whole {
		return
	}
	if len(qs) > 0 {
		if want := textOf(qs[0].Name); string(m.text) != want || m.typ != uint16(qs[0].Type) {
			t.Fatalf("question %s %d, want %s %v", m.text, m.typ, want, qs[0].Type)
		}
	}
	var want, got []string
	for {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			return
		}
		text := ""
		switch {
		case h.Class != 1 && h.Class != 0x8001:
			err = p.SkipAnswer()
		case h.Type == a4 && h.Length == 4:
			var d dnsmessage.AResource
			d, err = p.AResource()
			text = fmt.Sprint(h.TTL&^(h.TTL>>31*0xffffffff), d.A)
		case h.Type == a6 && h.Length == 16:
			var d dnsmessage.AAAAResource
			d, err = p.AAAAResource()
			text = fmt.Sprint(h.TTL&^(h.TTL>>31*0xffffffff), d.AAAA)
		case h.Type == a4 || h.Type == a6:
			return
		case h.Type == dnsmessage.TypeCNAME:
			var d dnsmessage.CNAMEResource
			d, err = p.CNAMEResource()
			text = fmt.Sprint(h.TTL&^(h.TTL>>31*0xffffffff), textOf(d.CNAME))
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return
		}
		if text != "" {
			want = append(want, text)
		}
	}
	if p.SkipAllAuthorities() != nil {
		return
	}
	code := h.RCode
	for {
		h2, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil || p.SkipAdditional() != nil {
			return
		}
		if h2.Type == dnsmessage.TypeOPT {
			if h2.TTL>>16&0xff != 0 {
				return // dnsmessage reads version 0 alone
			}
			code = h2.ExtendedRCode(h.RCode)
		}
	}
	if r := m.rest(false); r != whole {
		t.Fatalf("rest: %d, dnsmessage reads all of %x", r, b)
	}
	for _, r := range m.records {
		switch r.typ {
		case typeCNAME:
			text, _, res := appendName(nil, b, int(r.data))
			if res != whole {
				return // dnsmessage follows pointers that do not go back
			}
			got = append(got, fmt.Sprint(r.ttl, string(text)))
		case typeA:
			got = append(got, fmt.Sprint(r.ttl, [4]byte(b[r.data:])))
		case typeAAAA:
			got = append(got, fmt.Sprint(r.ttl, [16]byte(b[r.data:])))
		}
	}
	if len(want) > maxRecords {
		want = want[:maxRecords]
	}
	if !slices.Equal(got, want) {
		t.Fatalf("records %q, want %q", got, want)
	}
	if m.rcode != uint16(code) {
		t.Fatalf("rcode %d, want %d", m.rcode, code)
	}
}

// pointers tells whether some octet of b may be a pointer: of these ours
// refuses more, those into the name itself.
func pointers(b []byte) bool {
	return slices.ContainsFunc(b, func(c byte) bool { return c >= 0xc0 })
}

// textOf writes a name of dnsmessage, which has no dots in labels, our way.
func textOf(n dnsmessage.Name) string {
	if n.Length == 1 {
		return "."
	}
	var parts []string
	for label := range strings.SplitSeq(strings.TrimSuffix(n.String(), "."), ".") {
		parts = append(parts, string(appendLabel(nil, []byte(label))))
	}
	return strings.Join(parts, ".")
}

// samples are messages of all kinds.
func samples() [][]byte {
	return [][]byte{
		ask(1, site, a4), ask(2, ".", dnsmessage.TypeNS, additionals(opt(0))), tell(1, site, a4, rcode(3)),
		tell(1, site, a4, answers(rr(site, 60, "cdn.example."), rr("cdn.example.", 60, "192.0.2.1")), additionals(opt(16))),
		tell(3, site, a6, answers(rr(site, 60, "2001:db8::1"))), tell(0, "a.local.", a4, noQuestion, answers(rr("a.local.", 60, "192.0.2.1"))),
		[]byte("\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\xc0\x0c\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04abcd"),
	}
}

// TestMutations compares with dnsmessage on messages with a few octets wrong.
func TestMutations(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, b := range samples() {
		agree(t, b)
		for range 20000 {
			m := bytes.Clone(b)
			for range 1 + r.IntN(3) {
				m[r.IntN(len(m))] = [...]byte{byte(r.UintN(256)), 0xc0, 0, 1}[r.IntN(4)]
			}
			agree(t, m[:len(m)-r.IntN(4)*r.IntN(2)])
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, b := range samples() {
		f.Add(b, uint8(0), false)
	}
	for _, b := range recorded(f, 64) {
		f.Add(b, uint8(1), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, proto uint8, isCut bool) {
		agree(t, b)
		var c Conn
		st := newStore()
		c.Init(st, Protocol(proto%3), client, [...]packet.Addr{server, group4}[proto/3%2])
		for k := range int64(4) {
			c.Datagram(k%2 == 0, b, isCut, epoch+k*s)
			if n := len(c.Answers()); n > maxRecords {
				t.Fatalf("%d answers", n)
			}
			if len(b) > 2 {
				b[2] ^= 0x80
			}
		}
		c.End(epoch + 10*s)
		sound(t, takeClone(&c))
		c.Release()
		if used := st.budget.Used(); used != 0 {
			t.Errorf("%d octets in use after Release", used)
		}
	})
}
