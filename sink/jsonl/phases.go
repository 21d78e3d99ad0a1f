package jsonl

import (
	"mirrorscope/session"
	"mirrorscope/sink"
)

// appendPhases adds what a connection spent its time on. The phases add up to
// its duration to the nanosecond, as they are written, too.
func appendPhases(dst []byte, p *session.Phases) []byte {
	dst = append(dst, `,"phases":{`...)
	for i := range sink.Phases {
		dst = append(dst, phaseKeys[i]...)
		if ns := sink.Phases[i].Of(p); ns == 0 {
			dst = append(dst, '0')
		} else {
			dst = appendSigned(dst, ns)
		}
	}
	if p.Overlap {
		dst = append(dst, `,"overlap":true`...)
	}
	return append(dst, '}')
}

// phaseKeys are the keys of sink.Phases, with the comma before each but the first.
var phaseKeys = func() (keys [len(sink.Phases)]string) {
	for i := range keys {
		keys[i] = `,"` + sink.Phases[i].Field + `":`
	}
	keys[0] = keys[0][1:]
	return keys
}()
