package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"mirrorscope/cloud"
	"mirrorscope/daemon"
	"mirrorscope/nic"
)

// cloudPatience bounds the questions to one source.
const cloudPatience = 40 * time.Second

// checkClouds asks every source that is configured, all at a time. What they lack
// prevents no capture: it is a warning.
func checkClouds(c *daemon.Cloud) []report {
	sources := c.Sources()
	reports := make([]report, len(sources))
	var g sync.WaitGroup
	for i, s := range sources {
		g.Go(func() {
			reports[i].Name = s.Name()
			ctx, cancel := context.WithTimeout(context.Background(), cloudPatience)
			defer cancel()
			if checker, ok := s.(cloud.Checker); ok {
				for _, f := range checker.Check(ctx) {
					level := nic.OK
					if !f.OK {
						level = nic.Warning
					}
					reports[i].add(nic.Finding{Level: level, About: f.About, Found: f.Found, Why: f.Why, Mend: f.Mend})
				}
			}
			if c.Directory != "" {
				reports[i].add(known(c, s.Name(), time.Now()))
			}
		})
	}
	g.Wait()
	return reports
}

// known tells how old what is on disk of a source is.
func known(c *daemon.Cloud, source string, now time.Time) nic.Finding {
	f := nic.Finding{Level: nic.OK, About: "inventory"}
	snap, err := cloud.Store{Directory: c.Directory}.Load(source)
	switch {
	case os.IsPermission(err):
		f.Level, f.Found, f.Why, f.Mend = nic.Note, err.Error(), "what is known cannot be told", "run this as the sensor's user, or as root"
	case err != nil:
		f.Level, f.Found, f.Why, f.Mend = nic.Warning, err.Error(), "a restart has no names until the source has answered", "remove the file"
	case snap == nil:
		f.Found = "nothing is known yet"
	default:
		age := max(now.Sub(snap.Taken), 0)
		f.Found = fmt.Sprintf("%d interfaces and %d machines, %v old", len(snap.Interfaces), len(snap.Instances), age.Round(time.Second))
		if age > 3*time.Duration(c.Period) {
			f.Level, f.Why = nic.Note, "either the sensor does not run, or it cannot read this source"
			f.Mend = "the log of the sensor says why: journalctl -u mirrorscope | grep inventory"
		}
	}
	return f
}
