package table

import (
	"net/netip"
	"strconv"

	"mirrorscope/edge"
	"mirrorscope/enrich"
	"mirrorscope/packet"
	"mirrorscope/sink"
)

// Name has the table call addresses by their service and instance, where they are
// known.
func (t *Writer) Name(r *enrich.Resolver) { t.resolver = r }

// ends names the two sides of a conversation and its protocol.
func (t *Writer) ends(c *edge.Conversation) string {
	server := t.endOf(&c.Key, c.First)
	client := server
	client.addr, client.server = c.Client, false
	return client.during(t, c.Last) + " → " + server.during(t, c.Last) + " " + string(sink.AppendProtocol(nil, c.Proto))
}

// end is one side of conversations.
type end struct {
	network packet.NetworkID
	addr    packet.Addr
	server  bool
	hasPort bool
	port    uint16
	proto   uint8
	first   int64
}

func (t *Writer) endOf(k *edge.Key, first int64) end {
	return end{k.Network, k.Server, true, k.HasPort, k.Port, k.Proto, first}
}

// during names a side by what it was called from first to last: twice, if it was
// called otherwise then.
func (e *end) during(t *Writer, last int64) string {
	name, later := e.called(t, e.first), e.called(t, last)
	switch {
	case name == "":
		name = later
	case later != "" && later != name:
		name += ", then " + later
	}
	ip := e.addr.IP()
	switch port := e.server && e.hasPort; {
	case name == "" && port:
		return netip.AddrPortFrom(ip, e.port).String()
	case name == "":
		return ip.String()
	case port:
		return name + ":" + strconv.Itoa(int(e.port))
	}
	return name
}

// called is what a side is called at a time, "" where nothing is known.
func (e *end) called(t *Writer, at int64) string {
	if t.resolver == nil {
		return ""
	}
	return clean(t.resolver.Label(t.names.NetworkName(e.network), e.addr, e.server, e.port, e.proto, at))
}
