package dnsmeta

import (
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"mirrorscope/packet"
	"mirrorscope/pool"
)

const (
	ms = int64(1e6)
	s  = int64(1e9)
)

// epoch is the time of most first messages, ns.
const epoch = 1_700_000_000 * s

var (
	client = addr("10.0.0.1")
	server = addr("10.0.0.53")
	group4 = addr("224.0.0.251")
)

func addr(text string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(text)) }

func newStore() *Store { return NewStore(&pool.Budget{Max: 1 << 30}) }

// newConn starts a flow between client and server.
func newConn(p Protocol) *Conn {
	c := new(Conn)
	c.Init(newStore(), p, client, server)
	return c
}

// rr makes a record. data is an address, or the name of a CNAME.
func rr(name string, ttl uint32, data string) dnsmessage.Resource {
	h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}
	if ip, err := netip.ParseAddr(data); err == nil {
		if ip.Is4() {
			return dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}}
		}
		return dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}
	}
	return dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(data)}}
}

// opt makes an OPT record with the upper bits of an rcode.
func opt(rcode dnsmessage.RCode) dnsmessage.Resource {
	var h dnsmessage.ResourceHeader
	if err := h.SetEDNS0(1232, rcode, false); err != nil {
		panic(err)
	}
	return dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{}}
}

type edit func(*dnsmessage.Message)

func answers(r ...dnsmessage.Resource) edit { return func(m *dnsmessage.Message) { m.Answers = r } }
func additionals(r ...dnsmessage.Resource) edit {
	return func(m *dnsmessage.Message) { m.Additionals = r }
}
func rcode(r dnsmessage.RCode) edit     { return func(m *dnsmessage.Message) { m.RCode = r } }
func isTruncated(m *dnsmessage.Message) { m.Truncated = true }
func noQuestion(m *dnsmessage.Message)  { m.Questions = nil }
func rd(m *dnsmessage.Message)          { m.RecursionDesired = true }

// ask makes a query, tell a response.
func ask(id uint16, name string, typ dnsmessage.Type, edits ...edit) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id}}
	m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}}
	for _, e := range edits {
		e(&m)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func tell(id uint16, name string, typ dnsmessage.Type, edits ...edit) []byte {
	return ask(id, name, typ, append([]edit{func(m *dnsmessage.Message) { m.Response = true }}, edits...)...)
}

// sums are the numbers of an Info that are not zero, in one line.
func sums(i *Info) map[string]int64 {
	all := map[string]int64{
		"queries": i.Queries, "repeats": i.Repeats, "responses": i.Responses, "nxdomain": i.NXDOMAIN, "servfail": i.SERVFAIL,
		"othererr": i.OtherErr, "truncated": i.Truncated, "timeouts": i.Timeouts, "late": i.Late, "unanswerable": i.Unanswerable,
		"unpaired": i.Unpaired, "lost": i.Lost, "dropped": i.Dropped, "unsolicited": i.Unsolicited, "announced": i.Announced,
		"duplicates": i.Duplicates, "malformed": i.Malformed, "cut": i.Cut, "samples": int64(i.Time.Count()), "ns": i.Time.Sum(),
	}
	for k, v := range all {
		if v == 0 {
			delete(all, k)
		}
	}
	return all
}

// sound checks what holds of every Info of an ended flow.
func sound(t testing.TB, i *Info) {
	t.Helper()
	if a, b := i.Queries-i.Repeats, i.Responses-i.Late+i.Timeouts+i.Unanswerable+i.Unpaired+i.Lost+i.Dropped; a != b {
		t.Errorf("%d queries without repeats, but %d fates: %v", a, b, sums(i))
	}
	var sum Counts
	sum.add(&i.Other)
	samples := uint64(0)
	for k := range i.Names {
		sum.add(&i.Names[k].Counts)
		samples += i.Names[k].Time.Count()
	}
	if sum != i.Counts {
		t.Errorf("names and other sum to %+v, not %+v", sum, i.Counts)
	}
	if samples > i.Time.Count() || i.Other == (Counts{}) && samples != i.Time.Count() {
		t.Errorf("names have %d samples, the flow %d", samples, i.Time.Count())
	}
	var codes int64
	for _, n := range i.RCodes {
		codes += n
	}
	if all := i.Responses + i.Duplicates + i.Unsolicited + i.Announced; codes != all {
		t.Errorf("%d rcodes of %d responses", codes, all)
	}
	if len(i.Names) > MaxNames {
		t.Errorf("%d names", len(i.Names))
	}
}
