package enrich

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
)

// The service is the first of the list that there is, over all ranks; domain and port
// count where nothing better is known, the port for servers alone.
func TestService(t *testing.T) {
	r := New(DefaultConfig())
	r.Layer("k", RankKubernetes).Update(1, []Entry{entry("10.0.0.1/32", "", "workload", "orders", "kube_service", "orders-svc", "app", "orders-app"), entry("10.0.0.8/32", "", "namespace", "x"), entry("10.0.0.9/32", "", "workload", "x")})
	r.Layer("o", RankOverride).Update(1, []Entry{entry("10.0.0.9/32", "", "service", "mine")})
	r.Layer("c", RankCloud).Update(1, []Entry{
		entry("10.0.0.1/32", "", "service", "node", "instance", "web-1"), entry("10.0.0.2/32", "", "managed_service", "lb"), entry("10.0.0.8/32", "", "service", "node"),
		entry("10.0.0.3/32", "", "instance", "web-3", "instance_group", "web"),
	})
	r.Layer("s", RankStatic).Update(1, []Entry{entry("10.0.0.0/8", "", "env", "prod"), entry("10.0.0.4/32", "", "domain", "fixed.example")})
	n := r.NewNamer(numbered{})
	for _, c := range []struct {
		addr         string
		server       bool
		port         uint16
		name         string
		want, domain string
	}{
		{"10.0.0.1", false, 0, "", "orders-app", ""}, // a pod is not called after the machine that it is on …
		{"10.0.0.8", false, 0, "", "node", ""},       // … unless the cluster says nothing
		{"10.0.0.9", true, 443, "", "mine", ""},      // what overrides wins
		{"10.0.0.2", true, 443, "lb.example", "lb", "lb.example"},
		{"10.0.0.3", true, 5432, "", "postgresql", ""},
		{"10.0.0.3", true, 5432, "db.example", "db.example", "db.example"},
		{"10.0.0.3", false, 0, "db.example", "db.example", "db.example"},
		{"10.0.0.3", false, 5432, "", Unresolved, ""},
		{"10.0.0.3", true, 49_000, "", Unresolved, ""},
		{"10.0.0.4", true, 443, "other.example", "fixed.example", "fixed.example"},
		{"192.0.2.1", true, 53, "", "dns", ""},
		{"192.0.2.1", false, 0, "", Unresolved, ""},
	} {
		f := &flow.Record{Start: 5, Proto: 6}
		side := flow.Client
		if c.server {
			side = flow.Server
		}
		f.Ends[side] = flow.Endpoint{Addr: addr(c.addr), Port: c.port, HasPort: c.port != 0, Name: c.name}
		rec := n.Record(f)
		if got := n.Value(&rec, side, KeyService); got != c.want {
			t.Errorf("%+v: service %q", c, got)
		}
		if got := rec.Tags[side].Get(KeyService); got != c.want && (got != "" || c.want != Unresolved) {
			t.Errorf("%+v: the tag says %q", c, got)
		}
		if got := rec.Tags[side].Get(KeyDomain); got != c.domain {
			t.Errorf("%+v: domain %q", c, got)
		}
	}
	// Another list.
	c := DefaultConfig()
	c.Service = []string{"instance_group", "instance"}
	r = New(c)
	r.Layer("c", RankCloud).Update(1, []Entry{entry("10.0.0.3/32", "", "instance", "web-3", "instance_group", "web", "service", "x"), entry("10.0.0.4/32", "", "service", "x")})
	if got := r.Side("", addr("10.0.0.3"), true, 443, 6, 5).Get(KeyService); got != "web" {
		t.Errorf("service %q", got)
	}
	if got := r.Side("", addr("10.0.0.4"), true, 443, 6, 5).Get(KeyService); got != "" {
		t.Errorf("service %q, though the list does not have it", got)
	}
}

// Values of the record itself, and of several tags.
func TestValue(t *testing.T) {
	r := New(DefaultConfig())
	r.Layer("c", RankCloud).Update(1, []Entry{entry("10.0.0.1/32", "vpc-b", "security_group", "b", "security_group", "a", "env", "prod")})
	n := r.NewNamer(numbered{})
	f := &flow.Record{Kind: flow.Interval, Start: -5, IntervalStart: 5, Network: 2, Point: 7, Proto: 6}
	f.Ends[0] = flow.Endpoint{Addr: addr("10.0.0.1"), Port: 4000, HasPort: true}
	f.Ends[1] = flow.Endpoint{Addr: addr("fd00::1"), Name: "dns.example"}
	f.TLS = &session.TLS{}
	f.TLS.SNI, f.TLS.Version = "api.example", 0x0304
	rec := n.Record(f)
	for _, c := range []struct {
		side      flow.Side
		key, want string
	}{
		{0, KeyIP, "10.0.0.1"}, {1, KeyIP, "fd00::1"}, {0, KeyPort, "4000"}, {1, KeyPort, ""}, {0, KeyNetwork, "vpc-b"}, {1, KeyObservationPoint, "point 7"},
		{0, KeyTLSVersion, "1.3"}, {1, KeySNI, "api.example"}, {0, KeySecurityGroup, "a,b"}, {0, KeyEnv, "prod"}, {1, KeyEnv, ""},
		{0, KeyService, Unresolved}, {1, KeyService, "api.example"}, {1, KeyDomain, "api.example"}, {0, "none", ""},
	} {
		if got := n.Value(&rec, c.side, c.key); got != c.want {
			t.Errorf("%s of side %d is %q, want %q", c.key, c.side, got, c.want)
		}
		if got := string(n.AppendValue([]byte("x"), &rec, c.side, c.key)); got != "x"+c.want {
			t.Errorf("%s of side %d is added as %q, want %q", c.key, c.side, got, c.want)
		}
	}
	f.TLS = nil
	if rec = n.Record(f); n.Value(&rec, 1, KeyDomain) != "dns.example" || n.Value(&rec, 1, KeySNI) != "" || n.Value(&rec, 1, KeyTLSVersion) != "" {
		t.Error("without TLS the name of DNS is the domain")
	}
}

// Two VPCs with the same addresses stay apart; where the network is not known, only an
// address that one of them has is named; and what is inside of a tunnel is never
// taken for the tunnel's own network.
func TestOverlap(t *testing.T) {
	r := New(DefaultConfig())
	r.Layer("aws/1", RankCloud).Update(1, []Entry{entry("10.0.0.5/32", "vpc-1", "instance", "a"), entry("10.0.0.6/32", "vpc-1", "instance", "only"), entry("198.51.100.1/32", "", "instance", "public")})
	r.Layer("aws/2", RankCloud).Update(1, []Entry{entry("10.0.0.5/32", "vpc-2", "instance", "b"), entry("10.0.0.7/32", "vpc-2", "instance", "seven")})
	for _, c := range []struct{ network, addr, want string }{
		{"vpc-1", "10.0.0.5", "a"}, {"vpc-2", "10.0.0.5", "b"}, {"default", "10.0.0.5", ""}, {"vpc-9", "10.0.0.5", ""},
		{"vpc-1", "10.0.0.7", ""}, {"vpc-2", "10.0.0.6", ""}, {"default", "10.0.0.6", "only"}, {"default", "10.0.0.7", "seven"},
		{"vpc-1", "198.51.100.1", "public"}, {"default", "198.51.100.1", "public"},
		{"vpc-1/5001", "10.0.0.6", ""}, {"vpc-1/5001", "10.0.0.5", "b"}, {"vpc-1/5001", "10.0.0.7", "seven"}, {"default/5001", "10.0.0.6", "only"},
	} {
		if got := r.Side(c.network, addr(c.addr), false, 0, 0, 5).Get(KeyInstance); got != c.want {
			t.Errorf("%s in %s is %q, want %q", c.addr, c.network, got, c.want)
		}
	}
}

// The network of a mirrored interface, as of a time.
func TestNetworkOf(t *testing.T) {
	r := New(DefaultConfig())
	r.Layer("aws/1", RankCloud).Update(100, []Entry{
		entry("10.0.0.5/32", "vpc-1", "host", "a"), entry("10.0.0.9/32", "vpc-1", "host", "endpoint"), entry("10.9.9.9/32", "vpc-s", "host", "sensor"),
		entry("198.51.100.1/32", "", "host", "public"),
	})
	two := r.Layer("aws/2", RankCloud)
	two.Update(100, []Entry{entry("10.0.0.5/32", "vpc-2", "host", "b"), entry("10.0.0.8/32", "vpc-2", "host", "endpoint"), entry("10.0.0.6/32", "vpc-2", "host", "c")})
	two.Update(200, []Entry{entry("10.0.0.5/32", "vpc-2", "host", "b"), entry("10.0.0.8/32", "vpc-2", "host", "endpoint")})
	for _, c := range []struct {
		source, destination string
		at                  int64
		want                string
		until               int64
	}{
		{"10.0.0.6", "10.9.9.9", 150, "vpc-2", 200},     // of the source, though the sensor is known as well
		{"10.0.0.6", "10.9.9.9", 200, "vpc-s", forever}, // that is gone: of whoever is known
		{"10.0.0.6", "192.0.2.1", 250, "", forever},
		{"10.0.0.5", "10.9.9.9", 150, "", forever}, // both have it
		{"10.0.0.5", "10.0.0.9", 150, "vpc-1", forever},
		{"10.0.0.5", "10.0.0.8", 150, "vpc-2", forever},
		{"192.0.2.1", "10.0.0.9", 150, "vpc-1", forever},
		{"192.0.2.1", "192.0.2.2", 150, "", forever},
		{"198.51.100.1", "192.0.2.2", 150, "", forever}, // public: in no network
	} {
		if got, until := r.NetworkOf(addr(c.source), addr(c.destination), c.at); got != c.want || until != c.until {
			t.Errorf("%+v: %q until %d", c, got, until)
		}
	}
}

// Equal tags are the same pointer, so that whoever groups need not compare them; and
// the cache forgets when something changes.
func TestNamer(t *testing.T) {
	r := New(DefaultConfig())
	l := r.Layer("c", RankCloud)
	l.Update(1, []Entry{entry("10.0.0.1/32", "", "service", "a"), entry("10.0.0.2/32", "", "service", "a")})
	n := r.NewNamer(numbered{})
	f := &flow.Record{Start: 5, Proto: 6}
	f.Ends[0].Addr, f.Ends[1].Addr = addr("10.0.0.1"), addr("10.0.0.2")
	a := n.Record(f)
	if a.Tags[0] != a.Tags[1] || a.Tags[0].Get("service") != "a" {
		t.Errorf("%v, %v", a.Tags[0], a.Tags[1])
	}
	l.Update(10, []Entry{entry("10.0.0.1/32", "", "service", "b"), entry("10.0.0.2/32", "", "service", "a")})
	if again := n.Record(f); again.Tags != a.Tags {
		t.Error("a record of before has other tags")
	}
	f.Start = 10
	if later := n.Record(f); later.Tags[0].Get("service") != "b" || later.Tags[1] != a.Tags[1] {
		t.Errorf("%v, %v", later.Tags[0], later.Tags[1])
	}
	r.Remove(l)
	if gone := n.Record(f); gone.Tags[0].Len() != 0 || gone.Tags[0] == nil || len(r.Layers()) != 0 {
		t.Errorf("%v", gone.Tags[0])
	}
	// More sets than are remembered.
	n.tags.limit = 2
	for i := range 10 {
		f.Ends[1].Name = fmt.Sprint("name-", i)
		if got := n.Record(f).Tags[1].Get(KeyDomain); got != f.Ends[1].Name {
			t.Errorf("domain %q", got)
		}
	}
}

// Updates may run beside lookups, saving and counting: what is found is always whole,
// from before or from after.
func TestConcurrent(t *testing.T) {
	r := New(DefaultConfig())
	layers := []*Layer{r.Layer("k", RankKubernetes), r.Layer("c", RankCloud)}
	store := Store{t.TempDir()}
	var group sync.WaitGroup
	var stop atomic.Bool
	for k, l := range layers {
		group.Go(func() {
			for at := int64(1); at <= 300; at++ {
				var list []Entry
				for i := range 50 {
					if (int64(i)+at)%3 != 0 {
						list = append(list, entry(fmt.Sprintf("10.0.0.%d/32", i), "vpc", fmt.Sprint("x", k), fmt.Sprint(at), fmt.Sprint("y", k), fmt.Sprint(at)))
					}
				}
				l.Update(at, list)
			}
			stop.Store(true)
		})
	}
	for range 2 {
		group.Go(func() {
			n := r.NewNamer(numbered{})
			f := &flow.Record{Proto: 6}
			for i := int64(0); !stop.Load(); i++ {
				f.Start = i % 320
				f.Ends[0].Addr, f.Ends[1].Addr = addr(fmt.Sprintf("10.0.0.%d", i%60)), addr("10.0.0.1")
				tags := n.Record(f).Tags[0]
				for k := range layers {
					if tags.Get(fmt.Sprint("x", k)) != tags.Get(fmt.Sprint("y", k)) {
						t.Errorf("half of one, half of another: %s", tags.text())
						return
					}
				}
				r.NetworkOf(f.Ends[0].Addr, packet.Addr{}, f.Start)
			}
		})
	}
	group.Go(func() {
		for !stop.Load() {
			for _, l := range layers {
				l.Stats()
				if err := store.Save(l); err != nil {
					t.Error(err)
				}
			}
		}
	})
	group.Wait()
	if _, err := store.Load(New(DefaultConfig())); err != nil {
		t.Error(err)
	}
}

// A label is short: a service and what it is, or one of both.
func TestLabel(t *testing.T) {
	r := New(DefaultConfig())
	r.Layer("c", RankCloud).Update(1, []Entry{
		entry("10.0.0.1/32", "", "service", "a", "instance", "web-1", "host", "i-1"), entry("10.0.0.2/32", "", "service", "a"), entry("10.0.0.3/32", "", "host", "i-3"),
		entry("10.0.0.4/32", "", "service", "a", "instance", "a"), entry("10.0.0.5/32", "", "env", "prod"), entry("10.0.0.6/32", "", "domain", "x.example"),
		entry("10.0.0.7/32", "", "service", "a", "instance", "web-1", "pod", "a-xyz"),
	})
	for i, want := range []string{"a (web-1)", "a (10.0.0.2)", "i-3", "a (10.0.0.4)", "", "", "a (a-xyz)", ""} {
		if got := r.Label("default", addr(fmt.Sprintf("10.0.0.%d", i+1)), true, 443, 6, 5); got != want {
			t.Errorf("10.0.0.%d is called %q, want %q", i+1, got, want)
		}
	}
}

// Of entries with ports the longer prefix wins, then the narrower range, then the one
// that names a protocol; and all of them win over what the address has by itself.
func TestPorts(t *testing.T) {
	r := resolver(t)
	with := func(e Entry, low, high uint16, proto uint8) Entry {
		e.Ports, e.Proto = [2]uint16{low, high}, proto
		return e
	}
	r.Layer("c", RankCloud).Update(1, []Entry{
		entry("10.0.0.1/32", "", "a", "address", "b", "address"),
		with(entry("10.0.0.0/8", "", "a", "wide"), 1, 65535, 0), with(entry("10.0.0.0/8", "", "a", "narrow"), 5000, 5999, 0),
		with(entry("10.0.0.0/8", "", "a", "both"), 5432, 5432, 0), with(entry("10.0.0.0/8", "", "a", "tcp"), 5432, 5432, 6),
		with(entry("10.0.0.2/32", "", "a", "longer"), 1, 65535, 0), with(entry("10.0.0.2/32", "vpc", "a", "own"), 1, 65535, 0),
	})
	for _, c := range []struct {
		network, addr string
		server        bool
		port          uint16
		proto         uint8
		want          string
	}{
		{"", "10.0.0.1", true, 5432, 6, "a=tcp b=address"}, {"", "10.0.0.1", true, 5432, 17, "a=both b=address"}, {"", "10.0.0.1", true, 5433, 6, "a=narrow b=address"},
		{"", "10.0.0.1", true, 80, 6, "a=wide b=address"}, {"", "10.0.0.1", false, 5432, 6, "a=address b=address"}, {"", "10.0.0.2", true, 5432, 6, "a=own"},
		{"vpc", "10.0.0.2", true, 5432, 6, "a=own"}, {"vpc", "10.0.0.1", true, 5432, 6, "a=tcp b=address"}, {"", "192.0.2.1", true, 5432, 6, ""},
	} {
		if got := r.Side(c.network, addr(c.addr), c.server, c.port, c.proto, 5).text(); got != c.want {
			t.Errorf("%+v gives %q", c, got)
		}
	}
}
