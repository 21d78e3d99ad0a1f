package health

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func TestDefaultConfig(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.exposed() {
		t.Error("the default is beyond loopback")
	}
	text, err := toml.Marshal(c)
	if err != nil || !strings.Contains(string(text), "# Address and port of /healthz") || !strings.Contains(string(text), "probe_tcp = ''") {
		t.Errorf("%v in\n%s", err, text)
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name string
		c    Config
		want []string // fields
	}{
		{"nothing is open", Config{MaxConnections: 1}, nil},
		{"loopback", Config{Listen: "127.8.8.8:1", MaxConnections: 1}, nil},
		{"loopback of IPv6", Config{Listen: "[::1]:1", MaxConnections: 1}, nil},
		{"loopback, mapped", Config{Listen: "[::ffff:127.0.0.1]:1", MaxConnections: 1}, nil},
		{"probes anywhere", Config{ProbeHTTP: "0.0.0.0:1", ProbeTCP: "[2001:db8::1]:2", MaxConnections: 1}, nil},
		{"a port alone is no address", Config{Listen: ":9478", ProbeHTTP: "localhost:1", ProbeTCP: "1.2.3.4", MaxConnections: 1}, []string{"listen", "probe_http", "probe_tcp"}},
		{"a port that must stay", Config{ProbeTCP: "127.0.0.1:0", MaxConnections: 1}, []string{"probe_tcp"}},
		{"beyond loopback, bare", Config{Listen: "10.0.0.1:1", MaxConnections: 1}, []string{"token_file", "cert_file"}},
		{"all addresses", Config{Listen: "[::]:1", TokenFile: "t", MaxConnections: 1}, []string{"cert_file"}},
		{"all of IPv4, mapped", Config{Listen: "[::ffff:0.0.0.0]:1", CertFile: "c", KeyFile: "k", MaxConnections: 1}, []string{"token_file"}},
		{"beyond loopback, complete", Config{Listen: "10.0.0.1:1", TokenFile: "t", CertFile: "c", KeyFile: "k", MaxConnections: 1}, nil},
		{"half a certificate", Config{Listen: "127.0.0.1:1", CertFile: "c", MaxConnections: 1}, []string{"cert_file"}},
		{"one port, two addresses", Config{Listen: "127.0.0.1:1", ProbeHTTP: "127.0.0.2:1", ProbeTCP: "[::1]:1", MaxConnections: 1}, nil},
		{"any port", Config{Listen: "127.0.0.1:0", ProbeHTTP: "127.0.0.1:0", MaxConnections: 1}, nil},
		{"one place", Config{Listen: "127.0.0.1:1", ProbeHTTP: "127.0.0.1:1", MaxConnections: 1}, []string{"probe_http"}},
		{"one place, mapped", Config{Listen: "127.0.0.1:1", ProbeTCP: "[::ffff:127.0.0.1]:1", MaxConnections: 1}, []string{"probe_tcp"}},
		{"one place for all", Config{Listen: "127.0.0.1:1", ProbeHTTP: "127.0.0.1:1", ProbeTCP: "127.0.0.1:1", MaxConnections: 1}, []string{"probe_http", "probe_tcp"}},
		{"all addresses and one of them", Config{ProbeHTTP: "0.0.0.0:1", ProbeTCP: "127.0.0.1:1", MaxConnections: 1}, []string{"probe_tcp"}},
		{"no connections", Config{}, []string{"max_connections"}},
	} {
		err := test.c.Validate()
		if (err != nil) != (test.want != nil) {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, field := range test.want {
			if !strings.Contains(err.Error(), field+":") {
				t.Errorf("%s: no word of %s in %q", test.name, field, err)
			}
		}
		if test.want != nil && strings.Count(err.Error(), "\n")+1 != len(test.want) {
			t.Errorf("%s: %q, want %q", test.name, err, test.want)
		}
	}
}

// What collides is what the system refuses.
func TestCollide(t *testing.T) {
	addresses := []string{"127.0.0.1", "127.0.0.2", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1"}
	for _, a := range addresses {
		first, err := listen(net.JoinHostPort(a, "0"))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(first.Addr().String())
		for _, b := range addresses {
			second, err := listen(net.JoinHostPort(b, port))
			if err == nil {
				second.Close()
			}
			if got := collide(netip.MustParseAddrPort(net.JoinHostPort(a, port)), netip.MustParseAddrPort(net.JoinHostPort(b, port))); got != (err != nil) {
				t.Errorf("%s beside %s: %v, and the system says %v", b, a, got, err)
			}
		}
		first.Close()
	}
}
