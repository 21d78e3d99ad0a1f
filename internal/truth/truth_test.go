package truth

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// truth is the ground truth of one capture. Its keys are explained in the
// TRUTH.md beside the captures.
type truth struct {
	Packets    int64
	TCPStreams []stream    `json:"tcp_streams"`
	UDPStreams []udpStream `json:"udp_streams"`
	TSharkExit int         `json:"tshark_exit"`

	MirrorCopies int64 `json:"mirror_copies"`
	// WithoutCopies holds the streams that have mirror copies, counted again
	// after the copies were taken out.
	WithoutCopies *struct {
		TCPStreams []stream `json:"tcp_streams"`
	} `json:"without_mirror_copies"`

	TLS []message
	// QUICVersions counts packets with a long header by version.
	QUICVersions map[string]int64 `json:"quic_versions"`

	DNS  []dnsFrame
	HTTP []httpFrame

	TCPTrace  []tcptraceConn `json:"tcptrace"`
	Published []published    `json:"upstream_expected"`
}

type stream struct {
	Stream     int
	FirstFrame int `json:"first_frame"`
	Client     netip.Addr
	ClientPort int `json:"client_port"`
	Server     netip.Addr
	ServerPort int    `json:"server_port"`
	ClientBy   string `json:"client_by"`
	FromClient side   `json:"from_client"`
	FromServer side   `json:"from_server"`
	Handshake  *handshake
	SeveralIDs bool             `json:"several_tunnel_ids"`
	TunnelIDs  []map[string]any `json:"tunnel_ids"`
	Simultan   bool             `json:"simultaneous_open"`
	Packets    int64

	MirrorCopies int64 `json:"mirror_copies"`

	// TLSTimes are those of the first frame with a record of each kind.
	TLSTimes map[string]stamp `json:"tls_times"`
}

func (s *stream) client() endpoint { return endpoint{s.Client.Unmap(), s.ClientPort} }
func (s *stream) server() endpoint { return endpoint{s.Server.Unmap(), s.ServerPort} }

type side struct {
	Packets      int64
	PayloadBytes int64 `json:"payload_bytes"`
	Analysis     map[string]int64
}

type handshake struct {
	SYNTimes    []stamp `json:"syn_times"`
	SYNACKTimes []stamp `json:"syn_ack_times"`
	ACKTime     *stamp  `json:"ack_time"`
}

// stamp is a time as tshark writes it, in ns since the Unix epoch.
type stamp int64

func (s *stamp) UnmarshalJSON(b []byte) error {
	text, err := strconv.Unquote(string(b))
	if err != nil {
		return err
	}
	sec, frac, _ := strings.Cut(text, ".")
	ns, err := strconv.ParseInt(sec+(frac + "000000000")[:9], 10, 64)
	*s = stamp(ns)
	return err
}

type udpStream struct {
	Stream    int
	A, B      string
	PacketsAB int64 `json:"packets_ab"`
	PacketsBA int64 `json:"packets_ba"`
	PayloadAB int64 `json:"payload_bytes_ab"`
	PayloadBA int64 `json:"payload_bytes_ba"`
}

// parseEndpoint reads "address port".
func parseEndpoint(text string) (endpoint, error) {
	ip, port, _ := strings.Cut(text, " ")
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return endpoint{}, err
	}
	n, err := strconv.Atoi(port)
	return endpoint{addr.Unmap(), n}, err
}

// load reads the ground truth of the named capture.
func load(t testing.TB, name string) truth {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(needs.Captures(t), "truth", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var tr truth
	if err := json.Unmarshal(b, &tr); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return tr
}

// streams gives the TCP streams as they are after mirror copies were taken
// out.
func (tr *truth) streams() []stream {
	if tr.WithoutCopies == nil {
		return tr.TCPStreams
	}
	clean := map[pair]bool{}
	out := append([]stream(nil), tr.WithoutCopies.TCPStreams...)
	for i := range out {
		clean[pairOf(out[i].client(), out[i].server())] = true
	}
	for _, s := range tr.TCPStreams {
		if !clean[pairOf(s.client(), s.server())] {
			out = append(out, s)
		}
	}
	return out
}

// flow gives the ends of a stream by protocol and number.
func (tr *truth) flow(f [2]any) (pair, bool) {
	n, _ := f[1].(float64)
	if f[0] == "tcp" {
		for _, s := range tr.TCPStreams {
			if s.Stream == int(n) {
				return pairOf(s.client(), s.server()), true
			}
		}
	}
	for _, s := range tr.UDPStreams {
		a, errA := parseEndpoint(s.A)
		b, errB := parseEndpoint(s.B)
		if f[0] == "udp" && s.Stream == int(n) && errA == nil && errB == nil {
			return pairOf(a, b), true
		}
	}
	return pair{}, false
}

// pair is an unordered pair of endpoints: a 5-tuple without its protocol.
type pair struct{ a, b endpoint }

func pairOf(a, b endpoint) pair {
	if b.IP.Less(a.IP) || a.IP == b.IP && b.Port < a.Port {
		a, b = b, a
	}
	return pair{a, b}
}

func (p pair) String() string { return fmt.Sprintf("%s — %s", p.a, p.b) }

// both holds what each end of a pair sent, a's in [0]. Where both ends are the
// same, all is in [0].
type both [2]volume

func (p pair) add(b *both, sender endpoint, v volume) {
	if sender == p.a {
		b[0].add(v)
	} else {
		b[1].add(v)
	}
}
