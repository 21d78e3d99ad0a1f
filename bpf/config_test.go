package bpf

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func TestConfigText(t *testing.T) {
	const text = `
udp_ports = [4789]
vnis = [7, 8]
sources = ["172.16.0.0/12", "fd00::5"]
default = "deny"
sample = 4
trim = 64
trim_head = 1024
shared = true

[[rules]]
name = "no backups"
action = "deny"
net = ["10.1.2.3", "10.9.8.7/16", "::ffff:10.0.0.0/104"]
port = ["873", "8000-8999"]

[[rules]]
action = "allow"
src = ["fd00::/8"]
dst = ["::/0"]
proto = ["tcp", "icmp6", "99"]
`
	read := func(text string) (c Config) {
		t.Helper()
		c = DefaultConfig()
		if err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&c); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := read(text)
	if got, want := c.Rules[0].Net[1].String(), "10.9.0.0/16"; got != want {
		t.Errorf("prefix %s, want %s: bits behind it are cleared", got, want)
	}
	if got, want := c.Rules[0].Net[2].String(), "10.0.0.0/8"; got != want {
		t.Errorf("prefix %s, want %s: IPv4 in IPv6-mapped form", got, want)
	}
	if got, want := c.Rules[0].String(), "no backups"; got != want {
		t.Errorf("rule %q, want its name %q", got, want)
	}
	if got, want := c.Rules[1].String(), "allow proto tcp,icmp6,99 src fd00::/8 dst ::/0"; got != want {
		t.Errorf("rule %q, want %q", got, want)
	}
	var out bytes.Buffer
	if err := toml.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	if again := read(out.String()); !reflect.DeepEqual(again, c) {
		t.Errorf("written and read again:\n%+v\nwant\n%+v\n%s", again, c, out.String())
	}
}

func TestConfigRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`udp_ports = [0]`, "port 0"},
		{`sample = 65536`, "65535 is the most"},
		{`trim_head = 16777216`, "more than 16777215"},
		{`vnis = [16777216]`, "16777216"},
		{`sources = [""]`, "parse"},
		{`sources = ["10.0.0.0/33"]`, "10.0.0.0/33"},
		{`sources = ["fe80::1%eth0"]`, "zone"},
		{`default = "drop"`, "neither allow nor deny"},
		{`sample = 0`, "one in 0"},
		{`trim = 70000`, "70000"},
		{"[[rules]]", "action"},
		{"[[rules]]\naction = \"allow\"\nport = [\"9-8\"]", "ends before it starts"},
		{"[[rules]]\naction = \"allow\"\nport = [\"http\"]", "no port"},
		{"[[rules]]\naction = \"allow\"\nproto = [\"tpc\"]", "no protocol"},
		{"[[rules]]\naction = \"allow\"\n[[rules]]\naction = \"allow\"", "one name"},
		{strings.Repeat("[[rules]]\naction = \"allow\"\n", 65), "more than 64"},
	} {
		cfg := DefaultConfig()
		err := toml.Unmarshal([]byte(c.text), &cfg)
		if err == nil {
			err = cfg.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngives %v, want %q in it", c.text, err, c.want)
		}
	}
}
