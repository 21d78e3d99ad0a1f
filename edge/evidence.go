package edge

// evidence gives the figures that are known.
func (j *judge) evidence() (all []Figure) {
	c, w := j.c, &j.c.Waiting
	put := func(name string, value float64, ok bool) {
		if ok {
			all = append(all, Figure{name, value})
		}
	}
	put("connections", float64(c.Connections), true)
	put("failed_connections", float64(c.Errors()), c.Errors() > 0)
	put("requests", float64(c.Requests()), c.Requests() > 0)
	put("unknown_requests", float64(c.UnknownRequests()), c.UnknownRequests() > 0)
	rate, ok := c.ErrorRate()
	put("error_ratio", rate, ok)
	if c.TLS != nil {
		put("tls_failures", float64(c.TLS.Failed()), true)
		ns, ok := c.TLS.AsClient().Quantile(0.95)
		put("tls_handshake_p95_us", ns/1e3, ok)
	}
	known := float64(w.Known())
	for _, x := range []struct {
		name string
		ns   int64
	}{{"server_share_ratio", w.Server}, {"network_share_ratio", w.Network}, {"tls_share_ratio", w.TLS}, {"client_share_ratio", w.Client}} {
		put(x.name, float64(x.ns)/known, known > 0)
	}
	total := known + float64(w.Unknown) + float64(w.Transfer)
	put("unknown_share_ratio", float64(w.Unknown)/total, total > 0)
	put("slow_transfer_us", float64(w.Transfer)/1e3, w.Transfer > 0)
	put("client_window_us", float64(w.Stalled[0])/1e3, w.Stalled[0] > 0)
	put("server_window_us", float64(w.Stalled[1])/1e3, w.Stalled[1] > 0)
	if u := c.Unanswered; u != nil {
		ns, ok := u.Waits.Quantile(0.5)
		put("no_response_wait_p50_us", ns/1e3, ok)
		_, longest := u.OpenWait()
		put("open_requests", float64(u.Open), u.Open > 0)
		put("open_wait_max_us", float64(longest)/1e3, u.Open > 0)
	}
	h, _ := c.Response()
	ns, ok := h.Quantile(0.95)
	put("response_p95_us", ns/1e3, ok)
	rtt, _, ok := c.Times.PathRTT()
	put("rtt_p50_us", rtt/1e3, ok)
	ratio, packets, _, ok := c.repeatRatio()
	put("retransmit_ratio", ratio, ok)
	put("retransmit_packets", float64(packets), c.Repeats[0].Connections+c.Repeats[1].Connections > 0)
	loss, ok := c.lossRatio()
	put("capture_loss_ratio", loss, ok)
	return all
}
