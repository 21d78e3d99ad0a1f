// Package packet turns a captured frame into a Packet: the innermost IP packet
// with its transport header, and where and how it was observed.
//
// Decoding is one loop over "which header comes next", bounded in depth; link
// headers, tags, tunnels and IP are all steps of that loop. Lengths come from
// IP headers, never from the captured length, and every length is hostile.
// Decode never panics on any input, and allocates only for fragments and for
// names not met before; what gives no Packet is told by a Skip reason and
// counted by the caller.
//
// A tunnel is entered when its port or protocol number and its content agree.
// Where the content disagrees, the packet is one of the tunnel's ends: nothing
// that stands in an IP packet is lost because what is inside is not
// understood. A header whose content is cut too short to judge is
// SkipTruncated.
//
// Checksums are not verified: mirrors and network cards leave them undone.
// Payload is never interpreted, except for the packets that ICMP errors quote
// (ParseQuote).
//
// RFC 791, 8200, 9293, 768, 792, 4443, 9260; RFC 2784, 2890 (GRE), 7348
// (VXLAN), 8926 (GENEVE), 8300 (NSH), 3032 (MPLS), 2516 (PPPoE), 7637 (NVGRE),
// 3GPP TS 29.281 (GTP-U), draft-foschiano-erspan-03.
package packet

import "net/netip"

// Addr is an IP address of either version, IPv4 mapped into IPv6 (RFC 4291
// section 2.5.5.2): comparable, without pointers, usable as a key.
type Addr [16]byte

// IP gives the address in the library's form, unmapped.
func (a Addr) IP() netip.Addr { return netip.AddrFrom16(a).Unmap() }

// AddrFrom gives the key form of an address.
func AddrFrom(ip netip.Addr) Addr { return ip.As16() }

// IP protocol numbers that the decoder knows by name (IANA).
const (
	ProtoICMP   = 1
	ProtoIPIP   = 4
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoIPv6   = 41
	ProtoGRE    = 47
	ProtoESP    = 50
	ProtoAH     = 51
	ProtoICMPv6 = 58
	ProtoSCTP   = 132
)

// TCP header flags (RFC 9293 section 3.1, RFC 3168; AE is RFC 9768's).
const (
	FIN uint16 = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// Flags are properties of a Packet that are not header fields.
type Flags uint16

const (
	Truncated      Flags = 1 << iota // the capture holds fewer octets of the innermost IP packet than its length says
	HeaderCut                        // the transport header itself is cut: ports, or everything behind them, may be missing
	OptionsUnknown                   // TCP options are cut or malformed; MSS … NumSACK hold what stood before
	Reassembled                      // put together from IP fragments (at any layer)
	LengthUnknown                    // IP length 0: IPLen follows from the frame's original length (BIG TCP, segmentation offload)
	OuterSwapped                     // the packet came from PointKey.B to PointKey.A
	HasMAC                           // the innermost link header was Ethernet: Position covers its addresses
	PortsUnknown                     // the ports are cut, or the protocol has none
	BadHeader                        // a transport length field contradicts the IP length (counted as malformed; flags and sequence are not evidence)
)

// SACK is one block of the SACK option: [Left, Right) (RFC 2018 section 3).
type SACK struct{ Left, Right uint32 }

// TCP holds the TCP header (RFC 9293 section 3.1). Options that are absent are
// zero; Has says which are there.
type TCP struct {
	Seq, Ack      uint32
	TSval, TSecr  uint32 // RFC 7323 section 3
	MSS           uint16 // RFC 9293 section 3.2
	Checksum      uint16
	Window        uint16 // as on the wire, not scaled
	Flags         uint16 // FIN … AE
	WScale        uint8  // RFC 7323 section 2
	NumSACK       uint8  // 0: SACK is zero
	Has           TCPOptions
	HeaderLen     uint8 // octets, from the data offset
	FastOpenBytes uint8 // octets of the Fast Open cookie; see HasFastOpen (RFC 7413)
	SACK          [4]SACK
}

// TCPOptions says which options a TCP header carries.
type TCPOptions uint8

const (
	HasMSS TCPOptions = 1 << iota
	HasWScale
	HasSACKPermitted
	HasTimestamps
	HasSACK
	HasFastOpen
)

// Packet is the innermost IP packet of a frame and how it was observed. It is
// a value: only Payload aliases other memory, the frame's, or, when
// Reassembled, the Decoder's, which its next Decode overwrites.
//
// Fields that are known together stand together, eight octets of them at a time:
// the straight way writes those at once.
type Packet struct {
	Time int64 // record time, ns since the Unix epoch; of a reassembled packet: its last fragment's
	Now  int64 // highest record time of the input so far, including this packet; set by the pipeline

	Hash  uint64 // SymmetricHash of the innermost 5-tuple
	Words Words

	Src, Dst         Addr
	SrcPort, DstPort uint16 // TCP, UDP, SCTP and UDP-Lite ports; ICMP: see ICMPKey; 0 where there are none
	Proto            uint8  // IP protocol number behind all extension headers
	Version          uint8  // of the innermost IP header: 4 or 6
	TTL              uint8  // hop limit for IPv6
	TOS              uint8  // DSCP and ECN (traffic class for IPv6)

	Point   PointID   // observation point, from the outermost tunnel header
	Network NetworkID // address space of the innermost addresses

	Path     PathID // every encapsulation and VLAN tag met
	Position uint32 // hash of the innermost link addresses and VLAN tags: equal for frames recorded at one place of a path; 0 without a link header

	IPLen      uint32 // octets of the IP packet by its own length field (of the whole packet when Reassembled)
	PayloadLen uint32 // octets of transport payload on the wire; for protocols without a transport header: of IP payload; 0 where a cut TCP header does not tell

	IPID     uint16 // IPv4 identification, 0 for IPv6
	Flags    Flags
	Checksum uint16 // UDP and ICMP checksum (TCP: see TCP.Checksum)
	Weight   uint16 // how many connections this one stands for, by sampling; 0: not sampled; set by the pipeline

	Payload []byte // the captured part of it; behind the 8-octet header of ICMP, the common header of SCTP

	Kind     uint8 // ICMPEcho, ICMPOther, or 0: part of the flow key, so that an identifier is never taken for a type
	ICMPType uint8
	ICMPCode uint8
	DF       bool // IPv4 don't fragment

	TCP TCP // only when Proto is ProtoTCP

	// Packets in a row begin with cache lines. All but SACK is in the first three.
	_ [40]byte
}

// What the ports of an ICMP packet hold (both the same), kept in Packet.Kind.
const (
	ICMPEcho  uint8 = 1 // SrcPort = DstPort = identifier of an echo request or reply
	ICMPOther uint8 = 2 // SrcPort = DstPort = type<<8 | code
)
