package cloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// maxCause bounds the text of an error that came from elsewhere, octets.
const maxCause = 400

// Cause gives the part of an error of a client that tells an operator something, in
// words that are the same each time: what could not be reached and why, without the
// layers of the client, the local port, or the id of the request. code and message are
// what the API has answered; "", "" where there was no answer.
func Cause(err error, code, message string) error {
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var file *os.PathError
	switch {
	case code != "" || message != "":
		return errors.New(short(strings.TrimPrefix(code+": "+message, ": ")))
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	case errors.As(err, &dns):
		return fmt.Errorf("look up %s: %s", dns.Name, dns.Err)
	case errors.As(err, &certificate):
		return fmt.Errorf("the certificate of %s is not trusted: %s", host(err), short(certificate.Err.Error()))
	case errors.As(err, &op):
		to := ""
		if op.Addr != nil {
			to = " " + op.Addr.String()
		}
		return fmt.Errorf("%s%s: %w", op.Op, to, innermost(op.Err))
	case errors.As(err, &file):
		return file
	}
	return errors.New(short(err.Error()))
}

// host is where a request went to, as far as the error tells.
func host(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if at, err := url.Parse(u.URL); err == nil && at.Host != "" {
			return at.Host
		}
	}
	return "the server"
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// short gives one line of a text, and not too much of it.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxCause {
		return s
	}
	cut := maxCause
	for cut > 0 && s[cut]&0xc0 == 0x80 { // inside a character
		cut--
	}
	return s[:cut] + " …"
}

// Unreachable tells what to do where an API gave no answer; "" where it did.
func Unreachable(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return "see whether this machine can resolve names, by /etc/resolv.conf"
	case errors.As(err, &op) && errors.Is(err, os.ErrPermission):
		return "the sensor may not connect to that port: is a proxy or another address set that it was not told of? Under systemd, IPAddressAllow= must admit the address (see docs/how-to of this cloud)"
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded), errors.Is(err, http.ErrHandlerTimeout):
		return "let this machine connect to the API by HTTPS: route, security group, proxy or private endpoint; under systemd, IPAddressAllow= must admit it as well"
	}
	return ""
}

// Reach is what a process that speaks to clouds must still be able to read and to
// connect to once it has given up its rights.
type Reach struct {
	Files []string // absolute; directories, or files whose directory is meant
	Ports []uint16 // of TCP
}

// Add adds another's.
func (r *Reach) Add(o Reach) {
	r.Files = append(r.Files, o.Files...)
	r.Ports = append(r.Ports, o.Ports...)
	slices.Sort(r.Files)
	slices.Sort(r.Ports)
	r.Files, r.Ports = slices.Compact(r.Files), slices.Compact(r.Ports)
}

// AddURL adds the port of an address, as a proxy's. What is none adds nothing.
func (r *Reach) AddURL(address string) {
	if address == "" {
		return
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return
	}
	service := u.Port()
	if service == "" {
		service = u.Scheme
	}
	if port, err := net.LookupPort("tcp", service); err == nil && port > 0 {
		r.Add(Reach{Ports: []uint16{uint16(port)}})
	}
}

// Client is what any client of HTTPS reaches: names, certificates, the API's port, the
// machine's own metadata service by HTTP, DNS where it falls back to TCP, and proxies.
func Client() Reach {
	r := Reach{
		// Directories, as whatever writes these files puts another in its place. Those of
		// certificates are where crypto/x509 looks, and where the links there lead.
		Files: []string{
			"/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates",
			"/usr/local/share/ca-certificates", "/usr/share/pki", "/var/lib/ca-certificates", "/usr/local/etc/ssl",
		},
		Ports: []uint16{53, 80, 443},
	}
	for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} {
		for _, path := range strings.Split(os.Getenv(name), ":") {
			r.AddFile(path)
		}
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		r.AddURL(os.Getenv(name))
	}
	return r
}

// AddFile adds a file or directory, if it is an absolute one.
func (r *Reach) AddFile(path string) {
	if strings.HasPrefix(path, "/") {
		r.Add(Reach{Files: []string{path}})
	}
}
