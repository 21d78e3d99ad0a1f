// Package capture names what every source of packets delivers: a Frame at a
// time, lent to the caller, with the record time and the original length.
//
// A Source is a file reader or a live ring. It knows link types and
// interfaces, nothing of what the frames hold.
package capture

import "fmt"

// LinkType is the link-layer header type of a frame, numbered as in the
// registry of LINKTYPE_ values that pcap and pcapng files use.
type LinkType uint16

// Link types that the decoder reads.
const (
	LinkNull     LinkType = 0   // BSD loopback: 4 octets address family, host order of the writer
	LinkEthernet LinkType = 1   // IEEE 802.3, without FCS
	LinkPPP      LinkType = 9   // PPP, with or without HDLC-like framing (RFC 1662)
	LinkRawBSD   LinkType = 12  // raw IP, as some systems number DLT_RAW
	LinkRawOBSD  LinkType = 14  // raw IP, as OpenBSD numbers DLT_RAW
	LinkPPPHDLC  LinkType = 50  // PPP in HDLC-like framing (RFC 1662)
	LinkRaw      LinkType = 101 // raw IPv4 or IPv6, told apart by the version field
	LinkLoop     LinkType = 108 // OpenBSD loopback: 4 octets address family, network order
	LinkLinuxSLL LinkType = 113 // Linux cooked capture v1
	LinkIPv4     LinkType = 228 // raw IPv4
	LinkIPv6     LinkType = 229 // raw IPv6
	LinkNFLOG    LinkType = 239 // netfilter log: TLVs, NFULA_PAYLOAD holds the IP packet
	LinkSLL2     LinkType = 276 // Linux cooked capture v2
)

// String names the link type, or gives its number where the decoder does not
// read it.
func (l LinkType) String() string {
	switch l {
	case LinkNull:
		return "null"
	case LinkEthernet:
		return "ethernet"
	case LinkPPP, LinkPPPHDLC:
		return "ppp"
	case LinkRaw, LinkRawBSD, LinkRawOBSD:
		return "raw"
	case LinkLoop:
		return "loop"
	case LinkLinuxSLL:
		return "linux_sll"
	case LinkIPv4:
		return "ipv4"
	case LinkIPv6:
		return "ipv6"
	case LinkNFLOG:
		return "nflog"
	case LinkSLL2:
		return "linux_sll2"
	}
	return fmt.Sprintf("linktype_%d", uint16(l))
}

// Frame is one recorded frame. Data is borrowed: it is valid until the next
// call of the Source's Next, or NextBatch.
type Frame struct {
	Data      []byte   // the captured octets, from the link-layer header on
	Time      int64    // record time, ns since the Unix epoch
	WireLen   int      // octets of the frame before any snap length; ≥ len(Data)
	Link      LinkType // what Data starts with
	Interface uint32   // index into the Source's Interfaces
}

// Source delivers frames in the order in which they are to be processed. It
// is used by one goroutine.
type Source interface {
	// Next overwrites f with the next frame. The error is io.EOF when there is
	// no more; what could not be read by then is told by Errors.
	Next(f *Frame) error
	// Interfaces names the interfaces met so far; a Frame's Interface is an
	// index into it. The slice grows and is never reordered.
	Interfaces() []string
	// Errors lists what was wrong with the input: files that could not be
	// opened or that end in damage, each with its name and offset.
	Errors() []error
	Close() error
}

// Batcher is a Source that gives several frames at a time.
type Batcher interface {
	Source
	// NextBatch overwrites fs from the front with the next frames, those that are
	// at hand, and tells how many: at least one, unless there is an error, which
	// is that of Next. All of them are lent until the next call of NextBatch or
	// Next. What the Source tells of itself, as by Interfaces, does not change
	// within a batch. fs must not be empty.
	NextBatch(fs []Frame) (int, error)
}
