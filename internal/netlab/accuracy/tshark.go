package accuracy

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Tshark is Wireshark's program for terminals, with its tcp.analysis fields.
// What Wireshark has no field for is withheld.
type Tshark struct {
	Path string
}

func (t Tshark) Name() string    { return "tshark" }
func (Tshark) Application() bool { return false }
func (t Tshark) Version() string { return firstLine(t.Path, "--version") }

// columns are the fields asked of tshark, in this order.
var columns = []string{
	"ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.stream", "tcp.len", "tcp.flags.syn", "tcp.flags.ack",
	"tcp.analysis.retransmission", "tcp.analysis.spurious_retransmission", "tcp.analysis.out_of_order",
	"tcp.analysis.keep_alive", "tcp.analysis.zero_window_probe", "tcp.analysis.ack_rtt",
	"tcp.analysis.fast_retransmission", "frame.time_epoch",
}

// packet is one line of tshark's answer.
type packet map[string]string

func (p packet) is(field string) bool {
	return p[field] != "" && p[field] != "0" && p[field] != "False"
}

func (p packet) endpoints() (src, dst netip.AddrPort, err error) {
	from, to := p["ip.src"], p["ip.dst"]
	if from == "" {
		from, to = p["ipv6.src"], p["ipv6.dst"]
	}
	if src, err = addrPort(from, p["tcp.srcport"]); err != nil {
		return src, dst, err
	}
	dst, err = addrPort(to, p["tcp.dstport"])
	return src, dst, err
}

func addrPort(ip, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(a, uint16(n)), err
}

// Measure runs tshark and adds up its verdicts by stream.
func (t Tshark) Measure(path string) ([]Connection, error) {
	args := []string{"-n", "-r", path, "-Y", "tcp", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=l"}
	for _, c := range columns {
		args = append(args, "-e", c)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(t.Path, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("tshark %s: %w\n%s", path, err, stderr.Bytes())
	}
	streams := map[string]*stream{}
	var order []*stream
	for line := range strings.Lines(string(out)) {
		values := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(values) != len(columns) {
			return nil, fmt.Errorf("tshark %s: %d columns in %q", path, len(values), line)
		}
		p := packet{}
		for i, v := range values {
			p[columns[i]] = v
		}
		src, dst, err := p.endpoints()
		if err != nil {
			return nil, fmt.Errorf("tshark %s: %w in %q", path, err, line)
		}
		s := streams[p["tcp.stream"]]
		if s == nil {
			s = &stream{client: src, server: dst}
			if p.is("tcp.flags.syn") && p.is("tcp.flags.ack") {
				s.client, s.server = dst, src
			}
			streams[p["tcp.stream"]] = s
			order = append(order, s)
		}
		if err := s.add(p, src == s.client); err != nil {
			return nil, fmt.Errorf("tshark %s: %w in %q", path, err, line)
		}
	}
	var all []Connection
	for _, s := range order {
		all = append(all, s.connection())
	}
	return all, nil
}

// stream sums tshark's verdicts over one connection.
type stream struct {
	client, server netip.AddrPort
	sides          [2]struct {
		retransmitted, bytes, spurious, fast, outOfOrder float64
	}
	keepAlives, probes float64
	rtt                [2][]float64 // µs, by half
	handshake          [2]Value
	synack             bool // seen
	firstSYN, setup    float64
}

func (s *stream) add(p packet, fromClient bool) error {
	side, half := 0, 0 // an acknowledgement by the client tells the client's half
	if !fromClient {
		side, half = 1, 1
	}
	length, err := strconv.ParseFloat(p["tcp.len"], 64)
	if err != nil {
		return err
	}
	now, err := strconv.ParseFloat(p["frame.time_epoch"], 64)
	if err != nil {
		return err
	}
	d := &s.sides[side]
	if p.is("tcp.analysis.retransmission") {
		d.retransmitted++
		d.bytes += length
	}
	count := func(field string, n *float64) {
		if p.is(field) {
			*n++
		}
	}
	count("tcp.analysis.spurious_retransmission", &d.spurious)
	count("tcp.analysis.fast_retransmission", &d.fast)
	count("tcp.analysis.out_of_order", &d.outOfOrder)
	count("tcp.analysis.keep_alive", &s.keepAlives)
	count("tcp.analysis.zero_window_probe", &s.probes)
	if p.is("tcp.flags.syn") && fromClient && s.firstSYN == 0 {
		s.firstSYN = now
	}
	answer := p.is("tcp.flags.syn") && p.is("tcp.flags.ack") && !fromClient
	finish := fromClient && s.synack && s.setup == 0
	if finish && s.firstSYN != 0 {
		s.setup = (now - s.firstSYN) * 1e6
	}
	if text := p["tcp.analysis.ack_rtt"]; text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		switch us := seconds * 1e6; {
		case answer:
			s.handshake[1] = sure(us)
		case finish:
			s.handshake[0] = sure(us)
		default:
			s.rtt[half] = append(s.rtt[half], us)
		}
	}
	s.synack = s.synack || answer
	return nil
}

func (s *stream) connection() Connection {
	c := Connection{Client: s.client, Server: s.server, KeepAlives: sure(s.keepAlives), WindowProbes: sure(s.probes)}
	c.Handshake.Client, c.Handshake.Server = s.handshake[0], s.handshake[1]
	if s.setup != 0 {
		c.Handshake.Setup = sure(s.setup)
	}
	for i, d := range s.sides {
		c.Sides[i] = Side{
			Packets: sure(d.retransmitted), Bytes: sure(d.bytes), Spurious: sure(d.spurious), OutOfOrder: sure(d.outOfOrder),
			Class: map[string]float64{"fast": d.fast},
		}
		if samples := s.rtt[i]; len(samples) > 0 {
			c.RTT[i].Min = sure(slices.Min(samples))
		}
	}
	return c
}
