package truth

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/golden"
	"mirrorscope/internal/needs"
)

// TestDifferencesPage holds docs/explanation/differences.md to analysisCases and
// saidCases.
func TestDifferencesPage(t *testing.T) {
	page := filepath.Join(needs.Repository(t), "docs", "explanation", "differences.md")
	golden.Equal(t, page, []byte(differencesPage()))
}

var verdicts = []struct {
	verdict
	title, intro string
}{
	{known, "Where the sensor is wrong", "Known limits."},
	{either, "Where both can be defended", "The packets allow two readings, or a setting asks for the other."},
	{truthErrs, "Where the sensor is right", "By the rule that is told, and by packets that show it."},
}

func differencesPage() string {
	var b strings.Builder
	b.WriteString(`# Where other tools tell something else

<!-- Written by go test ./internal/truth -run TestDifferencesPage -update. -->

Captures of other projects, made over twenty years by many hosts and some by hand, were read by the sensor and by other tools. Every
stream for which they do not agree on every figure was looked at packet by packet and is listed here with the packets' numbers in
the file. A test compares all streams anew: it fails on a difference that is not here and on one that is no longer there.

What is compared, for both senders of each stream: retransmissions and reordered packets as a sum and each alone, spurious and fast
retransmissions, keep-alives, zero-window probes, and whether there was any zero window, full window, and missed packet. Repeats of SYN and FIN are retransmissions to
all tools. tcptrace tells only the first three, and octets; Arkime and nDPI publish packets, flags and the handshake's time,
DeepFlow also retransmissions. In "figures", the other tool's number comes first, the sensor's second. Mirror copies are taken out first,
except for Arkime, which counts them.

| tool | streams compared | equal in every figure |
|---|--:|--:|
`)
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", r.tool, r.streams, r.equal)
	}
	for _, v := range verdicts {
		var reasons []*reason
		for i := range analysisCases {
			if r := analysisCases[i].reason; r.verdict == v.verdict && !slices.Contains(reasons, r) {
				reasons = append(reasons, r)
			}
		}
		if reasons == nil {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", v.title, v.intro)
		for _, r := range reasons {
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| tool | file | stream | sent by | figures | packets |\n|---|---|---|---|---|---|\n", r.title, r.why)
			for i := range analysisCases {
				if c := &analysisCases[i]; c.reason == r {
					fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", c.tool, c.file, c.stream, c.sender, c.figures, c.packets)
				}
			}
		}
	}
	saidPage(&b)
	return b.String()
}

// saidPage writes the part about what the ends said.
func saidPage(b *strings.Builder) {
	b.WriteString(`
## TLS, QUIC, DNS and HTTP

What the ends said is compared field by field: with tshark's reading of the same messages (certificates with openssl's), and with what FoxIO's JA4, Arkime, nDPI, Zeek
and suricata-verify publish in their own tests. DNS and HTTP are compared as counts of each stream; a path is equal when its template fits the target of the request. "Frames" are the times
of the packets that begin and end a TLS handshake. The last column counts what the sensor tells and the other tool does not, or not in a form that can be compared: the group of a key exchange
in TLS 1.2, whether a session was resumed without a certificate, HTTP/2. Where a stream has malformed DNS messages, as in a fuzzed capture, only their number is compared.

| tool | field | compared | equal | told by the sensor alone |
|---|---|--:|--:|--:|
`)
	for _, r := range saidResults {
		fmt.Fprintf(b, "| %s | %s | %d | %d | %d |\n", r.tool, r.field, r.compared, r.equal, r.alone)
	}
	for _, v := range verdicts {
		var reasons []*reason
		for _, c := range saidCases {
			if c.verdict == v.verdict && !slices.Contains(reasons, c.reason) {
				reasons = append(reasons, c.reason)
			}
		}
		if reasons == nil {
			continue
		}
		fmt.Fprintf(b, "\n### %s, in what was said\n", v.title)
		for _, r := range reasons {
			fmt.Fprintf(b, "\n#### %s\n\n%s\n\n| tool | file | stream | figures |\n|---|---|---|---|\n", r.title, r.why)
			for _, c := range saidCases {
				if c.reason == r {
					fmt.Fprintf(b, "| %s | %s | %s | %s |\n", c.tool, c.file, c.stream, c.figures)
				}
			}
		}
	}
}
