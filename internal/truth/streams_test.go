package truth

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// counts is a tally that several subtests add to.
type counts struct {
	sync.Mutex
	total, equal int
	unjudged     int // not equal, and the ground truth is wrong or asks otherwise
}

func (c *counts) add(n int, equal, unjudged bool) {
	c.Lock()
	defer c.Unlock()
	c.total += n
	switch {
	case equal:
		c.equal += n
	case unjudged:
		c.unjudged += n
	}
}

// percent of the streams that can be judged are equal.
func (c *counts) percent() float64 {
	return 100 * float64(c.equal) / float64(max(c.total-c.unjudged, 1))
}

func (c *counts) String() string {
	return fmt.Sprintf("%d streams, %d equal, %d where the ground truth does not hold: %.2f %% of the others",
		c.total, c.equal, c.unjudged, c.percent())
}

// TestStreams compares packets and payload octets of every TCP and UDP stream,
// for each direction, summed over observation points and generations of the
// same 5-tuple: the tool that made the ground truth keys a stream by addresses
// and ports only. Every stream that is not equal must be listed, and of those
// for which the ground truth holds, 99.5 % must be equal.
func TestStreams(t *testing.T) {
	var tcp, udp counts
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		out := replay(t, path)
		if out.exit != 0 {
			t.Errorf("exit status %d, want 0: the file is whole\n%s", out.exit, out.stderr)
		}
		if out.capture.Packets != tr.Packets {
			t.Errorf("%d packets read, want %d", out.capture.Packets, tr.Packets)
		}
		sum := out.capture.Decoded
		for _, n := range out.capture.Skipped {
			sum += n
		}
		if sum != out.capture.Packets {
			t.Errorf("%d decoded + skipped, want %d packets", sum, out.capture.Packets)
		}
		if n := int64(len(out.connections)); n != out.capture.Connections {
			t.Errorf("%d connection records, %d counted", n, out.capture.Connections)
		}

		var want []want
		for _, s := range tr.streams() {
			want = addWant(want, "tcp", s.client(), s.server(), volume{Packets: s.FromClient.Packets, PayloadBytes: s.FromClient.PayloadBytes},
				volume{Packets: s.FromServer.Packets, PayloadBytes: s.FromServer.PayloadBytes})
		}
		for _, u := range tr.UDPStreams {
			a, errA := parseEndpoint(u.A)
			b, errB := parseEndpoint(u.B)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			want = addWant(want, "udp", a, b, volume{Packets: u.PacketsAB, PayloadBytes: u.PayloadAB}, volume{Packets: u.PacketsBA, PayloadBytes: u.PayloadBA})
		}
		got := volumes(out.connections)
		copies := copiesOf(out.connections)
		for _, w := range want {
			k := protoPair{w.proto, w.pair}
			g := got[k]
			delete(got, k)
			if n := copies[k]; n > 0 && w.proto == "udp" {
				// The ground truth takes copies out of TCP streams only. A
				// copy has the size of its original; which side it is of, a
				// record does not tell.
				g = both{{Packets: g[0].Packets + g[1].Packets + n}}
				w.sent = both{{Packets: w.sent[0].Packets + w.sent[1].Packets}}
			}
			for i := range g {
				g[i].Bytes = 0 // the ground truth counts frames, not IP octets
			}
			equal := g == w.sent
			tally := &tcp
			if w.proto == "udp" {
				tally = &udp
			}
			tally.add(w.streams, equal, truthIsWrong(w.proto, name, w.pair.String()))
			accepted(t, w.proto, name, w.pair.String(), equal,
				func() string { return fmt.Sprintf("got %s\nwant %s", show(g), show(w.sent)) })
		}
		// A flow that the other tool does not know.
		for k, g := range got {
			accepted(t, "extra "+k.proto, name, k.pair.String(), false, func() string { return "got " + show(g) + ", want no such stream" })
		}
	})
	unused(t, "tcp", "udp", "extra tcp", "extra udp")
	t.Logf("TCP: %s", &tcp)
	t.Logf("UDP: %s", &udp)
	if p := tcp.percent(); p < 99.5 {
		t.Errorf("%.2f %% of TCP streams are equal, want at least 99.5 %%", p)
	}
}

// want is what the ground truth says of one 5-tuple.
type want struct {
	proto   string
	pair    pair
	sent    both
	streams int // of the ground truth that are in here
}

func addWant(ws []want, proto string, a, b endpoint, fromA, fromB volume) []want {
	p := pairOf(a, b)
	i := slices.IndexFunc(ws, func(w want) bool { return w.proto == proto && w.pair == p })
	if i < 0 {
		i = len(ws)
		ws = append(ws, want{proto: proto, pair: p})
	}
	ws[i].streams++
	p.add(&ws[i].sent, a, fromA)
	p.add(&ws[i].sent, b, fromB)
	return ws
}

type protoPair struct {
	proto string
	pair  pair
}

// volumes sums the TCP and UDP connection records of each 5-tuple.
func volumes(cs []connection) map[protoPair]both {
	m := map[protoPair]both{}
	for _, c := range cs {
		proto, _ := c.Protocol.(string)
		if proto != "tcp" && proto != "udp" {
			continue
		}
		k := protoPair{proto, pairOf(c.Client, c.Server)}
		sent := m[k]
		k.pair.add(&sent, c.Client, c.ClientSent)
		k.pair.add(&sent, c.Server, c.ServerSent)
		m[k] = sent
	}
	return m
}

// copiesOf sums the mirror copies of each 5-tuple.
func copiesOf(cs []connection) map[protoPair]int64 {
	m := map[protoPair]int64{}
	for _, c := range cs {
		proto, _ := c.Protocol.(string)
		m[protoPair{proto, pairOf(c.Client, c.Server)}] += c.Capture.MirrorDuplicates
	}
	return m
}

func show(b both) string {
	var parts []string
	for _, v := range b {
		parts = append(parts, fmt.Sprintf("%d packets %d payload bytes", v.Packets, v.PayloadBytes))
	}
	return strings.Join(parts, ", back ")
}
