package session

import (
	"mirrorscope/pool"
	"mirrorscope/tlsmeta"
)

// told keeps what handshakes told so far, by number, until that is more or their flows
// end. Those of one client with one server tell the same as a rule: that is kept once, and
// for a while longer than somebody uses it, for the next one that gets so far.
type told struct {
	all   pool.Pool[toldOnce]
	first map[uint64]uint32 // by hash; others with that hash follow by toldOnce.next
	idle  [mostIdle]uint32  // that were used by nobody: the latest, around and around
	hand  uint32            // of idle: the oldest
}

// maxAlike bounds how many of one hash are looked through. The hash leaves out what
// seldom differs alone; one end that sees to it that it does has what it tells kept for
// itself.
const maxAlike = 16

// mostIdle is how many are kept that nobody uses.
const mostIdle = 64

// toldOnce is what some handshakes told.
type toldOnce struct {
	info tlsmeta.Info // does not change
	hash uint64
	uses uint32
	next uint32 // 0: none
	then uint32 // what one that told this told next, the latest time; 0: not known
	lone bool   // not found by its hash: there were as many as are looked through
	idle bool   // it is in told.idle, whether it is used by now or not
}

// become gives the number of what a handshake tells that told n before, which may be 0:
// nothing. That is given back.
func (t *told) become(n uint32, i *tlsmeta.Info) uint32 {
	if n == 0 {
		return t.add(i)
	}
	m := t.all.At(n).then
	if x := t.all.At(m); m != 0 && (x.uses > 0 || x.idle) && x.info.Same(i) {
		x.uses++
	} else {
		m = t.add(i)
		t.all.At(n).then = m
	}
	t.drop(n)
	return m
}

// add gives the number of what a handshake told, which must be given back.
func (t *told) add(i *tlsmeta.Info) uint32 {
	h, alike := i.Hash(), 0
	for n := t.first[h]; n != 0; alike++ {
		x := t.all.At(n)
		if x.info.Same(i) {
			x.uses++
			return n
		}
		n = x.next
	}
	n := t.all.Get()
	if alike >= maxAlike {
		*t.all.At(n) = toldOnce{info: *i, uses: 1, lone: true}
		return n
	}
	if t.first == nil {
		t.first = make(map[uint64]uint32)
	}
	*t.all.At(n) = toldOnce{info: *i, hash: h, uses: 1, next: t.first[h]}
	t.first[h] = n
	return n
}

// drop gives back what add gave.
func (t *told) drop(n uint32) {
	if n == 0 {
		return
	}
	x := t.all.At(n)
	if x.uses--; x.uses > 0 || x.idle {
		return
	}
	if x.lone { // who tells the same does not find it
		t.forget(n)
		return
	}
	x.idle = true
	n, t.idle[t.hand] = t.idle[t.hand], n
	t.hand = (t.hand + 1) % mostIdle
	if n != 0 {
		t.forget(n)
	}
}

// forget lets go of what was used by nobody when it came into idle, unless somebody
// uses it again.
func (t *told) forget(n uint32) {
	x := t.all.At(n)
	if x.idle = false; x.uses > 0 {
		return
	}
	if x.lone {
		// No list has it.
	} else if first := t.first[x.hash]; first != n {
		y := t.all.At(first)
		for y.next != n {
			y = t.all.At(y.next)
		}
		y.next = x.next
	} else if x.next != 0 {
		t.first[x.hash] = x.next
	} else {
		delete(t.first, x.hash)
	}
	*x = toldOnce{}
	t.all.Put(n)
}
