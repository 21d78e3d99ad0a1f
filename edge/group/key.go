package group

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mirrorscope/enrich"
	"mirrorscope/flow"
)

// Bounds of a grouping.
const (
	MaxKeys   = 8   // keys
	maxKey    = 128 // octets of a key
	maxValue  = 200 // octets of a value; what is longer is cut
	cutMarker = "…"
)

// Key is one thing that connections are grouped by: a tag of one side, or
// something of the record itself.
type Key struct {
	Side  flow.Side
	Sided bool   // a tag of Side; else of the record
	Tag   string // without the side
}

// Keys of the record itself that no side has.
const (
	keyProtocol  = "protocol"
	keyIPVersion = "ip_version"
)

// recordKeys are those that are written without a side.
var recordKeys = []string{enrich.KeyNetwork, enrich.KeyObservationPoint, keyProtocol, keyIPVersion, enrich.KeyTLSVersion, enrich.KeySNI}

// RecordKeys lists the keys that are written without a side.
func RecordKeys() []string { return slices.Clone(recordKeys) }

func (k Key) String() string {
	if k.Sided {
		return k.Side.String() + "." + k.Tag
	}
	return k.Tag
}

// ParseKey reads one key: client.TAG, server.TAG, or a key of the record as
// network.
func ParseKey(s string) (Key, error) {
	switch {
	case s == "":
		return Key{}, errors.New("a key is empty; write client.service, server.service, network …")
	case len(s) > maxKey:
		return Key{}, fmt.Errorf("a key has %d octets, at most %d are allowed", len(s), maxKey)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == ',' }):
		return Key{}, fmt.Errorf("%q: a key has no spaces, commas or control characters", s)
	}
	if side, tag, ok := strings.Cut(s, "."); ok && tag != "" {
		switch side {
		case flow.Client.String():
			return Key{flow.Client, true, tag}, nil
		case flow.Server.String():
			return Key{flow.Server, true, tag}, nil
		}
	}
	if slices.Contains(recordKeys, s) {
		return Key{Tag: s}, nil
	}
	return Key{}, fmt.Errorf("%q is no key; write client.TAG or server.TAG, or one of %s", s, strings.Join(recordKeys, ", "))
}

// ParseGroupBy reads keys with commas between them. No key may come twice.
func ParseGroupBy(s string) ([]Key, error) {
	var all []string
	for part := range strings.SplitSeq(s, ",") {
		all = append(all, strings.TrimSpace(part))
	}
	return ParseKeys(all)
}

// ParseKeys reads a list of keys, and tells all that is wrong with it.
func ParseKeys(all []string) ([]Key, error) {
	if len(all) == 0 {
		return nil, errors.New("no keys; write client.service, server.service, network …")
	}
	if len(all) > MaxKeys {
		return nil, fmt.Errorf("%d keys, at most %d are allowed", len(all), MaxKeys)
	}
	var keys []Key
	var errs []error
	for _, s := range all {
		k, err := ParseKey(s)
		switch {
		case err != nil:
			errs = append(errs, err)
		case slices.Contains(keys, k):
			errs = append(errs, fmt.Errorf("%q comes twice", s))
		default:
			keys = append(keys, k)
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return keys, nil
}

// cut bounds a value.
func cut(s string) string {
	if len(s) <= maxValue {
		return s
	}
	end := maxValue - len(cutMarker)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cutMarker
}
