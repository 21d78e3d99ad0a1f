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
	what    string // that n are of
	short   string
	text    string              // behind "n of of what"
	detail  func(*judge) string // … and behind that; nil: nothing
	certain bool                // it was recorded: loss in the capture cannot make it up
	least   int64               // fewer than so many are chance

	connections bool // n counts outcomes of connections
	gone        bool // connections that ended too early, or what had no response for it: they tell of the same
}

func (x *cause) share() float64 { return float64(x.n) / float64(x.of) }

// sentence tells it in words.
func (x *cause) sentence(j *judge) string {
	s := number(x.n) + " of " + number(x.of) + " " + noun(x.of, x.what) + " " + x.text
	if x.detail != nil {
		s += x.detail(j)
	}
	return s
}

// failures adds the ways to fail, the largest share first. certain asks for
// those that do not rest on something that is missing in the capture.
func (j *judge) failures(certain bool) {
	list := j.some[:0]
	for i := range j.list {
		if x := &j.list[i]; x.n >= x.least && x.certain == certain && x.share() >= manyFailures {
			list = append(list, *x)
		}
	}
	j.some = list
	slices.SortStableFunc(list, func(a, b cause) int { return cmp.Compare(b.share(), a.share()) })
	for i := range list {
		x := &list[i]
		if x.gone && j.gone {
			continue
		}
		j.gone = j.gone || x.gone
		v := Verdict{Who: x.who, Short: x.short, Failures: true, Weight: x.n}
		if !j.brief {
			v.Text = x.sentence(j)
			if failed := j.c.Errors(); x.connections && !j.summed && failed > x.n {
				v.Text += fmt.Sprintf("; %s failed in all", number(failed))
			}
		}
		j.summed = j.summed || x.connections // once is enough
		j.all = append(j.all, v)
	}
}

// causes lists the ways in which something failed, the earliest in a connection's
// life first.
func (j *judge) causes() {
	j.list = j.list[:0]
	j.connections()
	j.handshakes()
	j.requests()
	j.queries()
}

// failed adds a way, where something failed so.
func (j *judge) failed(x *cause) {
	if x.n > 0 && x.of > 0 {
		j.list = append(j.list, *x)
	}
}

func (j *judge) connections() {
	c := j.c
	o, e := &c.Outcomes, &c.Ends
	tried := c.Connections - e.Leftover
	one := func(who Who, n int64, short, text string, certain bool) {
		if n > 0 {
			j.failed(&cause{who: who, n: n, of: tried, what: "connection", short: short, text: text, certain: certain, connections: true})
		}
	}
	// A connection that breaks off behind many requests that went well weighs as one of them.
	broken := func(who Who, n int64, short, text string, certain bool) {
		if n <= 0 {
			return
		}
		least := int64(0)
		if n < fewFailures && float64(n) < manyFailures*float64(c.Requests()) {
			least = fewFailures
		}
		j.failed(&cause{who: who, n: n, of: tried, what: "connection", short: short, text: text, certain: certain, connections: true, gone: true, least: least})
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
	one(refuser, o[flow.Refused], "refuses", refused, true)
	one(Server, e.FromServer, "unreachable", "turned away: the server itself says that it is unreachable there", true)
	one(Network, o[flow.Unreachable]-e.FromServer, "unreachable", "found the server unreachable: a router said so", true)
	one(Network, o[flow.Timeout], "no answer", "got no answer to the SYN: dropped on the way, or the host is down", false)
	one(Network, o[flow.HalfOpenTimeout], "half open", "stayed half open: the server's answer did not reach the client, or it did not want it", false)
	broken(Network, o[flow.AbortedTimeout], "falls silent", "fell silent with data unacknowledged", false)
	broken(resetter, e.ResetBy[flow.Server], "resets", reset, true)
	broken(Client, byClient, "resets", "reset by the client: it gave up, or went away", true)
}

func (j *judge) handshakes() {
	t := j.c.TLS
	if t == nil {
		return
	}
	said := t.Failed() - t.Outcomes[tlsmeta.Abandoned]
	j.failed(&cause{who: InTLS, n: said, of: t.Connections, what: "handshake", short: "fails", text: "failed", detail: func(j *judge) string { return alerts(j.c.TLS) }, certain: true})
	j.failed(&cause{who: InTLS, n: t.Outcomes[tlsmeta.Abandoned], of: t.Connections, what: "handshake", short: "abandoned", text: "ended before they were complete, without an alert"})
}

// requests lists how those of HTTP and of unknown protocols failed.
func (j *judge) requests() {
	c := j.c
	known := c.Requests() - c.UnknownRequests()
	if c.DNS != nil {
		known -= c.DNS.Queries - c.DNS.Unknown
	}
	one := func(x cause) {
		x.what = "request"
		j.failed(&x)
	}
	aborted := c.Mute()
	if h := c.HTTP; h != nil {
		aborted += h.Aborted
		of := h.Requests - h.Unknown
		one(cause{who: Server, n: min(h.ServerErrors, of), of: of, short: "5xx", text: "got 5xx", certain: true})
		one(cause{who: Server, n: min(h.GRPCErrors, of), of: of, short: "gRPC errors", text: "got a grpc-status other than OK", certain: true})
	}
	u := c.Unanswered
	if u == nil {
		one(cause{who: Server, n: aborted, of: known, short: "no response", text: "had no response when the connection ended", gone: true})
		return
	}
	aborted = max(aborted-u.Left-u.Unheard, 0)
	text, patient := "had no response when the connection ended", (func(*judge) string)(nil)
	if wait, ok := u.Waits.Quantile(0.5); ok && wait >= patience {
		if u.GaveUp+c.Mute() >= aborted {
			text = "had no response when the client gave up"
		}
		patient = func(j *judge) string { return waited(j.c.Unanswered) }
	}
	mean, _ := u.OpenWait()
	open := u.Open
	if response, _ := c.Response(); float64(mean) < max(longOpen, 3*p95(response)) {
		open = 0
	}
	one(cause{who: Server, n: aborted, of: known, short: "no response", text: text, detail: patient, gone: true})
	one(cause{who: Network, n: u.Unheard, of: known, short: "not heard", text: "were not even acknowledged when the client gave up", gone: true})
	one(cause{who: Client, n: u.Left, of: known, short: "goes away", text: "had no response when the client went away, at once", gone: true})
	one(cause{
		who: Server, n: open, of: c.Requests(), short: "no response yet", text: "had no response yet when the capture ended, the oldest after ",
		detail: func(j *judge) string {
			_, longest := j.c.Unanswered.OpenWait()
			return duration(float64(longest))
		},
	})
	if c.Turns == 0 {
		j.failed(&cause{
			who: Server, n: u.Mute, of: c.Connections, what: "connection", short: "says nothing", text: "had data from the client, and not a word back until it gave up",
			detail: func(j *judge) string {
				return waited(j.c.Unanswered) + ": a protocol without answers, or the server hangs"
			},
		})
	}
}

func waited(u *Unanswered) string {
	if wait, ok := u.Waits.Quantile(0.5); ok {
		return ", after " + duration(wait)
	}
	return ""
}

func (j *judge) queries() {
	d := j.c.DNS
	if d == nil {
		return
	}
	of := d.Queries - d.Unknown
	j.failed(&cause{who: Server, n: min(d.SERVFAIL+d.OtherErr, of), of: of, what: "query", short: "DNS errors", text: "got an error", detail: func(j *judge) string { return rcodes(j.c.DNS) }, certain: true})
	j.failed(&cause{who: Network, n: d.Timeouts, of: of, what: "query", short: "no answer", text: "got no answer: dropped on the way, or the server is down"})
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
