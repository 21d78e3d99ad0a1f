package edge

import (
	"mirrorscope/flow"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// Waiting divides the time in which somebody waited, in ns, by who let them
// wait. What a client does between two requests is not in it, nor are attempts
// that failed.
type Waiting struct {
	Connections int64 // whose phases are known
	Slow        int64 // of those, with slowWait or more for each thing that was asked
	Server      int64 // its time to think, windows that it closed during a request, and responses that it trickled
	Network     int64 // round trips, the TCP handshake with its repeats, the network's share of TLS
	TLS         int64 // the server's share of the TLS handshake
	Client      int64 // the client's share of the TLS handshake, and windows that it closed during a response
	Transfer    int64 // slow transfers of responses, of which it is not known who slows them
	Moving      int64 // requests, responses and what comes before TLS on their way, else
	Unknown     int64 // between two moments of which one was not recorded

	Stalled  [2]int64 // of Client, of Server: windows that each side kept closed or full
	Trickled int64    // of Server
	Volume   int64    // octets of the responses in Transfer and Trickled
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
	w.Transfer += o.Transfer
	w.Moving += o.Moving
	w.Unknown += o.Unknown
	w.Stalled[0] += o.Stalled[0]
	w.Stalled[1] += o.Stalled[1]
	w.Trickled += o.Trickled
	w.Volume += o.Volume
}

// pace is what tells why data of a connection moves slowly.
type pace struct {
	closed  [2]int64 // how long each side kept its window closed, ns
	full    [2]int64 // … or filled, so that the other had to wait
	volume  int64    // octets of payload that the server sent
	repeats bool     // something was sent again, or whether is not known
	http    bool     // one response to each request: what comes late is not a message of its own
}

func paceOf(r *flow.Record) (p pace) {
	if !r.HasTCP {
		return p
	}
	for side := range p.closed {
		x := &r.TCP.Sides[side]
		p.closed[side], p.full[side] = x.ZeroWindow.Time, r.TCP.Sides[1-side].WindowFull
		p.repeats = p.repeats || x.Retransmits.State != tcp.Measured || x.Retransmits.Packets > 0 || x.Missed > 0
	}
	p.volume = r.Sent[flow.Server].PayloadBytes
	p.http = r.HTTP != nil && r.HTTP.Upgraded == "" && r.HTTP.GRPC == 0
	return p
}

// Transfers of responses.
const (
	slowRate = 1e6       // octets in a second: a transfer that is slower is looked at
	oneBurst = 10 * 1460 // octets that a sender may send without an acknowledgment (RFC 6928)
	someFull = 50 * 1e6  // ns of a window that was closed or full
)

// waitingOf divides the time of one connection. asked is how many requests it
// made.
func waitingOf(p *session.Phases, h *session.Handshake, x *pace, asked int64) Waiting {
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
	asked = max(asked, 1)
	toClient, toServer := min(p.Transfer, x.closed[flow.Client]), min(p.Request, x.closed[flow.Server])
	rest = p.Transfer - toClient
	if rest >= slowWait*asked && float64(x.volume)*1e9 < slowRate*float64(p.Transfer) {
		full := min(rest, x.full[flow.Client])
		toClient += full
		rest -= full
		switch {
		case x.http && x.volume <= oneBurst*asked && !x.repeats && toClient == 0:
			// All of a response fits into what may be sent at once: only the server can have held it back.
			w.Server += rest
			w.Trickled, w.Volume, rest = rest, x.volume, 0
		case x.http || toClient >= someFull:
			w.Transfer, w.Volume, rest = rest, x.volume, 0
		}
	}
	w.Client += toClient
	w.Server += toServer
	w.Stalled = [2]int64{toClient, toServer}
	w.Moving = p.Prelude + p.Request - toServer + rest
	if w.Known()+w.Transfer >= slowWait*asked {
		w.Slow = 1
	}
	return w
}

// bareOf tells whether it is certain that a connection ended before anything was
// asked.
func bareOf(r *flow.Record) bool {
	if attempt(r.Outcome) {
		return true
	}
	recorded := r.Sent[flow.Client].Packets > 0 && r.Sent[flow.Server].Packets > 0 && r.Direction >= flow.DirSYNACK
	lost := r.HasTCP && r.TCP.Sides[flow.Client].Missed > 0
	return recorded && !lost && r.Sent[flow.Client].PayloadBytes == 0
}
