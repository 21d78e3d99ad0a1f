package nic

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Commands of SIOCETHTOOL (linux/ethtool.h) that the ethtool library lacks or
// does in a way that does not serve: it gives statistics as a map, and vmxnet3
// has the same names for every queue.
const (
	ethtoolGStrings  = 0x1b
	ethtoolGStats    = 0x1d
	ethtoolGRXFH     = 0x29
	ethtoolSRXFH     = 0x2a
	ethtoolGSSetInfo = 0x37

	stringLen = 32 // ETH_GSTRING_LEN
	setStats  = 1  // ETH_SS_STATS

	// slack are statistics that may appear between asking for their number and
	// for their names, as when queues are added. Older kernels write as many as
	// there are, whatever room was announced.
	slack = 4096

	udp4Flow = 0x02 // UDP_V4_FLOW
)

// ifreq is struct ifreq with the pointer that SIOCETHTOOL wants.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the union is larger than a pointer
}

// ethtoolCall passes buf, which starts with a command, to the interface. The
// calls used here that only read need no capability (net/ethtool/ioctl.c).
func ethtoolCall(fd int, ifname string, buf []byte) error {
	var r ifreq
	copy(r.name[:len(r.name)-1], ifname)
	r.data = unsafe.Pointer(unsafe.SliceData(buf))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r)))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return errno
	}
	return nil
}

// statReader reads a driver's statistics over a socket that stays open, so
// that it works when no socket can be made any more. The names are read each
// time, because they change with the number of queues.
type statReader struct {
	fd     int
	ifname string
	names  []byte
	values []byte
	stats  []stat
}

// read gives the statistics. They are valid until the next call.
func (r *statReader) read() ([]stat, error) {
	n, err := r.count()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, nil
	}
	if need := 12 + (n+slack)*stringLen; len(r.names) < need {
		r.names = make([]byte, need)
		r.values = make([]byte, 8+(n+slack)*8)
	}
	ne := binary.NativeEndian
	ne.PutUint32(r.names[0:], ethtoolGStrings)
	ne.PutUint32(r.names[4:], setStats)
	ne.PutUint32(r.names[8:], uint32(n))
	if err := ethtoolCall(r.fd, r.ifname, r.names); err != nil {
		return nil, fmt.Errorf("names of statistics: %w", err)
	}
	ne.PutUint32(r.values[0:], ethtoolGStats)
	ne.PutUint32(r.values[4:], uint32(n))
	if err := ethtoolCall(r.fd, r.ifname, r.values); err != nil {
		return nil, fmt.Errorf("statistics: %w", err)
	}
	if names, values := ne.Uint32(r.names[8:]), ne.Uint32(r.values[4:]); names != values || int(names) > n+slack {
		return nil, fmt.Errorf("statistics: they changed while they were read (%d names, %d values)", names, values)
	}
	r.stats = r.stats[:0]
	for i := range int(ne.Uint32(r.names[8:])) {
		name := r.names[12+i*stringLen:][:stringLen]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		r.stats = append(r.stats, stat{string(bytes.TrimSpace(name)), ne.Uint64(r.values[8+i*8:])})
	}
	return r.stats, nil
}

// count is the number of statistics that the driver has now.
func (r *statReader) count() (int, error) {
	ne := binary.NativeEndian
	var info [20]byte // cmd, reserved, mask of sets, a count for each
	ne.PutUint32(info[0:], ethtoolGSSetInfo)
	ne.PutUint64(info[8:], 1<<setStats)
	if err := ethtoolCall(r.fd, r.ifname, info[:]); err != nil {
		return 0, fmt.Errorf("number of statistics: %w", err)
	}
	if ne.Uint64(info[8:])&(1<<setStats) == 0 {
		return 0, nil // the driver has none
	}
	return int(ne.Uint32(info[16:])), nil
}

// Bits of the fields that a NIC hashes (RXH_*).
const (
	hashIPSource      = 1 << 4
	hashIPDestination = 1 << 5
	hashL4Bytes01     = 1 << 6 // source port
	hashL4Bytes23     = 1 << 7 // destination port
)

// rxnfcLen is the size of struct ethtool_rxnfc: cmd, flow_type, data, and a
// union that is not used here.
const rxnfcLen = 192

// udpHash gives the RXH_ bits for UDP over IPv4.
func udpHash(fd int, ifname string) (uint64, error) {
	var b [rxnfcLen]byte
	ne := binary.NativeEndian
	ne.PutUint32(b[0:], ethtoolGRXFH)
	ne.PutUint32(b[4:], udp4Flow)
	if err := ethtoolCall(fd, ifname, b[:]); err != nil {
		return 0, fmt.Errorf("hash fields of UDP: %w", err)
	}
	return ne.Uint64(b[8:]), nil
}

// setUDPHash sets them. It needs CAP_NET_ADMIN.
func setUDPHash(fd int, ifname string, bits uint64) error {
	var b [rxnfcLen]byte
	ne := binary.NativeEndian
	ne.PutUint32(b[0:], ethtoolSRXFH)
	ne.PutUint32(b[4:], udp4Flow)
	ne.PutUint64(b[8:], bits)
	if err := ethtoolCall(fd, ifname, b[:]); err != nil {
		return fmt.Errorf("hash fields of UDP: %w", err)
	}
	return nil
}

func hashFields(bits uint64) []HashField {
	fields := []HashField{}
	for _, f := range []struct {
		bit  uint64
		name HashField
	}{{hashIPSource, HashSource}, {hashIPDestination, HashDestination}, {hashL4Bytes01, HashSourcePort}, {hashL4Bytes23, HashDestinationPort}} {
		if bits&f.bit != 0 {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// ioctlSocket opens a socket for ethtool calls.
func ioctlSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket for ethtool: %w", err)
	}
	return fd, nil
}
