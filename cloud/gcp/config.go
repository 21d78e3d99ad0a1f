package gcp

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Config says what of Google Cloud is read.
type Config struct {
	Enabled     bool     `toml:"enabled" comment:"Read machines, load balancers and addresses of Compute Engine."`
	Projects    []string `toml:"projects" comment:"Ids of the projects, as [\"shop-prod\"]; with a Shared VPC also the host project. Empty: that of this machine"`
	Credentials string   `toml:"credentials" comment:"File with the key of a service account, or the configuration of a workload identity federation that names\nno program. Empty: what GOOGLE_APPLICATION_CREDENTIALS names, else the service account of this machine"`

	RequestsPerSecond float64 `toml:"requests_per_second" comment:"The most requests of each project in a second"`
}

// DefaultConfig reads nothing; once enabled, the project of the machine.
func DefaultConfig() Config { return Config{Projects: []string{}, RequestsPerSecond: 4} }

// projectID allows the prefix of a domain, as example.com:shop.
var projectID = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`)

// Validate tells every field that cannot be used.
func (c *Config) Validate() error {
	var errs []error
	for i, p := range c.Projects {
		switch {
		case !projectID.MatchString(p):
			errs = append(errs, fmt.Errorf("projects: %q is no id of a project, as shop-prod; its name or number will not do", p))
		case slices.Contains(c.Projects[:i], p):
			errs = append(errs, fmt.Errorf("projects: %s is there twice", p))
		}
	}
	if c.RequestsPerSecond <= 0 || c.RequestsPerSecond > 20 {
		errs = append(errs, fmt.Errorf("requests_per_second: %v is not above 0 and at most 20", c.RequestsPerSecond))
	}
	return errors.Join(errs...)
}
