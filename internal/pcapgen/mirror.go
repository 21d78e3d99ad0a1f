package pcapgen

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"time"
)

// Host is a machine whose network interface may be mirrored as AWS Traffic
// Mirroring does it: VXLAN to the target, from the interface's own address,
// one VNI for each session, the outer source port by a hash of the inner flow.
type Host struct {
	Name     string
	IP, IPv6 netip.Addr
	MAC      MAC
	VNI      uint32        // 0: not mirrored
	Latency  time.Duration // from the interface to the target
}

// Mirrored tells whether the host's interface is a mirror source.
func (h *Host) Mirrored() bool { return h.VNI != 0 }

// Point names a mirrored interface.
type Point struct {
	Name     string `json:"name"`
	VNI      uint32 `json:"vni"`
	OuterSrc string `json:"outer_src"`
}

// Observed is one conversation at one observation point.
type Observed struct {
	Note  string `json:"note"` // what it is there for
	Point Point  `json:"observation_point"`
	Truth
}

// MirrorTruth tells what a Mirror's capture holds.
type MirrorTruth struct {
	Packets       int64      `json:"packets"`
	Bytes         int64      `json:"bytes"` // octets of the frames
	NotIP         int64      `json:"not_ip"`
	Fragments     int64      `json:"fragments"` // packets that are fragments of another
	Conversations []Observed `json:"conversations"`
}

// Mirror collects what a mirror target receives.
type Mirror struct {
	Target Host
	frames []mirrored
	truth  MirrorTruth
}

// mirrored is a frame that waits to be put in order.
type mirrored struct {
	time  int64
	from  *Host // nil: not mirrored, data is the frame
	data  []byte
	side  Side
	hosts [2]*Host
}

// nearHost is the one-way distance of a mirrored interface from its host.
const nearHost = 15 * time.Microsecond

// Path gives the path of a conversation between two hosts with a tap at every
// mirrored one, the client's first.
func (m *Mirror) Path(client, server *Host, delay time.Duration) Path {
	p := Path{Delay: delay, Taps: []time.Duration{}}
	if client.Mirrored() {
		p.Taps = append(p.Taps, nearHost)
	}
	if server.Mirrored() {
		p.Taps = append(p.Taps, delay-nearHost)
	}
	return p
}

// Add takes the recording of a conversation over such a Path.
func (m *Mirror) Add(note string, client, server *Host, r Recording) {
	var taps []*Host
	for _, h := range []*Host{client, server} {
		if h.Mirrored() {
			taps = append(taps, h)
		}
	}
	for _, p := range r.Packets {
		h := taps[p.Tap]
		m.frames = append(m.frames, mirrored{p.Time + h.Latency.Nanoseconds(), h, p.Data, p.From, [2]*Host{client, server}})
		if fragment(p.Data) {
			m.truth.Fragments++
		}
	}
	for i, t := range r.Truths {
		h := taps[i]
		if t.Start != 0 {
			t.Start += h.Latency.Nanoseconds()
			t.End += h.Latency.Nanoseconds()
		}
		m.truth.Conversations = append(m.truth.Conversations, Observed{note, Point{h.Name, h.VNI, h.IP.String()}, t})
	}
}

// AddFrame adds a frame that reaches the target by itself and holds no IP.
func (m *Mirror) AddFrame(time int64, frame []byte) {
	m.frames = append(m.frames, mirrored{time: time, data: frame})
	m.truth.NotIP++
}

// Frames gives all frames in the order of time, and the truth about them.
func (m *Mirror) Frames() ([]Frame, MirrorTruth) {
	slices.SortStableFunc(m.frames, func(a, b mirrored) int { return int(a.time - b.time) })
	ids := map[*Host]uint16{}
	var out []Frame
	for _, f := range m.frames {
		data := f.data
		if f.from != nil {
			ids[f.from]++
			data = m.encapsulate(&f, ids[f.from])
		}
		out = append(out, Frame{Time: f.time, Data: data})
		m.truth.Packets++
		m.truth.Bytes += int64(len(data))
	}
	slices.SortStableFunc(m.truth.Conversations, func(a, b Observed) int { return int(a.Start - b.Start) })
	return out, m.truth
}

var routerMAC = MAC{2, 0, 0, 0, 0, 1}

func (m *Mirror) encapsulate(f *mirrored, id uint16) []byte {
	inner := Ethernet{Src: f.hosts[f.side].MAC, Dst: f.hosts[f.side.peer()].MAC}
	// At an interface the other end is seen as the router.
	if f.hosts[f.side] == f.from {
		inner.Dst = routerMAC
	} else {
		inner.Src = routerMAC
	}
	return Build(Ethernet{Src: routerMAC, Dst: m.Target.MAC},
		IPv4{Src: f.from.IP, Dst: m.Target.IP, TTL: 254, ID: id},
		UDP{SrcPort: flowPort(f.data), NoChecksum: true}, VXLAN{VNI: f.from.VNI}, inner, Packet(f.data))
}

// flowPort hashes an IP packet's 5-tuple into the dynamic ports; the two
// directions need not agree. Fragments, which have no ports, hash less.
func flowPort(ip []byte) uint16 {
	h := fnv.New32a()
	if ip[0]>>4 == 6 {
		h.Write(ip[6:7])
		h.Write(ip[8:44])
	} else {
		h.Write(ip[9:10])
		h.Write(ip[12:20])
		if !fragment(ip) && (ip[9] == 6 || ip[9] == 17) {
			h.Write(ip[20:24])
		}
	}
	return 49152 | uint16(h.Sum32())
}

func fragment(ip []byte) bool { return ip[0]>>4 == 4 && be.Uint16(ip[6:])&0x3fff != 0 }
