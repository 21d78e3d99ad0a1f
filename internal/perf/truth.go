package perf

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"mirrorscope/internal/pcapgen"
	"mirrorscope/internal/pcapgen/workload"
)

// Sum is what the records of `sensor replay --format json` say in sum.
type Sum struct {
	Connections            int64
	ClientSent, ServerSent pcapgen.Volume
	Outcomes               map[string]int64 // "": none is told
	Retransmits            map[string]pcapgen.Retransmits
	TLS                    map[string]int64
	Capture                captureRecord
}

// captureRecord is what is looked at of the last line.
type captureRecord struct {
	Type               string
	Packets            int64
	DecodedPackets     int64 `json:"decoded_packets"`
	MirrorDuplicates   int64 `json:"mirror_duplicates"`
	EvictedConnections int64 `json:"evicted_connections"`
	Connections        int64
}

// inFull is how many records there are for one that is also read by
// encoding/json, which is too slow for all of ten million.
const inFull = 1000

// Records adds up the lines of a run.
func Records(r io.Reader) (Sum, error) {
	s := Sum{Outcomes: map[string]int64{}, Retransmits: map[string]pcapgen.Retransmits{"client": {}, "server": {}}, TLS: map[string]int64{}}
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			if s.Capture.Type == "" {
				return s, errors.New("the records do not end with the capture's")
			}
			return s, nil
		}
		if err != nil {
			return s, fmt.Errorf("record %d: %w", s.Connections+1, err)
		}
		switch {
		case bytes.HasPrefix(line, []byte(`{"type":"connection",`)):
			s.Connections++
			l := scan(line)
			if s.Connections%inFull == 1 {
				whole, err := parse(line)
				if err != nil {
					return s, fmt.Errorf("record %d: %w", s.Connections, err)
				}
				if l != whole {
					return s, fmt.Errorf("record %d says %+v, and was read as %+v", s.Connections, whole, l)
				}
			}
			s.add(&l)
		case bytes.HasPrefix(line, []byte(`{"type":"capture",`)):
			if err := json.Unmarshal(line, &s.Capture); err != nil {
				return s, err
			}
		}
	}
}

// line is what is looked at of a record.
type line struct {
	outcome, tls           string
	clientSent, serverSent pcapgen.Volume
	client, server         pcapgen.Retransmits
}

func (s *Sum) add(l *line) {
	s.Outcomes[l.outcome]++
	if l.tls != "" {
		s.TLS[l.tls]++
	}
	for _, v := range []struct {
		sum *pcapgen.Volume
		add pcapgen.Volume
	}{{&s.ClientSent, l.clientSent}, {&s.ServerSent, l.serverSent}} {
		v.sum.Packets += v.add.Packets
		v.sum.Bytes += v.add.Bytes
		v.sum.PayloadBytes += v.add.PayloadBytes
	}
	for side, add := range map[string]pcapgen.Retransmits{"client": l.client, "server": l.server} {
		if add == (pcapgen.Retransmits{}) {
			continue
		}
		sum := s.Retransmits[side]
		sum.Packets += add.Packets
		sum.LostBefore += add.LostBefore
		sum.LostAfter += add.LostAfter
		sum.Spurious += add.Spurious
		s.Retransmits[side] = sum
	}
}

// scan finds the fields of a record by their names, in the order that they have
// there.
func scan(b []byte) (l line) {
	if _, rest, ok := bytes.Cut(b, []byte(`"outcome":"`)); ok {
		// That of TLS comes later than any of these.
		if at := bytes.Index(b, []byte(`"end_reason"`)); at < 0 || len(b)-len(rest) < at {
			outcome, _, _ := bytes.Cut(rest, []byte(`"`))
			l.outcome = word(outcome)
		}
	}
	volume := func(name string) (v pcapgen.Volume) {
		_, b, _ = bytes.Cut(b, []byte(name))
		v.Packets, v.Bytes, v.PayloadBytes = number(&b, `"packets":`), number(&b, `"bytes":`), number(&b, `"payload_bytes":`)
		return v
	}
	l.clientSent, l.serverSent = volume(`"client_sent":{`), volume(`"server_sent":{`)
	if _, rest, ok := bytes.Cut(b, []byte(`"retransmits":{`)); ok {
		client, server, _ := bytes.Cut(rest, []byte(`"server":{`))
		server, _, _ = bytes.Cut(server, []byte(`"out_of_order"`))
		l.client, l.server = repeats(client), repeats(server)
	}
	if _, rest, ok := bytes.Cut(b, []byte(`"tls":{"version":"`)); ok {
		version, _, _ := bytes.Cut(rest, []byte(`"`))
		l.tls = word(version)
	}
	return l
}

func repeats(b []byte) (r pcapgen.Retransmits) {
	if !bytes.Contains(b, []byte(`"packets":`)) {
		return r // not known
	}
	r.Packets = number(&b, `"packets":`)
	r.Spurious = number(&b, `"spurious_packets":`)
	r.LostBefore, r.LostAfter = number(&b, `"lost_before_packets":`), number(&b, `"lost_after_packets":`)
	return r
}

// number reads the number behind a name and goes on behind it; -1 where there is
// none, which no sum survives.
func number(b *[]byte, name string) int64 {
	_, rest, ok := bytes.Cut(*b, []byte(name))
	if !ok {
		return -1
	}
	n, i := int64(0), 0
	for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
		n = n*10 + int64(rest[i]-'0')
		i++
	}
	*b = rest[i:]
	return n
}

// word keeps a few words that come again and again.
func word(b []byte) string {
	for _, w := range []string{"closed", "established", "timeout", "1.2", "1.3"} {
		if string(b) == w {
			return w
		}
	}
	return string(b)
}

// parse reads a record by encoding/json.
func parse(b []byte) (line, error) {
	type repeated struct {
		Packets    int64
		Spurious   int64 `json:"spurious_packets"`
		LostBefore int64 `json:"lost_before_packets"`
		LostAfter  int64 `json:"lost_after_packets"`
	}
	var r struct {
		Outcome     string
		ClientSent  pcapgen.Volume `json:"client_sent"`
		ServerSent  pcapgen.Volume `json:"server_sent"`
		Retransmits struct{ Client, Server repeated }
		TLS         struct{ Version string }
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return line{}, err
	}
	of := func(r repeated) pcapgen.Retransmits {
		return pcapgen.Retransmits{Packets: r.Packets, Spurious: r.Spurious, LostBefore: r.LostBefore, LostAfter: r.LostAfter}
	}
	return line{r.Outcome, r.TLS.Version, r.ClientSent, r.ServerSent, of(r.Retransmits.Client), of(r.Retransmits.Server)}, nil
}

// Wrong lists what the records say and the truth does not.
func (s *Sum) Wrong(t *workload.Truth) (wrong []string) {
	equal := func(what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s %v, and not %v", what, got, want))
		}
	}
	equal("packets read", s.Capture.Packets, t.Packets)
	equal("packets decoded", s.Capture.DecodedPackets, t.Packets)
	equal("copies", s.Capture.MirrorDuplicates, int64(0))
	equal("connections ended for lack of memory", s.Capture.EvictedConnections, int64(0))
	equal("connections", s.Capture.Connections, t.Flows)
	equal("records", s.Connections, t.Flows)
	equal("sent by clients", s.ClientSent, t.ClientSent)
	equal("sent by servers", s.ServerSent, t.ServerSent)
	// SYNs that are recorded in one direction only: what became of them is not
	// said, since nobody saw the other.
	want := map[string]int64{}
	for outcome, n := range t.Outcomes {
		if outcome == "timeout" {
			outcome = ""
		}
		want[outcome] += n
	}
	equal("outcomes", fmt.Sprint(s.Outcomes), fmt.Sprint(want))
	for _, side := range []string{"client", "server"} {
		r := t.Retransmits[side]
		r.Hidden = 0 // of LostBefore
		equal("repeats of the "+side, s.Retransmits[side], r)
	}
	if t.TLS != nil || len(s.TLS) > 0 {
		equal("TLS", fmt.Sprint(s.TLS), fmt.Sprint(t.TLS))
	}
	return wrong
}

// summary compares what the table says at its end with the truth: the cheap
// look at a run that was timed.
func summary(out string, t *workload.Truth) error {
	for _, want := range []struct {
		line string
		n    int64
	}{{"packets", t.Packets}, {"decoded", t.Packets}, {"connections", t.Flows}} {
		found := false
		for l := range strings.Lines(out) {
			f := strings.Fields(l)
			if len(f) < 2 || f[0] != want.line {
				continue
			}
			n, err := strconv.ParseInt(strings.NewReplacer(",", "").Replace(f[1]), 10, 64)
			if found = err == nil; found && n != want.n {
				return fmt.Errorf("%s %d, and not %d", want.line, n, want.n)
			}
		}
		if !found {
			return fmt.Errorf("the table does not say how many %s", want.line)
		}
	}
	return nil
}
