package mirror

import (
	"fmt"
	"slices"
	"testing"

	"mirrorscope/internal/fakeec2"
)

// Every part of the selection, on the same six interfaces: those of four machines
// in three VPCs, one of a database service, one of nobody.
func TestSelect(t *testing.T) {
	l := newLab(t, 4)
	l.fake.With(func(s *fakeec2.State) {
		s.Interfaces[nic(1)].Tags = fakeec2.Tags{"mirror": "yes"}
		s.Instances[machine(2)].Tags = fakeec2.Tags{"env": "dev"}
		s.Instances[machine(3)].State = "stopped"
		s.AddInterface(fakeec2.Interface{ID: nic(8), VPC: vpc(0), IP: "10.8.8.8", RequesterManaged: true, RequesterID: "AROA:AmazonElastiCache", Description: "ElastiCache shop-001", Tags: fakeec2.Tags{"mirror": "yes"}})
		s.AddInterface(fakeec2.Interface{ID: nic(9), VPC: vpc(1), Subnet: "subnet-00000009", IP: "10.9.9.9", Tags: fakeec2.Tags{"mirror": "no"}})
	})
	for _, tc := range []struct {
		s    Select
		want []int
	}{
		{Select{Instances: "env = prod"}, []int{0, 1}},
		{Select{Instances: "*"}, []int{0, 1, 2}},
		{Select{Instances: "*", States: []string{"running", "stopped"}}, []int{0, 1, 2, 3}},
		{Select{Instances: "*", States: []string{"stopped"}}, []int{3}},
		{Select{Instances: "*", VPCs: []string{vpc(1), vpc(2)}}, []int{1, 2}},
		{Select{Interfaces: "mirror"}, []int{1, 8, 9}},
		{Select{Interfaces: "mirror = yes"}, []int{1, 8}},
		{Select{Interfaces: "mirror = yes", Instances: "env"}, []int{1}},
		{Select{Interfaces: "*", Subnets: []string{"subnet-00000009"}}, []int{9}},
		{Select{Interfaces: "*", VPCs: []string{vpc(1)}, Subnets: []string{"subnet-00000009", fmt.Sprintf(idFormat, "subnet", 1)}}, []int{1, 9}},
	} {
		if tc.s.States == nil {
			tc.s.States = DefaultConfig().Select.States
		}
		l.config(func(c *Config) { c.Select = tc.s })
		var got []int
		p := l.plan()
		for n := range 10 {
			if c := coverageOf(p, nic(n)); c.Status == IsBlind {
				got = append(got, n)
			} else if c.Status == NotSelected && c.Reason == "" {
				t.Errorf("%+v: %d is not selected, and nobody says why", tc.s, n)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%+v selects %v, want %v", tc.s, got, tc.want)
		}
	}
}

// What is created carries the tags of the state and those that the user wants.
func TestTags(t *testing.T) {
	l := newLab(t, 1)
	l.config(func(c *Config) {
		c.Session.Tags = map[string]string{"team": "net"}
		c.Targets = []Target{{Interface: sensor(0)}, {Endpoint: "vpce-0123456789abcdef0"}}
	})
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	want := fmt.Sprint(fakeec2.Tags{"team": "net", TagManagedBy: ManagedBy, TagState: "test"})
	l.fake.With(func(s *fakeec2.State) {
		var all []fakeec2.Tags
		for _, m := range s.Sessions {
			all = append(all, m.Tags)
		}
		for _, f := range s.Filters {
			all = append(all, f.Tags)
		}
		for _, target := range s.Targets {
			if target.GWLBE != "" {
				all = append(all, target.Tags)
			}
		}
		if len(all) != 3 {
			t.Errorf("%d things were created", len(all))
		}
		for _, tags := range all {
			if fmt.Sprint(tags) != want {
				t.Errorf("tags %v, want %s", tags, want)
			}
		}
	})
}

// More interfaces than numbers: those that get none are told, and keep what they have.
func TestNoVNI(t *testing.T) {
	l := newLab(t, 300)
	l.config(func(c *Config) { c.VNI.First, c.VNI.Last = 1000, 1255 })
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	n := len(l.ours())
	l.settled(n)
	none := 0
	for _, s := range l.plan().Steps {
		if s.Blind == BlindNoVNI {
			none++
		}
	}
	if n < 230 || n+none != 300 {
		t.Errorf("%d of 300 with one of 256 numbers, %d without", n, none)
	}
	l.config(func(c *Config) { c.VNI.First, c.VNI.Last = 1, maxVNI })
	l.apply()
	l.settled(300)
}
