package enrich

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Config says how names are made. It is a part of the configuration file.
type Config struct {
	Service []string `toml:"service" comment:"Where the service of an address comes from: the first of these tags that it has. domain is the name by which\nDNS or TLS knew it, port the name of a well-known port of a server. What has none of them is N/A."`

	Entries  int `toml:"max_entries" comment:"The most prefixes of one source at one time. What is beyond is left out, counted."`
	Versions int `toml:"max_versions" comment:"The most owners and sets of tags that are remembered of one address, and when it had them."`
	Total    int `toml:"max_history" comment:"The same of all addresses of one source; those that ended first are forgotten. 300 octets each."`
	Cache    int `toml:"cache" comment:"Ends of connections whose tags are at hand, 100 octets each."`
}

// DefaultConfig is what `sensor config` prints.
func DefaultConfig() Config {
	l := DefaultLimits()
	return Config{
		Service: []string{KeyService, "app.kubernetes.io/name", "app", KeyManaged, KeyWorkload, KeyDomain, KeyPort},
		Entries: l.Entries, Versions: l.Versions, Total: l.Total, Cache: 16_384,
	}
}

func (c *Config) limits() Limits {
	return Limits{Entries: c.Entries, Versions: c.Versions, Total: c.Total}
}

// Validate reports every field that cannot be used, by its key.
func (c *Config) Validate() error {
	var errs []error
	for i, key := range c.Service {
		switch {
		case !ValidKey(key):
			errs = append(errs, fmt.Errorf("service: %q is no key of a tag", key))
		case slices.Contains(c.Service[:i], key):
			errs = append(errs, fmt.Errorf("service: %q is there twice", key))
		}
	}
	if len(c.Service) > MaxTagsOf {
		errs = append(errs, fmt.Errorf("service: %d keys, need %d or fewer", len(c.Service), MaxTagsOf))
	}
	for _, n := range []struct {
		key         string
		value       int
		least, most int
	}{
		{"max_entries", c.Entries, 1, 1 << 24}, {"max_versions", c.Versions, 1, 1 << 12},
		{"max_history", c.Total, c.Entries, 1 << 26}, {"cache", c.Cache, 16, 1 << 22},
	} {
		if n.value < n.least || n.value > n.most {
			errs = append(errs, fmt.Errorf("%s: %d, need %d to %d", n.key, n.value, n.least, n.most))
		}
	}
	return errors.Join(errs...)
}

// ofRecord are the keys that a record has of its own: no source can give them.
var ofRecord = []string{KeyIP, KeyPort, KeyNetwork, KeyObservationPoint, KeyTLSVersion, KeySNI}

// ValidKey tells whether a source can give a tag of this key: it is of the usual
// characters, and no record has it by itself. KeyPort is fit for Config.Service all
// the same.
func ValidKey(key string) bool {
	return key != "" && len(key) <= MaxKey && strings.IndexFunc(key, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`,;="`, r)
	}) < 0
}

// OfRecord tells whether a record has a tag of this key by itself.
func OfRecord(key string) bool { return slices.Contains(ofRecord, key) }
