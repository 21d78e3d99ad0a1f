package truth

import (
	"flag"
	"strings"
	"sync"
	"testing"
)

// difference is one place where the sensor and the ground truth do not agree,
// looked at by hand, with the reason why the sensor is right or why either
// reading is defensible. stream is "address port — address port", the lower
// address first.
type difference struct {
	kind, file, stream string
	why                string
}

// differences lists all that are accepted. A test fails on a difference that
// is not here, and on a line here that no longer differs.
var differences = []difference{}

var (
	usedLock sync.Mutex
	used     = map[difference]bool{}
)

// accepted fails the test unless a comparison came out equal and is not
// listed, or unequal and is listed. describe tells what differs.
func accepted(t *testing.T, kind, file, stream string, equal bool, describe func() string) {
	t.Helper()
	for _, d := range differences {
		if d.kind != kind || d.file != file || d.stream != stream {
			continue
		}
		usedLock.Lock()
		used[d] = true
		usedLock.Unlock()
		if equal {
			t.Errorf("%s %s: is equal now: take the line out of differences (%s)", kind, stream, d.why)
		} else {
			t.Logf("%s %s: accepted: %s", kind, stream, d.why)
		}
		return
	}
	if !equal {
		t.Errorf("%s %s:\n%s", kind, stream, describe())
	}
}

// unused fails the test on lines of the given kinds that nothing asked for: a
// misspelt line accepts nothing and would go unnoticed. It looks only when
// all captures were compared.
func unused(t *testing.T, kinds ...string) {
	t.Helper()
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return
	}
	usedLock.Lock()
	defer usedLock.Unlock()
	for _, d := range differences {
		for _, k := range kinds {
			if d.kind == k && !used[d] {
				t.Errorf("differences has %s %s %s, which no comparison met", d.kind, d.file, d.stream)
			}
		}
	}
}
