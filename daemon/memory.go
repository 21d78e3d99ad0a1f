package daemon

import (
	"runtime"
	"sort"

	"mirrorscope/capture/afxdp"
	"mirrorscope/edge/live"
	"mirrorscope/enrich"
	"mirrorscope/pipeline"
)

// Memory is how what the process may use is divided, in octets:
//
//	usable ─┬─ rings          filled by the kernel
//	        ├─ process        program, stacks, what the kernel keeps for it
//	        └─ heap ─┬─ collected    an eighth: what is not in use, until it is found
//	                 ├─ beside       records, queues, conversations and so on
//	                 └─ connections  the budget of the tables
type Memory struct {
	Usable      int64
	Rings       int64
	Beside      int64
	Connections int64
	Heap        int64 // for the memory limit of the Go runtime
	Fits        bool  // all of it is within Usable
}

const (
	processMemory = 48 << 20
	leastTables   = 16 << 20
	// mostTables is the share of what is usable, in percent, that tables get
	// where the configuration leaves it open: records on their way out grow with
	// them.
	mostTables = 60
)

// PlanMemory divides what is usable. Connections is that of the configuration,
// or else what is left, but 16 MiB at least. top says that Options.Top is set.
func PlanMemory(cfg *Config, top bool, usable int64) Memory {
	m := Memory{Usable: usable, Rings: cfg.ringMemory(), Connections: int64(cfg.Measure.Memory)}
	most := usable - m.Rings - processMemory
	fits := func(tables int64) bool { return tables+cfg.beside(tables, top) <= most/8*7 }
	if m.Connections == 0 {
		const step = 1 << 20
		steps := max(usable/100*mostTables-leastTables, 0) / step
		n := sort.Search(int(steps), func(i int) bool { return !fits(leastTables + int64(i+1)*step) })
		m.Connections = leastTables + int64(n)*step
	}
	m.Fits = fits(m.Connections)
	m.Beside = cfg.beside(m.Connections, top)
	m.Heap = (m.Connections + m.Beside) / 7 * 8
	if m.Fits {
		m.Heap = min(m.Heap, most)
	}
	return m
}

// ringMemory is what the rings of all interfaces take. Where the mode is not
// decided yet it is that of the larger ones.
func (c *Config) ringMemory() int64 {
	var sum int64
	for _, name := range c.Capture.Interfaces {
		var n int64
		if p := c.Capture.AFPacket; c.Capture.Mode != ModeAFXDP {
			n = int64(p.Rings) * int64(p.Blocks) * int64(p.BlockBytes)
		}
		if x := c.Capture.AFXDP; c.Capture.Mode != ModeAFPacket {
			queues, err := afxdp.Queues(name)
			if err != nil {
				queues = 1 // opening it will tell
			}
			if x.Queues > 0 {
				queues = min(queues, x.Queues)
			}
			const slots = 2 * (8 + 16) // octets of a frame's places in the rings, of which each may have twice as many
			n = max(n, int64(queues)*(int64(x.Frames)*int64(x.FrameBytes+slots)+int64(x.SpillBytes)))
		}
		sum += n
	}
	return sum
}

// beside is what the heap holds at most beside the tables.
func (c *Config) beside(tables int64, top bool) int64 {
	p := pipeline.Config{Shards: c.Measure.Shards, Flow: c.flow(tables)}
	if p.Shards == 0 {
		p.Shards = runtime.GOMAXPROCS(0)
	}
	p.Decode, _ = c.decode() // was checked
	p.Decode.MaxPoints = maxPointsOf(tables)
	n := pipeline.Beside(&p)
	if c.Output.Stdout {
		n += int64(c.Output.StdoutQueue)
	}
	if c.Output.File.Directory != "" {
		n += int64(c.Output.File.Queue) + compressing
	}
	if c.Record.Directory != "" {
		n += int64(c.Record.Queue)
	}
	if top || c.wantsTop() {
		n += liveMemory(within(c.live(), tables))
	}
	if c.wantsGroups() {
		n += groupMemory(c.groups(tables))
	}
	n += namesMemory(&c.Tags, len(c.Cloud.Sources()))
	return n + answers
}

// namesMemory is what is set aside for names of addresses: for files what they take
// as a rule, for each inventory what its bounds allow, up to mostNames.
func namesMemory(t *Tags, inventories int) int64 {
	if len(t.Files)+inventories == 0 {
		return 0
	}
	const end, file = 128, 8 << 20 // octets
	each := int64(t.Entries)*enrich.EntryMemory + int64(t.Total)*enrich.VersionMemory
	return int64(t.Cache)*end + int64(len(t.Files))*file + int64(inventories)*min(each, mostNames)
}

// mostNames is what is set aside for one inventory. More than that is a cloud of
// 80,000 interfaces.
const mostNames = 64 << 20

const (
	compressing = 8 << 20  // of a finished file
	answers     = 16 << 20 // states of the capture, answers to those who ask for them
)

// maxPointsOf bounds the observation points that are told apart by the memory
// of the tables: they stay for as long as the sensor runs.
func maxPointsOf(tables int64) int { return int(min(max(tables>>15, 1024), 8192)) }

// within bounds a table of conversations by the memory of the tables of
// connections: it takes no more than about half of that.
func within(c live.Config, tables int64) live.Config {
	c.Connections = int(min(int64(c.Connections), tables>>11))
	c.Samples = int(min(int64(c.Samples), tables>>7))
	return c
}

// wantsTop tells whether somebody can ask what conversations do now.
func (c *Config) wantsTop() bool {
	return c.Top.Socket != "" || c.Metrics.Conversations > 0 && c.Health.Listen != ""
}

// wantsIntervals tells whether somebody looks at what connections did in an
// interval: the outputs, what conversations do now, or the metrics. A record for
// each connection in each interval costs more than its packets.
func (c *Config) wantsIntervals() bool {
	return c.Output.Intervals && c.written() || c.wantsGroups() || c.wantsTop() || c.Health.Listen != ""
}

// liveMemory is what a table of conversations may hold.
func liveMemory(c live.Config) int64 {
	const conversation, connection, sample = 900, 800, 16 // octets; the first in each step
	return int64(c.Conversations)*conversation*int64(c.Window/c.Interval) + int64(c.Connections)*connection + int64(c.Samples)*sample
}
