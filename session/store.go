package session

import (
	"unsafe"

	"mirrorscope/dnsmeta"
	"mirrorscope/httpmeta"
	"mirrorscope/pool"
	"mirrorscope/stream"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

// Store holds what the sessions of one goroutine need. Sessions are numbered;
// 0 is none.
type Store struct {
	budget pool.Budget  // of octets that wait: segments that came early, messages that are incomplete
	room   tlsmeta.Room // of handshakes, with the budget

	buffers stream.Buffers

	sessions pool.Pool[Session]
	readings pool.Pool[reading]
	sniffs   pool.Pool[sniff]
	tls      pool.Pool[tlsTalk]
	toldTLS  told // what handshakes told so far
	asides   pool.Pool[tlsAside]
	http     pool.Pool[httpTalk]
	dns      pool.Pool[dnsTalk]
	quic     pool.Pool[quic.Conn]
	dtls     pool.Pool[dtlsTalk]

	httpShared *httpmeta.Shared
	dnsStore   *dnsmeta.Store
	answers    []dnsmeta.Answer

	unhurried bool // no packet is heard straight away, for comparison

	tlsReports   []TLS // that are still to be told in
	phaseReports []Phases
}

// NewStore makes a Store whose readers keep at most so many octets of what is
// incomplete.
func NewStore(memory int64) *Store {
	st := &Store{budget: pool.Budget{Max: memory}}
	st.buffers.Budget = &st.budget
	st.room.Budget = &st.budget
	st.httpShared = &httpmeta.Shared{Budget: &st.budget}
	st.dnsStore = dnsmeta.NewStore(&st.budget)
	return st
}

// Of many sessions that take turns, none is in a cache when its packet comes. So
// they are loaded in two steps, of which the second looks at what the first
// has loaded: Prefetch the session, PrefetchMore what that refers to. Lines that most
// packets do not touch are left out: memory is busy enough.

// Prefetch adds the session of a number that is not 0: the cache lines that a packet
// touches that says something, as it has payload or the connection is about to end, or
// one that does not.
func (st *Store) Prefetch(n uint32, says bool, lines *pool.Lines) {
	m := n & numberMask
	if m == 0 || !says && n&(payloadOnly|endless) != 0 {
		return
	}
	s := unsafe.Pointer(st.sessions.At(m))
	lines.Add(s)
	if says {
		lines.Add(unsafe.Add(s, 64))
	}
}

// PrefetchReport begins to load the session of a number that is reported.
func (st *Store) PrefetchReport(n uint32) {
	if m := n & numberMask; m != 0 {
		st.sessions.Prefetch(m, int(unsafe.Sizeof(Session{})+63)/64)
	}
}

// Refers tells whether the session of a number may refer to something that packets
// need. It looks at no memory.
func Refers(n uint32) bool { return n&numberMask != 0 && n&(endless|past) == 0 }

// PrefetchMore adds the cache lines that a packet that says something, or an ACK, needs of what a
// session refers to that Refers. client tells that the client sent it.
func (st *Store) PrefetchMore(n uint32, client, says bool, lines *pool.Lines) {
	if n&payloadOnly != 0 && !says {
		return
	}
	s := st.at(n)
	if s.reading != 0 && (says || s.flags&smooth == 0) {
		r := unsafe.Pointer(st.readings.At(s.reading))
		lines.Add(r)
		lines.Add(unsafe.Add(r, 64))
	}
	if s.tls == 0 {
		return
	}
	y := unsafe.Pointer(st.tls.At(s.tls))
	lines.Add(y)
	if says {
		lines.Add(unsafe.Add(y, 64))
	}
	if s.of == undecided && s.part != 0 {
		st.room.Prefetch(s.part, client, says, lines)
	}
}

// Greets tells whether the first payload of a connection begins with a ClientHello.
func Greets(payload []byte) bool { return tlsmeta.MatchClientHello(payload) == tlsmeta.MatchYes }

// PrefetchFree begins to load what a connection that Greets will be read with.
func (st *Store) PrefetchFree() {
	st.sessions.PrefetchFree(int(unsafe.Sizeof(Session{}) / 64))
	st.tls.PrefetchFree(int(unsafe.Sizeof(tlsTalk{}) / 64))
	st.room.PrefetchFree()
}

// Octets is what the sessions hold at most. What handshakes told counts for each,
// whether they share it or not: it may depend on who else met the same before.
func (st *Store) Octets() int64 {
	return st.budget.Used() +
		int64(st.sessions.InUse())*int64(unsafe.Sizeof(Session{})) +
		int64(st.readings.InUse())*int64(unsafe.Sizeof(reading{})) +
		int64(st.sniffs.InUse())*int64(unsafe.Sizeof(sniff{})) +
		int64(st.tls.InUse())*(int64(unsafe.Sizeof(tlsTalk{})+unsafe.Sizeof(toldOnce{}))+tlsOctets) +
		int64(st.asides.InUse())*int64(unsafe.Sizeof(tlsAside{})) +
		int64(st.room.Lent())*tlsmeta.WorkOctets +
		int64(st.http.InUse())*(int64(unsafe.Sizeof(httpTalk{}))+httpOctets) +
		int64(st.dns.InUse())*int64(unsafe.Sizeof(dnsTalk{})) +
		int64(st.quic.InUse())*(int64(unsafe.Sizeof(quic.Conn{}))+tlsOctets) +
		int64(st.dtls.InUse())*(int64(unsafe.Sizeof(dtlsTalk{}))+tlsOctets)
}

// What the results of a connection take beside, in octets: names,
// fingerprints, certificates; endpoints of HTTP.
const (
	tlsOctets  = 1024
	httpOctets = 1024
)

// Refused is how often something found no room and was not read.
func (st *Store) Refused() uint64 { return st.budget.Refused }
