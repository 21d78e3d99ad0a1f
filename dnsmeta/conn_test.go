package dnsmeta

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"mirrorscope/packet"
)

const (
	a4   = dnsmessage.TypeA
	a6   = dnsmessage.TypeAAAA
	site = "Shop.Example."
)

// step is one datagram, or the passing of time.
type step struct {
	at       int64 // ns since epoch
	toClient bool
	b        []byte // nil: only time passes
	cut      int    // octets that the capture holds; 0: all
}

func query1(at int64, id uint16, name string, typ dnsmessage.Type, e ...edit) step {
	return step{at: at, b: ask(id, name, typ, e...)}
}

func reply1(at int64, id uint16, name string, typ dnsmessage.Type, e ...edit) step {
	return step{at: at, toClient: true, b: tell(id, name, typ, e...)}
}

func (st step) do(c *Conn) {
	switch {
	case st.b == nil:
		c.Advance(epoch + st.at)
	case st.cut > 0:
		c.Datagram(!st.toClient, st.b[:st.cut], true, epoch+st.at)
	default:
		c.Datagram(!st.toClient, st.b, false, epoch+st.at)
	}
}

func TestDatagrams(t *testing.T) {
	type counts = map[string]int64
	twice := func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }
	notify := func(m *dnsmessage.Message) { m.OpCode = 4 }
	for _, tc := range []struct {
		name  string
		steps []step
		end   int64
		want  counts
		rcode int // that one response must have; -1: none
	}{
		{"a query and its response", []step{query1(0, 1, site, a4), reply1(12*ms, 1, site, a4, answers(rr(site, 60, "192.0.2.1")))}, s,
			counts{"queries": 1, "responses": 1, "samples": 1, "ns": 12 * ms}, 0},
		{"letter case aside", []step{query1(0, 1, "sHoP.example.", a4), reply1(ms, 1, "SHOP.EXAMPLE.", a4)}, s,
			counts{"queries": 1, "responses": 1, "samples": 1, "ns": ms}, 0},
		{"A and AAAA, out of order", []step{query1(0, 1, site, a4), query1(0, 2, site, a6), reply1(ms, 2, site, a6), reply1(3*ms, 1, site, a4)}, s,
			counts{"queries": 2, "responses": 2, "samples": 2, "ns": 4 * ms}, 0},
		{"no such name", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4, rcode(3))}, s,
			counts{"queries": 1, "responses": 1, "nxdomain": 1, "samples": 1, "ns": ms}, 3},
		{"server failure", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4, rcode(2))}, s,
			counts{"queries": 1, "responses": 1, "servfail": 1, "samples": 1, "ns": ms}, 2},
		{"refused", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4, rcode(5))}, s,
			counts{"queries": 1, "responses": 1, "othererr": 1, "samples": 1, "ns": ms}, 5},
		{"extended rcode", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4, additionals(opt(16)))}, s,
			counts{"queries": 1, "responses": 1, "othererr": 1, "samples": 1, "ns": ms}, 16},
		{"rcode beyond the last", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4, additionals(opt(3841)), rcode(1))}, s,
			counts{"queries": 1, "responses": 1, "othererr": 1, "samples": 1, "ns": ms}, 23},
		{"EDNS without upper bits", []step{query1(0, 1, site, a4, additionals(opt(0))), reply1(ms, 1, site, a4, rcode(3), additionals(opt(0)))}, s,
			counts{"queries": 1, "responses": 1, "nxdomain": 1, "samples": 1, "ns": ms}, 3},
		{"truncated", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4, isTruncated)}, s,
			counts{"queries": 1, "responses": 1, "truncated": 1, "samples": 1, "ns": ms}, 0},
		{"a header alone", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4, rcode(1), noQuestion)}, s,
			counts{"queries": 1, "responses": 1, "othererr": 1, "samples": 1, "ns": ms}, 1},
		{"asked again", []step{query1(0, 1, site, a4), query1(s, 1, site, a4), reply1(s+ms, 1, site, a4)}, 2 * s,
			counts{"queries": 2, "repeats": 1, "responses": 1}, 0},
		{"asked and answered again", []step{query1(0, 1, site, a4), query1(s, 1, site, a4), reply1(s+ms, 1, site, a4), reply1(s+2*ms, 1, site, a4)}, 2 * s,
			counts{"queries": 2, "repeats": 1, "responses": 1, "duplicates": 1}, 0},
		{"asked anew while a response is due", []step{query1(0, 1, site, a4), query1(ms, 1, site, a4), reply1(2*ms, 1, site, a4), query1(3*ms, 1, site, a4), reply1(4*ms, 1, site, a4)}, s,
			counts{"queries": 3, "repeats": 1, "responses": 2}, 0},
		{"answered twice", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4), reply1(2*ms, 1, site, a4)}, s,
			counts{"queries": 1, "responses": 1, "unsolicited": 1, "samples": 1, "ns": ms}, 0},
		{"never asked", []step{reply1(0, 1, site, a4, rcode(3))}, s, counts{"unsolicited": 1}, 3},
		{"another id", []step{query1(0, 1, site, a4), reply1(ms, 2, site, a4)}, s, counts{"queries": 1, "unsolicited": 1, "unanswerable": 1}, 0},
		{"another name", []step{query1(0, 1, site, a4), reply1(ms, 1, "evil.example.", a4)}, s, counts{"queries": 1, "unsolicited": 1, "unanswerable": 1}, 0},
		{"another type", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a6)}, s, counts{"queries": 1, "unsolicited": 1, "unanswerable": 1}, 0},
		{"another opcode", []step{query1(0, 1, site, a4), reply1(ms, 1, site, a4, notify)}, s, counts{"queries": 1, "unsolicited": 1, "unanswerable": 1}, 0},
		{"from the side that asked", []step{query1(0, 1, site, a4), {at: ms, b: tell(1, site, a4)}}, s, counts{"queries": 1, "unsolicited": 1, "unanswerable": 1}, 0},
		{"the server asks", []step{{toClient: true, b: ask(1, site, a4, notify)}, {at: ms, b: tell(1, site, a4, notify)}}, s,
			counts{"queries": 1, "responses": 1, "samples": 1, "ns": ms}, 0},
		{"an id again with another name", []step{query1(0, 1, site, a4), query1(ms, 1, "b.example.", a4), reply1(2*ms, 1, "b.example.", a4), reply1(4*ms, 1, site, a4)}, s,
			counts{"queries": 2, "responses": 2, "samples": 2, "ns": 5 * ms}, 0},
		{"timeout as time passes", []step{query1(0, 1, site, a4), {at: 5*s + 1}}, 6 * s, counts{"queries": 1, "timeouts": 1}, -1},
		{"timeout at the end", []step{query1(0, 1, site, a4)}, 5*s + 1, counts{"queries": 1, "timeouts": 1}, -1},
		{"not yet a timeout", []step{query1(0, 1, site, a4)}, 5 * s, counts{"queries": 1, "unanswerable": 1}, -1},
		{"a query and its repeats time out once", []step{query1(0, 1, site, a4), query1(s, 1, site, a4), query1(6*s, 1, site, a4)}, 20 * s,
			counts{"queries": 3, "repeats": 2, "timeouts": 1}, -1},
		{"in the last moment", []step{query1(0, 1, site, a4), reply1(5*s, 1, site, a4)}, 20 * s, counts{"queries": 1, "responses": 1, "samples": 1, "ns": 5 * s}, 0},
		{"late", []step{query1(0, 1, site, a4), reply1(6*s, 1, site, a4, rcode(2))}, 20 * s,
			counts{"queries": 1, "timeouts": 1, "responses": 1, "late": 1, "servfail": 1, "samples": 1, "ns": 6 * s}, 2},
		{"too late", []step{query1(0, 1, site, a4), reply1(31*s, 1, site, a4)}, 40 * s, counts{"queries": 1, "timeouts": 1, "unsolicited": 1}, 0},
		{"time goes back", []step{query1(ms, 1, site, a4), reply1(0, 1, site, a4)}, s, counts{"queries": 1, "responses": 1}, 0},
		{"two questions", []step{query1(0, 1, site, a4, twice), reply1(ms, 1, site, a4, twice)}, s, counts{"queries": 1, "responses": 1, "samples": 1, "ns": ms}, 0},
		{"no octets of a header", []step{{b: []byte{0, 1, 2}}}, s, counts{"malformed": 1}, -1},
		{"text", []step{{b: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")}}, s, counts{"malformed": 1}, -1},
		{"cut in the query", []step{{b: ask(1, site, a4), cut: 20}}, s, counts{"cut": 1}, -1},
		{"cut in the question of the response", []step{query1(0, 1, site, a4), {at: ms, toClient: true, b: tell(1, site, a4), cut: 20}}, 9 * s, counts{"queries": 1, "cut": 1, "lost": 1}, -1},
		{"cut behind the question", []step{query1(0, 1, site, a4), {at: ms, toClient: true, b: tell(1, site, a4, answers(rr(site, 60, "192.0.2.1"))), cut: 35}}, s,
			counts{"queries": 1, "responses": 1, "cut": 1, "samples": 1, "ns": ms}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newConn(DNS)
			for _, st := range tc.steps {
				st.do(c)
			}
			c.End(epoch + tc.end)
			i := takeClone(c)
			sound(t, i)
			if got := sums(i); !maps.Equal(got, tc.want) {
				t.Errorf("got %v\nwant %v", got, tc.want)
			}
			if tc.rcode >= 0 && i.RCodes[tc.rcode] == 0 {
				t.Errorf("rcodes %v, want one %d", i.RCodes, tc.rcode)
			}
			if again := sums(takeClone(c)); len(again) != 0 {
				t.Errorf("told twice: %v", again)
			}
		})
	}
}

// takeClone takes what a Conn told.
func takeClone(c *Conn) *Info {
	i := new(Info)
	c.TakeInfo(i)
	return i
}

func TestGroups(t *testing.T) {
	type counts = map[string]int64
	cast, plain := "printer.local.", "wpad."
	two := func(m *dnsmessage.Message) {
		m.Questions = append(m.Questions, dnsmessage.Question{Name: dnsmessage.MustNewName("scanner.local."), Type: a6, Class: 1 | 0x8000})
	}
	many := func(m *dnsmessage.Message) {
		for range maxQuestions {
			m.Questions = append(m.Questions, m.Questions[0])
		}
	}
	for _, tc := range []struct {
		name           string
		proto          Protocol
		client, server packet.Addr
		steps          []step
		want           counts
		speaks         Protocol
		names          []string
	}{
		{"mDNS: a query to the group has its answers elsewhere", MDNS, client, group4, []step{query1(0, 0, cast, a4, two), query1(s, 0, cast, a4)},
			counts{"queries": 3, "unpaired": 3}, MDNS, nil},
		{"mDNS: announcements", MDNS, group4, client, []step{{toClient: true, b: tell(0, cast, a4, noQuestion, answers(rr(cast, 120, "192.0.2.9")))}},
			counts{"announced": 1}, MDNS, []string{"printer.local 192.0.2.9 ::"}},
		{"mDNS: the second question is cut", MDNS, client, group4, []step{{b: ask(0, cast, a4, two), cut: 40}}, counts{"queries": 1, "unpaired": 1, "cut": 1}, MDNS, nil},
		{"mDNS: further known answers", MDNS, client, group4, []step{query1(0, 0, cast, a4, noQuestion, answers(rr(cast, 120, "192.0.2.9")))}, counts{}, MDNS, nil},
		{"mDNS: asked directly for anything", MDNS, client, server, []step{
			query1(0, 0, cast, dnsmessage.TypeALL), query1(0, 0, "scanner.local.", a4),
			reply1(ms, 0, cast, a4, noQuestion, answers(rr("x.local.", 120, "y.local."), rr(cast, 120, "192.0.2.9"))),
		}, counts{"queries": 2, "responses": 1, "unpaired": 1, "samples": 1, "ns": ms}, MDNS, []string{"printer.local 192.0.2.9 10.0.0.1"}},
		{"mDNS: more questions than anyone has", MDNS, client, group4, []step{query1(0, 0, cast, a4, many)},
			counts{"queries": maxQuestions, "unpaired": maxQuestions, "malformed": 1}, MDNS, nil},
		{"mDNS: another id means nothing", MDNS, client, group4, []step{query1(0, 7, cast, a4)}, counts{"queries": 1, "unpaired": 1}, MDNS, nil},
		{"mDNS: asked directly, answered by several", MDNS, client, server, []step{
			query1(0, 0, cast, a4),
			reply1(ms, 0, cast, a4, noQuestion, answers(rr(cast, 120, "192.0.2.9")), additionals(rr("scanner.local.", 120, "192.0.2.10"))),
			reply1(2*ms, 0, cast, a4, noQuestion, answers(rr(cast, 120, "192.0.2.11"))),
		}, counts{"queries": 1, "responses": 1, "announced": 1, "samples": 1, "ns": ms}, MDNS,
			[]string{"printer.local 192.0.2.9 10.0.0.1", "scanner.local 192.0.2.10 10.0.0.1", "printer.local 192.0.2.11 10.0.0.1"}},
		{"mDNS: asked directly, silence", MDNS, client, server, []step{query1(0, 0, cast, a4)}, counts{"queries": 1, "unpaired": 1}, MDNS, nil},
		{"mDNS tells no names of the world", MDNS, client, group4, []step{{toClient: true, b: tell(0, cast, a4, noQuestion, answers(rr("bank.example.", 120, "192.0.2.9")))}},
			counts{"announced": 1}, MDNS, nil},
		{"DNS on the port of mDNS", MDNS, client, server, []step{query1(0, 77, "db.example.", a4, rd), reply1(ms, 77, "db.example.", a4, answers(rr("db.example.", 5, "192.0.2.1")))},
			counts{"queries": 1, "responses": 1, "samples": 1, "ns": ms}, DNS, []string{"db.example 192.0.2.1 10.0.0.1"}},
		{"DNS on the port of mDNS, unanswered", MDNS, client, server, []step{query1(0, 0, "db.example.", a4, rd)}, counts{"queries": 1, "timeouts": 1}, DNS, nil},
		{"LLMNR: a query to the group", LLMNR, client, addr("ff02::1:3"), []step{query1(0, 7, plain, a4), query1(100*ms, 7, plain, a4)},
			counts{"queries": 2, "repeats": 1, "unpaired": 1}, LLMNR, nil},
		{"LLMNR: a response on its own", LLMNR, client, server, []step{reply1(0, 7, plain, a4, answers(rr(plain, 30, "192.0.2.1")))},
			counts{"announced": 1}, LLMNR, []string{"wpad 192.0.2.1 10.0.0.1"}},
		{"LLMNR: asked directly", LLMNR, client, server, []step{query1(0, 7, plain, a4), reply1(ms, 7, plain, a4, answers(rr(plain, 30, "192.0.2.1")))},
			counts{"queries": 1, "responses": 1, "samples": 1, "ns": ms}, LLMNR, []string{"wpad 192.0.2.1 10.0.0.1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c Conn
			c.Init(newStore(), tc.proto, tc.client, tc.server)
			var names []string
			for _, st := range tc.steps {
				st.do(&c)
				names = append(names, told(&c)...)
			}
			c.End(epoch + 10*s)
			i := takeClone(&c)
			sound(t, i)
			if got := sums(i); !maps.Equal(got, tc.want) {
				t.Errorf("got %v\nwant %v", got, tc.want)
			}
			if i.Protocol != tc.speaks || c.Protocol() != tc.speaks {
				t.Errorf("speaks %v, want %v", i.Protocol, tc.speaks)
			}
			if !slices.Equal(names, tc.names) {
				t.Errorf("names %q, want %q", names, tc.names)
			}
		})
	}
}

// told gives the answers of the latest call as text: name, address, asker.
func told(c *Conn) (out []string) {
	for _, a := range c.Answers() {
		out = append(out, fmt.Sprint(a.Name, " ", a.Addr.IP(), " ", a.Asker.IP()))
	}
	return out
}

func TestProtocolOf(t *testing.T) {
	for _, tc := range []struct {
		a, b uint16
		want Protocol
		ok   bool
	}{{40000, 53, DNS, true}, {53, 40000, DNS, true}, {5353, 53, DNS, true}, {5353, 5353, MDNS, true}, {40000, 5353, MDNS, true}, {5355, 40000, LLMNR, true}, {80, 443, DNS, false}} {
		if p, ok := ProtocolOf(tc.a, tc.b); ok != tc.ok || ok && p != tc.want {
			t.Errorf("ProtocolOf(%d, %d) = %v, %v", tc.a, tc.b, p, ok)
		}
	}
}

func TestOneSided(t *testing.T) {
	c := newConn(DNS)
	c.OneSided(true)
	c.Datagram(true, ask(1, site, a4), false, epoch)
	c.Datagram(true, ask(2, site, a4), false, epoch+6*s)
	c.End(epoch + 7*s)
	if i := takeClone(c); i.Lost != 2 || i.Timeouts != 0 || i.Unanswerable != 0 {
		t.Errorf("%v, want 2 lost", sums(i))
	}
}

// TestEnded: nothing comes behind the end.
func TestEnded(t *testing.T) {
	c := newConn(DNS)
	c.Feed(true, 0, framed(ask(1, site, a4))[:1], epoch)
	if !c.Pending() {
		t.Error("an octet of a message is nothing to tell")
	}
	c.End(epoch)
	before := sums(c.Info())
	c.Datagram(true, ask(1, site, a4), false, epoch)
	c.Feed(true, 1, ask(1, site, a4), epoch)
	c.Gap(true, 1, epoch)
	c.End(epoch)
	if after := sums(c.Info()); c.Pending() || !maps.Equal(before, after) || before["cut"] != 1 {
		t.Errorf("%v, then %v", before, after)
	}
}

func TestFullTable(t *testing.T) {
	c := newConn(DNS)
	for k := range maxWaiting + 10 {
		c.Datagram(true, ask(uint16(k), fmt.Sprintf("n%d.example.", k), a4), false, epoch+int64(k))
	}
	c.Datagram(false, tell(9, "n9.example.", a4), false, epoch+s)                                        // left
	c.Datagram(false, tell(maxWaiting+9, fmt.Sprintf("n%d.example.", maxWaiting+9), a4), false, epoch+s) // stayed
	i := c.Info()
	if i.Dropped != 10 || i.Unsolicited != 1 || i.Responses != 1 || len(i.Names) != MaxNames {
		t.Errorf("%v, %d names: want 10 dropped, one unsolicited response, one other", sums(i), len(i.Names))
	}
	c.End(epoch + 2*s)
	sound(t, i)

	// What timed out gives way first.
	c = newConn(DNS)
	for k := range maxWaiting {
		c.Datagram(true, ask(uint16(k), site, a4), false, epoch)
	}
	c.Datagram(true, ask(9999, site, a4), false, epoch+6*s)
	c.End(epoch + 6*s)
	if i := c.Info(); i.Dropped != 0 || i.Timeouts != maxWaiting || i.Unanswerable != 1 {
		t.Errorf("%v: want no query dropped", sums(i))
	}
}

func TestBudget(t *testing.T) {
	st := newStore()
	st.budget.Max = int64(3*nameSize + 2*inline*waitingSize)
	var c Conn
	c.Init(st, DNS, client, server)
	for k := range 40 {
		c.Datagram(true, ask(uint16(k), fmt.Sprintf("n%d.example.", k), a4), false, epoch)
	}
	c.End(epoch)
	i := c.Info()
	sound(t, i)
	if len(i.Names) != 3 || i.Other.Queries != 37 || i.Dropped == 0 {
		t.Errorf("%d names, %v: want 3, the others in Other, and queries dropped", len(i.Names), sums(i))
	}
	c.Release()
	if used := st.budget.Used(); used != 0 {
		t.Errorf("%d octets in use after Release", used)
	}
}

func TestMergeAndClone(t *testing.T) {
	var sum Info
	c := newConn(LLMNR)
	for k := range MaxNames + 6 {
		c.Datagram(true, ask(uint16(k), fmt.Sprintf("n%d.", k), a4), false, epoch)
		c.Datagram(false, tell(uint16(k), fmt.Sprintf("n%d.", k), a4), false, epoch+ms)
		if k%20 == 19 {
			sum.Merge(c.Info())
			c.Info().Reset()
		}
	}
	sum.Merge(c.Info())
	sound(t, &sum)
	if sum.Protocol != LLMNR || len(sum.Names) != MaxNames || sum.Other.Responses != 6 || sum.Time.Count() != MaxNames+6 {
		t.Errorf("%v %d names, %+v in Other", sum.Protocol, len(sum.Names), sum.Other)
	}
	for k := range sum.Names {
		if want := fmt.Sprintf("n%d", k); sum.Names[k].Name != want {
			t.Fatalf("name %d is %q", k, sum.Names[k].Name)
		}
	}
	d := sum.Clone()
	before := fmt.Sprintf("%+v", sums(d))
	sum.Merge(d)
	if after := fmt.Sprintf("%+v", sums(d)); after != before || sum.Queries != 2*d.Queries || sum.Names[3].Time.Count() != 2 || d.Names[3].Time.Count() != 1 {
		t.Errorf("a clone shares memory: %s, was %s", after, before)
	}
	sum.Reset()
	if len(sums(&sum)) != 0 || len(sum.Names) != 0 || sum.Protocol != LLMNR {
		t.Errorf("after Reset: %v", sums(&sum))
	}
}
