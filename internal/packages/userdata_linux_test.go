package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorscope/internal/fakeec2"
	"mirrorscope/internal/needs"
)

// TestUserData has a machine run the user data of the Terraform modules, as a
// cloud would at its first start: it asks the metadata service which interface
// receives the mirror, fetches the package from a server that fails at first,
// installs it, and measures what the kernel of another host sends in VXLAN.
func TestUserData(t *testing.T) {
	t.Parallel()
	b := build(t)
	m := boot(t, t.TempDir())
	m.link("cap0", "mirror0")
	cloud := newMetadata(t, m, b.deb)
	cloud.mac = strings.TrimSpace(m.sh("cat /sys/class/net/cap0/address"))
	// Whoever waits need not.
	m.sh("mkdir -p /quick && printf '#!/bin/sh\\necho \"$*\" >>/quick/slept\\n' >/quick/sleep && chmod 755 /quick/sleep")

	text := map[string]any{
		"cloud": "aws", "package_url": "http://169.254.169.254/packages/mirrorscope.deb?signature=a%20b", "package_sha256": strings.Repeat("0", 64),
		"capture_interface": 1, "shared": false, "udp_ports": []int{4789}, "sources": []string{"10.99.0.0/24"}, "health_port": 9480, "allowed": []string{"169.254.169.254/32"},
		"networks":     map[string]string{"7007": "blue"},
		"extra_config": "[measure]\ninterval = \"1s\"\n",
	}
	out, err := m.start(t, text)
	if err == nil || !strings.Contains(out, "not 0000000000") || !strings.Contains(out, "the package cannot be had") || !strings.Contains(out, "FAILED with status 1: this machine does not work") {
		t.Fatalf("another package is installed (%v):\n%s", err, out)
	}
	if out, err := m.try("sh", "-c", "command -v sensor || ls /etc/mirrorscope"); err == nil {
		t.Fatalf("something was installed: %s", out)
	}

	text["package_sha256"] = cloud.sha256
	cloud.trouble = []int{0, http.StatusServiceUnavailable} // taken from the end
	if out, err = m.start(t, text); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if s := m.property(unit, "ActiveState"); s != "active" {
		t.Errorf("the sensor is %s\n%s", s, m.journal(unit))
	}
	if s, _ := m.try("systemctl", "is-enabled", unit); strings.TrimSpace(s) != "enabled" {
		t.Errorf("the unit is %s", s)
	}
	m.sh(`grep -qxF 'interfaces = ["cap0"]' /etc/mirrorscope/sensor.toml && grep -qxF '"7007" = "blue"' /etc/mirrorscope/sensor.toml`)
	if log := m.journal(unit); !strings.Contains(log, "interface=cap0 shared=false") {
		t.Errorf("no guard:\n%s", log)
	}
	m.sh("curl --silent --fail http://169.254.169.254:9480/healthz")

	overlay(m)
	for range 3 {
		m.sh("ip netns exec source curl --silent --max-time 5 http://10.0.0.2:8080/ >/dev/null || true")
	}
	m.run("systemctl", "stop", unit)
	if n := strings.Count(m.sh("cat /var/lib/mirrorscope/connections.jsonl"), `"network":"blue"`); n == 0 {
		t.Errorf("no connection of network blue in\n%s", m.sh("cat /var/lib/mirrorscope/connections.jsonl"))
	}

	// Once more, with another configuration: nothing is fetched, what has changed
	// is written, and the sensor starts anew. Behind a load balancer the interface
	// is shared.
	before := cloud.fetched()
	text["shared"] = true
	text["extra_config"] = ""
	if out, err = m.start(t, text); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := cloud.fetched() - before; n != 0 {
		t.Errorf("the package was fetched %d times more", n)
	}
	if log := m.journal(unit); !strings.Contains(log, "interface=cap0 shared=true") {
		t.Errorf("the configuration is not the new one:\n%s", log)
	}
	checkConfined(m)

	// The other clouds are asked in other words.
	text["cloud"] = "azure"
	if out, err = m.start(t, text); err != nil || !strings.Contains(out, "the mirror comes in by cap0") {
		t.Errorf("Azure: %v\n%s", err, out)
	}
	text["cloud"], text["routes"] = "gcp", []string{"35.191.0.0/16"}
	if out, err = m.start(t, text); err != nil || !strings.Contains(out, "the mirror comes in by cap0") {
		t.Errorf("GCP: %v\n%s", err, out)
	}
	m.sh("ip route show 35.191.0.0/16 | grep -q 'via 10.99.0.1 dev cap0 onlink'")

	// A sensor that does not start is told.
	text["extra_config"] = "[measure]\ninterval = \"never\"\n"
	if out, err = m.start(t, text); err == nil || !strings.Contains(out, "the sensor does not start") || !strings.Contains(out, "never") {
		t.Errorf("a wrong configuration passes (%v):\n%s", err, out)
	}
}

// TestWatchUserData has a machine run the user data of the one that keeps mirror
// sessions: it makes the session that the desired state of the module for AWS asks
// for, with the rights of its role, and measures nothing.
func TestWatchUserData(t *testing.T) {
	t.Parallel()
	b := build(t)
	m := boot(t, t.TempDir())
	cloud := newMetadata(t, m, b.deb)
	fake := fakeec2.New()
	fake.With(func(s *fakeec2.State) {
		s.AddVPC(fakeec2.VPC{ID: "vpc-0123456789abcdef0"})
		for i, env := range []string{"prod", "test"} {
			instance := fmt.Sprintf("i-%017x", i)
			s.AddInstance(fakeec2.Instance{ID: instance, Type: "m6i.large", VPC: "vpc-0123456789abcdef0", Tags: fakeec2.Tags{"env": env}})
			s.AddInterface(fakeec2.Interface{ID: fmt.Sprintf("eni-%017x", i), VPC: "vpc-0123456789abcdef0", IP: fmt.Sprintf("10.0.0.%d", i+1), Instance: instance})
		}
		s.AddInterface(fakeec2.Interface{ID: "eni-0000000000000000a", VPC: "vpc-0123456789abcdef0", IP: "10.0.1.1", Instance: "i-0000000000000000a"})
		s.AddInstance(fakeec2.Instance{ID: "i-0000000000000000a", Type: "c6in.large", VPC: "vpc-0123456789abcdef0"})
		s.AddTarget(fakeec2.Target{ID: "tmt-0123456789abcdef0", Interface: "eni-0000000000000000a"})
		s.AddFilter(fakeec2.Filter{ID: "tmf-0123456789abcdef0"})
	})
	m.serve("127.0.0.1:8001", fake)
	m.sh("mkdir -p /etc/systemd/system/mirrorscope-mirror.service.d && printf '[Service]\\nEnvironment=AWS_ENDPOINT_URL=http://127.0.0.1:8001\\n' >/etc/systemd/system/mirrorscope-mirror.service.d/20-ec2.conf")

	state := func(instances string) string {
		return fmt.Sprintf(`${templatefile(%q, { name = "shop", region = %q, instances = %q, interfaces = "", vpcs = [], filter_id = "tmf-0123456789abcdef0", target_id = "tmt-0123456789abcdef0", extra = "" })}`,
			filepath.Join(needs.Repository(t), "deploy", "terraform", "aws", "mirror.toml.tftpl"), fakeec2.Region, instances)
	}
	text := map[string]any{"cloud": "aws", "package_url": "http://169.254.169.254/packages/mirrorscope.deb?signature=a%20b", "package_sha256": cloud.sha256, "desired_state": state("env = and")}
	out, err := m.start(t, text)
	if err == nil || !strings.Contains(out, "the desired state has a mistake") || !strings.Contains(out, "select") {
		t.Errorf("a wrong desired state passes (%v):\n%s", err, out)
	}
	text["desired_state"] = state("env = prod")
	if out, err := m.start(t, text); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m.until("the session is made", 60*time.Second, func() error {
		var sessions []string
		fake.With(func(s *fakeec2.State) {
			for _, session := range s.Sessions {
				sessions = append(sessions, session.Interface+" "+session.Target+" "+session.Filter+" "+session.Tags["mirrorscope-state"])
			}
		})
		if want := "eni-00000000000000000 tmt-0123456789abcdef0 tmf-0123456789abcdef0 shop"; len(sessions) != 1 || sessions[0] != want {
			return fmt.Errorf("%q, want %q\n%s", sessions, want, m.journal("mirrorscope-mirror.service"))
		}
		return nil
	})
	if s, _ := m.try("systemctl", "is-enabled", "mirrorscope-mirror", unit); s != "enabled\ndisabled\n" {
		t.Errorf("the units are %q", s)
	}
}

// overlay makes a host whose packets come in by cap0, in VXLAN that its kernel
// has put around them: `source`, a namespace behind mirror0.
func overlay(m *machine) {
	m.sh(`
ip netns add source
ip link set mirror0 netns source
ip netns exec source sh -euc '
ip link set lo up
ip link set mirror0 up
ip addr add 10.99.0.1/24 dev mirror0
ip neigh replace 10.99.0.2 lladdr '"$(cat /sys/class/net/cap0/address)"' nud permanent dev mirror0
ip link add vx0 type vxlan id 7007 remote 10.99.0.2 dstport 4789 dev mirror0
ip link set vx0 up
ip addr add 10.0.0.1/24 dev vx0
ip neigh replace 10.0.0.2 lladdr 06:00:00:00:00:02 nud permanent dev vx0
'`)
}

// start has the machine run the user data that the module makes of variables.
func (m *machine) start(t *testing.T, values map[string]any) (string, error) {
	t.Helper()
	script := userData(t, values)
	if err := os.WriteFile(filepath.Join(m.share, "user-data"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return m.try("env", "PATH=/quick:/usr/sbin:/usr/bin:/sbin:/bin", "/share/user-data")
}

// userData renders what deploy/terraform/boot makes of variables.
func userData(t *testing.T, values map[string]any) string {
	t.Helper()
	terraform := needs.Tool(t, "terraform")
	dir := t.TempDir()
	module := map[string]any{"source": filepath.Join(needs.Repository(t), "deploy", "terraform", "boot")}
	for k, v := range values {
		module[k] = v
	}
	text, err := json.Marshal(map[string]any{"module": map[string]any{"boot": module}, "output": map[string]any{"user_data": map[string]any{"value": "${module.boot.user_data}"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.tf.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) []byte {
		cmd := exec.Command(terraform, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+os.DevNull, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1")
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				out = append(out, exit.Stderr...)
			}
			t.Fatalf("terraform %q: %v\n%s", args, err, out)
		}
		return out
	}
	run("init", "-no-color")
	run("apply", "-no-color", "-auto-approve")
	return string(run("output", "-raw", "user_data"))
}

// metadata is the metadata service of a cloud, at its address in the machine,
// and a server of packages there.
type metadata struct {
	mac    string // of the second interface
	sha256 string // of the package

	mu      sync.Mutex
	asked   int   // for the interfaces
	served  int   // times that the package was asked for
	trouble []int // answers for the package, the next one last, before it is there: a status, or 0 for half of it
}

const token = "a-token"

func (c *metadata) fetched() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served
}

func newMetadata(t *testing.T, m *machine, deb string) *metadata {
	t.Helper()
	octets, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(octets)
	c := &metadata{sha256: hex.EncodeToString(sum[:])}
	m.run("ip", "address", "add", "169.254.169.254/32", "dev", "lo")
	m.run("ip", "link", "set", "lo", "up")
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		const ttl = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
		if r.Header.Get(ttl) == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set(ttl, r.Header.Get(ttl))
		_, _ = io.WriteString(w, token) // who asked may be gone
	})
	mux.HandleFunc("GET /latest/meta-data/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-aws-ec2-metadata-token") != token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		const first = "06:00:00:00:00:aa"
		switch r.PathValue("path") {
		case "network/interfaces/macs/":
			c.asked++
			_, _ = io.WriteString(w, first+"/")
			if c.asked > 2 { // it is attached later
				_, _ = io.WriteString(w, "\n"+c.mac+"/")
			}
		case "network/interfaces/macs/" + first + "/device-number":
			_, _ = io.WriteString(w, "0")
		case "network/interfaces/macs/" + c.mac + "/device-number":
			_, _ = io.WriteString(w, "1")
		case "iam/security-credentials/":
			_, _ = io.WriteString(w, "sensor")
		case "iam/security-credentials/sensor":
			_, _ = fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"AKIAEXAMPLE","SecretAccessKey":"secret","Token":"t","Expiration":%q}`, time.Now().Add(6*time.Hour).UTC().Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	mux.HandleFunc("GET /computeMetadata/v1/instance/network-interfaces/1/{what}", func(w http.ResponseWriter, r *http.Request) {
		switch what := r.PathValue("what"); {
		case r.Header.Get("Metadata-Flavor") != "Google":
			w.WriteHeader(http.StatusForbidden)
		case what == "mac":
			_, _ = io.WriteString(w, c.mac)
		case what == "gateway":
			_, _ = io.WriteString(w, "10.99.0.1")
		}
	})
	mux.HandleFunc("GET /metadata/instance/network/interface/1/macAddress", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "true" || r.FormValue("format") != "text" || r.FormValue("api-version") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, strings.ToUpper(strings.ReplaceAll(c.mac, ":", ""))) // as Azure writes it
	})
	mux.HandleFunc("GET /packages/mirrorscope.deb", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.served++
		if r.URL.RawQuery != "signature=a%20b" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if n := len(c.trouble); n > 0 {
			status := c.trouble[n-1]
			c.trouble = c.trouble[:n-1]
			if status != 0 {
				w.WriteHeader(status)
				return
			}
			_, _ = w.Write(octets[:len(octets)/2])
			return
		}
		_, _ = w.Write(octets)
	})
	listener, err := m.listen("169.254.169.254:80")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	return c
}

// listen takes connections to an address of the machine.
func (m *machine) listen(address string) (l net.Listener, err error) {
	err = m.inside("", func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	return l, err
}
