package pcapgen

// The applications of both ends follow Conn.Turns.

// delivered tells an application that octets came in order.
func (s *sim) delivered(side Side) {
	e := s.ends[side]
	if e.finTaken && len(e.early) == 0 && !e.fin {
		s.after(acceptTime, func() {
			if !e.dead && !e.fin {
				e.close()
			}
		})
	}
	if side == Server {
		s.serverTurn()
	} else {
		s.clientGoesOn()
	}
}

// clientTurn starts the client's next turn, or ends the connection.
func (s *sim) clientTurn() {
	e := s.ends[Client]
	if s.turn == len(s.conn.Turns) {
		if s.conn.Finish == FINByClient || s.conn.Finish == RSTByClient {
			s.finish(e, s.conn.Finish == RSTByClient)
		}
		return
	}
	t := &s.conn.Turns[s.turn]
	s.after(t.Pause, func() {
		if e.dead {
			return
		}
		e.write(t.Request)
		s.clientGoesOn()
	})
}

// clientGoesOn goes to the next turn once the response is there.
func (s *sim) clientGoesOn() {
	if s.turn == len(s.conn.Turns) {
		return
	}
	var sent, got int64 = 1, 1
	for _, t := range s.conn.Turns[:s.turn+1] {
		sent += int64(len(t.Request))
		got += int64(len(t.Response))
	}
	e := s.ends[Client]
	if int64(len(e.out))+1 < sent || e.rcv < got {
		return
	}
	s.turn++
	s.clientTurn()
}

// serverTurn answers the next turn once its request is there.
func (s *sim) serverTurn() {
	e := s.ends[Server]
	if !e.established || s.answered == len(s.conn.Turns) {
		return
	}
	var want int64 = 1
	for _, t := range s.conn.Turns[:s.answered+1] {
		want += int64(len(t.Request))
	}
	if e.rcv < want {
		return
	}
	t := &s.conn.Turns[s.answered]
	s.answered++
	s.after(t.Think, func() {
		if e.dead {
			return
		}
		e.write(t.Response)
		if s.answered == len(s.conn.Turns) && (s.conn.Finish == FINByServer || s.conn.Finish == RSTByServer) {
			s.finish(e, s.conn.Finish == RSTByServer)
			return
		}
		s.serverTurn()
	})
}

func (s *sim) finish(e *endpoint, rst bool) {
	s.after(s.conn.Linger, func() {
		switch {
		case e.dead:
		case rst:
			e.reset()
		default:
			e.close()
		}
	})
}
