package daemon

import (
	"errors"
	"strings"
	"testing"

	"mirrorscope/bpf"
)

// brittle is a filter that refuses its updates from some one on.
type brittle struct {
	policy
	cfg   bpf.Config
	takes int // updates
}

func (p *brittle) Config() bpf.Config { return p.cfg }

func (p *brittle) Update(cfg bpf.Config) error {
	if p.takes--; p.takes < 0 {
		return errors.New("it has had enough")
	}
	p.cfg = cfg
	return nil
}

// Where one of several filters cannot be changed, those before it get back what
// they had, or the error says which did not.
func TestUpdateAllOrNone(t *testing.T) {
	for _, c := range []struct {
		what   string
		takes  [3]int
		sample [3]uint32 // afterwards
		says   string    // "": no error
	}{
		{"all", [3]int{1, 1, 1}, [3]uint32{8, 8, 8}, ""},
		{"not the first", [3]int{0, 1, 1}, [3]uint32{1, 2, 3}, "filter 1 of 3: it has had enough"},
		{"not the third", [3]int{2, 2, 0}, [3]uint32{1, 2, 3}, "filter 3 of 3: it has had enough; those in front of it have their old policy again"},
		{"nor back", [3]int{2, 1, 0}, [3]uint32{1, 8, 3}, "filter 2 has changed, and cannot be changed back: it has had enough"},
	} {
		s := new(source)
		for i, takes := range c.takes {
			s.filters = append(s.filters, &brittle{cfg: bpf.Config{Sample: uint32(i + 1)}, takes: takes})
		}
		cfg := DefaultConfig()
		cfg.Filter.Sample = 8
		err := s.update(&cfg)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %q", c.what, err, c.says)
		}
		for i, p := range s.filters {
			if got := p.Config().Sample; got != c.sample[i] {
				t.Errorf("%s: filter %d has a sample of %d, want %d", c.what, i+1, got, c.sample[i])
			}
		}
	}
}

// A filter in the driver with rings behind it refuses to trim.
func TestInDriverTrim(t *testing.T) {
	cfg := bpf.DefaultConfig()
	cfg.Trim = 64
	if err := (inDriver{}).Update(cfg); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("error %v", err)
	}
}
