package pool

// Budget bounds what many values of different kinds hold together, in octets.
// It is owned by one goroutine.
type Budget struct {
	Max     int64
	used    int64
	Refused uint64 // times that Take found no room
}

// Take asks for n octets more. It is false, and counted, where they do not fit.
func (b *Budget) Take(n int) bool {
	if b.used+int64(n) > b.Max {
		b.Refused++
		return false
	}
	b.used += int64(n)
	return true
}

// Give returns n octets that Take gave.
func (b *Budget) Give(n int) { b.used -= int64(n) }

// Used is how many octets are taken.
func (b *Budget) Used() int64 { return b.used }
