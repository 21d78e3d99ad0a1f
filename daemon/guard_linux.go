package daemon

import (
	"errors"
	"fmt"
	"slices"

	"mirrorscope/nic"
)

// guard keeps an interface silent.
func (s *source) guard(cfg *Config, name string) error {
	c := nic.DefaultGuardConfig()
	c.Shared, c.Ports = cfg.Filter.Shared, mirrorPorts(cfg)
	g, err := nic.InstallGuard(name, c)
	switch {
	case errors.Is(err, nic.ErrReachable):
		return fmt.Errorf("%w; %s", err, nic.ReachableMends(name))
	case err != nil:
		return fmt.Errorf("%w; or set capture.guard = false", err)
	}
	s.guards = append(s.guards, g)
	s.log.Info("guard", "interface", name, "shared", c.Shared, "removal", removal(name))
	return nil
}

func removal(name string) string { return "sensor guard --remove " + name + " | nft -f -" }

// unguard takes the guards away that a start has made which then fails: without
// a capture nobody would expect the interface to be silent. One that was there
// before stays.
func (s *source) unguard() {
	for _, g := range s.guards {
		if err := g.Close(); err != nil {
			s.log.Warn("the guard of a start that failed stays", "interface", g.Interface(), "error", err, "removal", removal(g.Interface()))
		}
	}
	s.guards = nil
}

// mirrorPorts are the UDP ports of mirror traffic: those of tunnels, as assigned
// and as configured, and those that the filter takes.
func mirrorPorts(cfg *Config) []uint16 {
	ports := slices.Concat(nic.DefaultGuardConfig().Ports, cfg.Decode.VXLANPorts, cfg.Decode.GenevePorts, cfg.Filter.UDPPorts)
	slices.Sort(ports)
	return slices.Compact(ports)
}
