package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
	"mirrorscope/internal/needs"
)

// installed boots a machine with the package in it, and an interface for
// captures, cap0, into which mirror0 leads. dpkg, which takes its time, is left
// to TestDebian.
func installed(t *testing.T) *machine {
	t.Helper()
	b := build(t)
	m := boot(t, b.dir)
	m.sh("dpkg-deb -x /share/" + filepath.Base(b.deb) + " /pkg && cp -r /pkg/* / && dpkg-deb -e /share/" + filepath.Base(b.deb) + " /control && sh /control/postinst configure")
	m.link("cap0", "mirror0")
	return m
}

// configure sets keys of the configuration, as `key = value`.
func (m *machine) configure(lines ...string) {
	m.t.Helper()
	for _, line := range lines {
		key, _, _ := strings.Cut(line, " = ")
		m.run("sed", "-i", "s|^"+key+" = .*|"+line+"|", "/etc/mirrorscope/sensor.toml")
		m.run("grep", "-qxF", line, "/etc/mirrorscope/sensor.toml")
	}
}

// TestService has the sensor run under its unit, in each mode, with and without
// a filter: all that it does must pass the unit's confinement.
func TestService(t *testing.T) {
	t.Parallel()
	m := installed(t)
	frames := shop(t)
	for _, mode := range []struct {
		name string
		keys []string
		logs []string
	}{
		{"afpacket", []string{`mode = 'afpacket'`, `interfaces = ["cap0"]`, `rings = 1`}, []string{"mode=afpacket", "packet_sockets (1, which can only receive)"}},
		{"fan-out behind a filter", []string{`rings = 2`, `default = 'deny'`, `udp_ports = [4789]`}, []string{"msg=filter"}},
		{
			"afxdp", []string{`mode = 'afxdp'`, `default = 'allow'`, `udp_ports = []`, `directory = '/var/lib/mirrorscope/'`},
			[]string{"mode=afxdp", "packet_sockets (1, which can only receive)"},
		},
	} {
		m.configure(mode.keys...)
		m.run("systemctl", "restart", unit)
		checkConfined(m)
		m.send("mirror0", frames)
		m.run("systemctl", "reload", unit)
		m.run("systemctl", "stop", unit)
		log := m.journal(unit)
		if result := m.property(unit, "Result"); result != "success" || !strings.Contains(log, "the configuration was read again") {
			t.Fatalf("%s: ended with %s\n%s", mode.name, result, log)
		}
		for _, words := range mode.logs {
			if !strings.Contains(log, words) {
				t.Errorf("%s: no word of %q in\n%s", mode.name, words, log)
			}
		}
		for _, word := range []string{"not permitted", "ermission denied"} {
			if strings.Contains(log, word) {
				t.Errorf("%s: the unit forbids something:\n%s", mode.name, log)
			}
		}
		if n := accounted(m); n != len(frames) {
			t.Errorf("%s: %d frames accounted for, %d were sent", mode.name, n, len(frames))
		}
	}
	if n := strings.Count(m.sh("cat /var/lib/mirrorscope/connections.jsonl"), `{"type":"connection"`); n < 200 {
		t.Errorf("%d connections, in two runs without a filter", n)
	}
	m.sh(`[ "$(stat -c '%U:%G %a' /var/lib/mirrorscope)" = "mirrorscope:mirrorscope 750" ]`)
}

// shop are the frames of the demo capture.
func shop(t *testing.T) [][]byte {
	t.Helper()
	list, err := livelab.Frames(filepath.Join(needs.Repository(t), "testdata/pcaps/shop.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	frames := make([][]byte, len(list))
	for i := range list {
		frames[i] = list[i].Data
	}
	return frames
}

// accounted adds up what the last run did with the frames that came in.
func accounted(m *machine) int {
	m.t.Helper()
	out := strings.TrimSpace(m.sh("grep '^{\"type\":\"capture\"' /var/lib/mirrorscope/connections.jsonl | tail -n 1"))
	var c struct {
		Packets     int            `json:"packets"`
		Losses      map[string]int `json:"losses"`
		Prefiltered map[string]int `json:"prefiltered"`
	}
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	for _, n := range c.Losses {
		c.Packets += n
	}
	for _, n := range c.Prefiltered {
		c.Packets += n
	}
	return c.Packets
}

// checkConfined looks at what the sensor can still do once it runs.
func checkConfined(m *machine) {
	m.t.Helper()
	status := m.sh("cat /proc/" + m.property(unit, "MainPID") + "/status")
	uid := strings.TrimSpace(m.run("id", "-u", "mirrorscope"))
	for _, want := range []string{
		"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
		"Uid:\t" + strings.Repeat(uid+"\t", 3) + uid,
	} {
		if !strings.Contains(status, want+"\n") {
			m.t.Errorf("it runs without %q:\n%s", want, status)
		}
	}
	if list := m.property(unit, "IPAddressDeny"); !strings.Contains(list, "0.0.0.0/0") || !strings.Contains(list, "::/0") {
		m.t.Errorf("it may talk to others: %q", list)
	}
}

// TestAddresses: the unit answers this machine alone, until what the guide says
// about listeners that others are to reach is done. The address of such a network
// is this machine's here, which the list makes no difference of.
func TestAddresses(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join(needs.Repository(t), "docs", "how-to", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(guide), "```ini\n[Service]\nIPAddressAllow=192.0.2.0/24\n")
	if !strings.HasPrefix(text, "```\n") {
		t.Fatal("the guide does not say how it is done")
	}
	m := installed(t)
	m.run("ip", "link", "set", "lo", "up")
	m.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
	m.configure(`interfaces = ["cap0"]`, `probe_http = '192.0.2.1:9479'`)
	m.run("systemctl", "start", unit)
	connects := func(host, port string) bool {
		_, err := m.try("timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port)
		return err == nil
	}
	if !connects("127.0.0.1", "9478") {
		t.Errorf("this machine is not answered\n%s", m.journal(unit))
	}
	if connects("192.0.2.1", "9479") {
		t.Error("another is answered")
	}
	m.sh("mkdir -p /etc/systemd/system/" + unit + ".d && printf '[Service]\\nIPAddressAllow=192.0.2.0/24\\n' >/etc/systemd/system/" + unit + ".d/override.conf && systemctl daemon-reload")
	m.run("systemctl", "restart", unit)
	if !connects("192.0.2.1", "9479") || !connects("127.0.0.1", "9478") {
		t.Errorf("with the network in the list nobody is answered\n%s", m.journal(unit))
	}
}

// TestRestart ends the sensor in ways that it does not expect. systemd starts it
// again, and the guard is there all the time.
func TestRestart(t *testing.T) {
	t.Parallel()
	m := installed(t)
	m.configure(`interfaces = ["cap0"]`, `mode = 'afxdp'`)
	// As fast as it can be seen.
	m.sh("mkdir -p /run/systemd/system/mirrorscope.service.d && printf '[Service]\\nWatchdogSec=3\\nTimeoutAbortSec=2\\nRestartSec=100ms\\n' >/run/systemd/system/mirrorscope.service.d/test.conf")
	m.run("systemctl", "daemon-reload")
	m.run("systemctl", "start", unit)
	again := func(after, pid string) {
		m.until("it is started again after "+after, 20*time.Second, func() error {
			m.run("nft", "list", "table", "netdev", "silent_cap0")
			if now, state := m.property(unit, "MainPID"), m.property(unit, "ActiveState"); now == pid || now == "0" || state != "active" {
				return fmt.Errorf("%s, process %s\n%s", state, now, m.journal(unit))
			}
			return nil
		})
	}
	for _, signal := range []string{"KILL", "QUIT", "STOP"} {
		pid := m.property(unit, "MainPID")
		m.sh("kill -" + signal + " " + pid)
		again("SIG"+signal, pid)
	}
	if log := m.journal(unit); !strings.Contains(log, "Watchdog timeout") {
		t.Errorf("the watchdog did not see that it hung:\n%s", log)
	}

	pid := m.property(unit, "MainPID")
	m.run("ip", "link", "del", "cap0")
	m.until("it ends with its interface", 10*time.Second, func() error {
		if log := m.journal(unit); !strings.Contains(log, "status=75/") {
			return fmt.Errorf("the log is\n%s", log)
		}
		return nil
	})
	m.link("cap0", "mirror0")
	again("its interface has come back", pid)
}

// TestGuardUnit: the interface is silent as soon as it is there, and stays so
// when the unit is stopped.
func TestGuardUnit(t *testing.T) {
	t.Parallel()
	m := installed(t)
	const guard = "mirrorscope-guard@cap1.service"
	silent := func() error {
		if out, err := m.try("nft", "list", "table", "netdev", "silent_cap1"); err != nil || strings.Count(out, "hook") != 2 {
			return fmt.Errorf("%w: %s\n%s", err, out, m.journal(guard))
		}
		if out := m.sh("cat /proc/sys/net/ipv6/conf/cap1/disable_ipv6"); out != "1\n" {
			return fmt.Errorf("disable_ipv6 is %s", out)
		}
		return nil
	}
	m.run("systemctl", "enable", guard)
	for _, nth := range []string{"first", "second"} {
		m.link("cap1", "mirror1")
		m.until("the guard is there, the "+nth+" time", 5*time.Second, silent)
		if nth == "first" {
			m.run("ip", "link", "del", "cap1")
			m.until("the unit ends with its interface", 5*time.Second, func() error {
				if s := m.property(guard, "ActiveState"); s != "inactive" {
					return fmt.Errorf("it is %s", s)
				}
				return nil
			})
		}
	}
	m.run("systemctl", "stop", guard)
	if err := silent(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	m.sh("sensor guard --remove cap1 | nft -f -")
	if silent() == nil {
		t.Error("the guard cannot be removed")
	}

	// An interface by which this machine is reached is not silenced, unless it is
	// shared.
	m.link("mgmt0", "mirror2")
	m.sh("ip addr add 192.0.2.1/24 dev mgmt0 && ip route add default via 192.0.2.2")
	const other = "mirrorscope-guard@mgmt0.service"
	if out, err := m.try("systemctl", "start", other); err == nil {
		t.Errorf("it silences the way to this machine: %s", out)
	}
	if out := m.sh("nft list tables; cat /proc/sys/net/ipv6/conf/mgmt0/disable_ipv6"); out != "0\n" {
		t.Errorf("after the refusal: %s", out)
	}
	m.sh("mkdir -p /etc/systemd/system/" + other + ".d && printf '[Service]\\nEnvironment=FLAGS=--shared\\n' >/etc/systemd/system/" + other + ".d/override.conf && systemctl daemon-reload")
	if out, err := m.try("systemctl", "start", other); err != nil {
		t.Fatalf("shared: %s\n%s", out, m.journal(other))
	}
	if out := m.sh("nft list table netdev silent_mgmt0; cat /proc/sys/net/ipv6/conf/mgmt0/disable_ipv6"); !strings.Contains(out, "udp dport 4789") || !strings.HasSuffix(out, "\n0\n") {
		t.Errorf("shared: %s", out)
	}
}

// TestNetworkd: what the guide says about systemd-networkd sets the interface up,
// and has it say nothing, before there is any guard.
func TestNetworkd(t *testing.T) {
	t.Parallel()
	needs.Tool(t, "/lib/systemd/systemd-networkd")
	guide, err := os.ReadFile(filepath.Join(needs.Repository(t), "docs", "how-to", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(guide), "```ini\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok || !strings.Contains(text, "Name=eth1\n") {
		t.Fatalf("the guide says %q", text)
	}
	m := boot(t, t.TempDir())
	m.sh("mkdir -p /etc/systemd/network && cat >/etc/systemd/network/10-mirror.network <<'end'\n" + text + "end\n")
	m.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "mirror1")
	m.run("ip", "link", "set", "mirror1", "up")
	m.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "mirror2")
	m.run("ip", "link", "set", "mirror2", "up")
	m.run("systemctl", "start", "systemd-networkd")
	m.until("the interface is up", 10*time.Second, func() error {
		if out := m.sh("cat /sys/class/net/eth1/operstate"); out != "up\n" {
			return fmt.Errorf("%s\n%s", out, m.journal("systemd-networkd"))
		}
		return nil
	})
	m.run("ip", "link", "set", "other", "up") // later, and as on a system that was told nothing
	m.until("another has said all that eth1 would have said by now", 20*time.Second, func() error {
		if n, err := strconv.Atoi(strings.TrimSpace(m.sh("cat /sys/class/net/other/statistics/tx_packets"))); err != nil || n < 4 {
			return fmt.Errorf("%d frames, %w", n, err)
		}
		return nil
	})
	if out := m.sh("cat /sys/class/net/eth1/statistics/tx_packets; ip -o address show dev eth1"); out != "0\n" {
		t.Errorf("frames sent, and addresses: %s", out)
	}
	if out := m.run("ip", "link", "show", "eth1"); !strings.Contains(out, "NOARP") {
		t.Errorf("it answers ARP: %s", out)
	}
}
