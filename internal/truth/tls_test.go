package truth

import (
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// message is one TLS message as the ground truth has it.
type message struct {
	Type      string
	Flow      [2]any // "tcp" or "udp", number of the stream
	From      string
	FromRole  string `json:"from_role"`
	Time      stamp
	Transport string

	SNI        *string
	ALPNHex    []string `json:"alpn_hex"`
	ALPN       []string
	Legacy     string   `json:"legacy_version"`
	Supported  []string `json:"supported_versions"`
	Random     *string
	PSK        bool `json:"psk_offered"`
	EarlyData  bool `json:"early_data"`
	ECH        bool
	JA3        *string
	JA4        string `json:"ja4_derived"`
	Version    string
	Cipher     string
	Group      *string `json:"key_share_group"`
	Extensions []int
	JA3S       *string

	Certificates []struct {
		SHA256, Subject, Issuer string
		NotBefore               string   `json:"not_before"`
		NotAfter                string   `json:"not_after"`
		SAN                     []string `json:"san_dns"`
	}
	Level, Description int
}

// TestTLS compares everything that the ground truth has of TLS, DTLS and QUIC,
// stream by stream, with what the records say.
func TestTLS(t *testing.T) {
	var h hearing
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		talks := conversations(replay(t, path).connections)
		for _, m := range tr.TLS {
			p, ok := tr.flow(m.Flow)
			if !ok {
				t.Fatalf("no stream %v", m.Flow)
			}
			i := slices.IndexFunc(talks, func(c *conversation) bool { return c.holds(m.Flow[0], p, m.Time) })
			if i < 0 {
				h.hear(t, "tshark", name, p.String(), []statement{{field: m.Type, theirs: "a message"}})
				continue
			}
			talks[i].add(m)
		}
		for _, c := range talks {
			p := pairOf(c.records[0].Client, c.records[0].Server)
			if c.any {
				h.hear(t, "tshark", name, p.String(), append(c.statements(t), c.quicVersion(t, &tr)...))
				continue
			}
			for _, group := range []string{"tls", "quic"} {
				if slices.ContainsFunc(c.records, func(r connection) bool { return saidIn(t, r, group) != nil }) {
					h.hear(t, "tshark", name, p.String(), []statement{{field: group + " without a message", missing: true, ours: group}})
				}
			}
		}
	})
	h.end(t, "tshark")
}

// conversation is the records of one connection, at as many observation points
// as saw it, and the messages in it.
type conversation struct {
	records                                []connection
	any, quic                              bool
	client, server, retry, alert           *message
	serverCertificates, clientCertificates *message
}

// conversations puts records together that are of one 5-tuple and time.
func conversations(cs []connection) []*conversation {
	var all []*conversation
	cs = slices.Clone(cs)
	slices.SortStableFunc(cs, func(a, b connection) int { return a.Start.Compare(b.Start) })
	for _, c := range cs {
		proto, _ := c.Protocol.(string)
		if proto != "tcp" && proto != "udp" {
			continue
		}
		i := slices.IndexFunc(all, func(v *conversation) bool {
			return v.holds(proto, pairOf(c.Client, c.Server), stamp(c.Start.UnixNano()))
		})
		if i < 0 {
			i = len(all)
			all = append(all, new(conversation))
		}
		all[i].records = append(all[i].records, c)
	}
	return all
}

func (c *conversation) holds(proto any, p pair, at stamp) bool {
	return slices.ContainsFunc(c.records, func(r connection) bool {
		return r.Protocol == proto && pairOf(r.Client, r.Server) == p && r.Start.UnixNano() <= int64(at) && int64(at) <= r.End.UnixNano()
	})
}

func (c *conversation) add(m message) {
	c.any = true
	c.quic = c.quic || m.Transport == "quic"
	byClient := m.From == c.records[0].Client.String()
	set := func(at **message) {
		if *at == nil {
			*at = &m
		}
	}
	switch m.Type {
	case "client_hello":
		if m.Random != nil { // else the first of several fragments
			set(&c.client)
		}
	case "server_hello":
		set(&c.server)
	case "hello_retry_request":
		set(&c.retry)
	case "alert":
		if m.Level == 2 {
			set(&c.alert)
		}
	case "certificate":
		switch {
		case len(m.Certificates) == 0 && m.Transport == "dtls": // a fragment
		case byClient:
			set(&c.clientCertificates)
		default:
			set(&c.serverCertificates)
		}
	}
}

// said is what these tests read of the groups tls and quic.
type said struct {
	Version           any
	TLSVersion        string   `json:"tls_version"`
	Offered           string   `json:"version_offered"`
	SNI               *string  `json:"sni"`
	ALPNOffered       []string `json:"alpn_offered"`
	ALPN              string
	Cipher            string
	Group             string
	JA3, JA3S, JA4    string
	HelloRetry        *bool  `json:"hello_retry"`
	Resumed           *bool  `json:"resumed"`
	Refused           *bool  `json:"resumption_refused"`
	EarlyData         string `json:"early_data"`
	ECH               *bool
	ClientCertificate *bool `json:"client_certificate"`
	StartTLS          string
	Outcome           string
	Certificates      []certificate
	ClientChain       []certificate `json:"client_certificates"`
	CertificatesCut   bool          `json:"certificates_cut"`
	Alert             *struct{ By, Level, Description string }
	Handshake         struct {
		State string
		Total *float64 `json:"total_us"`
	}
}

type certificate struct {
	Subject, Issuer, SHA256 string
	SAN                     []string
	NotBefore               string `json:"not_before"`
	NotAfter                string `json:"not_after"`
}

// saidIn reads the group of a record; nil where it is absent.
func saidIn(t *testing.T, c connection, group string) *said {
	t.Helper()
	var groups map[string]json.RawMessage
	if err := json.Unmarshal(c.line, &groups); err != nil {
		t.Fatal(err)
	}
	if groups[group] == nil {
		return nil
	}
	s := new(said)
	if err := json.Unmarshal(groups[group], s); err != nil {
		t.Fatalf("%s: %v", groups[group], err)
	}
	return s
}

// statements compares field by field. A point that saw one direction tells a
// part; what two points tell must be the same.
func (c *conversation) statements(t *testing.T) []statement {
	group := "tls"
	if c.quic {
		group = "quic"
	}
	var all []statement
	told := false
	for _, r := range c.records {
		ours := saidIn(t, r, group)
		if ours == nil {
			continue
		}
		told = true
		seen := map[string]int{}
		for _, s := range c.compare(t, r, ours) {
			nth := seen[s.field]
			seen[s.field]++
			i := slices.IndexFunc(all, func(o statement) bool {
				if o.field == s.field {
					nth--
				}
				return nth < 0
			})
			switch {
			case i < 0:
				all = append(all, s)
			case all[i].ours == "":
				all[i] = s
			case s.ours != "" && s.ours != all[i].ours:
				all = append(all, s)
			}
		}
	}
	if !told {
		return []statement{{field: "recognised", theirs: group}}
	}
	return all
}

// quicVersion compares the version of QUIC where the packets of a capture have
// but one, besides those that provoke a negotiation (RFC 9000 section 6.3).
func (c *conversation) quicVersion(t *testing.T, tr *truth) []statement {
	var versions []string
	for v := range tr.QUICVersions {
		n, err := strconv.ParseUint(v, 0, 32)
		if err != nil {
			t.Fatal(err)
		}
		if n != 0 && n&0x0f0f0f0f != 0x0a0a0a0a {
			versions = append(versions, v)
		}
	}
	if !c.quic || len(versions) != 1 {
		return nil
	}
	name := versions[0]
	if known, ok := map[string]string{"0x00000001": "1", "0x6b3343cf": "2", "0xff00001d": "draft-29"}[name]; ok {
		name = known
	}
	var ours string
	for _, r := range c.records {
		if s := saidIn(t, r, "quic"); s != nil {
			ours = text(s.Version)
		}
	}
	return []statement{{field: "quic version", theirs: name, ours: ours}}
}

// compare does so for one record. Where the ground truth lacks the message that
// a field comes from, what the sensor tells is counted as told alone.
func (c *conversation) compare(t *testing.T, r connection, ours *said) []statement {
	var out []statement
	add := func(m *message, field string, theirs, ours string) {
		out = append(out, statement{field: field, theirs: theirs, ours: ours, missing: m == nil})
	}
	ch, sh := c.client, c.server
	var x message
	if ch != nil {
		x = *ch
	}
	var alpn []string
	for _, a := range x.ALPNHex {
		b, err := hex.DecodeString(a)
		if err != nil {
			t.Fatal(err)
		}
		alpn = append(alpn, printable(b))
	}
	add(ch, "sni", deref(x.SNI), deref(ours.SNI))
	add(ch, "alpn_offered", strings.Join(alpn[:min(len(alpn), 16)], " "), strings.Join(ours.ALPNOffered, " "))
	add(ch, "ja3", deref(x.JA3), ours.JA3)
	add(ch, "ja4", x.JA4, ours.JA4)
	add(ch, "ech", fmt.Sprint(x.ECH), boolean(ours.ECH))
	if x.EarlyData { // what became of it is encrypted
		add(ch, "early_data", "true", fmt.Sprint(slices.Contains([]string{"offered", "accepted", "rejected"}, ours.EarlyData)))
	} else {
		add(ch, "early_data", "none", ours.EarlyData)
	}
	if !c.quic {
		add(ch, "version_offered", highest(append(x.Supported, x.Legacy)), ours.Offered)
	}

	var y message
	if sh != nil {
		y = *sh
	}
	version := versionName(y.Version)
	if c.quic {
		add(sh, "version", version, ours.TLSVersion)
	} else {
		add(sh, "version", version, text(ours.Version))
	}
	add(sh, "cipher", cipherName(y.Cipher), ours.Cipher)
	add(sh, "ja3s", deref(y.JA3S), ours.JA3S)
	add(sh, "alpn", strings.Join(y.ALPN, " "), ours.ALPN)
	add(sh, "hello_retry", fmt.Sprint(c.retry != nil), boolean(ours.HelloRetry))
	share := sh
	if y.Group == nil {
		share = nil // in TLS 1.2 the group is in the ServerKeyExchange
	}
	add(share, "group", groupNames[deref(y.Group)], ours.Group)
	psk := slices.Contains(y.Extensions, 41)
	switch {
	case version == "1.3":
		add(sh, "resumed", fmt.Sprint(psk), boolean(ours.Resumed))
		refused := ""
		if ours.JA3S != "" && (psk || ours.JA3 != "") { // a point that saw one hello cannot tell
			refused = fmt.Sprint(x.PSK && !psk)
		}
		add(ch, "resumption_refused", refused, boolean(ours.Refused))
	case c.serverCertificates != nil:
		add(sh, "resumed", "false", boolean(ours.Resumed))
	default:
		add(nil, "resumed", "", boolean(ours.Resumed))
	}
	chains := []struct {
		field  string
		theirs *message
		ours   []certificate
	}{{"certificates", c.serverCertificates, ours.Certificates}, {"client_certificates", c.clientCertificates, ours.ClientChain}}
	for _, chain := range chains {
		if chain.theirs == nil {
			add(nil, chain.field, "", fmt.Sprint(len(chain.ours) > 0)[:4*any01(len(chain.ours) > 0)])
			continue
		}
		out = append(out, certificates(chain.field, chain.theirs, chain.ours)...)
	}
	if c.clientCertificates != nil {
		add(c.clientCertificates, "client_certificate", fmt.Sprint(len(c.clientCertificates.Certificates) > 0), boolean(ours.ClientCertificate))
	} else {
		add(nil, "client_certificate", "", boolean(ours.ClientCertificate))
	}
	var alert string
	if a := ours.Alert; a != nil {
		alert = a.By + " " + a.Level + " " + a.Description
	}
	if a := c.alert; a != nil {
		by := "server"
		if a.From == r.Client.String() {
			by = "client"
		}
		add(a, "alert", by+" fatal "+alertNames[a.Description], alert)
	} else {
		add(nil, "alert", "", alert)
	}
	add(nil, "starttls", "", ours.StartTLS)
	return out
}

// certificates compares a chain, certificate by certificate. A record holds
// eight of them.
func certificates(field string, m *message, ours []certificate) []statement {
	var out []statement
	for i := range max(min(len(m.Certificates), 8), len(ours)) {
		var theirs, got certificate
		if i < len(m.Certificates) {
			c := m.Certificates[i]
			theirs = certificate{c.Subject, c.Issuer, c.SHA256, c.SAN, date(c.NotBefore), date(c.NotAfter)}
		}
		if i < len(ours) {
			got = ours[i]
		}
		// Of alternative names the ground truth has those of DNS.
		names := slices.DeleteFunc(slices.Clone(got.SAN), func(n string) bool {
			_, err := netip.ParseAddr(n)
			return err == nil || strings.ContainsAny(n, "@/")
		})
		if len(theirs.SAN) > 64 {
			theirs.SAN = theirs.SAN[:64]
		}
		for _, s := range []statement{
			{field: "sha256", theirs: theirs.SHA256, ours: got.SHA256},
			{field: "subject", theirs: theirs.Subject, ours: got.Subject},
			{field: "issuer", theirs: theirs.Issuer, ours: got.Issuer},
			{field: "san", theirs: strings.Join(theirs.SAN, " "), ours: strings.Join(names, " ")},
			{field: "not_before", theirs: theirs.NotBefore, ours: got.NotBefore},
			{field: "not_after", theirs: theirs.NotAfter, ours: got.NotAfter},
		} {
			s.field = field + " " + s.field
			out = append(out, s)
		}
	}
	return out
}

// date makes "2019-10-10 20:58:42Z" one of RFC 3339.
func date(s string) string {
	d, err := time.Parse("2006-01-02 15:04:05Z", s)
	if err != nil {
		return s
	}
	return d.Format(time.RFC3339)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func boolean(b *bool) string {
	if b == nil {
		return ""
	}
	return fmt.Sprint(*b)
}

// printable writes octets that are no printable UTF-8 as \x and two digits, as
// records do.
func printable(b []byte) string {
	if strings.IndexFunc(string(b), func(r rune) bool { return r < ' ' || r > '~' }) < 0 {
		return string(b)
	}
	var s strings.Builder
	for _, c := range b {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&s, `\x%02x`, c)
		} else {
			s.WriteByte(c)
		}
	}
	return s.String()
}

// versions of TLS by tshark's names, the older first.
var versions = []struct{ theirs, ours string }{
	{"SSLv3", "ssl3"}, {"TLSv1.0", "1.0"}, {"TLSv1", "1.0"}, {"TLSv1.1", "1.1"}, {"DTLSv1.2", "dtls1.2"}, {"TLSv1.2", "1.2"},
	{"0x7f1a", "1.3-draft26"}, {"0x7f1b", "1.3-draft27"}, {"0x7f1c", "1.3-draft28"}, {"TLSv1.3", "1.3"},
}

func versionName(theirs string) string {
	for _, v := range versions {
		if v.theirs == theirs {
			return v.ours
		}
	}
	return theirs
}

func highest(theirs []string) string {
	name := ""
	for _, v := range versions {
		if slices.Contains(theirs, v.theirs) {
			name = v.ours
		}
	}
	return name
}

// Names of the IANA registry that crypto/tls does not have, by number.
var cipherNames = map[uint16]string{
	0x0004: "TLS_RSA_WITH_RC4_128_MD5",
	0x0045: "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA",
}

func cipherName(number string) string {
	b, err := hex.DecodeString(number)
	if err != nil || len(b) != 2 {
		return number
	}
	id := uint16(b[0])<<8 | uint16(b[1])
	if name, ok := cipherNames[id]; ok {
		return name
	}
	return tls.CipherSuiteName(id)
}

var groupNames = map[string]string{
	"0017": "secp256r1", "0018": "secp384r1", "0019": "secp521r1", "001d": "x25519", "11ec": "X25519MLKEM768", "6399": "X25519Kyber768Draft00",
}

var alertNames = map[int]string{40: "handshake_failure", 70: "protocol_version"} // RFC 8446 section 6
