package edge

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"mirrorscope/flow"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// Who a Verdict points at.
type Who uint8

const (
	Nobody  Who = iota // nothing stands out, or there is too little to say
	Network            // the way between the hosts, or where nobody answers
	InTLS              // the handshake of TLS: it fails, or the server is slow in it
	Server
	Client
	Capture // too much was not recorded to say
)

func (w Who) String() string {
	return [...]string{"none", "network", "tls", "server", "client", "capture"}[w]
}

// Thresholds of verdicts. docs/explanation/verdict.md tells why.
const (
	maxCaptureLoss   = 0.01  // share of the octets that the capture may have missed
	manyFailures     = 0.05  // share of what was tried that failed
	manyClientErrors = 0.2   // share of requests that got 4xx
	dominant         = 0.5   // share of the waiting
	someSlow         = 0.05  // share of the connections
	slowWait         = 250e6 // ns of waiting for each request on a connection, its handshakes included
	slowResponse     = 100e6 // ns, 95th percentile
	slowTLS          = 300e6 // ns, 95th percentile
	heavyRepeats     = 0.01  // share of the octets of payload that were sent again
	fewRepeats       = 3     // packets; fewer are chance
	few              = 20    // below it a percentile is said with its number
)

// Verdict says in one sentence what to look at first, and with which figures.
// What is not known is in no figure.
type Verdict struct {
	Who      Who
	Short    string // a few words, behind Who
	Text     string // one sentence, without Who
	Evidence []Figure
	Failures bool  // something failed; else it is slow, or neither
	Weight   int64 // how many connections or requests failed or were slow
}

// Figure is one number behind a verdict. Its name ends in the unit: _us, _ratio,
// or nothing for a count.
type Figure struct {
	Name  string
	Value float64
}

// Sentence is the whole of it: "server: 84 % of the waiting is the server's …".
func (v *Verdict) Sentence() string {
	switch v.Who {
	case Nobody:
		return v.Text
	case Capture:
		return "too lossy to say: " + v.Text
	}
	return v.Who.String() + ": " + v.Text
}

// Verdict judges a conversation. What failed comes first, then what the capture
// missed, then where the time went.
func (c *Conversation) Verdict() Verdict {
	j := judge{c: c}
	v, ok := j.failure(true)
	if !ok {
		v, ok = j.lossy()
	}
	if !ok {
		v, ok = j.failure(false)
	}
	if !ok {
		v, ok = j.time()
	}
	if !ok {
		v, ok = j.rest()
	}
	if !ok {
		v = j.nothing()
	}
	v.Evidence = j.evidence()
	return v
}

type judge struct{ c *Conversation }

// cause is one way to fail.
type cause struct {
	who     Who
	n, of   int64
	short   string
	text    string // behind "n of of"
	certain bool   // it was recorded: loss in the capture cannot make it up

	connections bool // n counts outcomes of connections
}

// failure finds the way to fail that took the largest share. certain asks for
// those that do not rest on something that is missing in the capture.
func (j *judge) failure(certain bool) (Verdict, bool) {
	best := cause{of: 1}
	for _, x := range j.causes() {
		if x.n == 0 || x.certain != certain || float64(x.n) < manyFailures*float64(x.of) {
			continue
		}
		if best.n == 0 || float64(x.n)*float64(best.of) > float64(best.n)*float64(x.of) {
			best = x
		}
	}
	if best.n == 0 {
		return Verdict{}, false
	}
	text := fmt.Sprintf("%s of %s %s", number(best.n), number(best.of), best.text)
	if all := j.c.Errors(); best.connections && all > best.n {
		text += fmt.Sprintf("; %s failed in all", number(all))
	}
	return Verdict{Who: best.who, Short: best.short, Text: text, Failures: true, Weight: best.n}, true
}

// causes lists the ways to fail, the earliest in a connection's life first.
func (j *judge) causes() []cause {
	c := j.c
	o, e := &c.Outcomes, &c.Ends
	connections := func(who Who, n int64, short, text string, certain bool) cause {
		return cause{who: who, n: n, of: c.Connections, short: short, text: noun(c.Connections, "connection") + " " + text, certain: certain, connections: true}
	}
	refuser, refused := Server, "refused by the server: nobody listens on that port"
	if e.Foreign > 0 && 2*e.Foreign >= o[flow.Refused]+o[flow.Reset] {
		refuser, refused = Network, "refused, by a reset that does not look like the server's own: a firewall?"
	}
	resetter, reset := Server, "reset by the server"
	if refuser == Network {
		resetter, reset = Network, "reset by something between the hosts"
	}
	all := []cause{
		connections(refuser, o[flow.Refused], "refuses", refused, true),
		connections(Server, e.FromServer, "unreachable", "turned away: the server itself says that it is unreachable there", true),
		connections(Network, o[flow.Unreachable]-e.FromServer, "unreachable", "found the server unreachable: a router said so", true),
		connections(Network, o[flow.Timeout], "no answer", "got no answer to the SYN: dropped on the way, or the host is down", false),
		connections(Network, o[flow.HalfOpenTimeout], "half open", "stayed half open: the server's answer did not reach the client, or it did not want it", false),
		connections(Network, o[flow.AbortedTimeout], "falls silent", "fell silent with data unacknowledged", false),
		connections(resetter, e.ResetBy[flow.Server], "resets", reset, true),
		connections(Client, e.ResetBy[flow.Client], "resets", "reset by the client: it gave up, or went away", true),
	}
	if t := c.TLS; t != nil {
		said := t.Failed() - t.Outcomes[tlsmeta.Abandoned]
		handshakes := noun(t.Connections, "handshake")
		all = append(all,
			cause{who: InTLS, n: said, of: t.Connections, short: "fails", text: handshakes + " failed" + alerts(t), certain: true},
			cause{who: InTLS, n: t.Outcomes[tlsmeta.Abandoned], of: t.Connections, short: "abandoned", text: handshakes + " ended before they were complete, without an alert"})
	}
	if h := c.HTTP; h != nil {
		requests := noun(h.Requests, "request")
		all = append(all,
			cause{who: Server, n: min(h.ServerErrors, h.Requests), of: h.Requests, short: "5xx", text: requests + " got 5xx", certain: true},
			cause{who: Server, n: min(h.GRPCErrors, h.Requests), of: h.Requests, short: "gRPC errors", text: requests + " got a grpc-status other than OK", certain: true},
			cause{who: Server, n: h.Aborted, of: h.Requests, short: "no response", text: requests + " had no response when the connection ended"})
	}
	if d := c.DNS; d != nil {
		queries := "quer" + map[bool]string{true: "y", false: "ies"}[d.Queries == 1]
		all = append(all,
			cause{who: Server, n: min(d.SERVFAIL+d.OtherErr, d.Queries), of: d.Queries, short: "DNS errors", text: fmt.Sprintf("%s got an error (SERVFAIL %s)", queries, number(d.SERVFAIL)), certain: true},
			cause{who: Network, n: d.Timeouts, of: d.Queries, short: "no answer", text: queries + " got no answer: dropped on the way, or the server is down"})
	}
	return all
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

// lossRatio is the share of the octets that the capture missed.
func (c *Conversation) lossRatio() (ratio float64, ok bool) {
	missed, recorded := c.Missed[0]+c.Missed[1], c.Recorded[0]+c.Recorded[1]
	if missed+recorded <= 0 {
		return 0, false
	}
	return float64(missed) / float64(missed+recorded), true
}

func (j *judge) lossy() (Verdict, bool) {
	ratio, ok := j.c.lossRatio()
	if !ok || ratio <= maxCaptureLoss {
		return Verdict{}, false
	}
	return Verdict{
		Who: Capture, Short: "lossy", Text: fmt.Sprintf("the capture missed %s of the data (acknowledged, and not recorded)", share(ratio)),
	}, true
}

// repeatRatio is the share of the payload that was sent again.
func (c *Conversation) repeatRatio() (ratio float64, packets int64, atLeast, ok bool) {
	var sum Repeats
	for side := range c.Repeats {
		sum.add(&c.Repeats[side])
	}
	if sum.Connections == 0 || sum.Payload <= 0 {
		return 0, sum.Packets, sum.AtLeast, false
	}
	return float64(sum.Bytes) / float64(sum.Payload), sum.Packets, sum.AtLeast, true
}

func (j *judge) lossyNetwork() (text string, ok bool) {
	ratio, packets, atLeast, known := j.c.repeatRatio()
	if !known || ratio < heavyRepeats || packets < fewRepeats {
		return "", false
	}
	sign := ""
	if atLeast {
		sign = "at least "
	}
	return fmt.Sprintf("%s%s of the data was sent again, in %s packets", sign, share(ratio), number(packets)), true
}

// time tells who lets wait, where there is any waiting to speak of.
func (j *judge) time() (Verdict, bool) {
	c, w := j.c, &j.c.Waiting
	response, _ := c.Response()
	slow := p95(response) >= slowResponse || c.tlsP95() >= slowTLS || w.Connections > 0 && float64(w.Slow) >= someSlow*float64(w.Connections)
	if !slow {
		return Verdict{}, false
	}
	known, all := w.Known(), w.Known()+w.Unknown
	if known == 0 || float64(known) < dominant*float64(all) {
		return j.undivided(all == 0)
	}
	parts := []part{
		{Server, w.Server, "the server's"}, {Network, w.Network, "the network's"}, {InTLS, w.TLS, "the server's part of TLS handshakes"}, {Client, w.Client, "the client's"},
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.ns, a.ns) })
	of := func(i int) float64 { return float64(parts[i].ns) / float64(known) }
	if of(0) < dominant {
		return Verdict{
			Text:  fmt.Sprintf("no one has half of the waiting: %s is %s, %s %s%s", share(of(0)), parts[0].text, share(of(1)), parts[1].text, j.behind(Nobody)),
			Short: "mixed",
		}, true
	}
	text := fmt.Sprintf("%s of the waiting is %s%s", share(of(0)), parts[0].text, j.behind(parts[0].who))
	return Verdict{Who: parts[0].who, Short: share(of(0)), Text: text, Weight: j.slow()}, true
}

// slow is about how many connections or responses were slow.
func (j *judge) slow() int64 {
	h, _ := j.c.Response()
	n := j.c.Waiting.Slow
	if p95(h) >= slowResponse {
		n = max(n, int64(h.Count())/few)
	}
	return max(n, 1)
}

// part is how much of the waiting is somebody's.
type part struct {
	who  Who
	ns   int64
	text string
}

// undivided tells of a slow conversation of which less than half of the time
// can be put down to anybody. untimed tells that there is none at all.
func (j *judge) undivided(untimed bool) (Verdict, bool) {
	if text, ok := j.lossyNetwork(); ok {
		return Verdict{Who: Network, Short: "loss", Text: text, Weight: j.slow()}, true
	}
	if d := j.c.DNS; untimed && d != nil && d.Time.Count() > 0 {
		return Verdict{Who: Server, Short: "slow", Text: "it is slow to answer, or the way to it is long" + j.behind(Server), Weight: j.slow()}, true
	}
	return Verdict{Short: "not known", Text: "slow, and for most of the time it is not known who let wait" + j.behind(InTLS)}, true
}

// behind gives the figures that a reader wants to see with a verdict on time, in
// parentheses.
func (j *judge) behind(who Who) string {
	c := j.c
	var words []string
	if who == Network {
		if ns, atMost, ok := c.Times.PathRTT(); ok {
			words = append(words, "round trip "+bounded(ns, atMost))
		}
		if text, ok := j.lossyNetwork(); ok {
			words = append(words, text)
		} else if _, n, _, _ := c.repeatRatio(); n > 0 {
			words = append(words, number(n)+" "+noun(n, "packet")+" sent again")
		}
	}
	if (who == InTLS || who == Client) && c.TLS != nil {
		if ns, ok := c.TLS.Total.Quantile(0.95); ok {
			n := int64(c.TLS.Total.Count())
			words = append(words, fmt.Sprintf("TLS p95 %s of %s %s", duration(ns), number(n), noun(n, "handshake")))
		}
	}
	if h, state := c.Response(); who != Network && h.Count() > 0 {
		ns, _ := h.Quantile(0.95)
		n := int64(h.Count())
		words = append(words, fmt.Sprintf("p95 %s of %s %s", qualified(ns, state), number(n), noun(n, "response")))
	}
	if words == nil {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// rest looks for what is wrong and costs little time.
func (j *judge) rest() (Verdict, bool) {
	if text, ok := j.lossyNetwork(); ok {
		return Verdict{Who: Network, Short: "loss", Text: text}, true
	}
	if h := j.c.HTTP; h != nil && h.Requests > 0 && float64(h.ClientErrors) >= manyClientErrors*float64(h.Requests) {
		return Verdict{
			Who: Client, Short: "4xx", Failures: true,
			Text: fmt.Sprintf("%s of %s %s got 4xx: they ask for what is not there, or not theirs", number(h.ClientErrors), number(h.Requests), noun(h.Requests, "request")),
		}, true
	}
	return Verdict{}, false
}

func (j *judge) nothing() Verdict {
	c := j.c
	if c.Requests() == 0 && c.Handshake.Count() == 0 && c.TLS == nil {
		return Verdict{Text: "too little to judge: no handshake and no request was recorded", Short: "-"}
	}
	h, _ := c.Response()
	text := "nothing stands out" + j.behind(Nobody)
	if h.Count() == 0 {
		text = fmt.Sprintf("nothing stands out in %s %s, and no response was timed", number(c.Connections), noun(c.Connections, "connection"))
	} else if h.Count() < few {
		text += ", in few samples"
	}
	return Verdict{Text: text, Short: "ok"}
}

// evidence gives the figures that are known.
func (j *judge) evidence() (all []Figure) {
	c, w := j.c, &j.c.Waiting
	put := func(name string, value float64, ok bool) {
		if ok {
			all = append(all, Figure{name, value})
		}
	}
	put("connections", float64(c.Connections), true)
	put("failed_connections", float64(c.Errors()), c.Errors() > 0)
	put("requests", float64(c.Requests()), c.Requests() > 0)
	rate, ok := c.ErrorRate()
	put("error_ratio", rate, ok)
	if c.TLS != nil {
		put("tls_failures", float64(c.TLS.Failed()), true)
		ns, ok := c.TLS.Total.Quantile(0.95)
		put("tls_handshake_p95_us", ns/1e3, ok)
	}
	known := float64(w.Known())
	for _, x := range []struct {
		name string
		ns   int64
	}{{"server_share_ratio", w.Server}, {"network_share_ratio", w.Network}, {"tls_share_ratio", w.TLS}, {"client_share_ratio", w.Client}} {
		put(x.name, float64(x.ns)/known, known > 0)
	}
	total := known + float64(w.Unknown)
	put("unknown_share_ratio", float64(w.Unknown)/total, total > 0)
	h, _ := c.Response()
	ns, ok := h.Quantile(0.95)
	put("response_p95_us", ns/1e3, ok)
	rtt, _, ok := c.Times.PathRTT()
	put("rtt_p50_us", rtt/1e3, ok)
	ratio, packets, _, ok := c.repeatRatio()
	put("retransmit_ratio", ratio, ok)
	put("retransmit_packets", float64(packets), c.Repeats[0].Connections+c.Repeats[1].Connections > 0)
	loss, ok := c.lossRatio()
	put("capture_loss_ratio", loss, ok)
	return all
}

// Worst gives the verdicts of conversations that point at somebody. Those with
// the most that failed or was slow come first, and last those of which the
// capture holds too little.
func Worst(conversations []*Conversation) (all []Judged) {
	for _, c := range conversations {
		if v := c.Verdict(); v.Who != Nobody {
			all = append(all, Judged{c, v})
		}
	}
	last := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b Judged) int {
		x, y := &a.Verdict, &b.Verdict
		return cmp.Or(
			cmp.Compare(last(x.Who == Capture), last(y.Who == Capture)), cmp.Compare(y.Weight, x.Weight), cmp.Compare(last(!x.Failures), last(!y.Failures)),
			cmp.Compare(b.Bytes(), a.Bytes()), compareKeys(&a.Key, &b.Key),
		)
	})
	return all
}

// Judged is a conversation with its verdict.
type Judged struct {
	*Conversation
	Verdict Verdict
}

func noun(n int64, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// share gives a ratio in percent: whole ones, below ten with a decimal.
func share(ratio float64) string {
	switch p := 100 * ratio; {
	case p > 0 && p < 0.1:
		return "<0.1 %"
	case p < 9.95:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	case p < 100 && p >= 99.5:
		return ">99 %"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	}
}

func qualified(ns float64, state tcp.State) string {
	if state == tcp.Ambiguous {
		return "about " + duration(ns)
	}
	return bounded(ns, state == tcp.Bounded)
}

func bounded(ns float64, atMost bool) string {
	if atMost {
		return "at most " + duration(ns)
	}
	return duration(ns)
}

// duration gives two or three digits.
func duration(ns float64) string {
	v, unit := ns/1e3, "µs"
	switch {
	case ns >= 999.5e6:
		v, unit = ns/1e9, "s"
	case ns >= 999.5e3:
		v, unit = ns/1e6, "ms"
	case ns < 1e3:
		return "<1 µs"
	}
	digits := 0
	if v < 99.95 {
		digits = 1
	}
	if v < 9.995 {
		digits = 2
	}
	if v == math.Trunc(v) {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + unit
}
