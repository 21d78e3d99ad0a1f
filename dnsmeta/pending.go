package dnsmeta

// Pending tells whether a query waits for its response.
func (c *Conn) Pending() bool { return len(c.waiting()) > 0 }
