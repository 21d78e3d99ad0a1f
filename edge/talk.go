package edge

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// TLS sums the handshakes of TLS, DTLS and QUIC.
type TLS struct {
	Connections int64
	QUIC        int64         // of those
	Versions    Tally[uint16] // negotiated, of TLS and DTLS
	Names       Tally[string] // SNI; "" where the client named none
	Outcomes    [tlsmeta.NotTLS + 1]int64
	Alerts      Tally[Alert] // of handshakes that failed
	Resumed     int64

	// Durations in ns, of handshakes that were measured. The shares are of those
	// that could be divided.
	Total, NetworkShare, ServerShare, ClientShare histogram.Histogram
	Unmeasured                                    int64 // handshakes that were completed, and of which no exact duration is known
}

// Alert is who sent an alert, and which (RFC 8446 section 6).
type Alert uint16

const alertOfClient Alert = 1 << 8

// Client tells whether the client sent it; else the server did.
func (a Alert) Client() bool { return a&alertOfClient != 0 }

// Description is its number; tlsmeta.AlertName names it.
func (a Alert) Description() uint8 { return uint8(a) }

// Failed is the number of handshakes that did not give a connection.
func (t *TLS) Failed() int64 {
	n := int64(0)
	for _, o := range failedTLS {
		n += t.Outcomes[o]
	}
	return n
}

var failedTLS = [...]tlsmeta.Outcome{tlsmeta.Failed, tlsmeta.FailedEncrypted, tlsmeta.FailedAfterFinished, tlsmeta.Abandoned, tlsmeta.NotTLS}

func tlsFailed(o tlsmeta.Outcome) bool {
	for _, f := range failedTLS {
		if o == f {
			return true
		}
	}
	return false
}

func (t *TLS) add(r *session.Report) {
	i, h := hello(r)
	if i == nil {
		return
	}
	t.Connections++
	if r.QUIC != nil {
		t.QUIC++
	} else if i.Version != 0 {
		t.Versions.add(i.Version, 1)
	}
	if i.JA4 != "" || i.SNI != "" { // else the ClientHello was not recorded
		t.Names.add(i.SNI, 1)
	}
	t.Outcomes[i.Outcome]++
	if i.Resumed {
		t.Resumed++
	}
	if a := i.Alert; a != nil && tlsFailed(i.Outcome) {
		alert := Alert(a.Description)
		if a.Client {
			alert |= alertOfClient
		}
		t.Alerts.add(alert, 1)
	}
	switch {
	case h.State == tcp.Measured && h.Total != tcp.Absent:
		add(&t.Total, h.Total)
		if h.Network != tcp.Absent {
			add(&t.NetworkShare, h.Network)
			add(&t.ServerShare, h.Server)
			add(&t.ClientShare, h.Client)
		}
	case i.Outcome == tlsmeta.Completed:
		t.Unmeasured++
	}
}

func (t *TLS) merge(o *TLS) {
	t.Connections += o.Connections
	t.QUIC += o.QUIC
	t.Versions.merge(&o.Versions)
	t.Names.merge(&o.Names)
	for i, n := range o.Outcomes {
		t.Outcomes[i] += n
	}
	t.Alerts.merge(&o.Alerts)
	t.Resumed += o.Resumed
	merge(&t.Total, &o.Total)
	merge(&t.NetworkShare, &o.NetworkShare)
	merge(&t.ServerShare, &o.ServerShare)
	merge(&t.ClientShare, &o.ClientShare)
	t.Unmeasured += o.Unmeasured
}

// hello is what a connection's TLS or QUIC handshake told; nil where there was
// none.
func hello(r *session.Report) (*tlsmeta.Info, session.Handshake) {
	switch {
	case r.TLS != nil:
		return &r.TLS.Info, r.TLS.Handshake
	case r.QUIC != nil:
		q := &r.QUIC.Handshake
		h := session.Handshake{State: tcp.Measured, Total: q.Total, Network: tcp.Absent, Server: tcp.Absent, Client: tcp.Absent}
		switch {
		case q.Total == tcp.Absent:
			h.State = tcp.Unknown
		case q.Bounded:
			h.State = tcp.Bounded
		case q.Ambiguous:
			h.State = tcp.Ambiguous
		}
		return &r.QUIC.Info.Info, h
	}
	return nil, session.Handshake{}
}

// HTTP sums the requests in the clear.
type HTTP struct {
	Requests                               int64
	ClientErrors, ServerErrors, GRPCErrors int64 // 4xx, 5xx, grpc-status other than OK
	Aborted                                int64 // without a response when the connection ended
	Unknown                                int64 // of which it is not known how they were answered
}

func (h *HTTP) add(o *HTTP) {
	h.Requests += o.Requests
	h.ClientErrors += o.ClientErrors
	h.ServerErrors += o.ServerErrors
	h.GRPCErrors += o.GRPCErrors
	h.Aborted += o.Aborted
	h.Unknown += o.Unknown
}

// httpOf is that of one connection. ended is false where the capture ended
// before it: a request that was open then may have been answered.
func httpOf(i *httpmeta.Info, ended bool) HTTP {
	h := HTTP{Requests: i.Requests, ClientErrors: i.Status[4], ServerErrors: i.Status[5], GRPCErrors: i.GRPCError, Aborted: i.Aborted, Unknown: i.Missed}
	if !ended {
		h.Unknown += h.Aborted
		h.Aborted = 0
	}
	return h
}

// DNS sums the queries of DNS, mDNS and LLMNR. Repeats of a query are not in it.
type DNS struct {
	Queries                      int64
	NXDOMAIN, SERVFAIL, OtherErr int64
	Timeouts                     int64
	Time                         histogram.Histogram // from query to response, ns: the network between observation point and server is in it
}

func (d *DNS) add(i *dnsmeta.Info) {
	d.Queries += i.Queries - i.Repeats
	d.NXDOMAIN += i.NXDOMAIN
	d.SERVFAIL += i.SERVFAIL
	d.OtherErr += i.OtherErr
	d.Timeouts += i.Timeouts
	merge(&d.Time, &i.Time)
}

func (d *DNS) merge(o *DNS) {
	d.Queries += o.Queries
	d.NXDOMAIN += o.NXDOMAIN
	d.SERVFAIL += o.SERVFAIL
	d.OtherErr += o.OtherErr
	d.Timeouts += o.Timeouts
	merge(&d.Time, &o.Time)
}

// Waiting divides the time in which somebody waited, in ns, by who let them
// wait. What a client does between two requests is not in it, nor are attempts
// that failed.
type Waiting struct {
	Connections int64 // whose phases are known
	Slow        int64 // of those, with slowWait or more for each thing that was asked
	Server      int64 // its time to think, and windows that it closed during a request
	Network     int64 // round trips, the TCP handshake with its repeats, the network's share of TLS
	TLS         int64 // the server's share of the TLS handshake
	Client      int64 // the client's share of the TLS handshake, and windows that it closed during a response
	Moving      int64 // requests, responses and what comes before TLS on their way, else
	Unknown     int64 // between two moments of which one was not recorded
}

// Known is the time of which it is known who let wait.
func (w *Waiting) Known() int64 { return w.Server + w.Network + w.TLS + w.Client }

func (w *Waiting) add(o *Waiting) {
	w.Connections += o.Connections
	w.Slow += o.Slow
	w.Server += o.Server
	w.Network += o.Network
	w.TLS += o.TLS
	w.Client += o.Client
	w.Moving += o.Moving
	w.Unknown += o.Unknown
}

// waitingOf divides the time of one connection. stalled is how long each side
// kept its window closed, ns; asked how many requests it made.
func waitingOf(p *session.Phases, h *session.Handshake, stalled [2]int64, asked int64) Waiting {
	w := Waiting{Connections: 1, Server: p.Server, Network: p.TCP + p.Network, Unknown: p.Unknown}
	rest := p.TLS
	if h.State == tcp.Measured && h.Total > 0 && h.Network != tcp.Absent {
		// With early data the phase is shorter than the handshake.
		part := min(float64(p.TLS)/float64(h.Total), 1)
		share := func(of *int64, ns int64) {
			n := min(int64(float64(ns)*part), rest)
			*of += n
			rest -= n
		}
		share(&w.Network, h.Network)
		share(&w.TLS, h.Server)
		share(&w.Client, h.Client)
	}
	w.Unknown += rest
	toClient, toServer := min(p.Transfer, stalled[flow.Client]), min(p.Request, stalled[flow.Server])
	w.Client += toClient
	w.Server += toServer
	w.Moving = p.Prelude + p.Request + p.Transfer - toClient - toServer
	if w.Known() >= slowWait*max(asked, 1) {
		w.Slow = 1
	}
	return w
}

func addPhases(p, o *session.Phases) {
	p.TCP += o.TCP
	p.Prelude += o.Prelude
	p.ClientIdle += o.ClientIdle
	p.TLS += o.TLS
	p.Request += o.Request
	p.Server += o.Server
	p.Network += o.Network
	p.Transfer += o.Transfer
	p.Idle += o.Idle
	p.Close += o.Close
	p.Unknown += o.Unknown
	p.Overlap = p.Overlap || o.Overlap
}

// talk is what one sight of a connection heard the two ends say.
type talk struct {
	session.Report
	turns    int64    // requests with a response
	measured int64    // of those, with a response time
	stalled  [2]int64 // how long each side kept its window closed, ns
	ended    bool     // the capture went on behind its end
	atMost   bool     // response times are upper bounds
	rank     int      // how much was heard
	point    packet.PointID
	weight   int // memory, in buckets
}

func talkOf(r *flow.Record) talk {
	t := talk{
		Report: r.Report, ended: r.EndReason != flow.EndForced && r.EndReason != flow.EndLackOfResources, point: r.Point,
	}
	if r.HasTCP {
		x := &r.TCP.Response
		t.turns, t.measured, t.atMost = x.Turns, x.Measured, x.State == tcp.Bounded
		for side := range t.stalled {
			t.stalled[side] = r.TCP.Sides[side].ZeroWindow.Time
		}
	}
	if r.TLS != nil || r.QUIC != nil || r.HTTP != nil || r.DNS != nil {
		t.rank++
	}
	if i, h := hello(&r.Report); i != nil {
		if i.Version != 0 {
			t.rank++
		}
		if i.Outcome != tlsmeta.Incomplete && i.Outcome != tlsmeta.OutcomeNone {
			t.rank++
		}
		if h.State == tcp.Measured {
			t.rank++
		}
		t.weight += weightTLS
	}
	if i := r.HTTP; i != nil {
		if i.Responses > 0 {
			t.rank++
		}
		for k := range i.Endpoints {
			t.weight += weightName + len(i.Endpoints[k].Response.Buckets())
		}
	}
	if i := r.DNS; i != nil {
		if i.Responses > 0 {
			t.rank++
		}
		for k := range i.Names {
			t.weight += weightName + len(i.Names[k].Time.Buckets())
		}
	}
	if t.turns > 0 {
		t.rank++
	}
	return t
}

// Memory of what a record holds of a handshake with its certificates, and of one
// of its names or endpoints, in buckets.
const (
	weightTLS  = 256
	weightName = 16
)

// better tells whether t shall stand for the connection instead of o: the one
// that heard more.
func (t *talk) better(o *talk) bool {
	switch {
	case o.rank != t.rank:
		return t.rank > o.rank
	case o.point == 0:
		return true
	}
	return t.point < o.point
}

// swap exchanges the roles. Only readers that know the client by what it says
// have told them right.
func (t *talk) swap() {
	t.Phases, t.DNS, t.QUIC, t.turns, t.measured = nil, nil, nil, 0, 0
	t.stalled[0], t.stalled[1] = t.stalled[1], t.stalled[0]
	t.rank = 0
}
