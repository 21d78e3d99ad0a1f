package accuracy

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// Tcptrace is Ostermann's tcptrace. What it does not report is withheld.
type Tcptrace struct {
	Path string
}

func (t Tcptrace) Name() string    { return "tcptrace" }
func (Tcptrace) Application() bool { return false }
func (t Tcptrace) Version() string { return firstLine(t.Path, "-v") }

// pair is a line with the same key for both directions.
var pair = regexp.MustCompile(`^\s+([^:]+):\s+([0-9.]+)\s*\S*\s{2,}([^:]+):\s+([0-9.]+)`)

// Measure runs tcptrace. It reads no tunnels and finds nothing there.
func (t Tcptrace) Measure(path string) ([]Connection, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(t.Path, "-n", "-l", "-r", path)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("tcptrace %s: %w\n%s", path, err, stderr.Bytes())
	}
	return parseTcptrace(string(out))
}

// parseTcptrace reads the long report.
func parseTcptrace(text string) ([]Connection, error) {
	var all []Connection
	var hosts []netip.AddrPort
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if rest, ok := strings.CutPrefix(line, "\thost "); ok {
			_, addr, _ := strings.Cut(rest, ":")
			host, err := lastColon(strings.TrimSpace(addr))
			if err != nil {
				return nil, fmt.Errorf("tcptrace: %w in %q", err, line)
			}
			hosts = append(hosts, host)
			if len(hosts)%2 == 0 {
				all = append(all, Connection{Client: hosts[len(hosts)-2], Server: hosts[len(hosts)-1]})
			}
			continue
		}
		m := pair.FindStringSubmatch(line)
		if m == nil || m[1] != m[3] || len(all) == 0 {
			continue
		}
		c := &all[len(all)-1]
		for side, text := range []string{m[2], m[4]} {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("tcptrace: %w in %q", err, line)
			}
			c.tcptrace(m[1], side, v)
		}
	}
	return all, nil
}

// tcptrace puts one number of the report in its place. Round trips are listed
// with the side that sent the data: they are the other side's half. One of 0
// has no samples.
func (c *Connection) tcptrace(key string, side int, v float64) {
	s, half := &c.Sides[side], 1-side
	rtt := Value{V: v * 1000, Known: v > 0, Sure: v > 0}
	switch key {
	case "rexmt data pkts":
		s.Packets = sure(v)
	case "rexmt data bytes":
		s.Bytes = sure(v)
	case "outoforder pkts":
		s.OutOfOrder = sure(v)
	case "missed data":
		s.MissedBytes = sure(v)
	case "zwnd probe pkts":
		if side == 0 {
			c.WindowProbes = sure(v)
		} else {
			c.WindowProbes = c.WindowProbes.plus(sure(v))
		}
	case "RTT min":
		c.RTT[half].Min = rtt
	case "RTT from 3WHS":
		if half == 0 {
			c.Handshake.Client = rtt
		} else {
			c.Handshake.Server = rtt
		}
	}
}

// lastColon splits an address and a port, with no brackets around IPv6.
func lastColon(s string) (netip.AddrPort, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return netip.AddrPort{}, fmt.Errorf("no port in %q", s)
	}
	return addrPort(s[:i], s[i+1:])
}
