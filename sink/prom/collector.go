package prom

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
)

// collector makes series of a Snapshot.
type collector struct {
	cfg      Config
	families *families
	snapshot func() *Snapshot
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.families.all {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.snapshot()
	if s == nil {
		return
	}
	e := &emitter{c.families, out}
	e.sensor(s)
	if s.Capture != nil {
		e.capture(s.Capture)
		e.clouds(s.Capture)
	}
	if s.Totals != nil {
		e.totals(s)
	}
	e.outputs(s.Outputs)
	if s.Names != nil {
		e.nameSources(s.Names)
	}
	if s.Top != nil && c.cfg.Conversations > 0 {
		e.conversations(s.Top, c.cfg.Conversations)
	}
}

// emitter sends series.
type emitter struct {
	*families
	out chan<- prometheus.Metric
}

func (e *emitter) put(f *family, v float64, labels ...string) {
	for i := range labels {
		labels[i] = label(labels[i])
	}
	e.out <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...)
}

func (e *emitter) count(f *family, n uint64, labels ...string) { e.put(f, float64(n), labels...) }

// value sends what is known.
func (e *emitter) value(f *family, v Value) {
	if v.known {
		e.put(f, v.v)
	}
}

func (e *emitter) duration(f *family, s *Snapshot, h *histogram.Histogram, labels ...string) {
	e.out <- duration{desc: f.desc, labels: prometheus.MakeLabelPairs(f.desc, labels), histogram: h, since: s.Started}
}

const (
	maxLabel  = 128 // octets
	maxValues = 128 // of a label whose values come from elsewhere
	otherName = "other"
)

// label makes a text fit for one.
func label(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxLabel {
		return s
	}
	end := maxLabel
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// places sends counts by place. The same place twice is one, and what comes
// beyond the bound is "other".
func (e *emitter) places(f *family, list []flow.Loss) {
	order, sums := []string{}, map[string]uint64{}
	for _, l := range list {
		name := label(l.Place)
		if _, known := sums[name]; !known {
			if len(order) >= maxValues {
				name = otherName
			}
			if _, known := sums[name]; !known {
				order = append(order, name)
			}
		}
		sums[name] += l.Frames
	}
	for _, name := range order {
		e.count(f, sums[name], name)
	}
}

func (e *emitter) sensor(s *Snapshot) {
	e.put(e.buildInfo, 1, s.Version)
	unique := map[[2]string]bool{}
	for _, i := range bounded(s.Interfaces) {
		if key := [2]string{label(i.Name)}; !unique[key] {
			unique[key] = true
			e.put(e.captureInfo, 1, i.Name, i.Mode, i.Driver, i.Timestamps)
		}
	}
	clear(unique)
	for _, r := range bounded(s.Rings) {
		queue := strconv.Itoa(r.Queue)
		if key := [2]string{label(r.Interface), queue}; !unique[key] {
			unique[key] = true
			e.put(e.ringFill, r.Fill, r.Interface, queue)
			e.count(e.ringPackets, r.Packets, r.Interface, queue)
			e.count(e.ringBytes, r.Bytes, r.Interface, queue)
		}
	}
	e.value(e.degradation, s.Degradation)
	e.value(e.sampled, s.Sampled)
	e.value(e.openConnections, s.Open)
	e.value(e.tableFill, s.TableFill)
	e.value(e.memoryBudget, s.Memory)
	e.value(e.memoryUsed, s.MemoryUsed)
	e.value(e.intervalLag, s.IntervalLag)
	if r := s.Reload; r != nil {
		worked := 0.0
		if r.Worked {
			worked = 1
		}
		e.put(e.reloadWorked, worked)
		e.put(e.reloadTime, float64(r.At.UnixNano())/1e9)
	}
}

func bounded[T any](list []T) []T { return list[:min(len(list), maxValues)] }

// mirrorPlace is where a frame was lost that the mirror numbered and that did
// not come.
const mirrorPlace = "mirror"

func (e *emitter) capture(c *flow.Capture) {
	for _, x := range []struct {
		f *family
		n uint64
	}{
		{e.packets, c.Packets}, {e.octets, c.Bytes}, {e.decoded, c.Decoded}, {e.mirrorDuplicates, c.MirrorDuplicates}, {e.truncated, c.Truncated},
		{e.malformed, c.Malformed}, {e.stray, c.Stray}, {e.forgotten, c.CopiesForgotten}, {e.clockSteps, c.ClockSteps}, {e.payloadShed, c.PayloadShed},
		{e.unread, c.Unread}, {e.connections, c.Connections}, {e.evicted, c.Evicted}, {e.uncompared, c.Uncompared},
	} {
		e.count(x.f, x.n)
	}
	for why := packet.Held + 1; why < packet.NumSkips; why++ {
		e.count(e.skipped, c.Skipped[why], why.String())
	}
	if c.Packets > 0 {
		e.put(e.lastPacket, float64(c.Last)/1e9)
	}
	losses := c.Losses[:len(c.Losses):len(c.Losses)]
	var numbered, lost uint64
	var missed, recorded int64
	for i := range c.Points {
		p := &c.Points[i]
		numbered += p.Sequence.Frames
		lost += p.Sequence.Lost
		missed += p.Missed
		recorded += p.Recorded
	}
	if numbered > 0 {
		losses = append(losses, flow.Loss{Place: mirrorPlace, Frames: lost})
	}
	e.places(e.lostPackets, losses)
	e.places(e.prefiltered, c.Prefiltered)
	e.places(e.rules, c.Rules)
	e.places(e.events, c.Events)
	if missed+recorded > 0 {
		e.put(e.missedBytes, float64(max(missed, 0)))
		e.put(e.recordedBytes, float64(max(recorded, 0)))
	}
	e.put(e.points, float64(len(c.Points)))
}

// clouds tells how sources of names do, and what mirrors left out: of a machine once,
// however many points it sends to.
func (e *emitter) clouds(c *flow.Capture) {
	unique := map[string]bool{}
	for _, i := range bounded(c.Inventory) {
		source := label(i.Source)
		if unique[source] {
			continue
		}
		unique[source] = true
		if i.Taken != 0 {
			e.put(e.inventoryAge, float64(i.Age)/1e9, source)
			e.put(e.inventoryInterfaces, float64(i.Interfaces), source)
			e.put(e.inventoryInstances, float64(i.Instances), source)
		}
		failing := 0.0
		if i.Error != "" {
			failing = 1
		}
		e.put(e.inventoryFailing, failing, source)
		e.put(e.inventoryFailed, float64(i.Failures), source)
	}
	clear(unique)
	for i := range c.Points {
		s := c.Points[i].Skipped
		if s == nil || unique[label(s.Instance)] || len(unique) >= maxValues {
			continue
		}
		unique[label(s.Instance)] = true
		if s.Packets >= 0 {
			e.count(e.skippedPackets, uint64(s.Packets), s.Instance)
		}
		if s.Bytes >= 0 {
			e.count(e.skippedBytes, uint64(s.Bytes), s.Instance)
		}
	}
}

func (e *emitter) totals(s *Snapshot) {
	t := s.Totals
	e.count(e.opened, t.Opened)
	for o, n := range t.Ended {
		name := flow.Outcome(o).String()
		if name == "" {
			name = "none"
		}
		e.count(e.ended, n, name)
	}
	e.duration(e.handshake, s, &t.Handshake)
	e.duration(e.roundTrip, s, &t.RTT[flow.Client], flow.Client.String())
	e.duration(e.roundTrip, s, &t.RTT[flow.Server], flow.Server.String())
	e.duration(e.tlsHandshake, s, &t.TLS)
	e.duration(e.response, s, &t.Response)
}

func (e *emitter) outputs(list []Output) {
	unique := map[string]bool{}
	for _, o := range bounded(list) {
		name := label(o.Name)
		if unique[name] {
			continue
		}
		unique[name] = true
		e.count(e.writtenLines, o.Written.Lines, name)
		e.count(e.writtenBytes, o.Written.Bytes, name)
		reasons := map[string]bool{}
		for _, d := range bounded(o.Dropped) {
			if reason := label(d.Reason); !reasons[reason] {
				reasons[reason] = true
				e.count(e.droppedLines, d.Lines.Lines, name, reason)
				e.count(e.droppedBytes, d.Bytes, name, reason)
			}
		}
		e.put(e.queued, float64(o.Queued), name)
		e.put(e.queue, float64(o.Queue), name)
		failing := 0.0
		if o.Failing {
			failing = 1
		}
		e.put(e.outputFailing, failing, name)
	}
}
