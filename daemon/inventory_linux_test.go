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

// inventoryLine is what a capture object tells of sources.
type inventoryLine struct {
	Inventory []struct {
		Source     string  `json:"source"`
		Taken      string  `json:"taken"`
		Age        float64 `json:"age_us"`
		FromDisk   bool    `json:"from_disk"`
		Interfaces int     `json:"interfaces"`
		Failed     int     `json:"failed_attempts"`
		Error      string  `json:"error"`
	} `json:"inventory"`
}

// A sensor that has given up its rights, as another user and behind Landlock, still
// reads its cloud by HTTPS, keeps what it read on disk, and has that after a restart
// without the cloud.
func TestInventoryBehindPrivileges(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	mirrored(t, l, "vxlan")
	fake := fakeec2.New()
	fake.With(func(s *fakeec2.State) {
		s.AddVPC(fakeec2.VPC{ID: "vpc-1"})
		s.AddInterface(fakeec2.Interface{ID: "eni-1", VPC: "vpc-1", IP: "10.0.0.5", Instance: "i-1"})
		s.AddInstance(fakeec2.Instance{ID: "i-1"})
	})
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
	bundle := filepath.Join(dir, "ca", "bundle.pem")
	if err := os.MkdirAll(filepath.Dir(bundle), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, bundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	config := filepath.Join(dir, "sensor.toml")
	writeFile(t, config, fmt.Sprintf("[privilege]\nuser = \"nobody\"\n[measure]\ninterval = \"1s\"\n[cloud]\ndirectory = %q\n[cloud.aws]\nenabled = true\nregions = [\"eu-central-1\"]\n%s",
		filepath.Join(dir, "state", "inventory"), noTop))
	run := func() (line inventoryLine, log string) {
		s, err := l.Sensor.Start(livelab.Command{
			Path: livelab.Build(t, "mirrorscope/cmd/sensor"), Args: []string{"run", "-i", livelab.CaptureName, "--stdout", "--memory", "64MiB", "--config", config}, Ready: ready,
			Env: []string{"AWS_ENDPOINT_URL=" + server.URL, "AWS_CA_BUNDLE=" + bundle, "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=s", "AWS_EC2_METADATA_DISABLED=true", "HOME=/nowhere"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Run(livelab.Exchange{Connections: 1}); err != nil {
			t.Fatal(err)
		}
		running := &sensor{Process: s}
		for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
			lines := bytes.Split(bytes.TrimSpace(s.Stdout()), []byte("\n"))
			if last := lines[len(lines)-1]; bytes.HasPrefix(last, []byte(`{"type":"capture"`)) {
				line = inventoryLine{}
				if err := json.Unmarshal(last, &line); err != nil {
					t.Fatalf("%v: %.300s", err, last)
				}
				if i := line.Inventory; len(i) == 1 && (i[0].Taken != "" && !i[0].FromDisk || i[0].Error != "") {
					break
				}
			}
		}
		running.end(t)
		return line, string(s.Stderr())
	}

	line, log := run()
	if i := line.Inventory; len(i) != 1 || i[0].Source != "aws/own/eu-central-1" || i[0].Interfaces != 1 || i[0].Error != "" || i[0].FromDisk {
		t.Errorf("with the cloud: %+v\n%s", line, log)
	}
	for _, done := range []string{"uid 65534", "landlock", "packet_sockets (1, which can only receive)"} {
		if !strings.Contains(log, done) {
			t.Errorf("the log has no word of %q:\n%s", done, log)
		}
	}
	checkOwner(t, dir, 65534, "state/inventory", "state/inventory/snapshot-aws%2Fown%2Feu-central-1.json")

	server.Close()
	line, log = run()
	if i := line.Inventory; len(i) != 1 || !i[0].FromDisk || i[0].Interfaces != 1 || i[0].Age <= 0 || !strings.Contains(i[0].Error, "connection refused") || i[0].Failed < 1 {
		t.Errorf("without the cloud: %+v\n%s", line, log)
	}
	if n := strings.Count(log, "inventory: cannot be read"); n != 1 {
		t.Errorf("the log is told %d times:\n%s", n, log)
	}
}
