// Command floor reads a capture with the least work that keeps its TCP
// connections apart, and prints what it counted, as JSON:
//
//	floor [-flows N] FILE
//
// It is what the sensor is compared with; see package floor.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"mirrorscope/internal/perf/floor"
)

func main() {
	flows := flag.Int("flows", 0, "connections that FILE may have; without it the table grows")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: floor [-flows N] FILE")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *flows); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(path string, flows int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	c, err := floor.Read(f, flows)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}
