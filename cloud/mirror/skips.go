package mirror

import (
	"fmt"
	"time"
)

// Skips is what AWS did not copy at an instance, of packets that its filter took,
// because the instance's own traffic needed the room (CloudWatch,
// NetworkPacketsSkipMirrorIn and others): the loss of the mirror itself, which no
// sensor sees. What is not known is absent.
type Skips struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Packets *uint64   `json:"packets,omitempty"`
	Bytes   *uint64   `json:"bytes,omitempty"`
}

func (s *Skips) text() string {
	switch {
	case s == nil || s.Packets == nil:
		return ""
	case *s.Packets == 0:
		return "0"
	}
	return fmt.Sprintf("%d packets", *s.Packets)
}

// AddSkips puts what was skipped to the interfaces of each instance, by its id.
// It is told of an instance as a whole.
func (p *Plan) AddSkips(skips map[string]Skips) {
	for i := range p.Coverage {
		c := &p.Coverage[i]
		if s, ok := skips[c.Instance]; ok && c.Session != "" {
			c.Skipped = &s
		}
	}
}

// MirroredInstances lists those with an interface that is mirrored.
func (p *Plan) MirroredInstances() []string {
	seen := map[string]bool{}
	for i := range p.Coverage {
		if c := &p.Coverage[i]; c.Session != "" && c.Instance != "" {
			seen[c.Instance] = true
		}
	}
	return sortedKeys(seen)
}
