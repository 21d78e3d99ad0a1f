package netlab

import (
	"bytes"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"time"

	"mirrorscope/internal/pcapgen"
)

// Capture is a list of packets as one tap recorded them, or as a worse tap at
// the same place would have.
type Capture struct {
	Tap     Tap
	Variant string // empty: everything that passed, once
	Records []PacketAt

	snap   int        // cut frames to so many octets; 0: never
	second []PacketAt // of another tap, in the same file under a VNI of its own
	only   *Direction // the only direction recorded
}

// Name is the tap, with the variant behind a hyphen.
func (c *Capture) Name() string {
	if c.Variant == "" {
		return c.Tap.String()
	}
	return c.Tap.String() + "-" + c.Variant
}

// Variant makes a capture as another tap at the same place would have made it.
type Variant struct {
	Name string
	from func(Tap) bool // taps that have it; nil: all
	only *Direction
	make func(base Capture, taps [numTaps][]PacketAt, seed uint64) Capture
}

// change is a variant that depends on nothing but the base.
func change(name string, f func(records []PacketAt, r *rand.Rand) []PacketAt) Variant {
	return Variant{Name: name, make: func(base Capture, _ [numTaps][]PacketAt, seed uint64) Capture {
		base.Records = f(slices.Clone(base.Records), rand.New(rand.NewPCG(seed, 0)))
		return base
	}}
}

// doubled records every packet a second time up to 2 ms later and one hop
// further, as a mirror of two ports on the way does.
func doubled() Variant {
	return change("doubled", func(records []PacketAt, r *rand.Rand) []PacketAt {
		for _, p := range slices.Clone(records) {
			h, _ := parse(p.Data)
			p.Data = bytes.Clone(p.Data)
			decrementTTL(p.Data, &h)
			p.Time += int64(10*time.Microsecond) + r.Int64N(int64(1990*time.Microsecond))
			p.Copy = true
			records = append(records, p)
		}
		return inOrder(records)
	})
}

// lossy records all but a share of the packets: the mirror dropped them, the
// network did not.
func lossy(name string, share float64) Variant {
	return change(name, func(records []PacketAt, r *rand.Rand) []PacketAt {
		return slices.DeleteFunc(records, func(PacketAt) bool { return r.Float64() < share })
	})
}

// oneSided records what one side sent.
func oneSided(d Direction) Variant {
	v := change("only-"+d.String(), func(records []PacketAt, _ *rand.Rand) []PacketAt {
		return slices.DeleteFunc(records, func(p PacketAt) bool { return p.Sent.From != d })
	})
	v.only = &d
	return v
}

// midstream begins to record after a share of the packets.
func midstream(share float64) Variant {
	return change("midstream", func(records []PacketAt, _ *rand.Rand) []PacketAt {
		return records[int(share*float64(len(records))):]
	})
}

// skewed records one direction later than the other, as mirrors of two devices
// do: acknowledgements are recorded before what they acknowledge.
func skewed(d Direction, by time.Duration) Variant {
	return change("skewed", func(records []PacketAt, _ *rand.Rand) []PacketAt {
		for i := range records {
			if records[i].Sent.From == d {
				records[i].Time += int64(by)
			}
		}
		return inOrder(records)
	})
}

// snapped cuts the frames.
func snapped(octets int) Variant {
	return Variant{Name: "snap", make: func(base Capture, _ [numTaps][]PacketAt, _ uint64) Capture {
		base.snap = octets
		return base
	}}
}

// mirrored is one file in which the mirrors of both hosts end: what the client's
// tap saw under one VNI, what the server's tap saw under another.
func mirrored() Variant {
	return Variant{
		Name: "mirrored",
		from: func(t Tap) bool { return t == ClientTap },
		make: func(base Capture, taps [numTaps][]PacketAt, _ uint64) Capture {
			base.second = taps[ServerTap]
			return base
		},
	}
}

func inOrder(records []PacketAt) []PacketAt {
	slices.SortStableFunc(records, func(a, b PacketAt) int { return int(a.Time - b.Time) })
	return records
}

// seed makes a seed from names, the same in every run.
func seed(names ...string) uint64 {
	h := fnv.New64a()
	for _, name := range names {
		h.Write([]byte(name))
		h.Write([]byte{0})
	}
	return h.Sum64()
}

// VNIs of the two mirrors in one file.
const (
	ClientVNI = 7007
	ServerVNI = 8008
)

// write makes the pcap file.
func (c *Capture) write(path string) error {
	var b bytes.Buffer
	w := pcapgen.NewPcapWriter(&b, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet, Nano: true, SnapLen: c.snap})
	for _, fr := range c.frames() {
		if err := w.Write(fr); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func (c *Capture) frames() []pcapgen.Frame {
	var out []pcapgen.Frame
	for _, p := range c.Records {
		if c.second != nil {
			p.Data = encapsulate(p.Data, ClientVNI, netip.MustParseAddr("10.99.0.1"))
		}
		out = append(out, pcapgen.Frame{Time: p.Time, Data: p.Data})
	}
	for _, p := range c.second {
		out = append(out, pcapgen.Frame{Time: p.Time, Data: encapsulate(p.Data, ServerVNI, netip.MustParseAddr("10.99.0.2"))})
	}
	slices.SortStableFunc(out, func(a, b pcapgen.Frame) int { return int(a.Time - b.Time) })
	return out
}

// encapsulate puts a frame into VXLAN, as a mirror sends it to a sensor.
func encapsulate(frame []byte, vni uint32, from netip.Addr) []byte {
	return pcapgen.Build(
		pcapgen.Ethernet{Src: pcapgen.MAC{2, 0, 0, 0, 9, 1}, Dst: pcapgen.MAC{2, 0, 0, 0, 9, 2}},
		pcapgen.IPv4{Src: from, Dst: netip.MustParseAddr("10.99.0.9")},
		pcapgen.UDP{SrcPort: 50000, DstPort: 4789},
		pcapgen.VXLAN{VNI: vni},
		pcapgen.Payload(frame),
	)
}
