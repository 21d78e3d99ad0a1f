package afxdp

import (
	"fmt"
	"strings"

	"mirrorscope/bpf"
)

// Choice is what Open settled on, and why. Nothing in it is guessed: each
// attempt was made, and what was refused is in Why with the kernel's error.
type Choice struct {
	Interface   string
	Attach      bpf.AttachMode
	Queues      int  // sockets, one each
	ZeroCopy    bool // the driver writes into the sensor's memory
	MultiBuffer bool // a frame may lie in several buffers
	NeedWakeup  bool
	BusyPoll    bool
	HugePages   bool // of all queues
	MaxFrame    int  // octets of the longest frame that is received whole
	Why         []string
}

// String is the choice in one line.
func (c Choice) String() string {
	s := fmt.Sprintf("%s: AF_XDP, %v program", c.Interface, c.Attach)
	add := func(on bool, yes, no string) {
		if on {
			s += yes
		} else {
			s += no
		}
	}
	add(c.ZeroCopy, ", zero copy", ", copy mode")
	add(c.Queues == 1, ", 1 queue", fmt.Sprintf(", %d queues", c.Queues))
	s += fmt.Sprintf(", frames up to %d octets", c.MaxFrame)
	add(c.MultiBuffer, " over several buffers", "")
	add(c.NeedWakeup, ", need_wakeup", "")
	add(c.BusyPoll, ", busy poll", "")
	add(c.HugePages, ", huge pages", "")
	return s
}

// Explain is the choice with its reasons, a line each.
func (c Choice) Explain() string {
	return strings.Join(append([]string{c.String()}, c.Why...), "\n  ")
}

// why adds a reason once.
func (c *Choice) why(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	for _, w := range c.Why {
		if w == s {
			return
		}
	}
	c.Why = append(c.Why, s)
}
