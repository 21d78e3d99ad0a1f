package daemon

import (
	"mirrorscope/bpf"
	"mirrorscope/capture"
	"mirrorscope/flow"
)

// lost are the verdicts of the pre-filter that nobody asked for.
var lost = map[string]bool{"no_socket": true, "no_room": true}

// taken are its verdicts by which a frame was not left out.
var taken = map[string]bool{"socket": true, "stack": true}

// account tells what became of the frames that the sensor was not given: what
// was lost, in the cards, in front of the sockets and in the rings, no frame in
// two of these; what filters left out as they were told; and what befell the
// capture. Everything is read once, so that the counts are of one moment as far
// as that can be. It may take a while: a card's driver is asked.
func (s *source) account(c *flow.Capture) {
	losses := s.Losses()
	events := s.Events()
	var prefiltered, rules []capture.Loss
	for _, counts := range s.counters() {
		for _, v := range counts.Verdicts {
			switch {
			case lost[v.Name]:
				losses = capture.AddLosses(losses, capture.Loss{Place: "xdp_" + v.Name, Frames: v.Packets})
			case !taken[v.Name]:
				prefiltered = capture.AddLosses(prefiltered, capture.Loss{Place: v.Name, Frames: v.Packets})
			}
		}
		for _, r := range counts.Rules {
			rules = capture.AddLosses(rules, capture.Loss{Place: r.Name, Frames: r.Packets})
		}
		events = capture.AddLosses(events,
			capture.Loss{Place: "frames_trimmed", Frames: counts.Trimmed.Packets}, capture.Loss{Place: "frames_not_trimmed", Frames: counts.NotTrimmed.Packets})
	}
	for _, card := range s.cards {
		counts := card.read()
		for _, l := range counts.Losses {
			if l.Place == "nic_dropped" && card.sockets != nil {
				// Two counts of two moments: what was told is not taken back.
				card.dropped = max(card.dropped, l.Frames-min(l.Frames, card.sockets()))
				l.Frames = card.dropped
			}
			losses = capture.AddLosses(losses, capture.Loss(l))
		}
		for _, l := range counts.Signs {
			events = capture.AddLosses(events, capture.Loss(l))
		}
	}
	c.Losses, c.Prefiltered, c.Rules, c.Events = places(losses), places(prefiltered), places(rules), places(events)
}

// counters reads those of all filters. That they cannot be read is told once.
func (s *source) counters() []bpf.Counters {
	var all []bpf.Counters
	for _, p := range s.filters {
		c, err := p.Counters()
		if err != nil {
			s.unread.Do(func() { s.log.Error("the counters of the filter cannot be read", "error", err) })
			continue
		}
		all = append(all, c)
	}
	return all
}

func places(list []capture.Loss) []flow.Loss {
	out := make([]flow.Loss, len(list))
	for i, l := range list {
		out[i] = flow.Loss(l)
	}
	return out
}
