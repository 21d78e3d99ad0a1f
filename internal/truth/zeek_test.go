package truth

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// zeek holds what the tests of Zeek expect of its ssl.log (and quic.log) for
// captures of its own (testing/btest/Baseline/scripts.base.protocols.*), and
// suricata-verify of one of its. resumed and established are Zeek's T and F; ""
// is what a log does not have.
var zeek = []struct {
	tool, file, stream          string
	version, cipher, curve, sni string
	resumed, established        string
	certificates                string // SHA-256
	subject                     string // of the first certificate
	quic, protocol              string
}{
	{tool: "Zeek", file: "tls/zeek-tls1_1.pcap", stream: "192.168.17.58 62987 — 216.58.192.14 443", version: "TLSv11", cipher: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
		curve: "secp256r1", resumed: "F", established: "T", certificates: "22a920a5ec03c819b569ed0fa8b7df258e3e7ea11fdd15b83b6fa45f3e863036 " +
			"9b759d41e3de30f9d2f902027d792b65d950a98bbb6d6d56be7f2528453bf8e9 3c35cc963eb004451323d3275d05b353235053490d9cd83729a2faf5e7ca1cc0"},
	{tool: "Zeek", file: "tls/zeek-tls1.2.pcap", stream: "10.0.0.80 56637 — 68.233.76.12 443", version: "TLSv12", cipher: "TLS_RSA_WITH_RC4_128_MD5",
		subject: "CN=*.taleo.net,OU=Comodo PremiumSSL Wildcard,OU=Web,O=Taleo Inc.,street=4140 Dublin Boulevard,street=Suite 400,L=Dublin,ST=CA,postalCode=94568,C=US"},
	{tool: "Zeek", file: "tls/zeek-dtls1_2.pcap", stream: "165.227.57.17 4400 — 192.168.17.58 60934", version: "DTLSv12", cipher: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		curve: "secp256r1", resumed: "F", established: "T", subject: "O=Internet Widgits Pty Ltd,ST=Some-State,C=AU"},
	{tool: "Zeek", file: "tls/zeek-imap-starttls.pcap", stream: "192.168.17.53 49640 — 212.227.17.186 143", version: "TLSv12", cipher: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		curve: "secp256r1", resumed: "F", established: "T",
		subject: "CN=imap.gmx.net,emailAddress=server-certs@1und1.de,L=Montabaur,ST=Rhineland-Palatinate,O=1&1 Mail & Media GmbH,C=DE"},
	{tool: "Zeek", file: "tls/zeek-smtp-starttls.pcap", stream: "74.125.142.26 25 — 192.168.4.149 54170", version: "TLSv12", cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		curve: "secp256r1", resumed: "F", established: "T", subject: "CN=mx.google.com,O=Google Inc,L=Mountain View,ST=California,C=US"},
	{tool: "Zeek", file: "tls/zeek-tls13_psk_succesfull.pcap", stream: "174.138.9.219 443 — 192.168.178.80 54220", version: "TLSv13", cipher: "TLS_CHACHA20_POLY1305_SHA256",
		curve: "x25519", resumed: "T", established: "T"},
	{tool: "Zeek", file: "tls/zeek-hrr.pcap", stream: "10.192.48.168 63564 — 64.233.185.139 443", version: "TLSv13", cipher: "TLS_AES_256_GCM_SHA384",
		curve: "secp256r1", resumed: "T", established: "T"},
	{tool: "Zeek", file: "quic/zeek-quicv2-http3-443.pcap", stream: "127.0.0.1 443 — 127.0.0.1 50841", version: "TLSv13", cipher: "TLS_AES_128_GCM_SHA256",
		curve: "x25519", resumed: "F", established: "F", quic: "2", protocol: "h3"},
	{tool: "suricata-verify", file: "tls/suricata-dump_mtu300.pcap", stream: "10.20.0.14 38576 — 142.251.111.105 443", sni: "www.google.com"},
}

// TestZeek compares with what the tests of Zeek and Suricata expect.
func TestZeek(t *testing.T) {
	var h hearing
	for _, z := range zeek {
		var ours said
		var version, quic string
		found := false
		for _, c := range replay(t, filepath.Join(needs.Captures(t), "dev", z.file)).connections {
			if pairOf(c.Client, c.Server).String() != z.stream {
				continue
			}
			if s := saidIn(t, c, "tls"); s != nil {
				ours, version, found = *s, text(s.Version), true
			}
			if s := saidIn(t, c, "quic"); s != nil {
				ours, version, quic, found = *s, s.TLSVersion, text(s.Version), true
			}
		}
		if !found {
			t.Errorf("%s: nothing is told of %s", z.file, z.stream)
			continue
		}
		var chain []string
		subject := ""
		for i, c := range ours.Certificates {
			if chain = append(chain, c.SHA256); i == 0 {
				subject = c.Subject
			}
		}
		var statements []statement
		for _, s := range []statement{
			{field: "sni", theirs: z.sni, ours: deref(ours.SNI)},
			{field: "version", theirs: versionName(strings.Replace(z.version, "v1", "v1.", 1)), ours: version},
			{field: "quic version", theirs: z.quic, ours: quic},
			{field: "cipher", theirs: z.cipher, ours: ours.Cipher},
			{field: "group", theirs: z.curve, ours: ours.Group},
			{field: "alpn_offered", theirs: z.protocol, ours: strings.Join(ours.ALPNOffered, " ")},
			{field: "resumed", theirs: trueOrFalse(z.resumed), ours: boolean(ours.Resumed)},
			{field: "certificates sha256", theirs: z.certificates, ours: strings.Join(chain, " ")},
			{field: "certificates subject", theirs: z.subject, ours: subject},
			{field: "completed", theirs: trueOrFalse(z.established), ours: fmt.Sprint(ours.Outcome == "completed")},
		} {
			if s.theirs != "" {
				statements = append(statements, s)
			}
		}
		h.hear(t, z.tool, z.file, z.stream, statements)
	}
	h.end(t, "Zeek", "suricata-verify")
}

func trueOrFalse(zeek string) string {
	return map[string]string{"T": "true", "F": "false"}[zeek]
}
