package edge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/tlsmeta"
)

// cause is one way to fail.
type cause struct {
	who     Who
	n, of   int64
	short   string
	text    string // behind "n of of"
	certain bool   // it was recorded: loss in the capture cannot make it up
	least   int64  // fewer than so many are chance

	connections bool // n counts outcomes of connections
	gone        bool // connections that ended too early, or what had no response for it: they tell of the same
}

func (x *cause) share() float64 { return float64(x.n) / float64(x.of) }

// failures gives the ways to fail, the largest share first. certain asks for
// those that do not rest on something that is missing in the capture.
func (j *judge) failures(certain bool) (all []Verdict) {
	var list []cause
	for _, x := range j.causes() {
		if x.of > 0 && x.n > 0 && x.n >= x.least && x.certain == certain && x.share() >= manyFailures {
			list = append(list, x)
		}
	}
	slices.SortStableFunc(list, func(a, b cause) int { return cmp.Compare(b.share(), a.share()) })
	for _, x := range list {
		if x.gone && j.gone {
			continue
		}
		j.gone = j.gone || x.gone
		text := fmt.Sprintf("%s of %s %s", number(x.n), number(x.of), x.text)
		if failed := j.c.Errors(); x.connections && !j.summed && failed > x.n {
			text += fmt.Sprintf("; %s failed in all", number(failed))
		}
		j.summed = j.summed || x.connections // once is enough
		all = append(all, Verdict{Who: x.who, Short: x.short, Text: text, Failures: true, Weight: x.n})
	}
	return all
}

// causes lists the ways to fail, the earliest in a connection's life first.
func (j *judge) causes() []cause {
	all := j.connections()
	all = append(all, j.handshakes()...)
	all = append(all, j.requests()...)
	return append(all, j.queries()...)
}

func (j *judge) connections() []cause {
	c := j.c
	o, e := &c.Outcomes, &c.Ends
	tried := c.Connections - e.Leftover
	one := func(who Who, n int64, short, text string, certain bool) cause {
		return cause{who: who, n: n, of: tried, short: short, text: noun(tried, "connection") + " " + text, certain: certain, connections: true}
	}
	// A connection that breaks off behind many requests that went well weighs as one of them.
	broken := func(x cause) cause {
		x.gone = true
		if x.n < fewFailures && float64(x.n) < manyFailures*float64(c.Requests()) {
			x.least = fewFailures
		}
		return x
	}
	refuser, refused := Server, "refused by the server: nobody listens on that port"
	if e.Foreign > 0 && 2*e.Foreign >= o[flow.Refused]+o[flow.Reset] {
		refuser, refused = Network, "refused, by a reset that does not look like the server's own: a firewall?"
	}
	resetter, reset := Server, "reset by the server"
	if refuser == Network {
		resetter, reset = Network, "reset by something between the hosts"
	}
	byClient := e.ResetBy[flow.Client]
	if c.Unanswered != nil {
		byClient -= c.Unanswered.GaveUpRST // why is told by what it waited for
	}
	return []cause{
		one(refuser, o[flow.Refused], "refuses", refused, true),
		one(Server, e.FromServer, "unreachable", "turned away: the server itself says that it is unreachable there", true),
		one(Network, o[flow.Unreachable]-e.FromServer, "unreachable", "found the server unreachable: a router said so", true),
		one(Network, o[flow.Timeout], "no answer", "got no answer to the SYN: dropped on the way, or the host is down", false),
		one(Network, o[flow.HalfOpenTimeout], "half open", "stayed half open: the server's answer did not reach the client, or it did not want it", false),
		broken(one(Network, o[flow.AbortedTimeout], "falls silent", "fell silent with data unacknowledged", false)),
		broken(one(resetter, e.ResetBy[flow.Server], "resets", reset, true)),
		broken(one(Client, byClient, "resets", "reset by the client: it gave up, or went away", true)),
	}
}

func (j *judge) handshakes() []cause {
	t := j.c.TLS
	if t == nil {
		return nil
	}
	said := t.Failed() - t.Outcomes[tlsmeta.Abandoned]
	handshakes := noun(t.Connections, "handshake")
	return []cause{
		{who: InTLS, n: said, of: t.Connections, short: "fails", text: handshakes + " failed" + alerts(t), certain: true},
		{who: InTLS, n: t.Outcomes[tlsmeta.Abandoned], of: t.Connections, short: "abandoned", text: handshakes + " ended before they were complete, without an alert"},
	}
}

// requests lists how those of HTTP and of unknown protocols failed.
func (j *judge) requests() (all []cause) {
	c := j.c
	known := c.Requests() - c.UnknownRequests()
	if c.DNS != nil {
		known -= c.DNS.Queries - c.DNS.Unknown
	}
	requests := noun(known, "request")
	aborted := c.Mute()
	if h := c.HTTP; h != nil {
		aborted += h.Aborted
		of := h.Requests - h.Unknown
		all = append(all,
			cause{who: Server, n: min(h.ServerErrors, of), of: of, short: "5xx", text: noun(of, "request") + " got 5xx", certain: true},
			cause{who: Server, n: min(h.GRPCErrors, of), of: of, short: "gRPC errors", text: noun(of, "request") + " got a grpc-status other than OK", certain: true})
	}
	u := c.Unanswered
	if u == nil {
		return append(all, cause{who: Server, n: aborted, of: known, short: "no response", text: requests + " had no response when the connection ended", gone: true})
	}
	aborted = max(aborted-u.Left-u.Unheard, 0)
	text := " had no response when the connection ended"
	if wait, ok := u.Waits.Quantile(0.5); ok && wait >= patience {
		if u.GaveUp+c.Mute() >= aborted {
			text = " had no response when the client gave up"
		}
		text += ", after " + duration(wait)
	}
	mean, longest := u.OpenWait()
	open := u.Open
	if response, _ := c.Response(); float64(mean) < max(longOpen, 3*p95(response)) {
		open = 0
	}
	all = append(all,
		cause{who: Server, n: aborted, of: known, short: "no response", text: requests + text, gone: true},
		cause{who: Network, n: u.Unheard, of: known, short: "not heard", text: requests + " were not even acknowledged when the client gave up", gone: true},
		cause{who: Client, n: u.Left, of: known, short: "goes away", text: requests + " had no response when the client went away, at once", gone: true},
		cause{who: Server, n: open, of: c.Requests(), short: "no response yet", text: noun(c.Requests(), "request") + " had no response yet when the capture ended, the oldest after " + duration(float64(longest))})
	if c.Turns == 0 {
		all = append(all, cause{
			who: Server, n: u.Mute, of: c.Connections, short: "says nothing",
			text: noun(c.Connections, "connection") + " had data from the client, and not a word back until it gave up" + waited(u) + ": a protocol without answers, or the server hangs",
		})
	}
	return all
}

func waited(u *Unanswered) string {
	if wait, ok := u.Waits.Quantile(0.5); ok {
		return ", after " + duration(wait)
	}
	return ""
}

func (j *judge) queries() []cause {
	d := j.c.DNS
	if d == nil {
		return nil
	}
	of := d.Queries - d.Unknown
	queries := "quer" + map[bool]string{true: "y", false: "ies"}[of == 1]
	return []cause{
		{who: Server, n: min(d.SERVFAIL+d.OtherErr, of), of: of, short: "DNS errors", text: queries + " got an error" + rcodes(d), certain: true},
		{who: Network, n: d.Timeouts, of: of, short: "no answer", text: queries + " got no answer: dropped on the way, or the server is down"},
	}
}

// rcodes names the errors, the most frequent first.
func rcodes(d *DNS) string {
	type rcode struct {
		name string
		n    int64
	}
	var all []rcode
	for r, n := range d.RCodes {
		if name := dnsmeta.RCodeName(r); n > 0 && name != "NOERROR" && name != "NXDOMAIN" {
			all = append(all, rcode{name, n})
		}
	}
	slices.SortStableFunc(all, func(a, b rcode) int { return cmp.Compare(b.n, a.n) })
	var words []string
	for _, r := range all[:min(len(all), 3)] {
		words = append(words, fmt.Sprintf("%s %s", r.name, number(r.n)))
	}
	if words == nil {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// alerts names those that ended handshakes.
func alerts(t *TLS) string {
	var words []string
	for _, a := range t.Alerts.Top() {
		from := "the server's"
		if a.Value.Client() {
			from = "the client's"
		}
		words = append(words, fmt.Sprintf("%s alert %s (%s)", from, tlsmeta.AlertName(a.Value.Description()), number(a.N)))
		if len(words) == 2 {
			break
		}
	}
	if n := t.Outcomes[tlsmeta.NotTLS]; n > 0 {
		words = append(words, fmt.Sprintf("the other side does not speak TLS (%s)", number(n)))
	}
	if words == nil {
		return ", why is encrypted"
	}
	return ": " + strings.Join(words, ", ")
}
