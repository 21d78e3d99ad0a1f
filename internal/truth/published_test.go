package truth

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// published is what another project's own tests expect of a capture.
type published struct {
	Source string
	Flows  []struct {
		A, B     string // address and port
		Client   string // FoxIO has these instead
		Server   string
		Proto    string
		Packets  int64
		FromA    int64  `json:"pkts,string"` // nDPI
		InitRTT  *int64 `json:"init_rtt_ms"`
		SNI      string
		TLS      string
		JA3      list
		JA3S     list
		JA4      list
		Version  list
		Cipher   list
		TCPFlags *struct {
			SYN, FIN, RST int64
			SYNACK        int64 `json:"syn-ack"`
		}
	}
}

// seen is what the records of one 5-tuple say of what others publish.
type seen struct {
	packets                     [2]int64 // by sender
	syns, synacks, fins, resets int64
	handshakeUs                 float64 // of the first record that has one; else 0
}

// TestPublished compares the records with what the tests of Arkime and nDPI
// expect of the same captures: packets, SYN, SYN-ACK, FIN and RST, and Arkime's
// initial round trip, which is half of the time from the SYN to the ACK that
// ends the handshake, in whole milliseconds.
func TestPublished(t *testing.T) {
	tally := map[string]*counts{"Arkime": {}, "nDPI": {}}
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		if tr.Published == nil {
			return
		}
		ours := sight(replay(t, path).connections)
		for _, pub := range tr.Published {
			for _, f := range pub.Flows {
				tool := "nDPI"
				if strings.HasPrefix(pub.Source, "arkime/") {
					tool = "Arkime"
				}
				if tool == "nDPI" && f.Proto != "tcp" || tool == "Arkime" && f.TCPFlags == nil {
					continue
				}
				a, errA := parseEndpoint(f.A)
				b, errB := parseEndpoint(f.B)
				if errA != nil || errB != nil {
					t.Fatal(errA, errB)
				}
				p := pairOf(a, b)
				s := ours[p]
				if tool == "nDPI" {
					sent := figure{"packets", f.FromA, s.packets[p.index(a)]}
					tally[tool].add(1, agree(t, tool, name, p.String(), a.String(), []figure{sent}), false)
					continue
				}
				figures := []figure{{"packets", f.Packets, s.packets[0] + s.packets[1]}}
				if x := f.TCPFlags; x != nil {
					figures = append(figures, figure{"SYN", x.SYN, s.syns}, figure{"SYN-ACK", x.SYNACK, s.synacks},
						figure{"FIN", x.FIN, s.fins}, figure{"RST", x.RST, s.resets})
				}
				if f.InitRTT != nil {
					figures = append(figures, figure{"half of the handshake in ms", *f.InitRTT, int64(s.handshakeUs / 2000)})
				}
				tally[tool].add(1, agree(t, tool, name, p.String(), "both", figures), false)
			}
		}
	})
	for tool, c := range tally {
		unmet(t, tool)
		compared(t, tool, c)
	}
}

// sight sums the TCP records of each 5-tuple.
func sight(cs []connection) map[pair]seen {
	m := map[pair]seen{}
	for _, c := range cs {
		if c.Protocol != "tcp" {
			continue
		}
		var x struct{ Fins, Resets sides[int64] }
		if err := json.Unmarshal(c.line, &x); err != nil {
			panic(err) // replay has read the line before
		}
		p := pairOf(c.Client, c.Server)
		s := m[p]
		s.packets[p.index(c.Client)] += c.ClientSent.Packets
		s.packets[p.index(c.Server)] += c.ServerSent.Packets
		s.fins += x.Fins.Client + x.Fins.Server
		s.resets += x.Resets.Client + x.Resets.Server
		if h := c.Handshake; h != nil {
			s.syns += int64(h.SYNPackets)
			s.synacks += int64(h.SYNACKPackets)
			if h.SetupUs != nil && s.handshakeUs == 0 {
				s.handshakeUs = *h.SetupUs
			}
		}
		m[p] = s
	}
	return m
}

// deepflow holds what the tests of DeepFlow's agent expect after the last
// packet of a capture (agent/resources/test/flow_generator/rtt-full.result).
// Times are µs; 0 is none. Side 0 of it is the client.
var deepflow = []struct {
	file                             string
	clientHalf, serverHalf, fullRTT  int64
	syns, synacks                    int64
	clientRetransmits, serverRetrans int64
	clientZeroWindows, serverZero    int64
}{
	{"tcp/deepflow-rtt-200ms-window-update.pcap", 9100, 216300, 225400, 1, 1, 0, 0, 0, 0},
	{"tcp/deepflow-client-keep-alive.pcap", 74, 751, 825, 1, 1, 0, 0, 0, 0},
	{"tcp/deepflow-syn-retrans.pcap", 9100, 216300, 325400, 2, 1, 1, 0, 0, 0},
	{"tcp/deepflow-out-of-order.pcap", 0, 0, 0, 1, 1, 0, 0, 0, 0},
}

// TestDeepFlow compares the handshake's halves and full time, SYN and SYN-ACK,
// retransmissions and zero windows of the captures of DeepFlow's own tests. Its
// response and system times need payload, of which these have none.
func TestDeepFlow(t *testing.T) {
	var tally counts
	for _, d := range deepflow {
		cs := replay(t, filepath.Join(needs.Captures(t), "dev", d.file)).connections
		if len(cs) != 1 {
			t.Errorf("%s: %d records, want 1", d.file, len(cs))
			continue
		}
		p := pairOf(cs[0].Client, cs[0].Server)
		r := reports(cs)[p]
		client, server := r[p.index(cs[0].Client)], r[p.index(cs[0].Server)]
		s := sight(cs)[p]
		tally.add(1, agree(t, "DeepFlow", d.file, p.String(), "both", []figure{
			{"client half in µs", d.clientHalf, wholeUs(cs[0].Handshake.ClientUs)},
			{"server half in µs", d.serverHalf, wholeUs(cs[0].Handshake.ServerUs)},
			{"handshake in µs", d.fullRTT, wholeUs(cs[0].Handshake.SetupUs)},
			{"SYN", d.syns, s.syns},
			{"SYN-ACK", d.synacks, s.synacks},
			{"client retransmissions", d.clientRetransmits, client.retransmits},
			{"server retransmissions", d.serverRetrans, server.retransmits},
			{"client zero window", d.clientZeroWindows, client.zeroWindows},
			{"server zero window", d.serverZero, server.zeroWindows},
		}), false)
	}
	unmet(t, "DeepFlow")
	compared(t, "DeepFlow", &tally)
}

// wholeUs rounds a duration to µs; 0 where it is absent.
func wholeUs(d *float64) int64 {
	if d == nil {
		return 0
	}
	return int64(*d + 0.5)
}
