//go:build !linux

package daemon

import (
	"errors"
	"fmt"
	"log/slog"

	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/sink/prom"
)

// source is the live capture, which only Linux has.
type source struct {
	capture.Source
}

func open(*Config, *slog.Logger) (*source, error) {
	return nil, fmt.Errorf("live capture is for Linux: %w", errors.ErrUnsupported)
}

func (d *daemon) rehearse() error            { return nil }
func (s *source) update(*Config) error       { return errors.ErrUnsupported }
func (s *source) readable() func() error     { return nil }
func (s *source) describe() []prom.Interface { return nil }
func (s *source) rings() []prom.Ring         { return nil }
func (s *source) account(*flow.Capture)      {}
func (s *source) unguard()                   {}
func (s *source) refresh()                   {}
func (s *source) Down() []string             { return nil }
func (s *source) Fill() float64              { return 0 }
func (s *source) Stop()                      {}
func (s *source) Beat() int64                { return 0 }
