package daemon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
	"mirrorscope/internal/needs"
)

// spoken is a part of connections, paths and conversations.
type spoken struct {
	Type   string `json:"type"`
	ID     string `json:"id"`
	Server struct {
		Port int `json:"port"`
	} `json:"server"`
	Points []struct {
		Connection string `json:"connection"`
	} `json:"points"`
	Group  map[string]string `json:"group"`
	Client struct {
		Packets, Bytes int64
	} `json:"client_sent"`
	Served struct {
		Packets, Bytes int64
	} `json:"server_sent"`
	Ended  int64 `json:"connections_ended"`
	Opened int64 `json:"connections_opened"`
}

// What a sensor that runs writes of conversations adds up to the connections that it
// writes; one that two mirrors bring counts once.
func TestLiveConversations(t *testing.T) {
	needs.Root(t)
	for _, mirror := range []string{"span", "vxlan twice"} {
		t.Run(mirror, func(t *testing.T) {
			l := livelab.New(t, livelab.Config{})
			mirrored(t, l, mirror)
			s := start(t, l, "--config", file(t, "sensor.toml", "[measure]\ninterval = \"1s\"\n\n[conversations]\nenable = true\ngroup_by = [\"server.port\", \"client.service\"]\n"))
			talk(t, l)
			time.Sleep(1200 * time.Millisecond) // so that an interval ends meanwhile
			talk(t, l)
			out := s.end(t)

			want, got := map[string][6]int64{}, map[string][6]int64{}
			add := func(to map[string][6]int64, port string, x *spoken, ended, opened int64) {
				a := to[port]
				for i, n := range []int64{x.Client.Packets, x.Client.Bytes, x.Served.Packets, x.Served.Bytes, ended, opened} {
					a[i] += n
				}
				to[port] = a
			}
			connections := map[string]spoken{}
			var paths []spoken
			rows := 0
			for line := range bytes.Lines(out) {
				var x spoken
				if strings.HasPrefix(string(line), `{"type":"capture"`) || strings.HasPrefix(string(line), `{"type":"interval"`) {
					continue
				}
				if err := json.Unmarshal(line, &x); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				switch x.Type {
				case "connection":
					connections[x.ID] = x
				case "path":
					paths = append(paths, x)
				case "conversation":
					rows++
					add(got, x.Group["server.port"], &x, x.Ended, x.Opened)
				}
			}
			for i := range paths {
				for _, p := range paths[i].Points {
					delete(connections, p.Connection)
				}
				add(want, fmt.Sprint(paths[i].Server.Port), &paths[i], 1, 1)
			}
			for _, x := range connections {
				port := fmt.Sprint(x.Server.Port)
				if x.Server.Port == 0 {
					port = ""
				}
				add(want, port, &x, 1, 1)
			}
			for port, w := range want {
				if got[port] != w {
					t.Errorf("port %q: conversations come to %v, connections to %v", port, got[port], w)
				}
			}
			if mirror == "vxlan twice" && len(paths) < 10 || len(want) < 4 || rows <= len(want) {
				t.Errorf("%d paths, %d ports, %d rows", len(paths), len(want), rows)
			}
			c := captureOf(t, out)
			if c.Events["conversation_rows"] != uint64(rows) || c.Events["conversation_untracked"] != 0 {
				t.Errorf("%d rows, and the events are %v", rows, c.Events)
			}
		})
	}
}
