package main

import (
	"os"
	"strconv"

	"golang.org/x/term"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// terminalWidth is the number of cells of a line of stdout: what the terminal
// says, else COLUMNS. It is 0 where stdout is no terminal: then nothing is cut.
func terminalWidth(stdout any) int {
	f, ok := terminal(stdout)
	if !ok {
		return 0
	}
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		return w
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return 80
}

// colour tells whether stdout takes colour (no-color.org).
func colour(stdout any) bool {
	_, ok := terminal(stdout)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
