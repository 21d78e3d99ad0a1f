package cloud

import (
	"errors"
	"fmt"
	"time"

	"mirrorscope/unit"
)

// Config is what all sources have in common.
type Config struct {
	Directory string        `toml:"directory" comment:"Where what was last known is kept, so that a restart has names though a cloud does not answer. Empty:\nit is not kept"`
	Period    unit.Duration `toml:"period" comment:"Time from one full look at a cloud to the next, give or take a tenth. A tag that was changed is seen after\nas long as this. After a failure it is tried again sooner, and what was last known stays"`
	Timeout   unit.Duration `toml:"timeout" comment:"Time that one look may take, of one account and region"`

	MaxInterfaces int `toml:"max_interfaces" comment:"The most interfaces, and pods and services of a cluster, of one source. One that has more is not read, and\nsays so: names that are missing at random would be worse than none"`
}

// DefaultConfig looks every five minutes.
func DefaultConfig() Config {
	return Config{Directory: "/var/lib/mirrorscope/inventory", Period: unit.Duration(5 * time.Minute), Timeout: unit.Duration(2 * time.Minute), MaxInterfaces: 200_000}
}

// leastPeriod keeps a sensor well below what clouds allow all users of an account
// together.
const leastPeriod = 30 * time.Second

// Validate tells every field that cannot be used.
func (c *Config) Validate() error {
	var errs []error
	if time.Duration(c.Period) < leastPeriod {
		errs = append(errs, fmt.Errorf("period: %v, need %v or more", c.Period, leastPeriod))
	}
	if time.Duration(c.Timeout) < time.Second {
		errs = append(errs, fmt.Errorf("timeout: %v, need a second or more", c.Timeout))
	}
	if c.MaxInterfaces < 1 {
		errs = append(errs, fmt.Errorf("max_interfaces: %d, need 1 or more", c.MaxInterfaces))
	}
	return errors.Join(errs...)
}
