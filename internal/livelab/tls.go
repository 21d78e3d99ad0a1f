//go:build linux

package livelab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// ServerName is the name in the servers' certificate, which clients ask for.
const ServerName = "lab.example"

// secure makes the certificate and what both ends trust.
func (s *session) secure() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ServerName}, DNSNames: []string{ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(cert)
	s.server = &tls.Config{
		MinVersion: s.TLS, MaxVersion: s.TLS,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}},
	}
	s.client = &tls.Config{MinVersion: s.TLS, MaxVersion: s.TLS, ServerName: ServerName, RootCAs: trusted}
	return nil
}
