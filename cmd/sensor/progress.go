package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is how often the bar moves.
const progressEvery = 100 * time.Millisecond

// showProgress draws on w how much of the input has been read, until the
// function that it gives is called; the line is then cleared. progress is that
// of pcapfile.Reader.
func showProgress(w io.Writer, progress func() (read, total int64)) (stop func()) {
	_, total := progress()
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("reading"), progressbar.OptionShowBytes(true),
		progressbar.OptionUseIECUnits(true), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(progressEvery), progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine of its own, which would draw on after the end
	)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				read, _ := progress()
				_ = bar.Set64(read) // a bar that cannot be drawn is no reason to stop
			case <-done:
				_ = bar.Clear()
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
