package pipeline

import (
	"fmt"
	"maps"
	"slices"

	"mirrorscope/flow"
	"mirrorscope/packet"
)

// capture tells the health of the input; the shards must be drained.
func (r *reader) capture() flow.Capture {
	c := r.seen
	for s, n := range r.decoder.Settled {
		if packet.Skip(s) == packet.OK {
			c.Decoded += n
		} else {
			c.Skipped[s] += n
		}
	}
	for why, n := range r.held {
		c.Decoded -= n
		c.Skipped[why] += n
	}
	for _, t := range r.tables {
		n := t.Counts()
		c.Truncated += n.Truncated
		c.Malformed += n.Malformed
		c.Stray += n.Stray
		c.CopiesForgotten += n.CopiesForgotten
		c.Unread += n.Unread
		c.Open += uint64(n.Open)
		c.Memory += n.Octets
		c.TableFill = max(c.TableFill, n.Fill)
	}
	for _, m := range r.watch.matchers {
		c.Uncompared += m.Counts().Unwatched
	}
	c.UnknownLinks = maps.Clone(c.UnknownLinks)
	c.Points = r.learned.Points()
	sequences := r.decoder.MirrorSequences()
	for i := range c.Points {
		c.Points[i].Sequence = sequences[c.Points[i].ID]
	}
	slices.SortFunc(c.Points, func(a, b flow.PointCapture) int { return int(a.ID) - int(b.ID) })
	for _, p := range c.Points {
		c.MirrorDuplicates += p.MirrorDuplicates
	}
	c.Step, c.Sample = r.load.step, r.load.keep
	c.Errors = r.src.Errors()
	return c
}

// Identity tells whether the counts of a capture add up: every frame is either
// decoded or skipped for a reason.
func Identity(c *flow.Capture) error {
	sum := c.Decoded
	for _, n := range c.Skipped {
		sum += n
	}
	if sum != c.Packets {
		return fmt.Errorf("%d frames read, but %d decoded or skipped", c.Packets, sum)
	}
	return nil
}
