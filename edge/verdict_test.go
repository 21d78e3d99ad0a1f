package edge

import (
	"strings"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/index"
	"mirrorscope/tlsmeta"
)

const ms = int64(1e6)

// talked is a healthy conversation: 40 connections with a request of 10 ms each.
func talked() Conversation {
	c := Conversation{Connections: 40, Turns: 40}
	c.Outcomes[flow.Closed] = 40
	c.Recorded = [2]int64{10_000, 100_000}
	c.Repeats = [2]Repeats{{Connections: 40, Payload: 10_000}, {Connections: 40, Payload: 100_000}}
	c.Waiting = Waiting{Connections: 40, Server: 400 * ms, Network: 40 * ms}
	c.Times = &Times{}
	fill(&c.Times.Response, 40, 10*ms)
	for side := range c.Times.RTT {
		fill(&c.Times.RTT[side], 40, ms/2)
	}
	fill(&c.Handshake, 40, ms)
	return c
}

func fill(h *histogram.Histogram, n int, ns int64) {
	for range n {
		h.Add(ns)
	}
}

// fails moves connections from closed to another outcome.
func fails(c *Conversation, o flow.Outcome, n int64) {
	c.Outcomes[flow.Closed] -= n
	c.Outcomes[o] += n
}

func slowServer(c *Conversation) {
	c.Waiting = Waiting{Connections: 40, Slow: 40, Server: 84e9, Network: 10e9, TLS: 5e9, Client: 1e9}
	c.Times.Response.Reset()
	fill(&c.Times.Response, 40, 890*ms)
}

func withTLS(c *Conversation) *TLS {
	c.TLS = &TLS{Connections: c.Connections}
	c.TLS.Outcomes[tlsmeta.Completed] = c.Connections
	fill(&c.TLS.Total, 40, 2*ms)
	return c.TLS
}

func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Conversation)
		who    Who
		want   string // in the sentence
	}{
		{"healthy", func(*Conversation) {}, Nobody, "nothing stands out (p95 10"},
		{"few samples", func(c *Conversation) { c.Times.Response.Reset(); fill(&c.Times.Response, 3, ms) }, Nobody, "p95 1"},
		{"nothing recorded", func(c *Conversation) { *c = Conversation{Connections: 2} }, Nobody, "too little to judge"},
		{"connections without a response", func(c *Conversation) { c.Turns = 0; c.Times.Response.Reset() }, Nobody, "no response was timed"},

		{"refused", func(c *Conversation) { fails(c, flow.Refused, 30) }, Server, "server: 30 of 40 connections refused by the server"},
		{"refused by a firewall", func(c *Conversation) { fails(c, flow.Refused, 30); c.Ends.Foreign = 30 }, Network, "does not look like the server's own"},
		{"refused once in forty", func(c *Conversation) { fails(c, flow.Refused, 1) }, Nobody, "nothing stands out"},
		{"no answer", func(c *Conversation) { fails(c, flow.Timeout, 20) }, Network, "20 of 40 connections got no answer to the SYN"},
		{"half open", func(c *Conversation) { fails(c, flow.HalfOpenTimeout, 20) }, Network, "stayed half open"},
		{"unreachable, says a router", func(c *Conversation) { fails(c, flow.Unreachable, 2) }, Network, "a router said so"},
		{"unreachable, says the server", func(c *Conversation) { fails(c, flow.Unreachable, 2); c.Ends.FromServer = 2 }, Server, "the server itself"},
		{"fell silent", func(c *Conversation) { fails(c, flow.AbortedTimeout, 3) }, Network, "fell silent"},
		{"reset by the server", func(c *Conversation) { fails(c, flow.Reset, 3); c.Ends.ResetBy = [2]int64{0, 3} }, Server, "3 of 40 connections reset by the server"},
		{"reset by the client", func(c *Conversation) { fails(c, flow.Reset, 3); c.Ends.ResetBy = [2]int64{3, 0} }, Client, "3 of 40 connections reset by the client"},
		{"reset behind a FIN", func(c *Conversation) { fails(c, flow.Reset, 40); c.Ends.ResetsBehind = 40 }, Nobody, "nothing stands out"},
		{"several failures", func(c *Conversation) { fails(c, flow.Refused, 3); fails(c, flow.Timeout, 2) }, Server, "3 of 40 connections refused by the server: nobody listens on that port; 5 failed in all"},
		{"the larger failure", func(c *Conversation) {
			fails(c, flow.Refused, 3)
			fails(c, flow.Timeout, 1)
			c.HTTP = &HTTP{Requests: 50, ServerErrors: 40}
		}, Server, "40 of 50 requests got 5xx"},

		{"TLS alert", func(c *Conversation) {
			x := withTLS(c)
			x.Outcomes = [7 + 1]int64{tlsmeta.Completed: 38, tlsmeta.Failed: 2}
			x.Alerts.add(alertOfClient|48, 2)
		}, InTLS, "tls: 2 of 40 handshakes failed: the client's alert unknown_ca (2)"},
		{"TLS fails encrypted", func(c *Conversation) {
			withTLS(c).Outcomes = [7 + 1]int64{tlsmeta.Completed: 30, tlsmeta.FailedEncrypted: 10}
		}, InTLS, "why is encrypted"},
		{"TLS is not spoken", func(c *Conversation) { withTLS(c).Outcomes = [7 + 1]int64{tlsmeta.NotTLS: 40} }, InTLS, "does not speak TLS (40)"},
		{"TLS abandoned", func(c *Conversation) {
			withTLS(c).Outcomes = [7 + 1]int64{tlsmeta.Completed: 30, tlsmeta.Abandoned: 10}
		}, InTLS, "10 of 40 handshakes ended before"},
		{"5xx", func(c *Conversation) { c.HTTP = &HTTP{Requests: 52, ServerErrors: 10} }, Server, "10 of 52 requests got 5xx"},
		{"gRPC", func(c *Conversation) { c.HTTP = &HTTP{Requests: 52, GRPCErrors: 10} }, Server, "grpc-status"},
		{"no response", func(c *Conversation) { c.HTTP = &HTTP{Requests: 52, Aborted: 10} }, Server, "had no response"},
		{"4xx", func(c *Conversation) { c.HTTP = &HTTP{Requests: 52, ClientErrors: 30} }, Client, "client: 30 of 52 requests got 4xx"},
		{"SERVFAIL", func(c *Conversation) { c.DNS = &DNS{Queries: 40, SERVFAIL: 4} }, Server, "4 of 40 queries got an error"},
		{"DNS timeouts", func(c *Conversation) { c.DNS = &DNS{Queries: 40, Timeouts: 4} }, Network, "4 of 40 queries got no answer"},
		{"NXDOMAIN is an answer", func(c *Conversation) { c.DNS = &DNS{Queries: 40, NXDOMAIN: 40} }, Nobody, "nothing stands out"},

		{"too lossy", func(c *Conversation) { slowServer(c); c.Missed[1] = 2000 }, Capture, "too lossy to say: the capture missed 1.8 % of the data"},
		{"at the bound of loss", func(c *Conversation) { slowServer(c); c.Missed[1] = 1100 }, Server, "of the waiting"},
		{"loss hides answers", func(c *Conversation) { fails(c, flow.Timeout, 20); c.Missed[1] = 2000 }, Capture, "too lossy"},
		{"loss makes no refusals up", func(c *Conversation) { fails(c, flow.Refused, 20); c.Missed[1] = 2000 }, Server, "refused"},

		{"a leftover reset", func(c *Conversation) {
			slowServer(c)
			c.Connections, c.Turns = 2, 25
			c.Outcomes = [flow.NumOutcomes]int64{flow.Closed: 1, flow.Reset: 1}
			c.Ends.Leftover = 1
		}, Server, "84 % of the waiting"},
		{"one reset among many requests", func(c *Conversation) {
			slowServer(c)
			c.Connections, c.Turns = 2, 25
			c.Outcomes = [flow.NumOutcomes]int64{flow.Closed: 1, flow.Reset: 1}
			c.Ends.ResetBy[0] = 1
		}, Server, "84 % of the waiting"},
		{"one reset among few requests", func(c *Conversation) {
			slowServer(c)
			c.Connections, c.Turns = 2, 5
			c.Outcomes = [flow.NumOutcomes]int64{flow.Closed: 1, flow.Reset: 1}
			c.Ends.ResetBy[0] = 1
		}, Client, "1 of 2 connections reset by the client"},
		{"one slow SYN-ACK", func(c *Conversation) {
			c.Connections, c.Waiting = 3, Waiting{Connections: 3, Slow: 1, Network: 900 * ms}
		}, Nobody, "nothing stands out"},
		{"slow transfers", func(c *Conversation) {
			c.Waiting = Waiting{Connections: 40, Slow: 40, Network: 1e9, Transfer: 80e9, Volume: 20 << 20, Stalled: [2]int64{3e9, 0}}
		}, Nobody, "99 % of the time goes into the transfer of responses, 20.0 MiB in 80 s; for 3 s more the client's window was closed or full"},
		{"a client that does not read", func(c *Conversation) {
			c.Waiting = Waiting{Connections: 40, Slow: 40, Client: 80e9, Stalled: [2]int64{80e9, 0}}
		}, Client, "its window was closed or full for 80 s"},
		{"a server that trickles", func(c *Conversation) {
			c.Waiting = Waiting{Connections: 40, Slow: 40, Server: 80e9, Trickled: 80e9, Volume: 4000}
		}, Server, "it sends 3.91 KiB of responses in 80 s"},
		{"waiting before the request is complete", func(c *Conversation) { c.Waiting = Waiting{Connections: 40, Slow: 40, Server: 80e9} }, Server, "2 s for each of 40 requests, most of it before the request was complete; p95 10"},
		{"nothing known of requests", func(c *Conversation) { c.Turns, c.HTTP = 0, &HTTP{Requests: 40, Unknown: 40} }, Nobody, "of 40 requests it is not known how they ended"},
		{"other DNS errors", func(c *Conversation) { c.DNS = &DNS{Queries: 40, OtherErr: 10, RCodes: [24]int64{0: 30, 1: 10}} }, Server, "got an error (FORMERR 10)"},
		{"slow server", slowServer, Server, "server: 84 % of the waiting is the server's (p95 890 ms of 40 responses)"},
		{"slow server, base unknown", func(c *Conversation) { slowServer(c); c.Times.AtMost = true }, Server, "p95 at most 890 ms"},
		{"slow network", func(c *Conversation) {
			slowServer(c)
			c.Waiting.Network = 400e9
			c.Times.RTT[1].Reset()
			fill(&c.Times.Delayed[1], 40, 150*ms)
			c.Repeats[1] = Repeats{Connections: 40, Packets: 30, Bytes: 5000, Payload: 100_000, AtLeast: true}
		}, Network, "82 % of the waiting is the network's (round trip at most 15"},
		{"slow network repeats", func(c *Conversation) {
			slowServer(c)
			c.Waiting.Network = 400e9
			c.Repeats[1] = Repeats{Connections: 40, Packets: 30, Bytes: 5500, Payload: 100_000, AtLeast: true}
		}, Network, "at least 5.0 % of the data was sent again, in 30 packets"},
		{"slow TLS at the server", func(c *Conversation) {
			fill(&withTLS(c).Total, 40, 500*ms)
			c.Waiting = Waiting{Connections: 40, Slow: 40, Server: 1e9, Network: 1e9, TLS: 18e9}
		}, InTLS, "90 % of the waiting is the server's part of TLS handshakes (TLS p95 49"},
		{"slow client", func(c *Conversation) {
			fill(&withTLS(c).Total, 40, 500*ms)
			c.Waiting = Waiting{Connections: 40, Slow: 40, Server: 1e9, Network: 1e9, Client: 18e9}
		}, Client, "90 % of the waiting is the client's"},
		{"nobody has half", func(c *Conversation) {
			c.Waiting = Waiting{Connections: 40, Slow: 40, Server: 4e9, Network: 4e9, TLS: 2e9}
		}, Nobody, "no one has half of the waiting: 40 % is the server's, 40 % the network's"},
		{"slow and not known why", func(c *Conversation) { slowServer(c); c.Waiting.Unknown = 200e9 }, Nobody, "not known who let wait"},
		{"slow because of loss", func(c *Conversation) {
			slowServer(c)
			c.Waiting.Unknown = 200e9
			c.Repeats[0] = Repeats{Connections: 40, Packets: 12, Bytes: 2200, Payload: 10_000}
		}, Network, "2.0 % of the data was sent again, in 12 packets"},
		{"slow DNS", func(c *Conversation) {
			*c = Conversation{Connections: 40, DNS: &DNS{Queries: 40}}
			fill(&c.DNS.Time, 40, 800*ms)
		}, Server, "it is slow to answer, or the way to it is long (p95 at most 80"},
		{"repeats that cost little", func(c *Conversation) {
			c.Repeats[1] = Repeats{Connections: 40, Packets: 40, Bytes: 4400, Payload: 100_000}
		}, Network, "4.0 % of the data"},
		{"two repeats are chance", func(c *Conversation) {
			c.Repeats[1] = Repeats{Connections: 40, Packets: 2, Bytes: 4400, Payload: 100_000}
		}, Nobody, "nothing stands out"},
		{"repeats not known", func(c *Conversation) { c.Repeats = [2]Repeats{} }, Nobody, "nothing stands out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := talked()
			test.change(&c)
			v := c.Verdict()
			if got := v.Sentence(); v.Who != test.who || !strings.Contains(got, test.want) {
				t.Errorf("%v: %q, want %v: …%s…", v.Who, got, test.who, test.want)
			}
			if v.Short == "" {
				t.Error("no short form")
			}
			if v.Who != Nobody && v.Who != Capture && v.Weight == 0 && v.Short != "loss" && v.Short != "4xx" {
				t.Error("no weight")
			}
		})
	}
}

// What failed does not hide what is slow.
func TestAlso(t *testing.T) {
	c := talked()
	slowServer(&c)
	fails(&c, flow.Refused, 4)
	c.HTTP = &HTTP{Requests: 40, ClientErrors: 20}
	v := c.Verdict()
	var got []string
	for _, a := range v.Also {
		got = append(got, a.Sentence())
	}
	if v.Who != Server || !strings.Contains(v.Text, "refused") || len(got) != 2 || !strings.HasPrefix(got[0], "server: 84 %") || !strings.Contains(got[1], "4xx") {
		t.Errorf("%s; %q", v.Text, got)
	}
	fails(&c, flow.Timeout, 10)
	c.Missed[0] = 100_000 // what rests on what is missing is not told
	if v := c.Verdict(); v.Also[0].Who != Capture || len(v.Also) != 1 || !strings.HasSuffix(v.Text, "14 failed in all") {
		t.Errorf("%s; %+v", v.Text, v.Also)
	}
}

// What is not known is in no figure, and what was really zero is.
func TestEvidence(t *testing.T) {
	figures := func(c *Conversation) map[string]float64 {
		all := map[string]float64{}
		for _, f := range c.Verdict().Evidence {
			all[f.Name] = f.Value
		}
		return all
	}
	c := talked()
	slowServer(&c)
	got := figures(&c)
	for name, want := range map[string]float64{
		"server_share_ratio": 0.84, "network_share_ratio": 0.1, "retransmit_ratio": 0, "capture_loss_ratio": 0, "error_ratio": 0, "requests": 40, "retransmit_packets": 0,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s = %v, %v; want %v", name, value, ok, want)
		}
	}
	empty := Conversation{Connections: 1}
	if got := figures(&empty); len(got) != 1 || got["connections"] != 1 {
		t.Errorf("of an unknown conversation: %v", got)
	}
}

// summaryOf makes conversations a Summary.
func summaryOf(all []Conversation) *Summary {
	s := &Summary{}
	s.conversations.index = index.New()
	for i := range all {
		hash := all[i].Key.Hash(&s.conversations.index)
		e := s.conversations.add(&all[i].Key, hash)
		*s.conversations.bytes(int(e.number)) = all[i].Bytes()
		s.conversations.whole = append(s.conversations.whole, &all[i])
		e.whole = uint32(len(s.conversations.whole))
		e.traits = suspect
	}
	return s
}

func TestWorst(t *testing.T) {
	all := []Conversation{talked(), talked(), talked(), talked(), talked()}
	for i := range all {
		all[i].Port = uint16(i)
	}
	fails(&all[1], flow.Refused, 3)
	slowServer(&all[2])
	all[3].Missed[0] = 50_000
	fails(&all[4], flow.Refused, 39)
	var got []uint16
	worst, more := summaryOf(all).Worst(10)
	for _, w := range worst {
		got = append(got, w.Port)
	}
	if first, rest := summaryOf(all).Worst(1); more != 0 || len(first) != 1 || rest != 3 || first[0].Port != 2 || first[0].Verdict.Text != worst[0].Verdict.Text {
		t.Errorf("the first of them is %+v, %d more and %d", first, rest, more)
	}
	if want := []uint16{2, 4, 1, 3}; len(got) != 4 || [4]uint16(got) != [4]uint16(want) {
		t.Errorf("worst first: %v, want %v", got, want)
	}
}

func TestWords(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{share(0), "0.0 %"}, {share(0.0004), "<0.1 %"}, {share(0.05), "5.0 %"}, {share(0.84), "84 %"}, {share(0.999), ">99 %"}, {share(1), "100 %"},
		{duration(500), "<1 µs"}, {duration(1500), "1.50 µs"}, {duration(890e6), "890 ms"}, {duration(12.34e6), "12.3 ms"}, {duration(3.2e9), "3.20 s"}, {duration(999.6e3), "1.00 ms"},
		{number(1234567), "1,234,567"}, {number(12), "12"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
