// Package netlab runs real kernel TCP through a network whose faults are
// planned, and records what each observation point would have seen together
// with the truth about it.
//
//	client's namespace                                        server's namespace
//	┌──────────┐   tap            tap               tap   ┌──────────┐
//	│ TCP  TAP ├──"client"──hop──"middle"────hop──"server"┤ TAP  TCP │
//	└──────────┘                                          └──────────┘
//
// Two hosts are two network namespaces, each with a TAP device. One loop in
// user space carries the frames between them, over two hops that drop, delay,
// reorder and duplicate by plan. It sees every frame once when a host sends it
// and once at every place it passes, so each of the three taps is a capture
// with time stamps of one clock, and what befell every packet is known rather
// than guessed: the log is the expected result. The kernels add their own
// account (TCP_INFO and the TcpExt counters).
//
// Nothing outside the process is touched: the namespaces have no name and end
// with the threads that hold them. It needs Linux, root and /dev/net/tun.
//
// The package shares no code with the decoder and the measurement, so that
// these can be tested against it.
package netlab

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
)

// Direction names packets by who sent them.
type Direction uint8

const (
	FromClient Direction = iota
	FromServer
)

func (d Direction) String() string {
	if d == FromClient {
		return "client"
	}
	return "server"
}

// MarshalText writes the sender's name.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Tap is a place where packets are recorded, in order from the client.
type Tap uint8

const (
	ClientTap Tap = iota // at the client's device
	MiddleTap            // between the two hops
	ServerTap            // at the server's device
	numTaps
)

func (t Tap) String() string { return [...]string{"client", "middle", "server"}[t] }

// Scenario is one run: two hosts, the network between them and what they do.
type Scenario struct {
	Name  string // as a file name
	Shows string // one sentence

	IPv6   bool
	Sysctl map[string]string    // net.ipv4.… of both hosts, without the prefix
	Only   [2]map[string]string // by Direction: of one host, over Sysctl
	Socket Socket               // options of all sockets
	Plan   Plan
	Load   Load
	Port   uint16        // of the server; 0: 8080
	Speaks Speaks        // what goes over TCP
	Limit  time.Duration // a run that takes longer failed; 0: 20 s

	// Rare scenarios are left to make lab: a test has others like them.
	Rare bool

	// Variants are captures made from the recorded ones, as worse taps
	// would have recorded them.
	Variants []Variant

	Want Want

	// Unsupported says why this kernel cannot run the scenario, or is empty.
	Unsupported func() string
	Programs    []string // that it runs
}

// Speaks says which messages lie in the streams of a scenario.
type Speaks struct {
	TLS  bool
	HTTP int // 1 or 2, the version; 0: none
}

// NoSACK tells whether connections go without selective acknowledgements.
func (s *Scenario) NoSACK() bool { return s.Sysctl["tcp_sack"] == "0" }

// Want is what must be true of a run for the scenario to show what it says.
type Want struct {
	Outcomes []string // of the connections in order, as records name them; the last for all further
	Turns    int      // requests and responses of each connection; 0: the load has none
	Repeats  [2]Range // retransmitted packets, by Direction
	Kernel   []Counter
	TLS      []TLSWant // of the connections in order; the last for all further; nil: no TLS
}

// TLSWant is what must be true of the TLS of a connection. Zero values are the
// ordinary: TLS 1.3, completed, nothing resumed, no early data, no alert.
type TLSWant struct {
	Outcome           string // as records name it; empty: completed
	Version           string // empty: 1.3; none: there is no ServerHello; any: that is not certain
	Resumed           bool
	HelloRetry        bool
	EarlyData         string // empty: none
	ClientCertificate bool
	Alert             string           // in the clear: who and what; empty: none
	Sealed            string           // the same, encrypted
	Takes             [2]time.Duration // what the ends take at least, by Direction
}

// TLSOf gives what is wanted of the TLS of the n-th connection.
func (w *Want) TLSOf(n int) (TLSWant, bool) {
	if len(w.TLS) == 0 {
		return TLSWant{}, false
	}
	t := w.TLS[min(n, len(w.TLS)-1)]
	if t.Outcome == "" {
		t.Outcome = "completed"
	}
	if t.Version == "" {
		t.Version = "1.3"
		if t.Outcome == "not_tls" {
			t.Version = "none"
		}
	}
	if t.EarlyData == "" {
		t.EarlyData = "none"
	}
	return t, true
}

// unmet says in what the TLS of a connection is not what it was to be.
func (w TLSWant) unmet(t *TLSTruth) (unmet []string) {
	if t == nil {
		if w.Outcome == "not_tls" {
			return nil
		}
		return []string{"no ClientHello was sent"}
	}
	differ := func(what string, got, want any) {
		if got != want {
			unmet = append(unmet, fmt.Sprintf("%s is %v, not %v", what, got, want))
		}
	}
	done := w.Outcome == "completed" || w.Outcome == "failed_after_finished"
	differ("the handshake done", t.Done, done)
	if w.Version != "any" {
		differ("the version", cmp.Or(t.Version, "none"), w.Version)
	}
	differ("resumed", t.Resumed, w.Resumed)
	differ("HelloRetryRequest", t.HelloRetry, w.HelloRetry)
	differ("early data", t.EarlyData, w.EarlyData)
	differ("the client's certificate", t.ClientCertificate, w.ClientCertificate)
	differ("the alert", t.Alert.String(), w.Alert)
	differ("the encrypted alert", t.Sealed.String(), w.Sealed)
	for d, least := range w.Takes {
		if got := t.Shares[d].Host; done && got < float64(least)/1000 {
			unmet = append(unmet, fmt.Sprintf("the %s took %v µs, less than %v", Direction(d), got, least))
		}
	}
	return unmet
}

// Range is an inclusive range of counts. The zero value is exactly none.
type Range struct{ Min, Max int }

// Has tells whether n lies in the range.
func (r Range) Has(n int) bool { return r.Min <= n && n <= r.Max }

// exactly n.
func exactly(n int) Range { return Range{n, n} }

// between min and max, both included.
func between(low, high int) Range { return Range{low, high} }

// Counter is a TcpExt counter of one host and how far it must have moved.
type Counter struct {
	Host Direction
	Name string
	Range
}

// Result is what a run gave.
type Result struct {
	// Taps are the paths of the captures, nanosecond pcap files: "client",
	// "middle", "server", and for each variant of a tap "client-doubled" and
	// so on. All are Ethernet.
	Taps  map[string]string
	Truth Truth
	Log   []Event // what the network did to single packets, in order of time
	Sent  []*Sent // every TCP packet, in the order in which it was sent

	said []*flowTruth // the connections with what was said in them
}

// attempts is how often Run tries a scenario that does not show what it should.
const attempts = 8

// Run runs s in a temporary folder. The test is skipped without the privileges
// it takes (and fails in continuous integration, see needs), and when this
// kernel cannot run the scenario.
//
// A machine under load can add timeouts of its own to a run. One that does not
// show what it should is done again, and the test fails when that does not help.
func Run(t testing.TB, s Scenario) Result {
	t.Helper()
	Needs(t)
	if s.Unsupported != nil {
		if why := s.Unsupported(); why != "" {
			t.Skip(why)
		}
	}
	for _, name := range s.Programs {
		needs.Tool(t, name)
	}
	var unmet []string
	for range attempts {
		r, err := Record(t.TempDir(), s)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		if unmet = s.Unmet(&r); len(unmet) == 0 {
			return r
		}
	}
	t.Fatalf("%s: the run does not show what it should: %q", s.Name, unmet)
	panic("unreachable")
}

// lossInHost are counters of packets that a host threw away outside the network:
// where one moves, a packet that was delivered may not have arrived.
var lossInHost = []string{
	"TCPBacklogDrop", "TCPRcvQDrop", "TCPOFODrop", "TCPZeroWindowDrop", "PruneCalled", "RcvPruned", "OfoPruned",
	"PFMemallocDrop", "TCPMinTTLDrop", "TCPReqQFullDrop", "ListenDrops", "ListenOverflows", "TCPSpuriousRtxHostQueues",
	"TCPRetransFail", "InCsumErrors", "InDiscards", "OutDiscards", deviceDrops,
}

// Unmet says in what r is not what the scenario is to show.
func (s *Scenario) Unmet(r *Result) []string {
	var unmet []string
	for side, want := range s.Want.Repeats {
		n := 0
		for _, p := range r.Sent {
			if int(p.From) == side && p.Repeated() {
				n++
			}
		}
		if !want.Has(n) {
			unmet = append(unmet, fmt.Sprintf("the %s repeated %d packets, not %d to %d", Direction(side), n, want.Min, want.Max))
		}
	}
	for side, counters := range r.Truth.Counters {
		for _, name := range lossInHost {
			if n := counters[name]; n != 0 {
				unmet = append(unmet, fmt.Sprintf("%s of the %s is %d: it lost what the network had delivered", name, Direction(side), n))
			}
		}
	}
	for _, c := range r.Truth.Captures {
		if c.Name != ClientTap.String() {
			continue
		}
		for i, conn := range c.Connections {
			if w, ok := s.Want.TLSOf(i); ok {
				for _, u := range w.unmet(conn.TLS) {
					unmet = append(unmet, fmt.Sprintf("connection %d: %s", i+1, u))
				}
			}
			if s.Speaks.HTTP > 0 && len(conn.Response) != s.Want.Turns {
				unmet = append(unmet, fmt.Sprintf("connection %d: %d exchanges, not %d", i+1, len(conn.Response), s.Want.Turns))
			}
		}
	}
	for _, w := range s.Want.Kernel {
		if n := int(r.Truth.Counters[w.Host][w.Name]); !w.Has(n) {
			unmet = append(unmet, fmt.Sprintf("%s of the %s is %d, not %d to %d", w.Name, w.Host, n, w.Min, w.Max))
		}
	}
	return unmet
}

// Needs lets the test go on only where scenarios can run.
func Needs(t testing.TB) {
	t.Helper()
	needs.Root(t)
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Access(tunDevice, unix.R_OK|unix.W_OK)
	})
	switch {
	case err == nil:
	case os.Getenv(needs.Privileged) == "1":
		t.Fatalf("network namespaces and TAP devices: %v, and %s=1 allows no skip", err, needs.Privileged)
	default:
		t.Skipf("needs network namespaces and TAP devices: %v", err)
	}
}

// ErrUnsupported is wrapped by Record when the kernel cannot run a scenario.
var ErrUnsupported = errors.New("not supported by this kernel")

// Record runs s and writes captures, truth.json and log.json into dir.
func Record(dir string, s Scenario) (Result, error) {
	if s.Unsupported != nil {
		if why := s.Unsupported(); why != "" {
			return Result{}, errors.Join(ErrUnsupported, errors.New(why))
		}
	}
	for _, name := range s.Programs {
		if _, err := exec.LookPath(name); err != nil {
			return Result{}, errors.Join(ErrUnsupported, err)
		}
	}
	net, err := newNetwork(s)
	if err != nil {
		return Result{}, err
	}
	defer net.close()
	ses := &Session{net: net}
	err = ses.run(s)
	net.stop()
	if err == nil {
		err = net.err
	}
	if err != nil {
		return Result{}, err
	}
	r := Result{Taps: map[string]string{}, Log: net.log, Sent: net.sent}
	r.Truth = ses.truth(s)
	flows := flowsOf(net.sent)
	if err := hear(flows, ses, s); err != nil {
		return Result{}, err
	}
	if text := ses.keys.String(); text != "" {
		if err := os.WriteFile(filepath.Join(dir, "keys.log"), []byte(text), 0o600); err != nil {
			return Result{}, err
		}
	}
	r.said = flows
	for tap := range numTaps {
		base := Capture{Tap: tap, Records: net.taps[tap]}
		if err := r.add(dir, base, flows); err != nil {
			return Result{}, err
		}
		for _, v := range s.Variants {
			if v.from != nil && !v.from(tap) {
				continue
			}
			c := v.make(base, net.taps, seed(s.Name, v.Name, tap.String()))
			c.Variant, c.only = v.Name, v.only
			if err := r.add(dir, c, flows); err != nil {
				return Result{}, err
			}
		}
	}
	return r, r.write(dir)
}

// add writes one capture and puts down what is true of it.
func (r *Result) add(dir string, c Capture, flows []*flowTruth) error {
	path := filepath.Join(dir, c.Name()+".pcap")
	if err := c.write(path); err != nil {
		return err
	}
	r.Taps[c.Name()] = path
	r.Truth.Captures = append(r.Truth.Captures, c.truth(flows))
	return nil
}
