package enrich

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/cloud"
)

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// text shows tags as key=value.
func (t *Tags) text() string {
	var words []string
	for tag := range t.All() {
		words = append(words, tag.Key+"="+tag.Value)
	}
	return strings.Join(words, " ")
}

// What becomes of an interface of a machine, a managed service, a pod, a cluster's
// service and a node.
func TestMapping(t *testing.T) {
	attached, launched := time.Unix(100, 0), time.Unix(50, 0)
	s := &cloud.Snapshot{
		Source: "aws/1/eu-central-1", Taken: time.Unix(200, 0),
		Instances: []cloud.Instance{
			{ID: "i-1", Name: "web-1", Launched: launched, Group: "web", Cluster: "shop", Tags: cloud.Tags{"Service": "front", "ENV": "prod", "owner": "a", "region": "mars", "aws:x": "y", "Cost-Center": "7"}},
			{ID: "i-2", Launched: launched, Tags: cloud.Tags{"app": "orders"}},
		},
		Interfaces: []cloud.Interface{
			{
				ID: "eni-1", Provider: "aws", Account: "1", Region: "eu-central-1", Zone: "eu-central-1a", Network: cloud.Named{ID: "vpc-1", Name: "shop"},
				Subnet: cloud.Named{ID: "subnet-1"}, Addresses: addrs("10.0.0.5", "10.0.0.6", "fd00::5"), Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.9.0/28")},
				Public: addrs("198.51.100.7"), Groups: []cloud.Named{{ID: "sg-2"}, {ID: "sg-1", Name: "web"}}, Kind: cloud.KindInstance, Instance: "i-1", Attached: attached,
				Tags: cloud.Tags{"service": "edge"},
			},
			{ID: "eni-2", Provider: "aws", Network: cloud.Named{ID: "/subscriptions/x/vnet/y"}, Addresses: addrs("10.0.0.7"), Kind: cloud.KindInstance, Instance: "i-2"},
			{ID: "eni-3", Provider: "aws", Network: cloud.Named{ID: "vpc-1"}, Addresses: addrs("10.0.0.8"), Kind: cloud.KindLoadBalancer, Service: "front-lb", Attached: attached},
			{
				ID: "pod", Provider: "kubernetes", Account: "shop", Network: cloud.Named{ID: "vpc-1"}, Addresses: addrs("10.0.9.1", "fd00::9"), Kind: cloud.KindPod, Attached: attached,
				Instance: "i-elsewhere",
				Object:   &cloud.Object{Name: "orders-abc", Namespace: "prod", Workload: "orders", Services: []string{"orders", "orders-canary"}, Node: "node-1"},
				Tags:     cloud.Tags{"app.kubernetes.io/name": "order-service", "pod-template-hash": "abc"},
			},
			{ID: "svc", Provider: "kubernetes", Account: "shop", Addresses: addrs("172.20.0.1"), Kind: cloud.KindService, Object: &cloud.Object{Name: "orders", Namespace: "prod"}},
			{ID: "node", Provider: "kubernetes", Account: "shop", Addresses: addrs("10.0.0.5"), Kind: cloud.KindNode, Object: &cloud.Object{Name: "node-1"}},
		},
	}
	c := DefaultConfig()
	c.Own = []string{"cost-*", "POD-template-hash"}
	c.Keys = map[string][]string{"site": {"x", "aws:x"}}
	entries, cut := c.Mapping().Entries(s)
	if cut != 0 {
		t.Errorf("%d tags were cut", cut)
	}
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%s|%v|%d|%s", e.Network, e.Prefix, e.Since/1e9, e.Tags.text()))
	}
	machine := "Cost-Center=7 account=1 az=eu-central-1a cluster=shop env=prod host=i-1 instance=web-1 instance_group=web kind=instance region=eu-central-1 " +
		"security_group=sg-2 security_group=web service=edge site=y subnet=subnet-1 team=a vpc=shop"
	pod := "app.kubernetes.io/name=order-service cluster=shop host=node-1 kind=pod kube_service=orders kube_service=orders-canary namespace=prod pod=orders-abc pod-template-hash=abc vpc=vpc-1 workload=orders"
	want := []string{
		"vpc-1|10.0.0.5/32|100|" + machine, "vpc-1|10.0.0.6/32|0|" + machine, "vpc-1|fd00::5/128|0|" + machine, "vpc-1|10.0.9.0/28|0|" + machine, "|198.51.100.7/32|0|" + machine,
		"subscriptions:x:vnet:y|10.0.0.7/32|50|app=orders host=i-2 instance=i-2 kind=instance vpc=/subscriptions/x/vnet/y",
		"vpc-1|10.0.0.8/32|100|kind=load_balancer managed_service=front-lb vpc=vpc-1",
		"|10.0.0.5/32|0|cluster=shop host=node-1 kind=node",
		"vpc-1|10.0.9.1/32|100|" + pod, "vpc-1|fd00::9/128|100|" + pod,
		"|172.20.0.1/32|0|cluster=shop kind=service kube_service=orders namespace=prod",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if RankOf(s) != RankKubernetes || RankOf(&cloud.Snapshot{Source: "aws/1/x"}) != RankCloud || RankOf(&cloud.Snapshot{Source: "kubernetes/shop"}) != RankKubernetes {
		t.Error("ranks are wrong")
	}

	// All of an own machine's tags, but none of the cloud's, and none that pass for the sensor's.
	c.Own = []string{"*"}
	c.Keys = nil
	entries, _ = c.Mapping().Entries(&cloud.Snapshot{Instances: s.Instances[:1], Interfaces: s.Interfaces[:1]})
	if all := entries[0].Tags; all.Get("Cost-Center") != "7" || all.Get("aws:x") != "" || len(all.Values("region")) != 1 || all.Get("region") != "eu-central-1" || all.Get("owner") != "a" {
		t.Errorf("%s", all.text())
	}
}

// Tags that find no room are the user's, and are counted.
func TestMappingBounded(t *testing.T) {
	tags := cloud.Tags{"env": "prod", "": "x", "a b": "x", "empty": ""}
	for i := range 100 {
		tags[fmt.Sprintf("tag-%03d", i)] = strings.Repeat("é", 200)
	}
	s := &cloud.Snapshot{Source: "x", Taken: time.Unix(1, 0), Interfaces: []cloud.Interface{{ID: "eni", Network: cloud.Named{ID: "vpc"}, Addresses: addrs("10.0.0.1"), Tags: tags}}}
	c := DefaultConfig()
	c.Own = []string{"*"}
	r := New(c)
	l := r.Layer("x", RankCloud)
	l.Feed(c.Mapping(), s)
	got := r.Side("vpc", addr("10.0.0.1"), false, 0, 0, 2e9)
	if got.Len() != MaxTagsOf || got.Get("env") != "prod" || got.Get("vpc") != "vpc" || got.Get("tag-000") != strings.Repeat("é", MaxValue/2) {
		t.Errorf("%d tags: %s", got.Len(), got.text())
	}
	if n := l.Stats().TagsCut; n != 100-(MaxTagsOf-2) {
		t.Errorf("%d tags were cut", n)
	}
}
