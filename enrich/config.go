package enrich

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Config says how names are made. It is a part of the configuration file.
type Config struct {
	Service []string `toml:"service" comment:"Where the service of an address comes from: the first of these tags that it has. domain is the name by which\nDNS or TLS knew it, port the name of a well-known port of a server. What has none of them is N/A."`

	Keys map[string][]string `toml:"keys" comment:"Tags of clouds and labels of clusters that become another tag: the first that there is, in upper or lower case.\nWhat is not given here is as if it were\n\n  service = [\"service\", \"tags.datadoghq.com/service\"]\n  env = [\"env\", \"environment\", \"stage\", \"tags.datadoghq.com/env\"]\n  team = [\"team\", \"owner\"]"`
	Own  []string            `toml:"own_tags" comment:"Tags of clouds and clusters that are kept under their own names; \"cost-*\": all that begin so, \"*\": all."`

	Across   bool `toml:"across_networks" comment:"Look up an address that its network does not have in all others, and take it where only one has it: for\nnetworks that are peered. An address of a network that the inventory does not know is looked up so anyway."`
	Entries  int  `toml:"max_entries" comment:"The most prefixes of one source at one time. What is beyond is left out, counted.\n800 octets each."`
	Versions int  `toml:"max_versions" comment:"The most owners and sets of tags that are remembered of one address, and when it had them."`
	Total    int  `toml:"max_history" comment:"The same of all addresses of one source; those that ended first are forgotten. 400 octets each."`
	Cache    int  `toml:"cache" comment:"Ends of connections whose tags are at hand, 128 octets each."`
}

// DefaultConfig is what `sensor config` prints.
func DefaultConfig() Config {
	l := DefaultLimits()
	return Config{
		Service: []string{KeyService, "app.kubernetes.io/name", "app", KeyKubeService, KeyManaged, KeyWorkload, KeyDomain, KeyPort},
		Keys:    map[string][]string{},
		Own:     []string{},
		Entries: l.Entries, Versions: l.Versions, Total: l.Total, Cache: 16_384,
	}
}

// usualKeys are what Config.Keys is over.
var usualKeys = map[string][]string{
	KeyService: {"service", "tags.datadoghq.com/service"},
	KeyEnv:     {"env", "environment", "stage", "tags.datadoghq.com/env"},
	KeyTeam:    {"team", "owner"},
}

// keys are those of Keys, over the usual ones.
func (c *Config) keys() map[string][]string {
	keys := maps.Clone(usualKeys)
	maps.Copy(keys, c.Keys)
	return keys
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
	for _, key := range slices.Sorted(maps.Keys(c.Keys)) {
		switch from := c.Keys[key]; {
		case !ValidKey(key) || OfRecord(key):
			errs = append(errs, fmt.Errorf("keys: %q is no key of a tag that a cloud can give", key))
		case len(from) == 0 || slices.Contains(from, ""):
			errs = append(errs, fmt.Errorf("keys: %s: name the tags that it comes from", key))
		}
	}
	for _, key := range c.Own {
		if key == "" || strings.Contains(strings.TrimSuffix(key, "*"), "*") {
			errs = append(errs, fmt.Errorf("own_tags: %q; take the name of a tag, one that ends in *, or * for all", key))
		}
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
