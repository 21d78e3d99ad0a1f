package static

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mirrorscope/enrich"
)

// columns of a CSV file that are no tags.
var columns = []string{"prefix", "network", "ports", "proto", "override"}

// parseCSV reads RFC 4180 with a header line. Columns are those above, in any order;
// all others are tags by their name. Several prefixes, ports or values of one tag have
// a semicolon between them. Empty cells say nothing, and lines that begin with # are
// comments.
func parseCSV(b []byte) ([]Entry, error) {
	b = bytes.TrimPrefix(b, []byte("\uFEFF")) // as spreadsheets write it
	r := csv.NewReader(bytes.NewReader(b))
	r.Comment, r.ReuseRecord = '#', true
	header, err := r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it is empty; the first line names the columns, as prefix,service,env")
	case err != nil:
		return nil, csvError(err)
	}
	header = slices.Clone(header)
	var p problems
	tags := 0
	line, _ := r.FieldPos(0)
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		name = header[i]
		switch {
		case slices.Contains(header[:i], name):
			p.add(line, "column %q is there twice", name)
		case slices.Contains(columns, name):
		default:
			tags++
			if err := checkTag(name, "x"); err != nil {
				p.add(line, "column %d: %w", i+1, err)
			}
		}
	}
	if !slices.Contains(header, "prefix") && !slices.Contains(header, "ports") {
		p.add(line, "no column is called prefix or ports")
	}
	if tags == 0 {
		p.add(line, "no column is a tag, as service or env")
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	var entries []Entry
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return entries, p.err()
		}
		if err != nil {
			return nil, csvError(err)
		}
		e := Entry{}
		e.Line, _ = r.FieldPos(0)
		e.csv(&p, header, cells)
		entries = append(entries, e)
	}
}

func csvError(err error) error {
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return fmt.Errorf("line %d: %w", wrong.Line, wrong.Err)
	}
	return err
}

// csv reads the cells of a line.
func (e *Entry) csv(p *problems, header, cells []string) {
	var list []enrich.Tag
	for i, name := range header {
		for _, cell := range strings.Split(cells[i], ";") {
			if cell = strings.TrimSpace(cell); cell == "" {
				continue
			}
			tag, err := e.cell(name, cell)
			if err != nil {
				p.add(e.Line, "%w", err)
			} else if tag != nil {
				list = append(list, *tag)
			}
		}
	}
	e.finish(p, list)
}

// cell reads one value; it may be one of a tag.
func (e *Entry) cell(name, cell string) (*enrich.Tag, error) {
	switch name {
	case "prefix":
		x, err := parsePrefix(cell)
		e.Prefixes = append(e.Prefixes, x)
		return nil, err
	case "ports":
		x, err := parsePorts(cell)
		e.Ports = append(e.Ports, x)
		return nil, err
	case "network":
		if e.Network != "" {
			return nil, fmt.Errorf("network: two of them; write a line for each")
		}
		e.Network = cell
		return nil, nil
	case "proto":
		if e.Proto != 0 {
			return nil, fmt.Errorf("proto: two of them; write a line for each, or leave it out for all")
		}
		var err error
		e.Proto, err = parseProto(cell)
		return nil, err
	case "override":
		switch cell {
		case "true":
			e.Override = true
		case "false":
		default:
			return nil, fmt.Errorf("override: %q; take true or false", cell)
		}
		return nil, nil
	}
	return &enrich.Tag{Key: name, Value: cell}, checkTag(name, cell)
}
