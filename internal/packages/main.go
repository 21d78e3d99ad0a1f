// Command packages writes what the packages hold beside the binary and what is
// in deploy/: manual pages and the configuration that is installed. It is run by
// scripts/packages.
//
//	packages -version VERSION -time SECONDS -o FOLDER
//	packages -image -o FOLDER
//
// With -image it writes the configuration that is in the container image, and
// nothing else.
//
// Manual pages say what the pages of docs/reference/cli say, which are held
// against the commands by their test, and what `sensor config` prints.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mirrorscope/daemon"
)

// recordsDirectory is where an installed sensor writes records: the
// StateDirectory of its unit.
const recordsDirectory = "/var/lib/mirrorscope"

func main() {
	version := flag.String("version", "dev", "version in the manual pages")
	seconds := flag.Int64("time", 0, "time in the manual pages, seconds since the Unix epoch")
	reference := flag.String("reference", "docs/reference/cli", "folder of the pages of commands")
	out := flag.String("o", "", "folder to write to")
	image := flag.Bool("image", false, "write the configuration of the container image alone")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	work := func() error {
		return write(*out, *reference, footer{version: *version, date: time.Unix(*seconds, 0).UTC()})
	}
	if *image {
		work = func() error { return writeConfig(*out, imageConfig()) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

// write makes all files in the folder out: sensor.toml and man/NAME.SECTION.
func write(out, reference string, foot footer) error {
	pages, err := manuals(reference, foot)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(out, "man"), 0o755); err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(out, "man", name), text, 0o644); err != nil {
			return err
		}
	}
	return writeConfig(out, installedConfig())
}

// installedConfig is the default configuration, but for what a package knows
// better: where records go.
func installedConfig() daemon.Config {
	c := daemon.DefaultConfig()
	c.Output.File.Directory = recordsDirectory
	return c
}

// imageConfig is that of the image, where no service manager has the sensor run
// as another user.
func imageConfig() daemon.Config {
	c := installedConfig()
	c.Privilege.User = "mirrorscope"
	return c
}

func writeConfig(out string, c daemon.Config) error {
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "sensor.toml"), b.Bytes(), 0o644)
}

// manuals makes a page for each command and one for the configuration, by the
// name of the file.
func manuals(reference string, foot footer) (map[string][]byte, error) {
	files, err := filepath.Glob(filepath.Join(reference, "*.md"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no pages of commands", reference)
	}
	var commands []*command
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c, err := parseCommand(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		commands = append(commands, c)
	}
	pages := map[string][]byte{}
	for _, c := range commands {
		pages[strings.ReplaceAll(c.name, " ", "-")+".1"] = commandManual(c, commands, foot)
	}
	var conf bytes.Buffer
	if err := daemon.DefaultConfig().Write(&conf); err != nil {
		return nil, err
	}
	tables, err := parseConfig(conf.String())
	if err != nil {
		return nil, fmt.Errorf("default configuration: %w", err)
	}
	pages["sensor.toml.5"] = configManual(tables, foot)
	return pages, nil
}
