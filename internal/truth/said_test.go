package truth

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// statement is one thing that an end said, as another tool and the sensor tell
// it. An empty text is nothing; theirs is missing where the tool does not look.
type statement struct {
	field        string
	theirs, ours string
	missing      bool
}

// saidCase is a stream on which another tool and the sensor differ, looked at in
// the packets.
type saidCase struct {
	*reason
	tool, file, stream string
	figures            string // each "field theirs/ours", joined by "; "
}

// fieldCounts is what the comparison of one field with one tool comes to.
type fieldCounts struct {
	tool, field     string
	compared, equal int // the others are in saidCases
	alone           int // told by the sensor and not by the tool
}

// hearing compares what was said in all captures with what tools tell.
type hearing struct {
	sync.Mutex
	fields []fieldCounts
	met    map[int]int // cases of saidCases, and how many statements each is about
}

// hear takes the statements on one stream. Those that are not equal must be in
// saidCases, and those in there must not be equal.
func (h *hearing) hear(t *testing.T, tool, file, stream string, statements []statement) {
	t.Helper()
	h.Lock()
	defer h.Unlock()
	var got, want []string
	for _, s := range statements {
		if s.ours == "" && (s.missing || s.theirs == "") {
			continue // neither tells anything
		}
		c := h.counts(tool, s.field)
		switch {
		case s.missing:
			c.alone++
		case s.theirs == s.ours:
			c.compared++
			c.equal++
		default:
			c.compared++
			got = append(got, fmt.Sprintf("%s %s/%s", s.field, s.theirs, s.ours))
		}
	}
	for i, c := range saidCases {
		if c.tool == tool && c.file == file && c.stream == stream {
			want = append(want, strings.Split(c.figures, "; ")...)
			if h.met == nil {
				h.met = map[int]int{}
			}
			h.met[i] = strings.Count(c.figures, "; ") + 1
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s, %s, %s:\ngot    %s\nlisted %s", tool, file, stream, strings.Join(got, "; "), strings.Join(want, "; "))
	}
}

func (h *hearing) counts(tool, field string) *fieldCounts {
	i := slices.IndexFunc(h.fields, func(c fieldCounts) bool { return c.tool == tool && c.field == field })
	if i < 0 {
		i = len(h.fields)
		h.fields = append(h.fields, fieldCounts{tool: tool, field: field})
	}
	return &h.fields[i]
}

// end fails the test unless all comes to what saidResults says, and every case
// was met.
func (h *hearing) end(t *testing.T, tools ...string) {
	t.Helper()
	if partial() {
		return
	}
	for i, c := range saidCases {
		if slices.Contains(tools, c.tool) && h.met[i] == 0 {
			t.Errorf("saidCases has %s %s %s, which no comparison met", c.tool, c.file, c.stream)
		}
	}
	var compared, equal int
	for _, c := range h.fields {
		compared += c.compared
		equal += c.equal
		if !slices.Contains(saidResults, c) {
			t.Errorf("not in saidResults: {%q, %q, %d, %d, %d}", c.tool, c.field, c.compared, c.equal, c.alone)
		}
	}
	for _, r := range saidResults {
		if slices.Contains(tools, r.tool) && !slices.Contains(h.fields, r) {
			t.Errorf("saidResults has %v, which is not so", r)
		}
	}
	t.Logf("%s: %d statements, %d equal, %d explained", strings.Join(tools, ", "), compared, equal, compared-equal)
}

// TestSaidShare: of all statements that were compared, those that are not
// equal because the sensor falls short are less than one in a hundred. The
// comparisons themselves hold the lists to what is so.
func TestSaidShare(t *testing.T) {
	var compared, equal, short int
	for _, r := range saidResults {
		compared += r.compared
		equal += r.equal
	}
	for _, c := range saidCases {
		if c.verdict == known {
			short += strings.Count(c.figures, "; ") + 1
		}
	}
	t.Logf("%d statements, %d equal, %d where the sensor falls short", compared, equal, short)
	if float64(short) >= 0.01*float64(compared) {
		t.Errorf("the sensor falls short in %d of %d", short, compared)
	}
}

// text gives "" for what is absent.
func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
