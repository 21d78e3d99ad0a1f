package bpf

import "github.com/cilium/ebpf"

// Program gives the program to tests outside the package.
func (p *Prefilter) Program() *ebpf.Program { return p.objects.Prefilter }

// Forget empties the table of heads.
func (p *Prefilter) Forget() error {
	n := p.objects.Heads.MaxEntries()
	keys, values := make([]uint32, n), make([]uint64, n)
	for i := range keys {
		keys[i] = uint32(i)
	}
	_, err := p.objects.Heads.BatchUpdate(keys, values, nil)
	return err
}

// LoadPlaces is Load with a table of heads of another size.
func LoadPlaces(cfg Config, places int) (*Prefilter, error) { return load(cfg, ToStack, 1, places) }
