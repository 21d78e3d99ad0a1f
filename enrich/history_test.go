package enrich

import (
	"fmt"
	"net/netip"
	"testing"

	"mirrorscope/packet"
)

// entry makes one of a prefix in a network, with tags as in Of.
func entry(prefix, network string, pairs ...string) Entry {
	return Entry{Network: network, Prefix: netip.MustParsePrefix(prefix), Tags: Of(pairs...)}
}

func (e Entry) since(t int64) Entry { e.Since = t; return e }

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// What an address was called when, in pictures: each letter is the owner at a time,
// from 0 on in steps of 10, and a dot is nobody.
func TestHistory(t *testing.T) {
	const ip = "10.0.0.5/32"
	a, b := entry(ip, "", "instance", "A"), entry(ip, "", "instance", "B")
	type step struct {
		at      int64
		entries []Entry
	}
	for _, c := range []struct {
		name, want string
		steps      []step
	}{
		{"there at the first look: since ever", "AAAAAAAAAA", []step{{50, []Entry{a}}}},
		{"there at the first look, and attached before", "..AAAAAAAA", []step{{50, []Entry{a.since(20)}}}},
		{"there at a later look: since that", ".....AAAAA", []step{{20, nil}, {50, []Entry{a}}}},
		{"there at a later look, and attached between", "...AAAAAAA", []step{{20, nil}, {50, []Entry{a.since(30)}}}},
		{"attached after the look, by a clock that is ahead", ".....AAAAA", []step{{20, nil}, {50, []Entry{a.since(70)}}}},
		{"gone", "AAAAA.....", []step{{20, []Entry{a}}, {50, nil}}},
		{"back", "AAAA..AAAA", []step{{20, []Entry{a}}, {40, nil}, {60, []Entry{a}}}},
		{"back, and says it never left", ".AAAAAAAAA", []step{{20, []Entry{a.since(1)}}, {40, nil}, {40, []Entry{a.since(1)}}}},
		{"given to another: a look between sees nobody", "AAA...BBBB", []step{{20, []Entry{a}}, {30, nil}, {60, []Entry{b}}}},
		{"given to another between two looks", "AAAAAABBBB", []step{{20, []Entry{a}}, {60, []Entry{b}}}},
		{"given to another between two looks, which says when", "AAAABBBBBB", []step{{20, []Entry{a}}, {60, []Entry{b.since(40)}}}},
		{"given to another, which claims to have had it all the time", "AAAAAABBBB", []step{{20, []Entry{a}}, {60, []Entry{b.since(10)}}}},
		{"after nobody, and claims to have had it before", "AAABBBBBBB", []step{{20, []Entry{a}}, {30, nil}, {60, []Entry{b.since(10)}}}},
		{"tagged anew", ".AAAABBBBB", []step{{20, []Entry{a.since(10)}}, {50, []Entry{b.since(10)}}}},
		{"tagged twice in one moment", "AAABBBBBBB", []step{{20, []Entry{a}}, {30, []Entry{entry(ip, "", "instance", "X")}}, {30, []Entry{b}}}},
		{"a clock that goes back", "AAAAABBBBB", []step{{50, []Entry{a}}, {30, []Entry{b}}}},
	} {
		r := resolver(t)
		l := r.Layer("s", RankCloud)
		for _, s := range c.steps {
			l.Update(s.at, s.entries)
		}
		got := ""
		for at := int64(0); at < 100; at += 10 {
			name := r.Side("default", addr("10.0.0.5"), false, 0, 0, at).Get("instance")
			if name == "" {
				name = "."
			}
			got += name
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// What is more than there is room for goes, the oldest first, and is counted.
func TestLimits(t *testing.T) {
	c := DefaultConfig()
	c.Entries, c.Versions, c.Total = 10, 4, 20
	r := New(c)
	l := r.Layer("s", RankCloud)
	many := func(at, n int) (list []Entry) {
		for i := range n {
			list = append(list, entry(fmt.Sprintf("10.0.0.%d/32", i), "", "host", fmt.Sprint(at)))
		}
		return list
	}
	host := func(i int, at int64) string {
		return r.Side("", addr(fmt.Sprintf("10.0.0.%d", i)), false, 0, 0, at).Get("host")
	}
	l.Update(1, many(1, 12))
	if s := l.Stats(); s.Entries != 10 || s.Versions != 10 || s.Excess != 2 {
		t.Errorf("%+v", s)
	}
	if host(9, 1) != "1" || host(10, 1) != "" {
		t.Error("not the first ten are kept")
	}
	for at := 2; at <= 7; at++ {
		l.Update(int64(at), many(at, 1))
	}
	// Nine have ended at 2; of the other one there are four of seven versions.
	if s := l.Stats(); s.Entries != 1 || s.Versions != 13 || s.Forgotten != 3 {
		t.Errorf("%+v", s)
	}
	if host(0, 3) != "" || host(0, 4) != "4" || host(0, 7) != "7" || host(3, 1) != "1" {
		t.Error("not the latest four are kept")
	}
	l.Update(8, many(8, 9)) // 1 + 8 more: 22, and the two that are too many go, with an eighth more
	if s := l.Stats(); s.Versions > 20 || s.Versions < 17 || s.Entries != 9 {
		t.Errorf("%+v", s)
	}
	if host(3, 8) != "8" || host(0, 7) != "7" {
		t.Error("what holds, or has just ended, has gone")
	}
}

// What cannot be an entry is counted, and of two for one place the first counts.
func TestInvalid(t *testing.T) {
	r := resolver(t)
	l := r.Layer("s", RankStatic)
	ports := func(low, high uint16, proto uint8) Entry {
		e := entry("10.0.0.0/8", "", "a", "b")
		e.Ports, e.Proto = [2]uint16{low, high}, proto
		return e
	}
	l.Update(1, []Entry{
		{Tags: Of("a", "b")}, {Prefix: netip.MustParsePrefix("10.0.0.1/32")}, ports(5, 4, 6), ports(0, 0, 6),
		{Prefix: netip.MustParsePrefix("::ffff:0.0.0.0/90"), Tags: Of("a", "b")},
		entry("10.0.0.1/32", "", "a", "first"), entry("::ffff:10.0.0.1/128", "", "a", "second"), entry("10.0.0.1/32", "", "a", "first"),
	})
	if s := l.Stats(); s.Invalid != 5 || s.Conflicts != 1 || s.Entries != 1 {
		t.Errorf("%+v", s)
	}
	if got := r.Side("", addr("10.0.0.1"), false, 0, 0, 1).Get("a"); got != "first" {
		t.Errorf("it is %q", got)
	}
}
