package enrich

import (
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"mirrorscope/cloud"
	"mirrorscope/flow"
	"mirrorscope/packet"
)

// estate is a cloud of n instances with an address each, in networks of 10,000.
func estate(n int) *cloud.Snapshot {
	s := &cloud.Snapshot{Source: "aws/1/eu-central-1"}
	for i := range n {
		id := fmt.Sprintf("i-%017x", i)
		s.Instances = append(s.Instances, cloud.Instance{ID: id, Name: fmt.Sprintf("web-%d", i), Tags: cloud.Tags{"service": fmt.Sprintf("service-%d", i%300), "env": "prod", "team": "a"}})
		vpc := fmt.Sprintf("vpc-%d", i/10_000)
		s.Interfaces = append(s.Interfaces, cloud.Interface{
			ID: fmt.Sprintf("eni-%017x", i), Provider: "aws", Account: "1", Region: "eu-central-1", Zone: "eu-central-1a",
			Network: cloud.Named{ID: vpc, Name: "prod"}, Subnet: cloud.Named{ID: "subnet-1"}, Groups: []cloud.Named{{ID: "sg-1", Name: "web"}, {ID: "sg-2", Name: "base"}},
			Addresses: []netip.Addr{hostAddr(i % 10_000)}, Kind: cloud.KindInstance, Instance: id,
		})
	}
	return s
}

func hostAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }

// vpcs calls networks by their number.
type vpcs struct{ numbered }

func (vpcs) NetworkName(id packet.NetworkID) string { return fmt.Sprintf("vpc-%d", id) }

// named makes a Namer over an estate, and records between its hosts.
func named(tb testing.TB, hosts, records int) (*Namer, []flow.Record) {
	c := DefaultConfig()
	r := New(c)
	r.Layer("aws/1/eu-central-1", RankCloud).Feed(c.Mapping(), estate(hosts))
	static := r.Layer("tags.toml", RankStatic)
	static.Update(1, []Entry{entry("10.0.0.0/8", "", "site", "a"), {Prefix: netip.MustParsePrefix("0.0.0.0/0"), Ports: [2]uint16{5432, 5432}, Tags: Of("service", "db")}})
	list := make([]flow.Record, records)
	for i := range list {
		f := &list[i]
		f.Start, f.Proto = int64(i), 6
		f.Ends[0] = flow.Endpoint{Addr: packet.AddrFrom(hostAddr(i * 7 % min(hosts, 10_000))), Port: uint16(30_000 + i%20_000), HasPort: true}
		f.Ends[1] = flow.Endpoint{Addr: packet.AddrFrom(hostAddr(i * 13 % min(hosts, 500))), Port: 8080, HasPort: true, Name: "orders.internal"}
	}
	n := r.NewNamer(vpcs{})
	if t := n.Record(&list[0]).Tags[1]; t.Get(KeyService) != "service-0" || t.Get(KeyInstance) != "web-0" || t.Get("site") != "a" || t.Get(KeyDomain) != "orders.internal" {
		tb.Fatalf("%+v", t)
	}
	return n, list
}

// cpu is the time that the process has run, ns: on a busy machine it says more than the
// clock does.
func cpu(tb testing.TB) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// What a record costs whose ends were met before, and one whose ends are new.
func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct {
		name    string
		records int
		forget  bool
	}{{"again", 5000, false}, {"new", 5000, true}} {
		b.Run(c.name, func(b *testing.B) {
			n, list := named(b, 100_000, c.records)
			i := 0
			if !c.forget {
				for k := range list {
					n.Record(&list[k])
				}
			}
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				if c.forget {
					n.resolver.changes.Add(1)
				}
				n.Record(&list[i])
				if i++; i == len(list) {
					i = 0
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/record")
		})
	}
}

// What it costs to group a record by the services of both sides.
func BenchmarkValue(b *testing.B) {
	n, list := named(b, 100_000, 100)
	r := n.Record(&list[0])
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = n.AppendValue(buf[:0], &r, flow.Client, KeyService)
		buf = n.AppendValue(buf, &r, flow.Server, KeyService)
	}
}

// What an Update costs when nothing, and when one of a hundred has changed.
func BenchmarkUpdate(b *testing.B) {
	c := DefaultConfig()
	m := c.Mapping()
	s := estate(100_000)
	entries, _ := m.Entries(s)
	for _, changed := range []int{0, 1000} {
		b.Run(fmt.Sprintf("%d of %d", changed, len(entries)), func(b *testing.B) {
			l := New(c).Layer("x", RankCloud)
			l.Update(1, entries)
			at := int64(1)
			for b.Loop() {
				at++
				for i := range changed {
					entries[i*100].Tags = Of("service", fmt.Sprint(at))
				}
				l.Update(at, entries)
			}
		})
	}
}

// A record whose ends were met before costs no question and no memory, whether
// addresses differ in few bits or names in a few letters.
func TestRecordAllocs(t *testing.T) {
	n, list := named(t, 20_000, 5000)
	for i := range list {
		if i%2 == 1 {
			list[i].Ends[1].Name = fmt.Sprintf("shard-%d.example", i%100)
		}
		n.Record(&list[i])
	}
	asked := n.asked
	for i := range list {
		n.Record(&list[i])
	}
	if again := n.asked - asked; again > 100 {
		t.Errorf("%d of 10,000 ends are asked for again", again)
	}
	list = list[:500]
	for i := range list {
		n.Record(&list[i])
	}
	i := 0
	if allocs := testing.AllocsPerRun(1000, func() {
		n.Record(&list[i%len(list)])
		i++
	}); allocs != 0 {
		t.Errorf("%v allocations per record, want 0", allocs)
	}
}

// An entry takes the memory that the configuration tells of.
func TestMemory(t *testing.T) {
	c := DefaultConfig()
	var with, without runtime.MemStats
	r := New(c)
	r.Layer("x", RankCloud).Feed(c.Mapping(), estate(50_000))
	runtime.GC()
	runtime.ReadMemStats(&with)
	runtime.KeepAlive(r)
	runtime.GC()
	runtime.ReadMemStats(&without)
	each := (float64(with.HeapAlloc) - float64(without.HeapAlloc)) / 50_000
	t.Logf("%.0f octets for each of 50,000 entries", each)
	if each > 2*EntryMemory {
		t.Errorf("%.0f octets for each entry, and the plan is %d", each, EntryMemory)
	}
}
