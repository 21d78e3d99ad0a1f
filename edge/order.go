package edge

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
)

// View is what is shown of a capture.
type View uint8

const (
	ViewConversations View = iota
	ViewTLS                // servers, and certificates
	ViewDNS                // names asked for
	ViewHTTP               // endpoints
	numViews
)

var viewNames = [numViews]string{"conversations", "tls", "dns", "http"}

func (v View) String() string { return viewNames[v] }

// Views lists the words that ParseView takes.
func Views() []string { return viewNames[:] }

// ParseView reads one of Views.
func ParseView(s string) (View, error) {
	i := slices.Index(viewNames[:], s)
	if i < 0 {
		return 0, fmt.Errorf("%q is no view; take one of %s", s, strings.Join(viewNames[:], ", "))
	}
	return View(i), nil
}

// Orders lists by what the rows of a view can be sorted, the usual one first.
func (v View) Orders() []Order {
	switch v {
	case ViewTLS:
		return []Order{ByConnections, ByErrors, ByErrorRate, ByTLS, ByStart}
	case ViewDNS, ViewHTTP:
		return []Order{ByRequests, ByErrors, ByErrorRate, ByResponse}
	}
	all := make([]Order, numOrders)
	for o := range all {
		all[o] = Order(o)
	}
	return all
}

// Order is by what rows are sorted. All orders have the largest first, but for
// ByStart.
type Order uint8

const (
	ByBytes Order = iota
	ByPackets
	ByConnections
	ByRequests
	ByHandshake   // 95th percentile of the round-trip time
	ByTLS         // 95th percentile of the TLS handshake
	ByRetransmits // packets of both sides
	ByRTT         // median round trip
	ByResponse    // 95th percentile of the response time
	ByErrors      // connections, and where a row is no conversation its requests or handshakes
	ByErrorRate   // share of the requests
	ByStart       // the earliest first
	numOrders
)

var orderNames = [numOrders]string{
	"bytes", "packets", "connections", "requests", "handshake", "tls", "retransmits", "rtt", "response", "errors", "error_rate", "start",
}

func (o Order) String() string { return orderNames[o] }

// Orders lists the words that ParseOrder takes.
func Orders() []string { return orderNames[:] }

// ParseOrder reads one of Orders.
func ParseOrder(s string) (Order, error) {
	i := slices.Index(orderNames[:], s)
	if i < 0 {
		return 0, fmt.Errorf("%q is no order; take one of %s", s, strings.Join(orderNames[:], ", "))
	}
	return Order(i), nil
}

// value is what conversations are sorted by: the larger comes first. Either
// number may be 0 for all.
type value struct {
	n int64
	x float64
}

// of gives the value of a conversation.
func (o Order) of(c *Conversation) (v value) {
	switch o {
	case ByPackets:
		v.n = c.Packets()
	case ByConnections:
		v.n = c.Connections
	case ByRequests:
		v.n = c.Requests()
	case ByHandshake:
		v.x = p95(&c.Handshake)
	case ByTLS:
		v.x = c.tlsP95()
	case ByRetransmits:
		v.n = c.retransmits()
	case ByRTT:
		v.x = c.rtt()
	case ByResponse:
		v.x = c.responseP95()
	case ByErrors:
		v.n = c.Errors()
	case ByErrorRate:
		v.x = c.errorRate()
	case ByStart:
		v.n = ^c.First // the earliest first; there is no negative of the smallest
	}
	return v
}

func compareKeys(a, b *Key) int {
	switch {
	case a.Network != b.Network:
		return cmp.Compare(a.Network, b.Network)
	case a.Client != b.Client:
		return compareAddrs(&a.Client, &b.Client)
	case a.Server != b.Server:
		return compareAddrs(&a.Server, &b.Server)
	}
	return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
}

func compareAddrs(a, b *packet.Addr) int {
	be := binary.BigEndian
	if x, y := be.Uint64(a[:8]), be.Uint64(b[:8]); x != y {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(be.Uint64(a[8:]), be.Uint64(b[8:]))
}

// notKnown is in the orders what is less than any duration or share.
const notKnown = -1

func p95(h *histogram.Histogram) float64 {
	ns, ok := h.Quantile(0.95)
	if !ok {
		return notKnown
	}
	return ns
}

func (c *Conversation) tlsP95() float64 {
	if c.TLS == nil {
		return notKnown
	}
	return p95(c.TLS.AsClient())
}

func (c *Conversation) responseP95() float64 {
	h, _ := c.Response()
	return p95(h)
}

func (c *Conversation) rtt() float64 {
	ns, _, ok := c.Times.PathRTT()
	if !ok {
		return notKnown
	}
	return ns
}

func (c *Conversation) retransmits() int64 {
	return c.Repeats[flow.Client].Packets + c.Repeats[flow.Server].Packets
}

func (c *Conversation) errorRate() float64 {
	rate, ok := c.ErrorRate()
	if !ok {
		return notKnown
	}
	return rate
}
