package packet

// sctpHeader is the common header of SCTP (RFC 9260 section 3.1): ports,
// verification tag, checksum. The payload of an SCTP packet is its chunks.
const sctpHeader = 12
