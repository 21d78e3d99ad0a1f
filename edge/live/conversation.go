package live

import (
	"cmp"
	"slices"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
)

// conversation is one key over the steps of the window.
type conversation struct {
	steps  []*bucket // by number of the step, modulo; nil: nothing happened
	names  [2]string // by which DNS knew client and server
	server string    // … and TLS the server, as the latest handshake named it
}

// bucket is what a conversation did in one step.
type bucket struct {
	step    int64
	into    *bucket // which has all of this since the conversation found no place
	samples int     // buckets of its distributions

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

// whole is the bucket that has all of b.
func (b *bucket) whole() *bucket {
	for b.into != nil {
		b = b.into
	}
	return b
}

// at gives the bucket of a step of a conversation.
func (t *Table) at(v *conversation, step int64) *bucket {
	slots := t.slots()
	if v.steps == nil {
		v.steps = make([]*bucket, slots)
	}
	i := int(((step % slots) + slots) % slots)
	if b := v.steps[i]; b != nil && b.step == step {
		return b
	}
	b := take(&t.idle.buckets)
	*b = bucket{step: step}
	v.steps[i] = b
	return b
}

// conversation finds that of a key, or makes room for it.
func (t *Table) conversation(k *edge.Key) *conversation {
	if v := t.conversations[*k]; v != nil {
		return v
	}
	if len(t.conversations) >= 2*t.config.Conversations {
		t.halve()
	}
	v := take(&t.idle.conversations)
	t.conversations[*k] = v
	return v
}

// expire forgets what has left the window.
func (t *Table) expire() {
	for k, v := range t.conversations {
		if !t.shed(v) {
			t.leave(k, v)
		}
	}
	t.shed(&t.other)
	crowded := len(t.connections) > t.config.Connections/2
	for k, c := range t.connections {
		if c.pending || c.counted != nil && !t.left(c.step) {
			continue
		}
		c.counted = nil
		if crowded || c.over {
			delete(t.connections, k)
			t.idle.connections = append(t.idle.connections, c)
		}
	}
}

// leave forgets a conversation.
func (t *Table) leave(k edge.Key, v *conversation) {
	delete(t.conversations, k)
	clear(v.steps)
	*v = conversation{steps: v.steps}
	t.idle.conversations = append(t.idle.conversations, v)
}

// idle is what has been forgotten, to be used again: with each interval about as much
// comes as goes.
type idle struct {
	connections   []*connection
	conversations []*conversation
	buckets       []*bucket // that have left the window: nobody looks at them any more
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
			t.samples -= b.samples
			v.steps[i] = nil
			*b = bucket{}
			t.idle.buckets = append(t.idle.buckets, b)
		default:
			more = true
		}
	}
	return more
}

// halve puts the conversations with the fewest octets in the window into other,
// until half of the room is free.
func (t *Table) halve() {
	type one struct {
		key    edge.Key
		octets int64
	}
	all := make([]one, 0, len(t.conversations))
	for k, v := range t.conversations {
		n := int64(0)
		for _, b := range v.steps {
			if b != nil {
				n += b.sent[flow.Client].Bytes + b.sent[flow.Server].Bytes
			}
		}
		all = append(all, one{k, n})
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Or(cmp.Compare(a.octets, b.octets), compareKeys(&a.key, &b.key)) })
	for _, x := range all[:max(len(all)-max(t.config.Conversations/2, 1), 0)] {
		v := t.conversations[x.key]
		for _, b := range v.steps {
			if b != nil {
				into := t.at(&t.other, b.step)
				t.samples -= b.samples
				into.sum(b)
				b.drop(into)
			}
		}
		t.leave(x.key, v)
		t.counts.Folded++
	}
}

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

// drop frees what a bucket holds, all of which is in another one.
func (b *bucket) drop(into *bucket) { *b = bucket{step: b.step, into: into} }

func addRepeats(r, o *edge.Repeats) {
	r.Connections += o.Connections
	r.Packets += o.Packets
	r.Bytes += o.Bytes
	r.Payload += o.Payload
	r.AtLeast = r.AtLeast || o.AtLeast
}
