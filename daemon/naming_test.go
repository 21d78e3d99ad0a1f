package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/cloud"
	"mirrorscope/packet"
	"mirrorscope/sink/prom"
)

// unasked is a source that is never asked.
type unasked string

func (n unasked) Name() string                                 { return string(n) }
func (unasked) Fetch(context.Context) (*cloud.Snapshot, error) { return nil, errors.New("not asked") }

// instance is a snapshot with one machine.
func instance(source, network, addr, name string, taken time.Time) *cloud.Snapshot {
	return &cloud.Snapshot{
		Source: source, Taken: taken, Instances: []cloud.Instance{{ID: "i-1", Name: name}},
		Interfaces: []cloud.Interface{{ID: "eni-1", Provider: "aws", Network: cloud.Named{ID: network}, Addresses: []netip.Addr{netip.MustParseAddr(addr)}, Kind: cloud.KindInstance, Instance: "i-1"}},
	}
}

// Names of an inventory are known after a restart, before a cloud has answered, and
// those of earlier times as well; a history that is damaged is told, and costs no more
// than itself.
func TestNamingRestart(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	start := func() *naming {
		t.Helper()
		c := DefaultConfig()
		n, err := newNaming(&c.Tags, dir, []cloud.Source{unasked("aws/1/a"), unasked("aws/1/b")}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	name := func(n *naming, network, addr string, seconds int64) string {
		return n.resolver.Side(network, packet.AddrFrom(netip.MustParseAddr(addr)), false, 0, 0, seconds*1e9).Get("instance")
	}
	n := start()
	n.took(instance("aws/1/a", "vpc-1", "10.0.0.1", "web", at(100)))
	n.took(instance("aws/1/a", "vpc-1", "10.0.0.1", "web-2", at(200)))
	n.took(instance("aws/1/b", "vpc-2", "10.0.0.1", "db", at(200)))
	n.save()

	n = start()
	for _, c := range []struct {
		network string
		at      int64
		want    string
	}{{"vpc-1", 150, "web"}, {"vpc-1", 300, "web-2"}, {"vpc-2", 300, "db"}, {"default", 300, ""}} {
		if got := name(n, c.network, "10.0.0.1", c.at); got != c.want {
			t.Errorf("after a restart it is %q in %s at %d, want %q", got, c.network, c.at, c.want)
		}
	}
	// Nothing new: the file stays as it is.
	path := n.store.Path("aws/1/a")
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.save()
	if b, _ := os.ReadFile(path); string(b) != "damaged" {
		t.Error("a history without changes was saved")
	}
	n = start()
	if said := log.String(); !strings.Contains(said, "names of earlier times are lost") || !strings.Contains(said, "remove it") {
		t.Errorf("the log says %s", said)
	}
	if got := name(n, "vpc-1", "10.0.0.1", 300); strings.HasPrefix(got, "web") {
		t.Errorf("it is %q", got)
	}
	n.took(instance("aws/1/a", "vpc-1", "10.0.0.1", "web-3", at(400)))
	n.save()
	if got := name(start(), "vpc-1", "10.0.0.1", 500); got != "web-3" {
		t.Errorf("it is %q", got)
	}

	// That it cannot be saved is told once, and when it can again.
	log.Reset()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	n.took(instance("aws/1/a", "vpc-1", "10.0.0.1", "web-4", at(500)))
	n.save()
	n.save()
	if said := log.String(); strings.Count(said, "names are not kept on disk") != 1 {
		t.Errorf("the log says %s", said)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n.save()
	if said := log.String(); !strings.Contains(said, "names are kept on disk again") {
		t.Errorf("the log says %s", said)
	}
}

// What /metrics shows of sources: those that fail as well.
func TestNamingDescribe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tags.toml")
	good := "[[entry]]\nprefix = [\"10.0.0.0/8\"]\ntags = { env = \"prod\" }\n[[entry]]\nprefix = [\"10.0.0.1\"]\noverride = true\ntags = { env = \"test\" }\n"
	write := func(content string, at time.Time) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file, []byte(content), 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	write(good, time.Now())
	c := DefaultConfig()
	c.Tags.Files = []string{file}
	var log bytes.Buffer
	n, err := newNaming(&c.Tags, "", []cloud.Source{unasked("aws/1/a"), unasked("aws/1/b")}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	n.took(instance("aws/1/a", "vpc-1", "10.0.0.1", "web", now.Add(-time.Minute)))
	n.states = func() []cloud.State {
		return []cloud.State{{Source: "aws/1/a", Taken: now.Add(-time.Minute)}, {Source: "aws/1/b", Err: errors.New("no permission")}}
	}
	sources := func() map[string]prom.NameSource {
		all := map[string]prom.NameSource{}
		for _, s := range n.describe(now).Sources {
			all[s.Name] = s
		}
		return all
	}
	s := sources()
	if a := s["aws/1/a"]; a.Rank != "cloud" || a.Entries != 1 || a.Failing || a.Age != prom.Known(60.0) {
		t.Errorf("%+v", a)
	}
	if b := s["aws/1/b"]; b.Rank != "cloud" || !b.Failing || b.Age != (prom.Value{}) {
		t.Errorf("%+v", b)
	}
	if f := s[file]; f.Rank != "static" || f.Entries != 2 || f.Failing || f.Age != prom.Known(0) {
		t.Errorf("%+v", f)
	}
	if len(s) != 3 {
		t.Errorf("%+v", s)
	}
	write("[[entry]]\n", now.Add(time.Hour))
	n.look()
	n.look()
	if f := sources()[file]; !f.Failing || f.Entries != 2 || f.Age == prom.Known(0) {
		t.Errorf("%+v", f)
	}
	if said := log.String(); !strings.Contains(said, "tags were not changed") || !strings.Contains(said, "line 1: neither a prefix nor ports") {
		t.Errorf("the log says %s", said)
	}
	if n.reload() {
		t.Error("a reload of a bad file is said to have worked")
	}
	write(good, now.Add(2*time.Hour))
	if !n.reload() || sources()[file].Failing {
		t.Error("a reload of a good file did not work")
	}
}

// Without anything to name by there is no naming, and whoever asks it gets nothing.
func TestNoNaming(t *testing.T) {
	c := DefaultConfig()
	n, err := newNaming(&c.Tags, "/nowhere", nil, slog.Default())
	if n != nil || err != nil {
		t.Fatal(n, err)
	}
	n.look()
	if !n.reload() || n.describe(time.Now()) != nil || n.readOnly() != nil {
		t.Error("it says something")
	}
	c.Tags.Files = []string{"/nowhere/tags.csv"}
	if _, err := newNaming(&c.Tags, "", nil, slog.Default()); err == nil || !strings.HasPrefix(err.Error(), "tags.files: ") {
		t.Errorf("error %v", err)
	}
	c.Tags.Files = []string{"a.csv", "a.csv", ""}
	c.Tags.Service = []string{"service", "service", "a b"}
	c.Tags.Keys = map[string][]string{"port": {"x"}, "env": {}}
	c.Tags.Own = []string{"a*b"}
	c.Tags.Cache = 1
	err = c.Validate()
	for _, want := range []string{`tags: files: "a.csv" is empty or there twice`, `tags: files: ""`, `tags: service: "service" is there twice`, `tags: service: "a b"`,
		`tags: keys: "port"`, "tags: keys: env: name the tags", `tags: own_tags: "a*b"`, "tags: cache: 1, need 16"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in %v", want, err)
		}
	}
}
