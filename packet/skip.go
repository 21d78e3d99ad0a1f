package packet

// Skip says why a frame gave no Packet. The zero value means it gave one.
type Skip uint8

// Reasons. String gives the names that the capture record uses; the reference
// documentation lists them all.
const (
	OK                 Skip = iota
	Held                    // a fragment that waits for the rest of its packet; not final: see Decoder
	SkipTruncated           // the captured octets end inside a link, tunnel or IP header
	NotIP                   // no IPv4 or IPv6 behind the link header and the tunnels (ARP, LLDP, …)
	BadIP                   // an IP header whose version or lengths contradict themselves
	BadTunnel               // a tunnel header whose fields contradict themselves
	TooDeep                 // more than maxDepth headers
	UnknownLink             // a link type that the decoder does not read
	FragmentIncomplete      // the rest of the packet did not come in time, or the fragment table was full
	FragmentOverlap         // fragments that overlap with different extents: the whole packet is dropped (RFC 5722)
	FragmentDuplicate       // a second copy of a fragment that is there already
	Filtered                // decoded, but not what --filter asks for
	Unsampled               // decoded, but of a connection that sampling leaves out
	NumSkips
)

var skipNames = [NumSkips]string{
	"", "", "truncated", "not_ip", "bad_ip", "bad_tunnel", "too_deep", "unknown_link_type",
	"fragment_incomplete", "fragment_overlap", "fragment_duplicate", "filtered", "unsampled",
}

func (s Skip) String() string {
	if s < NumSkips {
		return skipNames[s]
	}
	return "unknown"
}
