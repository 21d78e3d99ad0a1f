package netlab

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Truth is what is true of a run.
type Truth struct {
	Scenario    string              `json:"scenario"`
	Outcomes    []string            `json:"outcomes"`    // of the connections in order, the last for all further
	Turns       int                 `json:"turns"`       // requests and responses of each connection; 0: the load has none
	Connections []KernelTruth       `json:"connections"` // that were established, in order
	Counters    [2]map[string]int64 `json:"counters"`    // TcpExt, Tcp, Ip and DeviceDrops, the change over the run, by Direction
	Ends        []ProgramTruth      `json:"ends,omitempty"`
	Captures    []CaptureTruth      `json:"captures"`
}

// ProgramTruth is what the programs at both ends of a connection know.
type ProgramTruth struct {
	Client netip.AddrPort `json:"client"`
	Ends   [2]EndTruth    `json:"ends"`
}

// KernelTruth is TCP_INFO of both ends, by Direction.
type KernelTruth struct {
	Before [2]*TCPInfo `json:"before"` // all acknowledged, not closed yet; nil where that did not happen
	After  [2]*TCPInfo `json:"after"`  // closed; nil where it could not be read
}

// truth gathers what the kernels say.
func (s *Session) truth(sc Scenario) Truth {
	t := Truth{Scenario: sc.Name, Outcomes: sc.Want.Outcomes, Turns: sc.Want.Turns}
	for _, c := range s.conns {
		t.Connections = append(t.Connections, KernelTruth{Before: c.Before, After: c.After})
	}
	for _, w := range s.clocks {
		t.Ends = append(t.Ends, ProgramTruth{w.client, [2]EndTruth{w.ends[FromClient].truth(), w.ends[FromServer].truth()}})
	}
	for side := range 2 {
		t.Counters[side] = map[string]int64{}
		for name, v := range s.after[side] {
			if d := v - s.before[side][name]; d != 0 {
				t.Counters[side][name] = d
			}
		}
	}
	return t
}

// CaptureTruth is what is true of one capture.
type CaptureTruth struct {
	Name        string            `json:"name"`
	Variant     string            `json:"variant,omitempty"`
	Packets     int               `json:"packets"`
	Copies      int               `json:"mirror_copies"` // made by the mirror
	Connections []ConnectionTruth `json:"connections"`
}

// ConnectionTruth is what is true of one connection at one tap.
type ConnectionTruth struct {
	VNI       uint32          `json:"vni,omitempty"` // where two taps are in one file
	Client    netip.AddrPort  `json:"client"`
	Server    netip.AddrPort  `json:"server"`
	Sides     [2]SideTruth    `json:"sides"` // by sender
	Handshake HandshakeTruth  `json:"handshake"`
	RTT       [2]RTTTruth     `json:"rtt"`      // of the client's and the server's half
	Response  []ResponseTruth `json:"response"` // by turn
	TLS       *TLSTruth       `json:"tls,omitempty"`
}

// SideTruth is about the packets of one sender at one tap.
type SideTruth struct {
	Packets     int   `json:"packets"`      // recorded, without mirror copies
	DataPackets int   `json:"data_packets"` // of them with payload
	Octets      int64 `json:"octets"`       // of payload that arrived and passed this tap, each once, recorded or not
	Repeats     int   `json:"repeats"`      // retransmitted packets that can be told from new data, SYN and FIN included
	RepeatBytes int64 `json:"repeat_bytes"` // payload
	Unseen      int   `json:"unseen"`       // retransmitted packets that look new here: no packet before tells that these octets were sent
	UnseenTails int   `json:"unseen_tails"` // of Unseen: data and FINs, which an observer may infer
	Spurious    int   `json:"spurious"`     // of Repeats: an earlier transmission arrived
	LostBefore  int   `json:"lost_before"`  // of Repeats: no transmission arrived, none had passed this tap
	LostAfter   int   `json:"lost_after"`   // of Repeats: no transmission arrived, one had passed this tap
	SYN         int   `json:"syn"`          // of Repeats
	FIN         int   `json:"fin"`          // of Repeats
	OutOfOrder  int   `json:"out_of_order"` // originals recorded after later data
	Duplicates  int   `json:"duplicates"`   // copies made by the network, of packets with sequence space
	KeepAlives  int   `json:"keep_alives"`  // probes of an idle connection
	Probes      int   `json:"probes"`       // probes of a window that the other side had closed
	MissedBytes int64 `json:"missed_bytes"` // arrived, passed this tap, and was never recorded
	ZeroWindows int   `json:"zero_windows"` // episodes
	ZeroTime    int64 `json:"zero_time_ns"` // in closed episodes
}

// HandshakeTruth has durations in µs; nil where there is none.
type HandshakeTruth struct {
	Client  *float64  `json:"client_us"`
	Server  *float64  `json:"server_us"`
	Answers []float64 `json:"answers_us"` // from a SYN to the SYN-ACK that it caused, of every pair recorded
	Setup   *float64  `json:"setup_us"`
	SYNs    int       `json:"syns"`
	SYNACKs int       `json:"synacks"`
}

// RTTTruth is about the round trips of one half, from a packet with sequence
// space to an acknowledgement that was sent at once. In µs; nil where there is
// none.
type RTTTruth struct {
	Samples int      `json:"samples"`
	Min     *float64 `json:"min_us"`      // of all, the handshake included
	DataMin *float64 `json:"data_min_us"` // of data and FINs
}

// ResponseTruth is about one turn, in µs. Raw contains the round trip between
// tap and server; Server is what the server took.
type ResponseTruth struct {
	Server float64  `json:"server_us"`        // last octet of the request arrives there to first packet of the response leaves
	Raw    *float64 `json:"raw_us"`           // the same two packets at the tap; nil where one was not recorded
	Repeat bool     `json:"repeat"`           // part of the request was sent more than once
	Queued bool     `json:"queued"`           // the request was complete before the response to an earlier one
	Early  bool     `json:"early"`            // the response began before the request was complete
	Path   string   `json:"path,omitempty"`   // of HTTP
	Status int      `json:"status,omitempty"` //
}

// flowTruth is a connection with all that both ends sent.
type flowTruth struct {
	key  flowKey
	sent [2][]*Sent   // by Direction, in the order in which they were sent
	said *dialogue    // nil: of no protocol that the lab reads
	ends *[2]EndTruth // nil: programs without a clock
}

// flowsOf groups packets by connection, in order of the first.
func flowsOf(sent []*Sent) []*flowTruth {
	var flows []*flowTruth
	for _, s := range sent {
		key := flowKey{s.Client, s.Server}
		i := slices.IndexFunc(flows, func(f *flowTruth) bool { return f.key == key })
		if i < 0 {
			i = len(flows)
			flows = append(flows, &flowTruth{key: key})
		}
		flows[i].sent[s.From] = append(flows[i].sent[s.From], s)
	}
	return flows
}

// truth says what is true of the capture.
func (c *Capture) truth(flows []*flowTruth) CaptureTruth {
	t := CaptureTruth{Name: c.Name(), Variant: c.Variant, Packets: len(c.Records) + len(c.second)}
	add := func(tap Tap, records []PacketAt, vni uint32) {
		var once []PacketAt // without copies by the mirror
		seen := map[*Sent]int{}
		for _, r := range records {
			if c.Variant == "doubled" && r.Copy && seen[r.Sent] >= len(r.Sent.Passed[tap]) {
				t.Copies++
				continue
			}
			seen[r.Sent]++
			once = append(once, r)
		}
		for _, f := range flows {
			v := view{tap: tap, flow: f, only: c.only}
			for _, r := range once {
				if r.Sent.Client == f.key.client && r.Sent.Server == f.key.server {
					v.records = append(v.records, r)
				}
			}
			if len(v.records) == 0 {
				continue
			}
			conn := v.truth()
			conn.VNI = vni
			t.Connections = append(t.Connections, conn)
		}
	}
	if c.second == nil {
		add(c.Tap, c.Records, 0)
	} else {
		add(c.Tap, c.Records, ClientVNI)
		add(ServerTap, c.second, ServerVNI)
	}
	return t
}

// view is one connection as one tap recorded it.
type view struct {
	tap     Tap
	flow    *flowTruth
	records []PacketAt
	only    *Direction
	first   map[*Sent]int64 // when each was recorded first
}

func (v *view) truth() ConnectionTruth {
	v.first = map[*Sent]int64{}
	for _, r := range v.records {
		if _, ok := v.first[r.Sent]; !ok {
			v.first[r.Sent] = r.Time
		}
	}
	t := ConnectionTruth{Client: v.flow.key.client, Server: v.flow.key.server}
	for d := range t.Sides {
		t.Sides[d] = v.side(Direction(d))
	}
	t.Handshake = v.handshake()
	t.RTT[FromClient] = v.rtt(FromServer) // the client's half: from data of the server to the client's ACK
	t.RTT[FromServer] = v.rtt(FromClient)
	t.Response = v.responses()
	if v.flow.said != nil {
		t.TLS, t.Response = v.tls(), v.turns()
	}
	return t
}

// side walks over what one sender's packets were recorded.
func (v *view) side(d Direction) SideTruth {
	var t SideTruth
	var recorded intervals
	var high, next, zeroSince int64 // ends of the data recorded, and of what was sent by any packet's word
	zero := false
	passed := map[*Sent]bool{}
	var data []*Sent
	for _, s := range v.flow.sent[d] {
		if s.Space > 0 {
			data = append(data, s)
		}
	}
	for _, r := range v.records {
		s := r.Sent
		if s.From != d {
			continue
		}
		t.Packets++
		if s.Len > 0 {
			t.DataPackets++
		}
		if s.Kind == Probe && v.closed(s) {
			t.Probes++
		} else if s.Kind == Probe {
			t.KeepAlives++
		}
		if s.Kind != SYN && s.Kind != SYNACK && s.Kind != RST {
			switch {
			case s.Window == 0 && !zero:
				zero, zeroSince = true, r.Time
				t.ZeroWindows++
			case s.Window != 0 && zero:
				zero = false
				t.ZeroTime += r.Time - zeroSince
			}
		}
		if s.Space == 0 {
			// An acknowledgement carries the number of the next new octet: what
			// lies below was sent, recorded or not.
			next = max(next, s.Pos)
			continue
		}
		switch {
		case passed[s]:
			t.Duplicates++
		case s.Repeated() && s.Pos >= next:
			t.Unseen++
			if s.Kind == Data || s.Kind == FIN {
				t.UnseenTails++
			}
		case s.Repeated():
			t.repeat(s, data, v.tap)
		case s.Pos < high:
			t.OutOfOrder++
		}
		passed[s] = true
		recorded.add(s.Pos, s.Pos+s.Space)
		high = max(high, s.Pos+s.Space)
		next = max(next, high)
	}
	var arrived intervals
	for _, s := range data {
		if s.Delivered() && len(s.Passed[v.tap]) > 0 && s.Len > 0 {
			from := max(s.Pos, 1) // without the SYN
			arrived.add(from, from+int64(s.Len))
		}
	}
	t.Octets = arrived.size()
	if v.only == nil || *v.only == d {
		t.MissedBytes = t.Octets
		for _, i := range arrived {
			t.MissedBytes -= recorded.within(i[0], i[1])
		}
	}
	return t
}

// closed tells whether the last packet that the sender of s had got from the
// other side closed the window.
func (v *view) closed(s *Sent) bool {
	var last *Sent
	for _, o := range v.flow.sent[1-s.From] {
		if o.Delivered() && arrival(o) <= s.Time {
			last = o
		}
	}
	return last != nil && last.Window == 0
}

// repeat counts a retransmitted packet and says why it was sent, by the larger
// part of its octets.
func (t *SideTruth) repeat(s *Sent, data []*Sent, tap Tap) {
	t.Repeats++
	t.RepeatBytes += min(s.Repeat, int64(s.Len))
	switch {
	case s.Flags&syn != 0:
		t.SYN++
	case s.Kind == FIN:
		t.FIN++
	}
	var arrived, passed intervals
	for _, o := range data {
		if o.N >= s.N {
			break
		}
		if o.Delivered() {
			arrived.add(o.Pos, o.Pos+o.Space)
		}
		if len(o.Passed[tap]) > 0 {
			passed.add(o.Pos, o.Pos+o.Space)
		}
	}
	spurious := arrived.within(s.Pos, s.Pos+s.Space)
	after := passed.within(s.Pos, s.Pos+s.Space) - spurious // what arrived had passed
	before := s.Space - spurious - after
	switch {
	case spurious >= after && spurious >= before:
		t.Spurious++
	case after >= before:
		t.LostAfter++
	default:
		t.LostBefore++
	}
}

// prompt is how soon an answer follows that was sent at once, by a kernel that
// may have to wait for its core. Timers of acknowledgements take 40 ms or more.
const prompt = 10 * time.Millisecond

// caused is how soon a SYN-ACK follows the SYN that caused it. It is short
// because the timers of both hosts run out a second after the same moment: a
// repeated SYN can arrive just before the SYN-ACK is repeated by itself.
const caused = 200 * time.Microsecond

func microseconds(ns int64) *float64 {
	us := float64(ns) / 1000
	return &us
}

// handshake finds the packets that opened the connection: the SYN that the
// server answered, the SYN-ACK that arrived, the client's first packet after.
func (v *view) handshake() HandshakeTruth {
	var t HandshakeTruth
	for _, r := range v.records {
		switch r.Sent.Kind {
		case SYN:
			t.SYNs++
		case SYNACK:
			t.SYNACKs++
		}
	}
	var synack *Sent // the one accepted
	for _, s := range v.flow.sent[FromServer] {
		if s.Kind == SYNACK && s.Delivered() && (synack == nil || arrival(s) < arrival(synack)) {
			synack = s
		}
	}
	if synack == nil {
		return t
	}
	var opened *Sent
	for _, s := range v.flow.sent[FromClient] {
		if opened == nil && s.Ack >= 1 {
			opened = s
		}
	}
	at, ok := v.first[synack]
	for _, answer := range v.flow.sent[FromServer] {
		from, seen1 := v.first[v.cause(answer)]
		to, seen2 := v.first[answer]
		if answer.Kind != SYNACK || !seen1 || !seen2 {
			continue
		}
		t.Answers = append(t.Answers, float64(to-from)/1000)
		if answer == synack {
			t.Server = microseconds(to - from)
		}
	}
	if to, seen := v.first[opened]; ok && seen {
		t.Client = microseconds(to - at)
	}
	var begin, end int64
	for _, r := range v.records {
		if begin == 0 && r.Sent.Kind == SYN {
			begin = r.Time
		}
		if end == 0 && r.Sent.From == FromClient && r.Sent.Ack >= 1 && r.Time > at {
			end = r.Time
		}
	}
	if ok && begin != 0 && end != 0 {
		t.Setup = microseconds(end - begin)
	}
	return t
}

// cause gives the SYN that the server answered with a SYN-ACK, or nil where it
// sent that by itself.
func (v *view) cause(synack *Sent) *Sent {
	var cause *Sent
	for _, s := range v.flow.sent[FromClient] {
		if s.Kind == SYN && s.Delivered() && arrival(s) <= synack.Time && synack.Time-arrival(s) < int64(caused) {
			cause = s
		}
	}
	return cause
}

// rtt gives the round trips from what sender d sent to its receiver and back,
// over acknowledgements that were sent as soon as it arrived. Which one an
// acknowledgement answers is known here from the times of arrival.
func (v *view) rtt(d Direction) RTTTruth {
	var samples, data []int64
	sent := slices.DeleteFunc(slices.Clone(v.flow.sent[d]), func(s *Sent) bool { return s.Space == 0 || !s.Delivered() })
	highest := int64(-1)
	for _, a := range v.flow.sent[1-d] {
		if a.Ack <= highest {
			continue
		}
		highest = a.Ack
		var last *Sent
		for _, s := range sent {
			if s.Pos+s.Space <= a.Ack && arrival(s) <= a.Time && (last == nil || arrival(s) >= arrival(last)) {
				last = s
			}
		}
		if last == nil || a.Time-arrival(last) > int64(prompt) {
			continue
		}
		from, ok1 := v.first[last]
		to, ok2 := v.first[a]
		if ok1 && ok2 {
			samples = append(samples, to-from)
			if last.Kind == Data || last.Kind == FIN {
				data = append(data, to-from)
			}
		}
	}
	t := RTTTruth{Samples: len(samples)}
	if len(samples) > 0 {
		t.Min = microseconds(slices.Min(samples))
	}
	if len(data) > 0 {
		t.DataMin = microseconds(slices.Min(data))
	}
	return t
}

// arrival is when a delivered packet came to its host first.
func arrival(s *Sent) int64 { return s.Passed[s.receiver()][0] }

// responses gives the turns: new data of the server that acknowledges new data
// of the client.
func (v *view) responses() []ResponseTruth {
	var out []ResponseTruth
	answered := int64(1)
	for _, y := range v.flow.sent[FromServer] {
		if y.Kind != Data || y.Repeated() || y.Ack <= answered {
			continue
		}
		var request *Sent // the packet that completed it
		repeat := false
		for pos := answered; pos < y.Ack; {
			var piece *Sent
			for _, s := range v.flow.sent[FromClient] {
				covers := s.Len > 0 && s.Pos <= pos && pos < s.Pos+s.Space
				repeat = repeat || covers && s.Repeated()
				if covers && s.Delivered() && (piece == nil || arrival(s) < arrival(piece)) {
					piece = s
				}
			}
			if piece == nil {
				break // the FIN
			}
			if request == nil || arrival(piece) > arrival(request) {
				request = piece
			}
			pos = piece.Pos + piece.Space
		}
		answered = y.Ack
		if request == nil {
			continue
		}
		t := ResponseTruth{Server: float64(y.Time-arrival(request)) / 1000, Repeat: repeat}
		from, ok1 := v.first[request]
		to, ok2 := v.first[y]
		if ok1 && ok2 {
			t.Raw = microseconds(to - from)
		}
		out = append(out, t)
	}
	return out
}

// write puts truth.json and log.json beside the captures.
func (r *Result) write(dir string) error {
	for name, v := range map[string]any{"truth.json": r.Truth, "log.json": struct {
		Events  []Event
		Packets []*Sent
	}{r.Log, r.Sent}} {
		b, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Connections gives the client's address of every connection on the wire, in
// order of the first packet. The first are those of Truth.Connections.
func (r *Result) Connections() []netip.AddrPort {
	var out []netip.AddrPort
	for _, f := range flowsOf(r.Sent) {
		out = append(out, f.key.client)
	}
	return out
}
