package csv

import (
	"encoding/hex"
	"slices"

	"mirrorscope/session"
	"mirrorscope/sink"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// tlsColumns are what the clear-text part of TLS told. Of the certificates
// there is the server's own.
var tlsColumns = func() []column {
	info := func(r *row) *tlsmeta.Info { return &r.TLS.Info }
	hello := func(r *row) bool { return sink.HelloKnown(info(r)) }
	anyCertificate := func(r *row) bool { return len(r.TLS.Certificates) > 0 }
	leaf := func(r *row) *tlsmeta.Certificate { return &r.TLS.Certificates[0] }
	time := func(name string, get func(*session.Handshake) int64) column {
		return micros("tls_handshake_"+name, func(r *row) int64 { return get(&r.TLS.Handshake) })
	}
	return slices.Concat(
		[]column{
			text("tls_version", func(r *row) string { return tlsmeta.VersionName(r.TLS.Version) }),
			text("tls_version_offered", func(r *row) string { return tlsmeta.VersionName(r.TLS.Offered) }),
		},
		helloColumns("tls_", info),
		[]column{
			when(hello, boolean("tls_sslv2_hello", func(r *row) bool { return r.TLS.SSLv2Hello })),
			when(func(r *row) bool { return r.TLS.ClientCertificateKnown }, boolean("tls_client_certificate", func(r *row) bool { return r.TLS.ClientCertificate })),
			text("tls_starttls", func(r *row) string { return r.TLS.STARTTLS }),
			when(anyCertificate, text("tls_certificate_subject", func(r *row) string { return leaf(r).Subject })),
			when(anyCertificate, text("tls_certificate_issuer", func(r *row) string { return leaf(r).Issuer })),
			when(anyCertificate, list("tls_certificate_san", func(r *row) int { return len(leaf(r).SAN) }, func(r *row, i int) string { return leaf(r).SAN[i] })),
			when(anyCertificate, column{"tls_certificate_not_after", func(dst []byte, r *row) []byte {
				if !sink.DateKnown(leaf(r).NotAfter) {
					return dst
				}
				return sink.AppendDate(dst, leaf(r).NotAfter)
			}}),
			when(anyCertificate, column{"tls_certificate_sha256", func(dst []byte, r *row) []byte { return hex.AppendEncode(dst, leaf(r).SHA256[:]) }}),
			when(func(r *row) bool { return anyCertificate(r) || r.TLS.CertificatesCut },
				boolean("tls_certificates_cut", func(r *row) bool { return r.TLS.CertificatesCut })),
		},
		verdictColumns("tls_", info),
		[]column{
			{"tls_handshake_state", func(dst []byte, r *row) []byte { return append(dst, r.TLS.Handshake.State.String()...) }},
			{"tls_handshake_reasons", func(dst []byte, r *row) []byte {
				return appendReasons(dst, r.TLS.Handshake.State, r.TLS.Handshake.Reasons)
			}},
			time("total_us", func(h *session.Handshake) int64 { return h.Total }),
			time("perceived_us", func(h *session.Handshake) int64 { return h.Perceived }),
			time("network_us", func(h *session.Handshake) int64 { return h.Network }),
			time("server_us", func(h *session.Handshake) int64 { return h.Server }),
			time("client_us", func(h *session.Handshake) int64 { return h.Client }),
		},
	)
}()

// helloColumns are what the two hellos told, over TCP or QUIC.
func helloColumns(prefix string, of func(*row) *tlsmeta.Info) []column {
	hello := func(r *row) bool { return sink.HelloKnown(of(r)) }
	return []column{
		text(prefix+"sni", func(r *row) string { return of(r).SNI }),
		list(prefix+"alpn_offered", func(r *row) int { return len(of(r).ALPNOffered) }, func(r *row, i int) string { return of(r).ALPNOffered[i] }),
		text(prefix+"alpn", func(r *row) string { return of(r).ALPN }),
		when(func(r *row) bool { return sink.CipherKnown(of(r)) }, text(prefix+"cipher", func(r *row) string { return tlsmeta.CipherName(of(r).Cipher) })),
		text(prefix+"group", func(r *row) string { return tlsmeta.GroupName(of(r).Group) }),
		text(prefix+"ja3", func(r *row) string { return of(r).JA3 }),
		text(prefix+"ja3s", func(r *row) string { return of(r).JA3S }),
		text(prefix+"ja4", func(r *row) string { return of(r).JA4 }),
		when(func(r *row) bool { return of(r).Version != 0 }, boolean(prefix+"hello_retry", func(r *row) bool { return of(r).HelloRetry })),
		when(func(r *row) bool { return sink.ResumedKnown(of(r)) }, boolean(prefix+"resumed", func(r *row) bool { return of(r).Resumed })),
		when(func(r *row) bool { return sink.RefusedKnown(of(r)) }, boolean(prefix+"resumption_refused", func(r *row) bool { return of(r).Refused })),
		when(hello, text(prefix+"early_data", func(r *row) string { return of(r).EarlyData.String() })),
		when(hello, boolean(prefix+"ech", func(r *row) bool { return of(r).ECH })),
		when(hello, boolean(prefix+"esni", func(r *row) bool { return of(r).ESNI })),
	}
}

// verdictColumns are how a handshake ended.
func verdictColumns(prefix string, of func(*row) *tlsmeta.Info) []column {
	alert := func(r *row) bool { return of(r).Alert != nil }
	return []column{
		when(alert, text(prefix+"alert_by", func(r *row) string { return sink.AlertBy(of(r).Alert) })),
		when(alert, text(prefix+"alert_level", func(r *row) string { return tlsmeta.AlertLevelName(of(r).Alert.Level) })),
		when(alert, text(prefix+"alert_description", func(r *row) string { return tlsmeta.AlertName(of(r).Alert.Description) })),
		text(prefix+"outcome", func(r *row) string { return of(r).Outcome.String() }),
	}
}

// quicColumns are what a QUIC connection told.
var quicColumns = func() []column {
	info := func(r *row) *tlsmeta.Info { return &r.QUIC.Info.Info }
	closed := func(r *row) bool { return r.QUIC.Close.Known }
	spins := func(r *row) bool { return r.QUIC.Spin.Known }
	half := func(ns int64) int64 {
		if ns == 0 {
			return tcp.Absent
		}
		return ns
	}
	return slices.Concat(
		[]column{
			when(func(r *row) bool { return r.QUIC.Version != 0 },
				column{"quic_version", func(dst []byte, r *row) []byte { return sink.AppendQUICVersion(dst, r.QUIC.Version) }}),
			{"quic_server_versions", func(dst []byte, r *row) []byte {
				for i, v := range r.QUIC.ServerVersions {
					dst = sink.AppendQUICVersion(separate(dst, i > 0), v)
				}
				return dst
			}},
			text("quic_tls_version", func(r *row) string { return tlsmeta.VersionName(info(r).Version) }),
		},
		helloColumns("quic_", info),
		verdictColumns("quic_", info),
		[]column{
			when(closed, text("quic_close_by", func(r *row) string { return sink.ClosedBy(&r.QUIC.Close) })),
			when(closed, column{"quic_close_code", func(dst []byte, r *row) []byte { return sink.AppendUint(dst, r.QUIC.Close.Code) }}),
			boolean("quic_version_negotiation", func(r *row) bool { return r.QUIC.VersionNegotiation }),
			boolean("quic_retry", func(r *row) bool { return r.QUIC.Retry }),
			boolean("quic_zero_rtt", func(r *row) bool { return r.QUIC.ZeroRTT }),
			{"quic_handshake_state", func(dst []byte, r *row) []byte {
				s, _ := sink.QUICState(r.QUIC)
				return append(dst, s.String()...)
			}},
			{"quic_handshake_reasons", func(dst []byte, r *row) []byte {
				s, why := sink.QUICState(r.QUIC)
				return appendReasons(dst, s, why)
			}},
			micros("quic_handshake_rtt_us", func(r *row) int64 { return r.QUIC.Handshake.RTT }),
			micros("quic_handshake_client_us", func(r *row) int64 { return r.QUIC.Handshake.Client }),
			micros("quic_handshake_server_us", func(r *row) int64 { return r.QUIC.Handshake.Server }),
			micros("quic_handshake_total_us", func(r *row) int64 { return r.QUIC.Handshake.Total }),
			when(spins, number("quic_spin_rtt_samples", func(r *row) int64 { return r.QUIC.Spin.Samples })),
			when(spins, micros("quic_spin_rtt_min_us", func(r *row) int64 { return r.QUIC.Spin.Min })),
			when(spins, micros("quic_spin_rtt_p50_us", func(r *row) int64 { return r.QUIC.Spin.P50 })),
			when(spins, micros("quic_spin_rtt_client_min_us", func(r *row) int64 { return half(r.QUIC.Spin.ClientMin) })),
			when(spins, micros("quic_spin_rtt_server_min_us", func(r *row) int64 { return half(r.QUIC.Spin.ServerMin) })),
			number("quic_packets_initial", func(r *row) int64 { return r.QUIC.Initials }),
			number("quic_packets_long", func(r *row) int64 { return r.QUIC.Long }),
			number("quic_packets_short", func(r *row) int64 { return r.QUIC.Short }),
			number("quic_packets_duplicate", func(r *row) int64 { return r.QUIC.Duplicates }),
			number("quic_losses_undecryptable", func(r *row) int64 { return r.QUIC.Undecryptable }),
			number("quic_losses_cut", func(r *row) int64 { return r.QUIC.Cut }),
			number("quic_losses_malformed", func(r *row) int64 { return r.QUIC.Malformed }),
			number("quic_losses_dropped", func(r *row) int64 { return r.QUIC.Dropped }),
		},
	)
}()
