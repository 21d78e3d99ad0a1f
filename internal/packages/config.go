package main

import (
	"fmt"
	"strings"
)

// table is a table of the configuration file.
type table struct {
	name    string // "capture.afpacket"
	comment []string
	keys    []key
}

// key is a key of a table with its default.
type key struct {
	name, def string
	comment   []string
}

// parseConfig reads what `sensor config` prints: comments stand in front of what
// they are about.
func parseConfig(text string) ([]table, error) {
	var tables []table
	var comment []string
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			comment = append(comment, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		case line == "":
			if len(tables) == 0 {
				comment = nil // the head of the file
			}
		case strings.HasPrefix(line, "["):
			tables = append(tables, table{name: strings.Trim(line, "[]"), comment: comment})
			comment = nil
		default:
			name, def, ok := strings.Cut(line, " = ")
			if !ok || len(tables) == 0 {
				return nil, fmt.Errorf("line %d: unknown line %q", i+1, line)
			}
			last := &tables[len(tables)-1]
			last.keys = append(last.keys, key{name, def, comment})
			comment = nil
		}
	}
	if len(tables) == 0 {
		return nil, fmt.Errorf("no tables")
	}
	return tables, nil
}
