package daemon_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
	"mirrorscope/internal/needs"
)

// sensor is a sensor that runs beside cap0.
type sensor struct {
	*livelab.Process
	binary string
}

var ready = regexp.MustCompile(`msg=ready`)

func start(t *testing.T, l *livelab.Lab, args ...string) *sensor {
	t.Helper()
	s := &sensor{binary: livelab.Build(t, "mirrorscope/cmd/sensor")}
	var err error
	s.Process, err = l.Sensor.Start(livelab.Command{
		Path: s.binary, Args: append([]string{"run", "-i", livelab.CaptureName, "--stdout", "--memory", "64MiB"}, args...), Ready: ready,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// end has the sensor end, and gives what it wrote.
func (s *sensor) end(t *testing.T) []byte {
	t.Helper()
	exit, err := s.Stop(syscall.SIGTERM, 20*time.Second)
	if err != nil || exit.Code != 0 {
		t.Fatalf("exit %+v, %v\n%s", exit, err, s.Stderr())
	}
	return s.Stdout()
}

// captureLine is the part of a capture object that these tests look at.
type captureLine struct {
	Type        string            `json:"type"`
	At          string            `json:"at"`
	Packets     uint64            `json:"packets"`
	Decoded     uint64            `json:"decoded_packets"`
	Losses      map[string]uint64 `json:"losses"`
	Prefiltered map[string]uint64 `json:"prefiltered"`
	Events      map[string]uint64 `json:"events"`
	Skipped     map[string]uint64 `json:"skipped"`
	Shed        uint64            `json:"payload_shed_packets"`
	Step        int               `json:"overload_step"`
	Sample      int               `json:"sample"`
}

func (c *captureLine) sum() uint64 {
	n := c.Packets
	for _, m := range []map[string]uint64{c.Losses, c.Prefiltered} {
		for _, v := range m {
			n += v
		}
	}
	return n
}

// final leaves out the capture objects that were written meanwhile.
func final(out []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(out) {
		if !bytes.HasPrefix(line, []byte(`{"type":"capture","at":`)) {
			b.Write(line)
		}
	}
	return b.Bytes()
}

// captureOf gives the last capture object.
func captureOf(t *testing.T, out []byte) captureLine {
	t.Helper()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var c captureLine
	if err := json.Unmarshal(lines[len(lines)-1], &c); err != nil || c.Type != "capture" || c.At != "" {
		t.Fatalf("the last line is %.300s (%v)", lines[len(lines)-1], err)
	}
	return c
}

// What is captured live gives the numbers that a recording of it gives, by
// AF_PACKET and AF_XDP, bare and in VXLAN, through one queue and four; and the
// numbers are those of the hosts' kernels.
func TestLiveEqualsReplay(t *testing.T) {
	needs.Root(t)
	for _, mirror := range []string{"span", "vxlan", "vxlan twice"} {
		for _, capture := range []captured{
			{"afpacket", 1, "afpacket", "", false},
			{"afpacket, 4 rings", 4, "afpacket", "[capture.afpacket]\nrings = 4\nblocks = 64\n", true},
			{"afpacket behind XDP", 1, "afpacket", "[capture]\nfilter = \"driver\"\n[[filter.rules]]\naction = \"deny\"\nport = [\"1\"]\n", false},
			{"afpacket behind socket filters, 4 rings", 4, "afpacket", "[capture]\nfilter = \"socket\"\n[[filter.rules]]\naction = \"deny\"\nport = [\"1\"]\n[capture.afpacket]\nrings = 4\nblocks = 64\n", true},
			{"afxdp native", 1, "afxdp", "[capture.afxdp]\nattach = \"native\"\n", false},
			{"afxdp native, 4 queues", 4, "afxdp", "[capture.afxdp]\nattach = \"native\"\n", true},
			{"afxdp generic", 1, "afxdp", "[capture.afxdp]\nattach = \"generic\"\n", false},
			{"afxdp generic, 4 queues", 4, "afxdp", "[capture.afxdp]\nattach = \"generic\"\n", true},
		} {
			t.Run(mirror+"/"+capture.name, func(t *testing.T) {
				t.Parallel()
				// Two cores stamp frames, and those that follow each other by
				// microseconds may come out of turn in the sensor or in the
				// recording. What differs for any other reason does so again.
				const tries = 3
				for try := 1; ; try++ {
					differences := liveAndReplay(t, mirror, capture)
					if len(differences) == 0 {
						return
					}
					if try == tries {
						for _, d := range differences {
							t.Error(d)
						}
						return
					}
					t.Logf("try %d: %q", try, differences)
				}
			})
		}
	}
}

// captured is a way of capturing.
type captured struct {
	name     string
	queues   int
	mode     string
	config   string
	recorded bool // frames come from a recording
}

// liveAndReplay tells in what a live run differs from the replay of its
// recording, but for times. Counts are not forgiven: neither those of frames nor
// those of the kernels.
func liveAndReplay(t *testing.T, mirror string, capture captured) (differences []string) {
	l, err := livelab.Open(livelab.Config{Queues: capture.queues})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	mirrored(t, l, mirror)
	args := []string{"--mode", capture.mode}
	if capture.config != "" {
		args = append(args, "--config", file(t, "sensor.toml", capture.config))
	}
	// With several queues frames come from a recording: their interrupts stamp
	// frames out of turn where these follow each other by microseconds.
	var s *sensor
	var truth []livelab.Connection
	var recording livelab.Recorded
	var pcap string
	if capture.recorded {
		truth, _, pcap = talk(t, l)
		s = start(t, l, args...)
		recording, pcap = again(t, l, pcap)
	} else {
		s = start(t, l, args...)
		truth, recording, pcap = talk(t, l)
	}
	out := s.end(t)

	c := captureOf(t, out)
	if got := c.sum(); got != recording.Frames {
		t.Errorf("%d frames were mirrored, of which %d are accounted for: %+v", recording.Frames, got, c)
	}
	if c.Packets != recording.Frames {
		t.Errorf("%d frames were mirrored, and %d captured: %+v", recording.Frames, c.Packets, c)
	}
	compareTruth(t, out, truth)
	for _, d := range livelab.Compare(final(out), s.replay(t, pcap), 20*time.Millisecond) {
		if !stamped(d) {
			differences = append(differences, d)
		}
	}
	return differences
}

// stamped tells of a difference that it follows from stamps of another place,
// some microseconds later. The two taps lie 5 us apart: which of them is nearer
// to a host is not certain; and a round trip at the edge of what counts as a
// sample is one or not.
func stamped(difference string) bool {
	if strings.HasPrefix(difference, "path of") {
		return !strings.Contains(difference, "only in")
	}
	m := edgeOfRTT.FindStringSubmatch(difference)
	if m == nil {
		return false
	}
	a, _ := strconv.Atoi(m[1])
	b, _ := strconv.Atoi(m[2])
	return a-b <= 2 && b-a <= 2
}

var edgeOfRTT = regexp.MustCompile(`: rtt\.(?:client|server)\.(?:samples|maybe_delayed): live (\d+), replay (\d+)$`)

func mirrored(t *testing.T, l *livelab.Lab, how string) {
	t.Helper()
	var err error
	switch how {
	case "span":
		_, err = l.SPAN(livelab.A)
	case "vxlan":
		_, err = l.VXLAN(livelab.A, 7007)
	case "vxlan twice":
		if _, err = l.VXLAN(livelab.A, 7007); err == nil {
			_, err = l.VXLAN(livelab.B, 8008)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// talk has the hosts exchange requests, in the clear and under TLS, with some
// packets lost; and gives the truth and a recording with its account.
func talk(t *testing.T, l *livelab.Lab) ([]livelab.Connection, livelab.Recorded, string) {
	t.Helper()
	pcap := filepath.Join(t.TempDir(), "mirror.pcap")
	recording, err := l.Record(pcap)
	if err != nil {
		t.Fatal(err)
	}
	var truth []livelab.Connection
	for _, x := range []livelab.Exchange{
		{Connections: 5, Parallel: 2, Turns: 4, Think: 3 * time.Millisecond},
		{Connections: 2, Turns: 3, TLS: tls.VersionTLS13, Port: 8443, Think: 2 * time.Millisecond},
		{Connections: 1, TLS: tls.VersionTLS12, Port: 9443},
		{Connections: 1, Response: 300_000, Port: 7070},
	} {
		var loss *livelab.Loss
		if x.Port == 7070 {
			if loss, err = l.Drop(livelab.Drop{From: livelab.B, Place: livelab.AtReceiver, Every: 50}); err != nil {
				t.Fatal(err)
			}
		}
		more, err := l.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		truth = append(truth, more...)
		if loss != nil {
			if _, lost, err := loss.Counts(); err != nil || lost < 3 {
				t.Fatalf("%d packets were lost, %v", lost, err)
			}
		}
	}
	r, err := recording.Stop()
	if err != nil || r.Lost > 0 || r.Dropped > 0 {
		t.Fatalf("the recording: %+v, %v", r, err)
	}
	return truth, r, pcap
}

// again sends a recording into cap0, not too fast, and records that.
func again(t *testing.T, l *livelab.Lab, pcap string) (livelab.Recorded, string) {
	t.Helper()
	frames, err := livelab.Frames(pcap)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "again.pcap")
	recording, err := l.Record(path)
	if err != nil {
		t.Fatal(err)
	}
	if sent, err := l.Replay(frames, livelab.Pace{Gap: 200 * time.Microsecond}); err != nil || sent.Dropped > 0 || int(sent.Frames) != len(frames) {
		t.Fatalf("%+v of %d frames, %v", sent, len(frames), err)
	}
	r, err := recording.Stop()
	if err != nil || r.Lost > 0 || r.Dropped > 0 {
		t.Fatalf("the recording: %+v, %v", r, err)
	}
	return r, path
}

// replay gives what the sensor says of a recording.
func (s *sensor) replay(t *testing.T, pcap string) []byte {
	t.Helper()
	replay := exec.Command(s.binary, "replay", "--format", "json", "--interval", "10s", pcap)
	var stderr bytes.Buffer
	replay.Stderr = &stderr
	out, err := replay.Output()
	if err != nil {
		t.Fatalf("replay: %v\n%s", err, stderr.Bytes())
	}
	return out
}

// connectionLine is the part of a connection record that is compared with the
// kernels.
type connectionLine struct {
	Type   string `json:"type"`
	Client struct {
		IP   netip.Addr `json:"ip"`
		Port uint16     `json:"port"`
	} `json:"client"`
	Server struct {
		IP   netip.Addr `json:"ip"`
		Port uint16     `json:"port"`
	} `json:"server"`
	Outcome     string `json:"outcome"`
	ClientSent  sent   `json:"client_sent"`
	ServerSent  sent   `json:"server_sent"`
	Retransmits struct {
		Client repeats `json:"client"`
		Server repeats `json:"server"`
	} `json:"retransmits"`
	Point struct {
		Name string `json:"name"`
	} `json:"observation_point"`
	TLS *struct {
		Outcome string `json:"outcome"`
	} `json:"tls"`
}

type sent struct {
	Packets uint64 `json:"packets"`
	Payload uint64 `json:"payload_bytes"`
}

type repeats struct {
	State   string `json:"state"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// compareTruth compares the first point's records with TCP_INFO of both ends.
// The mirror at host A sees all that A sends, and of B what passes the switch:
// losses are behind it.
func compareTruth(t *testing.T, out []byte, truth []livelab.Connection) {
	t.Helper()
	found := map[string]connectionLine{}
	for line := range bytes.Lines(out) {
		var r connectionLine
		if json.Unmarshal(line, &r) == nil && r.Type == "connection" && !strings.Contains(r.Point.Name, "8008") {
			found[fmt.Sprintf("%s:%d %s:%d", r.Client.IP, r.Client.Port, r.Server.IP, r.Server.Port)] = r
		}
	}
	for _, c := range truth {
		r, ok := found[c.Client.String()+" "+c.Server.String()]
		if !ok {
			t.Errorf("%v → %v is in no record", c.Client, c.Server)
			continue
		}
		a, b := c.Closed[livelab.A], c.Closed[livelab.B]
		for _, n := range []struct {
			what      string
			got, want uint64
		}{
			{"packets of the client", r.ClientSent.Packets, c.Packets(livelab.A)},
			{"packets of the server", r.ServerSent.Packets, c.Packets(livelab.B)},
			{"repeats of the client", r.Retransmits.Client.Packets, uint64(a.Total_retrans)},
			{"repeats of the server", r.Retransmits.Server.Packets, uint64(b.Total_retrans)},
			{"octets repeated by the server", r.Retransmits.Server.Bytes, b.Bytes_retrans},
			{"payload of the client", r.ClientSent.Payload, a.Bytes_sent},
			{"payload of the server", r.ServerSent.Payload, b.Bytes_sent},
		} {
			if n.got != n.want {
				t.Errorf("%v → %v: %s %d, the kernel says %d", c.Client, c.Server, n.what, n.got, n.want)
			}
		}
		if r.Outcome != "closed" || c.Server.Port() >= 8443 && (r.TLS == nil || r.TLS.Outcome != "completed") {
			t.Errorf("%v → %v: outcome %q, TLS %+v", c.Client, c.Server, r.Outcome, r.TLS)
		}
	}
}
