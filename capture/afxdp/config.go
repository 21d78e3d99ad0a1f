package afxdp

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"mirrorscope/bpf"
)

// Config is how AF_XDP sockets are set up. DefaultConfig is a good one.
type Config struct {
	Attach         string `toml:"attach" comment:"Where the XDP program is attached: native (in the driver), generic (behind it, any driver), auto (native, else generic)"`
	ZeroCopy       string `toml:"zero_copy" comment:"Whether the driver writes right into the sensor's memory: auto (where it can), on (or fail), off"`
	Promiscuous    bool   `toml:"promiscuous" comment:"Take in frames that are for other hosts as well. It ends with the capture"`
	Queues         int    `toml:"queues" comment:"Receive queues to read, one socket each, from the first on; 0 is all of the interface. Frames that arrive on others are lost, and counted by the filter"`
	Frames         int    `toml:"frames" comment:"Buffers of each queue, a power of two. As many frames wait while the sensor is busy; memory is queues × (frames × frame_bytes + spill_bytes)"`
	FrameBytes     int    `toml:"frame_bytes" comment:"Octets of a buffer, 2048 or 4096, of which 256 are headroom. A longer frame takes several buffers (kernel 6.6)"`
	FillRing       int    `toml:"fill_ring" comment:"Slots of the ring of free buffers, a power of two, at least frames; 0 is as many as frames"`
	RXRing         int    `toml:"rx_ring" comment:"Slots of the ring of received buffers, a power of two; 0 is as many as frames, so that it is never full"`
	HugePages      bool   `toml:"huge_pages" comment:"Take the buffers from reserved huge pages where there are enough (vm.nr_hugepages), else from ordinary ones"`
	NeedWakeup     bool   `toml:"need_wakeup" comment:"Let a driver sleep until it is woken instead of looking for free buffers all the time"`
	BusyPollUS     int    `toml:"busy_poll_us" comment:"Microseconds for which the reader itself runs the driver (SO_PREFER_BUSY_POLL) instead of waiting for interrupts; 0 is off. Wants napi_defer_hard_irqs and gro_flush_timeout set on the interface"`
	BusyPollBudget int    `toml:"busy_poll_budget" comment:"The most frames that one such run takes"`
	GatherUS       int    `toml:"gather_us" comment:"Microseconds for which frames gather before the sensor looks at them, less where many come or buffers are few: a queue would wake it for every few of them. 0 is off, as it is with busy_poll_us"`
	SpillBytes     int    `toml:"spill_bytes" comment:"Octets, for each queue, into which frames that wait are moved while the sensor is busy with records, one behind the other: a buffer holds one frame however short it is. 0 is none"`
	SlackUS        int    `toml:"slack_us" comment:"Microseconds after which no frame with an earlier time stamp is still on its way to the ring. More is safer on a virtual machine that is often held up, and holds the frames of other queues longer"`
}

// DefaultConfig gives the settings that suit most interfaces: 64 MiB of buffers a queue,
// and buffers of the size that every driver takes.
func DefaultConfig() Config {
	return Config{
		Promiscuous: true, Attach: "auto",
		ZeroCopy:       "auto",
		Frames:         16384,
		FrameBytes:     4096,
		HugePages:      true,
		NeedWakeup:     true,
		BusyPollBudget: 64,
		GatherUS:       2000,
		SpillBytes:     32 << 20,
		SlackUS:        2000,
	}
}

// Limits of the kernel and of good sense.
const (
	minFrames   = 64      // one NAPI batch
	maxFrames   = 1 << 20 // 4 GiB a queue
	maxRing     = 1 << 21 // slots
	maxQueues   = 1024
	maxBusyPoll = 1_000_000 // µs
	maxBudget   = 1<<16 - 1
	maxGather   = 100_000   // µs
	maxSlack    = 1_000_000 // µs
	minSpill    = 256 << 10 // octets: three frames of the longest
	maxSpill    = 1 << 30
)

// Validate tells everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Attach == "auto" || c.Attach == "native" || c.Attach == "generic", "attach %q: want auto, native or generic", c.Attach)
	bad(c.ZeroCopy == "auto" || c.ZeroCopy == "on" || c.ZeroCopy == "off", "zero_copy %q: want auto, on or off", c.ZeroCopy)
	bad(c.Attach != "generic" || c.ZeroCopy != "on", `zero_copy "on" needs a native program, not attach "generic"`)
	bad(c.Queues >= 0 && c.Queues <= maxQueues, "queues %d: want 0 to %d", c.Queues, maxQueues)
	bad(power(c.Frames) && c.Frames >= minFrames && c.Frames <= maxFrames, "frames %d: want a power of two from %d to %d", c.Frames, minFrames, maxFrames)
	bad(c.FrameBytes == 2048 || c.FrameBytes == 4096, "frame_bytes %d: want 2048 or 4096", c.FrameBytes)
	bad(c.FillRing == 0 || power(c.FillRing) && c.FillRing >= c.Frames && c.FillRing <= maxRing, "fill_ring %d: want 0, or a power of two from frames (%d) to %d", c.FillRing, c.Frames, maxRing)
	bad(c.RXRing == 0 || power(c.RXRing) && c.RXRing <= maxRing, "rx_ring %d: want 0, or a power of two up to %d", c.RXRing, maxRing)
	bad(c.BusyPollUS >= 0 && c.BusyPollUS <= maxBusyPoll, "busy_poll_us %d: want 0 to %d", c.BusyPollUS, maxBusyPoll)
	bad(c.BusyPollBudget >= 1 && c.BusyPollBudget <= maxBudget, "busy_poll_budget %d: want 1 to %d", c.BusyPollBudget, maxBudget)
	bad(c.GatherUS >= 0 && c.GatherUS <= maxGather, "gather_us %d: want 0 to %d", c.GatherUS, maxGather)
	bad(c.SpillBytes == 0 || c.SpillBytes >= minSpill && c.SpillBytes <= maxSpill && c.SpillBytes%4096 == 0, "spill_bytes %d: want 0, or a multiple of 4096 from %d to %d", c.SpillBytes, minSpill, maxSpill)
	bad(c.SlackUS >= 0 && c.SlackUS <= maxSlack, "slack_us %d: want 0 to %d", c.SlackUS, maxSlack)
	return errors.Join(errs...)
}

func power(n int) bool { return n > 0 && bits.OnesCount(uint(n)) == 1 }

// fillRing and rxRing are the sizes that are asked of the kernel.
func (c Config) fillRing() int {
	if c.FillRing == 0 {
		return c.Frames
	}
	return c.FillRing
}

func (c Config) rxRing() int {
	if c.RXRing == 0 {
		return c.Frames
	}
	return c.RXRing
}

// gather is how long frames may gather: no longer than a quarter of the buffers
// takes at two million frames a second. With busy poll it is the reader that
// fetches them.
func (c Config) gather() time.Duration {
	if c.BusyPollUS > 0 {
		return 0
	}
	const fastest = 2e6 // frames a second
	return min(time.Duration(c.GatherUS)*time.Microsecond, time.Duration(c.Frames)*time.Second/4/fastest)
}

// headroom is what the kernel keeps free before the octets of each frame in
// its buffer (XDP_PACKET_HEADROOM).
const headroom = 256

// room is the longest frame, octets, that one buffer holds behind its stamp.
func (c Config) room() int { return c.FrameBytes - headroom - bpf.MetaLen }
