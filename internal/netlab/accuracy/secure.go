package accuracy

import (
	"fmt"
	"math"

	"mirrorscope/internal/netlab"
)

var tlsRows = []Row{
	{"TLS: outcome of the handshake", "connections", "", 1, 0.97, tlsOutcome},
	{"TLS: version", "connections", "exact", 1, 1, hello(func(t TLS) string { return t.Version }, func(t *netlab.TLSTruth) string { return t.Version })},
	{"TLS: resumed or not", "connections", "exact", 1, 1, hello(func(t TLS) string { return t.Resumed }, func(t *netlab.TLSTruth) string { return yesOrNo(&t.Resumed) })},
	{"TLS: HelloRetryRequest or not", "connections", "exact", 1, 1, hello(func(t TLS) string { return t.HelloRetry }, func(t *netlab.TLSTruth) string { return yesOrNo(&t.HelloRetry) })},
	{"TLS: early data", "connections", "exact", 1, 0.97, hello(func(t TLS) string { return t.EarlyData }, func(t *netlab.TLSTruth) string { return t.EarlyData })},
	{"TLS: certificate of the client or not", "connections", "exact", 1, 0.95, clientCertificate},
	{"TLS: alert in the clear", "connections", "exact", 1, 1, alert},
	{"TLS: duration, between the packets at the tap", times, "± max(0.3 ms, 1 %)", 1, 0.95, tlsTotal},
	{"TLS: duration as the client perceives it", times, "± max(0.3 ms, 1 %)", 1, 0.9, tlsPerceived},
	{"The same against the client's own clock, with the jitter of the path", times, "", 0, 0.5, tlsClock},
	{"TLS: duration whose first or last packet was lost before the tap", times, "withheld", 0, 0, tlsUnseen},
	{"TLS: the server's share", times, "± max(0.3 ms, 1 %)", 1, 0.9, share(netlab.FromServer)},
	{"TLS: the client's share", times, "± max(0.3 ms, 1 %)", 1, 0.9, share(netlab.FromClient)},
	{"TLS: the network's share", times, "± max(0.3 ms, 1 %)", 1, 0.9, networkShare},
	{"TLS: shares against the ends' own clocks, with their jitter and the path's", times, "", 0, 0.4, clockShares},
	{"TLS: shares sum to the duration", "connections", "exact", 1, 0.9, sharesSum},
	{"TLS under worse taps: duration and shares", times, "± max(0.3 ms, 1 %)", 0.98, 0, tlsWorse},
}

var webRows = []Row{
	{"Think time, HTTP/1.1: least, median, most", times, "± max(0.3 ms, 1 %)", 1, 0.85, speaking(netlab.Speaks{HTTP: 1}, webResponse)},
	{"Think time, HTTP/2 in the clear", times, "± max(0.3 ms, 1 %)", 1, 0.85, speaking(netlab.Speaks{HTTP: 2}, webResponse)},
	{"Think time, HTTPS over TLS 1.2", times, "± max(0.3 ms, 1 %)", 1, 0.85, overTLS("1.2", webResponse)},
	{"Think time, HTTPS over TLS 1.3", times, "± max(0.3 ms, 1 %)", 1, 0.85, overTLS("1.3", webResponse)},
	{"Think time, HTTP/2 over TLS, requests at the same time", times, "", 0, 0, speaking(netlab.Speaks{TLS: true, HTTP: 2}, webResponse)},
	{"Think time of all these, against the server's own time, with the jitter of the path", times, "", 0, 0.5, webServerTime},
	{"Think time under worse taps: a claim is that of some request", times, "± max(0.3 ms, 1 %)", 0.98, 0, thinkWorse},
	{"HTTP in the clear: requests and status codes counted", "connections", "exact", 1, 1, requests},
	{"HTTPS: requests and responses counted", "connections", "exact", 1, 0.95, speaking(netlab.Speaks{TLS: true, HTTP: 1}, turns)},
}

var phaseRows = []Row{
	{"Phases of a connection sum to its duration", "connections", "exact", 1, 0.98, phasesSum},
	{"TLS in the phases", times, "± max(0.3 ms, 1 %)", 1, 0.9, tlsPhase},
	{"The server's time in the phases, TLS and HTTP", times, "± max(0.3 ms, 1 %) for each request", 0.9, 0.8, serverPhase},
}

// thinkTimes is the tolerance of times with a round trip taken off.
var thinkTimes = near(300, 0.01)

// text compares words; the number is 1 where they agree.
func (s *Score) text(where, got, want string) {
	v := Value{Known: got != "", Sure: true}
	if got == want {
		v.V = 1
	}
	s.number(fmt.Sprintf("%s, %q for %q", where, got, want), v, 1, equal)
}

// tlsOutcome takes no word at all for a connection in which nobody spoke TLS.
func tlsOutcome(c *view, s *Score) {
	switch {
	case !c.whole() || !c.speaksTLS:
	case c.truth.TLS == nil && c.got.TLS.Outcome == "":
		s.text(c.where(2), "no TLS", "no TLS")
	default:
		s.text(c.where(2), c.got.TLS.Outcome, c.tls.Outcome)
	}
}

// hello compares what the ends agreed on, where there was a ServerHello.
func hello(got func(TLS) string, want func(*netlab.TLSTruth) string) func(*view, *Score) {
	return func(c *view, s *Score) {
		if t := c.truth.TLS; c.whole() && t != nil && t.Version != "" {
			s.text(c.where(2), got(c.got.TLS), want(t))
		}
	}
}

// clientCertificate is known when the client's second flight was sent.
func clientCertificate(c *view, s *Score) {
	if t := c.truth.TLS; c.whole() && t != nil && t.Done {
		s.text(c.where(2), c.got.TLS.ClientCertificate, yesOrNo(&t.ClientCertificate))
	}
}

// alert wants that of a handshake which failed, and none where there was none in the
// clear.
func alert(c *view, s *Score) {
	t := c.truth.TLS
	if !c.whole() || t == nil {
		return
	}
	want := t.Alert.String()
	if want == "" {
		if c.got.TLS.Outcome != "" { // something was said of this connection
			s.text(c.where(2), "none"+c.got.TLS.Alert, "none")
		}
		return
	}
	s.text(c.where(2), c.got.TLS.Alert, want)
}

func tlsTotal(c *view, s *Score) {
	if t := c.truth.TLS; c.whole() && t != nil && t.Total != nil {
		s.number(c.where(2), c.got.TLS.Total, *t.Total, thinkTimes)
	}
}

// tlsPerceived takes the client's own time, or what can be known at the tap: where the
// server ends the handshake, the client's half comes on top.
func tlsPerceived(c *view, s *Score) {
	t := c.truth.TLS
	if !c.whole() || t == nil || t.AtClient == nil || t.Unseen {
		return
	}
	low, high := *t.AtClient, *t.AtClient
	if t.Seen != nil {
		var least, most float64
		if t.EndBy == netlab.FromServer {
			least, most = c.bases(netlab.FromClient)
		}
		low, high = min(low, *t.Seen+least), max(high, *t.Seen+most)
	}
	got := c.got.TLS.Perceived
	s.number(c.where(2), got, min(max(got.V, low), high), thinkTimes)
}

// tlsUnseen is about what an end saw and the tap did not.
func tlsUnseen(c *view, s *Score) {
	if t := c.truth.TLS; c.whole() && t != nil && t.AtClient != nil && t.Unseen {
		s.number(c.where(2), c.got.TLS.Perceived, *t.AtClient, thinkTimes)
	}
}

func tlsClock(c *view, s *Score) {
	if t := c.truth.TLS; c.whole() && t != nil && t.Clock != nil {
		s.number(c.where(2), c.got.TLS.Perceived, *t.Clock, thinkTimes)
	}
}

// limits of a share: what the end took by its own packets, and what can be known at the
// tap, where the jitter of the path is in it. In a short connection the handshake of TCP
// alone may show the round trip, with the jitter of its packets.
func (c *view) limits(side netlab.Direction) (low, high float64) {
	t := c.truth.TLS.Shares[side]
	low, high = t.Host, t.Host
	base, most := c.bases(side)
	for _, at := range []*float64{t.Tap, t.Last} {
		if at != nil {
			low, high = min(low, max(0, *at-float64(t.Waits)*(most-base))), max(high, *at)
		}
	}
	return low, high
}

// bases gives the least and the greatest round trip of a half that may be its base.
func (c *view) bases(side netlab.Direction) (low, high float64) {
	rtt := c.truth.RTT[side]
	if rtt.Min == nil {
		return 0, 0
	}
	low, high = *rtt.Min, *rtt.Min
	first := c.truth.Handshake.Server
	if side == netlab.FromClient {
		first = c.truth.Handshake.Client
	}
	for _, us := range []*float64{rtt.DataMin, first} {
		if us != nil {
			high = max(high, *us)
		}
	}
	return low, high
}

func share(side netlab.Direction) func(*view, *Score) {
	return func(c *view, s *Score) {
		if t := c.truth.TLS; c.whole() && t != nil && t.Done {
			got := c.got.TLS.Shares[side]
			low, high := c.limits(side)
			s.number(c.where(int(side)), got, min(max(got.V, low), high), thinkTimes)
		}
	}
}

// networkShare is what the ends did not take.
func networkShare(c *view, s *Score) {
	t := c.truth.TLS
	if !c.whole() || t == nil || t.Total == nil {
		return
	}
	got := c.got.TLS.Network
	low, high := *t.Total, *t.Total
	for side := range t.Shares {
		least, most := c.limits(netlab.Direction(side))
		low, high = low-most, high-least
	}
	s.number(c.where(2), got, min(max(got.V, low), high), thinkTimes)
}

func clockShares(c *view, s *Score) {
	t := c.truth.TLS
	if !c.whole() || t == nil || !t.Done {
		return
	}
	for side, end := range t.Shares {
		if end.Clock != nil {
			s.number(c.where(side), c.got.TLS.Shares[side], *end.Clock, thinkTimes)
		}
	}
}

func sharesSum(c *view, s *Score) {
	t := c.truth.TLS
	if !c.whole() || t == nil || !t.Done {
		return
	}
	got := c.got.TLS
	sum := got.Network.plus(got.Shares[0]).plus(got.Shares[1])
	sum.Sure = sum.Known // in whatever state, the parts are those of the whole
	if !got.Total.Known {
		sum.Known = false
	}
	s.number(c.where(2), sum, got.Total.V, near(0.01, 0))
}

// tlsWorse is about captures that miss something. Withheld is no fault there.
func tlsWorse(c *view, s *Score) {
	t := c.truth.TLS
	if c.whole() || t == nil || t.Total == nil {
		return
	}
	if c.capture.Variant != "skewed" || t.EndBy == netlab.FromClient {
		s.number(c.where(2)+", duration", c.got.TLS.Total, *t.Total, thinkTimes)
	}
	if c.capture.Variant == "skewed" {
		return // the halves of the path are others there
	}
	for side := range t.Shares {
		got := c.got.TLS.Shares[side]
		low, high := c.limits(netlab.Direction(side))
		s.number(c.where(side)+", share", got, min(max(got.V, low), high), thinkTimes)
	}
}

// speaking applies f where the hosts speak just that.
func speaking(what netlab.Speaks, f func(*view, *Score)) func(*view, *Score) {
	return func(c *view, s *Score) {
		if c.scenario.Speaks == what {
			f(c, s)
		}
	}
}

// overTLS applies f to HTTP/1.1 over a version of TLS.
func overTLS(version string, f func(*view, *Score)) func(*view, *Score) {
	return speaking(netlab.Speaks{TLS: true, HTTP: 1}, func(c *view, s *Score) {
		if t := c.truth.TLS; t != nil && t.Version == version {
			f(c, s)
		}
	})
}

// webResponse takes what can be known at the tap, or the server's own time.
func webResponse(c *view, s *Score) {
	if low, high := c.bases(netlab.FromServer); low > 0 {
		c.responseTimes(low, high, s)
	}
}

// thinkWorse takes the time of any request: some may not have been recorded.
func thinkWorse(c *view, s *Score) {
	low, high := c.bases(netlab.FromServer)
	if c.whole() || c.scenario.Speaks.HTTP != 1 || len(c.truth.Response) == 0 {
		return
	}
	r := c.got.Response
	for i, got := range []Value{r.Min, r.Median, r.Max} {
		nearest := math.Inf(1)
		for _, turn := range c.truth.Response {
			least, most := turn.Server, turn.Server
			if turn.Raw != nil && low > 0 {
				least, most = min(least, max(0, *turn.Raw-high)), max(most, *turn.Raw-low)
			}
			if at := min(max(got.V, least), most); math.Abs(at-got.V) < math.Abs(nearest-got.V) {
				nearest = at
			}
		}
		s.number(c.where(2)+", "+[]string{"least", "median", "most"}[i], got, nearest, near(300, 0.032))
	}
}

// webServerTime leaves out what cannot be seen, requests side by side behind TLS.
func webServerTime(c *view, s *Score) {
	if what := c.scenario.Speaks; what.HTTP == 1 || what.HTTP == 2 && !what.TLS {
		serverTime(c, s)
	}
}

// requests compares the count of requests and that of each class of status codes.
func requests(c *view, s *Score) {
	if what := c.scenario.Speaks; !c.whole() || what.TLS || what.HTTP == 0 {
		return
	}
	want := map[string]float64{}
	for _, turn := range c.truth.Response {
		want[fmt.Sprintf("%dxx", turn.Status/100)]++
	}
	got := c.got.Requests
	differ := math.Abs(got.V - float64(len(c.truth.Response)))
	for _, class := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		differ = max(differ, math.Abs(c.got.Status[class]-want[class]))
	}
	s.number(c.where(2), Value{V: differ, Known: got.Known, Sure: true}, 0, equal)
}

// phasesSum is wanted of every connection, whatever the tap missed.
func phasesSum(c *view, s *Score) {
	sum := Value{Known: c.got.Phases != nil && c.got.Duration.Known, Sure: true}
	for _, us := range c.got.Phases {
		sum.V += us
	}
	s.number(c.where(2), sum, c.got.Duration.V, near(0.01, 0))
}

// tlsPhase leaves out early data: the request goes before the end of TLS there.
func tlsPhase(c *view, s *Score) {
	t := c.truth.TLS
	if !c.whole() || t == nil || t.Total == nil || t.EarlyData != "none" {
		return
	}
	us, known := c.got.Phases["tls_us"]
	s.number(c.where(2), Value{V: us, Known: known, Sure: c.got.TLS.Total.Sure}, *t.Total, thinkTimes)
}

// serverPhase compares the sum of a connection's response times. Phases do not overlap:
// requests side by side and early data, which go before the end of TLS, are left out.
func serverPhase(c *view, s *Score) {
	what := c.scenario.Speaks
	least, most := c.bases(netlab.FromServer)
	if !c.whole() || what.HTTP != 1 || least == 0 || len(c.truth.Response) == 0 {
		return
	}
	if t := c.truth.TLS; t != nil && t.EarlyData == "accepted" {
		return
	}
	var low, high float64
	for _, turn := range c.truth.Response {
		if turn.Raw == nil || turn.Repeat || turn.Early || turn.Queued {
			return
		}
		low += min(turn.Server, max(0, *turn.Raw-most))
		high += max(turn.Server, *turn.Raw-least)
	}
	us, known := c.got.Phases["server_us"]
	n := float64(len(c.truth.Response))
	s.number(c.where(2), Value{V: us, Known: known, Sure: c.got.Response.Min.Sure}, min(max(us, low), high), near(300*n, 0.01))
}
