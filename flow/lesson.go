package flow

import "mirrorscope/pool"

// lesson is what one flow has proved.
type lesson struct {
	pair         // of the server twice, where it is only that which is told
	says  saying // something
	proto uint8  // of the server
	port  uint16 // of the server
}

// lesson4 is a lesson of hosts of IPv4.
type lesson4 struct {
	pair4
	says  saying // none stands for the next lesson that is no lesson4
	proto uint8
	port  uint16
}

type saying uint8

const (
	seenBoth     saying = 1 << iota // a flow of the pair was seen in both directions
	seenOneSided                    // one was seen from one side alone although it had two
	listensA                        // a has a server
	listensB                        // b has
)

// lessons are what the flows of a table have proved since the latest barrier, in that
// order. Nearly all are of IPv4, and need less than half of what the others do.
type lessons struct {
	four pool.List[lesson4]
	any  pool.List[lesson] // those that are no lesson4
}

// maxLessons is for how many lessons there is room that stays.
const maxLessons = maxKept

func (l *lessons) len() int { return l.four.Len() }

func (l *lessons) add(x *lesson) {
	if p, ok := x.four(); ok {
		l.four.Add(lesson4{p, x.says, x.proto, x.port})
		return
	}
	l.four.Add(lesson4{})
	l.any.Add(*x)
}

// empty forgets all.
func (l *lessons) empty() {
	l.four.Empty(maxLessons)
	l.any.Empty(maxLessons)
}

// nextTold is how far ahead of a pair that is learned another is on its way from memory.
const nextTold = 8

// learn takes what a table tells, whose clock is at now.
func (l *Learned) learn(told *lessons, now int64) {
	four, others, known := told.four.Items(), told.any.Items(), &l.pairs.four
	for i := range four {
		if i+nextTold < len(four) {
			pool.Prefetch(known.at(four[i+nextTold].hash(&known.secret)), 1)
		}
		x := &four[i]
		if x.says == 0 {
			l.learnOne(&others[0], now)
			others = others[1:]
			continue
		}
		if x.says&(listensA|listensB) != 0 {
			e := endpoint4{x.a, x.network, x.port, x.proto}
			if x.says&listensB != 0 {
				e.addr = x.b
			}
			addListener(l, &l.listeners.four, e, now)
		}
		if x.says&(seenBoth|seenOneSided) != 0 {
			addPair(l, &l.pairs.four, x.pair4, x.says&seenOneSided != 0, now)
		}
	}
}

// learnOne takes what is no lesson4.
func (l *Learned) learnOne(x *lesson, now int64) {
	if x.says&(listensA|listensB) != 0 {
		e := endpoint{addr: x.a, port: x.port, network: x.network, proto: x.proto}
		if x.says&listensB != 0 {
			e.addr = x.b
		}
		if q, ok := e.four(); ok { // beside a host that has none
			addListener(l, &l.listeners.four, q, now)
		} else {
			addListener(l, &l.listeners.any, e, now)
		}
	}
	if x.says&(seenBoth|seenOneSided) != 0 {
		addPair(l, &l.pairs.any, x.pair, x.says&seenOneSided != 0, now)
	}
}
