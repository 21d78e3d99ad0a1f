package main

import (
	"fmt"
	"io"

	"mirrorscope/internal/netlab"
	"mirrorscope/internal/netlab/accuracy"
)

// writePage writes the page with the table. Whoever changes its words changes
// them here: `make lab` writes it anew.
func writePage(w io.Writer, table *accuracy.Table) error {
	fmt.Fprint(w, `# How accurate the numbers are

<!-- Written by make lab. -->

Two Linux kernels talk over a network whose faults are planned. The program that carries their packets knows what befell each of them:
where it was lost, delayed, overtaken or copied. The kernels keep their own account (`+"`TCP_INFO`"+`, the counters of `+"`nstat`"+`).
What both agree on is the truth that each tool is compared with, over captures at the client, in the middle and at the server, and over
worse captures made from those: every packet twice, packets missing, one direction late, one direction only, begun in mid-stream, frames cut.

`+"`exact`"+` is within the target's tolerance, `+"`withheld`"+` is not said or marked as not certain, `+"`wrong`"+` is claimed and not so.
The worst error is that of a claim. Where a tool has no such number at all, every case is withheld.

`)
	if err := table.Markdown(w); err != nil {
		return err
	}
	fmt.Fprint(w, `
## Scenarios

| scenario | what it shows |
|---|---|
`)
	for _, s := range netlab.Scenarios {
		if _, err := fmt.Fprintf(w, "| %s | %s |\n", s.Name, s.Shows); err != nil {
			return err
		}
	}
	return nil
}
