package health

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
)

// tokenLen is the least, in characters.
const tokenLen = 16

// guard holds what Listen asks of its clients. Both change at reload.
type guard struct {
	cfg   Config
	token atomic.Pointer[[sha256.Size]byte] // nil: none is asked for
	cert  atomic.Pointer[tls.Certificate]   // nil: no TLS
}

// load reads the files. Either all of them hold from then on, or none.
func (g *guard) load() error {
	var token *[sha256.Size]byte
	var cert *tls.Certificate
	if path := g.cfg.TokenFile; path != "" {
		text, err := readToken(path)
		if err != nil {
			return fmt.Errorf("token_file: %w", err)
		}
		sum := sha256.Sum256(text)
		token = &sum
	}
	if g.cfg.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(g.cfg.CertFile, g.cfg.KeyFile)
		if err != nil {
			return fmt.Errorf("cert_file, key_file: %w", err)
		}
		cert = &pair
	}
	g.token.Store(token)
	g.cert.Store(cert)
	return nil
}

func readToken(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s can be read by everyone: chmod o= %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if text = bytes.TrimSpace(text); len(text) < tokenLen {
		return nil, fmt.Errorf("%s holds %d characters, and needs %d", path, len(text), tokenLen)
	}
	return text, nil
}

// protect asks for the token, where there is one.
func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := g.token.Load(); want != nil {
			scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			got := sha256.Sum256([]byte(strings.TrimSpace(token)))
			if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				w.Header().Set("WWW-Authenticate", `Bearer realm="sensor"`)
				http.Error(w, "a token is needed", http.StatusUnauthorized)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// listen adds TLS, where there is a certificate.
func (g *guard) listen(l net.Listener) net.Listener {
	if g.cfg.CertFile == "" {
		return l
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return g.cert.Load(), nil },
	})
}
