package session

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// What a connection says is the same whether packets run or not.
func TestRunAlike(t *testing.T) {
	var ran [2]int
	heard := 0
	for seed := range uint64(300) {
		play := func(s *scene) (Report, tcp.Response) {
			rng := rand.New(rand.NewPCG(seed, 7))
			s.begin([]uint16{443, 80, 9999}[rng.IntN(3)]).shake()
			at := 30 * ms
			if snaps := []int{0, 0, 0, 60, 20}; rng.IntN(4) > 0 {
				s.snap = snaps[rng.IntN(len(snaps))]
			}
			switch kind := rng.IntN(8); kind {
			case 0:
				s.client(at, []byte("\xfe\xfe\xfe\xfe"))
			case 1: // the server speaks first
				s.server(at, []byte("\xfd\xfd\xfd"))
			case 2, 3, 4:
				for i, x := range flights(tls12) {
					s.say(at, i%2, x, 1448)
					at += 30 * ms
				}
			default:
				at = s.secure(at)
			}
			sizes := []int{1, 2, 3, 19, 20, 24, 60, 100, 300, 1200, 1400, 4000}
			for range rng.IntN(60) {
				at += []int64{0, ms / 10, ms, 3 * ms, 40 * ms, 300 * ms}[rng.IntN(6)]
				dir, data := rng.IntN(2), app(sizes[rng.IntN(len(sizes))])
				switch rng.IntN(14) {
				case 0:
					data = sealed(recordAlert, 2+rng.IntN(30))
				case 1:
					data = sealed(recordHandshake, rng.IntN(300))
				case 2:
					data = data[rng.IntN(len(data)):] // in the middle of a record
				case 3:
					data = append(app(200), app(200)...)
				}
				switch rng.IntN(16) {
				case 0: // again
					n := uint32(min(len(data), 1+rng.IntN(1400)))
					s.put(at, dir, packet.ACK, s.seq[dir]-n, data[:n])
				case 1: // in part again
					data = data[:min(len(data), 1400)]
					s.put(at, dir, packet.ACK, s.seq[dir]-uint32(rng.IntN(100)), data)
				case 2: // behind a hole
					data = data[:min(len(data), 1400)]
					s.put(at, dir, packet.ACK, s.seq[dir]+uint32(rng.IntN(1000)), data)
				case 3:
					s.acked[dir] = s.seq[1-dir]
				case 4:
					s.acked[dir] = 0
				case 5:
					s.packet(at, dir, packet.ACK, nil)
				case 6:
					if rng.IntN(4) == 0 {
						s.packet(at, dir, packet.ACK|packet.FIN, nil)
					}
				default:
					s.say(at, dir, data, 1448)
				}
			}
			ran[0], ran[1], heard = ran[0]+s.ran[0], ran[1]+s.ran[1], heard+s.heard
			turns := s.turns()
			return s.end(), turns
		}
		quick, slow := newScene(t, 1<<20), newScene(t, 1<<20)
		slow.unhurried = true
		got, turns := play(quick)
		want, wantTurns := play(slow)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(turns, wantTurns) {
			t.Fatalf("seed %d:\n%+v %+v %+v, want\n%+v %+v %+v", seed, got, got.Phases, turns, want, want.Phases, wantTurns)
		}
	}
	if ran[0] < 500 || ran[1] < 500 || heard < 500 {
		t.Errorf("%d packets ran, and %d behind a handshake; %d were heard", ran[0], ran[1], heard)
	}
}
