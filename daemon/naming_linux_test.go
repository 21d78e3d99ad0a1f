package daemon_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/fakeec2"
	"mirrorscope/internal/livelab"
)

// namedLine is what a record tells of names.
type namedLine struct {
	Type, Network string
	ClientTags    map[string]any `json:"client_tags"`
	ServerTags    map[string]any `json:"server_tags"`
}

// A sensor behind Landlock, as another user, names what it sees by its cloud and by a
// file that changes while it runs. A machine that was tagged anew is called otherwise
// from then on; and what was captured before has the names of then, when it is replayed
// with what the sensor has kept.
func TestNamesLive(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	mirrored(t, l, "vxlan")
	fake := fakeec2.New()
	call := func(name string) {
		fake.With(func(s *fakeec2.State) {
			s.AddInstance(fakeec2.Instance{ID: "i-a", Tags: fakeec2.Tags{"Name": name, "service": strings.TrimRight(name, "-0123456789")}})
		})
	}
	fake.With(func(s *fakeec2.State) {
		s.AddVPC(fakeec2.VPC{ID: "vpc-1"})
		s.AddInterface(fakeec2.Interface{ID: "eni-m", VPC: "vpc-1", IP: livelab.MirrorAddr.String(), Instance: "i-m"})
		s.AddInstance(fakeec2.Instance{ID: "i-m"})
		s.AddInterface(fakeec2.Interface{ID: "eni-a", VPC: "vpc-1", IP: livelab.HostAddrs[0].String(), Instance: "i-a"})
	})
	call("web-1")
	server := httptest.NewUnstartedServer(fake)
	if err := l.Sensor.Do(func() (err error) {
		_ = server.Listener.Close()
		server.Listener, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	server.StartTLS()
	t.Cleanup(server.Close)

	dir := openFolder(t)
	inventory, tags, bundle := filepath.Join(dir, "state", "inventory"), filepath.Join(dir, "tags", "tags.toml"), filepath.Join(dir, "ca", "bundle.pem")
	for _, f := range []string{tags, bundle} {
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	content := "[[entry]]\nprefix = [\"" + livelab.HostAddrs[1].String() + "\"]\ntags = { service = \"%s\", env = \"test\" }\n"
	writeFile(t, tags, fmt.Sprintf(content, "orders"))
	writeFile(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	config := filepath.Join(dir, "sensor.toml")
	writeFile(t, config, fmt.Sprintf("[privilege]\nuser = \"nobody\"\n[measure]\ninterval = \"1s\"\n[tags]\nfiles = [%q]\n[cloud]\ndirectory = %q\n[cloud.aws]\nenabled = true\nregions = [\"eu-central-1\"]\n%s", tags, inventory, noTop))
	begin := func() *sensor {
		t.Helper()
		s, err := l.Sensor.Start(livelab.Command{
			Path: livelab.Build(t, "mirrorscope/cmd/sensor"), Args: []string{"run", "-i", livelab.CaptureName, "--stdout", "--memory", "64MiB", "--config", config}, Ready: ready,
			Env: []string{"AWS_ENDPOINT_URL=" + server.URL, "AWS_CA_BUNDLE=" + bundle, "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=s", "AWS_EC2_METADATA_DISABLED=true", "HOME=/nowhere"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return &sensor{Process: s}
	}
	// until waits for what the sensor writes.
	until := func(s *sensor, what string, seen func(out []byte) bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !seen(s.Stdout()); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %s\n%s", what, s.Stderr())
			}
		}
	}
	read := func(s *sensor) {
		t.Helper()
		until(s, "inventory", func(out []byte) bool {
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			var line inventoryLine
			last := lines[len(lines)-1]
			return bytes.HasPrefix(last, []byte(`{"type":"capture"`)) && json.Unmarshal(last, &line) == nil && len(line.Inventory) == 1 && line.Inventory[0].Taken != "" && !line.Inventory[0].FromDisk
		})
		time.Sleep(1100 * time.Millisecond) // networks are asked for at whole seconds
	}
	exchange := func(n int) {
		t.Helper()
		if _, err := l.Run(livelab.Exchange{Connections: n}); err != nil {
			t.Fatal(err)
		}
	}
	// called gives who talked to whom in which network, for each connection.
	called := func(out []byte) (all []string) {
		for line := range bytes.Lines(out) {
			var r namedLine
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%v: %.200s", err, line)
			}
			if r.Type == "connection" {
				all = append(all, fmt.Sprint(r.Network, ": ", r.ClientTags["service"], " ", r.ClientTags["instance"], " → ", r.ServerTags["service"], " ", r.ServerTags["env"]))
			}
		}
		return all
	}
	want := func(got []string, n int, line string) {
		t.Helper()
		found := 0
		for _, g := range got {
			if g == line {
				found++
			}
		}
		if found != n {
			t.Errorf("%d times %q, want %d, of %q", found, line, n, got)
		}
	}

	pcap := filepath.Join(dir, "then.pcap")
	s := begin()
	read(s)
	recording, err := l.Record(pcap)
	if err != nil {
		t.Fatal(err)
	}
	exchange(2)
	if _, err := recording.Stop(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, tags, fmt.Sprintf(content, "billing-long"))
	until(s, "word of the file", func([]byte) bool { return bytes.Contains(s.Stderr(), []byte("tags were read again")) })
	exchange(3)
	got := called(s.end(t))
	want(got, 2, "vpc-1: web web-1 → orders test")
	want(got, 3, "vpc-1: web web-1 → billing-long test")
	checkOwner(t, dir, 65534, "state/inventory", "state/inventory/history-aws%2Fown%2Feu-central-1.bin")

	// Tagged anew while nobody looked: from the next look on.
	call("batch-7")
	s = begin()
	read(s)
	exchange(2)
	got = called(s.end(t))
	want(got, 2, "vpc-1: batch batch-7 → billing-long test")

	// Without the cloud: what it said last.
	server.Close()
	s = begin()
	exchange(2)
	got = called(s.end(t))
	want(got, 2, "vpc-1: batch batch-7 → billing-long test")

	replay, err := l.Sensor.Start(livelab.Command{
		Path: livelab.Build(t, "mirrorscope/cmd/sensor"), Args: []string{"replay", "--format", "json", "--inventory", inventory, "--tags", tags, "--memory", "64MiB", pcap},
	})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := replay.Wait(20 * time.Second); err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v\n%s", exit, err, replay.Stderr())
	}
	want(called(replay.Stdout()), 2, "vpc-1: web web-1 → billing-long test")
}
