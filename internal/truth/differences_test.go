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

// TestDifferencesPage holds docs/explanation/differences.md to analysisCases.
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
	return b.String()
}
