package main

import (
	"context"
	"io"
)

// interruptible gives what r gives, and ends when ctx does, even while r waits
// for input that does not come: `tcpdump | sensor replay -` on a quiet network.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	end, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(io.EOF) })
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 1<<20))
		w.CloseWithError(err)
	}()
	return end
}
