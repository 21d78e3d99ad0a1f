package accuracy

import (
	"strings"
	"testing"

	"mirrorscope/internal/netlab"
)

// fake says of every connection what it is told to.
type fake struct {
	name string
	said []Connection
}

func (f fake) Name() string                         { return f.name }
func (f fake) Version() string                      { return "" }
func (f fake) Application() bool                    { return true }
func (f fake) Measure(string) ([]Connection, error) { return f.said, nil }

// TestTable: a tool that is right, one that is wrong and one that says little,
// over a run made up by hand. Tools that say nothing are left out.
func TestTable(t *testing.T) {
	truth := netlab.ConnectionTruth{Client: alice, Server: bob}
	truth.Sides[0] = netlab.SideTruth{Packets: 20, DataPackets: 10, Repeats: 3, RepeatBytes: 300, LostBefore: 2, Spurious: 1}
	r := &netlab.Result{
		Taps: map[string]string{"middle": ""},
		Truth: netlab.Truth{Captures: []netlab.CaptureTruth{{
			Name: "middle", Connections: []netlab.ConnectionTruth{truth},
		}}},
	}
	said := func(packets, before, spurious float64) []Connection {
		c := Connection{Client: alice, Server: bob, Outcome: "closed"}
		c.Sides[0] = Side{Packets: sure(packets), LostBefore: sure(before), LostAfter: sure(0), Spurious: sure(spurious)}
		return []Connection{c}
	}
	table := NewTable(fake{"right", said(3, 2, 1)}, fake{"wrong", said(5, 1, 0)}, fake{"quiet", []Connection{{Client: alice, Server: bob, Outcome: "closed"}}}, fake{"silent", nil})
	if err := table.Add(netlab.Scenario{Want: netlab.Want{Outcomes: []string{"closed"}}}, r); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := table.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| quantity | target | n | right | wrong | quiet |\n|---|---|--:|--:|--:|--:|\n",
		"| Retransmitted packets, any tap | exact | 1 flows | 1 / 0 / 0 | 0 / 0 / 1, 2 | 0 / 1 / 0 |",
		"| Retransmitted octets, any tap | exact | 1 flows | 0 / 1 / 0 | 0 / 1 / 0 | 0 / 1 / 0 |",
		"| Lost before or behind the tap | ≥ 98 % | 2 packets | 2 / 0 / 0 | 1 / 0 / 1, 1 | 0 / 2 / 0 |",
		"| Retransmissions spurious or needed | ≥ 98 % | 3 packets | 3 / 0 / 0 | 2 / 0 / 1, 1 | 0 / 3 / 0 |",
		"| Outcome of the connection | – | 1 connections | 1 / 0 / 0 | 1 / 0 / 0 | 1 / 0 / 0 |",
		"\n## TLS\n\n| quantity | target | n | right |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, b.String())
		}
	}
	b.Reset()
	table.Misses(&b, 1)
	if !strings.Contains(b.String(), "Retransmitted packets, any tap:  middle, client: 5, in truth 3\n") {
		t.Errorf("misses:\n%s", b.String())
	}
}
