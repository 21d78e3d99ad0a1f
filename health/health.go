// Package health answers the questions that others ask about a running sensor:
// load balancers whether it captures, the service manager whether it still
// advances, Prometheus for figures.
//
// There are three listeners, each of its own:
//
//	listen      HTTP: /healthz, /readyz, and what is mounted, as /metrics. On loopback by
//	            default. Beyond loopback it takes TLS, and a token for all but the two
//	            health answers, which then say no more than yes or no.
//	probe_http  HTTP: /healthz and /readyz, yes or no, for load balancers.
//	probe_tcp   TCP: connections are accepted while capture runs, and refused while it does not.
//
// /healthz is 200 while capture runs, else 503; /readyz is 200 once packets are
// taken and the first records can come, else 503. What they answer follows from
// two functions of the caller.
//
// Connections, headers, bodies and times are bounded, so that nobody who
// reaches a listener can hold up more than that listener.
package health

import (
	"errors"
	"fmt"
	"net/netip"
)

// Config of the listeners.
type Config struct {
	Listen    string `toml:"listen" comment:"Address and port of /healthz, /readyz and /metrics. Beyond loopback it needs the three files below.\nEmpty: none"`
	TokenFile string `toml:"token_file" comment:"File with the token that requests for more than health must carry (Authorization: Bearer …), at least 16\ncharacters, not readable by everyone. Read again at reload"`
	CertFile  string `toml:"cert_file" comment:"Certificate chain, PEM. Read again at reload"`
	KeyFile   string `toml:"key_file" comment:"Key of the certificate, PEM"`

	ProbeHTTP string `toml:"probe_http" comment:"Address and port for HTTP health checks by load balancers, on the management side: /healthz and /readyz\nwithout TLS or token, which say yes or no and nothing else. Empty: none"`
	ProbeTCP  string `toml:"probe_tcp" comment:"Address and port for TCP health checks: connections are accepted while capture runs. Empty: none"`

	MaxConnections int `toml:"max_connections" comment:"Connections that each of them has at the same time; further ones are closed at once"`
}

// DefaultConfig serves loopback alone.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:9478", MaxConnections: 64} }

// Validate tells every field that cannot be used. Files are read by Open.
func (c *Config) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	taken := map[string]netip.AddrPort{}
	for _, l := range []struct{ field, address string }{{"listen", c.Listen}, {"probe_http", c.ProbeHTTP}, {"probe_tcp", c.ProbeTCP}} {
		if l.address == "" {
			continue
		}
		at, err := netip.ParseAddrPort(l.address)
		if err != nil {
			bad(l.field, "%q is no IP address with a port, as 127.0.0.1:9478 or [::1]:9478; all addresses are 0.0.0.0 or [::]", l.address)
		} else if at.Port() == 0 && l.field == "probe_tcp" {
			bad(l.field, "%q has no port", l.address) // the system would take back one that it had chosen
		}
		for _, other := range []string{"listen", "probe_http"} {
			if o, ok := taken[other]; ok && err == nil && collide(o, at) {
				bad(l.field, "%s is where %s is (%s): give each a port of its own", l.address, other, o)
				break
			}
		}
		if err == nil {
			taken[l.field] = at
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("cert_file", "goes with key_file")
	}
	if c.exposed() {
		for _, f := range []struct{ field, value string }{{"token_file", c.TokenFile}, {"cert_file", c.CertFile}} {
			if f.value == "" {
				bad(f.field, "is needed, as %s is beyond loopback; probe_http needs none", c.Listen)
			}
		}
	}
	if c.MaxConnections < 1 {
		bad("max_connections", "%d is less than 1", c.MaxConnections)
	}
	return errors.Join(errs...)
}

// collide tells whether two listeners cannot be there at once. One on all
// addresses is on those of both families, however it is written.
func collide(a, b netip.AddrPort) bool {
	x, y := a.Addr().Unmap(), b.Addr().Unmap()
	return a.Port() == b.Port() && a.Port() != 0 && (x == y || x.IsUnspecified() || y.IsUnspecified())
}

// exposed tells whether others than this machine reach Listen.
func (c *Config) exposed() bool {
	at, err := netip.ParseAddrPort(c.Listen)
	return err == nil && !at.Addr().Unmap().IsLoopback()
}

// State is asked at each request and, for ProbeTCP, ten times a second; from any
// goroutine. An error says why not; it is told to those who may know.
type State struct {
	Healthy func() error // capture runs
	Ready   func() error // and records come
}
