package edge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mirrorscope/flow"
	"mirrorscope/packet"
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
	fewSlow          = 3     // connections; fewer are chance where others were quick
	slowWait         = 250e6 // ns of waiting for each request on a connection, its handshakes included
	slowResponse     = 100e6 // ns, 95th percentile
	slowTLS          = 300e6 // ns, 95th percentile
	heavyRepeats     = 0.01  // share of the octets of payload that were sent again
	fewRepeats       = 3     // packets; fewer are chance
	few              = 20    // below it a percentile is said with its number
	fewFailures      = 3     // connections; fewer that break off among many requests are chance
	longOpen         = 1e9   // ns without a response when the capture ended
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

	Also []Verdict // what else stands out, without Evidence; at most two
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
// missed, then where the time went; what else stands out goes with it.
func (c *Conversation) Verdict() Verdict {
	j := judge{c: c}
	v := j.verdict()
	v.Evidence = j.evidence()
	return v
}

// verdict is all of it but the evidence.
func (j *judge) verdict() Verdict {
	j.summed, j.gone, j.all = false, false, j.all[:0]
	j.causes()
	j.failures(true)
	if v, lossy := j.lossy(); lossy {
		j.all = append(j.all, v)
	} else {
		j.failures(false)
		if v, ok := j.time(); ok {
			j.all = append(j.all, v)
		}
		if v, ok := j.rest(); ok && (len(j.all) == 0 || j.all[len(j.all)-1].Who != v.Who) {
			j.all = append(j.all, v)
		}
	}
	if len(j.all) == 0 {
		return j.nothing()
	}
	v := j.all[0]
	v.Also = j.all[1:min(len(j.all), 1+maxAlso)]
	return v
}

// maxAlso bounds Verdict.Also.
const maxAlso = 2

type judge struct {
	c      *Conversation
	brief  bool    // whom and what a verdict points at is asked for, and not in which words
	summed bool    // a verdict has told how many connections failed in all …
	gone   bool    // … and of those that ended too early
	list   []cause // all of them
	some   []cause // scratch of failures
	all    []Verdict
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
	v := Verdict{Who: Capture, Short: "lossy"}
	if !j.brief {
		v.Text = fmt.Sprintf("the capture missed %s of the data (acknowledged, and not recorded)", share(ratio))
	}
	return v, true
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
	if j.brief {
		return "", true
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
	waits := w.Slow >= fewSlow || 2*w.Slow >= w.Connections // fewer are chance
	slow := p95(response) >= slowResponse || c.tlsP95() >= slowTLS || w.Slow > 0 && waits && float64(w.Slow) >= someSlow*float64(w.Connections)
	if !slow {
		return Verdict{}, false
	}
	known := w.Known()
	all := known + w.Unknown + w.Transfer
	if float64(w.Transfer) >= dominant*float64(all) && all > 0 {
		return j.transfer(float64(w.Transfer) / float64(all)), true
	}
	if known == 0 || float64(known) < dominant*float64(all) {
		return j.undivided(all == 0)
	}
	parts := [...]part{
		{Server, w.Server, "the server's"}, {Network, w.Network, "the network's"}, {InTLS, w.TLS, "the server's part of TLS handshakes"}, {Client, w.Client, "the client's"},
	}
	slices.SortStableFunc(parts[:], func(a, b part) int { return cmp.Compare(b.ns, a.ns) })
	of := func(i int) float64 { return float64(parts[i].ns) / float64(known) }
	switch {
	case j.brief && of(0) < dominant:
		return Verdict{}, true
	case j.brief:
		return Verdict{Who: parts[0].who, Weight: j.slow()}, true
	case of(0) < dominant:
		return Verdict{
			Text:  fmt.Sprintf("no one has half of the waiting: %s is %s, %s %s%s", share(of(0)), parts[0].text, share(of(1)), parts[1].text, j.behind(Nobody)),
			Short: "mixed",
		}, true
	}
	text := fmt.Sprintf("%s of the waiting is %s%s", share(of(0)), parts[0].text, j.behind(parts[0].who))
	return Verdict{Who: parts[0].who, Short: share(of(0)), Text: text, Weight: j.slow()}, true
}

// transfer tells of responses that come slowly, where nothing shows whose it is.
func (j *judge) transfer(part float64) Verdict {
	w := &j.c.Waiting
	if j.brief {
		v := Verdict{Weight: j.slow()}
		if _, ok := j.lossyNetwork(); ok {
			v.Who = Network
		}
		return v
	}
	text := fmt.Sprintf("%s of the time goes into the transfer of responses, %s in %s", share(part), octets(w.Volume), duration(float64(w.Transfer)))
	if loss, ok := j.lossyNetwork(); ok {
		return Verdict{Who: Network, Short: "loss", Text: text + ": " + loss, Weight: j.slow()}
	}
	if w.Stalled[0] > 0 {
		text += fmt.Sprintf("; for %s more the client's window was closed or full: it may be slow to read", duration(float64(w.Stalled[0])))
	} else {
		text += ": whether the server sends, the way carries or the client reads slowly is not known"
	}
	return Verdict{Short: "slow transfer", Text: text, Weight: j.slow()}
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
	if j.brief {
		return ""
	}
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
		if h := c.TLS.AsClient(); h.Count() > 0 {
			ns, _ := h.Quantile(0.95)
			n := int64(h.Count())
			words = append(words, fmt.Sprintf("TLS p95 %s of %s %s", duration(ns), number(n), noun(n, "handshake")))
		}
	}
	if text, ok := j.why(who); ok {
		words = append(words, text)
	} else if h, state := c.Response(); who != Network && h.Count() > 0 {
		ns, _ := h.Quantile(0.95)
		n := int64(h.Count())
		words = append(words, fmt.Sprintf("p95 %s of %s %s", qualified(ns, state), number(n), noun(n, "response")))
	}
	if words == nil {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// why tells of waiting that is not in the response times.
func (j *judge) why(who Who) (text string, ok bool) {
	c, w := j.c, &j.c.Waiting
	response, _ := c.Response()
	switch {
	case who == Client && 2*w.Stalled[flow.Client] >= w.Client && w.Client > 0:
		return fmt.Sprintf("its window was closed or full for %s, it reads too slowly", duration(float64(w.Stalled[flow.Client]))), true
	case who != Server || w.Server <= 0 || p95(response) >= slowResponse:
		return "", false
	case 2*w.Stalled[flow.Server] >= w.Server:
		return fmt.Sprintf("its window was closed or full for %s, it reads requests too slowly", duration(float64(w.Stalled[flow.Server]))), true
	case 2*w.Trickled >= w.Server:
		return fmt.Sprintf("it sends %s of responses in %s, though nothing is lost and the client's window is open: it trickles, or streams", octets(w.Volume), duration(float64(w.Trickled))), true
	case c.Requests() > 0 && response.Count() > 0:
		ns, _ := response.Quantile(0.95)
		return fmt.Sprintf("%s for each of %s %s, most of it before the request was complete; p95 %s from then on",
			duration(float64(w.Server)/float64(c.Requests())), number(c.Requests()), noun(c.Requests(), "request"), duration(ns)), true
	}
	return "", false
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
	if j.brief {
		return Verdict{}
	}
	c := j.c
	if n := c.UnknownRequests(); n > 0 && n == c.Requests() {
		why := ""
		if c.Sent[flow.Client].Packets <= 0 || c.Sent[flow.Server].Packets <= 0 {
			why = ": one direction alone was recorded"
		}
		return Verdict{Text: fmt.Sprintf("too little to judge: of %s %s it is not known how they ended%s", number(n), noun(n, "request"), why), Short: "-"}
	}
	if c.Proto == packet.ProtoTCP && c.Requests() == 0 && (c.Sent[flow.Client].Packets > 0) != (c.Sent[flow.Server].Packets > 0) {
		return Verdict{Text: "too little to judge: one direction alone was recorded", Short: "-"}
	}
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
