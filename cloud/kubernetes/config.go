package kubernetes

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// Config says which clusters are read.
type Config struct {
	Enabled    bool     `toml:"enabled" comment:"Read pods, services, nodes and endpoint slices, and be told of changes."`
	Kubeconfig string   `toml:"kubeconfig" comment:"File with the address and the credentials of clusters. They must not come from a program (exec). Empty: the\nservice account of the pod that the sensor runs in"`
	Contexts   []string `toml:"contexts" comment:"Contexts of that file, each a cluster of that name. Empty: the current one"`
	Cluster    string   `toml:"cluster" comment:"What the cluster is called. Empty: as its context, or \"cluster\". Not with several contexts"`
	Network    string   `toml:"network" comment:"Network that the addresses of pods are in, as \"vpc-0123…\", where no cloud that is read tells of the nodes"`
}

// DefaultConfig reads nothing; once enabled, the cluster that the sensor runs in.
func DefaultConfig() Config { return Config{Contexts: []string{}} }

// Validate tells every field that cannot be used.
func (c *Config) Validate() error {
	var errs []error
	if c.Kubeconfig != "" && !filepath.IsAbs(c.Kubeconfig) {
		errs = append(errs, fmt.Errorf("kubeconfig: %q is no absolute path", c.Kubeconfig))
	}
	if len(c.Contexts) > 0 && c.Kubeconfig == "" {
		errs = append(errs, errors.New("contexts: need a kubeconfig"))
	}
	for i, name := range c.Contexts {
		if name == "" || slices.Contains(c.Contexts[:i], name) {
			errs = append(errs, fmt.Errorf("contexts: %q is empty or there twice", name))
		}
	}
	if c.Cluster != "" && len(c.Contexts) > 1 {
		errs = append(errs, errors.New("cluster: several contexts are called by their own names"))
	}
	return errors.Join(errs...)
}
