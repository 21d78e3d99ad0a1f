package pcapfile

// queue is a binary heap of inputs by the time of their next frame; of equal
// times the one that was given first comes first.
type queue []*input

func (q queue) less(i, j int) bool {
	a, b := q[i], q[j]
	return a.time < b.time || a.time == b.time && a.order < b.order
}

func (q *queue) push(in *input) {
	*q = append(*q, in)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.less(i, up) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// fix moves the head to its place after its time has changed.
func (q queue) fix() {
	for i := 0; ; {
		down := 2*i + 1
		if down >= len(q) {
			return
		}
		if down+1 < len(q) && q.less(down+1, down) {
			down++
		}
		if !q.less(down, i) {
			return
		}
		q[i], q[down] = q[down], q[i]
		i = down
	}
}

// pop takes the head out.
func (q *queue) pop() {
	h := *q
	n := len(h) - 1
	h[0], h[n] = h[n], nil
	*q = h[:n]
	q.fix()
}
