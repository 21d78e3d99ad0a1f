package mirror

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

func someSources(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("eni-%017x", i))
	}
	return all
}

func somePlaces(n, room int) (all []Place) {
	for i := range n {
		all = append(all, Place{Resource: fmt.Sprintf("eni-%017x", 1<<40+i), Room: room})
	}
	return all
}

// The hash is a promise: another value would move traffic to other sensors.
func TestHash(t *testing.T) {
	if got := hash("place", "eni-1", "eni-2"); got != 0xab650e28e7a0238f {
		t.Errorf("hash %#x", got)
	}
	if hash("a", "bc") == hash("ab", "c") {
		t.Error("where a part ends makes no difference")
	}
}

// A further place takes its share of each other and moves nothing else; one that
// goes gives its share away and moves nothing else.
func TestSpreadMovesLittle(t *testing.T) {
	sources, places := someSources(3000), somePlaces(4, -1)
	four := spread(sources, places, nil)
	count := map[int]int{}
	for _, i := range four {
		count[i]++
	}
	for i, n := range count {
		if n < 600 || n > 900 {
			t.Errorf("place %d of 4 has %d of 3000 sources", i, n)
		}
	}
	five := spread(sources, somePlaces(5, -1), four)
	moved := 0
	for nic, i := range five {
		if i != four[nic] {
			moved++
			if i != 4 {
				t.Errorf("%s moved from place %d to %d though place 4 came", nic, four[nic], i)
			}
		}
	}
	if moved < 450 || moved > 750 {
		t.Errorf("%d of 3000 moved to the fifth place", moved)
	}
	if again := spread(sources, places, nil); !maps.Equal(again, four) {
		t.Error("a restart moves sources")
	}
	if more := spread(someSources(4000), places, four); !contains(more, four) {
		t.Error("further sources move others")
	}
}

func contains(all, part map[string]int) bool {
	for k, v := range part {
		if all[k] != v {
			return false
		}
	}
	return true
}

// With bounds: no place has too many, nobody is without a place while one has
// room, nobody likes a place with room better than the own one, and it is stable.
func TestSpreadRoom(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		places := somePlaces(1+r.IntN(5), 0)
		all := 0
		for i := range places {
			places[i].Room = r.IntN(8)
			all += places[i].Room
		}
		at := map[string]int{}
		for _, nic := range someSources(30) {
			if r.IntN(2) == 0 {
				at[nic] = r.IntN(len(places)+1) - 1
			}
		}
		sources := slices.DeleteFunc(someSources(30), func(string) bool { return r.IntN(3) == 0 })
		got := spread(sources, places, at)
		used := make([]int, len(places))
		placed := 0
		for _, i := range got {
			if i >= 0 {
				used[i]++
				placed++
			}
		}
		if placed != min(all, len(sources)) {
			t.Fatalf("seed %d: %d of %d sources have one of %d seats", seed, placed, len(sources), all)
		}
		for i, p := range places {
			if used[i] > p.Room {
				t.Fatalf("seed %d: place %d has %d of %d", seed, i, used[i], p.Room)
			}
		}
		for nic, i := range got {
			for _, better := range preference(nic, places) {
				if better == i {
					break
				}
				if used[better] < places[better].Room {
					t.Fatalf("seed %d: %s is at %d, and %d has room", seed, nic, i, better)
				}
			}
		}
		if again := spread(sources, places, got); !maps.Equal(again, got) {
			t.Fatalf("seed %d: %v, and from there %v", seed, got, again)
		}
	}
}

// Nobody who has a place is moved to one that may be full; others try it.
func TestSpreadDoubtful(t *testing.T) {
	sources, places := someSources(200), somePlaces(2, -1)
	at := map[string]int{}
	for _, nic := range sources[:100] {
		at[nic] = 1
	}
	places[0].Doubtful = true
	got := spread(sources, places, at)
	first := 0
	for n, nic := range sources {
		if n < 100 && got[nic] != 1 {
			t.Errorf("%s was moved", nic)
		}
		if n >= 100 && got[nic] == 0 {
			first++
		}
	}
	if first < 20 {
		t.Errorf("%d of 100 new ones try the place that may be full", first)
	}
}

// Numbers are different, from the range, kept by restarts and when others come;
// a range that is nearly full is used as far as the chains reach.
func TestNumbers(t *testing.T) {
	for _, tc := range []struct{ keys, first, last int }{{5000, 1, maxVNI}, {200, 1000, 1255}, {256, 0, 255}} {
		keys := someSources(tc.keys)
		got := numbers(keys, nil, nil, tc.first, tc.last)
		seen := map[int]bool{}
		for key, n := range got {
			if n < tc.first || n > tc.last || seen[n] {
				t.Errorf("%s has %d: out of range or twice", key, n)
			}
			seen[n] = true
		}
		if len(got) < min(tc.keys, (tc.last-tc.first+1)*9/10) {
			t.Errorf("%d of %d keys have one of %d numbers", len(got), tc.keys, tc.last-tc.first+1)
		}
		if again := numbers(keys, got, nil, tc.first, tc.last); !maps.Equal(again, got) {
			t.Errorf("%d keys: a restart changes numbers", tc.keys)
		}
		half := numbers(keys[tc.keys/2:], nil, nil, tc.first, tc.last)
		if more := numbers(keys, half, nil, tc.first, tc.last); !contains(more, half) {
			t.Errorf("%d keys: others change numbers", tc.keys)
		}
	}
	one := numbers([]string{"a"}, nil, nil, 1, maxVNI)["a"]
	if other := numbers([]string{"a"}, nil, map[int]bool{one: true}, 1, maxVNI)["a"]; other == one || other == 0 {
		t.Errorf("a number that is taken: %d", other)
	}
	if kept := numbers([]string{"a"}, map[string]int{"a": 17}, nil, 1, maxVNI)["a"]; kept != one {
		t.Errorf("a number from elsewhere is kept: %d", kept)
	}
}
