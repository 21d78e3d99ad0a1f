package afpacket

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Config is how an interface is read. DefaultConfig is a good one.
type Config struct {
	Rings          int    `toml:"rings" comment:"Rings, each read on its own. Both directions of a connection meet in one ring, also inside tunnels. More than one needs the fan-out program of the sensor, and a core each"`
	BlockBytes     int    `toml:"block_bytes" comment:"Octets of a block, a power of two from 131072. A frame must fit into one: larger frames are cut, and counted"`
	Blocks         int    `toml:"blocks" comment:"Blocks of each ring. Memory is rings × blocks × block_bytes. While the sensor is held up, a block is used up each block_timeout_ms even with little traffic"`
	BlockTimeoutMS int    `toml:"block_timeout_ms" comment:"Milliseconds after which a block is handed over that is not full. The kernel before 6.18 counts it in ticks of 1 to 10 ms"`
	SnapBytes      int    `toml:"snap_bytes" comment:"The most octets of a frame to keep; 0 is all"`
	Promiscuous    bool   `toml:"promiscuous" comment:"Take in frames that are for other hosts as well. It ends with the capture"`
	Outgoing       bool   `toml:"outgoing" comment:"Also take what this machine sends through the interface"`
	Timestamps     string `toml:"timestamps" comment:"hardware (the network card's, or fail), software (the kernel's), auto (hardware where the card stamps every frame and its clock is synchronised)"`
	SlackUS        int    `toml:"slack_us" comment:"Microseconds after which no frame with an earlier time stamp is still on its way to the ring. More is safer on a virtual machine that is often held up, and holds the frames of other rings longer"`
	FanoutGroup    int    `toml:"fanout_group" comment:"Number of the fan-out group, 1 to 65535; 0 takes one that is free. Two programs in one group would share the frames"`
}

// DefaultConfig gives one ring of 64 MiB.
func DefaultConfig() Config {
	return Config{
		Rings:          1,
		BlockBytes:     256 << 10,
		Blocks:         256,
		BlockTimeoutMS: 8,
		Promiscuous:    true,
		Timestamps:     stampsAuto,
		SlackUS:        2000,
	}
}

// Values of Config.Timestamps.
const (
	stampsAuto     = "auto"
	stampsHardware = "hardware"
	stampsSoftware = "software"
)

// Limits of the kernel and of good sense.
const (
	maxRings      = 256       // PACKET_FANOUT_MAX before kernel 5.14
	minBlockBytes = 128 << 10 // holds an IP packet of 65535 octets
	maxBlockBytes = 64 << 20
	minBlocks     = 2
	maxBlocks     = 1 << 16
	maxRingBytes  = math.MaxInt32 + 1
	maxTimeout    = 1000      // ms
	minSnap       = 64        // the headers that sort a frame
	maxSlack      = 1_000_000 // µs
	maxGroup      = 65535     // 16 bits in PACKET_FANOUT
)

// Validate tells everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Rings >= 1 && c.Rings <= maxRings, "rings %d: want 1 to %d", c.Rings, maxRings)
	bad(c.BlockBytes >= minBlockBytes && c.BlockBytes <= maxBlockBytes && bits.OnesCount(uint(c.BlockBytes)) == 1,
		"block_bytes %d: want a power of two from %d to %d", c.BlockBytes, minBlockBytes, maxBlockBytes)
	bad(c.Blocks >= minBlocks && c.Blocks <= maxBlocks, "blocks %d: want %d to %d", c.Blocks, minBlocks, maxBlocks)
	// Divided, so that no product can be too large.
	bad(c.BlockBytes <= 0 || int64(c.Blocks) <= int64(maxRingBytes)/int64(c.BlockBytes),
		"blocks %d of block_bytes %d: a ring has at most %d octets", c.Blocks, c.BlockBytes, int64(maxRingBytes))
	bad(c.BlockTimeoutMS >= 1 && c.BlockTimeoutMS <= maxTimeout, "block_timeout_ms %d: want 1 to %d", c.BlockTimeoutMS, maxTimeout)
	bad(c.SnapBytes == 0 || c.SnapBytes >= minSnap, "snap_bytes %d: want 0, or at least %d", c.SnapBytes, minSnap)
	bad(c.Timestamps == stampsAuto || c.Timestamps == stampsHardware || c.Timestamps == stampsSoftware,
		"timestamps %q: want auto, hardware or software", c.Timestamps)
	bad(c.SlackUS >= 0 && c.SlackUS <= maxSlack, "slack_us %d: want 0 to %d", c.SlackUS, maxSlack)
	bad(c.FanoutGroup >= 0 && c.FanoutGroup <= maxGroup, "fanout_group %d: want 0 to %d", c.FanoutGroup, maxGroup)
	return errors.Join(errs...)
}

// ringBytes is the memory of one ring.
func (c Config) ringBytes() int { return c.BlockBytes * c.Blocks }

// gather is how long frames may gather: somewhat longer than a block takes at a
// low rate, and no longer than a quarter of a ring takes at 10 Gbit/s.
func (c Config) gather() time.Duration {
	const fastest = 10e9 / 8 // octets a second
	block := time.Duration(c.BlockTimeoutMS) * time.Millisecond
	return min(block+block/4, time.Duration(float64(c.ringBytes())/4/fastest*float64(time.Second)))
}
