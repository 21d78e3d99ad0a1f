package live

import (
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
)

// conversation is one key over the steps of the window.
type conversation struct {
	key          edge.Key
	hash, number uint32
	life         uint32 // how many others its memory was before
	known        bool
	octets       int64     // that both sides sent in all steps
	steps        []*bucket // by number of the step, modulo; nil: nothing happened
	names        [2]string // by which DNS knew client and server
	server       string    // … and TLS the server, as the latest handshake named it
}

// bucket is what a conversation did in one step.
type bucket struct {
	step    int64
	samples int // buckets of its distributions

	sent             [2]flow.Volume // by client, by server
	recorded, missed [2]int64
	repeats          [2]edge.Repeats
	closedFor        [2]int64 // ns

	connections int64 // whose latest packets are of this step
	opened      int64
	outcomes    [flow.NumOutcomes]int64 // of those that ended
	start, last int64                   // ns: first and last packet

	turns, unmeasured, unasked int64
	handshake                  *histogram.Histogram
	times                      *edge.Times
	tls                        *edge.TLS
	http                       *edge.HTTP
	dns                        *edge.DNS
}

// slotOf is the place of a step among so many.
func slotOf(step, slots int64) int64 {
	if step %= slots; step < 0 {
		step += slots
	}
	return step
}

// at gives the bucket of a step of a conversation.
func (t *Table) at(v *conversation, step int64) *bucket {
	slots := t.slots()
	if v.steps == nil {
		v.steps = make([]*bucket, slots)
	}
	i := slotOf(step, slots)
	if b := v.steps[i]; b != nil && b.step == step {
		return b
	}
	b := take(&t.idle.buckets)
	b.step = step
	v.steps[i] = b
	return b
}

// conversation finds that of a key, or makes room for it.
func (t *Table) conversation(k *edge.Key) *conversation {
	hash := k.Hash(&t.conversations.index)
	if v := t.lookUp(k, hash); v != nil {
		return v
	}
	if t.conversations.n >= 2*t.config.Conversations {
		t.halve()
	}
	v, number := t.conversations.begin(hash)
	v.key, v.hash, v.number, v.known = *k, hash, number, true
	return v
}

// lookUp gives the conversation of a key, nil if there is none.
func (t *Table) lookUp(k *edge.Key, hash uint32) *conversation {
	return t.conversations.find(hash, func(v *conversation) bool { return v.key == *k })
}

// expire forgets what has left the window.
func (t *Table) expire() {
	for _, v := range t.conversations.all[1:] {
		if v.known && !t.shed(v) {
			t.leave(v)
		}
	}
	t.shed(&t.other)
	t.rest()
}

// leave forgets a conversation that has no steps.
func (t *Table) leave(v *conversation) {
	t.conversations.end(v.hash, v.number)
	*v = conversation{life: v.life + 1, steps: v.steps}
}

// idle is what has been forgotten, to be used again: about as much comes as goes. Of
// distributions there are no more than conversations, and small ones: they are beside
// Config.Samples.
type idle struct {
	buckets    []*bucket
	times      []*edge.Times
	handshakes []*histogram.Histogram
}

// take gives the latest one of a list, or a new one.
func take[T any](list *[]*T) *T {
	n := len(*list)
	if n == 0 {
		return new(T)
	}
	x := (*list)[n-1]
	(*list)[n-1] = nil
	*list = (*list)[:n-1]
	return x
}

// shed drops the steps that have left the window, and tells whether any is left.
func (t *Table) shed(v *conversation) (more bool) {
	for i, b := range v.steps {
		switch {
		case b == nil:
		case t.left(b.step):
			v.octets -= b.octets()
			v.steps[i] = nil
			t.drop(b)
		default:
			more = true
		}
	}
	return more
}

// drop forgets a bucket.
func (t *Table) drop(b *bucket) {
	t.samples -= b.samples
	if b.samples <= fewSamples {
		most := 2 * t.config.Conversations
		if x := b.times; x != nil && len(t.idle.times) < most {
			for i := range x.RTT {
				x.RTT[i].Reset()
				x.Delayed[i].Reset()
			}
			x.Response.Reset()
			x.AtMost, x.Doubtful = false, false
			t.idle.times = append(t.idle.times, x)
		}
		if h := b.handshake; h != nil && len(t.idle.handshakes) < most {
			h.Reset()
			t.idle.handshakes = append(t.idle.handshakes, h)
		}
	}
	*b = bucket{}
	t.idle.buckets = append(t.idle.buckets, b)
}

// fewSamples is how many buckets of distributions a step may have whose memory is used
// again.
const fewSamples = 8

// octets are those that both sides sent.
func (b *bucket) octets() int64 { return b.sent[flow.Client].Bytes + b.sent[flow.Server].Bytes }

// sum adds the numbers of another bucket; what is a distribution, or was said, has
// no place in other.
func (b *bucket) sum(o *bucket) {
	for i := range b.sent {
		b.sent[i] = flow.Volume{
			Packets: b.sent[i].Packets + o.sent[i].Packets, Bytes: b.sent[i].Bytes + o.sent[i].Bytes, PayloadBytes: b.sent[i].PayloadBytes + o.sent[i].PayloadBytes,
		}
		b.recorded[i] += o.recorded[i]
		b.missed[i] += o.missed[i]
		b.closedFor[i] += o.closedFor[i]
		addRepeats(&b.repeats[i], &o.repeats[i])
	}
	b.connections += o.connections
	b.opened += o.opened
	for i, n := range o.outcomes {
		b.outcomes[i] += n
	}
	if o.start != 0 {
		b.between(o.start, o.last)
	}
	b.last = max(b.last, o.last)
	b.turns += o.turns
	b.unmeasured += o.unmeasured
	b.unasked += o.unasked
}

func addRepeats(r, o *edge.Repeats) {
	r.Connections += o.Connections
	r.Packets += o.Packets
	r.Bytes += o.Bytes
	r.Payload += o.Payload
	r.AtLeast = r.AtLeast || o.AtLeast
}
