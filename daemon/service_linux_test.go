package daemon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorscope/edge/live"
	"mirrorscope/internal/livelab"
)

// A running sensor answers whether it captures, shows figures and
// conversations, keeps headers, and tells the service manager where it is.
func TestServices(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	mirrored(t, l, "vxlan")
	dir := t.TempDir()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	told := make(chan string, 100)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := manager.Read(buf)
			if err != nil {
				close(told)
				return
			}
			told <- string(buf[:n])
		}
	}()

	config := fmt.Sprintf("[measure]\ninterval = \"1s\"\n[top]\nsocket = %q\nwindow = \"1m\"\n[metrics]\nconversations = 5\n"+
		"[health]\nprobe_tcp = \"127.0.0.1:9999\"\n[record]\ndirectory = %q\nfilter = \"port 8081\"\n", filepath.Join(dir, "top.sock"), filepath.Join(dir, "ring"))
	path := filepath.Join(dir, "sensor.toml")
	writeFile(t, path, config)
	binary := livelab.Build(t, "mirrorscope/cmd/sensor")
	p, err := l.Sensor.Start(livelab.Command{
		Path: binary, Args: []string{"run", "-i", livelab.CaptureName, "--stdout", "--memory", "64MiB", "--config", path},
		Env: []string{"NOTIFY_SOCKET=" + filepath.Join(dir, "notify"), "WATCHDOG_USEC=400000"}, ReadyURL: "http://127.0.0.1:9478/readyz",
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &sensor{Process: p, binary: binary}
	wait(t, told, "READY=1")
	wait(t, told, "WATCHDOG=1")
	for _, port := range []uint16{8080, 8081} {
		if _, err := l.Run(livelab.Exchange{Connections: 3, Port: port}); err != nil {
			t.Fatal(err)
		}
	}

	client := l.Sensor.Client()
	if code, body := get(t, client, "/healthz"); code != 200 {
		t.Errorf("/healthz: %d %s", code, body)
	}
	conn, err := dial(l, "127.0.0.1:9999")
	if err != nil {
		t.Errorf("the TCP probe: %v", err)
	} else {
		conn.Close()
	}

	c, err := live.Dial(filepath.Join(dir, "top.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var top *live.Top
	for range 10 { // the latest comes at once, and then one each second
		if top, err = c.Next(); err != nil {
			t.Fatal(err)
		}
		if len(top.Rows) == 2 {
			break
		}
	}
	if len(top.Rows) != 2 || top.Rows[0].Connections != 3 {
		t.Errorf("top has %d rows: %+v", len(top.Rows), top.Rows)
	}
	_, metrics := get(t, client, "/metrics")
	if n := metric(t, metrics, `_ring_packets_total\{[^}]*\}`); n != 72 {
		t.Errorf("%v packets in the metrics, want the 12 of each of 6 connections", n)
	}
	if !strings.Contains(metrics, `port="8081"`) {
		t.Error("no conversation in the metrics")
	}

	if err := s.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wait(t, told, "RELOADING=1")
	wait(t, told, "READY=1")
	out := s.end(t)
	wait(t, told, "STOPPING=1")
	if _, err := dial(l, "127.0.0.1:9999"); err == nil {
		t.Error("the TCP probe is answered after the end")
	}

	// The headers of the ring give the volumes that were measured.
	ring, err := exec.Command(binary, "replay", "--format", "json", filepath.Join(dir, "ring")).Output()
	if err != nil {
		t.Fatal(err)
	}
	want, got := volumes(out, 8081), volumes(ring, 0)
	if len(got) != 3 {
		t.Errorf("%d connections in the ring, want 3", len(got))
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: the ring gives %+v, measured %+v", k, got[k], v)
		}
	}
}

// wait waits for a message of the service manager's protocol.
func wait(t *testing.T, told <-chan string, text string) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case m, ok := <-told:
			if !ok {
				t.Fatalf("the service manager was not told %q", text)
			}
			if strings.Contains(m, text) {
				return
			}
		case <-limit:
			t.Fatalf("the service manager was not told %q", text)
		}
	}
}

func get(t *testing.T, c *http.Client, path string) (int, string) {
	t.Helper()
	r, err := c.Get("http://127.0.0.1:9478" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func dial(l *livelab.Lab, addr string) (c net.Conn, err error) {
	return c, l.Sensor.Do(func() error {
		c, err = net.DialTimeout("tcp", addr, time.Second)
		return err
	})
}

// metric gives the value of the first series that a pattern matches.
func metric(t *testing.T, text, pattern string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^mirrorscope` + pattern + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no series %s in\n%.3000s", pattern, text)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// volumes gives what each connection sent, by addresses; port 0 is any.
func volumes(out []byte, port uint16) map[string][2]sent {
	all := map[string][2]sent{}
	for line := range bytes.Lines(out) {
		var r connectionLine
		if json.Unmarshal(line, &r) == nil && r.Type == "connection" && (port == 0 || r.Server.Port == port) {
			all[fmt.Sprint(r.Client, r.Server)] = [2]sent{r.ClientSent, r.ServerSent}
		}
	}
	return all
}
