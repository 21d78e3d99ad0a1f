package viewjson

import (
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

type conversation struct {
	Type        string           `json:"type"`
	Network     string           `json:"network"`
	Protocol    string           `json:"protocol"`
	Client      end              `json:"client"`
	Server      end              `json:"server"`
	ClientTags  tags             `json:"client_tags,omitempty"`
	ServerTags  tags             `json:"server_tags,omitempty"`
	Start       moment           `json:"start"`
	End         moment           `json:"end"`
	Points      []string         `json:"observation_points"`
	Connections int64            `json:"connections"`
	Outcomes    map[string]int64 `json:"outcomes,omitempty"`
	ClientSent  volume           `json:"client_sent"`
	ServerSent  volume           `json:"server_sent"`
	Retransmits *bySide          `json:"retransmits,omitempty"`
	RTT         *roundTrip       `json:"rtt,omitempty"`
	Handshake   *times           `json:"handshake,omitempty"`
	TLS         *tls             `json:"tls,omitempty"`
	Requests    *requests        `json:"requests,omitempty"`
	Response    *times           `json:"response,omitempty"`
	Phases      *phases          `json:"phases,omitempty"`
	Capture     *captured        `json:"capture,omitempty"`
	Verdict     verdict          `json:"verdict"`
}

type volume struct {
	Packets int64 `json:"packets"`
	Bytes   int64 `json:"bytes"`
	Payload int64 `json:"payload_bytes"`
}

type bySide struct {
	Client *repeats `json:"client,omitempty"`
	Server *repeats `json:"server,omitempty"`
}

type repeats struct {
	State   string `json:"state"` // measured, or bounded: at least
	Packets int64  `json:"packets"`
	Bytes   int64  `json:"bytes"`
}

type roundTrip struct {
	State string `json:"state"` // measured, or bounded: at most
	P50   micros `json:"p50_us"`
}

type requests struct {
	Requests    int64  `json:"requests"`
	Errors      int64  `json:"errors"`
	ErrorRatio  *ratio `json:"error_ratio,omitempty"`
	Unknown     int64  `json:"unknown"`
	Unmeasured  int64  `json:"unmeasured"`
	BeforeAsked int64  `json:"failed_before_request"`
	NoResponse  *wait  `json:"no_response,omitempty"`
	Open        *open  `json:"open,omitempty"`
	HTTP        *http  `json:"http,omitempty"`
	DNS         *dns   `json:"dns,omitempty"`
}

// wait is how long the clients waited for responses that did not come.
type wait struct {
	P50     micros `json:"wait_p50_us"`
	Max     micros `json:"wait_max_us"`
	Samples uint64 `json:"samples"`
}

// open are requests that waited when the capture ended.
type open struct {
	Requests int64  `json:"requests"`
	Max      micros `json:"wait_max_us"`
}

type http struct {
	Requests  int64 `json:"requests"`
	Client    int64 `json:"4xx"`
	Server    int64 `json:"5xx"`
	GRPC      int64 `json:"grpc_errors"`
	Aborted   int64 `json:"aborted"`
	Uncertain int64 `json:"unknown"`
}

type dns struct {
	Queries  int64 `json:"queries"`
	NXDOMAIN int64 `json:"nxdomain"`
	SERVFAIL int64 `json:"servfail"`
	Other    int64 `json:"other_errors"`
	Timeouts int64 `json:"timeouts"`
	Unknown  int64 `json:"unknown"`
}

type phases struct {
	TCP        micros `json:"tcp_us"`
	Prelude    micros `json:"prelude_us"`
	ClientIdle micros `json:"client_idle_us"`
	TLS        micros `json:"tls_us"`
	Request    micros `json:"request_us"`
	Server     micros `json:"server_us"`
	Network    micros `json:"network_us"`
	Transfer   micros `json:"transfer_us"`
	Idle       micros `json:"idle_us"`
	Close      micros `json:"close_us"`
	Unknown    micros `json:"unknown_us"`
}

type captured struct {
	Missed    sides  `json:"missed_bytes"`
	LossRatio *ratio `json:"loss_ratio,omitempty"`
}

type sides struct {
	Client int64 `json:"client"`
	Server int64 `json:"server"`
}

type verdict struct {
	Who      string     `json:"who"`
	Text     string     `json:"text"`
	Also     []sentence `json:"also,omitempty"`
	Evidence figures    `json:"evidence"`
}

// sentence tells what else stands out.
type sentence struct {
	Who  string `json:"who"`
	Text string `json:"text"`
}

func verdictOf(c *edge.Conversation) verdict {
	v := c.Verdict()
	o := verdict{Who: v.Who.String(), Text: clean(v.Text), Evidence: v.Evidence}
	for i := range v.Also {
		o.Also = append(o.Also, sentence{v.Also[i].Who.String(), clean(v.Also[i].Text)})
	}
	return o
}

func (w *Writer) conversations(s *edge.Summary) {
	for _, i := range s.Sorted(w.config.Sort, w.config.Limit) {
		w.line(w.conversation(s.Conversation(i)))
	}
}

func (w *Writer) conversation(c *edge.Conversation) *conversation {
	server := endOf(c.Server, c.Name())
	if c.HasPort {
		port := c.Port
		server.Port = &port
	}
	o := &conversation{
		Type: "conversation", Network: clean(w.names.NetworkName(c.Network)), Protocol: protocol(c.Proto),
		Client: endOf(c.Client, c.Names[flow.Client]), Server: server, Start: moment(c.First), End: moment(c.Last),
		Connections: c.Connections, ClientSent: volumeOf(&c.Sent[flow.Client]), ServerSent: volumeOf(&c.Sent[flow.Server]),
		Handshake: timesOf(&c.Handshake, tcp.Measured), Verdict: verdictOf(c),
	}
	o.tags(w, c)
	for _, p := range c.Points {
		o.Points = append(o.Points, clean(w.names.PointName(p)))
	}
	if c.Proto == packet.ProtoTCP {
		o.tcp(c)
	}
	if ns, atMost, ok := c.Times.PathRTT(); ok {
		o.RTT = &roundTrip{"measured", micros(ns)}
		if atMost {
			o.RTT.State = "bounded"
		}
	}
	if c.TLS != nil {
		o.TLS = w.tlsOf(c.TLS)
	}
	h, state := c.Response()
	o.Response = timesOf(h, state)
	if c.Tried() {
		o.Requests = requestsOf(c)
	}
	return o
}

// tcp adds what only TCP has.
func (o *conversation) tcp(c *edge.Conversation) {
	o.Outcomes = map[string]int64{}
	for outcome, n := range c.Outcomes {
		if name := flow.Outcome(outcome).String(); n > 0 && name != "" {
			o.Outcomes[name] = n
		}
	}
	client, server := repeatsOf(&c.Repeats[flow.Client]), repeatsOf(&c.Repeats[flow.Server])
	if client != nil || server != nil {
		o.Retransmits = &bySide{client, server}
	}
	if sum := c.Phases.Sum(); sum > 0 {
		o.Phases = phasesOf(&c.Phases)
	}
	missed, recorded := c.Missed[0]+c.Missed[1], c.Recorded[0]+c.Recorded[1]
	o.Capture = &captured{sides{c.Missed[flow.Client], c.Missed[flow.Server]}, share(missed, missed+recorded)}
}

func volumeOf(v *flow.Volume) volume { return volume{v.Packets, v.Bytes, v.PayloadBytes} }

func repeatsOf(r *edge.Repeats) *repeats {
	if r.Connections == 0 {
		return nil
	}
	x := &repeats{"measured", r.Packets, r.Bytes}
	if r.AtLeast {
		x.State = "bounded"
	}
	return x
}

func requestsOf(c *edge.Conversation) *requests {
	r := &requests{
		Requests: c.Requests(), Errors: c.RequestErrors(), Unknown: c.UnknownRequests(), Unmeasured: c.Unmeasured, BeforeAsked: c.Unasked,
	}
	if rate, ok := c.ErrorRate(); ok {
		x := ratio(rate)
		r.ErrorRatio = &x
	}
	if u := c.Unanswered; u != nil {
		if p50, ok := u.Waits.Quantile(0.5); ok {
			r.NoResponse = &wait{micros(p50), micros(u.Waits.Max()), u.Waits.Count()}
		}
		if u.Open > 0 {
			_, longest := u.OpenWait()
			r.Open = &open{u.Open, micros(longest)}
		}
	}
	if h := c.HTTP; h != nil {
		r.HTTP = &http{h.Requests, h.ClientErrors, h.ServerErrors, h.GRPCErrors, h.Aborted, h.Unknown}
	}
	if d := c.DNS; d != nil {
		r.DNS = &dns{d.Queries, d.NXDOMAIN, d.SERVFAIL, d.OtherErr, d.Timeouts, d.Unknown}
	}
	return r
}

func phasesOf(p *session.Phases) *phases {
	return &phases{
		micros(p.TCP), micros(p.Prelude), micros(p.ClientIdle), micros(p.TLS), micros(p.Request), micros(p.Server), micros(p.Network),
		micros(p.Transfer), micros(p.Idle), micros(p.Close), micros(p.Unknown),
	}
}

// tls tells of handshakes.
type tls struct {
	Connections int64            `json:"connections"`
	QUIC        int64            `json:"quic"`
	Versions    []counted        `json:"versions,omitempty"`
	SNI         []counted        `json:"sni,omitempty"`
	Outcomes    map[string]int64 `json:"outcomes,omitempty"`
	Alerts      []alert          `json:"alerts,omitempty"`
	Resumed     int64            `json:"resumed"`
	Failed      int64            `json:"failed"`
	Handshake   *times           `json:"handshake,omitempty"`
	Perceived   *times           `json:"handshake_perceived,omitempty"`
	Network     *times           `json:"handshake_network,omitempty"`
	Server      *times           `json:"handshake_server,omitempty"`
	Client      *times           `json:"handshake_client,omitempty"`
	Unmeasured  int64            `json:"unmeasured"`
	Points      []counted        `json:"observation_points,omitempty"`
}

type alert struct {
	By          string `json:"by"`
	Description string `json:"description"`
	N           int64  `json:"count"`
}

func (w *Writer) tlsOf(t *edge.TLS) *tls {
	o := &tls{
		Connections: t.Connections, QUIC: t.QUIC, Versions: tally(&t.Versions, tlsmeta.VersionName), SNI: tally(&t.Names, same),
		Outcomes: map[string]int64{}, Resumed: t.Resumed, Failed: t.Failed(), Unmeasured: t.Unmeasured,
		Points:    tally(&t.Points, func(p packet.PointID) string { return w.names.PointName(p) }),
		Handshake: timesOf(&t.Total, tcp.Measured), Perceived: timesOf(&t.Perceived, tcp.Measured), Network: timesOf(&t.NetworkShare, tcp.Measured), Server: timesOf(&t.ServerShare, tcp.Measured), Client: timesOf(&t.ClientShare, tcp.Measured),
	}
	for outcome, n := range t.Outcomes {
		if name := tlsmeta.Outcome(outcome).String(); n > 0 && name != "" {
			o.Outcomes[name] = n
		}
	}
	for _, a := range t.Alerts.Top() {
		by := "server"
		if a.Value.Client() {
			by = "client"
		}
		o.Alerts = append(o.Alerts, alert{by, tlsmeta.AlertName(a.Value.Description()), a.N})
	}
	return o
}
