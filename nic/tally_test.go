package nic

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"rx_dropped", "rx_dropped", true},
		{"rx_dropped", "rx_dropped_pkt", false},
		{"rx_dropped", "rx_drop", false},
		{"rx*_drops", "rx0_drops", true},
		{"rx*_drops", "rx117_drops", true},
		{"rx*_drops", "rx_drops", false},
		{"rx*_drops", "rx0_xdp_drops", false},
		{"rx_queue_drop_cnt[*]", "rx_queue_drop_cnt[12]", true},
		{"queue_*_rx_xdp_drop", "queue_3_rx_xdp_drop", true},
		{"queue_*_rx_xdp_drop", "queue_x_rx_xdp_drop", false},
		{"pkts rx OOB", "pkts rx OOB", true},
	} {
		if got := matches(tc.pattern, tc.name); got != tc.want {
			t.Errorf("matches(%q, %q) = %v", tc.pattern, tc.name, got)
		}
	}
}

// parseReading makes a reading of text: "link name value", "queues name
// value", "flag name", "down"; other lines are of `ethtool -S`.
func parseReading(t *testing.T, text string) *reading {
	t.Helper()
	r := &reading{up: true, link: map[string]uint64{}, flags: map[string]bool{}}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "flag":
			r.flags[words[1]] = true
			continue
		case "down":
			r.up = false
			continue
		}
		var v uint64
		if _, err := fmt.Sscan(words[len(words)-1], &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch words[0] {
		case "link":
			r.link[words[1]] = v
		case "queues":
			r.queues = map[string]uint64{words[1]: v}
		default:
			name, _, _ := strings.Cut(strings.TrimSpace(line), ": ")
			r.driver = append(r.driver, stat{name, v})
		}
	}
	return r
}

// TestSchemes gives each driver's statistics before and after, as the drivers
// name them, and wants each lost frame once.
func TestSchemes(t *testing.T) {
	for _, tc := range []struct {
		name, driver  string
		before, after string
		losses, signs string
		untold        string
	}{
		{
			name: "veth", driver: "veth",
			before: "link rx_dropped 10\nrx_queue_0_drops: 4\nrx_queue_0_xdp_drops: 1000",
			after:  "link rx_dropped 17\nrx_queue_0_drops: 6\nrx_queue_0_xdp_drops: 9000",
			losses: "nic_dropped 7",
		},
		{
			name: "ena counts what XDP dropped as its own", driver: "ena",
			before: "link rx_dropped 10\nqueue_0_rx_xdp_drop: 3\nqueue_1_rx_xdp_drop: 0\nbw_in_allowance_exceeded: 1\npps_allowance_exceeded: 0\nconntrack_allowance_exceeded: 0",
			after:  "link rx_dropped 65\nqueue_0_rx_xdp_drop: 23\nqueue_1_rx_xdp_drop: 30\nbw_in_allowance_exceeded: 7\npps_allowance_exceeded: 2\nconntrack_allowance_exceeded: 0",
			losses: "nic_dropped 5",
			signs:  "nic_hint_bandwidth_in_exceeded 6, nic_hint_packet_rate_exceeded 2, nic_hint_conntrack_exceeded 0",
		},
		{
			name: "ena does not", driver: "ena",
			before: "link rx_dropped 10\nqueue_0_rx_xdp_drop: 3",
			after:  "link rx_dropped 15\nqueue_0_rx_xdp_drop: 50003",
			losses: "nic_dropped 5",
		},
		{
			name: "ena without XDP", driver: "ena",
			before: "link rx_dropped 10\nqueue_0_rx_cnt: 3\nqueue_0_rx_empty_rx_ring: 0",
			after:  "link rx_dropped 15\nqueue_0_rx_cnt: 9\nqueue_0_rx_empty_rx_ring: 4",
			losses: "nic_dropped 5", signs: "nic_hint_ring_empty 4",
		},
		{
			name: "gve that tells", driver: "gve",
			before: "flag report-stats\nrx_dropped: 0\nrx_skb_alloc_fail: 0\nrx_dropped_pkt[0]: 0\nrx_queue_drop_cnt[0]: 1\nrx_queue_drop_cnt[1]: 1\nrx_no_buffers_posted[0]: 0\nlink rx_dropped 0",
			after:  "flag report-stats\nrx_dropped: 9\nrx_skb_alloc_fail: 9\nrx_dropped_pkt[0]: 9\nrx_queue_drop_cnt[0]: 4\nrx_queue_drop_cnt[1]: 5\nrx_no_buffers_posted[0]: 7\nlink rx_dropped 0",
			losses: "nic_dropped 9, nic_queue_dropped 7", signs: "nic_hint_ring_empty 7, nic_hint_no_memory 9",
		},
		{
			name: "gve that was not asked", driver: "gve",
			before: "rx_dropped: 0\nrx_queue_drop_cnt[0]: 0",
			after:  "rx_dropped: 9\nrx_queue_drop_cnt[0]: 0",
			losses: "nic_dropped 9",
			untold: "nic_queue_dropped: the driver's flag report-stats is off",
		},
		{
			name: "virtio_net before 6.8", driver: "virtio_net",
			before: "link rx_dropped 0\nrx_queue_0_drops: 0\nrx_queue_0_xdp_drops: 0\nrx_queue_1_drops: 2\nrx_queue_1_xdp_drops: 2",
			after:  "link rx_dropped 109\nrx_queue_0_drops: 100\nrx_queue_0_xdp_drops: 93\nrx_queue_1_drops: 11\nrx_queue_1_xdp_drops: 10",
			losses: "nic_dropped 8", signs: "",
			untold: "nic_host_dropped: the device does not tell what the host dropped before it (virtio feature DEVICE_STATS, kernel 6.11)",
		},
		{
			name: "virtio_net now", driver: "virtio_net",
			before: "link rx_dropped 0\nlink rx_length_errors 0\nqueues rx-hw-drops 5\nrx_drops: 0\nrx_xdp_drops: 0\nrx0_drops: 0\nrx0_xdp_drops: 0",
			after:  "link rx_dropped 100\nlink rx_length_errors 1\nqueues rx-hw-drops 50\nrx_drops: 100\nrx_xdp_drops: 93\nrx0_drops: 100\nrx0_xdp_drops: 93",
			losses: "nic_dropped 7, nic_host_dropped 45", signs: "nic_hint_bad_length 1",
		},
		{
			name: "mlx5: what the link tells as well", driver: "mlx5_core",
			before: "link rx_errors 0\nlink rx_dropped 0\nlink rx_missed_errors 0\nrx_out_of_buffer: 0\nrx_discards_phy: 0\nrx_prio0_discards: 0\nrx_oversize_pkts_sw_drop: 0\nrx_xdp_drop: 0\nrx_steer_missed_packets: 1",
			after:  "link rx_errors 1\nlink rx_dropped 40\nlink rx_missed_errors 8\nrx_out_of_buffer: 8\nrx_discards_phy: 40\nrx_prio0_discards: 40\nrx_oversize_pkts_sw_drop: 2\nrx_xdp_drop: 1000\nrx_steer_missed_packets: 4",
			losses: "nic_missed 8, nic_port_dropped 40, nic_too_long 2, nic_errors 1", signs: "nic_hint_no_flow 3",
		},
		{
			name: "mlx5 of a virtual function", driver: "mlx5_core",
			before: "link rx_errors 0\nrx_out_of_buffer: 0",
			after:  "link rx_errors 0\nrx_out_of_buffer: 3",
			losses: "nic_missed 3, nic_errors 0",
			untold: "nic_port_dropped: the driver has no such statistic; nic_too_long: the driver has no such statistic",
		},
		{
			name: "mana", driver: "mana",
			before: "link rx_dropped 0\nlink rx_errors 0\nlink rx_missed_errors 2\nhc_rx_discards_no_wqe: 2\nrx_0_xdp_drop: 0",
			after:  "link rx_dropped 81\nlink rx_errors 0\nlink rx_missed_errors 6\nhc_rx_discards_no_wqe: 6\nrx_0_xdp_drop: 80",
			losses: "nic_missed 4, nic_dropped 1, nic_errors 0",
		},
		{
			name: "vmxnet3 has every name once a queue", driver: "vmxnet3",
			before: "link rx_dropped 0\nlink rx_errors 0\nRx Queue#: 0\n  pkts rx OOB: 1\n  drv dropped rx total: 0\nRx Queue#: 1\n  pkts rx OOB: 5\n  drv dropped rx total: 0",
			after:  "link rx_dropped 2\nlink rx_errors 1\nRx Queue#: 0\n  pkts rx OOB: 3\n  drv dropped rx total: 2\nRx Queue#: 1\n  pkts rx OOB: 9\n  drv dropped rx total: 0",
			losses: "nic_missed 6, nic_dropped 2, nic_errors 1",
		},
		{
			name: "ixgbe", driver: "ixgbe",
			before: "link rx_missed_errors 1\nlink rx_errors 0\nrx_no_dma_resources: 0\nrx_no_buffer_count: 0\nrx_missed_errors: 1",
			after:  "link rx_missed_errors 3\nlink rx_errors 4\nrx_no_dma_resources: 7\nrx_no_buffer_count: 9\nrx_missed_errors: 3",
			losses: "nic_missed 2, nic_queue_dropped 7, nic_errors 4", signs: "nic_hint_ring_empty 9",
		},
		{
			name: "ice: bad checksums are not lost", driver: "ice",
			before: "link rx_missed_errors 0\nlink rx_dropped 0\nlink rx_errors 0\nlink rx_crc_errors 0",
			after:  "link rx_missed_errors 1\nlink rx_dropped 2\nlink rx_errors 90\nlink rx_crc_errors 3",
			losses: "nic_missed 1, nic_dropped 2, nic_errors 3", signs: "nic_hint_errors 90",
		},
		{
			name: "a driver that is not known", driver: "e1000",
			before: "link rx_missed_errors 0\nlink rx_dropped 0\nlink rx_errors 0\nlink rx_fifo_errors 0\nlink rx_over_errors 0",
			after:  "link rx_missed_errors 1\nlink rx_dropped 2\nlink rx_errors 3\nlink rx_fifo_errors 4\nlink rx_over_errors 5",
			losses: "nic_missed 1, nic_dropped 2, nic_errors 3", signs: "nic_hint_fifo_errors 4, nic_hint_over_errors 5",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := schemeOf(tc.driver)
			losses, untold := countBoth(t, s.losses, tc.before, tc.after)
			signs, _ := countBoth(t, s.signs, tc.before, tc.after)
			if losses != tc.losses {
				t.Errorf("losses:\n got %s\nwant %s", losses, tc.losses)
			}
			if signs != tc.signs {
				t.Errorf("signs:\n got %s\nwant %s", signs, tc.signs)
			}
			if untold != tc.untold {
				t.Errorf("untold:\n got %s\nwant %s", untold, tc.untold)
			}
		})
	}
}

func countBoth(t *testing.T, places []place, before, after string) (counts, untold string) {
	t.Helper()
	r0, r1 := parseReading(t, before), parseReading(t, after)
	var words, silent []string
	for _, p := range places {
		chosen, why := r0.choose(p)
		if why != "" {
			silent = append(silent, p.name+": "+why)
			continue
		}
		tally := newTally(p, chosen, r0)
		tally.see(r1)
		words = append(words, fmt.Sprintf("%s %d", p.name, tally.frames()))
	}
	return strings.Join(words, ", "), strings.Join(silent, "; ")
}

// TestSchemesNames: places are named once in each list, in snake_case, and the
// same statistic is in one loss only.
func TestSchemesNames(t *testing.T) {
	for _, s := range append(slices.Clone(schemes), generic) {
		names, used := map[string]bool{}, map[source]string{}
		for _, p := range s.losses {
			if names[p.name] || !strings.HasPrefix(p.name, "nic_") {
				t.Errorf("%v: place %q", s.drivers, p.name)
			}
			names[p.name] = true
			for _, src := range slices.Concat(p.groups...) {
				if other, twice := used[src]; twice {
					t.Errorf("%v: %s is counted as %s and as %s", s.drivers, src.name, other, p.name)
				}
				used[src] = p.name
			}
		}
		for _, p := range s.signs {
			if names[p.name] || !strings.HasPrefix(p.name, "nic_hint_") {
				t.Errorf("%v: sign %q", s.drivers, p.name)
			}
			names[p.name] = true
		}
	}
}

// TestCounterGoesOn: resets, queues that come and go, and a device that goes
// on forgetting never make a count fall or a frame count twice.
func TestCounterGoesOn(t *testing.T) {
	p := place{name: "nic_dropped", groups: either(driverStat("q*_drops"))}
	r := parseReading(t, "q0_drops: 100\nq1_drops: 100")
	tally := newTally(p, p.groups[0], r)
	for _, step := range []struct {
		what, text string
		want       uint64
	}{
		{"three more", "q0_drops: 101\nq1_drops: 102", 3},
		{"queue 1 is taken away", "q0_drops: 101", 3},
		{"and comes back as it was", "q0_drops: 101\nq1_drops: 102", 3},
		{"a new queue starts from zero", "q0_drops: 101\nq1_drops: 102\nq2_drops: 2", 5},
		{"a reset", "q0_drops: 1\nq1_drops: 0\nq2_drops: 2", 6},
		{"after the reset", "q0_drops: 4\nq1_drops: 0\nq2_drops: 2", 9},
	} {
		tally.see(parseReading(t, step.text))
		if got := tally.frames(); got != step.want {
			t.Errorf("%s: %d, want %d", step.what, got, step.want)
		}
	}
}

// TestTallyNeverFalls: when it turns out that the driver does not count what
// XDP dropped, what was taken off is given back, once and for all.
func TestTallyNeverFalls(t *testing.T) {
	p := place{name: "nic_dropped", groups: either(linkStat("rx_dropped")), less: driverStat("xdp_drop")}
	tally := newTally(p, p.groups[0], parseReading(t, "link rx_dropped 0\nxdp_drop: 0"))
	for _, step := range []struct {
		dropped, xdp, want uint64
	}{
		{10, 4, 6},
		{10, 9, 6},
		{10, 11, 10}, // now it is clear
		{30, 12, 30},
		{31, 90, 31},
	} {
		tally.see(parseReading(t, fmt.Sprintf("link rx_dropped %d\nxdp_drop: %d", step.dropped, step.xdp)))
		if got := tally.frames(); got != step.want {
			t.Errorf("%d dropped, %d of XDP: %d, want %d", step.dropped, step.xdp, got, step.want)
		}
	}
}
