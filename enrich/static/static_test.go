package static

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/enrich"
	"mirrorscope/packet"
)

// write writes a file, a while after the one before, and gives its path.
func write(t testing.TB, name, content string) string {
	t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func resolver() *enrich.Resolver {
	c := enrich.DefaultConfig()
	c.Service = []string{"service"}
	return enrich.New(c)
}

const goodTOML = `# who is where
[[entry]]
prefix = ["10.1.0.0/16", "fd00::/8"]
tags = { env = "prod", team = ["a", "b"] }

[[entry]]
prefix = ["10.1.2.3"]
network = "vpc-1"
  [entry.tags]
  service = "orders"
  "app.kubernetes.io/name" = "x"

[[entry]]
ports = ["5432", "9000-9010"]
proto = "tcp"
override = true
tags = { service = "database" }
`

const goodCSV = "\uFEFFprefix,network,ports,proto,override,service,team\r\n" +
	"# a comment\r\n" +
	"10.1.0.0/16;fd00::/8,,,,,,a;b\r\n" +
	"10.1.2.3,vpc-1,,,false,\"orders\",\r\n" +
	",,5432;9000-9010,tcp,true,database,\r\n"

// Both forms say the same.
func TestGood(t *testing.T) {
	for name, content := range map[string]string{"tags.toml": goodTOML, "tags.csv": goodCSV} {
		r := resolver()
		fs, err := Open(r, []string{write(t, name, content)}, 100)
		if err != nil {
			t.Fatal(err)
		}
		if s := fs.Status()[0]; s.Entries != 7 || s.Err != nil || s.Read.UnixNano() != 100 {
			t.Errorf("%s: %+v", name, s)
		}
		for _, c := range []struct {
			network, addr string
			server        bool
			port          uint16
			want          string
		}{
			{"", "10.1.9.9", false, 0, "[{team a} {team b}]"},
			{"vpc-1", "fd12::1", false, 0, "[{team a} {team b}]"},
			{"vpc-1", "10.1.2.3", false, 5432, "[{service orders} {team a} {team b}]"},
			{"vpc-1", "10.1.2.3", true, 5432, "[{service database} {team a} {team b}]"},
			{"vpc-1", "10.1.2.3", true, 9010, "[{service database} {team a} {team b}]"},
			{"vpc-1", "10.1.2.3", true, 9011, "[{service orders} {team a} {team b}]"},
			{"vpc-2", "192.0.2.1", true, 9000, "[{service database}]"},
		} {
			tags := r.Side(c.network, packet.AddrFrom(netip.MustParseAddr(c.addr)), c.server, c.port, 6, 0)
			var list []enrich.Tag
			for tag := range tags.All() {
				if tag.Key == "service" || tag.Key == "team" {
					list = append(list, tag)
				}
			}
			if got := fmt.Sprint(list); got != c.want {
				t.Errorf("%s: %+v gives %s, want %s", name, c, got, c.want)
			}
		}
	}
}

// What is wrong is told with the line it is in.
func TestBad(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"x.txt", "", "neither in .toml nor in .csv"},
		{"x.toml", "\n[[entry]]\nprefix = [\"10.0.0.1\"]\ntags = { a = \"b\" }\ncolour = \"red\"\n", "colour"},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.1/8\"]\ntags = { a = \"b\" }\n", "line 2, column 11: \"10.0.0.1/8\" is within 10.0.0.0/8"},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.300\"]\n", "is no address"},
		{"x.toml", "[[entry]]\nports = [\"80-70\"]\n", "line 2, column 10: \"80-70\" ends before it begins"},
		{"x.toml", "[[entry]]\nports = [\"http\"]\n", "is no port"},
		{"x.toml", "[[entry]]\nproto = \"icmp\"\n", "take tcp, udp or sctp"},
		{"x.toml", "\n\n[[entry]]\ntags = { a = \"b\" }\n", "line 3: neither a prefix nor ports"},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.1\"]\nproto = \"tcp\"\ntags = { a = \"b\" }", "line 1: proto without ports"},
		{"x.toml", "# x\n[[entry]]\nprefix = [\"10.0.0.1\"]\n", "line 2: no tags"},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.1\"]\ntags = { a = 5 }", `line 1: tag "a": 5 is no text; write "5"`},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.1\"]\ntags = { port = \"5\" }", `tag "port": a record has that by itself`},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.1\"]\ntags = { \"a b\" = \"5\" }", `tag "a b": a key has no spaces`},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.1\"]\ntags = { a = \"\" }", "has no value"},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.1\"]\ntags = { a = \"" + strings.Repeat("x", 300) + "\" }", "300 octets, and 256 is the most"},
		{"x.toml", "[[entry]]\nprefix = [\"10.0.0.1\"]\ntags = { a = \"b\" }\n[[entry]]\nprefix = [\"10.0.0.1/32\"]\ntags = { a = \"c\" }", "line 4: 10.0.0.1/32 has tags in line 1 already"},
		{"x.toml", "[[entry]]\nprefix = \n", "line 2"},
		{"x.toml", "entry = [{prefix = [\"10.0.0.1\"], tags = {a = \"b\"}}]", "[[entry]]"},
		{"x.csv", "", "it is empty"},
		{"x.csv", "prefix,service,prefix\n", `line 1: column "prefix" is there twice`},
		{"x.csv", "prefix,the service\n", `line 1: column 2: tag "the service"`},
		{"x.csv", "address,service\n", "no column is called prefix or ports"},
		{"x.csv", "prefix,ports\n", "no column is a tag"},
		{"x.csv", "prefix,service\n10.0.0.1,a\n10.0.0.2\n", "line 3: wrong number of fields"},
		{"x.csv", "prefix,service\n10.0.0.1,a\n\n10.0.0.256,b\n", `line 4: "10.0.0.256" is no address`},
		{"x.csv", "prefix,service\n10.0.0.1,\"a\n", "line "},
		{"x.csv", "prefix,service\n10.0.0.1,\n", "line 2: no tags"},
		{"x.csv", "prefix,override,service\n10.0.0.1,yes,a\n", `override: "yes"; take true or false`},
		{"x.csv", "prefix,proto,ports,service\n10.0.0.1,tcp;udp,80,a\n", "proto: two of them"},
		{"x.csv", "prefix,network,service\n10.0.0.1,a;b,x\n", "network: two of them"},
		{"x.csv", "ports,service\n" + strings.Repeat("80;", 300_000) + ",a\n" + strings.Repeat("80;", 300_000) + ",a\n", "line 3: more than 1000000 prefixes and ports"},
		{"x.csv", "prefix,service\n" + strings.Repeat("x,y\n", 30), "and 10 more"},
	} {
		path := write(t, c.name, c.content)
		_, err := Read(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%q: error %v, want %q", c.content, err, c.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.toml")); err == nil || !strings.Contains(err.Error(), "none.toml") {
		t.Errorf("error %v", err)
	}
	if _, err := Open(resolver(), []string{"/x/a.toml", "/x/a.toml"}, 1); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("error %v", err)
	}
}

// A file that changes is read when it has come to rest; what is wrong with it is told
// once, and what it said before stays.
func TestReload(t *testing.T) {
	r := resolver()
	content := func(service string) string {
		return "[[entry]]\nprefix = [\"10.0.0.1\"]\ntags = { service = \"" + service + "\" }\n"
	}
	path := write(t, "tags.toml", content("a"))
	changed := 0
	change := func(content string) {
		write(t, path, content)
		changed++
		at := time.Now().Add(time.Duration(changed) * time.Minute) // file systems may count in seconds
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	fs, err := Open(r, []string{path}, 0)
	if err != nil {
		t.Fatal(err)
	}
	service := func(at int64) string {
		return r.Side("", packet.AddrFrom(netip.MustParseAddr("10.0.0.1")), false, 0, 0, at).Get("service")
	}
	now := int64(0)
	look := func(want int, says, named string) {
		t.Helper()
		now += 10
		looked := fs.Look(now)
		if len(looked) != want {
			t.Fatalf("%d files were read, want %d", len(looked), want)
		}
		if want > 0 && (looked[0].Err == nil) != (says == "") || says != "" && !strings.Contains(looked[0].Err.Error(), says) {
			t.Errorf("error %v, want %q", looked[0].Err, says)
		}
		if got := service(now); got != named {
			t.Errorf("the service is %q, want %q", got, named)
		}
	}
	look(0, "", "a")
	change(content("b"))
	look(0, "", "a")
	look(1, "", "b")
	look(0, "", "b")
	if service(29) != "a" || service(30) != "b" {
		t.Error("the new name does not hold from when it was read")
	}
	change("[[entry]]\nprefix = [\"nobody\"]\n")
	look(0, "", "b")
	look(1, "line 2, column 11", "b")
	look(0, "", "b")
	if s := fs.Status()[0]; s.Err == nil || s.Entries != 1 || s.Read.UnixNano() != 30 {
		t.Errorf("%+v", s)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	look(0, "", "b")
	look(1, "no such file", "b")
	look(0, "", "b")
	change(content("c"))
	look(0, "", "b")
	look(1, "", "c")
	change(content("d"))
	if looked := fs.Reload(now + 1); len(looked) != 1 || looked[0].Err != nil || service(now+1) != "d" {
		t.Errorf("%+v", looked)
	}
	look(0, "", "d")
	change("") // an empty file is a file: nobody has a name
	look(0, "", "d")
	look(1, "", "")
}

// FuzzTOML and FuzzCSV have anything read: what is taken can be asked for.
func FuzzTOML(f *testing.F) {
	f.Add([]byte(goodTOML))
	f.Add([]byte("[[entry]]\nprefix = [\"10.0.0.1\"]\ntags.a = \"b\"\n[[\"entry\"]] # x\nports=['80']\ntags={a='''b'''}\n"))
	f.Fuzz(func(t *testing.T, b []byte) { taken(t, b, parseTOML) })
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte(goodCSV))
	f.Add([]byte("ports,a\n80,\"x\ny\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) { taken(t, b, parseCSV) })
}

func taken(t *testing.T, b []byte, parse func([]byte) ([]Entry, error)) {
	entries, err := parse(b)
	if err == nil {
		err = check(entries)
	}
	if err != nil {
		return
	}
	r := resolver()
	l := r.Layer("x", enrich.RankStatic)
	var all []enrich.Entry
	last := 0
	for i := range entries {
		if entries[i].Line <= last || entries[i].Line > 1+strings.Count(string(b), "\n")+strings.Count(string(b), "\r") {
			t.Fatalf("entry %d is of line %d, the one before of %d", i, entries[i].Line, last)
		}
		last = entries[i].Line
		if entries[i].Override {
			continue // two may be of one place
		}
		all = append(all, entries[i].each()...)
	}
	l.Update(1, all)
	if s := l.Stats(); s.Invalid+s.Conflicts+s.Excess != 0 || s.Entries != len(all) {
		t.Fatalf("%+v of %d entries", s, len(all))
	}
}
