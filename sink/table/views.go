package table

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mirrorscope/dnsmeta"
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/sink"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// view shows rows, and how many more there are.
func (t *Writer) view(b *strings.Builder, g *grid, more int, what string) {
	g.render(b, t.config.Width, palette(t.config.Colour))
	if more > 0 {
		t.note(b, "… %s: --limit 0 shows all", plural(more, "more "+what))
	}
}

// tls shows servers with their handshakes, and below the certificates that
// somebody must renew.
func (t *Writer) tls(b *strings.Builder, s *edge.TLSServers, c *flow.Capture) {
	all := s.Servers(t.config.Sort)
	if len(all) == 0 {
		t.none(b, "No TLS and no QUIC", c)
		return
	}
	g := &grid{columns: []column{
		{title: "SERVER", least: 20, tail: true}, {title: "NAME", least: 12}, {title: "CONNS", right: true, drop: 8}, {title: "VERSION", least: 7, drop: 7},
		{title: "CIPHER", least: 12, drop: 2}, {title: "GROUP", least: 8, drop: 1}, {title: "RESUMED", right: true, drop: 3},
		{title: "HANDSHAKE P50", right: true, drop: 6, alone: "HANDSHAKE P95"}, {title: "P95", right: true}, {title: "AS CLIENT P95", right: true, drop: 4},
		{title: "SERVER", right: true, drop: 5}, {title: "NETWORK", right: true, drop: 5}, {title: "CLIENT", right: true, drop: 4}, {title: "FAILED", least: 6},
	}}
	shown := limited(all, t.config.Limit)
	for _, r := range shown {
		cells := []string{t.address(&r.Service), or(r.SNI, r.Name), count(r.Connections), versions(&r.TLS), top(&r.Ciphers, tlsmeta.CipherName), top(&r.Groups, tlsmeta.GroupName), resumed(&r.TLS)}
		cells = append(cells, quantiles(&r.Total, tcp.Measured)...)
		cells = append(cells, quantiles(&r.Perceived, tcp.Measured)[1])
		g.add(r.Failed() > 0, append(cells, append(shares(&r.TLS), failures(&r.TLS))...)...)
	}
	t.view(b, g, len(all)-len(shown), "server")
	if n := s.Other.Connections; n > 0 {
		t.note(b, "… %s of too many servers are in no line; a line may lack up to %s", plural(n, "connection"), count(s.Lack()))
	}
	t.note(b, "SERVER, NETWORK, CLIENT: whose the time of the handshakes was; AS CLIENT: the handshake as the client had it")
	if len(c.Points) > 1 {
		t.note(b, "HANDSHAKE: at the observation point nearest the client, of those that recorded most of a connection: %s", t.where(all))
	}
	t.cutNote(b, "handshakes that were cut could not be read, or not all of them", c)
	t.certificates(b, s, c)
}

// where names the points at which handshakes were measured, the busiest first.
func (t *Writer) where(all []*edge.TLSServer) string {
	sum := map[packet.PointID]int64{}
	for _, s := range all {
		for _, p := range s.Points.Counts {
			sum[p.Value] += p.N
		}
	}
	points := slices.Collect(maps.Keys(sum))
	slices.SortFunc(points, func(a, b packet.PointID) int { return cmp.Or(cmp.Compare(sum[b], sum[a]), cmp.Compare(a, b)) })
	const most = 3
	var words []string
	for _, p := range points[:min(len(points), most)] {
		words = append(words, fmt.Sprintf("%s (%s)", clean(t.names.PointName(p)), count(sum[p])))
	}
	if more := len(points) - most; more > 0 {
		words = append(words, plural(more, "more point"))
	}
	return strings.Join(words, ", ")
}

// none tells that a view is empty, and where packets were cut, that this may be
// why.
func (t *Writer) none(b *strings.Builder, what string, c *flow.Capture) {
	if c.Truncated == 0 {
		b.WriteString(what + ".\n")
		return
	}
	t.note(b, "%s that could be read: %s captured in part (%s), and what was cut cannot be", what, plural(c.Truncated, "packet"), percent(c.Truncated, c.Decoded))
}

// cutNote warns that cut packets hide part of a view.
func (t *Writer) cutNote(b *strings.Builder, hides string, c *flow.Capture) {
	if c.Truncated > 0 {
		t.note(b, "! %s (%s) captured in part: %s", plural(c.Truncated, "packet"), percent(c.Truncated, c.Decoded), hides)
	}
}

// shares divides the time of the handshakes that could be divided.
func shares(x *edge.TLS) []string {
	server, network, client := float64(x.ServerShare.Sum()), float64(x.NetworkShare.Sum()), float64(x.ClientShare.Sum())
	all := server + network + client
	if x.NetworkShare.Count() == 0 || all == 0 {
		return []string{"-", "-", "-"}
	}
	return []string{fmt.Sprintf("%.0f %%", 100*server/all), fmt.Sprintf("%.0f %%", 100*network/all), fmt.Sprintf("%.0f %%", 100*client/all)}
}

func resumed(x *edge.TLS) string {
	done := x.Outcomes[tlsmeta.Completed]
	if done == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(min(x.Resumed, done))/float64(done))
}

// failures counts handshakes that failed, with the alerts.
func failures(x *edge.TLS) string {
	if x.Failed() == 0 {
		return "0"
	}
	var words []string
	for _, a := range x.Alerts.Top() {
		by := "server"
		if a.Value.Client() {
			by = "client"
		}
		words = append(words, fmt.Sprintf("%s by %s", tlsmeta.AlertName(a.Value.Description()), by))
	}
	for _, o := range []struct {
		outcome tlsmeta.Outcome
		word    string
	}{{tlsmeta.FailedEncrypted, "encrypted alert"}, {tlsmeta.Abandoned, "abandoned"}, {tlsmeta.NotTLS, "not TLS"}} {
		if x.Outcomes[o.outcome] > 0 {
			words = append(words, o.word)
		}
	}
	cell := count(x.Failed())
	if words != nil {
		cell += ": " + strings.Join(words, ", ")
	}
	return cell
}

// certificates lists those that are not valid, or will not be for long.
func (t *Writer) certificates(b *strings.Builder, s *edge.TLSServers, c *flow.Capture) {
	now := c.Last / 1e9
	list := s.Expiring(now, int64(t.config.CertificateDays)*secondsOfDay)
	t.heading(b, "CERTIFICATES")
	unread := ""
	if s.Cut > 0 {
		unread = fmt.Sprintf("those of %s of TLS 1.2 and older were not recorded whole", plural(s.Cut, "connection"))
		if c.Truncated > 0 {
			unread += fmt.Sprintf(": %s captured in part", plural(c.Truncated, "packet"))
		}
	}
	switch {
	case s.Certificates() > 0:
	case unread != "":
		t.note(b, "! none could be read: %s", unread)
		return
	case c.Truncated > 0:
		t.note(b, "! none could be read: %s captured in part; TLS 1.3 and QUIC encrypt them, but those of older versions may have been cut", plural(c.Truncated, "packet"))
		return
	default:
		t.note(b, "  none in the clear: TLS 1.3 and QUIC encrypt them, and a resumed session has none")
		return
	}
	if unread != "" {
		t.note(b, "! %s", unread)
	}
	seen := fmt.Sprintf("  %s in the clear (TLS 1.2 and older)", plural(s.Certificates(), "certificate"))
	if len(list) == 0 {
		t.note(b, "%s, none expired, not yet valid or expiring within %s of the capture", seen, plural(t.config.CertificateDays, "day"))
		return
	}
	t.note(b, "%s; expired, not yet valid or expiring within %s of the capture:", seen, plural(t.config.CertificateDays, "day"))
	g := &grid{columns: []column{
		{title: "SERVER", least: 20, tail: true}, {title: "SUBJECT", least: 16}, {title: "SAN", least: 12, drop: 1}, {title: "UNTIL", drop: 2}, {title: "STATE"}, {title: "SHA-256", drop: 3},
	}}
	shown := limited(list, t.config.Limit)
	for _, x := range shown {
		subject := clean(x.Subject)
		if x.Issuing {
			subject += " (issuer)"
		}
		g.add(x.NotAfter < now || x.NotBefore > now, t.address(&x.Service), subject, names(x), date(x.NotAfter), state(x, now), fmt.Sprintf("%x", x.SHA256[:8]))
	}
	t.view(b, g, len(list)-len(shown), "certificate")
}

const secondsOfDay = 24 * 60 * 60

// state tells how long a certificate is valid from a moment on, in s.
func state(c *edge.Certificate, now int64) string {
	switch {
	case c.NotAfter < now:
		return "expired " + plural((now-c.NotAfter)/secondsOfDay, "day") + " before"
	case c.NotBefore > now:
		return "not valid until " + date(c.NotBefore)
	}
	return plural((c.NotAfter-now)/secondsOfDay, "day") + " left"
}

func date(s int64) string { return time.Unix(s, 0).UTC().Format(time.DateOnly) }

// names lists the first names of a certificate.
func names(c *edge.Certificate) string {
	const most = 2
	if len(c.SAN) == 0 {
		return "-"
	}
	list := clean(strings.Join(c.SAN[:min(len(c.SAN), most)], ", "))
	switch more := len(c.SAN) - most; {
	case c.SANCut:
		list += fmt.Sprintf(" and at least %d more", max(more, 1))
	case more > 0:
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// dns shows the names that servers were asked for.
func (t *Writer) dns(b *strings.Builder, x *edge.Names, c *flow.Capture) {
	rows := x.Rows(t.config.Sort)
	if len(rows) == 0 {
		t.none(b, "No DNS queries", c)
		return
	}
	g := &grid{columns: []column{
		{title: "SERVER", least: 16, tail: true, drop: 6}, {title: "NAME", least: 24, tail: true}, {title: "TYPE", drop: 5}, {title: "QUERIES", right: true}, {title: "REPEATS", right: true, drop: 1},
		{title: "NXDOMAIN", right: true, drop: 4}, {title: "SERVFAIL", right: true}, {title: "OTHER ERRORS", right: true, drop: 2}, {title: "TIMEOUTS", right: true},
		{title: "RESPONSE P50", right: true, drop: 3, alone: "RESPONSE P95"}, {title: "P95", right: true},
	}}
	shown := limited(rows, t.config.Limit)
	for _, r := range shown {
		server := r.Server.IP().String()
		if r.Protocol != dnsmeta.DNS {
			server += " " + r.Protocol.String()
		}
		if t.networks {
			server += " " + clean(t.names.NetworkName(r.Network))
		}
		cells := []string{
			server, clean(r.Name.Name), dnsmeta.TypeName(r.Type), count(r.Queries), count(r.Repeats),
			count(r.NXDOMAIN), count(r.SERVFAIL), count(r.OtherErr), count(r.Timeouts),
		}
		g.add(edge.DNSErrors(&r.Counts) > 0, append(cells, quantiles(&r.Time, tcp.Measured)...)...)
	}
	t.view(b, g, len(rows)-len(shown), "name")
	t.note(b, "RESPONSE: from query to response at the observation point, the round trip to the server included")
	if n := x.Other.Queries; n > 0 {
		lack := ""
		if x.Lack() > 0 {
			lack = "; a line may lack up to " + count(x.Lack())
		}
		t.note(b, "… %s of too many names, or without a name, are in no line%s", pluralOf(n, "query", "queries"), lack)
	}
	t.cutNote(b, "queries and responses that were cut are in no line", c)
}

// http shows endpoints.
func (t *Writer) http(b *strings.Builder, x *edge.Endpoints, c *flow.Capture) {
	rows := x.Rows(t.config.Sort)
	if len(rows) == 0 && x.Other.Requests == 0 {
		t.none(b, "No HTTP in the clear", c)
		return
	}
	g := &grid{columns: []column{
		{title: "SERVER", least: 18, tail: true, drop: 6}, {title: "METHOD", least: 4}, {title: "HOST", least: 12, drop: 5}, {title: "PATH", least: 12, tail: true}, {title: "REQUESTS", right: true},
		{title: "4XX", right: true, drop: 4}, {title: "5XX", right: true}, {title: "GRPC ERRORS", right: true, drop: 1}, {title: "UNANSWERED", right: true, drop: 2},
		{title: "RESPONSE P50", right: true, drop: 3, alone: "RESPONSE P95"}, {title: "P95", right: true},
	}}
	shown := limited(rows, t.config.Limit)
	unknown := false
	for _, e := range shown {
		grpc := "-"
		if e.GRPC > 0 {
			grpc = rate(e.GRPCErrors, e.GRPC)
		}
		cells := []string{
			t.address(&e.Service), clean(e.Method), or(e.Host, e.Name), clean(e.Path), count(e.Requests),
			rate(e.Status[4], e.Known()), rate(e.Status[5], e.Known()), grpc, count(e.Aborted) + notKnown(e.Unknown),
		}
		unknown = unknown || e.Unknown > 0
		g.add(e.Errors() > 0, append(cells, quantiles(&e.Response, boundedIf(e.AtMost))...)...)
	}
	t.view(b, g, len(rows)-len(shown), "endpoint")
	if n := x.Other.Requests; n > 0 {
		lack := ""
		if x.Lack() > 0 {
			lack = "; a line may lack up to " + count(x.Lack())
		}
		t.note(b, "… %s of too many endpoints, or of unknown names, are in no line%s", plural(n, "request"), lack)
	}
	if unknown {
		t.note(b, "(n ?): whether n were answered is not known, and they are in no share")
	}
	t.cutNote(b, "heads that were cut could not be read", c)
}

func rate(part, whole int64) string {
	if part == 0 {
		return "0"
	}
	return count(part) + " (" + percent(uint64(part), uint64(whole)) + ")"
}

// top gives the name of the most frequent value, and how many others there are.
func top[T cmp.Ordered](t *edge.Tally[T], name func(T) string) string {
	all := t.Top()
	if len(all) == 0 {
		return "-"
	}
	cell := name(all[0].Value)
	if more := len(all) - 1; more > 0 {
		cell += fmt.Sprintf(" +%d", more)
	}
	return cell
}

// or gives the first of two names that is known.
func or(a, b string) string { return cmp.Or(clean(a), clean(b), "-") }

// address names a port of a server, and its network where there are several.
func (t *Writer) address(s *edge.Service) string {
	e := end{s.Network, s.Server, true, s.HasPort, s.Port, s.Proto, t.last}
	text := e.during(t, t.last) + " " + string(sink.AppendProtocol(nil, s.Proto))
	if t.networks {
		text += " " + clean(t.names.NetworkName(s.Network))
	}
	return text
}

func pluralOf(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

func boundedIf(atMost bool) tcp.State {
	if atMost {
		return tcp.Bounded
	}
	return tcp.Measured
}
