package perf

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// intro is the words of the page. Whoever changes them changes them here:
// `make bench` writes the page anew.
const intro = `# Performance

<!-- Written by make bench. -->

What ` + "`sensor replay`" + ` costs with everything on: tunnels, copies, TCP, round trips of both sides, TLS, DNS and HTTP, a record for each
connection and the table made of them. It is measured beside programs that do less, and beside the *floor*: a program that only steps over the headers and
adds each packet to an entry of 128 octets in a flat table, which is the least that keeps connections apart.

## Workloads

Made by the project's own generator from a seed, with the truth beside them.

`

const method = `
## Method

- **CPU time** is user and system time of the whole process with all its threads, from start to end, opening the file and printing included. The figure is the
  lowest of the runs: what else the machine does can only add. Of programs marked *once* there was one run.
- **Packets a second** are millions of packets for each second of CPU time. Where a program was given only the first part of a workload the number of packets is said.
- **Ratios** are of the CPU time of a packet in two programs that ran one after the other: the median over the rounds. Programs take turns, so that a slow minute meets all.
- **Peak memory** is the kernel's: the largest resident set of the process.
- **A figure counts** only where the output is the truth: packets, octets and payload of both sides, connections, their outcomes, repeats with their
  place, TLS versions, all summed over the records of a run with ` + "`--format json`" + ` that is not timed. Of the timed runs the table's own counts are compared. Of others'
  output nothing is compared.
- **Memory** as much as a program had at its peak in the run before, 768 MiB the first time, is touched and given back right before it runs: a virtual machine may return
  to its host what is free for two seconds, and then pays for each page that it takes again, which a machine that keeps its memory does not. *With new memory* is
  a run of the sensor 8 seconds after another program, without that.
- Files are in the page cache. Nothing is pinned to a core; of a machine with two, one program uses one at a time, but for threads that wait for each other.
- *Must* and *goal* are what the project has set itself.

Again: ` + "`make bench`" + `, or ` + "`make bench BENCH=\"-scale 0.1 -only W1 -runs 3\"`" + ` for a quick look, which writes no page. ` + "`scripts/bench-deps`" + ` installs the other programs on Debian. The workloads take
8 GiB in ` + "`/var/tmp/mirrorscope-bench`" + `, or where ` + "`MIRRORSCOPE_BENCH`" + ` says, and are used again. What single stages cost is measured by ` + "`make microbench`" + `.
`

// Page writes the report.
func (r *Report) Page(w io.Writer, machine string, versions []string) {
	fmt.Fprint(w, intro)
	for _, row := range r.Rows {
		fmt.Fprintf(w, "- **%s**: %s\n", row.Target.Name, row.Target.About)
	}
	fmt.Fprint(w, "\n## Results\n\n")
	if r.Config.Scale != 1 {
		fmt.Fprintf(w, "**Made at %g of the full size: for a look, not for the record.**\n\n", r.Config.Scale)
	}
	fmt.Fprintf(w, "%s, %s. %d runs each, %s in all.\n\n", machine, r.Began.UTC().Format("2006-01-02"), r.Config.Runs, r.Took.Round(time.Second))
	r.summary(w)
	for i := range r.Rows {
		r.Rows[i].table(w)
	}
	r.shards(w)
	fmt.Fprint(w, "\n## Programs\n\n")
	for _, p := range r.Config.Programs {
		once := ""
		if p.Slow {
			once = "; once"
		}
		fmt.Fprintf(w, "- %s: %s%s\n", p.Name, p.Note, once)
	}
	fmt.Fprintf(w, "\n%s.\n", strings.Join(versions, "; "))
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\n> %s\n", n)
	}
	fmt.Fprint(w, method)
}

// summary is the table of the targets.
func (r *Report) summary(w io.Writer) {
	fmt.Fprint(w, "| workload | M packets/CPU s | with new memory | must | goal | CPU / tcpdump's | goal | CPU / the floor's | peak MiB | at most | records |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range r.Rows {
		row := &r.Rows[i]
		t := &row.Target
		rate, fresh, memory := "-", "-", "-"
		if s := row.result(sensorName); s != nil && len(s.Usage) > 0 {
			rate, memory = mega(s.Packets, s.best().CPU()), mebi(s.rss())
		}
		if s := row.result(newName); s != nil && len(s.Usage) > 0 {
			fresh = mega(s.Packets, s.best().CPU())
		}
		limit := "-"
		if t.Memory > 0 {
			limit = fmt.Sprint(t.Memory)
		}
		fmt.Fprintf(w, "| %s | **%s** | %s | %g | %g | %s | %g | %s | %s | %s | %s |\n", t.Name, rate, fresh, t.Must, t.Goal,
			row.ratio(tcpdumpName), t.Tcpdump, row.ratio(floorName), memory, limit, row.verdict())
	}
	if r.JSONNanos > 0 {
		fmt.Fprintf(w, "\nEncoding the record of a plain TCP connection as JSON: **%.0f ns** (must %d, goal %d).\n", r.JSONNanos, JSONMust, JSONGoal)
	}
}

// verdict says whether a row counts.
func (row *Row) verdict() string {
	s := row.result(sensorName)
	switch {
	case s == nil || !row.Checked:
		return "-"
	case len(row.Wrong) > 0:
		return "does not count: " + strings.Join(row.Wrong, "; ")
	case len(s.Usage) == 0:
		return s.Why
	}
	return "true"
}

// table is what every program took on a workload.
func (row *Row) table(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n\n%s packets, %s connections, %.0f MiB.\n\n", row.Target.Name, thousands(row.File.Packets), thousands(row.File.Truth.Flows), float64(row.File.Size)/(1<<20))
	fmt.Fprint(w, "| program | packets | user s | system s | CPU s | M packets/CPU s | peak MiB | sensor's CPU / its |\n|---|---|---|---|---|---|---|---|\n")
	for i := range row.Results {
		r := &row.Results[i]
		if len(r.Usage) == 0 {
			fmt.Fprintf(w, "| %s | | | | %s | | | |\n", r.Program.Name, r.Why)
			continue
		}
		u := r.best()
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %.2f | %s | %s | %s |\n", r.Program.Name, thousands(r.Packets),
			u.User.Seconds(), u.System.Seconds(), u.CPU().Seconds(), mega(r.Packets, u.CPU()), mebi(r.rss()), row.ratio(r.Program.Name))
	}
}

func (row *Row) result(name string) *Result {
	for i := range row.Results {
		if row.Results[i].Program.Name == name {
			return &row.Results[i]
		}
	}
	return nil
}

// best is the run that took the least.
func (r *Result) best() Usage {
	return slices.MinFunc(r.Usage, func(a, b Usage) int { return int(a.CPU() - b.CPU()) })
}

// rss is the largest peak of all runs, KiB.
func (r *Result) rss() int64 {
	return slices.MaxFunc(r.Usage, func(a, b Usage) int { return int(a.RSS - b.RSS) }).RSS
}

// ratio is the CPU time of a packet in the sensor against that in another
// program, the median over the rounds that both have.
func (row *Row) ratio(name string) string {
	s, o := row.result(sensorName), row.result(name)
	if s == nil || o == nil || s == o {
		return "-"
	}
	var all []float64
	for i := range min(len(s.Usage), len(o.Usage)) {
		if cpu := o.Usage[i].CPU(); cpu > 0 {
			all = append(all, s.Usage[i].CPU().Seconds()/float64(s.Packets)/(cpu.Seconds()/float64(o.Packets)))
		}
	}
	if len(all) == 0 {
		return "-"
	}
	slices.Sort(all)
	return fmt.Sprintf("%.2f", all[len(all)/2])
}

// shards is the table of one shard against two.
func (r *Report) shards(w io.Writer) {
	fmt.Fprint(w, "\n## Two shards\n\nWall time of `--shards 1` over that of `--shards 2`, run in pairs. What two cores of this machine can give at most is what\n"+
		"two replays with one shard each give, which share nothing and run at once: twice the time of one over that of both.\n\n"+
		"| workload | pairs | one, s | two, s | median of the ratios | lowest | highest | both at once, s | median of what that gives |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		if len(row.Pairs) == 0 {
			continue
		}
		var ratios, most []float64
		var one, two, both []time.Duration
		for _, p := range row.Pairs {
			one, two, both = append(one, p.One), append(two, p.Two), append(both, p.Both)
			ratios, most = append(ratios, p.One.Seconds()/p.Two.Seconds()), append(most, 2*p.One.Seconds()/p.Both.Seconds())
		}
		for _, list := range [][]time.Duration{one, two, both} {
			slices.Sort(list)
		}
		slices.Sort(ratios)
		slices.Sort(most)
		m := len(ratios) / 2
		fmt.Fprintf(w, "| %s | %d | %.2f | %.2f | **%.2f** | %.2f | %.2f | %.2f | %.2f |\n", row.Target.Name, len(ratios),
			one[m].Seconds(), two[m].Seconds(), ratios[m], ratios[0], ratios[len(ratios)-1], both[m].Seconds(), most[m])
	}
}

// mega is millions of packets for each second of CPU time.
func mega(packets int64, cpu time.Duration) string {
	if cpu <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(packets)/1e6/cpu.Seconds())
}

func mebi(kib int64) string { return fmt.Sprintf("%.0f", float64(kib)/1024) }

// thousands writes a number with separators.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
