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
	Perceived                                     histogram.Histogram   // as the clients had them, where that is known
	Unmeasured                                    int64                 // handshakes that were completed, and of which no exact duration is known
	Points                                        Tally[packet.PointID] // where they were measured
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

// add takes what one point has of a handshake.
func (t *TLS) add(h *handshake, point packet.PointID) {
	t.count(h, point)
	if h.State == tcp.Measured && h.Total != tcp.Absent {
		add(&t.Total, h.Total)
		if h.Perceived != tcp.Absent {
			add(&t.Perceived, h.Perceived)
		}
		if h.Network != tcp.Absent {
			add(&t.NetworkShare, h.Network)
			add(&t.ServerShare, h.Server)
			add(&t.ClientShare, h.Client)
		}
	}
}

// count is add without the durations.
func (t *TLS) count(h *handshake, point packet.PointID) {
	t.Connections++
	t.Points.add(point, 1)
	if h.quic {
		t.QUIC++
	} else if h.version != 0 {
		t.Versions.add(h.version, 1)
	}
	if h.named {
		t.Names.add(h.name, 1)
	}
	t.Outcomes[h.outcome]++
	if h.resumed {
		t.Resumed++
	}
	if h.alerted {
		t.Alerts.add(h.alert, 1)
	}
	if h.outcome == tlsmeta.Completed && (h.State != tcp.Measured || h.Total == tcp.Absent) {
		t.Unmeasured++
	}
}

// reset empties it. Its memory is used again.
func (t *TLS) reset() {
	*t = TLS{
		Versions: t.Versions, Names: t.Names, Alerts: t.Alerts, Points: t.Points,
		Total: t.Total, NetworkShare: t.NetworkShare, ServerShare: t.ServerShare, ClientShare: t.ClientShare, Perceived: t.Perceived,
	}
	t.Versions.reset()
	t.Names.reset()
	t.Alerts.reset()
	t.Points.reset()
	for _, h := range []*histogram.Histogram{&t.Total, &t.NetworkShare, &t.ServerShare, &t.ClientShare, &t.Perceived} {
		h.Reset()
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
	merge(&t.Perceived, &o.Perceived)
	t.Unmeasured += o.Unmeasured
	t.Points.merge(&o.Points)
}

// AsClient is the distribution of the handshakes' durations as the clients had
// them, as far as that is known of all; else at the observation point.
func (t *TLS) AsClient() *histogram.Histogram {
	if t.Perceived.Count() == t.Total.Count() {
		return &t.Perceived
	}
	return &t.Total
}

// hello is what a connection's TLS or QUIC handshake told; nil where there was
// none.
func hello(r *session.Report) (*tlsmeta.Info, session.Handshake) {
	switch {
	case r.TLS != nil:
		return &r.TLS.Info, r.TLS.Handshake
	case r.QUIC != nil:
		q := &r.QUIC.Handshake
		h := session.Handshake{State: tcp.Measured, Total: q.Total, Perceived: q.Total, Network: tcp.Absent, Server: tcp.Absent, Client: tcp.Absent}
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
	Aborted                                int64 // without a response when the connection ended, or the client gave up
	Unknown                                int64 // of which it is not known how they were answered: it was not recorded, or the capture ended before
}

func (h *HTTP) add(o *HTTP) {
	h.Requests += o.Requests
	h.ClientErrors += o.ClientErrors
	h.ServerErrors += o.ServerErrors
	h.GRPCErrors += o.GRPCErrors
	h.Aborted += o.Aborted
	h.Unknown += o.Unknown
}

// httpOf is that of one connection. open is how many of its requests the capture
// ended before: they may have been answered.
func httpOf(i *httpmeta.Info, e ending) (h HTTP, open int64) {
	h = HTTP{Requests: i.Requests, ClientErrors: i.Status[4], ServerErrors: i.Status[5], GRPCErrors: i.GRPCError, Aborted: i.Aborted, Unknown: i.Missed}
	if e == stillOpen || e == endingUnknown {
		open, h.Aborted = h.Aborted, 0
		h.Unknown += open
	}
	return h, open
}

// DNS sums the queries of DNS, mDNS and LLMNR. Repeats of a query are not in it.
type DNS struct {
	Queries                      int64
	NXDOMAIN, SERVFAIL, OtherErr int64
	Timeouts                     int64
	Unknown                      int64               // of which it is not known whether they were answered
	RCodes                       [24]int64           // all responses, as dnsmeta.Info has them
	Time                         histogram.Histogram // from query to response, ns: the network between observation point and server is in it
}

func (d *DNS) add(i *dnsmeta.Info) {
	d.Queries += i.Queries - i.Repeats
	d.NXDOMAIN += i.NXDOMAIN
	d.SERVFAIL += i.SERVFAIL
	d.OtherErr += i.OtherErr
	d.Timeouts += i.Timeouts
	d.Unknown += i.Unanswerable + i.Unpaired + i.Lost + i.Dropped
	for r, n := range i.RCodes {
		d.RCodes[r] += n
	}
	merge(&d.Time, &i.Time)
}

func (d *DNS) merge(o *DNS) {
	d.Queries += o.Queries
	d.NXDOMAIN += o.NXDOMAIN
	d.SERVFAIL += o.SERVFAIL
	d.OtherErr += o.OtherErr
	d.Timeouts += o.Timeouts
	d.Unknown += o.Unknown
	for r, n := range o.RCodes {
		d.RCodes[r] += n
	}
	merge(&d.Time, &o.Time)
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
	handshake handshake
	turns     int64 // requests with a response
	measured  int64 // of those, with a response time
	pace      pace
	ending    ending
	waited    int64 // behind the last payload, ns; tcp.Absent where not known
	mute      bool  // muteOf
	bare      bool  // nothing was asked, for certain
	atMost    bool  // response times are upper bounds
	rank      int   // how much was heard
	point     packet.PointID
	weight    int // memory, in buckets
}

// of makes it that of one record.
func (t *talk) of(r *flow.Record) {
	t.Report, t.point, t.pace, t.bare = r.Report, r.Point, paceOf(r), bareOf(r)
	t.rank, t.weight, t.turns, t.measured, t.atMost = 0, 0, 0, 0, false
	t.ending, t.waited = endingOf(r)
	t.mute = muteOf(r, t.ending)
	if r.HasTCP {
		x := &r.TCP.Response
		t.turns, t.measured, t.atMost = x.Turns, x.Measured, x.State == tcp.Bounded
	}
	if r.TLS != nil || r.QUIC != nil || r.HTTP != nil || r.DNS != nil {
		t.rank++
	}
	if t.handshake.of(&r.Report); t.handshake.spoken {
		if t.handshake.version != 0 {
			t.rank++
		}
		if t.handshake.outcome != tlsmeta.Incomplete && t.handshake.outcome != tlsmeta.OutcomeNone {
			t.rank++
		}
		if t.handshake.State == tcp.Measured {
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
}

// Memory of what a record holds of a handshake with its certificates, and of one
// of its names or endpoints, in buckets.
const (
	weightTLS  = 256
	weightName = 16
)

// better tells whether t shall stand for the connection instead of o: the one
// that heard more. ordered tells that of two points o's is nearer the client:
// then it stays among equals; else that with the lower number stands.
func (t *talk) better(o *talk, ordered bool) bool {
	switch {
	case o.rank != t.rank:
		return t.rank > o.rank
	case o.point == 0:
		return true
	}
	return !ordered && t.point < o.point
}

// swap exchanges the roles. Only readers that know the client by what it says
// have told them right.
func (t *talk) swap() {
	t.Phases, t.DNS, t.QUIC, t.turns, t.measured = nil, nil, nil, 0, 0
	t.pace, t.ending, t.waited, t.mute, t.bare = pace{}, endingUnknown, tcp.Absent, false, false
	t.rank = 0
	t.handshake.of(&t.Report)
}
