package accuracy

import (
	"fmt"
	"math"
	"slices"

	"mirrorscope/internal/netlab"
)

// Row is one quantity of the accuracy table.
type Row struct {
	Name   string
	Unit   string  // of n; where it is times, errors are µs
	Target string  // as documented
	Right  float64 // share of our claims that must be right
	Found  float64 // share of everything that must be claimed and right
	add    func(c *view, s *Score)
}

// view is one connection in one capture: the truth, and what a tool said.
type view struct {
	scenario  netlab.Scenario
	capture   netlab.CaptureTruth
	truth     netlab.ConnectionTruth
	kernel    *netlab.KernelTruth // nil where the connection was not established
	counters  [2]map[string]int64
	alone     bool // the only connection of the scenario: counters are its own
	turns     int
	outcome   string
	tls       netlab.TLSWant // of a scenario with TLS
	speaksTLS bool
	got       Connection
	found     bool
	roles     bool        // got had the ends' roles right
	base      *Connection // of the same tool, from the whole capture of the same tap; nil where it found none
}

func (c *view) where(side int) string {
	name := c.scenario.Name + " " + c.capture.Name
	if c.truth.VNI != 0 {
		name += fmt.Sprintf(" VNI %d", c.truth.VNI)
	}
	if side < 2 {
		name += ", " + netlab.Direction(side).String()
	}
	return name
}

// whole tells whether the capture holds every packet once.
func (c *view) whole() bool { return c.capture.Variant == "" }

// sides calls f for each side.
func sides(f func(c *view, side int, truth netlab.SideTruth, got Side, s *Score)) func(*view, *Score) {
	return func(c *view, s *Score) {
		for side, truth := range c.truth.Sides {
			if truth.Packets > 0 {
				f(c, side, truth, c.got.Sides[side], s)
			}
		}
	}
}

// count compares a count on whole captures, wherever when holds.
func count(got func(Side) Value, want func(netlab.SideTruth) int64, when func(netlab.SideTruth) bool) func(*view, *Score) {
	return sides(func(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
		if c.whole() && when(t) {
			s.number(c.where(side), got(g), float64(want(t)), equal)
		}
	})
}

func packetsOf(s Side) Value           { return s.Packets }
func bytesOf(s Side) Value             { return s.Bytes }
func always(netlab.SideTruth) bool     { return true }
func repeats(t netlab.SideTruth) bool  { return t.Repeats+t.Unseen > 0 }
func original(t netlab.SideTruth) bool { return t.Repeats+t.Unseen == 0 }

// times is the unit of rows that compare durations.
const times = "times"

// parts are the tables of the page.
var parts = []struct {
	heading string
	rows    []Row
}{
	{"TCP", transportRows}, {"TLS", tlsRows}, {"Requests and responses", webRows}, {"Time lines", phaseRows},
}

// Rows are the rows of all parts.
var Rows = slices.Concat(transportRows, tlsRows, webRows, phaseRows)

// transportRows are about TCP, over the scenarios that are about TCP alone. Where Found is well below the target, page.go of the
// command says why.
var transportRows = []Row{
	{"Retransmitted packets, any tap", "flows", "exact", 1, 1,
		count(packetsOf, func(t netlab.SideTruth) int64 { return int64(t.Repeats) }, repeats)},
	{"Retransmitted octets, any tap", "flows", "exact", 1, 1,
		count(bytesOf, func(t netlab.SideTruth) int64 { return t.RepeatBytes }, repeats)},
	{"Retransmitted packets, tap at the sender, against `tcpi_total_retrans`", "flows", "exact", 1, 1,
		kernel(packetsOf, func(i *netlab.TCPInfo) float64 { return float64(i.TotalRetrans) })},
	{"Retransmitted octets, tap at the sender, against `tcpi_bytes_retrans`", "flows", "exact", 1, 1,
		kernel(bytesOf, func(i *netlab.TCPInfo) float64 { return float64(i.BytesRetrans) })},
	{"No retransmission and no loss where there was none", "flows", "0", 1, 0.98, sides(nothing(func(c *view) bool { return c.whole() }))},
	{"The same under worse taps: doubled, lossy, skewed, cut, one-sided, mid-stream", "flows", "0", 1, 0.98,
		sides(nothing(func(c *view) bool { return !c.whole() }))},
	{"Repeats of a lost tail that look new, inferred", "packets", "≥ 75 % found", 0, 0.6, sides(inferred)},
	{"False inferences", "data packets", "< 1 in 10⁴", 0.9999, 0.9999, sides(falseInferences)},
	{"The same with capture loss", "data packets", "", 0, 0.99, sides(falseInferencesLossy)},
	{"Retransmissions spurious or needed", "packets", "≥ 98 %", 0.98, 0.97, sides(established(spurious))},
	{"The same without selective acknowledgements", "packets", "", 0, 0.3, sides(withoutSACK(spurious))},
	{"Lost before or behind the tap", "packets", "≥ 98 %", 0.98, 0.97, sides(established(located))},
	{"SYN and SYN-ACK repeats: spurious or needed", "packets", "", 0, 0.5, sides(opening(spurious))},
	{"SYN and SYN-ACK repeats: lost before or behind the tap", "packets", "", 0, 0.5, sides(opening(located))},
	{"Fast recovery or timer", "packets", "≥ 95 %", 0.95, 0.95, fastOrTimer},
	{"Tail loss probe or timeout", "packets", "≥ 85 %, the rest withheld", 0.85, 0.3, probeOrTimeout},
	{"Packets out of order", "flows", "exact", 1, 0.97,
		count(func(s Side) Value { return s.OutOfOrder }, func(t netlab.SideTruth) int64 { return int64(t.OutOfOrder) }, always)},
	{"Duplicates made by the network", "flows", "exact", 1, 0.97,
		count(func(s Side) Value { return s.Duplicates }, func(t netlab.SideTruth) int64 { return int64(t.Duplicates) }, always)},
	{"Every packet mirrored twice: as without copies", "flows", "exact", 1, 1, asBase("doubled")},
	{"Frames cut at 96 octets: as whole frames", "flows", "exact", 1, 1, asBase("snap")},
	{"One direction recorded 3 ms late: retransmissions", "flows", "exact", 1, 0.85, retransmissions("skewed")},
	{"Two mirrors in one file: retransmissions at each", "flows", "exact", 1, 1, retransmissions("mirrored")},
	{"One direction recorded: its retransmissions", "flows", "exact", 1, 1, retransmissions("only-client", "only-server")},
	{"Begun in mid-stream: retransmissions", "flows", "exact", 1, 1, sides(midstream)},
	{"Begun in mid-stream: client and server told apart", "connections", "", 0, 0.9, roles},
	{"Retransmitted packets with 1 % capture loss", "flows", "within 3 % + 1", 1, 0.95, lossy("loss1", amongLoss)},
	{"Retransmitted packets with 5 % capture loss", "flows", "", 0, 0.9, lossy("loss5", amongLoss)},
	{"No loss of the capture reported as loss of the network, 1 %", "flows", "0", 1, 0.95, lossy("loss1", notBlamed)},
	{"No loss of the capture reported as loss of the network, 5 %", "flows", "", 0.98, 0.95, lossy("loss5", notBlamed)},
	{"Octets that the capture missed, above 0.5 %", "flows", "± 20 %", 1, 0.95, sides(missed)},
	{"No capture loss where there was none", "flows", "0", 1, 0.98,
		count(func(s Side) Value { return s.MissedBytes }, func(t netlab.SideTruth) int64 { return t.MissedBytes }, always)},
	{"Handshake, both halves", times, "± max(0.1 ms, 1 %)", 1, 0.97, handshake},
	{"Connection set-up", times, "± max(0.1 ms, 1 %)", 1, 0.97, setup},
	{"Round trip, base of each half", times, "± max(0.1 ms, 1 %)", 0.98, 0.95, base},
	// In a short connection the handshake alone shows the server's half, with the jitter of that packet.
	{"Response time: least, median, most", times, "± max(0.3 ms, 1 %)", 0.8, 0.65, response},
	{"The same against the server's own time, with the jitter of the path", times, "", 0, 0.7, serverTime},
	{"Requests and responses counted", "connections", "exact", 1, 1, turns},
	{"Keep-alives", "connections", "exact", 1, 0.95, func(c *view, s *Score) {
		if c.whole() {
			s.number(c.where(2), c.got.KeepAlives, float64(c.truth.Sides[0].KeepAlives+c.truth.Sides[1].KeepAlives), equal)
		}
	}},
	{"Zero-window probes", "connections", "exact", 1, 0.95, func(c *view, s *Score) {
		if c.whole() {
			s.number(c.where(2), c.got.WindowProbes, float64(c.truth.Sides[0].Probes+c.truth.Sides[1].Probes), equal)
		}
	}},
	{"Zero-window time", times, "exact", 1, 1, sides(zeroWindow)},
	{"Outcome of the connection", "connections", "", 1, 0.97, outcome},
}

// kernel compares with TCP_INFO where the tap lies at the sender.
func kernel(got func(Side) Value, want func(*netlab.TCPInfo) float64) func(*view, *Score) {
	return sides(func(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
		atSender := c.capture.Name == netlab.Direction(side).String()
		if c.whole() && atSender && c.kernel != nil && c.kernel.After[side] != nil {
			s.number(c.where(side), got(g), want(c.kernel.After[side]), equal)
		}
	})
}

// nothing wants a side that repeated nothing to be reported so. Inferences have
// a row of their own.
func nothing(when func(*view) bool) func(*view, int, netlab.SideTruth, Side, *Score) {
	return func(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
		if !original(t) || !when(c) {
			return
		}
		claimed := g.Packets
		for _, v := range []Value{g.LostBefore, g.LostAfter} {
			if v.Known {
				claimed.V += v.V
			}
		}
		s.number(c.where(side), claimed, 0, equal)
	}
}

// minPackets is how many packets a direction must have before a lost tail can
// be inferred at all.
const minPackets = 10

func inferred(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	if n := t.UnseenTails; c.whole() && n > 0 && t.Packets >= minPackets && !c.scenario.IPv6 {
		found := min(n, int(g.Inferred.V))
		s.share(c.where(side), n, found, n-found, g.Inferred.V, float64(n))
	}
}

func falseInferences(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	if c.whole() {
		s.inferences(c.where(side), t, g)
	}
}

func falseInferencesLossy(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	if c.capture.Variant == "loss1" || c.capture.Variant == "loss5" {
		s.inferences(c.where(side), t, g)
	}
}

// inferences counts those for which nothing was repeated.
func (s *Score) inferences(where string, t netlab.SideTruth, g Side) {
	if !g.Inferred.Known {
		s.share(where, t.DataPackets, 0, t.DataPackets, 0, 0)
		return
	}
	wrong := max(0, int(g.Inferred.V)-t.UnseenTails)
	s.share(where, max(wrong, t.DataPackets), max(wrong, t.DataPackets)-wrong, 0, g.Inferred.V, float64(t.UnseenTails))
}

// opening applies f to sides that repeated a SYN or SYN-ACK. Whether the first
// one arrived cannot be seen from every tap: behind it, an answer may be lost
// again. established applies f to the others, with selective acknowledgements;
// withoutSACK to those without.
func opening(f func(*view, int, netlab.SideTruth, Side, *Score)) func(*view, int, netlab.SideTruth, Side, *Score) {
	return func(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
		if t.SYN > 0 {
			f(c, side, t, g, s)
		}
	}
}

func established(f func(*view, int, netlab.SideTruth, Side, *Score)) func(*view, int, netlab.SideTruth, Side, *Score) {
	return func(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
		if t.SYN == 0 && !c.scenario.NoSACK() {
			f(c, side, t, g, s)
		}
	}
}

func withoutSACK(f func(*view, int, netlab.SideTruth, Side, *Score)) func(*view, int, netlab.SideTruth, Side, *Score) {
	return func(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
		if t.SYN == 0 && c.scenario.NoSACK() {
			f(c, side, t, g, s)
		}
	}
}

// spurious counts verdicts: each needless repeat reported as needed is wrong,
// and each needed one reported as needless.
func spurious(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	if !c.whole() || t.Repeats == 0 {
		return
	}
	if !g.Spurious.Known || !g.Spurious.Sure {
		s.share(c.where(side), t.Repeats, 0, t.Repeats, 0, 0)
		return
	}
	wrong := min(t.Repeats, int(math.Abs(g.Spurious.V-float64(t.Spurious))))
	s.share(c.where(side), t.Repeats, t.Repeats-wrong, 0, g.Spurious.V, float64(t.Spurious))
}

// located counts the needed repeats by place.
func located(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	n := t.LostBefore + t.LostAfter
	if !c.whole() || n == 0 {
		return
	}
	if !g.LostBefore.Known || !g.LostBefore.Sure {
		s.share(c.where(side), n, 0, n, 0, 0)
		return
	}
	exact := min(t.LostBefore, int(g.LostBefore.V)) + min(t.LostAfter, int(g.LostAfter.V))
	withheld := min(n-exact, int(g.Unlocated.V))
	s.share(c.where(side), n, exact, withheld, g.LostBefore.V, float64(t.LostBefore))
}

// data gives the repeats of data by what the sender's kernel says triggered
// them, or ok false where the counters do not tell: with SYN or FIN repeats or
// several connections, or where this tap did not see all of them.
func (c *view) classes(side int, t netlab.SideTruth) (fast, probe, timeout, recovery int, ok bool) {
	if !c.whole() || !c.alone || c.kernel == nil || c.kernel.After[side] == nil {
		return 0, 0, 0, 0, false
	}
	info, counters := c.kernel.After[side], c.counters[side]
	total := int(info.TotalRetrans)
	if total == 0 || total != t.Repeats || t.SYN+t.FIN > 0 {
		return 0, 0, 0, 0, false
	}
	fast, recovery, timeout = int(counters["TCPFastRetrans"]), int(counters["TCPSlowStartRetrans"]), int(info.TotalRTO)
	probe = total - fast - recovery - timeout
	return fast, probe, timeout, recovery, probe >= 0
}

func fastOrTimer(c *view, s *Score) {
	for side, t := range c.truth.Sides {
		fast, probe, timeout, recovery, ok := c.classes(side, t)
		if !ok {
			continue
		}
		g := c.got.Sides[side].Class
		timer := probe + timeout + recovery
		gotFast := int(g["fast"] + g["recovery"] + g["lost_retransmission"])
		gotTimer := int(g["tlp"] + g["rto"] + g["rto_recovery"] + g["timer"])
		exact := min(fast, gotFast) + min(timer, gotTimer)
		withheld := max(0, fast+timer-max(exact, gotFast+gotTimer))
		s.share(c.where(side), fast+timer, exact, withheld, float64(gotFast), float64(fast))
	}
}

func probeOrTimeout(c *view, s *Score) {
	for side, t := range c.truth.Sides {
		_, probe, timeout, _, ok := c.classes(side, t)
		if n := probe + timeout; ok && n > 0 {
			g := c.got.Sides[side].Class
			exact := min(probe, int(g["tlp"])) + min(timeout, int(g["rto"]))
			withheld := max(0, n-max(exact, int(g["tlp"]+g["rto"])))
			s.share(c.where(side), n, exact, withheld, g["tlp"], float64(probe))
		}
	}
}

// asBase wants the same counts from a variant as the same tool gave for the
// whole capture of the same tap. Duplicates by the network are left out: at a
// tap that records everything twice they cannot be told from its own.
func asBase(variant string) func(*view, *Score) {
	return sides(func(c *view, side int, _ netlab.SideTruth, g Side, s *Score) {
		if c.capture.Variant != variant || c.base == nil {
			return
		}
		b := c.base.Sides[side]
		differ, known := 0.0, false
		for _, p := range [][2]Value{
			{g.Packets, b.Packets}, {g.Bytes, b.Bytes}, {g.Spurious, b.Spurious}, {g.LostBefore, b.LostBefore},
			{g.LostAfter, b.LostAfter}, {g.Inferred, b.Inferred}, {g.OutOfOrder, b.OutOfOrder},
		} {
			if p[0].Known && p[1].Known {
				known = true
				differ = max(differ, math.Abs(p[0].V-p[1].V))
			}
		}
		s.number(c.where(side), Value{V: differ, Known: known, Sure: true}, 0, equal)
	})
}

// retransmissions compares the count in variants.
func retransmissions(variants ...string) func(*view, *Score) {
	return sides(func(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
		for _, v := range variants {
			if c.capture.Variant == v {
				s.number(c.where(side), g.Packets, float64(t.Repeats), equal)
			}
		}
	})
}

// midstream takes a repeat of what was sent before the beginning as it comes:
// whether it can be told depends on what the other side says of it.
func midstream(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	if c.capture.Variant == "midstream" {
		s.number(c.where(side), g.Packets, float64(t.Repeats), func(got, want float64) bool {
			return want <= got && got <= want+float64(t.Unseen)
		})
	}
}

// lossy applies f to the sides of a variant with capture loss that had repeats.
func lossy(variant string, f func(*view, int, netlab.SideTruth, Side, *Score)) func(*view, *Score) {
	return sides(func(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
		if c.capture.Variant == variant {
			f(c, side, t, g, s)
		}
	})
}

func amongLoss(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	if t.Repeats > 0 {
		s.number(c.where(side), g.Packets, float64(t.Repeats), func(got, want float64) bool {
			return math.Abs(got-want) <= 0.03*want+1
		})
	}
}

// notBlamed wants no more loss on either side of the tap than there was. What
// the tool calls lost without a place is not blame, and without selective
// acknowledgements a needless repeat may pass for a loss.
func notBlamed(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	if !g.LostBefore.Known || !g.LostAfter.Known {
		s.number(c.where(side), Value{}, 0, equal)
		return
	}
	excess := max(0, g.LostBefore.V-float64(t.LostBefore)) + max(0, g.LostAfter.V-float64(t.LostAfter))
	if c.scenario.NoSACK() {
		excess = max(0, excess-float64(t.Spurious))
	}
	s.number(c.where(side), sure(excess), 0, equal)
}

func missed(c *view, side int, t netlab.SideTruth, g Side, s *Score) {
	if c.capture.Variant != "loss1" && c.capture.Variant != "loss5" {
		return
	}
	if total := c.truth.Sides[side].Octets; float64(t.MissedBytes) > 0.005*float64(total) {
		s.number(c.where(side), g.MissedBytes, float64(t.MissedBytes), func(got, want float64) bool {
			return math.Abs(got-want) <= 0.2*want
		})
	}
}

func roles(c *view, s *Score) {
	if c.capture.Variant != "midstream" {
		return
	}
	got := Value{V: 1, Known: c.found, Sure: true}
	if !c.roles {
		got.V = 0
	}
	s.number(c.where(2), got, 1, equal)
}
