package quic

// Absent is a duration that is not known.
const Absent int64 = -1

// Handshake is how long the handshake took, in ns; Absent where not known. The
// package comment has the definitions.
type Handshake struct {
	RTT    int64 // Client + Server
	Client int64 // ServerInitial to its answer
	Server int64 // the client's Initial to ServerInitial
	Total  int64 // ClientInitial to ClientFinished, with the round trips of Retry, Version Negotiation and HelloRetryRequest

	Ambiguous bool // several packets may have been the one that was answered: the latest is taken
	Bounded   bool // parts were cut or could not be opened: Client is at most, Total at least what is told
}

// Handshake gives the durations as far as they are known now.
func (c *Conn) Handshake() Handshake {
	h := Handshake{RTT: Absent, Client: Absent, Server: Absent, Total: Absent, Ambiguous: c.times.ambiguous, Bounded: c.times.bounded}
	i := &c.info
	since := func(from, to int64) int64 {
		if from == 0 || to == 0 || to < from {
			return Absent
		}
		return to - from
	}
	h.Server = since(c.times.asked[server], i.ServerInitial)
	h.Client = since(c.times.asked[client], i.ClientAnswer)
	if h.Server >= 0 && h.Client >= 0 {
		h.RTT = h.Server + h.Client
	}
	h.Total = since(i.ClientInitial, i.ClientFinished)
	return h
}

// times is what the durations need beside the times in Info. Roles index it.
type times struct {
	latest    [2]int64 // record time of the latest Initial before the answer
	count     [2]uint8 // how many there were, up to 2
	asked     [2]int64 // record time of what the server, the client, answered
	handshake int64    // record time of the client's latest Handshake packet
	ambiguous bool
	bounded   bool
}

// What an Initial packet told about acknowledgements, where it is no packet
// number.
const (
	notRead = -2 // it could not be opened, or is none
	noACK   = -1
)

// initialTime takes note of an Initial packet of a side, and of the highest
// packet number that it acknowledges.
func (c *Conn) initialTime(role int, at, acked int64) {
	i, t := &c.info, &c.times
	if role == client {
		if i.ClientInitial == 0 {
			i.ClientInitial = at
		}
		if i.ServerInitial == 0 {
			t.note(client, at)
		} else if acked != noACK {
			c.answered(at, acked)
		}
		return
	}
	if i.ServerInitial == 0 {
		i.ServerInitial = at
		t.asked[server] = c.answers(client, acked)
	}
	if i.ClientAnswer == 0 {
		t.note(server, at)
	}
}

func (t *times) note(role int, at int64) {
	t.latest[role] = at
	t.count[role] = min(t.count[role]+1, 2)
}

// answered takes the first packet of the client that answers the server. One
// that was not read is no proof: if it is a Handshake packet the server's
// Initial had come, but it may answer a later one.
func (c *Conn) answered(at, acked int64) {
	if c.info.ServerInitial == 0 || c.info.ClientAnswer != 0 {
		return
	}
	c.info.ClientAnswer = at
	c.times.asked[client] = c.answers(server, acked)
	c.times.bounded = c.times.bounded || acked == notRead
}

// answers gives the record time of the Initial of a side that an
// acknowledgement names, without one that of the latest.
func (c *Conn) answers(role int, acked int64) int64 {
	if acked >= 0 && c.open != nil {
		if at, ok := c.open.seen[role].time(acked); ok {
			return at
		}
	}
	// Who answers acknowledges; a packet that does not was sent by a timer.
	if c.times.count[role] > 1 || acked == noACK {
		c.times.ambiguous = true
	}
	return c.times.latest[role]
}
