package lines

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"mirrorscope/unit"
)

// FileConfig says where a File writes and what it keeps.
type FileConfig struct {
	Directory string `toml:"directory" comment:"Where the files go; made if it is not there. Empty: no files are written"`
	Name      string `toml:"name" comment:"The file that is being written always has this name. A finished one is renamed, with the time in its name\n(connections-20261120T100000.000Z.jsonl), so that log shippers can follow it"`

	RotateSize  unit.Size     `toml:"rotate_size" comment:"A file is finished before it would grow beyond this. \"0\": whatever its size"`
	RotateAfter unit.Duration `toml:"rotate_after" comment:"A file is finished at each multiple of this since the Unix epoch (1h: at the full hour). \"0s\": whatever its age"`

	KeepFiles int       `toml:"keep_files" comment:"How many finished files stay; the oldest are removed first. 0: any number"`
	KeepSize  unit.Size `toml:"keep_size" comment:"How many octets of finished files stay. \"0\": any number. Disk use is at most this and twice rotate_size"`

	Compress Compression `toml:"compress" comment:"How finished files are compressed: zstd, gzip or none. The latest stays as it is until the next is\nfinished, for log shippers that have not read it to its end"`

	Queue unit.Size `toml:"queue" comment:"Memory for lines that wait to be written. What finds no room is dropped and counted"`
}

// minQueue holds some of the longest records.
const minQueue = 256 << 10

// DefaultFileConfig keeps at most 4 GiB of what is written, and 128 files.
func DefaultFileConfig() FileConfig {
	return FileConfig{
		Name:        "connections.jsonl",
		RotateSize:  256 << 20,
		RotateAfter: unit.Duration(time.Hour),
		KeepFiles:   128,
		KeepSize:    4 << 30,
		Compress:    Zstd,
		Queue:       16 << 20,
	}
}

// Validate tells every field that cannot be used.
func (c *FileConfig) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	if c.Directory != "" && !filepath.IsAbs(c.Directory) {
		bad("directory", "%q is not an absolute path", c.Directory)
	}
	if c.Name == "" || c.Name != filepath.Base(c.Name) || strings.HasPrefix(c.Name, ".") {
		bad("name", "%q is not the name of a file", c.Name)
	}
	if c.RotateSize < 0 || c.RotateSize > 0 && c.RotateSize < 4<<10 {
		bad("rotate_size", "%v is less than 4KiB", c.RotateSize)
	}
	if c.RotateAfter < 0 || c.RotateAfter > 0 && c.RotateAfter < unit.Duration(time.Second) {
		bad("rotate_after", "%v is less than 1s", c.RotateAfter)
	}
	if c.KeepFiles < 0 {
		bad("keep_files", "%d is less than 0", c.KeepFiles)
	}
	if c.KeepSize < 0 {
		bad("keep_size", "%v is less than 0", c.KeepSize)
	}
	if c.Compress > Gzip {
		bad("compress", "%d is none of zstd, gzip, none", c.Compress)
	}
	if c.Queue < minQueue || c.Queue > 1<<40 {
		bad("queue", "%v is not between %v and 1TiB", c.Queue, unit.Size(minQueue))
	}
	return errors.Join(errs...)
}

// Compression of finished files.
type Compression uint8

const (
	None Compression = iota
	Zstd
	Gzip
)

var compressionNames = [...]string{None: "none", Zstd: "zstd", Gzip: "gzip"}

// suffixes of compressed files.
var suffixes = [...]string{None: "", Zstd: ".zst", Gzip: ".gz"}

func (c Compression) String() string {
	if int(c) < len(compressionNames) {
		return compressionNames[c]
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (c Compression) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Compression) UnmarshalText(text []byte) error {
	for i, name := range compressionNames {
		if name == string(text) {
			*c = Compression(i)
			return nil
		}
	}
	return fmt.Errorf("%q is none of zstd, gzip, none", text)
}
