package prom

import (
	"cmp"
	"slices"
	"strconv"

	"mirrorscope/edge/live"
)

// conversations shows the n largest, by octets of both sides.
func (e *emitter) conversations(top *live.Top, n int) {
	e.put(e.windowCount, float64(top.Conversations))
	if top.End > top.Start {
		e.put(e.windowSeconds, float64(top.End-top.Start)/1e9)
	}
	rows := make([]*live.Row, len(top.Rows))
	for i := range top.Rows {
		rows[i] = &top.Rows[i]
	}
	slices.SortStableFunc(rows, func(a, b *live.Row) int {
		return cmp.Compare(b.ClientSent.Bytes+b.ServerSent.Bytes, a.ClientSent.Bytes+a.ServerSent.Bytes)
	})
	shown := map[[5]string]bool{}
	for _, r := range rows {
		if len(shown) >= n {
			break
		}
		port := ""
		if r.Server.Port != nil {
			port = strconv.Itoa(int(*r.Server.Port))
		}
		key := [5]string{label(r.Network), label(r.Client.IP), label(r.Server.IP), port, label(r.Protocol)}
		if !shown[key] {
			shown[key] = true
			e.conversation(key[:], r)
		}
	}
}

func (e *emitter) conversation(key []string, r *live.Row) {
	put := func(f *family, v float64, labels ...string) { e.put(f, v, slices.Concat(key, labels)...) }
	times := func(f [2]*family, t *live.Times, labels ...string) {
		if t != nil {
			put(f[0], float64(t.P50)/1000, append(labels, t.State)...)
			put(f[1], float64(t.P95)/1000, append(labels, t.State)...)
		}
	}
	put(e.talkConnections, float64(r.Connections))
	put(e.talkOpened, float64(r.Opened))
	for outcome, n := range r.Outcomes {
		put(e.talkEnded, float64(n), outcome)
	}
	for _, side := range []struct {
		name string
		sent live.Volume
	}{{"client", r.ClientSent}, {"server", r.ServerSent}} {
		put(e.talkPackets, float64(side.sent.Packets), side.name)
		put(e.talkBytes, float64(side.sent.Bytes), side.name)
	}
	if x := r.Retransmits; x != nil {
		if x.Client != nil {
			put(e.talkRepeats, float64(x.Client.Packets), "client", x.Client.State)
		}
		if x.Server != nil {
			put(e.talkRepeats, float64(x.Server.Packets), "server", x.Server.State)
		}
	}
	if x := r.RTT; x != nil {
		times(e.talkRTT, x.Client, "client")
		times(e.talkRTT, x.Server, "server")
	}
	times(e.talkHandshake, r.Handshake)
	if r.TLS != nil {
		times(e.talkTLS, r.TLS.Handshake)
	}
	times(e.talkResponse, r.Response)
}
