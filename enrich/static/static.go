// Package static reads files in which people write down who has which address or
// port: TOML, or CSV for what comes out of a spreadsheet.
//
// Reading is strict: what is not understood is an error that names the line, and a
// file with an error is left out as a whole, so that nobody has half of it. Files that
// changed are read again; while one has an error, what it said last stays.
package static

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mirrorscope/enrich"
)

// Bounds of one file.
const (
	maxFile    = 64 << 20  // octets
	maxEntries = 1_000_000 // prefixes and ports, each with each
	maxErrors  = 20        // told
)

// Entry is one line or table of a file: all of its prefixes with all of its ports.
type Entry struct {
	Line     int
	Network  string
	Prefixes []netip.Prefix
	Ports    [][2]uint16
	Proto    uint8
	Override bool
	Tags     *enrich.Tags
}

// Read reads a file by its suffix, .toml or .csv.
func Read(path string) ([]Entry, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err // names the file
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d octets, and %d is the most", path, info.Size(), maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	switch strings.ToLower(filepath.Ext(path)) {
	case ".toml":
		entries, err = parseTOML(b)
	case ".csv":
		entries, err = parseCSV(b)
	default:
		err = errors.New("its name ends neither in .toml nor in .csv")
	}
	if err == nil {
		err = check(entries)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return entries, nil
}

// problems gathers errors, not too many.
type problems struct {
	list []error
	more int
}

func (p *problems) add(line int, format string, args ...any) {
	if len(p.list) >= maxErrors {
		p.more++
		return
	}
	p.list = append(p.list, fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...)))
}

func (p *problems) err() error {
	if p.more > 0 {
		return errors.Join(append(p.list, fmt.Errorf("and %d more", p.more))...)
	}
	return errors.Join(p.list...)
}

// check looks at what entries say together: no place may be there twice.
func check(entries []Entry) error {
	type place struct {
		network  string
		prefix   netip.Prefix
		ports    [2]uint16
		proto    uint8
		override bool
	}
	var p problems
	lines := map[place]int{}
	n := 0
	for i := range entries {
		e := &entries[i]
		if n += max(len(e.Prefixes), len(everywhere)) * max(len(e.Ports), 1); n > maxEntries {
			return fmt.Errorf("line %d: more than %d prefixes and ports", e.Line, maxEntries)
		}
		for _, x := range e.each() {
			at := place{x.Network, x.Prefix, x.Ports, x.Proto, e.Override}
			if other, twice := lines[at]; twice {
				p.add(e.Line, "%v%s has tags in line %d already", x.Prefix, portsText(x.Ports), other)
				continue
			}
			lines[at] = e.Line
		}
	}
	return p.err()
}

func portsText(p [2]uint16) string {
	switch {
	case p == [2]uint16{}:
		return ""
	case p[0] == p[1]:
		return fmt.Sprintf(" port %d", p[0])
	}
	return fmt.Sprintf(" ports %d-%d", p[0], p[1])
}

// everywhere are the prefixes of an entry that names none, only ports.
var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// each gives the entries of all prefixes with all ports.
func (e *Entry) each() (list []enrich.Entry) {
	prefixes, ports := e.Prefixes, e.Ports
	if len(prefixes) == 0 {
		prefixes = everywhere
	}
	if len(ports) == 0 {
		ports = [][2]uint16{{}}
	}
	for _, prefix := range prefixes {
		for _, p := range ports {
			list = append(list, enrich.Entry{Network: e.Network, Prefix: prefix, Ports: p, Proto: e.Proto, Tags: e.Tags})
		}
	}
	return list
}

// parsePrefix reads an address or a prefix. One with bits set behind its length is
// more likely a slip than meant.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no address, and no prefix as 10.0.0.0/16", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is no prefix as 10.0.0.0/16", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%q is within %v: write that, or the address alone", s, p.Masked())
	}
	return p, nil
}

// parsePorts reads "443" or "8000-8999".
func parsePorts(s string) (ports [2]uint16, err error) {
	low, high, several := strings.Cut(s, "-")
	if !several {
		high = low
	}
	for i, text := range []string{low, high} {
		n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
		if err != nil || n == 0 {
			return ports, fmt.Errorf("%q is no port, and no range as 8000-8999", s)
		}
		ports[i] = uint16(n)
	}
	if ports[0] > ports[1] {
		return ports, fmt.Errorf("%q ends before it begins", s)
	}
	return ports, nil
}

// protocols that have ports.
var protocols = map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132}

func parseProto(s string) (uint8, error) {
	if n, ok := protocols[s]; ok {
		return n, nil
	}
	return 0, fmt.Errorf("proto %q; take tcp, udp or sctp, or leave it out for all", s)
}

// checkTag tells what is wrong with a tag.
func checkTag(key, value string) error {
	switch {
	case enrich.OfRecord(key):
		return fmt.Errorf("tag %q: a record has that by itself", key)
	case !enrich.ValidKey(key):
		return fmt.Errorf("tag %q: a key has no spaces, commas, semicolons, quotes or equals signs, and at most %d octets", key, enrich.MaxKey)
	case value == "":
		return fmt.Errorf("tag %q has no value; leave it out", key)
	case len(value) > enrich.MaxValue:
		return fmt.Errorf("tag %q: %d octets, and %d is the most", key, len(value), enrich.MaxValue)
	}
	return nil
}

// finish checks what belongs together within an entry.
func (e *Entry) finish(p *problems, list []enrich.Tag) {
	if len(e.Prefixes) == 0 && len(e.Ports) == 0 {
		p.add(e.Line, "neither a prefix nor ports")
	}
	if e.Proto != 0 && len(e.Ports) == 0 {
		p.add(e.Line, "proto without ports")
	}
	if len(list) == 0 {
		p.add(e.Line, "no tags")
	}
	if len(list) > enrich.MaxTagsOf {
		p.add(e.Line, "%d tags, and %d is the most", len(list), enrich.MaxTagsOf)
	}
	e.Tags = enrich.NewTags(slices.Clone(list))
}
