package session

import (
	"reflect"
	"testing"

	"mirrorscope/tlsmeta"
)

// A report that moves says what it said, in another place, whatever becomes of the
// first.
func TestRoomMove(t *testing.T) {
	var a, b Room
	for _, r := range []Report{{}, {TLS: &a.TLS}, {Phases: &a.Phases}, {TLS: &a.TLS, Phases: &a.Phases}} {
		a = Room{TLS: TLS{Info: tlsmeta.Info{SNI: "a"}, Handshake: Handshake{Total: 3}}, Phases: Phases{TCP: 5}}
		want := a
		b.Move(&r)
		a = Room{}
		if r.TLS != nil && (r.TLS != &b.TLS || !reflect.DeepEqual(*r.TLS, want.TLS)) || r.Phases != nil && (r.Phases != &b.Phases || *r.Phases != want.Phases) {
			t.Errorf("%+v", r)
		}
	}
}
