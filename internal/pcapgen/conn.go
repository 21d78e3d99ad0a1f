package pcapgen

import (
	"net/netip"
	"time"
)

// Side is one end of a connection.
type Side uint8

const (
	Client Side = iota
	Server
)

func (s Side) peer() Side { return 1 - s }

// Path is the way between client and server: symmetric, of constant delay, in
// order unless a Fate says otherwise.
type Path struct {
	Delay time.Duration   // one way
	Taps  []time.Duration // one-way distance of each observation point from the client, rising; nil: one in the middle
}

func (p Path) taps() []time.Duration {
	if p.Taps == nil {
		return []time.Duration{p.Delay / 2}
	}
	return p.Taps
}

// Stack is how one end's TCP behaves. Its zero value is a common Linux.
type Stack struct {
	ISN          uint32
	IPID         uint16 // of the first packet; each further one adds 1
	TTL          uint8  // 0: 64
	MSS          uint16 // 0: 1460, over IPv6 1440
	WScale       uint8  // 0: 7
	NoSACK       bool
	NoTimestamps bool
}

// Service is what the client meets at the server's address and port.
type Service uint8

const (
	Listening   Service = iota
	Refusing            // RST: no listener
	Silent              // nothing comes back
	NoRouteBack         // ICMP host unreachable, from Conn.Router
)

// Finish is how the connection ends after the last turn.
type Finish uint8

const (
	FINByClient Finish = iota
	FINByServer
	RSTByClient
	RSTByServer // with an empty last Response: instead of an answer
	LeaveOpen
)

// Turn is a request and its response. An empty Request lets the server speak
// first, an empty Response lets the client go on at once.
type Turn struct {
	Pause    time.Duration // before the request, at the client
	Request  []byte
	Think    time.Duration // from the whole request to the response, at the server
	Response []byte
}

// PacketKind says which packets a Fate is about.
type PacketKind uint8

const (
	AnyPacket PacketKind = iota
	SYNPacket            // SYN or SYN-ACK
	DataPacket
	PureACK
	FINPacket
	numKinds
)

// Every is Fate.N for all packets of the kind.
const Every = -1

// Fate is what happens to one packet on its way.
type Fate struct {
	From  Side
	Kind  PacketKind
	N     int           // counted from 0 in the order sent, repeats included
	Where int           // part of the path: 0 from the client to the first tap, 1 from there to the next …
	Late  time.Duration // it comes so much later; 0: it is lost
}

// Conn is the script of one TCP connection. Record plays it between two small
// TCP stacks: slow start from 10 segments, delayed ACKs, fast retransmission
// by duplicate ACKs and SACK, RTO with back-off, DSACK, FIN and RST. It leaves
// out flow control (the window never fills) and offloads.
type Conn struct {
	Client, Server netip.AddrPort
	Start          int64 // the first SYN leaves the client; ns since the Unix epoch
	Path           Path
	Stacks         [2]Stack // by Side
	Service        Service
	Router         netip.Addr // of NoRouteBack
	SYNs           int        // transmissions of the SYN at most; 0: 4
	Turns          []Turn
	Finish         Finish
	Linger         time.Duration // from the last response to the finish
	Fates          []Fate
}

// Recorded is one packet as an observation point records it.
type Recorded struct {
	Time int64
	Tap  int // index into Path.Taps
	From Side
	Data []byte // the IP packet
}

// Recording is what the observation points of one conversation see.
type Recording struct {
	Packets []Recorded // by time
	Truths  []Truth    // by tap
}

// Volume counts what one side sent.
type Volume struct {
	Packets      int64 `json:"packets"`
	Bytes        int64 `json:"bytes"` // IP octets
	PayloadBytes int64 `json:"payload_bytes"`
}

// Retransmits are repeats of octets (SYN and FIN counted as one) that a side
// sent and a tap recorded. LostBefore + LostAfter + Spurious = Packets.
type Retransmits struct {
	Packets    int64 `json:"packets"`
	LostBefore int64 `json:"lost_before"` // the tap had not recorded the original
	LostAfter  int64 `json:"lost_after"`  // it had, and the receiver had not got it
	Spurious   int64 `json:"spurious"`    // the receiver had it when the repeat came
	Hidden     int64 `json:"hidden"`      // of LostBefore: nothing behind it was recorded before, so it looks like new data
}

// Truth is what is known about one conversation at one tap. Durations are ns,
// and 0 where they do not apply.
type Truth struct {
	Protocol   string    `json:"protocol"`
	Client     string    `json:"client"` // address, with port where there is one
	Server     string    `json:"server"`
	Start      int64     `json:"start_ns"` // first and last packet recorded, ns since the Unix epoch; 0 for none
	End        int64     `json:"end_ns"`
	ClientSent Volume    `json:"client_sent"`
	ServerSent Volume    `json:"server_sent"`
	ICMPErrors int64     `json:"icmp_errors,omitempty"` // that quote it; in no volume
	TCP        *TCPTruth `json:"tcp,omitempty"`
	TLS        *TLSTruth `json:"tls,omitempty"`
}

// TCPTruth is the part of TCP.
type TCPTruth struct {
	Outcome           string      `json:"outcome"` // as in the records of the product
	SYNs              int64       `json:"syns"`
	SYNACKs           int64       `json:"synacks"`
	ClientHalf        int64       `json:"client_half_ns"` // round trip between tap and client, of the path alone
	ServerHalf        int64       `json:"server_half_ns"`
	Setup             int64       `json:"setup_ns,omitempty"` // first SYN recorded to the handshake's ACK
	ClientRetransmits Retransmits `json:"client_retransmits"`
	ServerRetransmits Retransmits `json:"server_retransmits"`
	FINs              [2]int64    `json:"fins"` // by side, client first
	RSTs              [2]int64    `json:"rsts"`
	Think             []int64     `json:"think_ns,omitempty"` // per turn
}

// TLSTruth tells which handshake the conversation carries.
type TLSTruth struct {
	Version string `json:"version"`
	SNI     string `json:"sni"`
	ALPN    string `json:"alpn,omitempty"`
}

func (t *Truth) volume(s Side) *Volume {
	if s == Client {
		return &t.ClientSent
	}
	return &t.ServerSent
}

func (t *TCPTruth) retransmits(s Side) *Retransmits {
	if s == Client {
		return &t.ClientRetransmits
	}
	return &t.ServerRetransmits
}

// count adds a packet recorded at time now.
func (t *Truth) count(now int64, from Side, ipBytes, payload int) {
	if t.Start == 0 {
		t.Start = now
	}
	t.End = now
	v := t.volume(from)
	v.Packets++
	v.Bytes += int64(ipBytes)
	v.PayloadBytes += int64(payload)
}
