package edge

import (
	"slices"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/tcp"
)

// connection is what a conversation takes of one connection.
type connection struct {
	key        Key
	start, end int64
	sent       [2]flow.Volume
	outcome    flow.Outcome
	rtt        int64      // of the handshake, ns; tcp.Absent where not measured
	repeats    [2]Repeats // at the points of sent
	times      sample
	points     []packet.PointID
}

func keyOf(network packet.NetworkID, proto uint8, ends *[2]flow.Endpoint) Key {
	server := &ends[flow.Server]
	return Key{Network: network, Client: ends[flow.Client].Addr, Server: server.Addr, Port: server.Port, HasPort: server.HasPort, Proto: proto}
}

// single is a connection that one point recorded.
func single(r *flow.Record) connection {
	c := connection{
		key: keyOf(r.Network, r.Proto, &r.Ends), start: r.Start, end: r.End, sent: r.Sent, outcome: r.Outcome, rtt: tcp.Absent,
		repeats: [2]Repeats{repeatsOf(r, flow.Client), repeatsOf(r, flow.Server)}, times: sampleOf(r), points: []packet.PointID{r.Point},
	}
	if r.HasHandshake && r.Handshake.State == tcp.Measured {
		c.rtt = r.Handshake.RTT
	}
	return c
}

// joined is a connection that several points recorded: the path tells which of
// them counts for what, and how the whole went.
func joined(p *path.Connection, waiting map[uint64]*waiter) connection {
	c := connection{
		key: keyOf(p.Network, p.Proto, &p.Ends), start: p.Start, end: p.End, sent: p.Sent, outcome: p.Outcome, rtt: p.RTT,
	}
	for i := range p.Points {
		x := &p.Points[i]
		c.points = append(c.points, x.ID)
		w := waiting[x.Flow]
		if w == nil {
			continue
		}
		if w.client != p.Ends[flow.Client] { // it took the client for the server
			w.repeats[flow.Client], w.repeats[flow.Server] = w.repeats[flow.Server], w.repeats[flow.Client]
			w.times.swap()
		}
		for side := range c.repeats {
			if p.Primary[side] == i {
				c.repeats[side] = w.repeats[side]
			}
		}
		if w.times.better(&c.times) {
			c.times = w.times
		}
	}
	slices.Sort(c.points)
	return c
}

// maxBucketsWaiting bounds the distributions of the records that wait, in
// buckets of 16 octets. A record that finds no room waits without: then another
// point's stand for the connection.
const maxBucketsWaiting = 2 << 20

// waiter is what is kept of a record until the path of its connection comes.
type waiter struct {
	client  flow.Endpoint
	repeats [2]Repeats
	times   sample
}
