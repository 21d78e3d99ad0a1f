package dnsmeta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
)

// tuple is a flow.
type tuple struct {
	a, b         packet.Addr
	portA, portB uint16
	tcp          bool
	network      packet.NetworkID
}

// replay follows all DNS flows of a capture.
type replay struct {
	st    *Store
	flows map[tuple]*follower
	order []*follower
}

// follower is a Conn with what the flow layer does for it.
type follower struct {
	Conn
	first  tuple // as its client sends it
	next   [2]uint32
	known  [2]bool
	early  [2]map[uint32][]byte
	base   [2]uint32
	raw    [2][]byte // what came in order
	parsed [2]int    // octets of raw that were messages
}

// packet finds the flow of a packet, and hands on the messages that it completes
// and what feeds its octets to the flow.
func (r *replay) packet(p *packet.Packet, each func(f *follower, client bool, whole []byte, feed func())) {
	if _, ok := ProtocolOf(p.SrcPort, p.DstPort); !ok || p.Proto != packet.ProtoTCP && p.Proto != packet.ProtoUDP || p.Flags&packet.PortsUnknown != 0 {
		return
	}
	k := tuple{p.Src, p.Dst, p.SrcPort, p.DstPort, p.Proto == packet.ProtoTCP, p.Network}
	back := tuple{k.b, k.a, k.portB, k.portA, k.tcp, k.network}
	f, client := r.flows[k], true
	if f == nil {
		if f = r.flows[back]; f != nil {
			client = false
		} else {
			f = &follower{first: k}
			from, to := k.a, k.b
			if _, ok := ProtocolOf(k.portA, 0); ok && k.portB != k.portA {
				f.first, from, to, client = back, to, from, false
			}
			proto, _ := ProtocolOf(k.portA, k.portB)
			f.Init(r.st, proto, from, to)
			r.flows[f.first] = f
			r.order = append(r.order, f)
		}
	}
	cut := p.Flags&packet.Truncated != 0
	if !k.tcp {
		each(f, client, p.Payload, func() { f.Datagram(client, p.Payload, cut, p.Time) })
		return
	}
	f.segment(p, client, each)
}

// segment puts a direction in order.
func (f *follower) segment(p *packet.Packet, client bool, each func(*follower, bool, []byte, func())) {
	d := 0
	if client {
		d = 1
	}
	seq := p.TCP.Seq
	if p.TCP.Flags&packet.SYN != 0 {
		f.next[d], f.base[d], f.known[d] = seq+1, seq+1, true
		f.raw[d], f.parsed[d] = nil, 0
		return
	}
	if len(p.Payload) == 0 {
		return
	}
	if !f.known[d] {
		f.next[d], f.base[d], f.known[d] = seq, seq, true
	}
	if f.early[d] == nil {
		f.early[d] = map[uint32][]byte{}
	}
	f.early[d][seq] = bytes.Clone(p.Payload)
	for b, ok := f.early[d][f.next[d]]; ok; b, ok = f.early[d][f.next[d]] {
		delete(f.early[d], f.next[d])
		pos := int64(f.next[d] - f.base[d])
		f.next[d] += uint32(len(b))
		f.raw[d] = append(f.raw[d], b...)
		var complete []byte
		if rest := f.raw[d][f.parsed[d]:]; len(rest) >= 2 {
			n := 0
			for n+2 <= len(rest) && n+2+int(be.Uint16(rest[n:])) <= len(rest) {
				n += 2 + int(be.Uint16(rest[n:]))
			}
			complete = rest[:n]
			f.parsed[d] += n
		}
		each(f, client, complete, func() { f.Feed(client, pos, b, p.Time) })
	}
}

// replayFile gives each frame with DNS in it to each.
func replayFile(t testing.TB, path string, each func(frame int, f *follower, client bool, whole []byte, feed func())) *replay {
	t.Helper()
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dec := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
	r := &replay{st: newStore(), flows: map[tuple]*follower{}}
	var frame capture.Frame
	var p packet.Packet
	for n := 1; ; n++ {
		if err := src.Next(&frame); errors.Is(err, io.EOF) {
			return r
		} else if err != nil {
			t.Fatal(err)
		}
		if dec.Decode(frame.Data, uint16(frame.Link), frame.Interface, frame.WireLen, frame.Time, &p) == packet.OK {
			r.packet(&p, func(f *follower, client bool, whole []byte, feed func()) { each(n, f, client, whole, feed) })
		}
	}
}

// captures lists those with DNS in their ground truth, by path.
func captures(t testing.TB) map[string][]truthMessage {
	t.Helper()
	dir := needs.Captures(t)
	found := map[string][]truthMessage{}
	err := filepath.WalkDir(filepath.Join(dir, "truth"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".json") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var truth struct{ DNS []truthMessage }
		// A file without this key, or with another form, is not of a capture.
		if json.Unmarshal(b, &truth) == nil && len(truth.DNS) > 0 {
			rel, _ := filepath.Rel(filepath.Join(dir, "truth"), strings.TrimSuffix(path, ".json"))
			found[filepath.Join(dir, "dev", rel)] = truth.DNS
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// truthMessage is what tshark says of the DNS messages in one frame.
type truthMessage struct {
	Frame    int
	ID       []int
	Response []bool
	Name     []string
	QType    []int
	RCode    []int
	Answers  []int
	Time     *float64
}

// recorded gives up to n messages of the captures, and none where there are no
// captures.
func recorded(t testing.TB, n int) (all [][]byte) {
	if _, err := os.Stat(filepath.Join(needs.Repository(t), "..", "shared", "pcaps", "truth")); err != nil {
		return nil
	}
	for _, path := range sortedKeys(captures(t)) {
		replayFile(t, path, func(_ int, f *follower, _ bool, whole []byte, _ func()) {
			if !f.first.tcp && len(all) < n {
				all = append(all, bytes.Clone(whole))
			}
		})
	}
	return all
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// found is what we read in one frame.
type found struct {
	fields  [6][]string
	refused bool // a message that is none, or not to its end
	update  bool // opcode 5
	times   []float64
	told    []string         // addresses learned
	before  map[string]int64 // sums of the flow
	repeats bool             // of the flow's names
	after   map[string]int64
}

// read reads the messages that a frame completes.
func (o *found) read(whole []byte, tcp bool) {
	m := message{records: make([]record, 0, maxRecords)}
	for len(whole) > 0 {
		b := whole
		if tcp {
			n := int(be.Uint16(whole))
			b, whole = whole[2:2+n], whole[2+n:]
		} else {
			whole = nil
		}
		r := m.start(b)
		if len(b) < headerLen {
			o.refused = true
			continue
		}
		add := func(k int, v any) { o.fields[k] = append(o.fields[k], fmt.Sprint(v)) }
		add(0, m.id)
		add(1, m.response())
		for n := int(m.counts[0]); n > 0 && r == reading(0); n-- {
			add(2, readable(string(m.text)))
			add(3, m.typ)
			if n > 1 {
				r = m.question()
			}
		}
		if m.response() {
			add(4, m.flags&15)
		}
		add(5, m.counts[1])
		o.refused = o.refused || r != reading(0)
		o.update = o.update || m.opcode() == 5
	}
}

var (
	ourEscape   = regexp.MustCompile(`\\[0-9]{3}`)
	theirEscape = regexp.MustCompile(`\\[0-7]{3}|\\[abfnrtv]|\x{fffd}|[\x00-\x1f]`)
)

// readable has "?" for what does not print: tshark writes some of it in octal,
// and some of it not at all.
func readable(name string) string {
	return strings.NewReplacer(`\\`, `\`, `\.`, `.`).Replace(ourEscape.ReplaceAllString(name, "?"))
}

// theirs is the same of the ground truth.
func theirs(m *truthMessage) (out [6][]string) {
	for _, v := range m.ID {
		out[0] = append(out[0], strconv.Itoa(v))
	}
	for _, v := range m.Response {
		out[1] = append(out[1], strconv.FormatBool(v))
	}
	for _, v := range m.Name {
		if v == "<Root>" {
			v = "."
		}
		out[2] = append(out[2], strings.ToLower(theirEscape.ReplaceAllString(v, "?")))
	}
	for _, v := range m.QType {
		out[3] = append(out[3], strconv.Itoa(v))
	}
	for _, v := range m.RCode {
		out[4] = append(out[4], strconv.Itoa(v))
	}
	for _, v := range m.Answers {
		out[5] = append(out[5], strconv.Itoa(v))
	}
	return out
}

var fieldNames = [...]string{"id", "response", "name", "type", "rcode", "answers", "time"}

// explain says why a field differs from tshark's, or gives an empty string.
func explain(field string, o *found) string {
	switch {
	case o == nil:
		return "a packet of other ports, or quoted in an ICMP error: part of no DNS flow"
	case field == "time" && o.after["unsolicited"] > o.before["unsolicited"]:
		return "another question than that of the query: tshark looks at the id alone"
	case field == "time" && o.repeats:
		return "the query was repeated: which of them is answered is not known"
	case field == "time" && o.after["malformed"] > o.before["malformed"]:
		return "malformed: tshark stops there, we go on without the records"
	case (field == "name" || field == "type") && o.refused:
		return "malformed: tshark goes on with numbers of records that do not fit or labels that do not exist"
	case o.refused && len(o.fields[0]) == 0:
		return "shorter than a header"
	case field == "answers" && o.update:
		return "an update's sections have other names in tshark"
	}
	return ""
}

// readFrames replays a capture, and gives what each frame with DNS held.
func readFrames(t *testing.T, path string) map[int]*found {
	got := map[int]*found{}
	r := replayFile(t, path, func(n int, f *follower, client bool, b []byte, feed func()) {
		o := got[n]
		if o == nil {
			o = &found{before: sums(f.Info())}
			got[n] = o
		}
		o.read(b, f.first.tcp)
		i := f.Info()
		before, count := i.Time.Sum(), i.Time.Count()
		feed()
		for _, a := range f.Answers() {
			o.told = append(o.told, fmt.Sprint(a.Addr.IP()))
		}
		if more := i.Time.Count() - count; more > 0 {
			o.times = append(o.times, float64(i.Time.Sum()-before)/float64(more)/1e9)
		}
		o.after, o.repeats = sums(i), i.Repeats > 0
	})
	for _, f := range r.order {
		f.End(1 << 62)
		sound(t, f.Info())
	}
	return got
}

// TestCaptures compares every field of every DNS message with tshark's.
func TestCaptures(t *testing.T) {
	files := captures(t)
	why := map[string]int{}
	var equal, all, sane, saneEqual int
	for _, path := range sortedKeys(files) {
		dir := filepath.Base(filepath.Dir(path))
		rel := dir + "/" + filepath.Base(path)
		got := readFrames(t, path)
		compare := func(frame int, field string, same bool, a, b any) {
			all++
			if dir != "malformed" {
				sane++
			}
			if same {
				equal++
				if dir != "malformed" {
					saneEqual++
				}
				return
			}
			reason := explain(field, got[frame])
			why[reason]++
			if reason == "" {
				t.Errorf("%s frame %d: %s is %v, tshark says %v", rel, frame, field, a, b)
			}
		}
		for _, m := range files[path] {
			var o found
			if got[m.Frame] != nil {
				o = *got[m.Frame]
			}
			a, b := o.fields, theirs(&m)
			for k := range a {
				for i := range max(len(a[k]), len(b[k])) {
					compare(m.Frame, fieldNames[k], i < len(a[k]) && i < len(b[k]) && a[k][i] == b[k][i], a[k], b[k])
				}
			}
			switch {
			case m.Time != nil:
				compare(m.Frame, "time", len(o.times) > 0 && math.Abs(*m.Time-o.times[0]) < 2e-6, o.times, *m.Time)
			case len(o.times) > 0:
				compare(m.Frame, "time", false, o.times, "absent")
			}
		}
	}
	t.Logf("%d of %d fields equal (%.2f %%) in %d captures; without the fuzzed one %d of %d (%.2f %%)",
		equal, all, 100*float64(equal)/float64(all), len(files), saneEqual, sane, 100*float64(saneEqual)/float64(sane))
	for _, reason := range sortedKeys(why) {
		t.Logf("%3d times: %s", why[reason], reason)
	}
	if sane == 0 || float64(saneEqual) < 0.99*float64(sane) {
		t.Errorf("less than 99 %% equal")
	}
}

// TestCaptureAnswers compares the addresses learned with those that tshark
// sees in responses that have no records but answers.
func TestCaptureAnswers(t *testing.T) {
	files := captures(t)
	tshark := needs.Tool(t, "tshark")
	n := 0
	for _, path := range sortedKeys(files) {
		if filepath.Base(filepath.Dir(path)) == "malformed" {
			continue
		}
		got := readFrames(t, path)
		out, err := exec.Command(tshark, "-r", path, "-Y", "dns.flags.response==1 && dns.flags.rcode==0 && !mdns && dns.count.auth_rr==0 && dns.count.add_rr==0 && (dns.a || dns.aaaa)",
			"-T", "fields", "-e", "frame.number", "-e", "dns.a", "-e", "dns.aaaa").Output()
		if err != nil {
			t.Fatalf("tshark on %s: %v", path, err)
		}
		for line := range strings.Lines(string(out)) {
			f := strings.Split(strings.TrimRight(line, "\n"), "\t")
			frame, _ := strconv.Atoi(f[0])
			o := got[frame]
			if o == nil || o.after["responses"] == o.before["responses"] {
				continue // of no recorded query: nothing is learned
			}
			var want []string
			for _, a := range strings.Split(strings.Trim(f[1]+","+f[2], ","), ",") {
				want = append(want, netip.MustParseAddr(a).String())
			}
			if slices.Sort(want); !slices.Equal(slices.Sorted(slices.Values(o.told)), want) {
				t.Errorf("%s frame %d: learned %v, tshark has %v", filepath.Base(path), frame, o.told, want)
			}
			n += len(want)
		}
	}
	if t.Logf("%d addresses", n); n < 100 {
		t.Errorf("only %d addresses compared", n)
	}
}
