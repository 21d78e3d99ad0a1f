package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/edge/group"
	"mirrorscope/edge/live"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/pipeline"
	"mirrorscope/unit"
)

// conversation is a part of a conversation record.
type conversation struct {
	Type   string            `json:"type"`
	Start  string            `json:"interval_start"`
	Group  map[string]string `json:"group"`
	Ended  int64             `json:"connections_ended"`
	Opened int64             `json:"connections_opened"`
	Sent   struct {
		Packets, Bytes int64
	} `json:"client_sent"`
	Served struct {
		Packets, Bytes int64
	} `json:"server_sent"`
	Requests struct {
		Requests, Errors int64
	} `json:"requests"`
	Outcomes map[string]int64 `json:"outcomes"`
}

// sums are those of a group over all intervals.
type groupSums struct{ packets, bytes, served, ended, opened, requests, closed int64 }

func (s *groupSums) add(c *conversation) {
	s.packets += c.Sent.Packets
	s.bytes += c.Sent.Bytes
	s.served += c.Served.Bytes
	s.ended += c.Ended
	s.opened += c.Opened
	s.requests += c.Requests.Requests
	s.closed += c.Outcomes["closed"]
}

// The conversation records that a sensor writes as it runs add up to what all of the
// connections did.
func TestConversations(t *testing.T) {
	file := filepath.Join(needs.Repository(t), "testdata", "pcaps", "shop.pcap")
	cfg := DefaultConfig()
	cfg.Output.Stdout, cfg.Output.StdoutQueue = true, 64<<20
	cfg.Output.Connections, cfg.Output.Intervals = false, false
	cfg.Conversations.Enable = true
	cfg.Conversations.GroupBy = []string{"client.ip", "server.ip", "server.port"}
	cfg.Measure.Interval = unit.Duration(5 * time.Second)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if !cfg.wantsGroups() || !cfg.wantsIntervals() {
		t.Fatal("nothing is grouped")
	}

	var out bytes.Buffer
	names := new(packet.Names)
	o, err := openOutput(cfg.Output, names, &out)
	if err != nil {
		t.Fatal(err)
	}
	o.account, o.more, o.fill = func(*flow.Capture) {}, func() []flow.Loss { return nil }, func() float64 { return 0 }
	o.groups = newGroups(cfg.groups(64<<20), (*naming)(nil).namer(&cfg.Tags, names))
	o.observe = func(*live.Top, *flow.Capture) {}
	second := int64(0)
	c := replayInto(t, file, names, cfg.flow(64<<20), func(records []*flow.Record) error {
		for _, r := range records {
			// The state of the capture is asked for with each second, behind its records.
			if s := r.Release / 1e9; r.Release != flow.EndOfInput && s > second {
				second = s
				if err := o.health(&flow.Capture{At: s * 1e9}); err != nil {
					return err
				}
			}
			if err := o.records([]*flow.Record{r}); err != nil {
				return err
			}
		}
		return nil
	}, o.path)
	o.capture(&c)
	if err := o.close(context.Background()); err != nil {
		t.Fatal(err)
	}

	got, starts := map[string]groupSums{}, map[string]bool{}
	rows := uint64(0)
	for line := range strings.Lines(out.String()) {
		var x conversation
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if x.Type != "conversation" {
			continue
		}
		rows++
		starts[x.Start] = true
		key := x.Group["client.ip"] + " " + x.Group["server.ip"] + " " + x.Group["server.port"]
		s := got[key]
		s.add(&x)
		got[key] = s
	}
	if len(starts) < 10 {
		t.Errorf("%d intervals", len(starts))
	}
	counted := uint64(0)
	for _, e := range c.Events {
		if e.Place == "conversation_rows" {
			counted = e.Frames
		}
	}
	if counted != rows || rows == 0 {
		t.Errorf("the capture record tells of %d rows, and there are %d", counted, rows)
	}

	want := map[string]groupSums{}
	whole := group.DefaultConfig()
	whole.GroupBy = cfg.Conversations.GroupBy
	names = new(packet.Names)
	table := group.New(whole, (*naming)(nil).namer(&cfg.Tags, names), func(uint8) string { return "" }, func(w *group.Window) {
		for _, r := range w.Rows {
			x := r.Conversation()
			want[strings.Join(r.Values, " ")] = groupSums{
				r.Side(flow.Client, group.Packets), r.Side(flow.Client, group.Bytes), r.Side(flow.Server, group.Bytes),
				r.Ended, r.Count(group.Opened), x.Requests(), r.Outcomes()[flow.Closed],
			}
		}
	})
	replayInto(t, file, names, flowWhole(), func(records []*flow.Record) error {
		for _, r := range records {
			table.Add(r)
		}
		return nil
	}, func(c *path.Connection) error {
		table.AddPath(c)
		return nil
	})
	table.Close()
	if len(want) < 20 || len(got) != len(want) {
		t.Errorf("%d groups, want %d", len(got), len(want))
	}
	for key, w := range want {
		if got[key] != w {
			t.Errorf("%s: %+v, want %+v", key, got[key], w)
		}
	}
}

// flowWhole has whole connections alone.
func flowWhole() flow.Config {
	f := flow.DefaultConfig()
	f.Memory, f.Sums = 64<<20, true
	return f
}

func replayInto(t *testing.T, file string, names *packet.Names, f flow.Config, records func([]*flow.Record) error, paths func(*path.Connection) error) flow.Capture {
	t.Helper()
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	c, err := pipeline.Run(context.Background(), src, pipeline.Config{Shards: 1, Decode: packet.DefaultConfig(), Flow: f, Names: names, Paths: paths}, records)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
