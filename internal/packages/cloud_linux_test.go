package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/fakeec2"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
)

// The cloud that the sensor's machine stands in: two networks with the same
// addresses in them, each mirrored by an interface that has another address as
// well, from which the copies come.
const (
	captureIP = "10.99.0.2"
	balancer  = "10.99.0.1" // asks for the sensor's health
	vni       = 7           // of both sessions
)

var networks = []struct{ vpc, sender, web, shop string }{
	{"vpc-0aaaaaaaaaaaaaaaa", "10.1.0.5", "web-a", "shop-a"},
	{"vpc-0bbbbbbbbbbbbbbbb", "10.2.0.5", "web-b", "shop-b"},
}

// inventory is what the local server tells of them.
func inventory(s *fakeec2.State) {
	for n, v := range networks {
		s.AddVPC(fakeec2.VPC{ID: v.vpc, CIDR: fmt.Sprintf("10.%d.0.0/16", n+1), More: []string{"10.0.0.0/16"}})
		subnet := s.AddSubnet(fakeec2.Subnet{ID: fmt.Sprintf("subnet-%017x", n+1), VPC: v.vpc, CIDR: "10.0.0.0/24", Zone: "eu-central-1a"})
		for m, name := range []string{v.web, v.shop} {
			id := fmt.Sprintf("i-%016x%d", n+1, m)
			ip := fmt.Sprintf("10.0.0.%d", 10*(m+1))
			s.AddInstance(fakeec2.Instance{ID: id, Type: "m6i.large", VPC: v.vpc, Subnet: subnet.ID, Zone: subnet.Zone, IP: ip, Launched: time.Now().Add(-time.Hour), Tags: fakeec2.Tags{"Name": name, "service": strings.TrimRight(name, "-ab")}})
			nic := fakeec2.Interface{ID: fmt.Sprintf("eni-%016x%d", n+1, m), VPC: v.vpc, Subnet: subnet.ID, Zone: subnet.Zone, IP: ip, Instance: id, Attached: time.Now().Add(-time.Hour)}
			if m == 0 { // the mirrored one
				nic.IP, nic.Secondary = v.sender, []string{ip}
			}
			s.AddInterface(nic)
		}
	}
}

// serve answers at an address of the machine.
func (m *machine) serve(address string, h http.Handler) {
	m.t.Helper()
	l, err := m.listen(address)
	if err != nil {
		m.t.Fatalf("listen on %s: %v", address, err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	m.t.Cleanup(func() { _ = s.Close() })
}

// talk sends one connection from 10.0.0.10 to 10.0.0.20, as the mirror of a
// network copies it: the kernel puts it into VXLAN.
func (m *machine) talk(network int, port uint16) {
	m.t.Helper()
	c := pcapgen.Conn{
		Client: netip.AddrPortFrom(pcapgen.IP("10.0.0.10"), port), Server: netip.AddrPortFrom(pcapgen.IP("10.0.0.20"), 8080),
		Path:   pcapgen.Path{Delay: 2 * time.Millisecond},
		Turns:  []pcapgen.Turn{{Request: []byte("GET /orders HTTP/1.1\r\nHost: shop\r\n\r\n"), Think: 3 * time.Millisecond, Response: []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")}},
		Finish: pcapgen.FINByClient,
	}
	var frames [][]byte
	for _, p := range c.Record().Packets {
		frames = append(frames, append([]byte{2, 0, 0, 0, 0, 20, 2, 0, 0, 0, 0, 10, 8, 0}, p.Data...))
	}
	if err := m.inside(fmt.Sprintf("source%d", network), func() error { return sendFrames("vx0", frames) }); err != nil {
		m.t.Fatal(err)
	}
}

// record is what the test reads of one.
type record struct {
	Type, Network string
	Client        struct {
		IP   string
		Port uint16
	}
	ClientTags map[string]any `json:"client_tags"`
	ServerTags map[string]any `json:"server_tags"`
	Group      map[string]string
	Requests   struct{ Requests int64 }
	Inventory  []struct {
		Interfaces int
		Error      string
	}
}

// records reads what the sensor has written so far.
func (m *machine) records() (all []record) {
	m.t.Helper()
	for line := range strings.Lines(m.sh("cat /var/lib/mirrorscope/connections.jsonl")) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			m.t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// connection waits for the record of a connection by its client's port.
func (m *machine) connection(network int, port uint16) (found record) {
	m.t.Helper()
	m.until(fmt.Sprintf("the record of port %d in network %d", port, network), 30*time.Second, func() error {
		for _, r := range m.records() {
			if r.Type == "connection" && r.Client.Port == port && r.Network == networks[network].vpc {
				found = r
				return nil
			}
		}
		return errors.New("there is none")
	})
	return found
}

// TestCloud starts a machine as a cloud does, by the user data that Terraform
// renders, and has it measure what the kernel sends in VXLAN: who talks has the
// names that the inventory tells, each network its own, and each time.
func TestCloud(t *testing.T) {
	t.Parallel()
	b := build(t)
	m := boot(t, t.TempDir())

	// The capture interface, and behind it a switch with those who mirror.
	m.run("ip", "netns", "add", "switch")
	m.run("ip", "link", "add", "ens6", "address", "06:00:00:00:02:01", "mtu", "9000", "type", "veth", "peer", "name", "out", "mtu", "9000", "netns", "switch")
	m.run("ip", "address", "add", captureIP+"/8", "dev", "ens6")
	m.run("ip", "link", "set", "ens6", "up")
	m.sh("ip -n switch link add br0 type bridge && ip -n switch link set out master br0 up && ip -n switch address add " + balancer + "/8 dev br0 && ip -n switch link set br0 up")
	for n, v := range networks {
		m.sh(fmt.Sprintf(`
ip netns add source%[1]d
ip -n switch link add port%[1]d mtu 9000 type veth peer name eth0 mtu 9000 netns source%[1]d
ip -n switch link set port%[1]d master br0 up
in="ip -n source%[1]d"
$in address add %[2]s/8 dev eth0
$in link set eth0 up
$in link add vx0 type vxlan id %[3]d local %[2]s remote %[4]s dstport 4789 dev eth0 nolearning
ip netns exec source%[1]d sh -c 'echo 1 >/proc/sys/net/ipv6/conf/vx0/disable_ipv6'
$in link set vx0 up`, n, v.sender, vni, captureIP))
	}

	// What it finds there: metadata, the package, EC2.
	fake := fakeec2.New()
	fake.Services["monitoring"] = &fakeec2.Monitoring{}
	fake.With(inventory)
	meta := newMetadata(t, m, b.deb)
	meta.mac = strings.TrimSpace(m.sh("cat /sys/class/net/ens6/address"))
	m.serve("127.0.0.1:8001", fake)
	m.sh(`mkdir -p /etc/systemd/system/mirrorscope.service.d && cat >/etc/systemd/system/mirrorscope.service.d/20-ec2.conf <<END
[Service]
Environment=AWS_ENDPOINT_URL=http://127.0.0.1:8001
END`)

	if out, err := m.start(t, map[string]any{
		"cloud": "aws", "package_url": "http://169.254.169.254/packages/mirrorscope.deb?signature=a%20b", "package_sha256": meta.sha256,
		"capture_interface": 1, "shared": true, "udp_ports": []int{4789}, "sources": []string{"10.0.0.0/8"}, "health_port": 9480, "allowed": []string{"any"},
		"inventory":    fmt.Sprintf(`${templatefile(%q, { region = %q, roles = [] })}`, filepath.Join(needs.Repository(t), "deploy", "terraform", "aws", "inventory.toml.tftpl"), fakeec2.Region),
		"extra_config": cloudConfig,
	}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkConfined(m)

	m.until("the load balancer is told that the sensor is well", 20*time.Second, func() error {
		_, err := m.try("ip", "netns", "exec", "switch", "curl", "--fail", "--silent", "--max-time", "5", "http://"+captureIP+":9480/healthz")
		return err
	})
	m.until("the inventory is read", 60*time.Second, func() error {
		for _, r := range m.records() {
			if len(r.Inventory) == 1 && r.Inventory[0].Interfaces == 4 && r.Inventory[0].Error == "" {
				return nil
			}
		}
		return fmt.Errorf("not yet: %s", m.journal(unit))
	})

	check := func(network int, port uint16, web string) {
		t.Helper()
		r := m.connection(network, port)
		if r.ClientTags["instance"] != web && r.ClientTags["host"] != web || r.ClientTags["vpc"] != networks[network].vpc {
			t.Errorf("network %d, port %d: the client is %v, want the instance %s", network, port, r.ClientTags, web)
		}
		if s := networks[network].shop; r.ServerTags["instance"] != s && r.ServerTags["host"] != s || r.ServerTags["service"] != "shop" {
			t.Errorf("network %d, port %d: the server is %v, want the instance %s", network, port, r.ServerTags, s)
		}
	}
	const port = 40000 // the same on both sides: what differs is who mirrors
	for n := range networks {
		m.talk(n, port)
	}
	for n, v := range networks {
		check(n, port, v.web)
	}

	// A name that changes holds from then on.
	fake.With(func(s *fakeec2.State) { s.Instances["i-"+fmt.Sprintf("%016x%d", 1, 0)].Tags["Name"] = "web-new" })
	again := uint16(port)
	m.until("the new name is known", 90*time.Second, func() error {
		again++
		m.talk(0, again)
		if r := m.connection(0, again); r.ClientTags["instance"] != "web-new" && r.ClientTags["host"] != "web-new" {
			return fmt.Errorf("the client is %v", r.ClientTags)
		}
		return nil
	})
	m.talk(1, again)
	check(1, again, "web-b")
	check(0, port, "web-a")
	time.Sleep(2 * time.Second) // an interval has the names of its beginning
	m.talk(0, again+1)
	check(0, again+1, "web-new")

	// And so do the conversations say, of which the requests add up.
	names := map[string]int64{}
	m.run("systemctl", "stop", unit)
	for _, r := range m.records() {
		if r.Type == "conversation" {
			names[r.Group["network"]+" "+r.Group["client.instance"]+" → "+r.Group["server.service"]] += r.Requests.Requests
		}
	}
	// The first connection with the new name may be of an interval that began with
	// the old one.
	before, after, other := names[networks[0].vpc+" web-a → shop"], names[networks[0].vpc+" web-new → shop"], names[networks[1].vpc+" web-b → shop"]
	if all := int64(again) - port + 2; before+after != all || after < 1 || after > 2 || other != 2 || len(names) != 3 {
		t.Errorf("requests of %v, want %d in all of web-a and web-new, 1 or 2 of them of web-new, and 2 of web-b", names, all)
	}
	if log := m.journal(unit); m.property(unit, "Result") != "success" || strings.Contains(log, "ermission denied") {
		t.Errorf("the sensor ended with\n%s", log)
	}
}

// cloudConfig is what the test adds to what the modules write: that says which
// cloud is read, and the credentials are those of the machine's role.
const cloudConfig = `[measure]
interval = "2s"

[cloud]
period = "30s"

[conversations]
enable = true
group_by = ["network", "client.instance", "server.service"]
`
