package nic

// origin is where a statistic is read.
type origin uint8

const (
	// ofLink are the interface's own (struct rtnl_link_stats64, the files of
	// /sys/class/net/NAME/statistics, linux/if_link.h).
	ofLink origin = iota
	// ofDriver are those of `ethtool -S`.
	ofDriver
	// ofQueues are those of the netdev netlink family (netdev.yaml).
	ofQueues
)

// source is a statistic. In a driver's name, * stands for a number, as that of
// a queue, and all that match are added up.
type source struct {
	origin origin
	name   string
}

// place is where frames get lost on their way in. Its number is the sum of the
// first group of sources that is there at all.
type place struct {
	name   string
	groups [][]source
	// less are frames that an XDP program dropped, which is no loss: whoever
	// loaded it counts them. Drivers put them among their drops or not, see
	// tally.
	less []source
	// switchedBy is a private flag of the driver without which the sources
	// stay zero.
	switchedBy string
	// absent says why none of the sources may be there.
	absent string
}

// scheme is what the statistics of a driver mean.
type scheme struct {
	drivers []string
	losses  []place
	// signs are no numbers of lost frames, or of frames that a loss counts
	// already, but tell that or why some were lost.
	signs []place
}

func linkStat(name string) []source       { return sources(ofLink, []string{name}) }
func driverStat(names ...string) []source { return sources(ofDriver, names) }
func queueStat(name string) []source      { return sources(ofQueues, []string{name}) }

func sources(o origin, names []string) []source {
	list := make([]source, len(names))
	for i, n := range names {
		list[i] = source{o, n}
	}
	return list
}

func either(groups ...[]source) [][]source { return groups }

// Places by driver. No frame is to be counted in two of them: where a driver
// has the same loss in several statistics, one is taken. Names of statistics
// are those of the kernel's drivers (drivers/net/…) and, for ENA, of Amazon's.
var schemes = []scheme{
	{
		// veth_get_stats64: rx_dropped is rx_queue_N_drops (an XDP program was
		// to have the frame, and there was no memory for it; or it could not be
		// redirected, as into a full AF_XDP socket, which counts it as well)
		// and the frames that another device's XDP sent and for which the ring
		// had no room.
		// What an XDP program drops is in rx_queue_N_xdp_drops alone. Ordinary
		// frames for which the ring has no room count at the sender
		// (tx_dropped), where a sensor cannot look.
		drivers: []string{"veth"},
		losses:  []place{{name: "nic_dropped", groups: either(linkStat("rx_dropped"))}},
	},
	{
		// ena_get_stats64: rx_dropped is what the device says each second
		// (ena_keep_alive_wd, rx_drops: no descriptor was free); from about 6.8
		// frames that an XDP program dropped are added. All rx_*_errors are
		// zero. The allowances belong to the instance: a packet that exceeds
		// one is queued or dropped, nobody tells which (ena.rst, "Monitor
		// network performance" of the EC2 guide).
		drivers: []string{"ena"},
		losses: []place{
			{name: "nic_dropped", groups: either(linkStat("rx_dropped")), less: driverStat("queue_*_rx_xdp_drop")},
		},
		signs: []place{
			{name: "nic_hint_bandwidth_in_exceeded", groups: either(driverStat("bw_in_allowance_exceeded"))},
			{name: "nic_hint_packet_rate_exceeded", groups: either(driverStat("pps_allowance_exceeded"))},
			{name: "nic_hint_conntrack_exceeded", groups: either(driverStat("conntrack_allowance_exceeded"))},
			{name: "nic_hint_ring_empty", groups: either(driverStat("queue_*_rx_empty_rx_ring"))},
			{name: "nic_hint_no_memory", groups: either(driverStat("queue_*_rx_page_alloc_fail", "queue_*_rx_skb_alloc_fail"))},
			{name: "nic_hint_bad_descriptor", groups: either(driverStat("queue_*_rx_bad_desc_num", "queue_*_rx_bad_req_id"))},
		},
	},
	{
		// gve_get_ethtool_stats: rx_dropped is rx_skb_alloc_fail +
		// rx_buf_alloc_fail + rx_desc_err_dropped_pkt of all queues, and the
		// link has none of it. The NIC's own (STATS_REPORT, with the flag
		// report-stats) say how many a queue dropped; the reasons that follow
		// are taken to be parts of that.
		drivers: []string{"gve"},
		losses: []place{
			{name: "nic_dropped", groups: either(driverStat("rx_dropped"))},
			{name: "nic_queue_dropped", groups: either(driverStat("rx_queue_drop_cnt[*]")), switchedBy: "report-stats"},
		},
		signs: []place{
			{name: "nic_hint_ring_empty", groups: either(driverStat("rx_no_buffers_posted[*]")), switchedBy: "report-stats"},
			{name: "nic_hint_too_long", groups: either(driverStat("rx_drops_packet_over_mru[*]")), switchedBy: "report-stats"},
			{name: "nic_hint_bad_checksum", groups: either(driverStat("rx_drops_invalid_checksum[*]")), switchedBy: "report-stats"},
			{name: "nic_hint_no_memory", groups: either(driverStat("rx_skb_alloc_fail", "rx_buf_alloc_fail"))},
		},
	},
	{
		// receive_small and receive_mergeable: drops has what an XDP program
		// dropped in it, which xdp_drops counts again. The names are
		// rx_queue_N_ before 6.8 and rxN_ after. What the host could not place
		// in the ring only the device knows (VIRTIO_NET_F_DEVICE_STATS).
		drivers: []string{"virtio_net"},
		losses: []place{
			{
				name: "nic_dropped", groups: either(driverStat("rx_queue_*_drops"), driverStat("rx*_drops")),
				less: driverStat("rx_queue_*_xdp_drops", "rx*_xdp_drops"),
			},
			{
				name: "nic_host_dropped", groups: either(queueStat("rx-hw-drops")),
				absent: "the device does not tell what the host dropped before it (virtio feature DEVICE_STATS, kernel 6.11)",
			},
		},
		signs: []place{{name: "nic_hint_bad_length", groups: either(linkStat("rx_length_errors"))}},
	},
	{
		// mlx5 counters.rst: rx_out_of_buffer, no descriptor was free (also the
		// link's rx_missed_errors, before 6.10 rx_dropped); rx_discards_phy, no
		// room in the port's buffer (also the link's rx_dropped from 6.14, and
		// split by rx_prioN_discards); rx_oversize_pkts_sw_drop, longer than
		// the MTU. The link's rx_errors are lengths, checksums of frames, and
		// alignment, of the port.
		drivers: []string{"mlx5_core"},
		losses: []place{
			{name: "nic_missed", groups: either(driverStat("rx_out_of_buffer"), linkStat("rx_missed_errors"))},
			{name: "nic_port_dropped", groups: either(driverStat("rx_discards_phy"))},
			{name: "nic_too_long", groups: either(driverStat("rx_oversize_pkts_sw_drop", "rx_xsk_oversize_pkts_sw_drop"))},
			{name: "nic_errors", groups: either(linkStat("rx_errors"))},
		},
		signs: []place{
			{name: "nic_hint_no_flow", groups: either(driverStat("rx_steer_missed_packets"))},
			{name: "nic_hint_no_memory", groups: either(driverStat("rx_buff_alloc_err", "rx_xsk_buff_alloc_err"))},
			{name: "nic_hint_interface_down", groups: either(driverStat("rx_if_down_packets"))},
			{name: "nic_hint_bad_descriptor", groups: either(driverStat("rx_wqe_err", "rx_xsk_wqe_err"))},
		},
	},
	{
		// mana: no work queue element was posted (also the link's
		// rx_missed_errors from 6.19). mana_rx_skb: rx_dropped has what an XDP
		// program dropped, or failed to redirect, in it.
		drivers: []string{"mana"},
		losses: []place{
			{name: "nic_missed", groups: either(driverStat("hc_rx_discards_no_wqe"), linkStat("rx_missed_errors"))},
			{name: "nic_dropped", groups: either(linkStat("rx_dropped")), less: driverStat("rx_*_xdp_drop")},
			{name: "nic_errors", groups: either(linkStat("rx_errors"))},
		},
		signs: []place{
			{name: "nic_hint_interface_down", groups: either(driverStat("hc_rx_err_vport_disabled"))},
			{name: "nic_hint_port_dropped", groups: either(driverStat("hc_rx_pkt_drop_phy"))},
		},
	},
	{
		// netvsc_recv_callback: rx_no_memory, the frame is refused. Those of
		// the virtual function are its own interface's.
		drivers: []string{"hv_netvsc"},
		losses: []place{
			{name: "nic_no_memory", groups: either(driverStat("rx_no_memory"))},
			{name: "nic_dropped", groups: either(linkStat("rx_dropped"))},
			{name: "nic_errors", groups: either(linkStat("rx_errors"))},
		},
	},
	{
		// vmxnet3_get_stats64: rx_errors is "pkts rx err" and rx_dropped is
		// "drv dropped rx total"; frames that found the ring empty are in
		// neither. Every queue has the same names.
		drivers: []string{"vmxnet3"},
		losses: []place{
			{name: "nic_missed", groups: either(driverStat("pkts rx OOB"))},
			{name: "nic_dropped", groups: either(linkStat("rx_dropped"))},
			{name: "nic_errors", groups: either(linkStat("rx_errors"))},
		},
		signs: []place{{name: "nic_hint_no_memory", groups: either(driverStat("rx buf alloc fail"))}},
	},
	{
		// ixgbe_update_stats: rx_missed_errors is mpc, no room in the port's
		// buffer; rx_no_dma_resources is qprdc, no descriptor in the queue.
		// Frames of rnbc (rx_no_buffer_count) may get in later.
		drivers: []string{"ixgbe"},
		losses: []place{
			{name: "nic_missed", groups: either(linkStat("rx_missed_errors"))},
			{name: "nic_queue_dropped", groups: either(driverStat("rx_no_dma_resources"))},
			{name: "nic_errors", groups: either(linkStat("rx_errors"))},
		},
		signs: []place{
			{name: "nic_hint_ring_empty", groups: either(driverStat("rx_no_buffer_count"))},
			{name: "nic_hint_no_memory", groups: either(driverStat("alloc_rx_page_failed", "alloc_rx_buff_failed"))},
		},
	},
	{
		// i40e_update_vsi_stats: rx_dropped is what the VSI discarded, in newer
		// ones for other reasons than a lack of descriptors, which is then
		// rx_missed_errors. port.rx_dropped is the port's, for all VSIs.
		drivers: []string{"i40e"},
		losses: []place{
			{name: "nic_dropped", groups: either(linkStat("rx_dropped"))},
			{name: "nic_missed", groups: either(linkStat("rx_missed_errors"))},
			{name: "nic_errors", groups: either(linkStat("rx_errors"))},
		},
		signs: []place{{name: "nic_hint_port_dropped", groups: either(driverStat("port.rx_dropped", "port.rx_discards"))}},
	},
	{
		// ice_update_vsi_stats: rx_missed_errors is the port's, rx_dropped the
		// VSI's. rx_errors has packets with a bad checksum in it, which are
		// not lost.
		drivers: []string{"ice"},
		losses: []place{
			{name: "nic_missed", groups: either(linkStat("rx_missed_errors"))},
			{name: "nic_dropped", groups: either(linkStat("rx_dropped"))},
			{name: "nic_errors", groups: either(linkStat("rx_crc_errors"))},
		},
		signs: []place{{name: "nic_hint_errors", groups: either(linkStat("rx_errors"))}},
	},
}

// generic is for all other drivers, after if_link.h: rx_missed_errors, no room
// in the device (folded into rx_dropped in /proc/net/dev, not here);
// rx_dropped, not processed, for lack of memory or because nobody wanted them;
// rx_errors, bad frames, with those of length, checksum and alignment. Whether
// rx_fifo_errors and rx_over_errors are frames, and whether they are in
// rx_errors, each driver sees in its own way.
var generic = scheme{
	losses: []place{
		{name: "nic_missed", groups: either(linkStat("rx_missed_errors"))},
		{name: "nic_dropped", groups: either(linkStat("rx_dropped"))},
		{name: "nic_errors", groups: either(linkStat("rx_errors"))},
	},
	signs: []place{
		{name: "nic_hint_fifo_errors", groups: either(linkStat("rx_fifo_errors"))},
		{name: "nic_hint_over_errors", groups: either(linkStat("rx_over_errors"))},
	},
}

// schemeOf finds what a driver's statistics mean.
func schemeOf(driver string) scheme {
	for _, s := range schemes {
		for _, d := range s.drivers {
			if d == driver {
				return s
			}
		}
	}
	return generic
}

// matches tells whether a statistic's name is of a pattern, in which * stands
// for one or more digits.
func matches(pattern, name string) bool {
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '*' {
			if name == "" || name[0] != pattern[i] {
				return false
			}
			name = name[1:]
			continue
		}
		digits := 0
		for digits < len(name) && name[digits] >= '0' && name[digits] <= '9' {
			digits++
		}
		if digits == 0 {
			return false
		}
		name = name[digits:]
	}
	return name == ""
}
