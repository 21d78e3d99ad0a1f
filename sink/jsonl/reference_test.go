package jsonl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/dnsmeta"
	"mirrorscope/flow"
	"mirrorscope/httpmeta"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
	"mirrorscope/sink"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// TestReferenceIsComplete fails when docs/reference/record.md lacks a field or
// a word that the output can have.
func TestReferenceIsComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(needs.Repository(t), "docs", "reference", "record.md"))
	if err != nil {
		t.Fatal(err)
	}
	require := func(what, word string) {
		t.Helper()
		if word != "" && !bytes.Contains(page, []byte("`"+word+"`")) {
			t.Errorf("record.md does not name the %s `%s`", what, word)
		}
	}
	for s := packet.Held + 1; s < packet.NumSkips; s++ {
		require("skip reason", s.String())
	}
	for o := flow.OutcomeNone; o < flow.NumOutcomes; o++ {
		require("outcome", o.String())
	}
	for d := flow.DirUnknown; d <= flow.DirSYN; d++ {
		require("direction source", d.String())
	}
	for e := flow.EndNone; e <= flow.EndLackOfResources; e++ {
		require("end reason", e.String())
	}
	for s := tcp.Unknown; s <= tcp.Ambiguous; s++ {
		require("state", s.String())
	}
	for _, reason := range tcp.Reasons(^uint32(0)).Append(nil) {
		require("reason", reason)
	}
	for c := range tcp.NumClasses {
		require("class", c.String())
	}
	for _, stamps := range []bool{false, true} {
		require("source", (&tcp.RTT{Stamps: stamps}).Source())
	}
	for tunnel := packet.NoTunnel; tunnel.String() != "unknown"; tunnel++ {
		require("tunnel", tunnel.String())
	}
	for proto := range 256 {
		if name := string(sink.AppendProtocol(nil, uint8(proto))); name[0] > '9' {
			require("protocol", name)
		}
	}
	for o := tlsmeta.OutcomeNone; o <= tlsmeta.NotTLS; o++ {
		require("outcome of TLS", o.String())
	}
	for d := tlsmeta.EarlyNone; d <= tlsmeta.EarlyRejected; d++ {
		require("early data", d.String())
	}
	for _, v := range []uint16{2, 0x0300, 0x0301, 0x0302, 0x0303, 0x0304, 0xfefc, 0xfefd, 0xfeff, 0x7f17} {
		require("version of TLS", tlsmeta.VersionName(v))
	}
	for _, v := range []uint32{1, 0x6b3343cf, 0xff00001d, 0xfaceb002} {
		require("version of QUIC", string(sink.AppendQUICVersion(nil, v)))
	}
	for v := httpmeta.HTTP10; v <= httpmeta.HTTP2; v++ {
		require("version of HTTP", v.String())
	}
	for _, class := range sink.StatusClasses {
		require("status", class)
	}
	for p := dnsmeta.DNS; p <= dnsmeta.LLMNR; p++ {
		require("protocol", p.String())
	}
	for r := range (&dnsmeta.Info{}).RCodes {
		if name := dnsmeta.RCodeName(r); !strings.HasPrefix(name, "RCODE") {
			require("rcode", name)
		}
	}
	for line := range bytes.Lines(write(t, append(packets(), sessions()...))) {
		o := decode(t, line)
		fields(o, func(name string) { require("field", name) })
		for group, heading := range map[string]string{
			"handshake": "### handshake", "rtt": "### round-trip time", "retransmits": "### retransmissions", "out_of_order": "### order, duplicates and windows",
			"zero_window": "### order, duplicates and windows", "response": "### response time", "tls": "### TLS", "quic": "### QUIC", "http": "### HTTP", "dns": "### DNS", "phases": "### phases", "capture": "### what the capture did",
		} {
			text := section(page, heading) + section(page, "## interval")
			fields(o[group], func(name string) {
				if !strings.Contains(text, "`"+name+"`") && name != "client" && name != "server" {
					t.Errorf("record.md does not name the field `%s` of %s in %q", name, group, heading)
				}
			})
		}
	}
}

// section gives the part of a page under a heading.
func section(page []byte, heading string) string {
	_, text, found := strings.Cut(string(page), "\n"+heading+"\n")
	if !found {
		return ""
	}
	if next := strings.Index(text, "\n## "); strings.HasPrefix(heading, "## ") && next >= 0 {
		return text[:next]
	}
	text, _, _ = strings.Cut(text, "\n###")
	return text
}

// fields calls f for every field name of an object and the objects in it. The
// names of link types and of rcodes without a name are data.
func fields(v any, f func(string)) {
	switch v := v.(type) {
	case object:
		fields(map[string]any(v), f)
	case map[string]any:
		for name, value := range v {
			if !strings.HasPrefix(name, "linktype_") && !strings.HasPrefix(name, "RCODE") {
				f(name)
			}
			fields(value, f)
		}
	case []any:
		for _, item := range v {
			fields(item, f)
		}
	}
}
