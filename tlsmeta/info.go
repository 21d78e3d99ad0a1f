// Package tlsmeta reads the clear-text part of TLS and DTLS handshakes, and of
// what two ends say before they turn to TLS.
//
// It keeps what anyone on the path can see (SNI, ALPN, versions, cipher suites,
// certificates, JA3 and JA4) and never payload. Parsers alias their input, keep
// no reference to it after returning, and do not allocate; what makes strings
// does. Every octet may be hostile: what contradicts itself is an error or counts
// as absent, and all that is kept is bounded.
//
// RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2), RFC 6101 (SSL 3.0), RFC 6347 and 9147
// (DTLS), RFC 6066 section 3 (SNI), RFC 7301 (ALPN), RFC 5280 (certificates).
package tlsmeta

// Info is what the clear-text part of one TLS connection told. Numbers are
// those of the IANA registries; 0 and "" are unknown unless said otherwise. What
// its strings and lists refer to may be shared by many, and never changes.
type Info struct {
	Version     uint16 // negotiated: of the ServerHello, with supported_versions (0x0304 is TLS 1.3); 0xfeff, 0xfefd and 0xfefc are DTLS
	Offered     uint16 // the highest version that the ClientHello offers
	SNI         string // server_name of the first ClientHello (RFC 6066 section 3); with ECH the outer one; escaped where it is not printable UTF-8, as all strings here
	ALPNOffered []string
	ALPN        string // of the ServerHello; encrypted in TLS 1.3
	Cipher      uint16
	Group       uint16 // key exchange: key_share of the ServerHello, named curve of the ServerKeyExchange
	JA3, JA3S   string // MD5 in hex
	JA4         string

	SSLv2Hello bool // the ClientHello came in the form of SSLv2
	HelloRetry bool
	Resumed    bool // pre_shared_key in the ServerHello, or an abbreviated handshake
	Refused    bool // a ticket or key was offered, and the ServerHello did not take it
	EarlyData  EarlyData
	ECH, ESNI  bool // the ClientHello has the extension; clients without a configuration for ECH send random octets in it

	// ClientCertificate tells whether the client sent one: in TLS 1.2 its
	// Certificate message held any, in 1.3 its second flight is larger than a
	// Finished. Known is false where that was not recorded.
	ClientCertificate, ClientCertificateKnown bool

	STARTTLS string // protocol in which TLS was asked for: smtp imap pop3 ftp ldap xmpp postgresql mysql, http_connect, proxy; several are joined by "+"

	Certificates       []Certificate // of the server, leaf first; TLS 1.2 and below
	ClientCertificates []Certificate
	CertificatesCut    bool // there were more, or one could not be read

	Alert   *Alert // the first fatal alert in the clear, else the first but close_notify
	Outcome Outcome

	offer offer
}

// Certificate is what is kept of an X.509 certificate (RFC 5280).
type Certificate struct {
	Subject, Issuer     string   // RFC 4514; at most 1024 octets
	SAN                 []string // DNS names, IP addresses, mail addresses and URIs as they stand
	SANCut              bool     // there are more of them
	NotBefore, NotAfter int64    // s since the Unix epoch
	SHA256              [32]byte
}

// Alert of a connection (RFC 8446 section 6).
type Alert struct {
	Client             bool // who sent it
	Level, Description uint8
}

// EarlyData says what became of early data (RFC 8446 section 4.2.10).
type EarlyData uint8

const (
	EarlyNone EarlyData = iota
	EarlyOffered
	EarlyAccepted
	EarlyRejected
)

func (e EarlyData) String() string {
	return [...]string{"none", "offered", "accepted", "rejected"}[e]
}

// Outcome of a handshake.
type Outcome uint8

const (
	OutcomeNone         Outcome = iota
	Completed                   // both Finished were recorded
	Failed                      // ended by an alert in the clear
	FailedEncrypted             // ended by what must be an encrypted alert
	FailedAfterFinished         // the client's Finished was recorded, then the server ended it with an alert
	Abandoned                   // closed, reset or silent before it was complete
	Incomplete                  // not recorded to its end
	NotTLS                      // one side spoke something else
)

func (o Outcome) String() string {
	return [...]string{"", "completed", "failed", "failed_encrypted", "failed_after_finished", "abandoned", "incomplete", "not_tls"}[o]
}
