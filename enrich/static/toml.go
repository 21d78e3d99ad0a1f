package static

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"mirrorscope/enrich"
)

// document is a TOML file:
//
//	[[entry]]
//	prefix = ["10.1.2.0/24"]
//	tags = { service = "orders", env = "prod" }
type document struct {
	Entry []tomlEntry `toml:"entry"`
}

type tomlEntry struct {
	Network  string         `toml:"network"`
	Prefix   []prefix       `toml:"prefix"`
	Ports    []portRange    `toml:"ports"`
	Proto    *protocol      `toml:"proto"`
	Override bool           `toml:"override"`
	Tags     map[string]any `toml:"tags"`
}

// The types of values check them where the decoder knows the line.
type (
	prefix    netip.Prefix
	portRange [2]uint16
	protocol  uint8
)

func (p *prefix) UnmarshalText(b []byte) error {
	x, err := parsePrefix(string(b))
	*p = prefix(x)
	return err
}

func (p *portRange) UnmarshalText(b []byte) error {
	x, err := parsePorts(string(b))
	*p = x
	return err
}

func (p *protocol) UnmarshalText(b []byte) error {
	x, err := parseProto(string(b))
	*p = protocol(x)
	return err
}

func parseTOML(b []byte) ([]Entry, error) {
	var d document
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&d); err != nil {
		var unknown *toml.StrictMissingError
		if errors.As(err, &unknown) {
			return nil, fmt.Errorf("unknown keys:\n%s", unknown.String())
		}
		var wrong *toml.DecodeError
		if errors.As(err, &wrong) {
			row, column := wrong.Position()
			return nil, fmt.Errorf("line %d, column %d: %s\n%s", row, column, strings.TrimPrefix(wrong.Error(), "toml: "), wrong.String())
		}
		return nil, err
	}
	lines := tableLines(b)
	if len(lines) != len(d.Entry) {
		return nil, errors.New("entries are written as tables of their own: [[entry]]")
	}
	var p problems
	entries := make([]Entry, len(d.Entry))
	for i := range d.Entry {
		t, e := &d.Entry[i], &entries[i]
		*e = Entry{Line: lines[i], Network: t.Network, Override: t.Override}
		for _, x := range t.Prefix {
			e.Prefixes = append(e.Prefixes, netip.Prefix(x))
		}
		for _, x := range t.Ports {
			e.Ports = append(e.Ports, x)
		}
		if t.Proto != nil {
			e.Proto = uint8(*t.Proto)
		}
		e.finish(&p, tomlTags(&p, e.Line, t.Tags))
	}
	return entries, p.err()
}

// tomlTags reads tags: a text, or a list of them.
func tomlTags(p *problems, line int, tags map[string]any) (list []enrich.Tag) {
	add := func(key string, value any) {
		text, ok := value.(string)
		if !ok {
			p.add(line, "tag %q: %v is no text; write \"%v\"", key, value, value)
			return
		}
		if err := checkTag(key, text); err != nil {
			p.add(line, "%w", err)
			return
		}
		list = append(list, enrich.Tag{Key: key, Value: text})
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if several, ok := tags[key].([]any); ok {
			for _, value := range several {
				add(key, value)
			}
			continue
		}
		add(key, tags[key])
	}
	return list
}

// tableLines are the lines of the headers [[entry]] in a document that was decoded.
func tableLines(b []byte) (lines []int) {
	p := unstable.Parser{}
	p.Reset(b)
	line, counted := 1, 0 // up to an offset
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.ArrayTable {
			continue
		}
		key := e.Key()
		if !key.Next() || !key.IsLast() || string(key.Node().Data) != "entry" {
			continue
		}
		at := int(key.Node().Raw.Offset)
		line += bytes.Count(b[counted:at], []byte("\n"))
		counted = at
		lines = append(lines, line)
	}
	return lines
}
