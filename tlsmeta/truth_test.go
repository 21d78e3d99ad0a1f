package tlsmeta

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/needs"
)

// truthMessage is one message that tshark and openssl read (see TRUTH.md beside
// the captures).
type truthMessage struct {
	Type, From, Transport string
	Flow                  []any

	LegacyVersion     string   `json:"legacy_version"`
	SupportedVersions []string `json:"supported_versions"`
	SNI               *string
	ALPNHex           []string `json:"alpn_hex"`
	ALPN              []string
	Random            string
	CipherCount       int `json:"cipher_count"`
	Extensions        []int
	SessionIDBytes    int `json:"session_id_bytes"`
	ECH               bool
	PSKOffered        bool `json:"psk_offered"`
	EarlyData         bool `json:"early_data"`
	Length            int
	Groups            []string
	KeyShareGroups    []string `json:"key_share_groups"`
	JA3String         string   `json:"ja3_string"`
	JA3               string
	JA4               string `json:"ja4_derived"`

	Version       string
	Cipher        string
	KeyShareGroup *string `json:"key_share_group"`
	JA3SString    string  `json:"ja3s_string"`
	JA3S          string

	Certificates []truthCertificate

	Level, Description uint8
}

type truthCertificate struct {
	SHA256, Subject, Issuer string
	NotBefore               string   `json:"not_before"`
	NotAfter                string   `json:"not_after"`
	SAN                     []string `json:"san_dns"`
}

// loadTruth reads the ground truth of a capture.
func loadTruth(t testing.TB, root, name string) []truthMessage {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "truth", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ TLS []truthMessage }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return all.TLS
}

// tally counts comparisons by field.
type tally struct {
	equal, all map[string]int
	failed     []string
	used       map[string]bool
}

// differences are those that are accepted, each with the reason.
var differences = map[string]string{
	"tls/ndpi-encrypted_sni.pcap: client_hello of 192.168.1.12 49886 (93c0cf3a): key_share_groups is [001d 0017], the truth has [001d 0017 001d]": esniKeyShare,
	"tls/ndpi-encrypted_sni.pcap: client_hello of 192.168.1.12 49887 (d9bedeb1): key_share_groups is [001d 0017], the truth has [001d 0017 001d]": esniKeyShare,
	"tls/ndpi-encrypted_sni.pcap: client_hello of 192.168.1.12 49897 (092e5f65): key_share_groups is [001d 0017], the truth has [001d 0017 001d]": esniKeyShare,
}

const esniKeyShare = "the third one stands in encrypted_server_name, not in key_share; tshark gives both fields one name"

func newTally() *tally {
	return &tally{equal: map[string]int{}, all: map[string]int{}, used: map[string]bool{}}
}

// report logs the counts and fails the test on each difference that is not
// accepted.
func (c *tally) report(t *testing.T) {
	t.Helper()
	equal, all := 0, 0
	for _, field := range slices.Sorted(maps.Keys(c.all)) {
		equal, all = equal+c.equal[field], all+c.all[field]
		t.Logf("%-20s %4d of %4d equal", field, c.equal[field], c.all[field])
	}
	t.Logf("%-20s %4d of %4d equal, %d differences accepted", "all", equal, all, len(c.used))
	for _, f := range c.failed {
		t.Error(f)
	}
	if all == 0 {
		t.Error("nothing was compared")
	}
}

// compare takes note whether a field is as the truth has it.
func (c *tally) compare(where, field string, got, want any) {
	c.all[field]++
	g, w := fmt.Sprint(got), fmt.Sprint(want)
	if g == w {
		c.equal[field]++
		return
	}
	line := fmt.Sprintf("%s: %s is %s, the truth has %s", where, field, g, w)
	if differences[line] != "" {
		c.used[line] = true
		return
	}
	c.failed = append(c.failed, line)
}

// versionNumber is the number behind a version as the ground truth writes it.
func versionNumber(name string) uint16 {
	numbers := map[string]uint16{"SSLv3": 0x0300, "TLSv1.0": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304,
		"DTLSv1.0": 0xfeff, "DTLSv1.2": 0xfefd, "DTLSv1.3": 0xfefc}
	if n, ok := numbers[name]; ok {
		return n
	}
	n, _ := strconv.ParseUint(name, 0, 16)
	return uint16(n)
}

// hex4 writes numbers as the ground truth does.
func hex4(list []uint16) []string {
	out := []string{}
	for _, n := range list {
		out = append(out, fmt.Sprintf("%04x", n))
	}
	return out
}

func (c *tally) clientHello(where string, b []byte, h *ClientHello, want *truthMessage, transport byte) {
	c.compare(where, "legacy_version", h.Version, versionNumber(want.LegacyVersion))
	versions := []uint16{}
	for v := range h.Versions.All() {
		if !IsGREASE(v) {
			versions = append(versions, v)
		}
	}
	wantVersions := []uint16{}
	for _, v := range want.SupportedVersions {
		wantVersions = append(wantVersions, versionNumber(v))
	}
	c.compare(where, "supported_versions", versions, wantVersions)
	sni := ""
	if want.SNI != nil {
		sni = *want.SNI
	}
	c.compare(where, "sni", string(h.ServerName), sni)
	alpn := []string{}
	for name := range h.ALPN.All() {
		alpn = append(alpn, hex.EncodeToString(name))
	}
	c.compare(where, "alpn", alpn, want.ALPNHex)
	c.compare(where, "cipher_count", h.Ciphers.Len(), want.CipherCount)
	extensions := []int{}
	for e := range h.Extensions.Types() {
		extensions = append(extensions, int(e))
	}
	c.compare(where, "extensions", extensions, want.Extensions)
	c.compare(where, "session_id_bytes", len(h.SessionID), want.SessionIDBytes)
	c.compare(where, "ech", h.ECH, want.ECH)
	c.compare(where, "psk_offered", h.PreSharedKey, want.PSKOffered)
	c.compare(where, "early_data", h.EarlyData, want.EarlyData)
	c.compare(where, "length", len(b)-4, want.Length)
	c.compare(where, "groups", hex4(slices.Collect(h.Groups.All())), want.Groups)
	c.compare(where, "key_share_groups", hex4(slices.Collect(h.KeyShares.Types())), want.KeyShareGroups)
	c.compare(where, "ja3_string", string(h.appendJA3(nil)), want.JA3String)
	c.compare(where, "ja3", h.JA3(), want.JA3)
	c.compare(where, "ja4", h.JA4(transport), want.JA4)
}

func (c *tally) serverHello(where string, h *ServerHello, want *truthMessage) {
	c.compare(where, "version", h.Version, versionNumber(want.Version))
	c.compare(where, "cipher", fmt.Sprintf("%04x", h.Cipher), want.Cipher)
	alpn := []string{}
	if h.ALPN != nil {
		alpn = append(alpn, string(h.ALPN))
	}
	c.compare(where, "server alpn", alpn, want.ALPN)
	extensions := []int{}
	for e := range h.Extensions.Types() {
		extensions = append(extensions, int(e))
	}
	c.compare(where, "server extensions", extensions, want.Extensions)
	group := ""
	if h.Group != 0 {
		group = fmt.Sprintf("%04x", h.Group)
	}
	wantGroup := ""
	if want.KeyShareGroup != nil {
		wantGroup = *want.KeyShareGroup
	}
	c.compare(where, "key_share_group", group, wantGroup)
	c.compare(where, "hello_retry", h.HelloRetry, want.Type == "hello_retry_request")
	c.compare(where, "ja3s_string", string(h.appendJA3S(nil)), want.JA3SString)
	c.compare(where, "ja3s", h.JA3S(), want.JA3S)
}

func (c *tally) certificate(where string, got *Certificate, want *truthCertificate) {
	stamp := func(s int64) string { return time.Unix(s, 0).UTC().Format("2006-01-02 15:04:05Z") }
	c.compare(where, "subject", got.Subject, unescape(want.Subject))
	c.compare(where, "issuer", got.Issuer, unescape(want.Issuer))
	c.compare(where, "not_before", stamp(got.NotBefore), want.NotBefore)
	c.compare(where, "not_after", stamp(got.NotAfter), want.NotAfter)
	dns := []string{}
	for _, s := range got.SAN {
		if !strings.ContainsAny(s, ":@") && (s[len(s)-1] < '0' || s[len(s)-1] > '9') {
			dns = append(dns, s)
		}
	}
	if got.SANCut {
		want.SAN = want.SAN[:min(maxSAN, len(want.SAN))]
	}
	c.compare(where, "san", dns, append([]string{}, want.SAN...))
}

// unescape undoes that openssl writes each octet of a character beyond ASCII as
// two hex digits.
func unescape(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+2 < len(s) {
			if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil && b[0] >= 0x80 {
				out = append(out, b[0])
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// pick gives the message of a length, else the first.
func pick(list [][]byte, length int) []byte {
	for _, b := range list {
		if len(b) == 4+length {
			return b
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// TestTruth compares every TLS message over TCP in the captures with what
// tshark and openssl read.
func TestTruth(t *testing.T) {
	root := needs.Captures(t)
	c := newTally()
	for _, name := range capturePaths(t, filepath.Join(root, "dev")) {
		truth := loadTruth(t, root, name)
		if len(truth) == 0 {
			continue
		}
		hellos := map[string][][]byte{} // by sender and random: two where there was a HelloRetryRequest
		certs := map[string][]Certificate{}
		preludes := map[string]int{}
		for _, tk := range readTalks(t, filepath.Join(root, "dev", name)) {
			if tk.udp {
				continue
			}
			s := tk.listen()
			for _, p := range s.starttls {
				preludes[p]++
			}
			for _, m := range s.messages {
				from := m.from.String()
				switch m.body[0] {
				case msgClientHello, msgServerHello:
					if len(m.body) >= 38 {
						key := from + " " + hex.EncodeToString(m.body[6:38])
						hellos[key] = append(hellos[key], m.body)
					}
				case msgCertificate:
					list, _ := ParseCertificates(m.body)
					if len(list) > 0 {
						certs[from+" "+hex.EncodeToString(list[0].SHA256[:])] = list
					}
				}
			}
		}
		if len(preludes) > 0 {
			t.Logf("%s: preludes %v", name, preludes)
		}
		for i := range truth {
			m := &truth[i]
			if m.Transport != "tcp" {
				continue
			}
			where := fmt.Sprintf("%s: %s of %s (%.8s)", name, m.Type, m.From, m.Random)
			switch m.Type {
			case "client_hello", "server_hello", "hello_retry_request":
				b := pick(hellos[m.From+" "+m.Random], m.Length)
				c.compare(where, "found", b != nil, true)
				if b == nil {
					continue
				}
				var ch ClientHello
				var sh ServerHello
				var err error
				if m.Type == "client_hello" {
					if _, err = ParseClientHello(b, &ch); err == nil {
						c.clientHello(where, b, &ch, m, TransportTCP)
					}
				} else if _, err = ParseServerHello(b, &sh); err == nil {
					c.serverHello(where, &sh, m)
				}
				c.compare(where, "error", err, nil)
			case "certificate":
				if len(m.Certificates) == 0 {
					continue
				}
				list := certs[m.From+" "+m.Certificates[0].SHA256]
				c.compare(where, "certificates", len(list), min(len(m.Certificates), maxCertificates))
				for i := range list {
					c.compare(where, "sha256", hex.EncodeToString(list[i].SHA256[:]), m.Certificates[i].SHA256)
					c.certificate(where, &list[i], &m.Certificates[i])
				}
			}
		}
	}
	c.report(t)
	for line := range differences {
		if !c.used[line] {
			t.Errorf("accepted, and no difference any more: %s", line)
		}
	}
}
