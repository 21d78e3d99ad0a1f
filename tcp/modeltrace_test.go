package tcp

import (
	"fmt"
	"os"
	"testing"
)

// TestModelTrace prints what the tap recorded of one plan, and what the engine
// made of each repeat: TCP_MODEL_TRACE=kind:seed (kind as a number).
func TestModelTrace(t *testing.T) {
	var k kind
	var seed uint64
	spec := os.Getenv("TCP_MODEL_TRACE")
	if spec == "" {
		t.Skip("TCP_MODEL_TRACE is not set")
	}
	if _, err := fmt.Sscanf(spec, "%d:%d", &k, &seed); err != nil || k >= numKinds {
		t.Fatalf("TCP_MODEL_TRACE=%q: %v", spec, err)
	}
	r := draw(k, seed).run()
	m := measure(r.records, 0)
	ts := r.judge(m)
	t.Logf("%v, client %+v, server %+v, turns %d, both %v", k, r.plan.hosts[0], r.plan.hosts[1], r.turns, r.both)
	for i := range r.links {
		l := &r.links[i]
		t.Logf("link %d: delay %d jitter %d service %d loss %v reorder %v by %d", i, l.delay, l.jitter, l.service, l.loss, l.reorder, l.reorderBy)
	}
	for i := range r.records {
		w := r.records[i].w
		p := &r.records[i].Packet
		line := fmt.Sprintf("%14d %s %#05x [%d,%d) ack %d win %d id %d ts %d %d", p.Time-epoch, [2]string{"c>", " <s"}[w.from], w.flags, w.lo, w.hi, w.ack, w.window, w.id,
			w.tsval-r.hosts[w.from].tsBase, w.tsecr-r.hosts[1-w.from].tsBase)
		for _, b := range w.sack[:w.nsack] {
			line += fmt.Sprintf(" S[%d,%d)", b.lo, b.hi)
		}
		if w.copied {
			line += " COPY"
		}
		if x := w.tx; x != nil {
			line += fmt.Sprintf(" sent %d arrived %d", x.at, x.arrived)
			if x.isRepeat() {
				needless, hidden := r.before(x)
				line += fmt.Sprintf(" REPEAT %v needless %v hidden %v", x.cause, needless, hidden)
			}
			if c, ok := m.class[x]; ok {
				line += fmt.Sprintf(" -> %v", c)
			}
		}
		t.Log(line)
	}
	for d := range ts {
		x := &ts[d]
		t.Logf("direction %d: packets %d bytes %d spurious %d before %d after %d tails %d missed %d half %d", d, x.packets, x.bytes, x.spurious, x.before, x.after, x.tails, x.missed, x.half)
		t.Logf("  engine: %+v", m.report.Sides[d])
	}
	t.Logf("response %+v", m.report.Response)
}
