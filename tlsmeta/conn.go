package tlsmeta

import "unsafe"

// Segment is what comes next of one direction of a connection: octets in
// order, or word of octets that were not recorded. Positions run on where
// sequence numbers wrap; times are record times in ns.
type Segment struct {
	Pos      int64
	Data     []byte // lent until Feed returns
	Missing  int64  // so many octets from Pos on were not recorded; Data is empty then
	Time     int64  // of the packet that completed the octets in order
	Acked    int64  // octets of the other direction that had been acknowledged with them
	RTT      int64  // least round trip between the observation point and the sender, ns; 0 unknown
	Una      int64  // octets of this direction that the other side had acknowledged by then
	MSS      int64  // largest segment of this direction
	Filled   bool   // the packet filled a hole …
	Since    int64  // … that was open since this record time
	Inferred bool   // the packet repeats one that was lost before the observation point
}

// Conn follows the handshake of one TLS connection over TCP.
//
// It reads both directions until the handshake is over, and a little longer to
// see whether the server takes it back; it keeps no octet of what comes then. What
// it needs for that is lent by a Room. It belongs to one goroutine.
//
// It is two values: whoever has many keeps their States, and of Infos those that
// are not known yet, and puts them together by Room.Conn.
type Conn struct {
	*State
	Info *Info
	w    *work // while the handshake is read; nil before its first octet, and afterwards
	half int64 // least round trip between observation point and client, ns; 0 unknown

	draft *Info // where Info is changed that others share; nil: it is the Conn's own
	early Early // once what was lent is given back
}

// State is a Conn without what it tells. It holds no pointers.
type State struct {
	// Application data begins at these positions of the directions; 0 not known
	// (yet). In TLS 1.3 what the server sends there before the client's Finished
	// arrives answers nothing but early data.
	Data [2]int64

	work        uint32 // number in the Room of Conn.w
	stage       stage
	client      uint8
	tag         uint8  // TLS 1.3: octets of the authentication tag
	adrift      bool   // direction.lost of one
	version     uint16 // Info.Version
	headless    bool   // the ClientHello was not recorded
	gone        bool   // the client has sent its FIN
	abbreviated bool
	fatal       bool // Info.Alert is
	encAlert    bool // an encrypted alert came before the handshake was complete

	// Missing tells that octets of the handshake were not recorded, or found no
	// room: what follows from them is not known.
	Missing bool

	Timing Timing
}

// Early is where the first record of early data begins, and end and time of the last
// one; 0: there is none.
type Early struct{ From, End, At int64 }

// WorkOctets is what a Conn is lent while it reads, beside its messages.
const WorkOctets = int64(unsafe.Sizeof(work{}))

// Changed tells whether Info is not that which it was shared as.
func (c *Conn) Changed() bool { return c.draft == nil }

// edit gives what it tells, to be changed.
func (c *Conn) edit() *Info {
	if c.draft != nil {
		*c.draft = *c.Info
		c.Info, c.draft = c.draft, nil
	}
	return c.Info
}

// hello takes a ClientHello message. It is false if that is none. Of the session
// id only its length counts: that it was echoed does not tell what the server does.
func (c *Conn) hello(b []byte) bool {
	i := c.edit()
	ok := i.hello(b)
	i.offer.sessionID = [32]byte{}
	return ok
}

// Work is the number of what a Conn is lent, for Prefetch; 0 none.
func (c *State) Work() uint32 { return c.work }

type stage uint8

const (
	stageClientHello stage = iota
	stageServerHello
	stageServerFlight  // ≤ 1.2, full: to ServerHelloDone
	stageClientFlight  // ≤ 1.2: to the client's Finished
	stageServerLast    // ≤ 1.2, full: to the server's Finished
	stageServerResumed // ≤ 1.2, abbreviated: to the server's Finished
	stage13            // from the ServerHello to the client's Finished
	stageDone          // the handshake is over; does the server take it back?
	stageOver          // nothing more is read
)

// after is what came behind the handshake.
type after struct {
	records int32
	data    bool // the server has sent something
	alert   bool // the server has sent an alert, before the client said good-bye
	bye     bool
	asked   bool // the client has sent something else than an alert
}

// Init makes c ready for a connection whose client sends in direction client.
// What it was lent must have been released.
func (c *Conn) Init(client int) {
	if c.State == nil {
		c.State, c.Info = new(State), new(Info)
	}
	c.State.Init(client)
	*c.edit(), c.early = Info{}, Early{}
}

// Init makes c the State of a connection whose client sends in direction client.
func (c *State) Init(client int) { *c = State{client: uint8(client)} }

// Client is the direction that the client sends in.
func (c *State) Client() int { return int(c.client) }

// Version is the negotiated one, 0 until it is known.
func (c *State) Version() uint16 { return c.version }

// Done tells whether the handshake was recorded to its end.
func (c *State) Done() bool { return c.stage == stageDone || c.stage == stageOver && c.Timing.End != 0 }

// Lost tells that the handshake cannot be followed any more.
func (c *State) Lost() bool { return c.adrift && c.stage < stageDone && c.work != 0 }

// Over tells that nothing more is read.
func (c *State) Over() bool { return c.stage == stageOver }

// Asks tells whether Feed looks at the round trips and the largest segment that
// it is given with what comes next of a direction.
func (c *Conn) Asks(dir int) bool {
	if c.w == nil {
		return false
	}
	f := &c.w.flights[dir]
	return c.stage == stage13 && dir == int(c.client) || int(c.w.active) == dir && f.eff == 0 && f.last != 0
}

// Feed takes what comes next of a direction. half is the least round trip
// between the observation point and the client, ns, as far as is known; 0 is
// unknown. Room for messages is taken from the budget.
func (c *Conn) Feed(b *Room, dir int, s *Segment, half int64) {
	if c.stage == stageOver {
		c.Release(b)
		return
	}
	if c.w == nil {
		c.lend(b)
	}
	c.half = half
	if s.Missing > 0 {
		c.miss(b, dir, s.Missing, s.Time)
	} else {
		c.pace(dir, s)
		c.read(b, dir, s)
	}
	if c.stage == stageOver {
		c.Release(b)
	}
}

// Lend has c follow what comes next of each direction, from positions on, for who
// feeds nothing but what does: see Step. Nothing was fed yet.
func (c *Conn) Lend(b *Room, next [2]int64) {
	c.lend(b)
	c.w.next = next
}

// Next is the position of what comes next of a direction, of one that has Lend.
func (c *Conn) Next(dir int) int64 { return c.w.next[dir&1] }

// Step takes note of n octets from a position on that will be fed, in a packet that
// acknowledged so much, if they come next, and the other direction has got to that.
func (c *Conn) Step(dir int, pos, n, acked int64) bool {
	next := &c.w.next
	if dir &= 1; pos != next[dir] || n <= 0 || acked > next[1-dir]+1 {
		return false
	}
	next[dir] = pos + n
	return true
}

// Early is what is known of early data by now: of a handshake that is over, only the
// Conn that was fed its end knows.
func (c *Conn) Early() Early {
	if c.w != nil {
		return c.w.early
	}
	return c.early
}

// over ends the reading.
func (c *Conn) over() { c.stage = stageOver }

// strange takes octets that are no record.
func (c *Conn) strange(dir int) {
	d := &c.w.dirs[dir]
	d.lost, c.adrift = true, true
	switch {
	case c.stage >= stageDone:
		c.over()
	case dir != int(c.client) && c.stage == stageServerHello, dir == int(c.client) && c.stage == stageClientHello:
		c.edit().Outcome = NotTLS
		c.over()
	default:
		c.Missing = true
	}
}

// message takes a handshake message in the clear. cut says that it could not
// be kept.
func (c *Conn) message(dir int, typ byte, b []byte, cut bool, end moment) {
	fromClient := dir == int(c.client)
	if cut {
		c.Missing = true
	}
	switch typ {
	case msgClientHello:
		switch {
		case fromClient && c.headless && c.Info.JA4 == "" && !cut:
			c.hello(b) // recorded behind its answer
		case fromClient && !c.headless && (c.stage == stageClientHello || c.stage == stageServerHello && c.Info.HelloRetry):
			c.clientHello(b, cut, end)
		}
	case msgServerHello:
		if !fromClient && c.stage == stageServerHello {
			c.serverHello(b, cut, end)
		}
	case msgCertificate:
		if cut {
			if fromClient {
				c.edit().ClientCertificateKnown = false
			} else {
				c.edit().CertificatesCut = true
			}
			return
		}
		list, more := certificates(b)
		if fromClient {
			c.edit().ClientCertificates = list
			c.edit().ClientCertificate, c.edit().ClientCertificateKnown = len(b) > 7, true
		} else {
			c.edit().Certificates = list
			c.edit().CertificatesCut = more
		}
	case msgServerKeyExchange:
		if !fromClient && !cut {
			if g, ok := ParseServerKeyExchange(b, c.Info.Cipher); ok {
				c.edit().Group = g
			}
		}
	case msgServerHelloDone:
		if !fromClient && c.stage == stageServerFlight {
			c.edit().Full()
			c.endFlight(1-int(c.client), end)
			c.stage = stageClientFlight
		}
	case msgClientKeyExchange:
		if fromClient && !c.Info.ClientCertificateKnown && !c.w.dirs[dir].missed {
			c.edit().ClientCertificateKnown = true
		}
	}
}

func (c *Conn) clientHello(b []byte, cut bool, end moment) {
	t := &c.Timing
	if c.stage == stageClientHello {
		t.Start, t.StartInferred = c.w.helloAt, c.w.inferred || c.late()
	}
	if !cut && !c.hello(b) {
		c.Missing = true
	}
	c.endFlight(int(c.client), end)
	c.stage = stageServerHello
}

func (c *Conn) serverHello(b []byte, cut bool, end moment) {
	var h ServerHello
	if cut {
		c.stage = stageServerFlight
		return
	}
	if _, err := ParseServerHello(b, &h); err != nil {
		c.Missing = true
		c.stage = stageServerFlight
		return
	}
	c.edit().ServerHello(&h)
	c.version = c.Info.Version
	switch {
	case h.HelloRetry:
		c.endFlight(1-int(c.client), end)
	case is13(h.Version):
		c.stage = stage13
		c.w.srv.hello = end
		c.tag = uint8(CipherTag(h.Cipher))
		c.w.srv.fin = int16(c.encrypted(4 + CipherHash(h.Cipher)))
	default:
		c.stage = stageServerFlight
	}
}

// is13 tells whether a version has the handshake of TLS 1.3: it, or one of its
// drafts (0x7fxx).
func is13(v uint16) bool { return v == 0x0304 || v>>8 == 0x7f }

// record takes a record that is complete.
func (c *Conn) record(dir int, r *record) {
	fromClient := dir == int(c.client)
	if r.typ == typeAlert && c.stage != stageDone {
		c.alert(dir, r)
	}
	switch stage := c.stage; {
	case stage == stageDone:
		c.behind(fromClient, r)
	case stage == stage13 && fromClient:
		c.client13(r)
	case stage == stage13:
		c.server13(r)
	case r.typ == typeCCS:
		if stage >= stageServerFlight {
			c.changeCipher(dir)
		}
	case r.typ == typeHandshake:
		if c.w.dirs[dir&1].ccs {
			c.finished(fromClient, r)
		}
	case r.typ == typeData && fromClient && stage == stageServerHello:
		c.earlyData(r)
	case r.typ == typeData && fromClient && stage == stageServerLast:
		c.Timing.FalseStart = true
	}
}

// changeCipher takes a ChangeCipherSpec of TLS ≤ 1.2.
func (c *Conn) changeCipher(dir int) {
	c.w.dirs[dir].ccs = true
	if dir != int(c.client) && c.stage == stageServerFlight && !c.Missing {
		// Before a ServerHelloDone: the server resumes a session (RFC 5246 section 7.3).
		c.stage = stageServerResumed
		c.abbreviated = true
		c.edit().ClientCertificateKnown = true // none is asked for
		c.edit().Abbreviated()
	}
}

// finished takes the first encrypted handshake record of a direction, TLS ≤ 1.2.
func (c *Conn) finished(fromClient bool, r *record) {
	server := &c.w.dirs[1-c.client]
	switch {
	case c.Info.Version == 0:
		return // the ServerHello was not recorded: this may be TLS 1.3
	case fromClient && c.stage == stageServerFlight && c.Missing && !server.ccs && !server.lost:
		// The ServerHelloDone was not recorded. Only in a full handshake the client's
		// Finished comes first.
		c.edit().Full()
		c.stage = stageClientFlight
	}
	switch {
	case fromClient && c.stage == stageClientFlight:
		c.Data[c.client] = r.end.pos
		c.endFlight(int(c.client), r.end)
		if c.abbreviated {
			c.completed(r.end, false)
			return
		}
		c.stage = stageServerLast
	case !fromClient && c.stage == stageServerLast:
		c.Data[1-c.client] = r.end.pos
		c.endFlight(1-int(c.client), r.end)
		c.completed(r.end, true)
	case !fromClient && c.stage == stageServerResumed:
		c.Data[1-c.client] = r.end.pos
		c.endFlight(1-int(c.client), r.end)
		c.stage = stageClientFlight
	}
}

// completed ends the handshake.
func (c *Conn) completed(end moment, byServer bool) {
	c.Timing.End, c.Timing.EndByServer = end.at, byServer
	c.Timing.EndInferred = c.w.inferred || c.late()
	c.Timing.EndAgain = end.at
	c.edit().Outcome = Completed
	c.stage = stageDone
}

// alert takes an alert record.
func (c *Conn) alert(dir int, r *record) {
	d := &c.w.dirs[dir]
	if r.n != 2 || d.ccs || d.nal < 2 {
		c.encAlert = c.encAlert || d.ccs // TLS ≤ 1.2
		return
	}
	a := Alert{Client: dir == int(c.client), Level: d.alert[0], Description: d.alert[1]}
	fatal := a.Level == 2
	if a.Description == 0 && !fatal {
		return
	}
	if c.Info.Alert == nil || fatal && !c.fatal {
		c.edit().Alert = &a
	}
	c.fatal = c.fatal || fatal
}

// behind takes a record that comes after the handshake, until it is clear that
// the server has taken it: what is encrypted tells an alert by its length alone.
func (c *Conn) behind(fromClient bool, r *record) {
	c.w.after.records++
	alert := r.typ == typeData && r.n == c.encrypted(alertOctets)
	switch {
	case fromClient:
		c.w.after.bye = c.w.after.bye || alert
		c.w.after.asked = c.w.after.asked || !alert
	case alert && !c.w.after.bye && c.takesBack(r.end.at):
		c.w.after.alert = true
	case r.typ == typeData:
		c.w.after.data = true
	}
	if c.w.after.records > maxAfter || c.w.after.data || !is13(c.version) {
		c.stage = stageOver
	}
}

// takesBack tells whether what is as long as an alert of the server can be one
// that ends the handshake: it verifies a client's certificate behind the
// Finished, or finds fault with the Finished at once. Else it is the good-bye of
// an idle connection, or a very short response.
func (c *Conn) takesBack(at int64) bool {
	return c.w.cf.records > 1 || !c.w.after.asked && at-c.Timing.End <= maxVerify
}

// maxVerify is how long after the Finished, ns, a server may find fault with it.
const maxVerify = 500e6

// maxAfter is how many records behind the handshake are looked at.
const maxAfter = 16

// Headless begins with the server's hello: the client's was not recorded. What
// the server says is read, and nothing is timed.
func (c *State) Headless() { c.stage, c.headless, c.Missing = stageServerHello, true, true }

// HalfClosed tells that a direction ended by FIN, at a record time. The other may
// still go on with the handshake.
func (c *Conn) HalfClosed(dir int, at int64) {
	if c.stage < stageDone && dir == int(c.client) {
		c.gone = true
		return
	}
	c.Close(dir, at)
}

// Close tells that a direction ended by FIN or RST, at a record time. The
// outcome of a handshake that is not complete is known then.
func (c *Conn) Close(dir int, at int64) {
	switch {
	case c.stage == stageOver:
	case c.stage == stageDone:
		switch {
		case c.w.after.alert && !c.w.after.data:
			c.edit().Outcome = FailedAfterFinished
			c.stage = stageOver
		case dir == int(c.client):
			c.w.after.bye = true
		default:
			c.stage = stageOver
		}
	case c.Info.Outcome == OutcomeNone:
		c.settle(dir, at, Abandoned)
	}
}

// End tells that no more will come. idle: the connection fell silent; else the
// input or the memory ended, and it might have gone on.
func (c *Conn) End(idle bool, at int64) {
	if c.stage < stageDone && c.Info.Outcome == OutcomeNone {
		otherwise := Incomplete
		if idle || c.gone {
			otherwise = Abandoned
		}
		c.settle(-1, at, otherwise)
	}
	c.stage = stageOver
}

// settle tells how a handshake that was not seen to its end has ended.
func (c *Conn) settle(dir int, at int64, otherwise Outcome) {
	if c.stage == stage13 && c.guessFinished() {
		if dir >= 0 {
			c.Close(dir, at)
		}
		return
	}
	switch {
	case c.fatal:
		c.edit().Outcome = Failed
	case c.Missing:
		c.edit().Outcome = Incomplete // what looks like an encrypted alert may be the good-bye behind it
	case c.encAlert:
		c.edit().Outcome = FailedEncrypted
	default:
		c.edit().Outcome = otherwise
	}
	c.stage = stageOver
}
