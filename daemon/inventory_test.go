package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mirrorscope/cloud"
	"mirrorscope/flow"
	"mirrorscope/packet"
)

// mirroring is a source with one machine, of which CloudWatch tells something.
type mirroring struct{ fail atomic.Bool }

func (*mirroring) Name() string { return "aws/own/eu-central-1" }

func (m *mirroring) Fetch(context.Context) (*cloud.Snapshot, error) {
	if m.fail.Load() {
		return nil, &cloud.Trouble{Doing: "list", Err: errors.New("denied")}
	}
	return instance("", "vpc-1", "10.0.0.5", "web", time.Time{}), nil
}

func (*mirroring) Skips(_ context.Context, ids []string, from, _ time.Time) (list []cloud.Skip, _ error) {
	for _, id := range ids {
		list = append(list, cloud.Skip{Instance: id, From: from, Packets: cloud.Count{N: 7, Known: true}})
	}
	return list, nil
}

// pointsOf are observation points by number.
type pointsOf []packet.PointKey

func (p pointsOf) Point(id packet.PointID) packet.PointKey { return p[id] }

// TestAccount: the capture record tells how sources do, and at each point of a machine
// what its mirror skipped; at others, and before anything is known, nothing.
func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := func(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }
		source := &mirroring{}
		c := cloud.DefaultConfig()
		c.Directory = ""
		k, err := cloud.NewKeeper(c, []cloud.Source{source}, func(*cloud.Snapshot) {}, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		i := &inventory{keeper: k, own: map[netip.Addr]bool{netip.MustParseAddr("10.0.9.9"): true}, points: pointsOf{
			{Kind: packet.VXLAN, ID: 1, A: addr("10.0.0.5"), B: addr("10.0.9.9")},
			{Kind: packet.VXLAN, ID: 2, A: addr("10.0.0.5"), B: addr("10.0.9.9")},
			{Kind: packet.VXLAN, ID: 3, A: addr("10.0.0.6"), B: addr("10.0.9.9")},
			{A: addr("10.0.0.5")},
		}}
		look := func() *flow.Capture {
			c := &flow.Capture{Points: []flow.PointCapture{{ID: 0}, {ID: 1}, {ID: 2}, {ID: 3}}}
			i.account(c)
			return c
		}
		if got := look(); len(got.Inventory) != 1 || got.Inventory[0].Taken != 0 || got.Points[0].Skipped != nil {
			t.Errorf("before the first answer: %+v", got.Inventory)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- i.run(ctx) }()
		for range 40 {
			time.Sleep(time.Minute)
			look()
		}
		source.fail.Store(true)
		time.Sleep(10 * time.Minute)
		got := look()
		v := got.Inventory[0]
		if v.Source != "aws/own/eu-central-1" || v.Interfaces != 1 || v.Instances != 1 || v.Error != "list: denied" || v.Failures == 0 || v.FromDisk ||
			v.Age != time.Now().UnixNano()-v.Taken || v.Age < int64(5*time.Minute) {
			t.Errorf("%+v", v)
		}
		for n, want := range []bool{true, true, false, false} {
			s := got.Points[n].Skipped
			if (s != nil) != want {
				t.Errorf("point %d: %+v", n, s)
			}
			if s != nil && (s.Instance != "i-1" || s.Packets < 14 || s.Packets%7 != 0 || s.Bytes != -1 || s.To <= s.From) {
				t.Errorf("point %d: %+v", n, s)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var none *inventory
	var empty flow.Capture
	if none.account(&empty); len(empty.Inventory) != 0 {
		t.Error("without clouds something is told of them")
	}
}

// TestCloudConfig: every part says what is wrong with it by its key, and nothing is
// made of what is not enabled.
func TestCloudConfig(t *testing.T) {
	c := DefaultConfig()
	if n := len(c.Cloud.Sources()); n != 0 {
		t.Errorf("%d sources by default", n)
	}
	c.Cloud.Period, c.Cloud.AWS.Regions, c.Cloud.GCP.Projects = 1, []string{"mars"}, []string{"1"}
	c.Cloud.Azure.Cloud, c.Cloud.Kubernetes.Contexts = "mars", []string{"prod"}
	err := c.Validate()
	for _, want := range []string{"cloud: period: ", "cloud: aws.regions: ", "cloud: gcp.projects: ", "cloud: azure.cloud: ", "cloud: kubernetes.contexts: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	c = DefaultConfig()
	c.Cloud.AWS.Enabled, c.Cloud.GCP.Enabled, c.Cloud.Azure.Enabled, c.Cloud.Kubernetes.Enabled = true, true, true, true
	var names []string
	for _, s := range c.Cloud.Sources() {
		names = append(names, s.Name())
	}
	if got := strings.Join(names, " "); got != "aws/own/here gcp/here azure/here kubernetes/cluster" {
		t.Errorf("sources %s", got)
	}
}
