package workload

import (
	"encoding/binary"

	"mirrorscope/internal/pcapgen"
)

var be = binary.BigEndian

// flow is what tells one flow from another.
type flow struct {
	client, server         uint32 // IPv4 addresses
	clientPort, serverPort uint16
	isn                    [2]uint32 // by side
	id                     [2]uint16 // first IPv4 ID
	clock                  [2]uint32 // origin of the timestamps
	random                 uint64    // for what else varies
}

var serverPorts = [8]uint16{80, 443, 8080, 5432, 6379, 9092, 3306, 50051}

// newFlow gives the n-th flow of a seed. Clients are 10.1.0.0/16: with the
// ports 32768 to 60999 that makes 1.8·10⁹ flows until one repeats.
func newFlow(seed uint64, n uint64) flow {
	h := mix(seed, n)
	h2 := mix(h, 1)
	return flow{
		client:     10<<24 | 1<<16 | uint32(uint16(n*40503)),
		clientPort: uint16(32768 + n>>16%28232),
		server:     172<<24 | 16<<16 | uint32(h&0xff),
		serverPort: serverPorts[h>>8&7],
		isn:        [2]uint32{uint32(h >> 32), uint32(h2 >> 32)},
		id:         [2]uint16{uint16(h >> 11), uint16(h2 >> 16)},
		clock:      [2]uint32{uint32(h2), uint32(h2 >> 7)},
		random:     mix(h, 2),
	}
}

// template is one packet of a flow with all that differs between flows zero.
type template struct {
	frame    []byte // as captured
	wireLen  int
	ip, tcp  int // offsets of the innermost headers
	ts       int // offset of TSval, 0 for none
	sack     int // offset of the SACK block, 0 for none
	port     int // offset of a tunnel's UDP source port, which follows from the flow, 0 for none
	random   int // offset of 32 octets that differ in every flow, 0 for none
	side     pcapgen.Side
	seq, ack uint32    // from the ISNs
	block    [2]uint32 // SACK block, from the ISN
	id       uint16    // from the flow's first
	hasAck   bool
	ipBytes  int
	payload  int
	ipSum    uint64 // of the IPv4 header
	tcpSum   uint64 // of pseudo-header, header and payload
}

// newTemplate makes a template of a TCP packet behind the given outer layers.
// Behind VXLAN it varies the outer source port; the UDP checksum must be 0.
// t's ports, Seq and Ack count from 0; snap cuts the frame, 0 does not.
func newTemplate(outer []pcapgen.Layer, side pcapgen.Side, id uint16, t pcapgen.TCP, payload []byte, snap int) template {
	p := template{side: side, seq: t.Seq, ack: t.Ack, id: id, hasAck: t.Flags&pcapgen.ACK != 0, payload: len(payload)}
	t.Seq, t.Ack, t.Checksum = 0, 0, new(uint16(0))
	ip := pcapgen.IPv4{Src: pcapgen.IP("0.0.0.0"), Dst: pcapgen.IP("0.0.0.0"), DF: true, Checksum: new(uint16(0))}
	packet := pcapgen.Build(ip, t, pcapgen.Payload(payload))
	p.frame = pcapgen.Build(append(outer[:len(outer):len(outer)], pcapgen.Packet(packet))...)
	p.wireLen, p.ipBytes = len(p.frame), len(packet)
	p.ip = len(p.frame) - len(packet)
	p.tcp = p.ip + 20
	p.ipSum = sum(packet[:20])
	p.tcpSum = sum(packet[20:]) + 6 + uint64(len(packet)-20)
	if t.Options.Timestamps != nil {
		p.ts = p.tcp + 24
		if t.Flags&pcapgen.SYN != 0 {
			p.ts = p.tcp + 28 // behind MSS and SACK-permitted
		}
	}
	if len(outer) > 1 {
		p.port = 14 + 20
	}
	if snap > 0 && len(p.frame) > snap {
		p.frame = p.frame[:snap]
	}
	return p
}

// fill makes the template the packet of a flow.
func (p *template) fill(f *flow, tsVal, tsEcr uint32) {
	src, dst, ports := f.client, f.server, uint32(f.clientPort)<<16|uint32(f.serverPort)
	if p.side == pcapgen.Server {
		src, dst, ports = dst, src, uint32(f.serverPort)<<16|uint32(f.clientPort)
	}
	seq, ack := f.isn[p.side]+p.seq, uint32(0)
	if p.hasAck {
		ack = f.isn[1-p.side] + p.ack
	}
	id := f.id[p.side] + p.id
	ip, tcp := p.frame[p.ip:p.ip+20], p.frame[p.tcp:]
	be.PutUint16(ip[4:], id)
	be.PutUint32(ip[12:], src)
	be.PutUint32(ip[16:], dst)
	addrs := uint64(src) + uint64(dst)
	be.PutUint16(ip[10:], ^fold(p.ipSum+uint64(id)+addrs))
	be.PutUint32(tcp, ports)
	be.PutUint32(tcp[4:], seq)
	be.PutUint32(tcp[8:], ack)
	s := p.tcpSum + addrs + uint64(ports) + uint64(seq) + uint64(ack)
	if p.ts != 0 {
		be.PutUint32(p.frame[p.ts:], tsVal)
		be.PutUint32(p.frame[p.ts+4:], tsEcr)
		s += uint64(tsVal) + uint64(tsEcr)
	}
	if p.sack != 0 {
		left, right := f.isn[1-p.side]+p.block[0], f.isn[1-p.side]+p.block[1]
		be.PutUint32(p.frame[p.sack:], left)
		be.PutUint32(p.frame[p.sack+4:], right)
		s += uint64(left) + uint64(right)
	}
	if p.port != 0 { // the UDP checksum is 0
		be.PutUint16(p.frame[p.port:], 49152|uint16(f.random))
	}
	if p.random != 0 {
		for i := range 4 {
			r := mix(f.random, uint64(i))
			be.PutUint64(p.frame[p.random+8*i:], r)
			if (p.random-p.tcp)%2 != 0 { // octets swap places in the sum's words
				r = r<<8 | r>>56
			}
			s += r>>32 + r&0xffffffff
		}
	}
	be.PutUint16(tcp[16:], ^fold(s))
}

// sum adds the 16-bit words of b, without folding (RFC 1071).
func sum(b []byte) (s uint64) {
	for ; len(b) > 1; b = b[2:] {
		s += uint64(be.Uint16(b))
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

// fold gives the 16-bit one's complement sum. 32-bit summands are fine: 2¹⁶ is
// 1 in that arithmetic.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}
