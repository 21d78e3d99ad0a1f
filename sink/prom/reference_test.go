package prom

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mirrorscope/edge/live"
	"mirrorscope/internal/golden"
	"mirrorscope/internal/needs"
)

// group is a part of the reference page.
type group struct {
	title, text string
	define      func(*families)
}

var groups = []group{
	{"The sensor", "As it is at the scrape, but for step, weight, connections and tables: those are of the end of the latest interval.", (*families).defineSensor},
	{"The capture", "Counts since the start, in the words of the [capture record](record.md#capture), as of the end of the latest interval.", (*families).defineCapture},
	{"Clouds", "Only with [clouds](config.md) configured; of the end of the latest interval. The machines are those that send mirrored packets, and of\n" +
		"which CloudWatch tells something; so many of them are shown as a label has values.", (*families).defineClouds},
	{"All connections", "Durations are those that were measured; those that are only bounded or ambiguous are left out. What several observation points\n" +
		"record counts at each.", (*families).defineTotals},
	{"Outputs", "`output` is `file` or `stdout`.", (*families).defineOutputs},
	{"Names", "Only where [tags](tags.md) are configured, or an inventory is. `source` is the file, or the account and region, or the cluster; `rank` whose tags\n" +
		"win: `kubernetes`, `cloud`, `static`.", (*families).defineNames},
	{"Conversations", "Only with `metrics.conversations` above 0: for so many of the largest conversations of the last `top.window`. They are gauges, since\n" +
		"what is within the window, and which conversations are shown, changes. Labels hold addresses.", (*families).defineConversations},
}

// head is what the page says before the tables.
const head = `<!-- Generated from the metrics by go test ./sink/prom -update. -->

# Metrics

What ` + "`/metrics`" + ` at the address of ` + "`health.listen`" + ` shows of a running sensor, in Prometheus' text format, or in protocol
buffers for those who ask for them. [Monitor the sensor](../how-to/monitor-the-sensor.md) tells how to scrape it, and which alerts are worth
having.

- What is not known has no series: 0 is a number.
- Durations are in microseconds, as everywhere else here. Each is a classic histogram, with boundaries at the powers of two from 32 µs to
  34 s, and a native one in the same family, with up to 32 buckets for each power of two. Prometheus takes the native one where native
  histograms are switched on in it.
- No label has a value that packets choose, but for the addresses of [conversations](#conversations), of which there are none unless asked
  for. ` + "`place`, `rule` and `event`" + ` have %d values at most, and ` + "`%s`" + ` for what comes beyond; so many interfaces and rings are shown. A value has
  at most %d octets.
- Beside these are ` + "`go_*` and `process_*`" + `, the usual metrics of a Go program and of a process.

| label | its values |
|---|---|
| ` + "`interface`, `queue`" + ` | the interface, and the number of the ring on it, from 0 |
| ` + "`mode`" + ` | ` + "`af_packet`; `af_xdp native`, `af_xdp native_frags` (frames of several buffers), `af_xdp generic`, with ` zero_copy` behind it where it is so" + ` |
| ` + "`timestamps`" + ` | ` + "`hardware` or `software` in AF_PACKET; `kernel` in AF_XDP" + ` |
| ` + "`place`" + ` | [where frames are lost](record.md#where-frames-are-lost); and ` + "`%s`" + `, frames that the mirror numbered (ERSPAN types II and III) and that did not come. Those are in no other count of frames |
| ` + "`rule`" + ` | [what the filter left out](record.md#what-the-filter-leaves-out) |
| ` + "`source`" + ` | an account and region of a cloud, or a cluster, as in the [capture record](record.md#sources-of-names) |
| ` + "`instance`" + ` | a machine whose mirror [skips packets](record.md#what-the-mirror-skipped) |
| ` + "`event`" + ` | [what befell the capture](record.md#what-befalls-a-live-capture) |
| ` + "`reason`" + ` | of skipped packets, [why frames are skipped](record.md#why-frames-are-skipped); of dropped lines, ` + "`queue_full`" + ` (they came faster than they could be written), ` + "`write_error`" + ` (writing failed, until the queue was full) or ` + "`closed`" + ` (left over at the end); of names, ` + "`invalid`" + ` (no prefix), ` + "`conflict`" + ` (an address that the source gave to two), ` + "`no_room`" + ` (beyond ` + "`tags.max_entries`" + `), ` + "`too_many_tags`" + ` (of one interface) or ` + "`forgotten`" + ` (what was before, beyond ` + "`tags.max_versions` and `tags.max_history`" + `) |
| ` + "`outcome`" + ` | of the [connection](record.md#connection); ` + "`none`" + `: not TCP, or not known |
| ` + "`side`" + ` | ` + "`client` or `server`" + ` |
| ` + "`state`" + ` | ` + "`measured`, `bounded` or `ambiguous`" + ` |
`

var described = regexp.MustCompile(`^Desc\{fqName: "([a-z0-9_]+)",`)

// TestReference holds docs/reference/metrics.md against what a scrape gives when
// everything is known; -update writes the page.
func TestReference(t *testing.T) {
	all := full()
	talk := &all.Top.Rows[1]
	talk.Handshake, talk.TLS = talk.Response, &live.TLS{Handshake: talk.Response}
	scraped := scrape(t, serve(t, Config{Conversations: maxConversations}, still(all)), true)
	var b strings.Builder
	fmt.Fprintf(&b, head, maxValues, otherName, maxLabel, mirrorPlace)
	told := 0
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n", g.title)
		if g.text != "" {
			b.WriteString(g.text + "\n\n")
		}
		b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
		f := new(families)
		g.define(f)
		for _, x := range f.all {
			m := described.FindStringSubmatch(x.desc.String())
			if m == nil {
				t.Fatalf("the description is %s", x.desc)
			}
			family := scraped[m[1]]
			if family == nil {
				t.Errorf("%s is in no scrape", m[1])
				continue
			}
			var labels []string
			for _, l := range family.GetMetric()[0].GetLabel() {
				labels = append(labels, "`"+l.GetName()+"`")
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m[1], strings.ToLower(family.GetType().String()), strings.Join(labels, ", "), strings.TrimSuffix(family.GetHelp(), "."))
			told++
		}
	}
	if n := len(newFamilies().all); told != n {
		t.Errorf("the page has %d of %d metrics", told, n)
	}
	golden.Equal(t, filepath.Join(needs.Repository(t), "docs", "reference", "metrics.md"), []byte(b.String()))
}
