package session

import (
	"mirrorscope/httpmeta"
	"mirrorscope/stream"
	"mirrorscope/tcp"
)

// httpTalk is a connection that speaks HTTP in the clear.
type httpTalk struct {
	conn   httpmeta.Conn
	info   httpmeta.Info // since the last interval
	before httpmeta.Info // of intervals that are over
	names  string        // of the preludes that came before
	again  span          // octets of the client that came again
	filled span          // octets of the server that filled a hole
}

func (st *Store) openHTTP(s *Session, c *Conn, k *stream.Chunk, dir int, names string) {
	if s.of != httpKind {
		s.of, s.part = httpKind, st.http.Get()
		x := st.http.At(s.part)
		x.info.Reset()
		x.before.Reset()
		x.again, x.filled = st.readings.At(s.reading).again, span{}
	}
	x := st.http.At(s.part)
	x.names = names
	whole := true
	for d := range 2 {
		if _, ok := c.TCP.Start(d); !ok {
			whole = false
		}
	}
	x.conn.Reset(st.httpShared, whole)
	if client, _ := c.TCP.Client(); client >= 0 {
		x.conn.SidesKnown()
	}
	s.setClient(dir)
	if v := httpmeta.Probe(k.Data); v == httpmeta.ServerHTTP1 {
		s.setClient(1 - dir)
	}
}

// httpChunk takes what comes next of a direction of HTTP.
func (st *Store) httpChunk(s *Session, c *Conn, g *tcp.Segment, k *stream.Chunk, dir int) {
	x := st.http.At(s.part)
	fromClient := dir == s.client()
	if k.Missing > 0 {
		x.conn.Gap(fromClient, k.Missing, k.Time)
		if l := x.conn.Losses(); l != (httpmeta.Losses{}) {
			x.info.AddLosses(l)
			why := tcp.CaptureLoss
			if k.Cut {
				why = tcp.Truncated
			}
			c.TCP.DoubtTurns(why)
		}
	} else {
		if k.Filled && !fromClient {
			x.filled.add(k.Pos, k.End())
		}
		if k.Filled && fromClient {
			x.again.add(k.Pos, k.End())
		}
		x.conn.Feed(fromClient, k.Pos, k.Data, k.Time)
	}
	if x.conn.Swapped() {
		s.setClient(1 - s.client())
		x.again, x.filled = span{}, span{}
	}
	st.exchanges(s, c, x)
	if what, clientPos, serverPos, ok := x.conn.Upgraded(); ok && what == "connect" && st.readings.At(s.reading).hops < maxHops {
		from := serverPos
		if fromClient {
			from = clientPos
		}
		if from >= 0 && k.End() > from && k.Missing == 0 {
			st.tunnelled(s, c, g, k, dir, from, joinNames(x.names, "http_connect"))
		}
	}
}

// tunnelled looks anew at what comes behind a CONNECT.
func (st *Store) tunnelled(s *Session, c *Conn, g *tcp.Segment, k *stream.Chunk, dir int, from int64, names string) {
	s.kind = undecided
	r := st.readings.At(s.reading)
	r.hops++
	st.sniffing(r).names = names
	rest := *k
	if skip := from - k.Pos; skip > 0 {
		rest.Pos, rest.Data = from, k.Data[skip:]
	}
	st.sniffed(s, c, g, &rest, dir)
}

// exchanges takes the requests that have their response.
func (st *Store) exchanges(s *Session, c *Conn, x *httpTalk) {
	var e httpmeta.Exchange
	for x.conn.Next(&e) {
		think := tcp.Absent
		if e.Status != 0 {
			var why tcp.Reasons
			switch {
			case e.Broken || e.RequestEnd == 0 || e.ResponseAt == 0:
				why = tcp.CaptureLoss
			case x.again.overlaps(e.RequestPos, e.RequestLast):
				why = tcp.RequestLost
			case x.filled.overlaps(e.ResponsePos, e.ResponsePos+1):
				why = tcp.ResponseLost
			}
			think = c.TCP.Responded(c.Store, e.ResponseAt-e.RequestEnd, why, s.client())
			if _, solid := c.TCP.Half(1 - s.client()); !solid {
				think = tcp.Absent // an upper bound, which the sums of endpoints have no place for
			}
			x.filled.from(e.ResponsePos)
			x.again.from(e.RequestLast)
		}
		x.info.Add(&e, think)
	}
}

// httpEnd ends the exchanges.
func (st *Store) httpEnd(s *Session, c *Conn, at int64) {
	x := st.http.At(s.part)
	if !c.Both {
		x.conn.SidesKnown()       // there is nobody else to bear out what one side said
		x.conn.Gap(false, -1, at) // there may have been answers
	}
	x.conn.Close(at)
	st.exchanges(s, c, x)
	x.info.AddLosses(x.conn.Losses())
}

// httpReport gives what the connection told: of its whole life, or since the
// last interval, which it ends.
func (st *Store) httpReport(s *Session, interval bool) *httpmeta.Info {
	x := st.http.At(s.part)
	if interval {
		if x.info.Empty() {
			return nil
		}
		i := x.info.Clone()
		x.before.Merge(&x.info)
		x.info.Reset()
		return i
	}
	x.before.Merge(&x.info)
	x.info.Reset()
	if x.before.Empty() {
		return nil
	}
	return x.before.Clone()
}
