package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mirrorscope/internal/golden"
)

// TestReference holds docs/reference/cli against the commands; -update writes
// the pages.
func TestReference(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "reference", "cli")
	pages := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if !cmd.IsAvailableCommand() && cmd.HasParent() {
			return
		}
		name := pageName(cmd)
		pages[name] = true
		golden.Equal(t, filepath.Join(dir, name), []byte(page(cmd)))
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	root := newRoot(&streams{})
	walk(root)

	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !pages[e.Name()] {
			t.Errorf("%s is the page of no command", filepath.Join(dir, e.Name()))
		}
	}
}

func pageName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "_") + ".md"
}

// page describes one command in Markdown.
func page(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Generated from the command by go test ./cmd/sensor -update. -->\n\n# %s\n\n%s.\n", cmd.CommandPath(), cmd.Short)
	block := func(title, text string) {
		if text = strings.Trim(text, "\n"); text != "" {
			fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", title, text)
		}
	}
	block("Usage", cmd.UseLine())
	if cmd.Long != "" {
		fmt.Fprintf(&b, "\n## Description\n\n%s\n", strings.TrimSpace(cmd.Long))
	}
	flags(&b, cmd.LocalFlags())
	block("Examples", cmd.Example)
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n## Commands\n\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "- [%s](%s): %s\n", sub.CommandPath(), pageName(sub), sub.Short)
			}
		}
	}
	if cmd.HasParent() {
		fmt.Fprintf(&b, "\nSee also [%s](%s).\n", cmd.Parent().CommandPath(), pageName(cmd.Parent()))
	}
	return b.String()
}

// flags adds a table of all flags that are not hidden.
func flags(b *strings.Builder, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	b.WriteString("\n## Flags\n\n| flag | meaning | default |\n|---|---|---|\n")
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		argument, usage := pflag.UnquoteUsage(f)
		def := f.DefValue
		switch def {
		case "0", "0s", "false", "[]":
			def = "" // nothing, or told in the meaning
		}
		fmt.Fprintf(b, "| `--%s` | %s | %s |\n", strings.TrimSpace(f.Name+" "+argument), usage, def)
	})
}
