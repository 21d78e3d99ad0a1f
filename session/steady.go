package session

import "mirrorscope/tcp"

// Steady is Whole for a connection of a Foreign protocol whose payload came in
// order, or without payload: nothing but its phases is told. It was set up, as the
// frame says.
func (st *Store) Steady(c *tcp.Course, f *Frame, room *Room) *Phases {
	p := st.phasesIn(room)
	*p = Phases{}
	duration := f.End - f.Start
	if c.Last == 0 {
		p.TCP = min(f.Setup, duration)
		p.Close = duration - p.TCP
		return p
	}
	p.TCP, p.Request, p.Server, p.Network, p.Transfer, p.Idle = f.Setup, c.Request, c.Server, c.Network, c.Transfer, c.Idle
	p.Unknown = c.Last - c.First - (c.Request + c.Server + c.Network + c.Transfer + c.Idle)
	switch gap := c.First - f.Start - f.Setup; {
	case c.Banner && f.Server > 0:
		way := min(gap, f.Server)
		p.Network += way
		p.Server += gap - way
	case c.Banner:
		p.Unknown += gap
	default:
		p.ClientIdle = gap
	}
	p.Close = f.End - c.Last
	return p
}
