package nic

import "fmt"

// Use is what an interface is meant for. The zero value is capture by
// AF_PACKET on an interface that nobody else uses, of a mirror of which
// nothing is known.
type Use struct {
	// AFXDP takes frames before the kernel has made packets of them.
	AFXDP bool
	// Native says that nothing but XDP in the driver will do.
	Native bool
	// DriverFilter says that AF_PACKET is to have its filter in the driver, as
	// an XDP program, and nowhere else.
	DriverFilter bool
	// Shared says that the interface also carries traffic of this machine, as
	// GCP's packet mirroring and most single-NIC machines have it.
	Shared bool
	Mirror Mirror
	// Promiscuous says that the capture itself takes frames that are for
	// others, as AF_PACKET does by its socket and AF_XDP by a packet socket beside
	// it, for as long as it is open.
	Promiscuous bool
	// SourceMTU is the MTU of the mirrored machines, octets; 0: not known.
	SourceMTU int
}

// Mirror is how mirrored frames find the interface.
type Mirror uint8

const (
	MirrorUnknown Mirror = iota
	// MirrorTunnel frames are sent to the interface's own address: VXLAN,
	// GENEVE, ERSPAN, TZSP, and the untunnelled ones of GCP, which bear its MAC.
	MirrorTunnel
	// MirrorPort frames bear the addresses of others, as from a SPAN port.
	MirrorPort
)

func (m Mirror) String() string { return [...]string{"unknown", "tunnel", "port"}[m] }

// ParseMirror reads what String writes.
func ParseMirror(s string) (Mirror, error) {
	for m := MirrorUnknown; m <= MirrorPort; m++ {
		if m.String() == s {
			return m, nil
		}
	}
	return 0, fmt.Errorf("%q is no kind of mirror; take one of tunnel, port, unknown", s)
}

// Octets that a tunnel adds to a mirrored packet: 54 over IPv4 and 74 over IPv6
// as AWS documents for VXLAN (the headers make 50 and 70), 68 for GENEVE of a
// gateway load balancer.
const (
	overheadIPv4 = 54
	overheadIPv6 = 74
)

// Level is how bad a finding is.
type Level uint8

const (
	OK      Level = iota
	Note          // worth knowing, nothing to do
	Warning       // capture works and is worse for it
	Error         // capture does not work
)

func (l Level) String() string { return [...]string{"ok", "note", "warning", "error"}[l] }

// MarshalText writes the word of String.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"` // what was looked at, in snake_case
	Found string `json:"found"`
	Why   string `json:"why,omitempty"`  // why it matters
	Mend  string `json:"mend,omitempty"` // the command that mends it, or what to do
}

// Worst is the highest level among findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		worst = max(worst, f.Level)
	}
	return worst
}
