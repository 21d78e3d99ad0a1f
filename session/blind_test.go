package session

import (
	"fmt"
	"testing"
)

// sealed is a record of a type with n octets of which nothing can be read.
func sealed(typ byte, n int) []byte {
	b := app(n)
	b[0] = typ
	return b
}

// The types of records tell what is a request and what a response, both where
// TLS is recorded from its middle on and where it shakes hands again. The point
// lies 20 ms from the server.
func TestTurnsByRecords(t *testing.T) {
	const bye = 19                   // octets of an alert of TLS 1.3: two, their type, and the tag
	middle := func(s *scene) int64 { // the end of a handshake
		s.client(30*ms, sealed(recordHandshake, 40)).server(60*ms, sealed(recordHandshake, 40))
		return 60 * ms
	}
	whole := func(s *scene) int64 { // all of one, of TLS 1.2
		at := 30 * ms
		for i, f := range flights(tls12) {
			s.say(at, i%2, f, 1448)
			at += 30 * ms
		}
		return at
	}
	for _, tt := range []struct {
		name           string
		before         func(s *scene) int64
		client, server []byte // 20 + 40 ms apart
		turns          int64
	}{
		{"middle, data", middle, sealed(recordData, 300), sealed(recordData, 500), 1},
		{"middle, the length of an alert and one more", middle, sealed(recordData, bye+1), sealed(recordData, bye+1), 1},
		{"middle, an alert of TLS 1.3", middle, sealed(recordData, bye), sealed(recordData, bye), 0},
		{"middle, an alert", middle, sealed(recordAlert, 26), sealed(recordAlert, 26), 0},
		{"middle, a handshake", middle, sealed(recordHandshake, 300), sealed(recordHandshake, 500), 0},
		{"whole, data", whole, sealed(recordData, 300), sealed(recordData, 500), 1},
		{"whole, a second handshake", whole, sealed(recordHandshake, 300), sealed(recordHandshake, 500), 0},
		{"whole, an alert", whole, sealed(recordAlert, 26), sealed(recordAlert, 26), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, 1<<20).shake()
			at := tt.before(s) + 100*ms
			s.client(at, tt.client)
			s.server(at+serverHalf+40*ms, tt.server)
			turns := s.turns()
			if r := s.end(); r.TLS == nil {
				t.Error("not taken for TLS")
			}
			want := fmt.Sprint(tt.turns, tt.turns*40*ms)
			if got := fmt.Sprint(turns.Turns, max(turns.Max, 0)); got != want {
				t.Errorf("turns and longest wait: %s, want %s: %+v", got, want, turns)
			}
		})
	}
}
