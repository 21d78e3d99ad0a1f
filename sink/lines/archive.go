package lines

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// stampLayout is the time in the name of a finished file, UTC. Names sort by it.
const stampLayout = "20060102T150405.000Z"

// archive is a finished file.
type archive struct {
	stamp       string
	compression Compression
	size        int64
}

// path is where it is. Only its compression tells two files of one stamp apart.
func (a archive) path(cfg *FileConfig) string {
	ext := filepath.Ext(cfg.Name)
	return filepath.Join(cfg.Directory, strings.TrimSuffix(cfg.Name, ext)+"-"+a.stamp+ext+suffixes[a.compression])
}

// archivePath gives a name for a file that is finished now, which no other one
// has or had before it was compressed.
func archivePath(cfg *FileConfig, now time.Time) string {
	for ; ; now = now.Add(time.Millisecond) {
		a := archive{stamp: now.UTC().Format(stampLayout)}
		free := true
		for a.compression = range Compression(len(suffixes)) {
			if _, err := os.Lstat(a.path(cfg)); !os.IsNotExist(err) {
				free = free && err != nil // another error is told by the rename
			}
		}
		if free {
			a.compression = None
			return a.path(cfg)
		}
	}
}

// temporary is the name that a compressed file has until it is complete.
func temporary(path string) string {
	dir, name := filepath.Split(path)
	return filepath.Join(dir, "."+name+".tmp")
}

// list gives the finished files of cfg, oldest first, and the temporary ones
// that an earlier process left behind. Other files are none of its business.
func list(cfg *FileConfig) (archives []archive, left []string, err error) {
	entries, err := os.ReadDir(cfg.Directory)
	if err != nil {
		return nil, nil, err
	}
	ext := filepath.Ext(cfg.Name)
	ours := regexp.MustCompile(`^(\.?)` + regexp.QuoteMeta(strings.TrimSuffix(cfg.Name, ext)) + `-(\d{8}T\d{6}\.\d{3}Z)` +
		regexp.QuoteMeta(ext) + `(|\.zst|\.gz)(|\.tmp)$`)
	for _, e := range entries {
		m := ours.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() || (m[1] == "") != (m[4] == "") {
			continue
		}
		if m[4] != "" {
			left = append(left, filepath.Join(cfg.Directory, e.Name()))
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // removed in between
		}
		a := archive{stamp: m[2], size: info.Size()}
		a.compression = Compression(slices.Index(suffixes[:], m[3]))
		archives = append(archives, a)
	}
	slices.SortFunc(archives, func(a, b archive) int {
		return cmp.Or(strings.Compare(a.stamp, b.stamp), cmp.Compare(a.compression, b.compression))
	})
	return archives, left, nil
}
