package main

import (
	"mirrorscope/capture"
	"mirrorscope/capture/afpacket"
	"mirrorscope/capture/rings"
)

// captureOn receives what an interface does, and takes it away from nobody.
func captureOn(iface string) (capture.Source, error) {
	c, err := afpacket.Open(iface, afpacket.DefaultConfig(), afpacket.NoPrograms())
	if err != nil {
		return nil, err
	}
	src, err := rings.New(rings.Interface{Name: iface, Rings: c.Rings(), Stop: c.Stop, Close: c.Close})
	if err != nil {
		return nil, err // a nil Source must not become one that is there
	}
	return src, nil
}
