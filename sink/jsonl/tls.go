package jsonl

import (
	"strconv"

	"mirrorscope/session"
	"mirrorscope/sink"
	"mirrorscope/tlsmeta"
)

// tls adds what the clear-text part of a TLS or DTLS connection told.
func (e *Encoder) tls(dst []byte, t *session.TLS) []byte {
	i := &t.Info
	dst = append(dst, `,"tls":{`...)
	dst = appendText(dst, "version", tlsmeta.VersionName(i.Version))
	dst = appendText(dst, "version_offered", tlsmeta.VersionName(i.Offered))
	dst = appendHellos(dst, i)
	if sink.HelloKnown(i) {
		dst = appendBool(dst, "sslv2_hello", i.SSLv2Hello)
	}
	if i.ClientCertificateKnown {
		dst = appendBool(dst, "client_certificate", i.ClientCertificate)
	}
	dst = appendText(dst, "starttls", i.STARTTLS)
	dst = appendCertificates(dst, "certificates", i.Certificates)
	if len(i.Certificates) > 0 || i.CertificatesCut {
		dst = appendBool(dst, "certificates_cut", i.CertificatesCut)
	}
	dst = appendCertificates(dst, "client_certificates", i.ClientCertificates)
	dst = appendVerdict(dst, i)
	h := &t.Handshake
	dst = e.state(append(appendKey(dst, "handshake"), '{'), h.State, h.Reasons)
	dst = appendDuration(dst, `,"total_us":`, h.Total)
	dst = appendDuration(dst, `,"perceived_us":`, h.Perceived)
	dst = appendDuration(dst, `,"network_us":`, h.Network)
	dst = appendDuration(dst, `,"server_us":`, h.Server)
	dst = appendDuration(dst, `,"client_us":`, h.Client)
	return append(dst, "}}"...)
}

// appendHellos adds what the two hellos told, over TCP or QUIC.
func appendHellos(dst []byte, i *tlsmeta.Info) []byte {
	dst = appendText(dst, "sni", i.SNI)
	dst = appendList(dst, "alpn_offered", i.ALPNOffered)
	dst = appendText(dst, "alpn", i.ALPN)
	if sink.CipherKnown(i) {
		dst = appendText(dst, "cipher", tlsmeta.CipherName(i.Cipher))
	}
	dst = appendText(dst, "group", tlsmeta.GroupName(i.Group))
	dst = appendText(dst, "ja3", i.JA3)
	dst = appendText(dst, "ja3s", i.JA3S)
	dst = appendText(dst, "ja4", i.JA4)
	if i.Version != 0 {
		dst = appendBool(dst, "hello_retry", i.HelloRetry)
	}
	if sink.ResumedKnown(i) {
		dst = appendBool(dst, "resumed", i.Resumed)
	}
	if sink.RefusedKnown(i) {
		dst = appendBool(dst, "resumption_refused", i.Refused)
	}
	if sink.HelloKnown(i) {
		dst = appendText(dst, "early_data", i.EarlyData.String())
		dst = appendBool(dst, "ech", i.ECH)
		dst = appendBool(dst, "esni", i.ESNI)
	}
	return dst
}

func appendCertificates(dst []byte, name string, list []tlsmeta.Certificate) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(appendKey(dst, name), '[')
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		c := &list[i]
		dst = append(dst, '{')
		dst = appendText(dst, "subject", c.Subject)
		dst = appendText(dst, "issuer", c.Issuer)
		dst = appendList(dst, "san", c.SAN)
		if c.SANCut {
			dst = appendBool(dst, "san_cut", true)
		}
		dst = appendDate(dst, "not_before", c.NotBefore)
		dst = appendDate(dst, "not_after", c.NotAfter)
		dst = append(appendHex(appendKey(dst, "sha256"), c.SHA256[:]), '}')
	}
	return append(dst, ']')
}

// appendVerdict adds how a handshake ended.
func appendVerdict(dst []byte, i *tlsmeta.Info) []byte {
	if a := i.Alert; a != nil {
		dst = append(appendKey(dst, "alert"), '{')
		dst = appendText(dst, "by", sink.AlertBy(a))
		dst = appendText(dst, "level", tlsmeta.AlertLevelName(a.Level))
		dst = append(appendText(dst, "description", tlsmeta.AlertName(a.Description)), '}')
	}
	return appendText(dst, "outcome", i.Outcome.String())
}

// quic adds what a QUIC connection told.
func (e *Encoder) quic(dst []byte, q *session.QUIC) []byte {
	i := &q.Info
	dst = append(dst, `,"quic":{`...)
	if i.Version != 0 {
		dst = append(sink.AppendQUICVersion(append(appendKey(dst, "version"), '"'), i.Version), '"')
	}
	for n, v := range i.ServerVersions {
		if n == 0 {
			dst = append(appendKey(dst, "server_versions"), `["`...)
		} else {
			dst = append(dst, `","`...)
		}
		dst = sink.AppendQUICVersion(dst, v)
	}
	if len(i.ServerVersions) > 0 {
		dst = append(dst, `"]`...)
	}
	dst = appendText(dst, "tls_version", tlsmeta.VersionName(i.Info.Version))
	dst = appendHellos(dst, &i.Info)
	dst = appendVerdict(dst, &i.Info)
	if i.Close.Known {
		dst = append(appendKey(dst, "close"), '{')
		dst = appendUint(appendText(dst, "by", sink.ClosedBy(&i.Close)), `,"code":`, i.Close.Code)
		dst = append(dst, '}')
	}
	dst = appendBool(dst, "version_negotiation", i.VersionNegotiation)
	dst = appendBool(dst, "retry", i.Retry)
	dst = appendBool(dst, "zero_rtt", i.ZeroRTT)

	h := &q.Handshake
	s, why := sink.QUICState(q)
	dst = e.state(append(dst, `,"handshake":{`...), s, why)
	dst = appendDuration(dst, `,"rtt_us":`, h.RTT)
	dst = appendDuration(dst, `,"client_us":`, h.Client)
	dst = appendDuration(dst, `,"server_us":`, h.Server)
	dst = appendDuration(dst, `,"total_us":`, h.Total)
	if x := &i.Spin; x.Known {
		dst = appendInt(dst, `},"spin_rtt":{"samples":`, x.Samples)
		dst = appendDuration(dst, `,"min_us":`, x.Min)
		dst = appendDuration(dst, `,"p50_us":`, x.P50)
		dst = appendSpinHalf(dst, `,"client_min_us":`, x.ClientMin)
		dst = appendSpinHalf(dst, `,"server_min_us":`, x.ServerMin)
	}
	dst = appendInt(dst, `},"packets":{"initial":`, i.Initials)
	dst = appendInt(dst, `,"long":`, i.Long)
	dst = appendInt(dst, `,"short":`, i.Short)
	dst = appendInt(dst, `,"duplicate":`, i.Duplicates)
	dst = appendInt(dst, `},"losses":{"undecryptable":`, i.Undecryptable)
	dst = appendInt(dst, `,"cut":`, i.Cut)
	dst = appendInt(dst, `,"malformed":`, i.Malformed)
	dst = appendInt(dst, `,"dropped":`, i.Dropped)
	return append(dst, "}}"...)
}

// appendSpinHalf adds half of a round trip by the spin bit, of which 0 is not
// known.
func appendSpinHalf(dst []byte, key string, ns int64) []byte {
	if ns == 0 {
		return dst
	}
	return appendDuration(dst, key, ns)
}

// appendKey adds a name, and the comma before it where one is needed.
func appendKey(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(append(append(dst, '"'), name...), `":`...)
}

// appendText adds a string, and nothing for one that is not known.
func appendText(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(appendKey(dst, name), s)
}

// appendList adds strings, and nothing where there are none.
func appendList(dst []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(appendKey(dst, name), '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

func appendBool(dst []byte, name string, b bool) []byte {
	return strconv.AppendBool(appendKey(dst, name), b)
}

// appendDate adds a time of a certificate, in s since the Unix epoch.
func appendDate(dst []byte, name string, s int64) []byte {
	if !sink.DateKnown(s) {
		return dst
	}
	return append(sink.AppendDate(append(appendKey(dst, name), '"'), s), '"')
}
