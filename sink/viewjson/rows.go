package viewjson

import (
	"encoding/hex"

	"mirrorscope/dnsmeta"
	"mirrorscope/edge"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

type tlsServer struct {
	Type     string    `json:"type"`
	Network  string    `json:"network"`
	Protocol string    `json:"protocol"`
	Server   end       `json:"server"`
	Name     string    `json:"server_name,omitempty"` // that the clients asked for
	Start    moment    `json:"start"`
	End      moment    `json:"end"`
	TLS      *tls      `json:"tls"`
	Ciphers  []counted `json:"ciphers,omitempty"`
	Groups   []counted `json:"groups,omitempty"`
	ALPN     []counted `json:"alpn,omitempty"`
	STARTTLS []counted `json:"starttls,omitempty"`
	JA4      []counted `json:"ja4,omitempty"`
}

type certificate struct {
	Type        string   `json:"type"`
	Network     string   `json:"network"`
	Server      end      `json:"server"`
	Name        string   `json:"server_name,omitempty"`
	State       string   `json:"state"` // expired, not_yet_valid, expiring
	DaysLeft    int64    `json:"days_left"`
	Issuing     bool     `json:"issuing"` // above the server's own
	Connections int64    `json:"connections"`
	Subject     string   `json:"subject"`
	Issuer      string   `json:"issuer"`
	SAN         []string `json:"san,omitempty"`
	SANCut      bool     `json:"san_cut,omitempty"`
	NotBefore   moment   `json:"not_before"`
	NotAfter    moment   `json:"not_after"`
	SHA256      string   `json:"sha256"`
}

func (w *Writer) tls(s *edge.TLSServers, at int64) {
	for _, r := range limited(s.Servers(w.config.Sort), w.config.Limit) {
		w.line(&tlsServer{
			Type: "tls_server", Network: clean(w.names.NetworkName(r.Network)), Protocol: protocol(r.Proto), Server: serverOf(&r.Service, r.Name), Name: clean(r.SNI),
			Start: moment(r.First), End: moment(r.Last), TLS: w.tlsOf(&r.TLS), Ciphers: tally(&r.Ciphers, tlsmeta.CipherName), Groups: tally(&r.Groups, tlsmeta.GroupName),
			ALPN: tally(&r.ALPN, same), STARTTLS: tally(&r.STARTTLS, same), JA4: tally(&r.JA4, same),
		})
	}
	now := at / 1e9
	for _, c := range s.Expiring(now, int64(w.config.CertificateDays)*secondsOfDay) {
		o := &certificate{
			Type: "certificate", Network: clean(w.names.NetworkName(c.Network)), Server: serverOf(&c.Service, c.Name), Name: clean(c.SNI),
			State: "expiring", DaysLeft: (c.NotAfter - now) / secondsOfDay, Issuing: c.Issuing, Connections: c.Connections,
			Subject: clean(c.Subject), Issuer: clean(c.Issuer), SANCut: c.SANCut,
			NotBefore: moment(c.NotBefore * 1e9), NotAfter: moment(c.NotAfter * 1e9), SHA256: hex.EncodeToString(c.SHA256[:]),
		}
		switch {
		case c.NotAfter < now:
			o.State = "expired"
		case c.NotBefore > now:
			o.State = "not_yet_valid"
		}
		for _, n := range c.SAN {
			o.SAN = append(o.SAN, clean(n))
		}
		w.line(o)
	}
}

const secondsOfDay = 24 * 60 * 60

type dnsName struct {
	Type     string `json:"type"`
	Network  string `json:"network"`
	Protocol string `json:"protocol"`
	Server   end    `json:"server"`
	Name     string `json:"name"`
	Query    string `json:"query_type"`
	Queries  int64  `json:"queries"`
	Repeats  int64  `json:"repeats"`
	NXDOMAIN int64  `json:"nxdomain"`
	SERVFAIL int64  `json:"servfail"`
	Other    int64  `json:"other_errors"`
	Timeouts int64  `json:"timeouts"`
	Response *times `json:"response,omitempty"` // bounded: the round trip to the server is in it
}

func (w *Writer) dns(t *edge.Names) {
	for _, r := range limited(t.Rows(w.config.Sort), w.config.Limit) {
		w.line(&dnsName{
			Type: "dns_name", Network: clean(w.names.NetworkName(r.Network)), Protocol: r.Protocol.String(), Server: endOf(r.Server, ""), Name: clean(r.Name.Name),
			Query: dnsmeta.TypeName(r.Type), Queries: r.Queries, Repeats: r.Repeats, NXDOMAIN: r.NXDOMAIN, SERVFAIL: r.SERVFAIL, Other: r.OtherErr,
			Timeouts: r.Timeouts, Response: timesOf(&r.Time, tcp.Bounded),
		})
	}
}

type endpoint struct {
	Type        string           `json:"type"`
	Network     string           `json:"network"`
	Server      end              `json:"server"`
	Method      string           `json:"method"`
	Host        string           `json:"host,omitempty"`
	Path        string           `json:"path"`
	Requests    int64            `json:"requests"`
	Status      map[string]int64 `json:"status"`
	GRPC        int64            `json:"grpc_responses"`
	GRPCErrors  int64            `json:"grpc_errors"`
	Unanswered  int64            `json:"unanswered"`
	Unknown     int64            `json:"unknown"`
	ClientRatio *ratio           `json:"4xx_ratio,omitempty"`
	ServerRatio *ratio           `json:"5xx_ratio,omitempty"`
	GRPCRatio   *ratio           `json:"grpc_error_ratio,omitempty"`
	Response    *times           `json:"response,omitempty"`
}

func (w *Writer) http(t *edge.Endpoints) {
	for _, e := range limited(t.Rows(w.config.Sort), w.config.Limit) {
		o := &endpoint{
			Type: "http_endpoint", Network: clean(w.names.NetworkName(e.Network)), Server: serverOf(&e.Service, e.Name), Method: clean(e.Method), Host: clean(e.Host),
			Path: clean(e.Path), Requests: e.Requests, Status: map[string]int64{}, GRPC: e.GRPC, GRPCErrors: e.GRPCErrors, Unanswered: e.Aborted, Unknown: e.Unknown,
			ClientRatio: share(e.Status[4], e.Known()), ServerRatio: share(e.Status[5], e.Known()), GRPCRatio: share(e.GRPCErrors, e.GRPC),
			Response: timesOf(&e.Response, boundedIf(e.AtMost)),
		}
		for class, n := range e.Status {
			if n > 0 {
				o.Status[[...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}[class]] = n
			}
		}
		w.line(o)
	}
}
