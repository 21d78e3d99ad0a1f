package netlab

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// TCPInfo is what a kernel knows of its end of a connection (TCP_INFO).
type TCPInfo struct {
	State         uint8  `json:"state"`
	TotalRetrans  uint32 `json:"total_retrans"`  // segments, with SYN and FIN
	BytesRetrans  uint64 `json:"bytes_retrans"`  // payload
	DSACKDups     uint32 `json:"dsack_dups"`     // DSACK blocks received
	ReordSeen     uint32 `json:"reord_seen"`     // reordering events
	RcvOOOPack    uint32 `json:"rcv_ooopack"`    // segments received out of order
	SegsOut       uint32 `json:"segs_out"`       //
	SegsIn        uint32 `json:"segs_in"`        //
	DataSegsOut   uint32 `json:"data_segs_out"`  // with repeats
	DataSegsIn    uint32 `json:"data_segs_in"`   //
	BytesSent     uint64 `json:"bytes_sent"`     // payload, with repeats
	BytesAcked    uint64 `json:"bytes_acked"`    //
	BytesReceived uint64 `json:"bytes_received"` //
	RTT           uint32 `json:"rtt_us"`         // smoothed
	MinRTT        uint32 `json:"min_rtt_us"`     // 0xffffffff: none
	SndMSS        uint32 `json:"snd_mss"`        //
	Unacked       uint32 `json:"unacked"`        // segments
	NotSent       uint32 `json:"notsent_bytes"`  //
	TotalRTO      uint16 `json:"total_rto"`      // retransmission timeouts
}

// readInfo reads TCP_INFO of a socket.
func readInfo(c *net.TCPConn) (*TCPInfo, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var t *unix.TCPInfo
	var failed error
	err = raw.Control(func(fd uintptr) {
		t, failed = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return &TCPInfo{
		State: t.State, TotalRetrans: t.Total_retrans, BytesRetrans: t.Bytes_retrans, DSACKDups: t.Dsack_dups,
		ReordSeen: t.Reord_seen, RcvOOOPack: t.Rcv_ooopack, SegsOut: t.Segs_out, SegsIn: t.Segs_in,
		DataSegsOut: t.Data_segs_out, DataSegsIn: t.Data_segs_in, BytesSent: t.Bytes_sent, BytesAcked: t.Bytes_acked,
		BytesReceived: t.Bytes_received, RTT: t.Rtt, MinRTT: t.Min_rtt, SndMSS: t.Snd_mss, Unacked: t.Unacked,
		NotSent: t.Notsent_bytes, TotalRTO: t.Total_rto,
	}, nil
}
