package truth

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// TestSharedTuple looks one by one at captures in which packets with the same
// addresses and ports carry different tunnel ids. The tool that made the
// ground truth sees one stream; what is right depends on the encapsulation.
func TestSharedTuple(t *testing.T) {
	root := needs.Captures(t)
	for _, tc := range []struct {
		file   string
		args   []string
		why    string
		stream string // the 5-tuple looked at
		want   []string
	}{
		{
			file: "encap/zeek-vxlan-overlapping-http-get.pcap", why: "two VXLANs and the bare wire hold different connections",
			stream: "141.142.228.5 59856 — 192.150.187.43 80",
			want:   []string{"bare: 14 packets", "vxlan 4242: 14 packets", "vxlan 4711: 14 packets"},
		},
		{
			file: "encap/zeek-vlan-collisions.pcap", args: []string{"--vlan-in-key"}, why: "VLANs are asked to be networks of their own",
			stream: "141.142.228.5 59856 — 192.150.187.43 80",
			want:   []string{"bare, vlan 10,20: 14 packets", "bare, vlan 42: 14 packets", "bare: 14 packets"},
		},
	} {
		t.Run(strings.Join(append([]string{filepath.Base(tc.file)}, tc.args...), " "), func(t *testing.T) {
			var got []string
			for _, c := range replay(t, append(tc.args, filepath.Join(root, "dev", tc.file))...).connections {
				if pairOf(c.Client, c.Server).String() == tc.stream {
					got = append(got, fmt.Sprintf("%s: %d packets", place(c), c.ClientSent.Packets+c.ServerSent.Packets))
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("%s:\ngot  %q\nwant %q", tc.why, got, tc.want)
			}
		})
	}
}

// place names where a connection was seen, by tunnel and VLANs.
func place(c connection) string {
	where := "bare"
	if c.ObservationPoint.TunnelID != nil {
		where = fmt.Sprintf("%s %d", c.ObservationPoint.Tunnel, *c.ObservationPoint.TunnelID)
	}
	if len(c.VLAN) > 0 {
		where += ", vlan " + strings.Trim(strings.ReplaceAll(fmt.Sprint(c.VLAN), " ", ","), "[]")
	}
	return where
}

// TestTunnelIDs compares, for streams that were seen with several VNIs, the
// packets with each VNI; streams whose ids differ only in what is path (VLAN
// tags, GRE keys, GTP tunnel endpoints) must be one connection.
func TestTunnelIDs(t *testing.T) {
	var several, paths counts
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		if !slices.ContainsFunc(tr.streams(), func(s stream) bool { return s.SeveralIDs }) {
			return
		}
		records := map[pair][]connection{}
		for _, c := range replay(t, path).connections {
			if c.Protocol == "tcp" {
				p := pairOf(c.Client, c.Server)
				records[p] = append(records[p], c)
			}
		}
		for _, s := range tr.streams() {
			if !s.SeveralIDs {
				continue
			}
			p := pairOf(s.client(), s.server())
			want, got := map[string]int64{}, map[string]int64{}
			for _, ids := range s.TunnelIDs {
				n, _ := ids["packets"].(float64)
				want[outermostVNI(ids)] += int64(n)
			}
			for _, c := range records[p] {
				vni := "none"
				if c.ObservationPoint.Tunnel == "vxlan" || c.ObservationPoint.Tunnel == "geneve" {
					vni = fmt.Sprint(*c.ObservationPoint.TunnelID)
				}
				got[vni] += c.ClientSent.Packets + c.ServerSent.Packets
			}
			w, _ := json.Marshal(want)
			g, _ := json.Marshal(got)
			equal := string(w) == string(g)
			several.add(1, equal, truthIsWrong("points", name, p.String()))
			accepted(t, "points", name, p.String(), equal, func() string { return fmt.Sprintf("packets by VNI: got %s, want %s", g, w) })
			if len(want) == 1 {
				equal := len(records[p]) == 1
				paths.add(1, equal, truthIsWrong("path", name, p.String()))
				accepted(t, "path", name, p.String(), equal, func() string {
					return fmt.Sprintf("ids %v: got %d connections, want 1", s.TunnelIDs, len(records[p]))
				})
			}
		}
	})
	unused(t, "points", "path")
	t.Logf("packets by VNI, of streams with several ids: %s", &several)
	t.Logf("ids that are only path are one connection: %s", &paths)
}

func outermostVNI(ids map[string]any) string {
	for _, key := range []string{"vxlan_vni", "geneve_vni"} {
		if text, ok := ids[key].(string); ok {
			first, _, _ := strings.Cut(text, ",")
			return first
		}
	}
	return "none"
}
