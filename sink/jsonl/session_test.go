package jsonl

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/httpmeta"
	"mirrorscope/sink/sinktest"
	"mirrorscope/tlsmeta"
)

// us is a duration in ns as it is written, nil for one that is absent.
func us(ns int64) any {
	if ns < 0 {
		return nil
	}
	return json.Number(strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", ns/1000, ns%1000), "0"), "."))
}

func count(n int64) any { return json.Number(fmt.Sprint(n)) }

// clean is a string as it can be read back: with U+FFFD for each octet that is
// no UTF-8.
func clean(s string) any {
	if s == "" {
		return nil
	}
	return string([]rune(s))
}

func cleanList(list []string) any {
	if len(list) == 0 {
		return nil
	}
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = string([]rune(s))
	}
	return out
}

func onlyIf(known bool, v any) any {
	if !known {
		return nil
	}
	return v
}

// compare fails for each path at which something else is than wanted; nil is:
// must be absent.
func compare(t *testing.T, what string, o object, want map[string]any) {
	t.Helper()
	for path, w := range want {
		if got := o.at(path); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", w) {
			t.Errorf("%s: %s = %#v, want %#v", what, path, got, w)
		}
	}
}

func TestTLS(t *testing.T) {
	enc := NewEncoder(sinktest.Sample())
	for n, r := range append(sinktest.Sessions(), sinktest.SessionIntervals()...) {
		o := decode(t, enc.AppendRecord(nil, &r))
		if r.TLS == nil {
			if o["tls"] != nil {
				t.Errorf("record %d has a group tls", n)
			}
			continue
		}
		i := &r.TLS.Info
		want := map[string]any{
			"version_offered": clean(tlsmeta.VersionName(i.Offered)), "version": clean(tlsmeta.VersionName(i.Version)), "starttls": clean(i.STARTTLS),
			"client_certificate": onlyIf(i.ClientCertificateKnown, i.ClientCertificate), "sslv2_hello": onlyIf(i.JA4 != "", i.SSLv2Hello),
			"certificates_cut": onlyIf(i.Certificates != nil, i.CertificatesCut), "outcome": clean(i.Outcome.String()), "alert": nil,
			"handshake.state":    r.TLS.Handshake.State.String(),
			"handshake.total_us": us(r.TLS.Handshake.Total), "handshake.perceived_us": us(r.TLS.Handshake.Perceived), "handshake.network_us": us(r.TLS.Handshake.Network),
			"handshake.server_us": us(r.TLS.Handshake.Server), "handshake.client_us": us(r.TLS.Handshake.Client),
		}
		if i.Alert != nil {
			by := "server"
			if i.Alert.Client {
				by = "client"
			}
			want["alert"] = map[string]any{"by": by, "level": tlsmeta.AlertLevelName(i.Alert.Level), "description": tlsmeta.AlertName(i.Alert.Description)}
		}
		group := object(o["tls"].(map[string]any))
		what := fmt.Sprintf("record %d", n)
		compare(t, what, group, want)
		compare(t, what, group, hellos(i))
		certificates(t, what, group["certificates"], i.Certificates)
		certificates(t, what, group["client_certificates"], i.ClientCertificates)
	}
}

func hellos(i *tlsmeta.Info) map[string]any {
	hello := i.JA4 != ""
	return map[string]any{
		"sni": clean(i.SNI), "alpn_offered": cleanList(i.ALPNOffered), "alpn": clean(i.ALPN), "group": clean(tlsmeta.GroupName(i.Group)),
		"cipher":      onlyIf(i.Version > 2, tlsmeta.CipherName(i.Cipher)),
		"hello_retry": onlyIf(i.Version != 0, i.HelloRetry), "ja3": clean(i.JA3), "ja3s": clean(i.JA3S), "ja4": clean(i.JA4),
		"early_data": onlyIf(hello, i.EarlyData.String()), "ech": onlyIf(hello, i.ECH), "esni": onlyIf(hello, i.ESNI),
	}
}

func certificates(t *testing.T, what string, got any, want []tlsmeta.Certificate) {
	t.Helper()
	list, _ := got.([]any)
	if len(list) != len(want) || want == nil && got != nil {
		t.Errorf("%s: %d certificates, want %d", what, len(list), len(want))
		return
	}
	for n := range want {
		c := &want[n]
		date := map[int64]any{1_700_000_000: "2023-11-14T22:13:20Z", 253402300799: "9999-12-31T23:59:59Z", -1: "1969-12-31T23:59:59Z"}
		compare(t, what, object(list[n].(map[string]any)), map[string]any{
			"subject": clean(c.Subject), "issuer": clean(c.Issuer), "san": cleanList(c.SAN), "san_cut": onlyIf(c.SANCut, true),
			"not_before": date[c.NotBefore], "not_after": date[c.NotAfter], "sha256": hex.EncodeToString(c.SHA256[:]),
		})
	}
}

// What is told of a session that may have been resumed.
func TestResumed(t *testing.T) {
	enc := NewEncoder(sinktest.Sample())
	want := []string{ // by record of Sessions: resumed, resumption_refused
		"true false", "false true", "false <nil>", "<nil> <nil>", "<nil> <nil>", "<nil> <nil>", "false false", "false false",
		"false false", "<nil> <nil>",
	}
	records := sinktest.Sessions()
	for n := range want {
		o := decode(t, enc.AppendRecord(nil, &records[n]))
		group := "tls"
		if records[n].QUIC != nil {
			group = "quic"
		}
		if got := fmt.Sprint(o.at(group+".resumed"), " ", o.at(group+".resumption_refused")); got != want[n] {
			t.Errorf("record %d: %s, want %s", n, got, want[n])
		}
	}
}

func TestQUIC(t *testing.T) {
	enc := NewEncoder(sinktest.Sample())
	seen := 0
	for n, r := range sinktest.Sessions() {
		o := decode(t, enc.AppendRecord(nil, &r))
		if r.QUIC == nil {
			if o["quic"] != nil {
				t.Errorf("record %d has a group quic", n)
			}
			continue
		}
		seen++
		i, h := &r.QUIC.Info, &r.QUIC.Handshake
		what := fmt.Sprintf("record %d", n)
		group := object(o["quic"].(map[string]any))
		spin := func(known bool, v any) any { return onlyIf(known && i.Spin.Known, v) }
		compare(t, what, group, hellos(&i.Info))
		compare(t, what, group, map[string]any{
			"version":         map[uint32]any{1: "1", 0xff00001d: "draft-29"}[i.Version],
			"server_versions": map[int]any{4: []any{"1", "2", "draft-29", "0xfaceb002"}}[len(i.ServerVersions)],
			"tls_version":     clean(tlsmeta.VersionName(i.Info.Version)), "outcome": clean(i.Outcome.String()),
			"close.by": onlyIf(i.Close.Known, "server"), "close.code": onlyIf(i.Close.Known, json.Number("376")),
			"alert.description":   onlyIf(i.Alert != nil, "no_application_protocol"),
			"version_negotiation": i.VersionNegotiation, "retry": i.Retry, "zero_rtt": i.ZeroRTT,
			"handshake.rtt_us": us(h.RTT), "handshake.client_us": us(h.Client), "handshake.server_us": us(h.Server), "handshake.total_us": us(h.Total),
			"spin_rtt.samples": spin(true, count(i.Spin.Samples)), "spin_rtt.min_us": spin(true, us(i.Spin.Min)), "spin_rtt.p50_us": spin(true, us(i.Spin.P50)),
			"spin_rtt.client_min_us": spin(i.Spin.ClientMin > 0, us(i.Spin.ClientMin)), "spin_rtt.server_min_us": spin(i.Spin.ServerMin > 0, us(i.Spin.ServerMin)),
			"packets.initial": count(i.Initials), "packets.long": count(i.Long), "packets.short": count(i.Short), "packets.duplicate": count(i.Duplicates),
			"losses.undecryptable": count(i.Undecryptable), "losses.cut": count(i.Cut), "losses.malformed": count(i.Malformed), "losses.dropped": count(i.Dropped),
		})
		if got, want := fmt.Sprint(group.at("handshake.state"), group.at("handshake.reasons")), []string{"measured<nil>", "unknown[midstream truncated encrypted]", "unknown[midstream]"}[seen-1]; got != want {
			t.Errorf("%s: handshake is %s, want %s", what, got, want)
		}
	}
	if seen != 3 {
		t.Errorf("%d records with QUIC", seen)
	}
}

func TestHTTP(t *testing.T) {
	enc := NewEncoder(sinktest.Sample())
	for n, r := range append(sinktest.Sessions(), sinktest.SessionIntervals()...) {
		o := decode(t, enc.AppendRecord(nil, &r))
		if r.HTTP == nil {
			if o["http"] != nil {
				t.Errorf("record %d has a group http", n)
			}
			continue
		}
		h, whole := r.HTTP, r.Kind == flow.Connection
		what := fmt.Sprintf("record %d", n)
		group := object(o["http"].(map[string]any))
		compare(t, what, group, map[string]any{
			"version": clean(h.Version.String()), "requests": count(h.Requests), "responses": count(h.Responses), "status": status(h.Status),
			"grpc": rpc(h.GRPC, h.GRPCError), "aborted": count(h.Aborted), "missed": count(h.Missed), "orphans": count(h.Orphans),
			"request_bytes": count(h.RequestBytes), "response_bytes": count(h.ResponseBytes), "upgraded": clean(h.Upgraded),
			"losses.lost": count(h.Lost), "losses.malformed": count(h.Malformed), "losses.too_long": count(h.TooLong),
			"losses.no_memory": count(h.NoMemory), "losses.poisoned": count(h.Poisoned), "losses.untracked": count(h.Untracked),
		})
		list, ok := group["endpoints"].([]any)
		if !ok || len(list) != len(h.Endpoints) {
			t.Fatalf("%s: endpoints %v", what, group["endpoints"])
		}
		for i := range list {
			endpoint(t, what, list[i], &h.Endpoints[i], whole)
		}
		if h.Other.Requests > 0 {
			endpoint(t, what, group["other_endpoints"], &h.Other, whole)
		} else if group["other_endpoints"] != nil {
			t.Errorf("%s: there are other endpoints", what)
		}
	}
}

func endpoint(t *testing.T, what string, got any, p *httpmeta.Endpoint, whole bool) {
	t.Helper()
	o := object(got.(map[string]any))
	compare(t, what, o, map[string]any{
		"method": clean(p.Method), "host": clean(p.Host), "path": clean(p.Path), "requests": count(p.Requests), "status": status(p.Status), "grpc": rpc(p.GRPC, p.GRPCError),
	})
	times(t, what, o["response"], &p.Response, whole)
}

func status(n [6]int64) any {
	want := map[string]any{}
	for class, name := range map[int]string{0: "other", 1: "1xx", 2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"} {
		if n[class] != 0 {
			want[name] = count(n[class])
		}
	}
	return want
}

func rpc(all, failed int64) any {
	return onlyIf(all > 0, map[string]any{"ok": count(all - failed), "error": count(failed)})
}

// times compares the times to the responses.
func times(t *testing.T, what string, got any, h *histogram.Histogram, whole bool) {
	t.Helper()
	if h.Count() == 0 {
		if got != nil {
			t.Errorf("%s: times of nothing: %v", what, got)
		}
		return
	}
	o := object(got.(map[string]any))
	p50, _ := h.Quantile(0.5)
	p90, _ := h.Quantile(0.9)
	compare(t, what, o, map[string]any{
		"count": count(int64(h.Count())), "min_us": onlyIf(whole, us(h.Min())), "p50_us": onlyIf(whole, us(int64(p50+0.5))), "p90_us": onlyIf(whole, us(int64(p90+0.5))),
		"max_us": onlyIf(whole, us(h.Max())), "distribution.scale": onlyIf(!whole, count(int64(h.Scale()))), "distribution.count": onlyIf(!whole, count(int64(h.Count()))),
		"distribution.sum_us": onlyIf(!whole, us(h.Sum())),
	})
	if buckets, _ := o.at("distribution.buckets").([]any); !whole && len(buckets) != len(h.Buckets()) {
		t.Errorf("%s: %d buckets, want %d", what, len(buckets), len(h.Buckets()))
	}
}

func TestDNS(t *testing.T) {
	enc := NewEncoder(sinktest.Sample())
	for n, r := range append(sinktest.Sessions(), sinktest.SessionIntervals()...) {
		o := decode(t, enc.AppendRecord(nil, &r))
		if r.DNS == nil {
			if o["dns"] != nil {
				t.Errorf("record %d has a group dns", n)
			}
			continue
		}
		d, whole := r.DNS, r.Kind == flow.Connection
		what := fmt.Sprintf("record %d", n)
		group := object(o["dns"].(map[string]any))
		rcodes := map[string]any{}
		for i, x := range d.RCodes {
			if x != 0 {
				rcodes[dnsmeta.RCodeName(i)] = count(x)
			}
		}
		compare(t, what, group, counts(&d.Counts))
		compare(t, what, group, map[string]any{
			"protocol": d.Protocol.String(), "late": count(d.Late), "unanswerable": count(d.Unanswerable), "unpaired": count(d.Unpaired), "lost": count(d.Lost),
			"dropped": count(d.Dropped), "unsolicited": count(d.Unsolicited), "announced": count(d.Announced), "duplicates": count(d.Duplicates),
			"malformed": count(d.Malformed), "cut": count(d.Cut), "rcodes": rcodes,
		})
		times(t, what, group["response"], &d.Time, whole)
		list, ok := group["names"].([]any)
		if !ok || len(list) != len(d.Names) {
			t.Fatalf("%s: names %v", what, group["names"])
		}
		for i := range list {
			x := &d.Names[i]
			o := object(list[i].(map[string]any))
			compare(t, what, o, counts(&x.Counts))
			compare(t, what, o, map[string]any{"name": clean(x.Name), "type": dnsmeta.TypeName(x.Type)})
			times(t, what, o["response"], &x.Time, whole)
		}
		if d.Other == (dnsmeta.Counts{}) {
			if group["other_names"] != nil {
				t.Errorf("%s: there are other names", what)
			}
			continue
		}
		compare(t, what, object(group["other_names"].(map[string]any)), counts(&d.Other))
	}
}

func counts(c *dnsmeta.Counts) map[string]any {
	return map[string]any{
		"queries": count(c.Queries), "repeats": count(c.Repeats), "responses": count(c.Responses), "nxdomain": count(c.NXDOMAIN), "servfail": count(c.SERVFAIL),
		"other_errors": count(c.OtherErr), "truncated": count(c.Truncated), "timeouts": count(c.Timeouts),
	}
}

// The phases add up to the duration, as they are written.
func TestPhases(t *testing.T) {
	enc := NewEncoder(sinktest.Sample())
	seen := 0
	for n, r := range append(append(sinktest.Records(), sinktest.Sessions()...), sinktest.SessionIntervals()...) {
		o := decode(t, enc.AppendRecord(nil, &r))
		phases, ok := o["phases"].(map[string]any)
		if ok != (r.Phases != nil && r.End >= r.Start) {
			t.Errorf("record %d has phases: %v", n, ok)
		}
		if !ok {
			continue
		}
		seen++
		if overlap := phases["overlap"]; (overlap == true) != r.Phases.Overlap {
			t.Errorf("record %d: overlap is %v", n, overlap)
		}
		addUp(t, o)
	}
	if seen < 10 {
		t.Errorf("%d records with phases", seen)
	}
}

func addUp(t *testing.T, o object) {
	t.Helper()
	phases := o["phases"].(map[string]any)
	delete(phases, "overlap")
	sum := new(big.Rat)
	for _, v := range phases {
		x, _ := new(big.Rat).SetString(v.(json.Number).String())
		sum.Add(sum, x)
	}
	duration, _ := new(big.Rat).SetString(o["duration_us"].(json.Number).String())
	if len(phases) != 11 || sum.Cmp(duration) != 0 {
		t.Errorf("%d phases add up to %v, not to %v", len(phases), sum, duration)
	}
}

func TestEndNames(t *testing.T) {
	r := sinktest.TLS()
	o := decode(t, NewEncoder(sinktest.Sample()).AppendRecord(nil, &r))
	compare(t, "named", o, map[string]any{"client.name": "laptop.example.org", "server.name": "api.example.org"})
	r = sinktest.TCP()
	o = decode(t, NewEncoder(sinktest.Sample()).AppendRecord(nil, &r))
	compare(t, "unnamed", o, map[string]any{"client.name": nil, "server.name": nil})
}

func TestOddNumbers(t *testing.T) {
	r := sinktest.Odd()
	o := decode(t, NewEncoder(sinktest.Sample()).AppendRecord(nil, &r))
	compare(t, "odd", o, map[string]any{
		"tls.version": "1.3-draft23", "tls.version_offered": "0x1234", "tls.cipher": "0xfafa", "tls.group": "0x4321", "tls.alert.level": "77", "tls.alert.description": "199",
		"dns.rcodes.RCODE12": count(1),
	})
	if got := o.at("dns.names").([]any)[0].(map[string]any)["type"]; got != "TYPE65280" {
		t.Errorf("type = %v", got)
	}
}

// What a Report has, a line has: some record becomes another line when a field
// changes.
func TestEveryFieldShows(t *testing.T) {
	hidden := []string{ // they serve others, or do not apply to QUIC
		".QUIC.Info.Info.Offered", ".QUIC.Info.Info.SSLv2Hello", ".QUIC.Info.Info.ClientCertificate", ".QUIC.Info.Info.ClientCertificateKnown",
		".QUIC.Info.Info.STARTTLS", ".QUIC.Info.Info.CertificatesCut", ".QUIC.Info.ServerInitial", ".QUIC.Info.ClientAnswer",
		".QUIC.Info.ClientFinished", ".QUIC.Info.ClientShort", ".QUIC.Info.Spin.Edges",
	}
	enc := NewEncoder(sinktest.Sample())
	shows := map[string]bool{}
	for _, r := range append(sinktest.Sessions(), sinktest.Odd()) {
		before := string(enc.AppendRecord(nil, &r))
		leaves("", reflect.ValueOf(&r.Report).Elem(), func(path string, change func()) {
			change()
			shows[path] = string(enc.AppendRecord(nil, &r)) != before || shows[path]
			change()
			if string(enc.AppendRecord(nil, &r)) != before {
				t.Fatalf("%s did not change back", path)
			}
		})
	}
	for path, ok := range shows {
		if ok == slices.Contains(hidden, path) {
			t.Errorf("%s shows: %v", path, ok)
		}
	}
	if len(shows) < 150 {
		t.Errorf("%d fields were looked at", len(shows))
	}
}

// leaves calls f for each value that v holds. change makes it another, and the
// second time what it was.
func leaves(path string, v reflect.Value, f func(path string, change func())) {
	if v.Type() == reflect.TypeFor[histogram.Histogram]() {
		return // TestHTTP and TestDNS look at them
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			leaves(path, v.Elem(), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				leaves(path+"."+field.Name, v.Field(i), f)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			leaves(path+"[]", v.Index(i), f)
		}
	case reflect.Bool:
		f(path, func() { v.SetBool(!v.Bool()) })
	case reflect.String:
		f(path, func() {
			if s, ok := strings.CutPrefix(v.String(), "other "); ok {
				v.SetString(s)
			} else {
				v.SetString("other " + s)
			}
		})
	case reflect.Int, reflect.Int64:
		f(path, func() { v.SetInt(v.Int() ^ 1) })
	default:
		bit := uint64(1)
		if v.Uint() == 2 {
			bit = 2 // 3 may be beyond what has a name
		}
		f(path, func() { v.SetUint(v.Uint() ^ bit) })
	}
}

// Whatever the ends said, a line is JSON, strings come back as they were, and the
// phases add up.
func FuzzReport(f *testing.F) {
	f.Add(uint64(1), "plain")
	f.Add(uint64(2), sinktest.Hostile)
	f.Add(uint64(3), "\xed\xa0\x80</script>\u2028{}")
	f.Fuzz(func(t *testing.T, seed uint64, s string) { anyReport(t, seed, s) })
}

func TestAnyReport(t *testing.T) {
	for seed := range uint64(2000) {
		anyReport(t, seed, sinktest.Hostile[seed%uint64(len(sinktest.Hostile)):])
	}
}

func anyReport(t *testing.T, seed uint64, s string) {
	t.Helper()
	r := sinktest.Random(seed, s)
	o := decode(t, NewEncoder(sinktest.Sample()).AppendRecord(nil, &r))
	if want := clean(r.Ends[0].Name); o.at("client.name") != want {
		t.Errorf("client.name = %q, want %q", o.at("client.name"), want)
	}
	if r.TLS != nil {
		compare(t, "tls", o, map[string]any{"tls.sni": clean(r.TLS.SNI), "tls.alpn_offered": cleanList(r.TLS.ALPNOffered)})
		certificates := r.TLS.Certificates
		if list, _ := o.at("tls.certificates").([]any); len(list) != len(certificates) {
			t.Errorf("%d certificates, want %d", len(list), len(certificates))
		}
	}
	if r.QUIC != nil {
		compare(t, "quic", o, map[string]any{"quic.sni": clean(r.QUIC.SNI), "quic.retry": r.QUIC.Retry})
	}
	if r.Phases != nil {
		addUp(t, o)
	}
	if r.HTTP != nil {
		for i, p := range o.at("http.endpoints").([]any) {
			compare(t, "http", p.(map[string]any), map[string]any{"path": clean(r.HTTP.Endpoints[i].Path)})
		}
	}
	if r.DNS != nil {
		for i, p := range o.at("dns.names").([]any) {
			compare(t, "dns", p.(map[string]any), map[string]any{"name": clean(r.DNS.Names[i].Name)})
		}
	}
}
