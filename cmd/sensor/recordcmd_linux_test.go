package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
)

// On a real interface, with real peers behind a mirror: all packets of both are in
// the ring, and their payload is not.
func TestRecordLive(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	if _, err := l.VXLAN(livelab.A, 7007); err != nil {
		t.Fatal(err)
	}
	binary := livelab.Build(t, "mirrorscope/cmd/sensor")
	dir := filepath.Join(t.TempDir(), "ring")
	p, err := l.Sensor.Start(livelab.Command{
		Path: binary, Args: []string{"record", "-i", livelab.CaptureName, "--dir", dir, "--filter", "tcp port 8081"}, Ready: regexp.MustCompile("recording on"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := uint64(0)
	for _, port := range []uint16{8080, 8081} {
		connections, err := l.Run(livelab.Exchange{Connections: 5, Turns: 3, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		for i := range connections {
			if port == 8081 {
				want += connections[i].Packets(livelab.A) + connections[i].Packets(livelab.B)
			}
		}
	}
	exit, err := p.Stop(syscall.SIGTERM, 20*time.Second)
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v %v: %s", exit, err, p.Stderr())
	}
	out, err := exec.Command(binary, "replay", "--format", "json", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	got, connections := uint64(0), 0
	for line := range strings.Lines(string(out)) {
		var r struct {
			Type   string
			Client struct{ Packets uint64 } `json:"client_sent"`
			Server struct{ Packets uint64 } `json:"server_sent"`
			End    struct{ Port uint16 }    `json:"server"`
			Point  struct {
				VNI uint32 `json:"tunnel_id"`
			} `json:"observation_point"`
			Outcome string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Type == "connection" {
			connections++
			got += r.Client.Packets + r.Server.Packets
			if r.End.Port != 8081 || r.Point.VNI != 7007 || r.Outcome != "closed" {
				t.Errorf("%s", line)
			}
		}
	}
	if got != want || connections != 5 {
		t.Errorf("%d packets of %d connections in the ring, the hosts sent %d of 5: %s", got, connections, want, p.Stderr())
	}
}
