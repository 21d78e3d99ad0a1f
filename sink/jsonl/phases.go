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
		dst = appendSigned(appendKey(dst, sink.Phases[i].Field), sink.Phases[i].Of(p))
	}
	if p.Overlap {
		dst = append(dst, `,"overlap":true`...)
	}
	return append(dst, '}')
}
