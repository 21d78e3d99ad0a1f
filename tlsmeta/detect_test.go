package tlsmeta

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// TestDetection runs what finds TLS on any port over every flow of the captures
// and compares with where tshark finds it.
func TestDetection(t *testing.T) {
	root := needs.Captures(t)
	preludes := map[string]int{}
	unfinished := map[string]int{}
	hellos, sslv2, datagrams := 0, 0, 0
	for _, name := range capturePaths(t, filepath.Join(root, "dev")) {
		clients := map[string]bool{}
		dtls := map[string]bool{}
		for _, m := range loadTruth(t, root, name) {
			if m.Type == "client_hello" && m.Transport == "tcp" {
				clients[m.From] = true
			}
			dtls[m.From] = dtls[m.From] || m.Transport == "dtls"
		}
		found := map[string]bool{}
		for _, tk := range readTalks(t, filepath.Join(root, "dev", name)) {
			if tk.udp {
				for _, p := range tk.pieces() {
					if !IsDTLS(p.data) {
						continue
					}
					datagrams++
					if !dtls[tk.ends[0].String()] && !dtls[tk.ends[1].String()] {
						t.Errorf("%s: %s: taken for DTLS: %x", name, tk.ends[p.dir], p.data[:min(20, len(p.data))])
					}
				}
				continue
			}
			var p Prelude
			begun := [2]bool{}
		pieces:
			for _, piece := range tk.pieces() {
				from := tk.ends[piece.dir].String()
				switch {
				case IsClientHello(piece.data):
					hellos++
					found[from] = true
					if !clients[from] && !strings.HasPrefix(name, "tls/") {
						t.Errorf("%s: %s: taken for a ClientHello: %x", name, from, piece.data[:min(20, len(piece.data))])
					}
					break pieces
				case !begun[piece.dir] && IsSSLv2Hello(piece.data):
					sslv2++
					if !strings.Contains(name, "ssl-v2") {
						t.Errorf("%s: %s: taken for an SSLv2 hello: %x", name, from, piece.data[:min(20, len(piece.data))])
					}
					break pieces
				}
				begun[piece.dir] = true
				_, v := p.Feed(piece.dir, piece.data)
				if v == PreludeDone {
					preludes[name+" "+p.Name()]++
					p = Prelude{}
				}
				if v == PreludeOther {
					break
				}
			}
			if p.verdict == PreludeMore && p.Name() != "" {
				unfinished[name+" "+p.Name()]++
			}
		}
		for c := range clients {
			if !found[c] {
				t.Logf("%s: the hello of %s does not begin a piece that was recorded in order", name, c)
			}
		}
	}
	want := map[string]int{
		"tls/ja4-https-connect.pcap http_connect": 1,
		"tls/zeek-imap-starttls.pcap imap":        1,
		"tls/zeek-smtp-starttls.pcap smtp":        1,
		"tls/zeek-tls-13-amazon-rds.pcap mysql":   1,
	}
	if !maps.Equal(preludes, want) {
		t.Errorf("preludes %v, want %v", preludes, want)
	}
	t.Logf("%d hellos, %d in the form of SSLv2, %d datagrams of DTLS", hellos, sslv2, datagrams)
	for _, k := range slices.Sorted(maps.Keys(unfinished)) {
		t.Logf("a prelude that may go on: %s, %d flows", k, unfinished[k])
	}
	if hellos < 200 || sslv2 == 0 || datagrams == 0 {
		t.Error("too little was found")
	}
}
