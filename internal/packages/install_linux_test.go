package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// unit is the sensor's.
const unit = "mirrorscope.service"

// TestDebian takes a Debian system through the life of the package, as a
// careful operator would see it.
func TestDebian(t *testing.T) {
	b := build(t)
	m := boot(t, b.dir)
	deb := "/share/" + filepath.Base(b.deb)
	// Installed, and nothing more: who captures on what is not known yet.
	m.run("dpkg", "--install", deb)
	if out := m.run("sensor", "version"); !strings.HasPrefix(out, "sensor "+testVersion+" ") {
		t.Errorf("sensor version: %s", out)
	}
	m.run("systemd-analyze", "verify", "--man=no", unit, "mirrorscope-guard@eth1.service")
	if s, _ := m.try("systemctl", "is-enabled", unit); strings.TrimSpace(s) != "disabled" {
		t.Errorf("after the installation the unit is %s", s)
	}
	if s := m.property(unit, "ActiveState"); s != "inactive" {
		t.Errorf("after the installation the unit is %s", s)
	}
	m.sh("getent passwd mirrorscope | grep -q ':/usr/sbin/nologin$'")

	// Not configured, it says what is missing, and is not tried again.
	if out, err := m.try("systemctl", "start", unit); err == nil {
		t.Errorf("it starts without an interface: %s", out)
	}
	if s := m.property(unit, "ActiveState"); s != "failed" {
		t.Errorf("without an interface it is %s", s)
	}
	if log := m.journal(unit); !strings.Contains(log, "set capture.interfaces") {
		t.Errorf("without an interface it says:\n%s", log)
	}

	m.link("cap0", "mirror0")
	m.sh(`sed -i 's/^interfaces = .*/interfaces = ["cap0"]/' /etc/mirrorscope/sensor.toml`)
	m.run("systemctl", "enable", "--now", unit)
	if s := m.property(unit, "StatusText"); !strings.Contains(s, "cap0") {
		t.Errorf("status %q", s)
	}

	// An upgrade starts the sensor again, and keeps what the operator wrote.
	before := m.property(unit, "MainPID")
	m.sh("cd /tmp && dpkg-deb -R " + deb + " next && sed -i 's/^Version: .*/Version: 9/' next/DEBIAN/control && echo '# later' >>next/etc/mirrorscope/sensor.toml" +
		" && dpkg-deb -Znone -b next next.deb && dpkg --force-confold --install next.deb")
	if pid, state := m.property(unit, "MainPID"), m.property(unit, "ActiveState"); pid == before || state != "active" {
		t.Errorf("after the upgrade it is %s with process %s, before %s", state, pid, before)
	}
	m.sh(`grep -q '^interfaces = \["cap0"\]' /etc/mirrorscope/sensor.toml`)

	// Removed, it leaves records and the guard.
	m.run("dpkg", "--remove", "mirrorscope")
	m.sh("[ -e /var/lib/mirrorscope/connections.jsonl ] && [ ! -e /usr/bin/sensor ] && nft list table netdev silent_cap0 >/dev/null")
	if s, _ := m.try("systemctl", "is-active", unit); strings.TrimSpace(s) != "inactive" {
		t.Errorf("removed, it is %s", s)
	}
	m.run("dpkg", "--purge", "mirrorscope")
	m.sh("[ ! -e /var/lib/mirrorscope ] && [ ! -e /etc/mirrorscope ] && [ -z \"$(find /etc/systemd/system /usr/lib/systemd -name '*mirrorscope*')\" ]")
}
