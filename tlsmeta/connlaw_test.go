package tlsmeta

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"mirrorscope/pool"
)

// told is what a Conn tells.
type told struct {
	Info    Info
	Timing  Timing
	Data    [2]int64
	Missing bool
	Early   Early
	Done    bool
}

func (c *Conn) told() told {
	return told{*c.Info, c.Timing, c.Data, c.Missing, c.Early(), c.Done()}
}

// cut divides the octets of packets: at every place, or at random ones.
func cut(events []event, n func(left int) int) []event {
	var out []event
	for _, v := range events {
		for v.data != nil {
			k := n(len(v.data))
			if k >= len(v.data) {
				break
			}
			part := v
			part.data, part.fin = v.data[:k], false
			out = append(out, part)
			v.data = v.data[k:]
			v.pos += int64(k)
		}
		out = append(out, v)
	}
	return out
}

// joined puts packets together that one side sent in a row; the octets are
// those of the last of them then.
func joined(events []event) []event {
	var out []event
	for _, v := range events {
		if len(v.data) == 0 && !v.fin {
			continue
		}
		if n := len(out); n > 0 && out[n-1].dir == v.dir && out[n-1].acked == v.acked && !out[n-1].fin {
			out[n-1].data = slices.Concat(out[n-1].data, v.data)
			out[n-1].at, out[n-1].fin = v.at, v.fin
			continue
		}
		out = append(out, v)
	}
	return out
}

// What is told does not depend on how octets lie in packets.
func TestConnSegmentation(t *testing.T) {
	for i := range lives {
		l := &lives[i]
		if l.mss != 0 {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			p := l.play(t)
			b := Room{Budget: &pool.Budget{Max: 1 << 20}}
			want := observed(&b, p.events, 1448).told()
			rng := rand.New(rand.NewPCG(uint64(i), 3))
			for name, cutting := range map[string]func(int) int{
				"octets":   func(int) int { return 1 },
				"halves":   func(n int) int { return (n + 1) / 2 },
				"at 5":     func(n int) int { return 5 },
				"randomly": func(n int) int { return 1 + rng.IntN(n) },
				"finely":   func(n int) int { return 1 + rng.IntN(9) },
			} {
				if got := observed(&b, cut(p.events, cutting), 1448).told(); !reflect.DeepEqual(got, want) {
					t.Errorf("cut %s: %+v\nwant %+v", name, got, want)
				}
			}
			x := observed(&b, joined(p.events), 1<<20).told()
			x.Timing = want.Timing
			if !reflect.DeepEqual(x, want) {
				t.Errorf("joined: %+v\nwant %+v", x, want)
			}
			if b.Used() != 0 {
				t.Errorf("%d octets stay taken", b.Used())
			}
		})
	}
}

// Where the recording ends early, nothing is told that was not there yet, and
// nothing else than the whole tells.
func TestConnPrefix(t *testing.T) {
	for i := range lives {
		l := &lives[i]
		if l.mss != 0 || l.window != 0 {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			p := l.play(t)
			b := Room{Budget: &pool.Budget{Max: 1 << 20}}
			whole := observed(&b, p.events, 1448).told()
			fine := cut(p.events, func(n int) int { return min(1+n/40, 64) })
			x := new(Conn)
			for n := range fine {
				x.Init(0)
				feedEvents(x, &b, fine[:n], 1448)
				x.End(true, epoch+1e12)
				x.Release(&b)
				got := x.told()
				if b.Used() != 0 {
					t.Fatalf("%d octets stay taken", b.Used())
				}
				if got.Info.Outcome == OutcomeNone {
					t.Fatalf("after %d: no outcome", n)
				}
				if got.Info.Outcome == Completed && got.Timing != whole.Timing && !got.Timing.Ambiguous {
					t.Fatalf("after %d: %+v, in the end %+v", n, got.Timing, whole.Timing)
				}
				if got.Timing.End != 0 && got.Info.Outcome != Completed && got.Info.Outcome != FailedAfterFinished {
					t.Fatalf("after %d: %v, ended at %d", n, got.Info.Outcome, got.Timing.End)
				}
				for dir, pos := range got.Data {
					if pos != 0 && pos != whole.Data[dir] && !got.Timing.Ambiguous {
						t.Fatalf("after %d: data of %d from %d, in the end %d", n, dir, pos, whole.Data[dir])
					}
				}
			}
		})
	}
}

// A part of the octets that was not recorded makes no step of the handshake
// appear that is not there: what is told is as with all octets, or not known.
func TestConnMissing(t *testing.T) {
	for i := range lives {
		l := &lives[i]
		if l.mss != 0 || l.window != 0 {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			p := l.play(t)
			b := Room{Budget: &pool.Budget{Max: 1 << 20}}
			whole := observed(&b, p.events, 1448).told()
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			var octets int
			for _, v := range p.events {
				octets += len(v.data)
			}
			octets = min(octets, 6000) // the handshake, and some behind it
			for range 400 {
				x := new(Conn)
				x.Init(0)
				lo := rng.IntN(octets)
				hi := lo + 1 + rng.IntN(1+rng.IntN(300))
				seen := 0
				una := [2]int64{baseClient, baseServer}
				for _, v := range p.events {
					una[1-v.dir] = max(una[1-v.dir], v.acked)
					// [from, to) of v is missing.
					from, to := min(max(lo-seen, 0), len(v.data)), min(max(hi-seen, 0), len(v.data))
					seen += len(v.data)
					give := func(a, b2 int, missing bool) {
						if a == b2 {
							return
						}
						s := Segment{Pos: v.pos + int64(a), Data: v.data[a:b2], Time: v.at, Acked: v.acked, Una: una[v.dir], MSS: 1448}
						if missing {
							s.Data, s.Missing = nil, int64(b2-a)
						}
						x.Feed(&b, v.dir, &s, 2*toClient)
					}
					give(0, from, false)
					give(from, to, true)
					give(to, len(v.data), false)
					if v.fin {
						x.Close(v.dir, v.at)
					}
				}
				x.End(true, epoch+1e12)
				x.Release(&b)
				got := x.told()
				if b.Used() != 0 {
					t.Fatalf("%d octets stay taken", b.Used())
				}
				if got.Timing.End != 0 && got.Timing.End != whole.Timing.End && !got.Timing.Ambiguous {
					t.Errorf("without [%d, %d): ended at %d, not ambiguous, want %d", lo, hi, got.Timing.End-epoch, whole.Timing.End-epoch)
				}
				if got.Timing.Start != 0 && got.Timing.Start != whole.Timing.Start {
					t.Errorf("without [%d, %d): started at %d, want %d", lo, hi, got.Timing.Start-epoch, whole.Timing.Start-epoch)
				}
				for dir, pos := range got.Data {
					if pos != 0 && pos != whole.Data[dir] && !got.Timing.Ambiguous && !got.Missing {
						t.Errorf("without [%d, %d): data of %d from %d, want %d", lo, hi, dir, pos-base(dir), whole.Data[dir]-base(dir))
					}
				}
				switch o := got.Info.Outcome; o {
				case whole.Info.Outcome, Incomplete:
				case Completed: // what tells that the server took it back is missing
					if whole.Info.Outcome != FailedAfterFinished {
						t.Errorf("without [%d, %d): %v, want %v", lo, hi, o, whole.Info.Outcome)
					}
				default:
					t.Errorf("without [%d, %d): %v, want %v", lo, hi, o, whole.Info.Outcome)
				}
				for _, f := range []struct {
					name      string
					got, want any
				}{
					{"SNI", got.Info.SNI, whole.Info.SNI}, {"JA4", got.Info.JA4, whole.Info.JA4}, {"version", got.Info.Version, whole.Info.Version},
					{"cipher", got.Info.Cipher, whole.Info.Cipher}, {"ALPN", got.Info.ALPN, whole.Info.ALPN}, {"group", got.Info.Group, whole.Info.Group}, {"resumed", got.Info.Resumed, whole.Info.Resumed},
					{"refused", got.Info.Refused, whole.Info.Refused}, {"retry", got.Info.HelloRetry, whole.Info.HelloRetry}, {"early data", got.Info.EarlyData, whole.Info.EarlyData},
				} {
					if f.got != f.want && !reflect.ValueOf(f.got).IsZero() {
						t.Errorf("without [%d, %d): %s %v, want %v", lo, hi, f.name, f.got, f.want)
					}
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}
