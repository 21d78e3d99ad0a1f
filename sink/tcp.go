package sink

import (
	"mirrorscope/flow"
	"mirrorscope/tcp"
)

// SideKnown tells whether a side's counts of TCP are known: nothing can be
// said of a side of which no packet was recorded. In an Interval they are
// always there, for they may correct what was told before.
func SideKnown(r *flow.Record, side flow.Side) bool {
	return r.HasTCP && (r.Kind == flow.Interval || r.TCP.Sides[side].Retransmits.State != tcp.Unknown)
}

// WindowsKnown tells whether windows are known in octets: that needs the scale
// of both SYNs (RFC 7323 section 2.2).
func WindowsKnown(r *flow.Record) bool {
	return r.HasTCP && r.Options[flow.Client].Known && r.Options[flow.Server].Known
}

// Nanos rounds a duration in ns that is no whole number, as quantiles are.
func Nanos(ns float64) uint64 { return uint64(max(ns, 0) + 0.5) }
