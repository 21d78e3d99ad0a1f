package netlab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// serverName is the name in the server's certificate.
const serverName = "lab.example"

// authority signs the certificates of the lab. It lives as long as the process.
var authority = sync.OnceValues(func() (*issuer, error) {
	return newIssuer(nil, "Lab Root", 0)
})

// issuer is a certificate with its key.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newIssuer makes a certificate that may sign others, filled up with so many octets.
func newIssuer(parent *issuer, name string, fill int) (*issuer, error) {
	return issue(parent, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		ExtraExtensions: filling(fill),
	})
}

// filling is an extension that nobody knows, of so many octets.
func filling(octets int) []pkix.Extension {
	if octets == 0 {
		return nil
	}
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}, Value: payload[:octets]}}
}

func issue(parent *issuer, cert *x509.Certificate) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if cert.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, err
	}
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	signer := &issuer{cert, key}
	if parent != nil {
		signer = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	return &issuer{parsed, key}, err
}

// certificate makes a certificate for an end. The chain behind it takes up so many
// octets more, in pieces of at most 4000.
func certificate(name string, use x509.ExtKeyUsage, chain int) (tls.Certificate, error) {
	parent, err := authority()
	if err != nil {
		return tls.Certificate{}, err
	}
	var links [][]byte
	for chain > 0 {
		fill := min(chain, 4000)
		chain -= fill
		if parent, err = newIssuer(parent, fmt.Sprintf("Lab Intermediate %d", len(links)+1), fill); err != nil {
			return tls.Certificate{}, err
		}
		links = append([][]byte{parent.cert.Raw}, links...)
	}
	leaf, err := issue(parent, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	})
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: append([][]byte{leaf.cert.Raw}, links...), PrivateKey: leaf.key, Leaf: leaf.cert}, nil
}

// trusted is what both ends of the lab trust.
func trusted() (*x509.CertPool, error) {
	root, err := authority()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	return pool, nil
}

// slowKey is a key that takes its time, as one in a module or a service does.
type slowKey struct {
	crypto.Signer
	takes time.Duration
}

func (k slowKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	time.Sleep(k.takes)
	return k.Signer.Sign(random, digest, opts)
}

// files writes a certificate, its chain, its key and the root for programs that
// read files: NAME.pem, NAME-chain.pem, NAME.key and root.pem.
func files(dir, name string, c tls.Certificate) error {
	root, err := authority()
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	block := func(kind string, all ...[]byte) (out []byte) {
		for _, der := range all {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		}
		return out
	}
	write := func(name string, b []byte) error { return os.WriteFile(filepath.Join(dir, name), b, 0o600) }
	return errors.Join(
		write(name+".pem", block("CERTIFICATE", c.Certificate[0])),
		write(name+"-chain.pem", block("CERTIFICATE", c.Certificate[1:]...)),
		write(name+".key", block("PRIVATE KEY", key)),
		write("root.pem", block("CERTIFICATE", root.cert.Raw)),
	)
}
