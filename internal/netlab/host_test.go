package netlab

import "testing"

func TestParseCounters(t *testing.T) {
	const text = `TcpExt: SyncookiesSent DelayedACKs
TcpExt: 1 22
IpExt: DelayedACKs
IpExt: 99
Tcp: MaxConn RetransSegs
Tcp: -1 3
`
	m := map[string]int64{}
	if err := parseCounters(text, m); err != nil {
		t.Fatal(err)
	}
	if len(m) != 4 || m["DelayedACKs"] != 22 || m["MaxConn"] != -1 || m["RetransSegs"] != 3 {
		t.Errorf("%v", m)
	}
	for _, bad := range []string{"TcpExt: A B\nTcpExt: 1\n", "TcpExt: A\nTcp: 1\n", "TcpExt: A\nTcpExt: x\n"} {
		if parseCounters(bad, m) == nil {
			t.Errorf("%q parsed", bad)
		}
	}
}

// TestHostsApart: each host has its own settings and counters, and this
// process's own network stays as it is.
func TestHostsApart(t *testing.T) {
	Needs(t)
	var hosts [2]*Host
	for side := range hosts {
		sack := map[string]string{"tcp_sack": []string{"0", "1"}[side]}
		h, err := newHost(Direction(side), sack)
		if err != nil {
			t.Fatal(err)
		}
		defer h.close()
		hosts[side] = h
	}
	for side, h := range hosts {
		c, err := h.counters()
		if err != nil {
			t.Fatal(err)
		}
		if c["ActiveOpens"] != 0 || len(c) < 50 {
			t.Errorf("%s: %d counters, ActiveOpens %d in a new namespace", Direction(side), len(c), c["ActiveOpens"])
		}
	}
	if _, err := newHost(FromClient, map[string]string{"no_such_setting": "1"}); err == nil {
		t.Error("a setting that does not exist was accepted")
	}
}
