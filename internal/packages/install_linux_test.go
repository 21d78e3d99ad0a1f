package main

import (
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// unit is the sensor's.
const unit = "mirrorscope.service"

// TestDebian takes a Debian system through the life of the package, as a
// careful operator would see it.
func TestDebian(t *testing.T) {
	t.Parallel()
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

// TestRPM takes a system with rpm through the life of the package. There is no
// system made of rpm packages here, so what the package depends on is not asked
// for.
func TestRPM(t *testing.T) {
	t.Parallel()
	needs.Tool(t, "rpm")
	b := build(t)
	m := bootFrom(t, "/", b.dir)
	m.run("rpm", "--initdb")
	m.run("rpm", "--install", "--nodeps", "/share/"+filepath.Base(b.rpm))
	if out := m.run("sensor", "version"); !strings.HasPrefix(out, "sensor "+testVersion+" ") {
		t.Errorf("sensor version: %s", out)
	}
	if out, err := m.try("rpm", "--verify", "--nodeps", "mirrorscope"); err != nil {
		t.Errorf("rpm --verify: %s", out)
	}
	if s, _ := m.try("systemctl", "is-enabled", unit); strings.TrimSpace(s) != "disabled" {
		t.Errorf("after the installation the unit is %s", s)
	}
	m.sh("getent passwd mirrorscope | grep -q ':/usr/sbin/nologin$'")
	m.link("cap0", "mirror0")
	m.configure(`interfaces = ["cap0"]`)
	m.run("systemctl", "enable", "--now", unit)

	// rpm runs the scripts of both versions at an upgrade: those of the new one
	// with 2, then those of the old one with 1.
	before := m.property(unit, "MainPID")
	for _, step := range []string{"POSTIN} 2", "PREUN} 1", "POSTUN} 1"} {
		tag, count, _ := strings.Cut(step, " ")
		m.sh(`script=$(rpm -q --queryformat '%{` + tag + `' mirrorscope); sh -c "$script" script ` + count)
	}
	if pid, state := m.property(unit, "MainPID"), m.property(unit, "ActiveState"); pid == before || state != "active" {
		t.Errorf("after the upgrade it is %s with process %s, before %s", state, pid, before)
	}
	if s, _ := m.try("systemctl", "is-enabled", unit); strings.TrimSpace(s) != "enabled" {
		t.Errorf("after the upgrade the unit is %s", s)
	}

	m.run("rpm", "--erase", "--nodeps", "mirrorscope")
	m.sh("[ ! -e /usr/bin/sensor ] && [ -e /etc/mirrorscope/sensor.toml.rpmsave ] && [ -e /var/lib/mirrorscope/connections.jsonl ]")
	m.sh("[ -z \"$(find /etc/systemd/system /usr/lib/systemd -name '*mirrorscope*')\" ]")
	if s, _ := m.try("systemctl", "is-active", unit); strings.TrimSpace(s) != "inactive" {
		t.Errorf("removed, it is %s", s)
	}
}
