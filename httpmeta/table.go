package httpmeta

import (
	"cmp"
	"slices"

	"mirrorscope/packet"
)

// Server is where requests are sent.
type Server struct {
	Addr    packet.Addr
	Port    uint16
	Network packet.NetworkID
}

func (s Server) compare(o Server) int {
	return cmp.Or(cmp.Compare(s.Network, o.Network), s.Addr.IP().Compare(o.Addr.IP()), cmp.Compare(s.Port, o.Port))
}

// Row sums the requests of one method, host and path template that one server
// got, over all connections. Its names are empty for requests whose names are
// not known, or were too many for their connection.
type Row struct {
	Server Server
	Endpoint
}

// Table sums the Infos of many connections by server and endpoint. The zero
// value is ready for use; it is owned by one goroutine.
type Table struct {
	Max   int      // rows; 0 is DefaultRows
	Other Endpoint // of those that found no row; its names are empty

	rows  []Row
	index map[rowKey]int // in rows
}

// DefaultRows bounds a Table whose Max is 0.
const DefaultRows = 10_000

type rowKey struct {
	server             Server
	method, host, path string
}

// Add sums what the requests to a server got. i stays as it is.
func (t *Table) Add(s Server, i *Info) {
	for j := range i.Endpoints {
		t.row(s, &i.Endpoints[j]).sum(&i.Endpoints[j])
	}
	if i.Other.Requests > 0 {
		t.row(s, &i.Other).sum(&i.Other)
	}
}

func (t *Table) row(s Server, p *Endpoint) *Endpoint {
	key := rowKey{s, p.Method, p.Host, p.Path}
	n, ok := t.index[key]
	if !ok {
		limit := t.Max
		if limit <= 0 {
			limit = DefaultRows
		}
		if len(t.rows) >= limit {
			return &t.Other
		}
		if t.index == nil {
			t.index = map[rowKey]int{}
		}
		n = len(t.rows)
		t.index[key] = n
		t.rows = append(t.rows, Row{Server: s, Endpoint: Endpoint{Method: p.Method, Host: p.Host, Path: p.Path}})
	}
	return &t.rows[n].Endpoint
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Rows lends the rows, those with the most requests first, then by server,
// host, path and method. They are valid until the table is changed.
func (t *Table) Rows() []*Row {
	rows := make([]*Row, len(t.rows))
	for i := range t.rows {
		rows[i] = &t.rows[i]
	}
	slices.SortFunc(rows, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), a.Server.compare(b.Server),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return rows
}

// Reset empties the table.
func (t *Table) Reset() {
	clear(t.index)
	clear(t.rows)
	t.rows = t.rows[:0]
	t.Other.clear()
}
