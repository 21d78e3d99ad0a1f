package perf

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/pcapgen"
	"mirrorscope/internal/pcapgen/workload"
)

// File is a workload as a capture file, with what is in it.
type File struct {
	Path    string
	Size    int64 // octets
	Packets int64
	Truth   *workload.Truth // nil: of a part of a workload nothing more is known
}

// fingerprintPackets are generated to see whether a workload is still what the
// generator makes.
const fingerprintPackets = 4000

// Cache is a directory of generated workloads. A file's name says of which
// flows and seed, and by which generator; others of the same shape are removed.
type Cache struct {
	Dir  string
	Seed uint64
	Log  func(format string, args ...any)
}

// File gives a workload, generated if it is not there.
func (c *Cache) File(config workload.Config) (File, error) {
	config.Seed = c.Seed
	print, err := fingerprint(config)
	if err != nil {
		return File{}, err
	}
	shape := fmt.Sprintf("%s-%df-%dp-seed%d-", config.Workload, config.Flows, config.Packets, config.Seed)
	path := filepath.Join(c.Dir, shape+print+".pcap")
	old, err := filepath.Glob(filepath.Join(c.Dir, shape+"*"))
	if err != nil {
		return File{}, err
	}
	for _, o := range old {
		if !strings.HasPrefix(o, path) {
			_ = os.Remove(o) // by a generator that has changed; if it stays, it is only in the way
		}
	}
	if f, err := open(path); err == nil {
		return f, nil
	}
	c.Log("generating %s", path)
	if err := generate(config, path); err != nil {
		return File{}, fmt.Errorf("generate %s: %w", path, err)
	}
	return open(path)
}

// open reads the truth beside a file; it is written last, and so tells that the
// file is whole.
func open(path string) (File, error) {
	text, err := os.ReadFile(path + ".json")
	if err != nil {
		return File{}, err
	}
	truth := new(workload.Truth)
	if err := json.Unmarshal(text, truth); err != nil {
		return File{}, fmt.Errorf("%s.json: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	return File{path, info.Size(), truth.Packets, truth}, nil
}

func generate(config workload.Config, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	defer func() { _, _ = f.Close(), os.Remove(f.Name()) }() // if it did not come to its end
	truth, err := workload.Generate(config, writer(config, f))
	if err == nil {
		err = f.Close()
	}
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("%w; -dir says where there is more room: all six take 8 GiB", err)
	}
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(truth, "", "  ")
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return os.WriteFile(path+".json", append(text, '\n'), 0o644)
}

func writer(config workload.Config, w io.Writer) pcapgen.Writer {
	return pcapgen.NewPcapWriter(w, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet, Nano: true, SnapLen: workload.SnapLen(config.Workload)})
}

// fingerprint is of the first packets that a workload of this kind has.
func fingerprint(config workload.Config) (string, error) {
	config.Flows, config.Open, config.Packets = 0, 100, fingerprintPackets
	h := sha256.New()
	if _, err := workload.Generate(config, writer(config, h)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:4]), nil
}

// cut writes the first packets of a file to another, and gives the file itself
// where it has no more.
func cut(f File, packets int64, path string) (part File, err error) {
	if f.Packets <= packets {
		return f, nil
	}
	in, err := os.Open(f.Path)
	if err != nil {
		return File{}, err
	}
	defer func() { _ = in.Close() }() // only read from
	out, err := os.Create(path)
	if err != nil {
		return File{}, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	r, w := bufio.NewReaderSize(in, 1<<20), bufio.NewWriterSize(out, 1<<20)
	const fileHeader, recordHeader = 24, 16
	size, err := io.CopyN(w, r, fileHeader)
	for n := int64(0); n < packets && err == nil; n++ {
		var h []byte
		if h, err = r.Peek(recordHeader); err == nil {
			var copied int64
			copied, err = io.CopyN(w, r, recordHeader+int64(binary.LittleEndian.Uint32(h[8:])))
			size += copied
		}
	}
	return File{Path: path, Size: size, Packets: packets}, errors.Join(err, w.Flush())
}

// warm reads a file, so that what follows finds it in memory.
func warm(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	buf := make([]byte, 1<<20)
	for {
		if _, err := f.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
