package viewjson

import (
	"cmp"
	"encoding/json"
	"math"
	"strconv"

	"mirrorscope/edge"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/sink"
	"mirrorscope/tcp"
)

// micros is a duration in ns that JSON has in µs, with up to three decimals.
type micros float64

func (m micros) MarshalJSON() ([]byte, error) {
	return sink.AppendMicros(nil, sink.Nanos(float64(m))), nil
}

// moment is ns since the Unix epoch.
type moment int64

func (m moment) MarshalJSON() ([]byte, error) {
	return append(sink.AppendTime([]byte{'"'}, int64(m)), '"'), nil
}

// ratio is a share, with four decimals.
type ratio float64

func (r ratio) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(float64(r)*1e4)/1e4, 'f', -1, 64), nil
}

// end is one side.
type end struct {
	IP   string  `json:"ip"`
	Port *uint16 `json:"port,omitempty"`
	Name string  `json:"name,omitempty"`
}

func endOf(a packet.Addr, name string) end { return end{IP: a.IP().String(), Name: clean(name)} }

func serverOf(s *edge.Service, name string) end {
	e := endOf(s.Server, name)
	if s.HasPort {
		port := s.Port
		e.Port = &port
	}
	return e
}

func protocol(p uint8) string { return string(sink.AppendProtocol(nil, p)) }

// times tells of a distribution; nil of an empty one.
type times struct {
	State   string `json:"state"` // measured; bounded: the values are the most it can be; ambiguous: some may be of something else
	P50     micros `json:"p50_us"`
	P95     micros `json:"p95_us"`
	Max     micros `json:"max_us"`
	Samples uint64 `json:"samples"`
}

func timesOf(h *histogram.Histogram, state tcp.State) *times {
	p50, ok := h.Quantile(0.5)
	if !ok {
		return nil
	}
	p95, _ := h.Quantile(0.95)
	t := &times{State: state.String(), P50: micros(p50), P95: micros(p95), Max: micros(h.Max()), Samples: h.Count()}
	return t
}

// counted is a value and how often it came.
type counted struct {
	Value string `json:"value"`
	N     int64  `json:"count"`
}

// tally lists values, the most frequent first. Those that found no place are
// the last, without a value.
func tally[T cmp.Ordered](t *edge.Tally[T], name func(T) string) []counted {
	var all []counted
	for _, c := range t.Top() {
		all = append(all, counted{clean(name(c.Value)), c.N})
	}
	if t.Other > 0 {
		all = append(all, counted{N: t.Other})
	}
	return all
}

func same(s string) string { return s }

// share is a part of a whole, absent where there is none.
func share(part, whole int64) *ratio {
	if whole <= 0 {
		return nil
	}
	r := ratio(float64(part) / float64(whole))
	return &r
}

// figures are those behind a verdict, in their order.
type figures []edge.Figure

func (f figures) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(x.Name)
		if err != nil {
			return nil, err
		}
		b = append(append(b, name...), ':')
		b = strconv.AppendFloat(b, math.Round(x.Value*1e4)/1e4, 'f', -1, 64)
	}
	return append(b, '}'), nil
}

func boundedIf(atMost bool) tcp.State {
	if atMost {
		return tcp.Bounded
	}
	return tcp.Measured
}
