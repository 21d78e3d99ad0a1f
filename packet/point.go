package packet

// PointID, NetworkID and PathID are small numbers for values that repeat with
// every packet, given out by Names in order of first appearance.
type (
	PointID   uint32
	NetworkID uint32
	PathID    uint32
)

// Tunnel names an encapsulation.
type Tunnel uint8

const (
	NoTunnel Tunnel = iota
	VXLAN
	VXLANGPE
	Geneve
	GRE
	NVGRE
	ERSPAN1
	ERSPAN2
	ERSPAN3
	IPIP
	GTPU
	TZSP
	NSH
	MPLS
	MPLSUDP
	PPPoE
	CiscoMetadata
	numTunnels
)

var tunnelNames = [numTunnels]string{
	"", "vxlan", "vxlan_gpe", "geneve", "gre", "nvgre", "erspan1", "erspan2", "erspan3", "ipip", "gtpu", "tzsp",
	"nsh", "mpls", "mpls_udp", "pppoe", "cisco_metadata",
}

func (t Tunnel) String() string {
	if t < numTunnels {
		return tunnelNames[t]
	}
	return "unknown"
}

// PointKey identifies an observation point: the interface alone, or the
// interface with the outermost VXLAN, GENEVE, ERSPAN or TZSP header. A gateway
// load balancer's GENEVE (option class 0x0108) around VXLAN is stepped over.
type PointKey struct {
	Interface uint32 // capture interface
	Kind      Tunnel // VXLAN, VXLANGPE, Geneve, ERSPAN1 … 3, TZSP or NoTunnel
	Cookies   Cookies
	ID        uint32 // VNI, or ERSPAN session id
	A, B      Addr   // outer addresses, A ≤ B bytewise: the pair is unordered
}

// Cookies are the GENEVE options that belong to the identity of a mirrored
// interface. Flow cookies, profile ids and direction bits are never in here.
type Cookies struct {
	Class uint16   // 0x0108 (AWS gateway load balancer), 0x0132 (Google), 0 none
	Net   uint32   // Google: 28-bit network id
	ID    [16]byte // Google: endpoint id; AWS: endpoint id (8 octets), then attachment id (8 octets)
}

// maxVLANs and maxTunnels bound what a Path remembers; deeper ones are decoded
// but not listed.
const (
	maxVLANs   = 4
	maxTunnels = 6
)

// Path lists every encapsulation and VLAN id met, outermost first.
type Path struct {
	Tunnels  [maxTunnels]Tunnel
	VLANs    [maxVLANs]uint16
	NTunnels uint8
	NVLANs   uint8
}

// NetworkKey names the address space of the innermost addresses by what the
// packet itself says: the ids of VXLAN and GENEVE layers inside the one that
// names the observation point, and that one's id for a configured mapping.
type NetworkKey struct {
	VNI   uint32           // id of the observation point's tunnel where Config maps it, the number of a name that Config.NetworkOf gave, else 0
	Inner [3]uint32        // further VNIs + 1, outermost first, 0 for none
	VLANs [maxVLANs]uint16 // VLAN ids + 1, outermost first, 0 for none; only with Config.VLANInKey
}
