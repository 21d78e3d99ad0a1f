package workload

import "mirrorscope/internal/pcapgen"

const (
	segmentBytes    = 1448
	transferSnapLen = 128
	burst           = 10  // segments of a round
	lossPerRound    = 100 // one round in so many loses a segment: 0.1 % of segments
	defaultPacket   = 10_000_000
)

// transfer is one long flow: rounds of a burst of segments from the server and
// an ACK for every second one. Of a round that loses a segment, each later
// segment is answered by a duplicate ACK with a SACK block, and the next round
// begins with the repeat.
type transfer struct {
	flow  flow
	left  int // packets until the end
	seq   uint32
	ids   [2]uint16
	tsVal [2]uint32
	queue []move // of the round, next first
	round uint64
	done  bool
}

// move is one packet to come.
type move struct {
	template *template
	seq, ack uint32
	sack     [2]uint32 // both 0: none
	hidden   bool      // lost in front of the tap: it only uses up an IPv4 ID
	verdict  verdict
}

// verdict says what a repeat repeats.
type verdict uint8

const (
	firstTime verdict = iota
	lostBefore
	lostAfter
)

// transfers plays Config.Flows transfers in turn.
func (g *generator) transfers() {
	packets := g.config.Packets
	if packets == 0 {
		packets = defaultPacket
	}
	t := newTransferTemplates(transferSnapLen)
	// A flow has its handshake, at least one round and its end.
	flows := max(1, min(g.config.Flows, packets/40))
	all := make([]transfer, flows)
	for i := range all {
		all[i] = transfer{flow: newFlow(g.config.Seed, uint64(i)), left: packets / flows, seq: 1}
		if i < packets%flows {
			all[i].left++
		}
		all[i].queue = t.open()
	}
	repeats := pcapgen.Retransmits{}
	for open := flows; open > 0 && g.err == nil; {
		for i := range all {
			x := &all[i]
			if x.done {
				continue
			}
			g.move(x, &repeats)
			if len(x.queue) > 0 {
				continue
			}
			if x.left == 0 {
				x.done = true
				open--
				g.truth.Flows++
				g.truth.Outcomes["closed"]++
				continue
			}
			x.next(t, mix(g.config.Seed, x.flow.random^x.round))
		}
	}
	g.truth.Retransmits = map[string]pcapgen.Retransmits{"client": {}, "server": repeats}
}

// move emits the next packet of a transfer.
func (g *generator) move(x *transfer, repeats *pcapgen.Retransmits) {
	m := x.queue[0]
	x.queue = x.queue[1:]
	side := m.template.side
	id := x.ids[side]
	x.ids[side]++
	if m.hidden {
		g.move(x, repeats)
		return
	}
	switch m.verdict {
	case lostBefore:
		repeats.Packets++
		repeats.LostBefore++
	case lostAfter:
		repeats.Packets++
		repeats.LostAfter++
	}
	p := m.template
	p.seq, p.ack, p.id, p.block = m.seq, m.ack, id, m.sack
	x.tsVal[side] = x.flow.clock[side] + uint32((g.now-Start)/1e6)
	ecr := uint32(0)
	if p.hasAck {
		ecr = x.tsVal[1-side]
	}
	p.fill(&x.flow, x.tsVal[side], ecr)
	g.emit(pcapgen.Frame{Data: p.frame, WireLen: p.wireLen}, side, p.ipBytes, p.payload)
	x.left--
}

// transferTemplates are the packets of which transfers consist.
type transferTemplates struct {
	start                                  []template // handshake and request
	data, ack, sack, note                  template   // note: one octet of the client, to fill up
	clientFIN, serverACK, serverFIN, final template
}

const requestBytes = 200

func newTransferTemplates(snap int) *transferTemplates {
	b := newBuilder(nil)
	b.snap = snap
	b.handshake()
	b.add(client, pushAck, filler(requestBytes))
	t := &transferTemplates{start: b.packets}
	add := func(side pcapgen.Side, flags uint16, payload []byte) template {
		b.add(side, flags, payload)
		return b.packets[len(b.packets)-1]
	}
	t.data = add(server, ack, filler(segmentBytes))
	t.ack = add(client, ack, nil)
	t.note = add(client, pushAck, filler(1))
	t.clientFIN, t.serverACK = add(client, pcapgen.FIN|ack, nil), add(server, ack, nil)
	t.serverFIN, t.final = add(server, pcapgen.FIN|ack, nil), add(client, ack, nil)
	tcp := pcapgen.TCP{Flags: ack, Window: 502, Options: pcapgen.TCPOptions{Timestamps: &pcapgen.Timestamps{}, SACK: []pcapgen.SACK{{}}}}
	t.sack = newTemplate([]pcapgen.Layer{ethernet}, client, 0, tcp, nil, snap)
	t.sack.sack = t.sack.tcp + 20 + 12 + 4 // behind the timestamps
	return t
}

// open gives the packets up to the request.
func (t *transferTemplates) open() (q []move) {
	for i := range t.start {
		p := &t.start[i]
		q = append(q, move{template: p, seq: p.seq, ack: p.ack})
	}
	return q
}

const (
	roundPackets = burst + burst/2
	lossyPackets = burst + 1 + burst/2 + burst // at most, with the repeat
	closePackets = 4
	clientSeq    = 1 + requestBytes
)

// next queues a round, or the end of the flow where too few packets are left.
func (x *transfer) next(t *transferTemplates, random uint64) {
	x.round++
	x.queue = x.queue[:0]
	data := func(seq uint32, v verdict) {
		x.queue = append(x.queue, move{template: &t.data, seq: seq, ack: clientSeq, verdict: v})
	}
	acknowledge := func(seq uint32) { x.queue = append(x.queue, move{template: &t.ack, seq: clientSeq, ack: seq}) }
	at := func(i int) uint32 { return x.seq + uint32(i)*segmentBytes }
	switch {
	case x.left >= lossyPackets+closePackets && random%lossPerRound == 0:
		// One of the first seven, so that at least three follow it.
		lost, before := int(random>>8%7), random>>16&1 == 0
		for i := range burst {
			data(at(i), firstTime)
			x.queue[i].hidden = i == lost && before
		}
		for i := range burst {
			switch {
			case i < lost && i%2 == 1:
				acknowledge(at(i + 1))
			case i > lost:
				x.queue = append(x.queue, move{template: &t.sack, seq: clientSeq, ack: at(lost), sack: [2]uint32{at(lost + 1), at(i + 1)}})
			}
		}
		v := lostAfter
		if before {
			v = lostBefore
		}
		data(at(lost), v)
		acknowledge(at(burst))
		x.seq = at(burst)
	case x.left >= roundPackets+closePackets:
		for i := range burst {
			data(at(i), firstTime)
		}
		for i := 2; i <= burst; i += 2 {
			acknowledge(at(i))
		}
		x.seq = at(burst)
	default:
		x.finish(t)
	}
}

// finish queues what fills up the flow's packets, and its end.
func (x *transfer) finish(t *transferTemplates) {
	seq := uint32(clientSeq)
	push := func(p *template, seq, ack uint32) { x.queue = append(x.queue, move{template: p, seq: seq, ack: ack}) }
	for range x.left - closePackets {
		push(&t.note, seq, x.seq)
		seq++
	}
	push(&t.clientFIN, seq, x.seq)
	push(&t.serverACK, x.seq, seq+1)
	push(&t.serverFIN, x.seq, seq+1)
	push(&t.final, seq+1, x.seq+1)
}
