package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"mirrorscope/cloud"
	"mirrorscope/cloud/aws"
	"mirrorscope/cloud/azure"
	"mirrorscope/cloud/gcp"
	"mirrorscope/cloud/kubernetes"
	"mirrorscope/flow"
	"mirrorscope/packet"
)

// Cloud says which clouds are read.
type Cloud struct {
	cloud.Config
	AWS        aws.Config        `toml:"aws" comment:"Amazon Web Services."`
	GCP        gcp.Config        `toml:"gcp" comment:"Google Cloud."`
	Azure      azure.Config      `toml:"azure" comment:"Microsoft Azure."`
	Kubernetes kubernetes.Config `toml:"kubernetes" comment:"Clusters. What they tell of an address goes before what a cloud tells."`
}

func defaultCloud() Cloud {
	return Cloud{Config: cloud.DefaultConfig(), AWS: aws.DefaultConfig(), GCP: gcp.DefaultConfig(), Azure: azure.DefaultConfig(), Kubernetes: kubernetes.DefaultConfig()}
}

// validate tells every field that cannot be used.
func (c *Cloud) validate() error {
	var errs []error
	for _, part := range []struct {
		name string
		err  error
	}{{"", c.Config.Validate()}, {"aws.", c.AWS.Validate()}, {"gcp.", c.GCP.Validate()}, {"azure.", c.Azure.Validate()}, {"kubernetes.", c.Kubernetes.Validate()}} {
		if part.err == nil {
			continue
		}
		for _, e := range split(part.err) {
			errs = append(errs, fmt.Errorf("%s%w", part.name, e))
		}
	}
	return errors.Join(errs...)
}

// Sources gives what is configured to be read. None of them does anything yet.
func (c *Cloud) Sources() []cloud.Source {
	var all []cloud.Source
	if c.AWS.Enabled {
		all = append(all, aws.Sources(c.AWS)...)
	}
	if c.GCP.Enabled {
		all = append(all, gcp.Sources(c.GCP)...)
	}
	if c.Azure.Enabled {
		all = append(all, azure.Sources(c.Azure)...)
	}
	if c.Kubernetes.Enabled {
		all = append(all, kubernetes.Sources(c.Kubernetes)...)
	}
	return all
}

// reach is what that takes once rights are dropped.
func (c *Cloud) reach() (r cloud.Reach) {
	if c.AWS.Enabled {
		r.Add(aws.Reach(c.AWS))
	}
	if c.GCP.Enabled {
		r.Add(gcp.Reach(c.GCP))
	}
	if c.Azure.Enabled {
		r.Add(azure.Reach(c.Azure))
	}
	if c.Kubernetes.Enabled {
		r.Add(kubernetes.Reach(c.Kubernetes))
	}
	return r
}

// inventory reads clouds while the sensor runs, and tells how that goes.
type inventory struct {
	keeper *cloud.Keeper
	points points
	own    map[netip.Addr]bool // addresses of this machine: nobody who sends it mirrored packets has them
}

// points tells what the numbers of observation points stand for. It is packet.Names.
type points interface {
	Point(packet.PointID) packet.PointKey
}

// openInventory makes what d.cfg.Cloud asks for; nil where it asks for nothing.
func (d *daemon) openInventory(known func(*cloud.Snapshot)) (*inventory, error) {
	sources := d.cfg.Cloud.Sources()
	if len(sources) == 0 {
		return nil, nil
	}
	i := &inventory{points: d.names, own: map[netip.Addr]bool{}}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				i.own[ip.Unmap()] = true
			}
		}
	}
	i.keeper, err = cloud.NewKeeper(d.cfg.Cloud.Config, sources, known, d.log)
	if err != nil {
		return nil, fmt.Errorf("cloud: %w", err)
	}
	return i, nil
}

// run reads until ctx is done.
func (i *inventory) run(ctx context.Context) error {
	i.keeper.Run(ctx)
	return nil
}

// account tells how sources do, and what mirrors left out.
func (i *inventory) account(c *flow.Capture) {
	if i == nil {
		return
	}
	now := time.Now()
	for _, s := range i.keeper.States() {
		v := flow.Inventory{Source: s.Source, Interfaces: s.Interfaces, Instances: s.Instances, Unread: s.Unread, Failures: s.Failures, FromDisk: s.FromDisk}
		if age, ok := s.Age(now); ok {
			v.Taken, v.Age = s.Taken.UnixNano(), int64(age)
		}
		if s.Err != nil {
			v.Error = s.Err.Error()
		}
		c.Inventory = append(c.Inventory, v)
	}
	for n := range c.Points {
		c.Points[n].Skipped = i.skipped(c.Points[n].ID)
	}
}

// skipped tells what the mirror of a point's sender left out; nil where that is not
// known. The two addresses of a point are without direction.
func (i *inventory) skipped(id packet.PointID) *flow.MirrorSkipped {
	key := i.points.Point(id)
	if key.Kind == packet.NoTunnel {
		return nil
	}
	var senders [2]netip.Addr
	for n, a := range []packet.Addr{key.A, key.B} {
		if ip := a.IP().Unmap(); !i.own[ip] {
			senders[n] = ip
		}
	}
	s, ok := i.keeper.Skipped(senders[0], senders[1])
	if !ok {
		return nil
	}
	count := func(c cloud.Count) int64 {
		if !c.Known {
			return -1
		}
		return int64(min(c.N, 1<<62))
	}
	return &flow.MirrorSkipped{Instance: s.Instance, Packets: count(s.Packets), Bytes: count(s.Bytes), From: s.From.UnixNano(), To: s.To.UnixNano(), Gap: int64(s.Gaps)}
}
