package azure

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Config says what of Azure is read.
type Config struct {
	Enabled       bool     `toml:"enabled" comment:"Read network interfaces and machines."`
	Subscriptions []string `toml:"subscriptions" comment:"Ids of the subscriptions, as [\"00000000-0000-0000-0000-000000000000\"]. Empty: that of this machine"`
	Cloud         string   `toml:"cloud" comment:"public, government or china"`
	ClientID      string   `toml:"client_id" comment:"Client id of the user-assigned managed identity. Empty: the environment (AZURE_CLIENT_ID and the like, or\nworkload identity), else the system-assigned identity of this machine. Programs, as az, are not run"`

	RequestsPerSecond float64 `toml:"requests_per_second" comment:"The most requests of each subscription in a second. Azure lets an identity make 25"`
}

// DefaultConfig reads nothing; once enabled, the subscription of the machine.
func DefaultConfig() Config {
	return Config{Subscriptions: []string{}, Cloud: "public", RequestsPerSecond: 5}
}

var uuid = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Validate tells every field that cannot be used.
func (c *Config) Validate() error {
	var errs []error
	for i, s := range c.Subscriptions {
		switch {
		case !uuid.MatchString(s):
			errs = append(errs, fmt.Errorf("subscriptions: %q is no id of a subscription, as 00000000-0000-0000-0000-000000000000", s))
		case slices.ContainsFunc(c.Subscriptions[:i], func(o string) bool { return strings.EqualFold(o, s) }):
			errs = append(errs, fmt.Errorf("subscriptions: %s is there twice", s))
		}
	}
	if _, ok := clouds[c.Cloud]; !ok {
		errs = append(errs, fmt.Errorf("cloud: %q; take public, government or china", c.Cloud))
	}
	if c.ClientID != "" && !uuid.MatchString(c.ClientID) {
		errs = append(errs, fmt.Errorf("client_id: %q is no client id, as 00000000-0000-0000-0000-000000000000", c.ClientID))
	}
	if c.RequestsPerSecond <= 0 || c.RequestsPerSecond > 25 {
		errs = append(errs, fmt.Errorf("requests_per_second: %v is not above 0 and at most 25", c.RequestsPerSecond))
	}
	return errors.Join(errs...)
}
