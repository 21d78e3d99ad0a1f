package packet

import "encoding/binary"

// Link types, as numbered in the registry of LINKTYPE_ values.
const (
	linkNull     = 0
	linkEthernet = 1
	linkPPP      = 9
	linkRawBSD   = 12
	linkRawOBSD  = 14
	linkPPPHDLC  = 50
	linkRaw      = 101
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkNFLOG    = 239
	linkSLL2     = 276
)

// link starts the walk by the frame's link type.
func (w *walk) link(link uint16) step {
	switch link {
	case linkEthernet:
		return atEthernet
	case linkRaw, linkRawBSD, linkRawOBSD:
		return atIP
	case linkIPv4:
		return atIPv4
	case linkIPv6:
		return atIPv6
	case linkNull, linkLoop:
		return w.loopback()
	case linkPPP:
		return atPPP
	case linkPPPHDLC:
		return w.pppHDLC()
	case linkSLL:
		return w.sll()
	case linkSLL2:
		return w.sll2()
	case linkNFLOG:
		return w.nflog()
	}
	return w.fail(UnknownLink)
}

// ip tells the two versions apart by their first four bits.
func (w *walk) ip() step {
	if len(w.b) == 0 {
		return w.fail(SkipTruncated)
	}
	switch w.b[0] >> 4 {
	case 4:
		return atIPv4
	case 6:
		return atIPv6
	}
	return w.fail(NotIP)
}

// loopback reads the address family of LINKTYPE_NULL, in the byte order of the
// machine that captured, or LINKTYPE_LOOP, in network order. The families that
// mean IP are small numbers, so either order is told by where the number
// stands. AF_INET6 differs between systems; the version field decides.
func (w *walk) loopback() step {
	if len(w.b) < 4 {
		return w.fail(SkipTruncated)
	}
	family := binary.LittleEndian.Uint32(w.b)
	if family > 0xffff {
		family = binary.BigEndian.Uint32(w.b)
	}
	w.advance(4)
	switch family {
	case 2: // AF_INET everywhere
		return atIPv4
	case 10, 23, 24, 28, 30: // AF_INET6: Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin
		return atIPv6
	}
	return w.fail(NotIP)
}

// sll reads a Linux cooked header (LINKTYPE_LINUX_SLL): packet type, ARPHRD
// type, address length, address and protocol, 16 octets.
func (w *walk) sll() step {
	if len(w.b) < 16 {
		return w.fail(SkipTruncated)
	}
	arphrd, proto := be16(w.b[2:]), be16(w.b[14:])
	w.advance(16)
	return w.cooked(arphrd, proto)
}

// sll2 reads LINKTYPE_LINUX_SLL2: protocol, interface index, ARPHRD type,
// packet type, address length and address, 20 octets.
func (w *walk) sll2() step {
	if len(w.b) < 20 {
		return w.fail(SkipTruncated)
	}
	proto, arphrd := be16(w.b), be16(w.b[8:])
	w.advance(20)
	return w.cooked(arphrd, proto)
}

// cooked goes on behind a Linux cooked header. The protocol field is no
// EtherType for a few ARPHRD types, and for the kernel's own numbers below
// 0x600 (ETH_P_802_2 and such).
func (w *walk) cooked(arphrd, proto uint16) step {
	const (
		arphrdNetlink = 824
		arphrdIPGRE   = 778 // the protocol is the GRE header's
		ethP8022      = 0x0004
	)
	switch {
	case arphrd == arphrdNetlink:
		return w.fail(NotIP)
	case proto == ethP8022 && arphrd != arphrdIPGRE:
		return w.llc()
	case proto < minEtherType:
		return w.fail(NotIP)
	}
	return w.ether(proto)
}

// nflog walks the TLVs of a netfilter log message (LINKTYPE_NFLOG) to the IP
// packet. The header is address family, version, resource id in network
// order; the TLVs (length including their 4 octets, type, data, padded to 4)
// are in the byte order of the machine that captured: little endian, unless
// the first length makes sense in big endian only.
func (w *walk) nflog() step {
	const (
		nfulaPayload = 9
		typeMask     = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
		afInet       = 2
		afInet6      = 10
	)
	if len(w.b) < 4 {
		return w.fail(SkipTruncated)
	}
	family, version := w.b[0], w.b[1]
	w.advance(4)
	if version != 0 {
		return w.fail(NotIP)
	}
	if len(w.b) < 4 {
		return w.fail(SkipTruncated)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if n := int(order.Uint16(w.b)); n < 4 || n > w.wire {
		order = binary.BigEndian
	}
	for len(w.b) >= 4 {
		n, typ := int(order.Uint16(w.b)), order.Uint16(w.b[2:])&typeMask
		if n < 4 {
			return w.fail(BadTunnel)
		}
		if typ == nfulaPayload {
			w.clip(n)
			w.advance(4)
			switch family {
			case afInet:
				return atIPv4
			case afInet6:
				return atIPv6
			}
			return w.ip()
		}
		n = (n + 3) &^ 3
		if n > len(w.b) {
			break
		}
		w.advance(n)
	}
	if w.wire > len(w.b) {
		return w.fail(SkipTruncated)
	}
	return w.fail(NotIP)
}
