package edge

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mirrorscope/flow"
	"mirrorscope/histogram"
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

// Sorted gives conversations in an order. What is equal is in order of the key,
// so that the same input gives the same rows.
func Sorted(conversations []Conversation, order Order) []*Conversation {
	all := make([]*Conversation, len(conversations))
	for i := range conversations {
		all[i] = &conversations[i]
	}
	slices.SortFunc(all, func(a, b *Conversation) int {
		first := 0
		switch order {
		case ByPackets:
			first = cmp.Compare(b.Packets(), a.Packets())
		case ByConnections:
			first = cmp.Compare(b.Connections, a.Connections)
		case ByRequests:
			first = cmp.Compare(b.Requests(), a.Requests())
		case ByHandshake:
			first = cmp.Compare(p95(&b.Handshake), p95(&a.Handshake))
		case ByTLS:
			first = cmp.Compare(b.tlsP95(), a.tlsP95())
		case ByRetransmits:
			first = cmp.Compare(b.retransmits(), a.retransmits())
		case ByRTT:
			first = cmp.Compare(b.rtt(), a.rtt())
		case ByResponse:
			first = cmp.Compare(b.responseP95(), a.responseP95())
		case ByErrors:
			first = cmp.Compare(b.Errors(), a.Errors())
		case ByErrorRate:
			first = cmp.Compare(b.errorRate(), a.errorRate())
		case ByStart:
			first = cmp.Compare(a.First, b.First)
		}
		return cmp.Or(first, cmp.Compare(b.Bytes(), a.Bytes()), compareKeys(&a.Key, &b.Key))
	})
	return all
}

func compareKeys(a, b *Key) int {
	return cmp.Or(
		cmp.Compare(a.Network, b.Network), bytes.Compare(a.Client[:], b.Client[:]), bytes.Compare(a.Server[:], b.Server[:]),
		cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto),
	)
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
